"""Two transactions that meet on PostgreSQL, in the one order that once went wrong."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest

from bot.core.followups import PENDING_BY_AGENTS, PENDING_PER_PERSON, PENDING_PER_THREAD
from bot.core.runs import LogLine
from bot.core.tasks import CodeTask, FailureReason
from bot.services.attempts import Cost, Failure
from bot.services.followups import SetByRun, Wish
from bot.services.refusals import Refused
from storage.engine import Database
from storage.transaction import Tx
from tests.clock import FakeClock
from tests.storage.conformance.bench import file
from tests.storage.conformance.followups import put
from tests.storage.world import ANN, CHANNEL, World
from tests.stores import only_postgres

DEADLINE = 20.0
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(store, clock, tmp_path)


def overtaken(world: World, url: str, first: Callable[[Tx], Any], second: Callable[[Tx], Any]) -> Any:
    """Commits `first` when `second` waits for it; what `second` answers."""
    done, go_on = threading.Event(), threading.Event()

    def held(tx: Tx) -> None:
        first(tx)
        tx.session.flush()
        done.set()
        assert go_on.wait(DEADLINE)

    with ThreadPoolExecutor(2) as pool, psycopg.connect(url, autocommit=True) as watch:
        one = pool.submit(world.store.run_sync, held)
        assert done.wait(DEADLINE)
        two = pool.submit(world.store.run_sync, second)
        until = monotonic() + DEADLINE
        while not watch.execute(WAITING).fetchall()[0][0]:
            assert monotonic() < until, "the second never waited for the first"
            assert not two.done(), "the second did not wait for the first"
            watch.execute("SELECT pg_sleep(0.01)")
        go_on.set()
        one.result(DEADLINE)
        return two.result(DEADLINE)


@only_postgres
def test_a_code_task_is_deleted_under_the_last_lines_of_its_log(world: World, database_url: str) -> None:
    world.store.run_sync(lambda tx: file(tx, thread="1.0", requester_id="U1"))
    claimed = world.claim()
    assert claimed is not None
    world.store.run_sync(lambda tx: world.app.tasks.cancel(tx, 1, ANN))
    lines = [LogLine(content="stopped")]
    flush = lambda tx: tx.runs.log(claimed.lease.run_id, lines)  # noqa: E731
    answer = overtaken(world, database_url, flush, lambda tx: world.app.tasks.delete(tx, 1, ANN))
    assert isinstance(answer, CodeTask)
    assert world.rows("SELECT count(*) FROM run_log") == [(0,)]


@only_postgres
def test_who_joins_while_it_is_moved_is_told_once(world: World, database_url: str) -> None:
    """Both orders: the move waits for the one who joins, and the one who joins for the move."""
    ledger, attempts = world.app.tasks.ledger, world.app.attempts
    for number in (1, 2):
        world.store.run_sync(lambda tx, n=number: file(tx, thread=f"{n}.0", requester_id="U1"))
    elsewhere = world.store.run_sync(lambda tx: tx.threads.open(CHANNEL.model_copy(update={"root": "77.0"})).id)
    bo = ANN.model_copy(update={"id": "U2", "name": "Bo"})

    def join(tx: Tx, number: int) -> None:
        task = tx.tasks.get(number)
        assert task is not None
        assert ledger.join(tx, task, elsewhere, bo)

    for number, moves_first in ((1, True), (2, False)):
        claimed = world.claim()
        assert claimed is not None and claimed.task.id == number
        pull = {"pr_number": number, "pr_url": f"https://git.example/app/pull/{number}"}
        move = lambda tx, p=pull, at=claimed.lease: attempts.review(tx, at, Cost(), **p)  # noqa: E731
        joins = lambda tx, n=number: join(tx, n)  # noqa: E731
        overtaken(world, database_url, *((move, joins) if moves_first else (joins, move)))
        told = f"SELECT count(*) FROM outbox WHERE thread_id = {elsewhere} AND dedup_key LIKE 'CT-{number}:told%'"
        assert world.rows(told) == [(1,)]


@only_postgres
def test_a_cancel_also_ends_the_attempt_that_follows_a_failure(world: World, database_url: str) -> None:
    world.store.run_sync(lambda tx: file(tx, thread="1.0", requester_id="U1"))
    claimed = world.claim()
    assert claimed is not None
    failure = Failure(FailureReason.AGENT_FAILED, "it broke")
    fail = lambda tx: world.app.attempts.fail(tx, claimed.lease, failure, Cost())  # noqa: E731
    answer = overtaken(world, database_url, fail, lambda tx: world.app.tasks.cancel(tx, 1, ANN))
    assert isinstance(answer, CodeTask) and answer.is_cancelled
    assert world.rows("SELECT state FROM run ORDER BY id") == [("failed",), ("cancelled",)]


@only_postgres
@pytest.mark.parametrize("quota", ["person", "thread", "agents"])
def test_two_follow_ups_set_at_once_share_what_is_left_of_a_quota(world: World, database_url: str, quota: str) -> None:
    """One is left of each limit; each of the two alone would fit."""
    limits = {"person": PENDING_PER_PERSON, "thread": PENDING_PER_THREAD, "agents": PENDING_BY_AGENTS}
    most, at = limits[quota], world.clock.now() + timedelta(hours=1)
    owner = ANN.model_copy(update={"id": "U2", "roles": frozenset({"owner"})})
    everyone = [ANN, ANN] if quota == "person" else [ANN, owner]
    by = SetByRun(1) if quota == "agents" else None

    def fill(tx: Tx) -> None:
        for person in everyone:
            tx.people.see(person)
        for n in range(most - 1):
            root = f"{n}.0" if quota == "person" else "1.0"
            who = "U1" if quota == "person" else f"U{100 + n}"
            put(tx, root=root, requester_id=who, due_at=at, by_agent=by is not None)

    def wish(n: int) -> Callable[[Tx], Any]:
        place = CHANNEL.model_copy(update={"root": f"other-{n}.0" if quota == "person" else "1.0"})
        mine = Wish("look again", at, everyone[n], place, by=by)
        return lambda tx: world.app.followups.set(tx, mine)

    world.store.run_sync(fill)
    answer = overtaken(world, database_url, wish(0), wish(1))
    assert isinstance(answer, Refused) and answer.kind == "state"
    assert world.rows("SELECT count(*) FROM follow_up WHERE state = 'pending'") == [(most,)]

"""Two transactions that meet on PostgreSQL, in the one order that once went wrong."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest

from bot.core.runs import LogLine
from bot.core.tasks import CodeTask, FailureReason
from bot.services.attempts import Cost, Failure
from storage.engine import Database
from storage.transaction import Tx
from tests.clock import FakeClock
from tests.storage.conformance.bench import file
from tests.storage.world import ANN, World
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
def test_a_cancel_also_ends_the_attempt_that_follows_a_failure(world: World, database_url: str) -> None:
    world.store.run_sync(lambda tx: file(tx, thread="1.0", requester_id="U1"))
    claimed = world.claim()
    assert claimed is not None
    failure = Failure(FailureReason.AGENT_FAILED, "it broke")
    fail = lambda tx: world.app.attempts.fail(tx, claimed.lease, failure, Cost())  # noqa: E731
    answer = overtaken(world, database_url, fail, lambda tx: world.app.tasks.cancel(tx, 1, ANN))
    assert isinstance(answer, CodeTask) and answer.is_cancelled
    assert world.rows("SELECT state FROM run ORDER BY id") == [("failed",), ("cancelled",)]

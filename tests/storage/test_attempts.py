"""Attempts on a real store: retries with backoff, lost workers, returned runs, races with a cancel (I6, I8, I9)."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.runs import LEASE, ParkedChange
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.services.attempts import Claimed, Cost, Failure
from bot.services.refusals import Refused
from storage.engine import Database
from storage.transaction import Tx
from tests.clock import FakeClock
from tests.storage.conformance.bench import file, together
from tests.storage.world import ANN, World

LATE = LEASE + timedelta(seconds=1)
STRANDED = "UPDATE code_task SET stage = 'failed', failure_reason = 'cancelled'"
CHANGE = ParkedChange("b" * 40, "t" * 40, "c" * 40, ("ci",), (), {}, b"pack")


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(store, clock, tmp_path)


def put(world: World, **values: Any) -> CodeTask:
    return world.store.run_sync(lambda tx: file(tx, thread="1.0", requester_id="U1", **values))


def claim(world: World) -> Claimed:
    claimed = world.claim()
    assert claimed is not None
    return claimed


def stage(world: World) -> tuple[Any, ...]:
    (found,) = world.rows("SELECT stage, failure_reason, attempt FROM code_task")
    return found


def fail(world: World, claimed: Claimed, reason: FailureReason) -> CodeTask | None:
    attempts = world.app.attempts
    failure = Failure(reason, "it broke")
    return world.store.run_sync(lambda tx: attempts.fail(tx, claimed.lease, failure, Cost(usd=0.25, tokens=100)))


def test_a_failed_attempt_waits_longer_each_time(world: World) -> None:
    put(world)
    for attempt, wait in ((1, 60), (2, 300)):
        fail(world, claim(world), FailureReason.AGENT_FAILED)
        assert stage(world) == ("queued", None, attempt)
        world.clock.advance(wait - 1)
        assert world.claim() is None
        world.clock.advance(1)
    fail(world, claim(world), FailureReason.AGENT_FAILED)
    assert stage(world) == ("failed", "agent_failed", 3)
    world.clock.advance(timedelta(days=1))
    assert world.claim() is None
    assert world.rows("SELECT attempt, state FROM run ORDER BY id") == [(1, "failed"), (2, "failed"), (3, "failed")]
    assert world.rows("SELECT cost_usd, tokens FROM code_task") == [(0.75, 300)]


def test_a_final_reason_is_final_at_once(world: World) -> None:
    put(world)
    fail(world, claim(world), FailureReason.NO_CHANGES)
    assert stage(world) == ("failed", "no_changes", 1)
    assert world.rows("SELECT count(*) FROM run") == [(1,)]


async def test_a_lost_worker_costs_an_attempt_and_the_third_is_the_last(world: World) -> None:
    put(world)
    for attempt in (1, 2, 3):
        lost = claim(world)
        assert await world.reap() == 0
        world.clock.advance(LATE)
        assert await world.reap() == 1
        assert await world.reap() == 0
        assert fail(world, lost, FailureReason.AGENT_FAILED) is None, "the zombie writes nothing"
        assert stage(world)[2] == attempt
        world.clock.advance(timedelta(minutes=6))
    assert stage(world) == ("failed", "worker_lost", 3)
    assert world.rows("SELECT DISTINCT state FROM run") == [("lost",)]
    assert world.rows("SELECT count(*) FROM run") == [(3,)]


async def test_a_torn_run_stops_no_other(world: World) -> None:
    """One run that cannot be ended stays; the rest is reaped as ever."""
    for n in range(3):
        world.store.run_sync(lambda tx, n=n: file(tx, thread=f"{n}.0", repo=f"r{n}"))
        claim(world)
    world.store.run_sync(lambda tx: tx.session.execute(sa.text(f"{STRANDED} WHERE id = 2")))
    world.clock.advance(LATE)
    assert await world.reap() == 2
    assert world.rows("SELECT code_task_id, state FROM run WHERE attempt = 1 ORDER BY id") == [
        (1, "lost"),
        (2, "active"),
        (3, "lost"),
    ]


def test_many_reapers_reap_once(world: World) -> None:
    for n in range(5):
        world.store.run_sync(lambda tx, n=n: file(tx, thread=f"{n}.0", repo=f"r{n}"))
        claim(world)
    world.clock.advance(LATE)
    assert sum(together(4, lambda _: asyncio.run(world.app.attempts.reap(world.store)))) == 5
    assert world.rows("SELECT state, count(*) FROM run GROUP BY state ORDER BY state") == [("lost", 5), ("queued", 5)]
    seqs = world.rows("SELECT thread_id, count(*) FROM outbox WHERE kind = 'edit' GROUP BY thread_id")
    assert {count for _, count in seqs} == {2}


def test_a_returned_run_costs_no_attempt(world: World) -> None:
    put(world)
    first = claim(world)
    world.store.run_sync(lambda tx: world.app.attempts.give_back(tx, first.lease))
    assert stage(world) == ("queued", None, 0)
    second = claim(world)
    assert second.lease.fence > first.lease.fence
    assert stage(world) == ("running", None, 1)
    assert world.store.run_sync(lambda tx: world.app.attempts.testing(tx, first.lease)) is None


def test_an_approved_change_survives_a_stopping_worker(world: World) -> None:
    put(world)
    asked = claim(world)
    attempts = world.app.attempts
    world.store.run_sync(lambda tx: attempts.park(tx, asked.lease, CHANGE, Cost()))
    assert world.claim() is None
    world.store.run_sync(lambda tx: tx.runs.decide(asked.lease.task_id, True, "slack:U9"))
    pushing = claim(world)
    world.store.run_sync(lambda tx: attempts.give_back(tx, pushing.lease))
    again = claim(world)
    assert again.task.stage in (Stage.RUNNING, Stage.TESTING)
    done = world.store.run_sync(lambda tx: attempts.review(tx, again.lease, Cost(), pr_number=1))
    assert done is not None and done.stage is Stage.REVIEW


async def test_an_approved_change_survives_the_loss_of_its_worker(world: World) -> None:
    """Three times; then it is a lost run like any other."""
    put(world)
    asked = claim(world)
    attempts = world.app.attempts
    world.store.run_sync(lambda tx: attempts.park(tx, asked.lease, CHANGE, Cost()))
    world.store.run_sync(lambda tx: tx.runs.decide(asked.lease.task_id, True, "slack:U9"))
    for _ in range(4):
        pushing = claim(world)
        assert pushing.lease.run_id == asked.lease.run_id
        assert pushing.approved is not None and pushing.approved.tree_sha == CHANGE.tree_sha
        world.clock.advance(LATE)
        assert await world.reap() == 1
    assert world.rows("SELECT attempt, state FROM run ORDER BY id") == [(1, "lost"), (2, "queued")]


def test_a_retry_does_not_meet_a_run_that_was_left_over(world: World) -> None:
    put(world)
    world.store.run_sync(lambda tx: tx.session.execute(sa.text(STRANDED)))
    task = world.store.run_sync(lambda tx: world.app.tasks.retry(tx, 1, ANN, None))
    assert isinstance(task, CodeTask) and task.stage is Stage.QUEUED
    assert world.rows("SELECT attempt, state FROM run ORDER BY id") == [(1, "cancelled"), (2, "queued")]


def races() -> dict[str, Callable[[World, Claimed], Callable[[Tx], Any]]]:
    return {
        "review": lambda w, c: lambda tx: w.app.attempts.review(tx, c.lease, Cost(), pr_number=1),
        "testing": lambda w, c: lambda tx: w.app.attempts.testing(tx, c.lease),
        "failure": lambda w, c: (
            lambda tx: w.app.attempts.fail(tx, c.lease, Failure(FailureReason.AGENT_FAILED, "x"), Cost())
        ),
        "give back": lambda w, c: lambda tx: w.app.attempts.give_back(tx, c.lease),
        "reap": lambda w, c: lambda tx: w.app.attempts.reap_run(tx, c.lease),
    }


@pytest.mark.parametrize("other", races())
def test_cancel_races_with_every_move(world: World, other: str) -> None:
    """Whatever wins, a cancel that was accepted holds: no run goes on, and run and code task agree."""
    task = put(world)
    claimed = claim(world)
    world.clock.advance(LATE if other == "reap" else 0)
    move = races()[other](world, claimed)
    cancel = world.app.tasks.cancel

    def act(number: int) -> Any:
        return world.store.run_sync((lambda tx: cancel(tx, task.id or 0, ANN)) if number else move)

    answer = together(2, act)[1]
    assert not isinstance(answer, Refused), answer
    assert stage(world)[:2] == ("failed", "cancelled")
    assert world.rows("SELECT id FROM run WHERE state IN ('queued', 'active', 'waiting')") == []
    assert world.claim() is None
    assert fail(world, claimed, FailureReason.AGENT_FAILED) is None


async def test_two_bots_end_like_one(world: World, database_url: str, clock: FakeClock, tmp_path: Path) -> None:
    """I11: a second bot on the same database changes nothing but the speed."""
    second = World(Database(database_url, clock), clock, tmp_path)
    second.chat = world.chat
    second.pulls = world.pulls
    second.start(0)
    try:
        wishes = ("Add a page about us", "Export invoices as CSV", "Greet people by name", "Sort the shelves by colour")
        events = [world.command(wish, key=f"A1:c:{n}") for n, wish in enumerate(wishes)]
        for event in events:
            assert all(await asyncio.gather(world.say(event), second.say(event)))
        for _ in range(3):
            await asyncio.gather(world.settle(), second.settle())
            while any(await asyncio.gather(asyncio.to_thread(world.work), asyncio.to_thread(second.work))):
                pass
            clock.advance(2)
        await asyncio.gather(world.settle(), second.settle())
    finally:
        await second.store.close()
    end = world.outcome()
    assert (end["unsent"], end["unhandled"], end["open runs"]) == ([], [], [])
    assert [row[1:] for row in end["tasks"]] == [("review", None)] * 4
    assert (end["threads"], end["pulls"], len(end["said"])) == (4, 4, 8)
    assert world.store.run_sync(lambda tx: tx.session.execute(sa.text("SELECT max(fence) FROM run")).scalar()) == 1

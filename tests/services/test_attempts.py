"""Attempts by settings: how long the waits are, what a cancelled run leaves, and how long an approval survives."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.runs import RETRY_JITTER, RETRY_WAITS, RunLease
from bot.core.tasks import FailureReason, Stage
from bot.services.attempts import Cost, Failure
from bot.services.refusals import Refused
from bot.settings import SettingsError
from platforms.registry import load_settings
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.test_attempts import CHANGE, LATE, claim, put
from tests.storage.world import ANN, World


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(store, clock, tmp_path)


def task(world: World) -> Any:
    return world.store.run_sync(lambda tx: tx.tasks.get(1))


def runs(world: World) -> list[Any]:
    return world.store.run_sync(lambda tx: list(tx.runs.of_task(1)))


def test_the_waits_are_a_setting() -> None:
    assert load_settings().retry_waits == RETRY_WAITS
    assert load_settings(retry_waits_seconds="0.5 2").retry_waits == (timedelta(seconds=0.5), timedelta(seconds=2))
    for wrong in ("", "-1", "soon"):
        with pytest.raises(SettingsError, match="RETRY_WAITS_SECONDS"):
            load_settings(retry_waits_seconds=wrong)


def test_waits_differ_by_a_tenth_at_most(world: World) -> None:
    drawn = {world.app.attempts.__class__(world.app.settings, world.app.attempts.announcer).jitter() for _ in range(50)}
    assert len(drawn) > 40 and all(abs(jitter) <= RETRY_JITTER for jitter in drawn)


def approved(world: World) -> Any:
    """A claim of a change that was allowed."""
    put(world)
    parked = claim(world)
    world.store.run_sync(lambda tx: world.app.attempts.park(tx, parked.lease, CHANGE, Cost()))
    world.store.run_sync(lambda tx: tx.runs.decide(1, approved=True, by="slack:U2"))
    going = claim(world)
    assert going.approved is not None
    return going


async def test_an_approved_change_survives_the_loss_of_its_worker(world: World) -> None:
    approved(world)
    for _ in range(3):
        world.clock.advance(LATE)
        assert await world.reap() == 1
        assert (task(world).stage, task(world).attempt) == (Stage.RUNNING, 1)
        again = claim(world)
        assert again.approved is not None and again.approved.tree_sha == CHANGE.tree_sha
        assert len(runs(world)) == 1


async def test_an_approved_change_that_kills_every_worker_ends(world: World) -> None:
    approved(world)
    for _ in range(10):
        world.clock.advance(LATE + timedelta(minutes=10))
        await world.reap()
        if task(world).stage is Stage.FAILED:
            break
        world.claim()
    assert task(world).failure_reason is FailureReason.WORKER_LOST
    assert len(runs(world)) <= task(world).max_attempts


def test_a_stopping_worker_gives_an_approved_change_back(world: World) -> None:
    going = approved(world)
    world.store.run_sync(lambda tx: world.app.attempts.give_back(tx, going.lease))
    again = claim(world)
    assert again.approved is not None and (task(world).stage, task(world).attempt) == (Stage.RUNNING, 1)


def test_a_cancelled_run_names_what_it_left_and_what_it_cost(world: World) -> None:
    put(world)
    claimed = claim(world)
    cancelled = world.store.run_sync(lambda tx: world.app.tasks.cancel(tx, 1, ANN))
    assert not isinstance(cancelled, Refused), cancelled
    left = {"branch": "code-worker/CT-1", "pushed_sha": "c" * 40, "pr_number": 7, "pr_url": "https://forge.example/7"}
    attempts = world.app.attempts
    found = world.store.run_sync(lambda tx: attempts.leave(tx, claimed.lease, Cost(0.25, 100), **left))
    assert found is not None and (found.stage, found.failure_reason) == (Stage.FAILED, FailureReason.CANCELLED)
    assert (task(world).pr_number, task(world).pushed_sha) == (7, "c" * 40)
    assert (task(world).cost_usd, task(world).tokens) == (0.25, 100)
    assert runs(world)[0].state is RunLease.CANCELLED


async def test_a_run_that_was_lost_leaves_nothing(world: World) -> None:
    put(world)
    claimed = claim(world)
    world.clock.advance(LATE)
    await world.reap()
    attempts = world.app.attempts
    assert world.store.run_sync(lambda tx: attempts.leave(tx, claimed.lease, Cost(0.25, 100), pr_number=7)) is None
    assert task(world).pr_number is None


def test_what_a_run_cost_before_its_worker_stopped_is_kept(world: World) -> None:
    put(world)
    attempts, first = world.app.attempts, claim(world)
    world.store.run_sync(lambda tx: attempts.give_back(tx, first.lease, Cost(0.25, 100)))
    assert (task(world).stage, task(world).cost_usd, task(world).tokens) == (Stage.QUEUED, 0.25, 100)
    again = claim(world)
    earlier = Cost(again.run.cost_usd, again.run.tokens)
    assert (earlier, again.run.attempt) == (Cost(0.25, 100), 1)
    failure = Failure(FailureReason.NO_CHANGES, "nothing")
    world.store.run_sync(lambda tx: attempts.fail(tx, again.lease, failure, earlier + Cost(0.5, None)))
    assert (task(world).cost_usd, task(world).tokens) == (0.75, 100)
    assert Cost() + Cost() == Cost(None, None)


def test_cost_is_summed_over_attempts(world: World) -> None:
    put(world)
    failure = Failure(FailureReason.AGENT_FAILED, "it broke")
    for _ in range(3):
        claimed = claim(world)
        world.store.run_sync(lambda tx, c=claimed: world.app.attempts.fail(tx, c.lease, failure, Cost(0.25, 100)))
        world.clock.advance(timedelta(minutes=10))
    assert (task(world).stage, task(world).cost_usd, task(world).tokens) == (Stage.FAILED, 0.75, 300)

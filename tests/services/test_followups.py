"""Follow-ups through the services, on both stores: set once, fired once, moved only as the table allows."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.followups import FollowUp, FollowUpReason, FollowUpState
from bot.core.inbound import ThreadRef
from bot.services.attempts import Cost
from bot.services.followup_runs import Answer
from bot.services.followups import FollowUpSet, Wish
from bot.services.refusals import Refused
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import ANN, CHANNEL, World

THREAD = CHANNEL.model_copy(update={"root": "1700000000.000100"})
PENDING, RUNNING, SUCCESS = FollowUpState.PENDING, FollowUpState.RUNNING, FollowUpState.SUCCESS
FAILED, CANCELLED = FollowUpState.FAILED, FollowUpState.CANCELLED
HOUR = timedelta(hours=1)


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(store, clock, tmp_path)


def put(world: World, text: str = "check the deploy", place: ThreadRef | None = THREAD, **values: Any) -> FollowUp:
    wish = Wish(text=text, at=world.clock.now() + HOUR, person=ANN, place=place, zone="Europe/Berlin", **values)
    world.store.run_sync(lambda tx: tx.people.see(ANN))
    outcome = world.store.run_sync(lambda tx: world.app.followups.set(tx, wish))
    assert isinstance(outcome, FollowUpSet), outcome
    return outcome.follow_up


def get(world: World, number: int = 1) -> FollowUp:
    found = world.store.run_sync(lambda tx: tx.followups.get(number))
    assert found is not None
    return found


def fire(world: World) -> int:
    return world.store.run_sync(world.app.firing.fire_due)


def deliveries(world: World) -> list[str]:
    return world.store.run_sync(lambda tx: list(tx.column("SELECT dedup_key FROM outbox ORDER BY id")))


def test_a_reminder_is_posted_once_when_its_time_has_come(world: World) -> None:
    put(world, remind=True)
    assert fire(world) == 0 and get(world).state is PENDING
    world.clock.advance(HOUR)
    assert fire(world) == 1
    assert (get(world).state, get(world).attempt) == (SUCCESS, 1)
    assert deliveries(world) == ["FU-1:1:due"]
    assert fire(world) == 0


def test_a_prompt_becomes_one_run_that_answers_in_its_thread(world: World) -> None:
    put(world)
    world.clock.advance(HOUR)
    fire(world)
    assert get(world).state is RUNNING
    claimed = world.store.run_sync(lambda tx: world.app.followup_runs.claim(tx, "w1", "h"))
    assert claimed is not None and claimed.follow_up.ref == "FU-1"
    assert world.store.run_sync(lambda tx: world.app.followup_runs.claim(tx, "w2", "h")) is None
    answer = Answer("All green.", session_ref="ses_1", archive=b"packed")
    done = world.store.run_sync(lambda tx: world.app.followup_runs.answer(tx, claimed.lease, answer, Cost(0.01, 7)))
    assert done is not None and done.state is SUCCESS
    assert deliveries(world) == ["FU-1:1:result"]
    session = world.store.run_sync(lambda tx: tx.sessions.get(done.thread_id or 0, claimed.run.agent))
    assert session is not None and (session.ref, session.archive) == ("ses_1", b"packed")


def test_too_late_is_missed_and_said(world: World) -> None:
    put(world)
    world.clock.advance(HOUR + timedelta(minutes=11))
    fire(world)
    assert (get(world).state, get(world).failure_reason) == (FAILED, FollowUpReason.MISSED)
    assert len(deliveries(world)) == 1


def test_the_same_event_sets_one(world: World) -> None:
    first = put(world, dedup_key="m:1")
    again = put(world, dedup_key="m:1")
    assert again.id == first.id


def test_a_stopped_one_is_never_answered(world: World) -> None:
    put(world)
    world.clock.advance(HOUR)
    fire(world)
    claimed = world.store.run_sync(lambda tx: world.app.followup_runs.claim(tx, "w1", "h"))
    assert claimed is not None
    refused = world.store.run_sync(lambda tx: world.app.followups.cancel(tx, 1, ANN))
    assert isinstance(refused, Refused) and refused.key == "refused.follow_up_running"
    stopped = world.store.run_sync(lambda tx: world.app.followups.stop(tx, 1, ANN))
    assert isinstance(stopped, FollowUp) and stopped.state is CANCELLED
    late = world.store.run_sync(lambda tx: world.app.followup_runs.answer(tx, claimed.lease, Answer("x"), Cost()))
    assert late is None and deliveries(world) == [] and get(world).state is CANCELLED


async def test_a_lost_worker_costs_one_try_the_second_one_ends_it(world: World) -> None:
    put(world)
    world.clock.advance(HOUR)
    for _ in range(2):
        fire(world)
        assert world.store.run_sync(lambda tx: world.app.followup_runs.claim(tx, "w1", "h")) is not None
        world.clock.advance(timedelta(seconds=61))
        assert await world.app.followup_runs.reap_all(world.store) == 1
    assert (get(world).state, get(world).failure_reason) == (FAILED, FollowUpReason.WORKER_LOST)


def test_a_run_that_opens_its_thread_holds_its_conversation(world: World) -> None:
    put(world, place=CHANNEL)
    world.clock.advance(HOUR)
    fire(world)
    claimed = world.store.run_sync(lambda tx: world.app.followup_runs.claim(tx, "w1", "h"))
    assert claimed is not None and claimed.run.thread_id is None
    first = get(world)
    thread_id = world.store.run_sync(lambda tx: world.app.firing.news.open_thread(tx, first))
    world.store.run_sync(lambda tx: tx.threads.rooted(thread_id, "20.1"))
    put(world, "and then?", CHANNEL.model_copy(update={"root": "20.1"}), run_now=True)
    assert fire(world) == 0 and get(world, 2).state is PENDING, "the agent works in that thread"
    answer = Answer("All green.", session_ref="ses_1")
    world.store.run_sync(lambda tx: world.app.followup_runs.answer(tx, claimed.lease, answer, Cost()))
    assert fire(world) == 1 and get(world, 2).state is RUNNING


async def test_what_was_missed_while_a_lost_run_held_the_thread_is_missed(world: World) -> None:
    put(world, "first")
    put(world, "second")
    world.clock.advance(HOUR)
    fire(world)
    assert world.store.run_sync(lambda tx: world.app.followup_runs.claim(tx, "w1", "h")) is not None
    world.clock.advance(timedelta(hours=30))
    await world.app.followup_runs.reap_all(world.store)
    fire(world)
    assert [get(world, number).failure_reason for number in (1, 2)] == [FollowUpReason.MISSED] * 2

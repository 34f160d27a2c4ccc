"""The firing loop: how long it waits, that it never looks again and again for nothing, and what it fires together."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.cards import Doc
from bot.core.followups import FollowUp, FollowUpKind, FollowUpState
from bot.core.runs import RunLease
from bot.services import followup_news
from bot.services.firing import BATCH, EARLY_SECONDS, POSTS
from bot.services.fresh_roles import FreshRoles
from bot.services.loops import FAULT_SECONDS
from storage.engine import Database
from storage.transaction import Tx
from tests.clock import FakeClock
from tests.storage.conformance.bench import LEASE
from tests.storage.conformance.followups import put
from tests.storage.world import CHANNEL, World

SECOND = timedelta(seconds=1)


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    world = World(store, clock, tmp_path)
    nobody = replace(world.app.firing, roles=FreshRoles(world.mind, {}))  # type: ignore[arg-type]
    world.app = replace(world.app, firing=nobody)
    return world


def set_one(world: World, **values: Any) -> int:
    """A pending follow-up; without `after`, due now."""
    after: timedelta = values.pop("after", timedelta(0))
    return world.store.run_sync(lambda tx: put(tx, due_at=tx.now + after, **values)).id or 0


def look(world: World) -> tuple[int, float | None]:
    """What a wake-up does: how many it handled, and the seconds until the next one, None for at once."""
    fired, _, idle = world.store.run_sync(world.app.firing._look)
    return fired, idle


def poll(world: World) -> float:
    return world.app.settings.poll_interval_ms / 1000


def states(world: World) -> list[str]:
    return [state for (state,) in world.rows("SELECT state FROM follow_up ORDER BY id")]


def test_it_waits_for_the_next_due_time_and_never_longer_than_the_poll(world: World) -> None:
    assert look(world) == (0, poll(world))
    set_one(world, after=60 * SECOND)
    assert look(world) == (0, poll(world))
    world.clock.advance(57.5)
    assert look(world) == (0, 2.5 - EARLY_SECONDS), "a long wait may end late, so it is followed by a short one"
    world.clock.advance(2.5 - EARLY_SECONDS)
    assert look(world) == (0, EARLY_SECONDS)
    world.clock.advance(EARLY_SECONDS)
    assert look(world) == (1, None)
    assert look(world) == (0, poll(world))


def test_a_process_whose_clock_is_wrong_waits_by_the_clock_that_decides(world: World) -> None:
    set_one(world, after=5 * SECOND)
    wrong = Database(str(world.store.url), FakeClock(world.clock.now() + timedelta(hours=1)))
    try:
        assert world.store.run_sync(replace(world.app.firing, store=wrong)._look) == (0, {}, 5 - EARLY_SECONDS)
    finally:
        wrong.close_sync()


def test_one_that_waits_for_its_thread_is_not_looked_for_again_and_again(world: World) -> None:
    first, second = set_one(world), set_one(world)
    assert look(world) == (1, None), "the second one waits for the first"
    assert look(world) == (0, poll(world))
    assert states(world) == ["running", "pending"]
    claimed = world.store.run_sync(lambda tx: tx.runs.claim_follow_up("w", "h", 4, LEASE))
    assert claimed is not None and claimed.follow_up_id == first
    assert look(world) == (0, poll(world))
    world.store.run_sync(lambda tx: tx.runs.end(claimed.id or 0, claimed.fence, RunLease.DONE))
    assert look(world) == (1, None)
    assert world.rows(f"SELECT state FROM follow_up WHERE id = {second}") == [("running",)]


def test_the_second_prompt_of_a_thread_may_skip_instead_of_waiting(world: World) -> None:
    set_one(world)
    set_one(world, if_busy="skip")
    assert look(world)[0] == 2
    assert world.rows("SELECT state, failure_reason FROM follow_up ORDER BY id") == [
        ("running", None),
        ("failed", "busy"),
    ]


def test_reminders_of_a_thread_are_posted_in_the_order_of_their_times(world: World) -> None:
    for seconds in (3, 1, 2):
        set_one(world, after=seconds * SECOND, kind=FollowUpKind.MESSAGE, title=f"in {seconds} s")
    world.clock.advance(5)
    assert look(world)[0] == 3
    keys = world.rows("SELECT dedup_key FROM outbox ORDER BY seq")
    assert keys == [("FU-2:1:due",), ("FU-3:1:due",), ("FU-1:1:due",)]


@pytest.mark.parametrize("if_missed", ["skip", "run"])
def test_late_ones_are_fired_in_smaller_steps(world: World, if_missed: str) -> None:
    """Each of them says something or is written alone."""

    def fill(tx: Tx) -> None:
        for number in range(POSTS + 1):
            put(tx, root=f"{number}.0", due_at=tx.now, if_missed=if_missed)

    world.store.run_sync(fill)
    world.clock.advance(3600)
    assert [look(world) for _ in range(3)] == [(POSTS, None), (1, None), (0, poll(world))]


async def test_more_than_a_batch_is_fired_without_a_pause(world: World) -> None:
    def fill(tx: Tx) -> None:
        for number in range(BATCH + 1):
            put(tx, root=f"{number}.0")

    world.store.run_sync(fill)
    assert [await world.app.firing._step() for _ in range(3)] == [None, None, poll(world)]
    assert set(states(world)) == {"running"}


async def test_the_alarm_clock_wakes_the_loop_after_a_clock_jump(world: World) -> None:
    """Whatever the loop waits for, the tick makes it look: within ten seconds (P25)."""
    set_one(world, after=timedelta(hours=1))
    stop = asyncio.Event()
    running = asyncio.create_task(world.app.firing.run(stop))
    world.clock.advance(timedelta(hours=1))
    async with asyncio.timeout(20):
        while states(world) == ["pending"]:
            seen = world.store.version("task")
            await world.app.scheduler.tick()
            await world.store.changed("task", seen, 0.2)
    stop.set()
    await running
    assert states(world) == [FollowUpState.RUNNING]


def test_an_unanchored_reminder_opens_a_thread_of_its_own(world: World) -> None:
    for _ in range(2):
        set_one(world, root=None, kind=FollowUpKind.MESSAGE, channel_id=CHANNEL.channel_id)
    assert look(world)[0] == 2
    assert world.rows("SELECT count(*), count(DISTINCT thread_id) FROM outbox") == [(2, 2)]
    assert world.rows("SELECT count(*) FROM follow_up WHERE thread_id IS NULL") == [(0,)]


async def test_one_that_cannot_be_fired_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours, put in on purpose: the text of one reminder cannot be made."""
    whole = followup_news.reminder_doc

    def faulty(follow_up: FollowUp, *rest: Any) -> Doc:
        if follow_up.title == "unfit":
            raise ZeroDivisionError
        return whole(follow_up, *rest)

    monkeypatch.setattr(followup_news, "reminder_doc", faulty)
    for title in ("before", "unfit", "after"):
        set_one(world, root=f"{title}.0", kind=FollowUpKind.MESSAGE, title=title)
    set_one(world)
    assert await world.app.firing._step() == FAULT_SECONDS, "a fault never makes it spin"
    assert states(world) == ["success", "failed", "success", "running"]
    (error,) = world.rows("SELECT error FROM follow_up WHERE title = 'unfit'")[0]
    assert re.fullmatch(r"It met an unexpected fault \(ref \w{4}\)\.", error)
    said = world.rows("SELECT dedup_key FROM outbox ORDER BY id")
    assert len(said) == 3, "the person is told of the failure too"
    assert await world.app.firing._step() == poll(world)

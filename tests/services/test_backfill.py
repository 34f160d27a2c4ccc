"""What was posted while the bot was down, or could not be read at first, is read in the end, and nothing is skipped."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.inbound import Command, Gap, Message, ThreadRef
from bot.ports import Gone, NotAllowed, Posted, Retry, Trouble
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import ANN, CHANNEL, Chat, World
from tests.stores import only_sqlite

pytestmark = only_sqlite

QUIET = CHANNEL.model_copy(update={"channel_id": "C7"})
"""A channel that the bot has only joined: nothing of it is stored."""


class Past(Chat):
    """A platform that keeps what people wrote, whoever listens, and fails as often as it is told to."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.written: list[Command] = []
        self.troubles: dict[str, list[Trouble]] = {}
        self.asked: list[tuple[str, str | None, datetime | None]] = []

    async def channels(self) -> Sequence[ThreadRef] | Trouble:
        trouble = self.troubles.get("channels")
        return trouble.pop(0) if trouble else [CHANNEL, QUIET]

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> Sequence[Posted] | Trouble:
        self.asked.append((scope.channel_id, scope.root, after))
        if trouble := self.troubles.get(scope.channel_id):
            return trouble.pop(0)
        return [_past(said) for said in self.written if _is_in(said, scope) and (not after or said.sent_at > after)]


def _is_in(said: Command, scope: ThreadRef) -> bool:
    where = said.thread
    is_root = where.root == said.message_id
    return where.channel_id == scope.channel_id and (is_root if scope.root is None else where.root == scope.root)


def _past(said: Command) -> Posted:
    shared = said.model_dump(include={"platform", "app_id", "workspace_id", "key", "sent_at", "received_at", "text"})
    message = Message(**shared, thread=said.thread, person=said.person, message_id=said.message_id or "")
    return Posted(message=message, own=False, event=said)


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    made = World(store, clock, tmp_path)
    made.chat = Past(clock)
    made.start(0)
    return made


def past(world: World) -> Past:
    assert isinstance(world.chat, Past)
    return world.chat


def write(world: World, number: str, channel: ThreadRef = CHANNEL, root: str | None = None) -> None:
    """Someone writes now, and nothing is delivered."""
    thread = channel.model_copy(update={"root": root or number})
    key = f"A1:m:{channel.channel_id}:{number}"
    said = world.command("help", key, thread=thread, door="bang", message_id=number, in_thread=root is not None)
    past(world).written.append(said)


def gap(world: World, key: str = "A1:o:gap:1", since: datetime | None = None) -> Gap:
    """As the adapter reports it: right after its start, `since` is its start."""
    now = world.clock.now()
    where = {"platform": "slack", "app_id": "A1", "workspace_id": "T1", "key": key}
    return Gap(**where, sent_at=now, received_at=now, since=since or now)


def kept(world: World) -> set[str]:
    return {key for (key,) in world.rows("SELECT natural_key FROM inbound WHERE kind = 'command'")}


def state(world: World, key: str = "A1:o:gap:1") -> tuple[Any, ...]:
    (found,) = world.rows(f"SELECT state, attempts FROM inbound WHERE natural_key = '{key}'")
    return found


async def filed(world: World) -> None:
    await world.say(world.command("fix the crash that the log shows"))
    await world.settle()


async def restarted(world: World, after: timedelta, report: Gap | None = None) -> None:
    world.clock.advance(after)
    world.start(0)
    await world.app.inbox.accept(report or gap(world))
    await world.app.inbox.drain()


async def test_what_was_written_while_the_bot_was_down_is_read(world: World) -> None:
    await filed(world)
    world.clock.advance(timedelta(minutes=30))
    write(world, "300.5", root="1.0")
    write(world, "301.5")
    write(world, "302.5", QUIET)
    await restarted(world, timedelta(minutes=30))
    assert kept(world) == {"A1:c:1", "A1:m:C1:300.5", "A1:m:C1:301.5", "A1:m:C7:302.5"}
    assert state(world) == ("done", 0)


async def test_a_start_looks_back_a_day_at_most_and_never_before_the_first_event(world: World) -> None:
    await world.app.inbox.accept(gap(world))
    await world.app.inbox.drain()
    began = world.clock.now()
    assert {after for _, _, after in past(world).asked} == {began - timedelta(seconds=60)}
    await filed(world)
    past(world).asked.clear()
    await restarted(world, timedelta(days=3), gap(world, "A1:o:gap:2", began + timedelta(days=3)))
    assert {after for _, _, after in past(world).asked} == {began + timedelta(days=2, seconds=-60)}


async def test_an_event_that_comes_in_before_the_gap_is_handled_hides_nothing(world: World) -> None:
    await filed(world)
    world.clock.advance(timedelta(minutes=30))
    write(world, "301.5")
    world.clock.advance(timedelta(minutes=30))
    world.start(0)
    report = gap(world)
    world.clock.advance(1)
    await world.app.inbox.accept(world.command("help", "A1:c:2"))
    await world.app.inbox.accept(report)
    await world.app.inbox.drain()
    assert "A1:m:C1:301.5" in kept(world)


@pytest.mark.parametrize("what", ["channels", "C7"])
async def test_a_gap_stays_open_until_all_of_it_was_read(world: World, what: str) -> None:
    await filed(world)
    write(world, "302.5", QUIET)
    past(world).troubles[what] = [Retry(timedelta(seconds=30), why="ratelimited")]
    await restarted(world, timedelta(minutes=30))
    assert state(world) == ("new", 1)
    assert kept(world) == {"A1:c:1"}
    past(world).asked.clear()
    world.clock.advance(29)
    await world.app.inbox.drain()
    assert past(world).asked == [], "Retry-After is honoured"
    world.clock.advance(1)
    await world.app.inbox.drain()
    assert "A1:m:C7:302.5" in kept(world)
    assert state(world) == ("done", 1)
    assert {channel for channel, _, _ in past(world).asked} == {"C7"}, "what was read is not read again"


async def test_an_open_gap_outlives_the_process(world: World) -> None:
    await filed(world)
    world.clock.advance(timedelta(minutes=30))
    write(world, "302.5", QUIET)
    past(world).troubles["C7"] = [Retry(timedelta(seconds=1))]
    await restarted(world, timedelta(minutes=30))
    await restarted(world, timedelta(minutes=1), gap(world, "A1:o:gap:2"))
    assert "A1:m:C7:302.5" in kept(world)


@pytest.mark.parametrize("trouble", [Gone("channel", "is_archived"), NotAllowed("Grant it.", "230027")], ids=str)
async def test_a_channel_that_is_gone_or_may_not_be_read_keeps_no_gap_open(world: World, trouble: Trouble) -> None:
    await filed(world)
    past(world).troubles["C7"] = [trouble]
    await restarted(world, timedelta(minutes=30))
    assert state(world) == ("done", 0)


async def test_a_gap_that_can_never_be_read_is_given_up(world: World) -> None:
    await filed(world)
    past(world).troubles["C7"] = [Retry(timedelta(seconds=1))] * 1000
    await restarted(world, timedelta(minutes=30))
    while state(world)[0] == "new":
        assert state(world)[1] < 20
        world.clock.advance(timedelta(minutes=5))
        await world.app.inbox.drain()
    assert len(past(world).troubles["C7"]) == 1000 - 20


async def test_reading_only_the_newest_does_not_count_as_having_read_the_day(world: World) -> None:
    await filed(world)
    world.clock.advance(timedelta(minutes=30))
    write(world, "301.5")
    world.clock.advance(timedelta(minutes=10))
    await world.app.inbox.accept(world.command("help", "A1:c:2", person=ANN))
    await restarted(world, timedelta(minutes=1))
    assert "A1:m:C1:301.5" not in kept(world), "the gap reaches back to the last event only"
    await world.app.scheduler._backfill()
    assert "A1:m:C1:301.5" in kept(world)
    past(world).asked.clear()
    until = world.clock.now()
    world.clock.advance(timedelta(minutes=5))
    await world.app.scheduler._backfill()
    assert {after for _, _, after in past(world).asked} == {until - timedelta(seconds=60)}

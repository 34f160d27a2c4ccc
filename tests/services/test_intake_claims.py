"""One message, however it comes in and whoever hears it: one suggestion, and at most one code task."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.buttons import suggestion_value
from bot.core.inbound import ButtonPress, Command, Message, Reaction
from bot.core.suggestions import FILED, OPEN, SKIPPED, TOGETHER, WAITING, Mode
from storage.engine import Database
from tests.clock import FakeClock
from tests.services.room import ANA, BURST, CHANNEL, WISH, Room

CLAIMS = 20


@pytest.fixture
def two(store: Database, database_url: str, clock: FakeClock, tmp_path: Path) -> Iterator[tuple[Room, Room]]:
    """Two processes on one database and one platform."""
    other = Database(database_url, clock)
    rooms = Room(store, clock, tmp_path), Room(other, clock, tmp_path)
    rooms[1].wall = rooms[0].wall
    rooms[1].restart()
    yield rooms
    other.close_sync()


def pressed(room: Room, said: Message, value: str, key: str) -> ButtonPress:
    told = said.model_dump(include={"platform", "app_id", "workspace_id", "sent_at", "received_at", "thread", "person"})
    return ButtonPress(**told, key=key, value=value, message_id="line")


async def handled(*rooms: Room) -> None:
    await asyncio.gather(*(room.app.inbox.drain() for room in rooms))
    await asyncio.gather(*(room.app.intake.judging.drain() for room in rooms))
    await asyncio.gather(*(room.app.inbox.drain() for room in rooms))


async def test_two_processes_make_one_of_it(two: tuple[Room, Room]) -> None:
    room = two[0]
    await room.turn(Mode.SUGGEST)
    said = room.message(WISH)
    await asyncio.gather(*(one.app.inbox.accept(said) for _ in range(CLAIMS) for one in two))
    await handled(*two)
    room.clock.advance(BURST)
    await handled(*two)
    item = await room.item()
    assert item.state is OPEN
    assert await room.rows("SELECT count(*) FROM outbox WHERE card_key = 'RQ-1' AND kind = 'post'") == [(1,)]
    value = suggestion_value("file", 1, item.text_hash[:12])
    presses = [pressed(room, said, value, f"A1:b:{number}") for number in range(CLAIMS)]
    await asyncio.gather(*(two[n % 2].app.inbox.accept(press) for n, press in enumerate(presses)))
    await handled(*two)
    assert (await room.item()).state is FILED
    assert await room.rows("SELECT count(*) FROM code_task") == [(1,)]


async def test_message_edit_reaction_and_shortcut_at_once(two: tuple[Room, Room]) -> None:
    room = two[0]
    await room.turn(Mode.AUTO)
    said = room.message(f"Feature request: {WISH}")
    told = said.model_dump(include={"platform", "app_id", "workspace_id", "sent_at", "received_at", "thread", "person"})
    reaction = Reaction(**told, key="A1:r:1", message_id=said.message_id, emoji="bulb", added=True)
    shortcut = Command(
        **told, key="A1:s:1", door="shortcut", text=said.text, message_id=said.message_id, author=said.person
    )
    edit = room.edit(said, f"Feature request: {WISH} As a file.")
    events = [said, edit, reaction, shortcut, said, reaction]
    await asyncio.gather(*(one.app.inbox.accept(event) for event in events for one in two))
    await handled(*two)
    for _ in range(4):
        room.clock.advance(BURST)
        await handled(*two)
    assert len(await room.items()) == 1
    assert await room.rows("SELECT count(*) FROM code_task") == [(1,)]
    assert await room.rows("SELECT count(*) FROM outbox WHERE kind = 'post' AND card_key = 'CT-1'") == [(1,)]
    assert await room.rows("SELECT count(*) FROM inbound WHERE state = 'new'") == [(0,)]


async def test_many_people_at_once_lose_nothing(two: tuple[Room, Room]) -> None:
    room = two[0]
    await room.turn(Mode.OBSERVE)
    people = [ANA.model_copy(update={"id": f"U{number}"}) for number in range(8)]
    said = [room.message(f"{WISH} Number {number}.", people[number % 8]) for number in range(80)]
    await asyncio.gather(*(two[number % 2].app.inbox.accept(one) for number, one in enumerate(said)))
    await handled(*two)
    for _ in range(2):
        room.clock.advance(BURST)
        await handled(*two)
    items = await room.items()
    assert sum(item.members for item in items) == 80
    assert {item.state for item in items} == {SKIPPED}


async def test_what_one_process_heard_another_need_not_ask_for(two: tuple[Room, Room]) -> None:
    ears, hands = two
    await ears.turn(Mode.SUGGEST)
    said = ears.message(WISH)
    await ears.app.inbox.accept(said)
    elsewhere = CHANNEL.model_copy(update={"channel_id": "C2"})
    await ears.turn(Mode.SUGGEST, elsewhere)
    await ears.app.inbox.accept(ears.message("ok", thread=elsewhere))
    await hands.app.inbox.drain()
    assert (await ears.item()).owner == ears.app.intake.originals.owner, "and nobody took two letters for a request"
    await hands.app.inbox.accept(hands.edit(said, f"{WISH} As a file."))
    await ears.app.inbox.drain()
    assert (await ears.item()).owner == hands.app.intake.originals.owner
    ears.clock.advance(TOGETHER + timedelta(seconds=1))
    await ears.app.intake.judging.drain()
    assert (await ears.item()).state is WAITING
    await hands.app.intake.judging.drain()
    item = await ears.item()
    assert (item.state, item.text, ears.wall.reads) == (OPEN, f"{WISH} As a file.", 0)


async def test_limits_hold_where_several_processes_judge_at_once(two: tuple[Room, Room]) -> None:
    places = [CHANNEL.model_copy(update={"channel_id": f"C{number}"}) for number in range(8)]
    for number, place in enumerate(places):
        room = two[number % 2]
        await room.turn(Mode.SUGGEST, place)
        await room.app.inbox.accept(two[0].message(WISH, thread=place))
    await handled(*two)
    two[0].clock.advance(BURST)
    await handled(*two)
    states = [item.state for item in await two[0].items()]
    assert sorted(states) == [OPEN] + [SKIPPED] * 7


async def test_a_channel_is_asked_five_times_a_day_whoever_judges(two: tuple[Room, Room]) -> None:
    await two[0].turn(Mode.SUGGEST)
    for number in range(12):
        said = two[0].message(WISH, ANA.model_copy(update={"id": f"U{number}"}))
        await two[number % 2].app.inbox.accept(said)
    await handled(*two)
    two[0].clock.advance(BURST)
    await handled(*two)
    states = [item.state for item in await two[0].items()]
    assert sorted(states) == [OPEN] * 5 + [SKIPPED] * 7

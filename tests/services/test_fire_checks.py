"""What is checked again when a follow-up fires: the roles of its person, and that the bot may still speak there."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.followups import FollowUp, FollowUpReason, FollowUpState
from bot.core.inbound import BotAdded, BotRemoved, Person, ThreadRef
from bot.ports import Gone, NotAllowed, Retry
from bot.services import absence
from bot.services.followups import FollowUpSet, Wish
from bot.store import Due
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import ANN, CHANNEL, Chat, World
from tests.stores import only_sqlite

HOUR = timedelta(hours=1)
OWNER = Person(platform="slack", workspace_id="T1", id="U7", name="Oz", roles=frozenset({"member", "owner"}))
DEMOTED = OWNER.model_copy(update={"roles": frozenset({"member"})})
THREAD = CHANNEL.model_copy(update={"root": "1.0"})
SERVER = ThreadRef(platform="slack", workspace_id="T1", channel_id="T1")
RUNNING, FAILED = FollowUpState.RUNNING, FollowUpState.FAILED


class Office(Chat):
    """A chat whose answers about people, and to posts, are set by the test."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.asked: Counter[str] = Counter()
        self.now: dict[str, Person | Retry] = {}
        self.silent = False
        self.refusal: Any = None

    async def resolve(self, person: Person) -> Any:
        self.asked[person.id] += 1
        if self.silent:
            await asyncio.Event().wait()
        return self.now.get(person.id, person)

    async def post(self, to: ThreadRef, content: Any, key: str) -> Any:
        return self.refusal or await super().post(to, content, key)


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    world = World(store, clock, tmp_path)
    world.chat = Office(clock)
    world.start(0)
    return world


def office(world: World) -> Office:
    assert isinstance(world.chat, Office)
    return world.chat


def fall_silent(world: World, silent: bool = True) -> None:
    """Whoever is asked for is not told of, and nobody waits long for that."""
    office(world).silent = silent
    if silent:
        world.app.firing.roles.budget = 0.05


def put(world: World, person: Person = OWNER, place: ThreadRef | None = THREAD, **values: Any) -> int:
    """A prompt that was due an hour after it was set, and is due now."""
    wish = Wish("look again", world.clock.now() + HOUR, person, place, zone="UTC", if_missed="run", **values)
    world.store.run_sync(lambda tx: tx.people.see(person))
    outcome = world.store.run_sync(lambda tx: world.app.followups.set(tx, wish))
    assert isinstance(outcome, FollowUpSet), outcome
    return outcome.follow_up.id or 0


async def fire(world: World) -> None:
    """As the loop does: again until there is nothing to do now."""
    for _ in range(5):
        if await world.app.firing._step() is not None:
            return
    raise AssertionError("it looks again and again")


def get(world: World, number: int = 1) -> FollowUp:
    found = world.store.run_sync(lambda tx: tx.followups.get(number))
    assert found is not None
    return found


async def event(world: World, kind: type[BotAdded | BotRemoved], place: ThreadRef = CHANNEL) -> None:
    """Past the ack window: on a busy machine those two seconds are over before anything is stored."""
    now, number = world.clock.now(), len(world.rows("SELECT id FROM inbound"))
    told: dict[str, Any] = {"platform": "slack", "app_id": "A1", "workspace_id": "T1", "key": f"A1:o:{number}"}
    made = kind(**told, thread=place, sent_at=now, received_at=now)
    world.store.run_sync(lambda tx: tx.inbox.add(made))
    await world.app.inbox.drain()
    assert world.rows("SELECT id FROM inbound WHERE state <> 'done'") == []


@only_sqlite
async def test_who_lost_the_role_meanwhile_is_refused_and_it_is_remembered(world: World) -> None:
    put(world)
    office(world).now[OWNER.id] = DEMOTED
    world.clock.advance(HOUR)
    await fire(world)
    assert (get(world).state, get(world).failure_reason) == (FAILED, FollowUpReason.REFUSED)
    known = world.store.run_sync(lambda tx: tx.people.find("slack", "T1", OWNER.id))
    assert known is not None and known.roles == DEMOTED.roles


@only_sqlite
async def test_each_person_is_asked_for_once_in_a_while(world: World) -> None:
    for n in range(3):
        put(world, place=CHANNEL.model_copy(update={"root": f"{n}.0"}))
    put(world, ANN, place=CHANNEL.model_copy(update={"root": "9.0"}))
    world.clock.advance(HOUR)
    await fire(world)
    put(world, place=CHANNEL.model_copy(update={"root": "10.0"}))
    world.clock.advance(HOUR)
    await fire(world)
    assert office(world).asked == {OWNER.id: 1, ANN.id: 1}
    assert {get(world, number).state for number in range(1, 6)} == {RUNNING}


@only_sqlite
@pytest.mark.parametrize("trouble", ["retry", "silence", "fault"])
async def test_without_an_answer_the_last_word_counts(world: World, trouble: str) -> None:
    put(world)
    fall_silent(world, trouble == "silence")
    office(world).now[OWNER.id] = Retry(HOUR) if trouble == "retry" else OWNER
    if trouble == "fault":
        broken: Any = {"slack": None}
        world.app.firing.roles.platforms = broken
    world.clock.advance(HOUR)
    await fire(world)
    assert get(world).state is RUNNING


@only_sqlite
async def test_a_platform_that_does_not_answer_is_left_alone_for_a_while(world: World) -> None:
    put(world)
    fall_silent(world)
    world.clock.advance(HOUR)
    await fire(world)
    put(world, ANN, place=CHANNEL.model_copy(update={"root": "9.0"}))
    world.clock.advance(HOUR)
    await fire(world)
    assert office(world).asked == {OWNER.id: 1}
    assert get(world, 2).state is RUNNING


@only_sqlite
async def test_nobody_of_another_kind_is_asked_for(world: World) -> None:
    console = Person(platform="console", workspace_id="local", id="root")
    put(world, console, place=None)
    world.clock.advance(HOUR)
    await fire(world)
    assert office(world).asked == {} and get(world).state is RUNNING


@pytest.mark.parametrize("where", [CHANNEL, SERVER], ids=["channel", "whole-workspace"])
async def test_a_channel_without_the_bot_makes_no_agent_work(world: World, where: ThreadRef) -> None:
    put(world)
    put(world, place=CHANNEL)
    other = put(world, place=CHANNEL.model_copy(update={"workspace_id": "T2"}))
    await event(world, BotRemoved, where)
    world.clock.advance(HOUR)
    await fire(world)
    for number in (1, 2):
        assert (get(world, number).state, get(world, number).failure_reason) == (FAILED, FollowUpReason.UNDELIVERABLE)
    assert get(world, other).state is RUNNING


@only_sqlite
async def test_being_added_again_ends_it(world: World) -> None:
    put(world)
    await event(world, BotRemoved, SERVER)
    await event(world, BotRemoved)
    await event(world, BotAdded)
    world.clock.advance(HOUR)
    await fire(world)
    assert get(world).state is RUNNING


@only_sqlite
async def test_a_reminder_goes_out_all_the_same_and_waits_there(world: World) -> None:
    put(world, remind=True)
    await event(world, BotRemoved)
    world.clock.advance(HOUR)
    await fire(world)
    assert get(world).state is FollowUpState.SUCCESS


@pytest.mark.parametrize(
    ("root", "refusal"),
    [(None, NotAllowed("Invite me.", "not_in_channel")), ("1.0", Gone("channel", "is_deleted"))],
    ids=["channel", "thread"],
)
async def test_what_was_refused_there_last_holds_the_next_back(world: World, root: str | None, refusal: Any) -> None:
    place = CHANNEL.model_copy(update={"root": root})
    put(world, place=place, remind=True)
    put(world, place=place)
    office(world).refusal = refusal
    await fire_reminder(world)
    assert away(world) == [True]
    office(world).refusal = None
    world.store.run_sync(lambda tx: tx.outbox.revive(CHANNEL))
    put(world, place=place, remind=True)
    await fire_reminder(world)
    assert away(world) == [False], "a word that gets through ends it"


async def fire_reminder(world: World) -> None:
    """Fires the reminders alone, and sends them."""
    world.clock.advance(HOUR)
    for number in [one.id for one in due(world) if one.kind == "message"]:
        world.store.run_sync(lambda tx, n=number: world.app.firing._fire_only(n, tx))
    await world.app.relay.drain()


def due(world: World) -> list[Due]:
    return world.store.run_sync(lambda tx: list(tx.followups.due(10)))


def away(world: World) -> list[bool]:
    return [one.away for one in due(world)]


@only_sqlite
async def test_a_locked_thread_says_nothing_about_its_channel(world: World) -> None:
    put(world, remind=True)
    put(world, place=CHANNEL.model_copy(update={"root": "2.0"}))
    office(world).refusal = NotAllowed("The thread is locked.", "thread_locked")
    await fire_reminder(world)
    assert away(world) == [False]


@only_sqlite
async def test_a_refusal_of_yesterday_does_not_count(world: World) -> None:
    put(world, remind=True)
    put(world)
    office(world).refusal = NotAllowed("Invite me.", "not_in_channel")
    await fire_reminder(world)
    world.clock.advance(timedelta(hours=25))
    assert away(world) == [False]


@only_sqlite
async def test_leaving_twice_and_coming_back_twice_is_once(world: World) -> None:
    for _ in range(2):
        world.store.run_sync(lambda tx: absence.leave(tx, CHANNEL))
    assert world.rows("SELECT count(*) FROM channel_setting") == [(1,)]
    for _ in range(2):
        world.store.run_sync(lambda tx: absence.come_back(tx, CHANNEL))
    assert world.rows("SELECT count(*) FROM channel_setting") == [(0,)]

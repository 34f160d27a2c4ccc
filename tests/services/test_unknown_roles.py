"""While a platform cannot tell who someone is, nobody is refused for it: its last word counts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.inbound import ButtonPress, Person, ThreadRef
from bot.ports import Posted, Retry, Trouble
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import ANN, CHANNEL, Chat, World
from tests.stores import only_sqlite

pytestmark = only_sqlite

BARE = Person(platform="slack", workspace_id="T1", id="U5")
"""Someone as an event names them: an id and nothing else."""
WAIT = Retry(timedelta(seconds=20), why="ratelimited")


class Forgetful(Chat):
    """A platform that knows Eve is an admin, when it can tell at all."""

    down = False
    unread = 0

    async def resolve(self, person: Person) -> Person | Retry:
        if self.down:
            return WAIT
        return person.model_copy(update={"name": "Eve", "roles": frozenset({"member", "admin"})})

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> Sequence[Posted] | Trouble:
        if self.unread:
            self.unread -= 1
            return WAIT
        return await super().history(scope, after, limit)


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    made = World(store, clock, tmp_path)
    made.chat = Forgetful(clock)
    made.start(0)
    return made


def down(world: World, is_down: bool) -> None:
    assert isinstance(world.chat, Forgetful)
    world.chat.down = is_down


async def ask(world: World, key: str, person: Person = BARE, **values: Any) -> None:
    await world.say(world.command(f"fix the crash that log {key} shows", key, person=person, **values))
    await world.settle()


def inbox(world: World, key: str) -> tuple[Any, ...]:
    (found,) = world.rows(f"SELECT state, attempts FROM inbound WHERE natural_key = '{key}'")
    return found


def tasks(world: World) -> int:
    return world.rows("SELECT count(*) FROM code_task")[0][0]


async def test_the_roles_told_last_count(world: World) -> None:
    await ask(world, "k1")
    down(world, True)
    await ask(world, "k2")
    assert tasks(world) == 2
    assert world.rows("SELECT name FROM person WHERE id = 'U5'") == [("Eve",)]
    now = world.clock.now()
    press = ButtonPress(
        platform="slack",
        app_id="A1",
        workspace_id="T1",
        key="p1",
        sent_at=now,
        received_at=now,
        thread=CHANNEL.model_copy(update={"root": "1.0"}),
        person=BARE,
        value="codetask:cancel:CT-1",
        message_id="1.0",
    )
    await world.app.inbox.accept(press)
    await world.settle()
    assert world.rows("SELECT stage, failure_reason FROM code_task WHERE id = 1") == [("failed", "cancelled")]


async def test_with_nothing_known_the_event_waits_for_the_platform(world: World) -> None:
    down(world, True)
    await ask(world, "k1")
    assert (inbox(world, "k1"), tasks(world), world.chat.whispers) == (("new", 1), 0, [])
    down(world, False)
    world.clock.advance(10)
    await world.settle()
    assert tasks(world) == 0, "Retry-After is honoured"
    world.clock.advance(10)
    await world.settle()
    assert (inbox(world, "k1"), tasks(world)) == (("done", 1), 1)


async def test_a_platform_that_never_tells_is_said_to_the_person(world: World) -> None:
    down(world, True)
    await ask(world, "k1")
    for _ in range(10):
        world.clock.advance(30)
        await world.settle()
    (said,) = world.chat.whispers
    assert "Only owners" not in said[1].text
    assert "ref" in said[1].text
    assert (inbox(world, "k1")[0], tasks(world)) == ("done", 0)


async def test_a_listed_admin_needs_no_word_of_the_platform(world: World) -> None:
    down(world, True)
    await ask(world, "k1", ANN.model_copy(update={"roles": frozenset()}))
    assert tasks(world) == 1


@pytest.mark.parametrize(("unread", "waits"), [(1, 1), (100, 2)])
async def test_a_thread_that_cannot_be_read_now_delays_the_filing_a_little(
    world: World, unread: int, waits: int
) -> None:
    assert isinstance(world.chat, Forgetful)
    world.chat.unread = unread
    thread = CHANNEL.model_copy(update={"root": "7.0"})
    await ask(world, "k1", thread=thread, door="mention", message_id="7.5", in_thread=True)
    assert tasks(world) == 0
    for _ in range(5):
        world.clock.advance(20)
        await world.settle()
    assert (inbox(world, "k1"), tasks(world)) == (("done", waits), 1)

"""What a follow-up says when its thread, or its whole channel, is gone by the time it answers."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from bot.core.cards import Doc
from bot.core.followups import FollowUpReason, FollowUpState
from bot.core.inbound import Person, ThreadRef
from bot.ports import Gone
from bot.services.outbox import Relay
from storage.engine import Database
from tests.clock import FakeClock
from tests.services.test_followups import fire, get, put
from tests.storage.world import Chat, World

BOSS = Person(platform="slack", workspace_id="T1", id="U9", name="Cy", roles=frozenset({"admin"}))


@dataclass
class Emptied(Chat):
    """A platform on which threads, or the channel, have been deleted."""

    clock: FakeClock
    gone: Literal["thread", "channel"] = "thread"

    def __post_init__(self) -> None:
        super().__init__(self.clock)

    async def post(self, to: ThreadRef, content: Any, key: str) -> Any:
        if self.gone == "channel" or to.root is not None:
            return Gone(self.gone, "deleted")
        return await super().post(to, content, key)


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    world = World(store, clock, tmp_path)
    world.store.run_sync(lambda tx: tx.people.see(BOSS))
    put(world, remind=True)
    world.clock.advance(timedelta(hours=1))
    fire(world)
    return world


async def relay(world: World, chat: Emptied) -> None:
    await Relay(world.store, {"slack": chat}, rehome=world.app.firing.news.rehome).drain()


async def test_without_its_thread_it_answers_in_the_channel_and_says_so(world: World) -> None:
    chat = Emptied(world.clock)
    await relay(world, chat)
    (said,) = chat.said
    assert isinstance(said.content, Doc) and said.thread.root == said.id
    assert "check the deploy" in said.content.text
    assert "(The thread of FU-1 was deleted" in said.content.text
    assert get(world).state is FollowUpState.SUCCESS


async def test_without_its_channel_it_has_failed_and_an_admin_is_told_once(world: World) -> None:
    chat = Emptied(world.clock, gone="channel")
    await relay(world, chat)
    assert (get(world).state, get(world).failure_reason) == (FollowUpState.FAILED, FollowUpReason.UNDELIVERABLE)
    said = sorted(doc.text for _, doc in chat.whispers)
    assert said[0] == "FU-1 could not be delivered: I am no longer in that channel. It will not be tried again."
    assert "check the deploy" in said[1]
    await relay(world, chat)
    assert len(chat.whispers) == 2

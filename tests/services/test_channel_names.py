"""A follow-up keeps what its channel was called when it was set (P22); nobody waits for that."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.core.followups import FollowUp
from bot.core.inbound import ButtonPress, FormSent, ThreadRef
from bot.services import channel_names
from bot.services.channel_names import NAME_MAX, channel_name, name_for
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import ANN, CHANNEL, Chat, World
from tests.stores import only_sqlite

pytestmark = only_sqlite


class Sign(Chat):
    """A chat whose channel has this name, or none that can be told."""

    name: str | None = "dev"
    asked = 0

    async def channel_name(self, thread: ThreadRef) -> str:
        self.asked += 1
        if self.name is None:
            await asyncio.Event().wait()
        if self.name == "fault":
            raise ZeroDivisionError
        return self.name or ""


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    world = World(store, clock, tmp_path)
    world.chat = Sign(clock)
    world.start(0)
    return world


def sign(world: World) -> Sign:
    assert isinstance(world.chat, Sign)
    return world.chat


async def later(world: World, text: str, key: str = "A1:c:1", **values: Any) -> FollowUp | None:
    await world.say(world.command(text, key, **values))
    await world.settle()
    return world.store.run_sync(lambda tx: tx.followups.get(1))


@pytest.mark.parametrize(
    ("text", "door"), [("in 2h check the deploy", "followup"), ("later in 2h check the deploy", "codetask")]
)
async def test_it_keeps_the_name_of_its_channel(world: World, text: str, door: str) -> None:
    found = await later(world, text, command=door)
    assert found is not None and found.channel_name == "dev"


@pytest.mark.parametrize("name", [None, "fault"], ids=["silent", "faulty"])
async def test_without_a_name_it_is_set_all_the_same(
    world: World, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_names, "PATIENCE_SECONDS", 0.01)
    sign(world).name = name
    found = await later(world, "in 2h check the deploy", command="followup")
    assert found is not None and found.channel_name == ""


async def test_where_nothing_is_set_nobody_is_asked(world: World) -> None:
    now = world.clock.now()
    told: dict[str, Any] = {"platform": "slack", "app_id": "A1", "workspace_id": "T1", "key": "k", "thread": CHANNEL}
    told |= {"person": ANN, "sent_at": now, "received_at": now}
    chats: dict[str, Any] = {"slack": world.chat}
    for event in (
        world.command("Fix the crash of the login page"),
        ButtonPress(**told, value="codetask:cancel:CT-1", message_id="1.0"),
        FormSent(**told, form="codetask:edit:CT-1", fields={}),
    ):
        assert await name_for(event, chats) == ""
    assert sign(world).asked == 0
    pressed = ButtonPress(**told, value="codetask:preset:IN-1-hour", message_id="1.0")
    assert await name_for(pressed, chats) == "dev"


async def test_a_name_is_kept_clean_and_short(world: World) -> None:
    sign(world).name = "\u202edev\x1b[31m" + "x" * 200
    named = await channel_name(CHANNEL, {"slack": world.chat})  # type: ignore[dict-item]
    assert named == ("dev" + "x" * 200)[:NAME_MAX]
    assert await channel_name(None, {}) == "" == await channel_name(CHANNEL, {})

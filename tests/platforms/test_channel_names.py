"""What a channel is called, asked of each platform as its own API tells it, and remembered."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from bot.core.inbound import ThreadRef
from bot.ports import Platform
from platforms.discord.simulator import DiscordSimulator
from platforms.slack.simulator import SlackSimulator
from tests.platforms.discord import rig as discord
from tests.platforms.lark import rig as lark
from tests.platforms.slack import rig as slack


@dataclass(frozen=True, slots=True)
class Desk:
    """An adapter that is not connected, on its simulator. `method` is how the simulator calls what tells a name."""

    platform: Platform
    simulator: Any
    method: str

    def place(self, name: str) -> ThreadRef:
        return self._at(self.simulator.channel(name).id)

    def direct(self) -> ThreadRef:
        return self._at(self.simulator.direct("ana").id)

    def _at(self, channel: str) -> ThreadRef:
        return ThreadRef(platform=self.platform.name, workspace_id="W1", channel_id=channel)

    def asked(self) -> int:
        return len(self.simulator.calls(self.method))


@pytest.fixture(params=["slack", "discord", "lark"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        match request.param:
            case "slack":
                simulator: Any = stack.enter_context(SlackSimulator())
                opened = await stack.enter_async_context(slack.rigged(simulator, start=False))
                method = "conversations.info"
            case "discord":
                simulator = stack.enter_context(DiscordSimulator(seed=5))
                opened = await stack.enter_async_context(discord.rigged(simulator, start=False))
                method = "get_channel"
            case _:
                simulator = lark.make_simulator()
                stack.callback(simulator.stop)
                opened = await stack.enter_async_context(lark.rigged(simulator, start=False))
                method = "chat.get"
        await opened.platform.preflight()
        yield Desk(opened.platform, simulator, method)


async def test_a_channel_is_called_what_the_platform_calls_it(desk: Desk) -> None:
    assert await desk.platform.channel_name(desk.place("dev")) == desk.simulator.channel("dev").name
    assert desk.simulator.channel("dev").name == "dev"


async def test_a_direct_message_and_a_channel_that_is_not_there_have_no_name(desk: Desk) -> None:
    assert await desk.platform.channel_name(desk.direct()) == ""
    nowhere = {"slack": "C0NOWHERE", "discord": "1", "lark": "oc_nowhere"}[desk.platform.name]
    assert await desk.platform.channel_name(desk.place("dev").model_copy(update={"channel_id": nowhere})) == ""


async def test_a_name_is_asked_for_once_in_ten_minutes(desk: Desk) -> None:
    place = desk.place("dev")
    for _ in range(3):
        await desk.platform.channel_name(place)
    assert desk.asked() == 1
    desk.simulator.channel("dev").name = "builders"
    desk.simulator.advance(timedelta(minutes=11))
    assert await desk.platform.channel_name(place) == "builders"


async def test_while_the_platform_cannot_tell_the_last_word_counts(desk: Desk) -> None:
    fault = {
        "status": 401 if desk.platform.name == "discord" else 500,
        "times": None,
    }  # its SDK sits a 500 out for 15 s
    fail: Callable[..., None] = desk.simulator.fail_next
    fail(desk.method, **fault)
    assert await desk.platform.channel_name(desk.place("dev")) == ""
    desk.simulator.heal()
    assert await desk.platform.channel_name(desk.place("dev")) == "dev", "a fault is not remembered"
    desk.simulator.advance(timedelta(minutes=11))
    fail(desk.method, **fault)
    assert await desk.platform.channel_name(desk.place("dev")) == "dev"

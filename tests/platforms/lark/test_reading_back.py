"""What is read back is what would have come in live: the same kind of event under the same key, once."""

from collections.abc import Iterator

import pytest

from bot.core.inbound import Command, ThreadRef
from bot.ports import Retry
from platforms.lark.simulator import LarkSimulator
from tests.platforms.lark.rig import make_simulator, rigged


@pytest.fixture
def simulator() -> Iterator[LarkSimulator]:
    running = make_simulator()
    try:
        yield running
    finally:
        running.stop()


def place(simulator: LarkSimulator, channel: str) -> ThreadRef:
    return ThreadRef(platform="lark", workspace_id=simulator.tenant_key, channel_id=channel)


async def test_a_direct_message_that_was_missed_is_a_command(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        chat = simulator.direct("ana")
        root = simulator.user_says("ana", "fix the login", chat)
        simulator.user_says("ana", "and the logout", thread=root)
        live = await rig.seen(2)
        for scope in (place(simulator, chat.id), place(simulator, chat.id).model_copy(update={"root": root.id})):
            found = await rig.platform.history(scope, None, 10)
            assert isinstance(found, list)
            past = {one.event.key: one.event for one in found if isinstance(one.event, Command)}
            assert len(past) == len(found)
            assert {key: (one.door, one.text) for key, one in past.items()} == {
                one.key: (one.door, one.text) for one in live if isinstance(one, Command) and one.key in past
            }
        asked = len(simulator.calls("chat.get")) + len(simulator.calls("chat.list"))
        await rig.platform.history(place(simulator, chat.id), None, 10)
        assert len(simulator.calls("chat.get")) + len(simulator.calls("chat.list")) == asked, "asked once per chat"


async def test_what_is_said_in_a_group_stays_said_to_the_group(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        simulator.user_says("ana", "fix the login", "dev")
        found = await rig.platform.history(place(simulator, simulator.channel("dev").id), None, 10)
        assert isinstance(found, list)
        assert [one.event.kind for one in found if one.event] == ["message"]


async def test_nothing_is_read_while_nobody_can_tell_whose_chat_it_is(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        chat = simulator.direct("ana")
        simulator.user_says("ana", "fix the login", chat)
        simulator.fail_next("chat.list", status=503)
        assert isinstance(await rig.platform.history(place(simulator, chat.id), None, 10), Retry)
        assert isinstance(await rig.platform.history(place(simulator, chat.id), None, 10), list)

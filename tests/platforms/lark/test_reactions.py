"""Whose a reaction is and where: Lark tells neither the person's company nor the chat of the message."""

from collections.abc import AsyncIterator, Iterator

import pytest

from bot.core.inbound import MessageDeleted, MessageRef, Person, Reaction
from bot.ports import Posted, Retry
from platforms.lark.setup import NAMES
from platforms.lark.simulator import LarkSimulator
from tests.platforms.lark.rig import Rig, make_simulator, rigged


@pytest.fixture
def simulator() -> Iterator[LarkSimulator]:
    running = make_simulator()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
async def rig(simulator: LarkSimulator) -> AsyncIterator[Rig]:
    async with rigged(simulator, "long") as running:
        yield running


async def reacted(rig: Rig, who: str = "ana", emoji: str = "StatusFlashOfInspiration") -> Reaction:
    """Someone reacts to a message of bo."""
    said = rig.simulator.user_says("bo", "Could we get a CSV export?", "dev")
    await rig.seen()
    rig.simulator.reacts(who, said, emoji)
    events = await rig.seen(2)
    (found,) = [event for event in events if isinstance(event, Reaction)]
    return found


async def test_the_chat_of_a_message_that_was_heard_is_known(rig: Rig) -> None:
    found = await reacted(rig)
    assert found.emoji == "bulb"
    assert found.thread.channel_id == rig.simulator.channel("dev").id
    rig.simulator.user_deletes(next(one for one in rig.simulator.messages if one.id == found.message_id))
    (gone,) = [event for event in await rig.seen(3) if isinstance(event, MessageDeleted)]
    assert gone.thread == found.thread


async def test_where_an_older_message_is_tells_the_message_itself(rig: Rig) -> None:
    found = await reacted(rig)
    nowhere = found.thread.model_copy(update={"channel_id": ""})
    read = await rig.platform.read(MessageRef(thread=nowhere, message_id=found.message_id))
    assert isinstance(read, Posted)
    assert read.message.thread == found.thread
    assert (read.message.text, read.message.person.id) == ("Could we get a CSV export?", rig.simulator.user("bo").id)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("mixed", [True, False])
async def test_a_colleague_is_a_member(rig: Rig, names: bool, mixed: bool) -> None:
    for scope in NAMES:
        (rig.simulator.grant_scope if names else rig.simulator.revoke_scope)(scope)
    for chat in rig.simulator._world.chats.values():
        chat.is_external = chat.is_external and mixed
    told = await rig.platform.resolve((await reacted(rig)).person)
    assert isinstance(told, Person)
    assert (told.kind, "member" in told.roles) == ("human", True)


async def test_of_whom_nobody_vouches_stays_a_guest(rig: Rig) -> None:
    rig.simulator.add_user("zed", is_external=True, tenant_key="70000000000000ff", channels=("dev",))
    found = await reacted(rig, "zed")
    told = await rig.platform.resolve(found.person)
    assert isinstance(told, Person)
    assert (told.kind, told.roles) == ("guest", frozenset())


async def test_when_lark_cannot_tell_now_nothing_is_known(rig: Rig) -> None:
    found = await reacted(rig)
    rig.simulator.fail_next("user.get", status=503)
    assert isinstance(await rig.platform.resolve(found.person), Retry)
    known = await rig.platform.resolve(found.person)
    assert isinstance(known, Person)
    assert known.kind == "human"

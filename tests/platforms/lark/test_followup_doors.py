"""Every door for follow-ups in Lark, at wire level: mentions, `!codetask`, the bot's menu. It has no slash commands."""

from collections.abc import AsyncIterator, Iterator

import pytest

from bot.core.inbound import Command, Person, ThreadRef
from platforms.lark.reading import describe
from platforms.lark.simulator import LarkSimulator
from tests.platforms.lark.rig import Rig, Transport, make_simulator, rigged


@pytest.fixture
def simulator() -> Iterator[LarkSimulator]:
    running = make_simulator()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(params=["long", "webhook"])
async def rig(simulator: LarkSimulator, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    transport: Transport = request.param
    async with rigged(simulator, transport) as running:
        yield running


def place(rig: Rig, root: str | None = None) -> ThreadRef:
    found = rig.simulator.channel("dev")
    return ThreadRef(platform="lark", workspace_id=rig.simulator.tenant_key, channel_id=found.id, root=root)


@pytest.mark.parametrize("text", ["later tomorrow 9am check the deploy", "稍后 明天9点 看看部署", "followups"])
async def test_a_mention_or_bang_says_it_once_in_its_thread(rig: Rig, text: str) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    mention = rig.simulator.user_mentions("ana", text, thread=root)
    bang = rig.simulator.user_says(
        "bo", f"！codetask {text}", thread=root
    )  # ana may not say the same in one millisecond
    (delivery,) = rig.simulator.deliveries_of(bang)
    await rig.simulator.wait_for(lambda: delivery.acked)
    rig.simulator.redeliver(delivery)
    await rig.seen(3)
    await rig.inbox.until(lambda: rig.inbox.duplicates)
    said = {event.message_id: event for event in rig.inbox.said if isinstance(event, Command)}
    assert set(said) == {mention.id, bang.id}
    for event in said.values():
        assert (event.text, event.command, event.in_thread) == (text, "codetask", True)
        assert event.thread.model_copy(update={"native": None}) == place(rig, root.id)


async def test_the_chat_with_the_bot_and_its_menu_need_no_mention(rig: Rig) -> None:
    rig.simulator.user_says("ana", "later in 2h look again", rig.simulator.direct("ana"))
    rig.simulator.uses_menu("ana", "codetask_followups")
    events = [event for event in await rig.seen(2) if isinstance(event, Command)]
    assert {(event.door, event.text) for event in events} == {
        ("mention", "later in 2h look again"),
        ("slash", "followups"),
    }


@pytest.mark.parametrize(
    ("told", "zone"),
    [("Asia/Shanghai", "Asia/Shanghai"), ("", None), (None, None), (8, None), ("Mars/Olympus", None)],
)
def test_a_zone_counts_where_lark_tells_one_that_there_is(told: object, zone: str | None) -> None:
    person = Person(platform="lark", workspace_id="t", id="ou_1")
    assert describe(person, {"name": "Ana", "time_zone": told}).timezone == zone


@pytest.mark.parametrize(
    ("told", "roles"),
    [
        (["od-1", "od-2"], {"member", "od-1", "od-2"}),
        (["admin", "owner", "0", 7, None], {"member"}),
        (None, {"member"}),
        ("od-1", {"member"}),
    ],
)
def test_departments_are_roles_where_lark_tells_them(told: object, roles: set[str]) -> None:
    person = Person(platform="lark", workspace_id="t", id="ou_1")
    assert describe(person, {"name": "Ana", "department_ids": told}).roles == roles

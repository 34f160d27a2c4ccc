"""Every door for follow-ups in Slack, at wire level: what the core hears, how often, and of whom."""

from collections.abc import AsyncIterator, Iterator

import pytest

from bot.core.cards import Button, Doc
from bot.core.inbound import ButtonPress, Command, Message, MessageRef, Person, ThreadRef
from platforms.slack.simulator import SlackSimulator
from tests.platforms.slack.rig import Rig, rigged

SET = Doc(
    text="I'll run this here Sat 7 Mar 09:00.",
    buttons=(Button(label="Cancel", name="Cancel FU-7", value="codetask:cancel:FU-7"),),
)


@pytest.fixture
def simulator() -> Iterator[SlackSimulator]:
    with SlackSimulator(seed=7) as running:
        yield running


@pytest.fixture(params=["socket", "http"])
async def rig(request: pytest.FixtureRequest, simulator: SlackSimulator) -> AsyncIterator[Rig]:
    async with rigged(simulator, request.param) as made:
        yield made


def place(rig: Rig, root: str | None = None) -> ThreadRef:
    channel = rig.simulator.channel("dev").id
    return ThreadRef(platform="slack", workspace_id=rig.simulator.team_id, channel_id=channel, root=root)


async def test_the_slash_command_brings_its_text_and_a_right_to_answer(rig: Rig) -> None:
    sent = rig.simulator.runs_command("ana", "/followup tomorrow 9am check <the> deploy & @bo", "dev")
    (event,) = await rig.seen()
    await rig.simulator.wait_for(lambda: sent.acked)
    assert isinstance(event, Command)
    assert (event.command, event.door, event.in_thread) == ("followup", "slash", False)
    assert event.text == "tomorrow 9am check <the> deploy & @bo"
    assert (event.thread, event.message_id) == (place(rig), None)
    assert event.reply_token is not None


async def test_slack_itself_refuses_the_slash_command_in_a_thread(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    refused = rig.simulator.runs_command("ana", "/followup in 2h", "dev", thread_ts=root.ts)
    assert (refused.state, refused.error) == ("refused", "not_supported_in_threads")
    assert [type(event) for event in await rig.seen()] == [Message]


@pytest.mark.parametrize("text", ["later tomorrow 9am check the deploy", "—remind later 2h", "稍后 明天9点 看部署"])
async def test_in_a_thread_a_mention_or_bang_says_it_once(rig: Rig, text: str) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    mention = rig.simulator.user_mentions("ana", text, "dev", thread_ts=root.ts)
    bang = rig.simulator.user_says("ana", f"!codetask {text}", "dev", thread_ts=root.ts)
    (delivery,) = rig.simulator.deliveries_of(bang)
    await rig.simulator.wait_for(lambda: delivery.acked)
    rig.simulator.redeliver(delivery)
    await rig.seen(3)
    await rig.inbox.until(lambda: rig.inbox.duplicates == 2)  # the mention's second event, and what came again
    said = {event.message_id: event for event in rig.inbox.said if isinstance(event, Command)}
    assert set(said) == {mention.ts, bang.ts}
    for event in said.values():
        assert event.text == text.replace("—", "--")
        assert (event.command, event.in_thread, event.thread) == ("codetask", True, place(rig, root.ts))


async def test_the_shortcut_is_of_the_message_and_its_thread(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    reply = rig.simulator.user_says("cy", "Only on Fridays", "dev", thread_ts=root.ts)
    for message in (root, reply):
        sent = rig.simulator.uses_shortcut("ana", message, "codetask_later")
        await rig.simulator.wait_for(lambda one=sent: one.acked)  # type: ignore[misc]
    first, second = [event for event in await rig.seen(4) if isinstance(event, Command)]
    assert [(one.command, one.door) for one in (first, second)] == [("followup", "shortcut")] * 2
    assert (first.message_id, first.thread, first.in_thread) == (root.ts, place(rig, root.ts), False)
    assert (second.message_id, second.thread, second.in_thread) == (reply.ts, place(rig, root.ts), True)
    assert (second.text, second.author and second.author.id) == ("Only on Fridays", rig.simulator.user("cy").id)
    assert (second.person.id, second.reply_token is not None) == (rig.simulator.user("ana").id, True)


@pytest.mark.parametrize("inside", [False, True], ids=["channel", "thread"])
async def test_a_button_of_a_whisper_is_of_the_thread_it_stands_in(rig: Rig, inside: bool) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    if inside:
        rig.simulator.user_says("ana", "Yes", "dev", thread_ts=root.ts)
    person = Person(platform="slack", workspace_id=rig.simulator.team_id, id=rig.simulator.user("ana").id)
    here = place(rig, root.ts if inside else None)
    assert isinstance(await rig.platform.whisper(person, here, SET, None, "k1" * 12), MessageRef)
    rig.simulator.clicks("ana", rig.simulator.whispers[-1], "Cancel")
    press = await rig.inbox.until(
        lambda: next((event for event in rig.inbox.said if isinstance(event, ButtonPress)), None)
    )
    assert press is not None
    assert (press.value, press.thread) == ("codetask:cancel:FU-7", here)


async def test_a_person_brings_the_zone_and_the_language_of_their_profile(rig: Rig) -> None:
    rig.simulator.runs_command("cy", "/followup in 2h", "dev")
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    known = await rig.platform.resolve(event.person)
    assert isinstance(known, Person)
    assert (known.timezone, known.locale) == ("Asia/Shanghai", "zh-CN")

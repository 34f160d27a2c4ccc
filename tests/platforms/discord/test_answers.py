"""Private answers by an interaction's token: in time, once, in the right place, and gone when a card says more."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from bot.core.cards import Doc
from bot.core.inbound import ButtonPress, Command, Event, ReplyToken
from bot.ports import Receipt, Retry
from platforms.discord.simulator import DiscordSimulator
from tests.platforms.discord.rig import HEARTBEAT, Rig, posted, rigged
from tests.platforms.discord.test_adapter import CARD, KEY, WISH


@pytest.fixture
def simulator() -> Iterator[DiscordSimulator]:
    with DiscordSimulator(heartbeat=HEARTBEAT) as sim:
        yield sim


@pytest.fixture
async def rig(simulator: DiscordSimulator) -> AsyncIterator[Rig]:
    async with rigged(simulator) as rig:
        yield rig


async def asked(rig: Rig) -> Command:
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    return event


async def test_an_answer_that_is_ready_before_the_first_one_waits_for_it(rig: Rig) -> None:
    whispers: list[asyncio.Task[object]] = []
    accept = rig.inbox.accept

    async def eager(event: Event) -> Receipt:
        """Stores, and has it handled before the adapter goes on: as on a machine with nothing else to do."""
        receipt = await accept(event)
        if isinstance(event, Command):
            doc = Doc(text="CT-1 does not exist.")
            call = rig.platform.whisper(event.person, event.thread, doc, event.reply_token, KEY)
            whispers.append(asyncio.ensure_future(call))
            await asyncio.sleep(0)
        return receipt

    rig.inbox.accept = eager  # type: ignore[method-assign]
    sent = rig.simulator.runs_command("ana", "/codetask show", {"id": "CT-1"}, "dev")
    await rig.simulator.wait_for(lambda: sent.acked)
    await asyncio.gather(*whispers)
    assert [rig.shown(one) for one in sent.answers] == ["CT-1 does not exist."]
    assert rig.simulator.said_in(rig.simulator.direct("ana")) == []


async def test_a_process_that_does_not_listen_tries_again_until_the_first_answer_is_there(rig: Rig) -> None:
    rig.simulator.fail_next("create_interaction_response", status=400)
    rig.command("ana", WISH)
    event = await asked(rig)
    await rig.inbox.until(lambda: not rig.platform.intake.unanswered)
    rig.platform.intake.heard.clear()
    told = await rig.platform.whisper(rig.person(), event.thread, Doc(text="x"), event.reply_token, KEY)
    assert isinstance(told, Retry)
    rig.simulator.advance(timedelta(seconds=5))
    posted(await rig.platform.whisper(rig.person(), event.thread, Doc(text="x"), event.reply_token, KEY))
    assert [rig.shown(one) for one in rig.simulator.said_in(rig.simulator.direct("ana"))] == ["x"]


@pytest.mark.parametrize(
    ("fault", "direct"),
    [({"status": 429, "retry_after": 3}, 0), ({"status": 429, "retry_after": 1900}, 1), ({"status": 503}, 1)],
)
async def test_a_short_limit_on_private_answers_is_no_reason_for_a_direct_message(
    rig: Rig, fault: dict[str, int], direct: int
) -> None:
    sent = rig.command("ana", WISH)
    event = await asked(rig)
    await rig.simulator.wait_for(lambda: sent.acked)
    rig.simulator.fail_next("update_original_webhook_message", **fault)  # type: ignore[arg-type]
    told = await rig.platform.whisper(rig.person(), event.thread, Doc(text="x"), event.reply_token, KEY)
    assert isinstance(told, Retry) == (not direct)
    assert len(rig.simulator.said_in(rig.simulator.direct("ana"))) == direct


async def test_on_it_is_taken_away_once_the_card_is_there_and_a_later_answer_still_arrives(rig: Rig) -> None:
    sent = rig.command("ana", WISH)
    event = await asked(rig)
    await rig.simulator.wait_for(lambda: sent.whisper)
    other = rig.command("bo", WISH, "general")
    await rig.simulator.wait_for(lambda: other.whisper)
    posted(await rig.platform.post(event.thread, CARD, KEY))
    await rig.simulator.wait_for(lambda: sent.whisper is None)
    assert other.whisper is not None
    posted(await rig.platform.whisper(rig.person(), event.thread, Doc(text="by the way"), event.reply_token, KEY))
    assert sent.whisper is not None
    assert rig.shown(sent.whisper) == "by the way"
    assert sent.whisper.to == rig.simulator.user("ana").id


async def test_a_confirmed_question_loses_its_buttons_and_goes_when_the_card_changed(rig: Rig) -> None:
    card = posted(await rig.platform.post(rig.place(), CARD, KEY))
    press = rig.simulator.clicks("ana", rig.simulator.sent[0], "Cancel")
    question = await rig.simulator.wait_for(lambda: press.whisper)
    yes = rig.simulator.clicks("ana", question, "Cancel CT-1")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    await rig.simulator.wait_for(lambda: yes.acked)
    assert rig.shown(question) == "On it."
    posted(await rig.platform.edit(card, CARD, "b" * 24))
    await rig.simulator.wait_for(lambda: question.deleted)


async def test_a_form_that_was_answered_on_the_second_try_is_open(rig: Rig) -> None:
    rig.simulator.fail_next("create_interaction_response", error="40060")
    sent = rig.command("ana", WISH)
    event = await asked(rig)
    assert isinstance(event.reply_token, ReplyToken)
    await rig.inbox.until(lambda: sent.token in rig.platform.intake.taken)


async def test_on_it_that_comes_after_the_card_is_taken_away_too(rig: Rig) -> None:
    accept = rig.inbox.accept
    posts: list[asyncio.Task[object]] = []

    async def eager(event: Event) -> Receipt:
        receipt = await accept(event)
        if isinstance(event, Command):
            posts.append(asyncio.ensure_future(rig.platform.post(event.thread, CARD, KEY)))
            await asyncio.wait(posts)
        return receipt

    rig.inbox.accept = eager  # type: ignore[method-assign]
    sent = rig.command("ana", WISH)
    await rig.simulator.wait_for(lambda: sent.answers and sent.whisper is None)
    assert [rig.shown(one) for one in sent.answers] == ["On it."]


async def test_no_token_is_in_the_log_when_discord_is_busy(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    sent = rig.command("ana", WISH)
    event = await asked(rig)
    await rig.simulator.wait_for(lambda: sent.acked)
    for status in ({"status": 429, "retry_after": 20}, {"status": 429, "retry_after": 0.1}, {"status": 403}):
        rig.simulator.fail_next("update_original_webhook_message", **status)  # type: ignore[arg-type]
        await rig.platform.whisper(rig.person(), event.thread, Doc(text="x"), event.reply_token, KEY)
    lines = [record.getMessage() for record in caplog.records if record.name == "discord.http"]
    assert any("We are being rate limited" in line and "/***/" in line for line in lines)
    ours = [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]
    said = "\n".join([*lines, *ours])
    assert sent.token not in said
    assert rig.simulator.bot_token not in said


async def test_a_private_answer_waits_until_the_bot_knows_who_it_is(rig: Rig) -> None:
    sent = rig.command("ana", WISH)
    event = await asked(rig)
    await rig.simulator.wait_for(lambda: sent.acked)
    me, rig.platform.intake.me = rig.platform.intake.me, None
    told = await rig.platform.whisper(rig.person(), event.thread, Doc(text="x"), event.reply_token, KEY)
    assert isinstance(told, Retry)
    rig.platform.intake.me = me
    posted(await rig.platform.whisper(rig.person(), event.thread, Doc(text="x"), event.reply_token, KEY))
    assert [rig.shown(one) for one in sent.answers] == ["x"]

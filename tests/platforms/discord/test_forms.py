"""Discord's modals: the answer to a button, without a row; sent back and stored; closed without a trace."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from bot.core.cards import Button, Doc
from bot.core.forms import form_of
from bot.core.inbound import ButtonPress, FormSent
from bot.core.texts import Texts
from platforms.discord.buttons import modal
from platforms.discord.simulator import DiscordSimulator, Interaction
from platforms.discord.simulator.kit import modal_problems
from tests.platforms.discord.rig import Rig, posted, rigged

NOTE = "codetask:retry_note:CT-1"
LABEL = "What should it do differently?"
FAILED = Doc(
    text="CT-1 failed.",
    topic="CT-1",
    buttons=(
        Button(label="Retry", name="Retry CT-1", value="codetask:retry:CT-1"),
        Button(label="Retry with a note", name="Retry CT-1 with a note", value=NOTE),
    ),
)


@pytest.fixture
def simulator() -> Iterator[DiscordSimulator]:
    with DiscordSimulator(seed=7) as running:
        yield running


@pytest.fixture
async def rig(simulator: DiscordSimulator) -> AsyncIterator[Rig]:
    async with rigged(simulator) as made:
        yield made


async def presses(rig: Rig, who: str = "ana") -> Interaction:
    """A failed code task is said in the channel; someone presses [Retry with a note]."""
    posted(await rig.platform.post(rig.place(), FAILED, "k1" * 12))
    press = rig.simulator.clicks(who, rig.simulator.sent[-1], "Retry with a note")
    await rig.simulator.wait_for(lambda: press.acked)
    return press


async def test_a_button_opens_its_form_and_leaves_no_row(rig: Rig) -> None:
    press = await presses(rig)
    assert press.form is not None
    assert (press.form.custom_id, press.form.title) == (NOTE, "Retry CT-1")
    (outer,) = press.form.body["components"]
    assert (outer["label"], outer["component"]["max_length"], outer["component"]["required"]) == (LABEL, 2_000, True)
    assert (press.answers, rig.inbox.said) == ([], [])


async def test_a_sent_form_is_stored_before_it_closes(rig: Rig) -> None:
    press = await presses(rig)
    assert press.form is not None
    rig.inbox.gate.clear()
    sent = rig.simulator.submits_form("ana", press.form, {LABEL: "use the <other> table & @bo"})
    await rig.inbox.until(lambda: rig.inbox.waiting)
    assert not sent.acked
    rig.inbox.gate.set()
    (event,) = await rig.seen()
    await rig.simulator.wait_for(lambda: sent.acked)
    assert isinstance(event, FormSent)
    assert (event.form, event.fields) == (NOTE, {"note": "use the <other> table & @bo"})
    assert (event.person.id, event.thread.channel_id) == (rig.person("ana").id, rig.place().channel_id)


async def test_the_answer_to_a_form_leaves_the_card_alone(rig: Rig) -> None:
    press = await presses(rig)
    assert press.form is not None
    before = rig.shown(rig.simulator.sent[-1])
    sent = rig.simulator.submits_form("ana", press.form, {"note": "use the other table"})
    (event,) = await rig.seen()
    assert isinstance(event, FormSent)
    await rig.simulator.wait_for(lambda: sent.acked)
    answer = Doc(text="CT-1 is queued again.")
    posted(await rig.platform.whisper(event.person, event.thread, answer, event.reply_token, "k2" * 12))
    (whisper,) = rig.simulator.whispers
    assert (rig.shown(whisper), whisper.to) == ("CT-1 is queued again.", rig.simulator.user("ana").id)
    assert rig.shown(rig.simulator.sent[-1]) == before


async def test_a_closed_form_leaves_nothing(rig: Rig) -> None:
    press = await presses(rig)
    assert press.form is not None
    rig.simulator.user_closes_form("ana", press.form)
    assert not press.form.open
    assert rig.inbox.said == []


async def test_a_form_that_cannot_be_stored_is_answered_with_a_reference(rig: Rig) -> None:
    press = await presses(rig)
    assert press.form is not None
    rig.inbox.down = True
    sent = rig.simulator.submits_form("ana", press.form, {"note": "use the other table"})
    await rig.simulator.wait_for(lambda: sent.acked)
    assert sent.whisper is not None
    assert "couldn't save that (ref `k7f2`)" in rig.shown(sent.whisper)
    assert rig.inbox.said == []


async def test_a_form_is_in_the_language_of_the_person(rig: Rig) -> None:
    press = await presses(rig, "cy")
    assert press.form is not None
    assert press.form.title == "重试 CT-1"


async def test_where_no_form_opens_the_press_is_stored(rig: Rig) -> None:
    posted(await rig.platform.post(rig.place(), FAILED, "k1" * 12))
    rig.simulator.fail_next("create_interaction_response", status=404, error=10062)
    rig.simulator.clicks("ana", rig.simulator.sent[-1], "Retry with a note")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    assert (event.value, rig.simulator.forms) == (NOTE, [])


async def test_completions_carry_the_language_of_the_person(rig: Rig) -> None:
    asked: list[Any] = []

    async def choices(name: str, text: str, person: Any, place: Any) -> list[Any]:
        asked.append((name, text, person.id, person.locale))
        return []

    rig.inbox.choices = choices  # type: ignore[method-assign]
    typed = rig.simulator.types_choice("cy", "/codetask show", "id", "log", "dev")
    await rig.simulator.wait_for(lambda: typed.acked)
    assert (asked, typed.choices) == ([("id", "log", rig.person("cy").id, "zh-CN")], [])


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("number", ["4", "9" * 9])
def test_the_modal_is_one_that_discord_takes(language: str, number: str) -> None:
    form = form_of(f"codetask:retry_note:CT-{number}", Texts.load(language))
    assert form is not None
    made = modal(form)
    assert modal_problems(made) == []
    assert (made["custom_id"], len(made["title"]) <= 45) == (f"codetask:retry_note:CT-{number}", True)

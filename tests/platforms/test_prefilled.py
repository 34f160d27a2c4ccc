"""A form that opens with what is known: asked of the core, left empty where it does not fit, is late or not told."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from bot.core.forms import Field, Form
from bot.core.inbound import Event, Person, ThreadRef
from bot.core.texts import Texts
from bot.ports import Choice, InboxDown, Receipt
from platforms.discord.buttons import modal as discord_modal
from platforms.intake import Keeper
from platforms.slack.buttons import modal as slack_modal
from tests.clock import FakeClock

KEY = "codetask:edit:RQ-3"
WISH = "Could we get a CSV export on the invoices page?\n\nMonthly, please."
TEXT = Field(name="text", label="Request", hint="What the agent gets", multiline=True, max_length=4_000, required=True)
EDIT = Form(key=KEY, title="Edit RQ-3", submit="Save", fields=(TEXT,), prefilled=True)
ANA = Person(platform="slack", workspace_id="T1", id="U1")
PLACE = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1", root="1.0")


@dataclass
class Told:
    """An inbox that knows the text of a form, or is slow, or down."""

    text: str = WISH
    slow: bool = False
    down: bool = False
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def accept(self, event: Event) -> Receipt:
        raise AssertionError

    async def choices(self, name: str, text: str, person: Person, place: ThreadRef | None = None) -> list[Choice]:
        self.asked.append((name, text, person.id, place))
        if self.slow:
            await asyncio.Event().wait()
        if self.down:
            raise InboxDown("k7f2")
        return [Choice("text", self.text), Choice("another", "field")]

    async def hold(self, name: str, owner: str, ttl: timedelta) -> bool:
        raise AssertionError

    async def release(self, name: str, owner: str) -> None:
        raise AssertionError


async def opened(inbox: Told, form: Form = EDIT) -> Form:
    keeper = Keeper[None](FakeClock())
    keeper.inbox = inbox
    return await keeper.prefilled(form, ANA, PLACE, timedelta(seconds=0.05))


async def test_its_field_opens_with_the_text() -> None:
    inbox = Told()
    form = await opened(inbox)
    assert form.fields[0].initial == WISH
    assert inbox.asked == [("form", KEY, "U1", PLACE)]
    (block,) = slack_modal(form, PLACE, Texts.load("en"))["blocks"]
    assert block["element"]["initial_value"] == WISH
    assert block["element"]["multiline"] is True
    (labelled,) = discord_modal(form)["components"]
    assert labelled["component"]["value"] == WISH


async def test_other_forms_ask_nothing() -> None:
    inbox = Told()
    assert await opened(inbox, replace(EDIT, prefilled=False)) == replace(EDIT, prefilled=False)
    assert inbox.asked == []


@pytest.mark.parametrize("inbox", [Told(slow=True), Told(down=True), Told(text=""), Told(text="x" * 4_001)])
async def test_it_opens_empty_rather_than_late_or_cut(inbox: Told) -> None:
    assert await opened(inbox) == EDIT


async def test_a_text_that_one_platform_does_not_take_is_left_out_there() -> None:
    form = await opened(Told(text="x" * 3_001))
    (block,) = slack_modal(form, PLACE, Texts.load("en"))["blocks"]
    assert "initial_value" not in block["element"], "Slack takes 3,000, and cut off it would replace the whole"
    (labelled,) = discord_modal(form)["components"]
    assert labelled["component"]["value"] == "x" * 3_001

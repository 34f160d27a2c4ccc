"""Buttons, forms and completions: stored, then answered. The core checks rights and state.

A button that asks first (`Button.confirm`) is answered with a question that only the person sees; its two buttons carry
all that is needed, so nothing is kept between the two presses and a restart changes nothing.

A button with a form (`bot.core.forms`) changes nothing either: it is answered with the form, and not stored. Where
Discord does not take the answer the press is stored, and the core says what to type instead.
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import discord

from bot.core.buttons import confirmation
from bot.core.forms import Field, Form, form_of
from bot.core.hygiene import cut
from bot.core.inbound import ButtonPress, Person, ThreadRef, Unreadable
from platforms.discord.cards import line, question
from platforms.discord.commands import (
    ANSWER,
    COMPONENT,
    DEFER_UPDATE,
    UPDATE,
    Intake,
    Json,
    commanded,
    log,
    texts_for,
    whispered,
)
from platforms.discord.custom_ids import DISMISS, at_home, home_of, is_question, value_of
from platforms.discord.inbound import DIRECT, THREADS, is_private

CHOICES_BUDGET: Final = timedelta(seconds=2)
"""Discord gives completions 3 s (ours leaves room)."""
FILL_BUDGET: Final = timedelta(seconds=1.2)
"""How long a form waits for what its fields open with (ours); its own answer has to come within 3 s."""
CHOICES: Final = 8
MODAL: Final = 9
TEXT_INPUT, LABEL = 4, 18
SHORT, PARAGRAPH = 1, 2
MAX_TITLE: Final = 45
MAX_HINT: Final = 100
MAX_FIELD: Final = 4_000
"""Characters of a title or label, of a description under a label, and of a field
(docs.discord.com/developers/components/reference)."""
_SNOWFLAKE: Final = re.compile(r"\d{15,20}", re.ASCII)


class PressedButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"codetask[:-][\w:#?/+@-]{1,91}"):
    """Every button of ours, also on messages from before a restart: found by the shape of its custom id."""

    def __init__(self, item: discord.ui.Button[Any]) -> None:
        super().__init__(item)

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> "PressedButton":
        return cls(item)

    async def callback(self, interaction: Any) -> None:
        interaction.client.take(interaction.id)


async def interact(intake: Intake, raw: Json) -> bool:
    """One interaction of any kind. True when nothing was lost."""
    match raw.get("type"):
        case 4:
            await intake.answer(raw, CHOICES, {"choices": await _choices(intake, raw)})
            return True
        case 3:
            return await _pressed(intake, raw)
        case 5:
            return await _keep(intake, raw)
        case _:
            return await commanded(intake, raw)


async def _pressed(intake: Intake, raw: Json) -> bool:
    data = raw.get("data")
    custom_id = data.get("custom_id") if isinstance(data, Mapping) else None
    if custom_id == DISMISS:
        return await intake.answer(raw, UPDATE, line(texts_for(raw).say("discord.dismissed")).payload())
    if isinstance(custom_id, str) and is_question(custom_id):
        texts = texts_for(raw)
        asked = confirmation(value_of(custom_id), texts)
        if asked is not None:
            shown = question(asked[0], asked[1], texts.say("discord.question_no"), _unnumbered(custom_id))
            return await intake.answer(raw, ANSWER, whispered(shown))
        raw = {**raw, "data": {**data, "custom_id": _unnumbered(custom_id)}} if isinstance(data, Mapping) else raw
    form = form_of(value_of(custom_id), texts_for(raw)) if isinstance(custom_id, str) else None
    if form is not None and await _opened(intake, raw, form, home_of(str(custom_id))):
        return True
    return await _keep(intake, raw)


async def _opened(intake: Intake, raw: Json, form: Form, home: str) -> bool:
    """Whether Discord took the form, with what its fields open with where something is known."""
    if form.prefilled:
        press = await intake.interaction(raw)
        if isinstance(press, ButtonPress):
            form = await intake.prefilled(form, press.person, press.thread, FILL_BUDGET)
    return await intake.answer(raw, MODAL, modal(form, home))


def _unnumbered(custom_id: str) -> str:
    return at_home(value_of(custom_id), home_of(custom_id))


def modal(form: Form, home: str = "") -> dict[str, Any]:
    """A form as Discord's modal. It has no submit label of its own, and knows where it was opened; `home` is the server
    that a button in a direct message spoke of."""
    return {
        "custom_id": at_home(form.key, home),
        "title": cut(form.title, MAX_TITLE),
        "components": [_labelled(field) for field in form.fields],
    }


def _labelled(field: Field) -> dict[str, Any]:
    typed = {
        "type": TEXT_INPUT,
        "custom_id": field.name,
        "style": PARAGRAPH if field.multiline else SHORT,
        "max_length": min(field.max_length, MAX_FIELD),
        "required": field.required,
        **({"value": field.initial} if 0 < len(field.initial) <= min(field.max_length, MAX_FIELD) else {}),
    }
    told = {"label": cut(field.label, MAX_TITLE), "description": cut(field.hint, MAX_HINT)}
    return {"type": LABEL, **told, "component": typed}


async def _keep(intake: Intake, raw: Json) -> bool:
    """Stores a press or a form; the answer itself comes by the relay, here the client only stops waiting.

    A form opened from a card has that message too, but its answer takes the place of a line of its own."""
    event = await intake.interaction(raw)
    lost = await intake.accept(event) if event is not None else None
    texts = texts_for(raw)
    if lost:
        await intake.say(raw, texts.say("error.infrastructure", ref=f"`{lost}`"))
    elif isinstance(event, Unreadable):
        await intake.say(raw, texts.say("error.unreadable", ref=f"`{event.ref}`"))
    elif raw.get("type") == COMPONENT and not is_private(raw):
        await intake.answer(raw, DEFER_UPDATE)
    else:
        await intake.take(raw)
    return lost is None


async def _choices(intake: Intake, raw: Json) -> list[dict[str, Any]]:
    """At most 25 completions; empty when the core is slow or down."""
    focused = _focused(raw.get("data"))
    member = raw.get("member")
    user = member.get("user") if isinstance(member, Mapping) else raw.get("user")
    if intake.inbox is None or focused is None or not isinstance(user, Mapping):
        return []
    guild = raw.get("guild_id")
    workspace = guild if isinstance(guild, str) else DIRECT
    locale = raw.get("locale")
    spoken = locale if isinstance(locale, str) else None
    person = Person(platform="discord", workspace_id=workspace, id=str(user.get("id", "")), locale=spoken)
    name, text = focused
    try:
        async with asyncio.timeout(CHOICES_BUDGET.total_seconds()):
            found = await intake.inbox.choices(name, text, person, _channel(raw, workspace))
    except Exception as error:  # an empty list is better than an error shown by Discord
        log.warning("no_completions", option=name[:80], error=type(error).__name__)
        return []
    return [{"name": choice.label[:100] or "…", "value": choice.value[:100]} for choice in found[:25]]


def _channel(raw: Json, workspace: str) -> ThreadRef | None:
    """The channel in which something is typed; of a thread, the channel it is in."""
    channel = raw.get("channel")
    inside = channel if isinstance(channel, Mapping) and channel.get("type") in THREADS else {}
    id = inside.get("parent_id") or raw.get("channel_id")
    return ThreadRef(platform="discord", workspace_id=workspace, channel_id=id) if isinstance(id, str) else None


def _focused(holder: Any) -> tuple[str, str] | None:
    """The option that is being typed: its name and the text so far."""
    options = holder.get("options") if isinstance(holder, Mapping) else None
    for option in options if isinstance(options, list) else []:
        if not isinstance(option, Mapping):
            continue
        if option.get("focused") is True:
            return str(option.get("name", "")), str(option.get("value") or "")
        inner = _focused(option)
        if inner is not None:
            return inner
    return None

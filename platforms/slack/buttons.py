"""Buttons, forms and option lists: registered with Bolt, stored, then acked. The core checks rights and state.

A button with a form (`bot.core.forms`) changes nothing, so it is not stored: its form is opened, the one effect that a
handler may have. Where that fails the press is stored, and the core says what to type instead.
"""

import asyncio
import json
import re
from datetime import timedelta
from typing import Any, Final

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext

from bot.core.forms import Field, Form, form_of
from bot.core.hygiene import cut
from bot.core.inbound import ButtonPress, Event, FormSent, Person, ThreadRef
from bot.core.texts import SOURCE_LANGUAGE, Texts
from platforms.slack.commands import EVENT, Intake, forward, log, not_saved
from platforms.slack.inbound import PICKED

CHOICES_BUDGET: Final = timedelta(seconds=2)
"""Slack gives an option list 3 s (ours leaves room)."""
OPEN_BUDGET: Final = timedelta(seconds=2)
"""A trigger opens a form for 3 s, in which the press has to be acked too (ours leaves room)."""
LOCALE_BUDGET: Final = timedelta(seconds=0.8)
"""How long a form waits for the language of the person (ours); then it is in English."""
FILL_BUDGET: Final = timedelta(seconds=0.8)
"""How long a form waits for what its fields open with (ours)."""
MAX_TITLE: Final = 24
MAX_LABEL: Final = 2_000
MAX_FIELD: Final = 3_000
"""Characters of a title or submit button, of a label or hint, and of a field (docs.slack.dev/reference/views)."""


def register(app: AsyncApp, intake: Intake) -> None:
    """Every button press, form and option list, ours or not: what is not ours is only acked."""
    anything = re.compile(".*", re.DOTALL)

    async def pressed(ack: AsyncAck, context: AsyncBoltContext) -> None:
        event: Event | None = context[EVENT]
        if isinstance(event, ButtonPress) and await _opened(intake, event):
            await ack()
        else:
            await forward(intake, ack, event)

    async def sent(ack: AsyncAck, context: AsyncBoltContext, body: dict[str, Any]) -> None:
        event: Event | None = context[EVENT]
        wrong = misfilled(body)
        if wrong and isinstance(event, FormSent):
            texts = Texts.load(await _language(intake, event.person))
            await ack(response_action="errors", errors={name: texts.say(key) for name, key in wrong.items()})
            return
        lost = await intake.accept(event) if event is not None else None
        field = _first_field(body)
        if lost and field:
            await ack(response_action="errors", errors={field: not_saved(lost)})  # keeps the form and what was typed
        else:
            await ack()

    async def closed(ack: AsyncAck) -> None:
        await ack()

    async def asked(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack(options=await _choices(intake, body))

    app.action(anything)(pressed)
    app.view(anything)(sent)
    app.view_closed(anything)(closed)
    app.options(anything)(asked)


async def _opened(intake: Intake, press: ButtonPress) -> bool:
    """Whether the button opened its form. False where it has none, or Slack did not take it in time."""
    form = form_of(press.value, Texts.load(SOURCE_LANGUAGE))
    if form is None:
        return False
    try:
        async with asyncio.timeout(OPEN_BUDGET.total_seconds()):
            texts = Texts.load(await _language(intake, press.person))
            form = await intake.prefilled(form_of(press.value, texts) or form, press.person, press.thread, FILL_BUDGET)
            return await intake.show(str(press.raw.get("trigger_id", "")), modal(form, press.thread, texts))
    except Exception as error:  # the person is told in words; the SDK must not see it
        log.warning("form_not_opened", form=form.key, error=type(error).__name__)
        return False


async def _language(intake: Intake, person: Person) -> str:
    try:
        async with asyncio.timeout(LOCALE_BUDGET.total_seconds()):
            return await intake.language(person)
    except Exception as error:  # in English rather than not at all
        log.info("language_not_known", error=type(error).__name__)
        return SOURCE_LANGUAGE


def modal(form: Form, place: ThreadRef, texts: Texts) -> dict[str, Any]:
    """A form as Slack's modal. Where it was opened travels with it: a sent modal does not tell.

    A field for a time is two: a picker, and a text for everything that no picker says. `misfilled` wants one of them.
    """
    where = {"channel_id": place.channel_id, "root": place.root}
    return {
        "type": "modal",
        "callback_id": form.key,
        "title": _plain(form.title, MAX_TITLE),
        "submit": _plain(form.submit, MAX_TITLE),
        "private_metadata": json.dumps(where),
        "blocks": [block for field in form.fields for block in _inputs(field, texts)],
    }


def _inputs(field: Field, texts: Texts) -> list[dict[str, Any]]:
    if not field.instant:
        return [_input(field, field.label, optional=not field.required)]
    name = f"{field.name}{PICKED}"
    picker = {
        "type": "input",
        "block_id": name,
        "label": _plain(field.label, MAX_LABEL),
        "element": {"type": "datetimepicker", "action_id": name},
        "optional": True,
    }
    return [picker, _input(field, texts.say("form.in_words"), optional=True)]


def _input(field: Field, label: str, *, optional: bool) -> dict[str, Any]:
    element = {
        "type": "plain_text_input",
        "action_id": field.name,
        "multiline": field.multiline,
        "max_length": min(field.max_length, MAX_FIELD),
        **({"initial_value": field.initial} if 0 < len(field.initial) <= min(field.max_length, MAX_FIELD) else {}),
    }
    told = {"label": _plain(label, MAX_LABEL), "hint": _plain(field.hint, MAX_LABEL)}
    return {"type": "input", "block_id": field.name, **told, "element": element, "optional": optional}


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": cut(text, limit), "emoji": False}


def _first_field(body: dict[str, Any]) -> str:
    return next(iter(_values(body)), "")


def _values(body: dict[str, Any]) -> dict[str, Any]:
    """What is filled in, by block."""
    view = body.get("view")
    state = view.get("state") if isinstance(view, dict) else None
    values = state.get("values") if isinstance(state, dict) else None
    return values if isinstance(values, dict) else {}


def misfilled(body: dict[str, Any]) -> dict[str, str]:
    """The fields for a time that are filled twice or not at all, each with the key of what to say. Slack's own check
    of required fields knows no "one of the two"; the form stays open with what was typed."""
    values = _values(body)
    wrong: dict[str, str] = {}
    for block in values:
        name = block.removesuffix(PICKED)
        if name == block or name not in values:
            continue
        picked, typed = _filled(values[block]), _filled(values[name])
        if picked == typed:
            wrong[name] = "form.two_times" if typed else "form.no_time"
    return wrong


def _filled(block: Any) -> bool:
    elements = block.values() if isinstance(block, dict) else ()
    return any(
        element.get("selected_date_time") is not None or bool(str(element.get("value") or "").strip())
        for element in elements
        if isinstance(element, dict)
    )


async def _choices(intake: Intake, body: dict[str, Any]) -> list[dict[str, Any]]:
    """At most 25 options for an external select; empty when the core is slow or down."""
    name, text, user = body.get("action_id"), body.get("value"), body.get("user")
    if intake.inbox is None or not isinstance(name, str) or not isinstance(user, dict):
        return []
    team = intake.me.workspace_id if intake.me else ""
    person = Person(platform="slack", workspace_id=team, id=str(user.get("id", "")))
    try:
        async with asyncio.timeout(CHOICES_BUDGET.total_seconds()):
            found = await intake.inbox.choices(name, text if isinstance(text, str) else "", person)
    except Exception as error:  # an empty list is better than an error shown by Slack
        log.warning("no_completions", option=name[:80], error=type(error).__name__)
        return []
    return [
        {"text": {"type": "plain_text", "text": choice.label[:75] or "…"}, "value": choice.value[:150]}
        for choice in found[:25]
    ]

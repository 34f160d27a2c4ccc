"""Buttons, forms and option lists: registered with Bolt, stored, then acked. The core checks rights and state."""

import asyncio
import re
from datetime import timedelta
from typing import Any, Final

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext

from bot.core.inbound import Event, Person
from platforms.slack.commands import EVENT, Intake, forward, log, not_saved

CHOICES_BUDGET: Final = timedelta(seconds=2)
"""Slack gives an option list 3 s (ours leaves room)."""


def register(app: AsyncApp, intake: Intake) -> None:
    """Every button press, form and option list, ours or not: what is not ours is only acked."""
    anything = re.compile(".*", re.DOTALL)

    async def pressed(ack: AsyncAck, context: AsyncBoltContext) -> None:
        await forward(intake, ack, context[EVENT])

    async def sent(ack: AsyncAck, context: AsyncBoltContext, body: dict[str, Any]) -> None:
        event: Event | None = context[EVENT]
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


def _first_field(body: dict[str, Any]) -> str:
    view = body.get("view")
    state = view.get("state") if isinstance(view, dict) else None
    values = state.get("values") if isinstance(state, dict) else None
    return next(iter(values), "") if isinstance(values, dict) else ""


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

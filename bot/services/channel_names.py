"""What a channel is called, for what is kept with it; never worth waiting for."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from bot.core.buttons import WishAction, parse_button
from bot.core.commands import SetFollowUp, parse
from bot.core.forms import LaterForm, read_form
from bot.core.hygiene import clean
from bot.core.inbound import ButtonPress, Command, FormSent, ThreadRef
from bot.ports import Platform
from bot.services.loops import short_ref

log = structlog.get_logger(__name__)

PATIENCE_SECONDS: Final = 2.0
NAME_MAX: Final = 100
"""Characters that are kept; Discord allows 100, Slack 80, Lark 60."""


async def name_for(event: Command | ButtonPress | FormSent, platforms: Mapping[str, Platform]) -> str:
    """The name of the event's channel where the event may set a follow-up, which keeps it; else empty."""
    match event:
        case Command(command="followup"):
            wanted = True
        case Command():
            read = await asyncio.to_thread(parse, event.text, door=event.door, in_task_thread=False)
            wanted = isinstance(read, SetFollowUp)
        case ButtonPress():
            wanted = isinstance(parse_button(event.value), WishAction)
        case FormSent():
            wanted = isinstance(read_form(event.form, event.fields), LaterForm)
    return await channel_name(event.thread, platforms) if wanted else ""


async def channel_name(place: ThreadRef | None, platforms: Mapping[str, Platform]) -> str:
    """The channel's name as its platform tells it, within 2 s; empty where it has none or nobody can tell."""
    platform = platforms.get(place.platform) if place is not None else None
    if place is None or platform is None:
        return ""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return clean(await platform.channel_name(place)).strip()[:NAME_MAX]
    except TimeoutError:
        return ""
    except Exception:
        log.exception("channel_not_named", platform=place.platform, ref=short_ref())
        return ""

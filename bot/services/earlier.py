"""What was said in a thread before something was asked for there: kept with a code task, apart from its description."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Final

from bot.core.inbound import ThreadRef
from bot.ports import Platform, Retry
from bot.services.later import Later

MESSAGES: Final = 20
READ: Final = 200
CHARACTERS: Final = 8_000
TRIES: Final = 3
"""How often a thread is read for a code task before it is filed without what was said there."""


async def said_earlier(
    platform: Platform, thread: ThreadRef, leave_out: Collection[str], attempts: int, before: datetime | None = None
) -> str:
    """The last messages of a thread (at most 20, 8,000 characters) as stored JSON, without ours and those of
    `leave_out`; `before`: only those sent by then. Raises `Later` while the platform cannot be asked."""
    posted = await platform.history(thread, None, READ)
    if isinstance(posted, Retry) and attempts + 1 < TRIES:
        raise Later(f"thread not read: {posted.why}", posted.after, TRIES)
    if not isinstance(posted, list | tuple):
        return ""
    lines: list[tuple[str, str]] = []
    size = 0
    for one in reversed(posted):
        message = one.message
        if message.message_id in leave_out or one.own or (before is not None and message.sent_at > before):
            continue
        size += len(message.text)
        if size > CHARACTERS or len(lines) == MESSAGES:
            break
        lines.append((message.person.name or message.person.id, message.text))
    return json.dumps(lines[::-1], ensure_ascii=False) if lines else ""

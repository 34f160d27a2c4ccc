"""What becomes of what people say to each other: the door between the inbox and intake."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from bot.core.inbound import Message, MessageDeleted, MessageEdited, MessageRef
from bot.ports import Retry
from bot.services.intake.changes import Changes
from bot.services.intake.collecting import Collecting
from bot.services.intake.originals import Originals
from bot.services.later import Later
from bot.store import Pending

log = structlog.get_logger(__name__)

READ_TRIES: Final = 10
"""How often the text of a message for a follow-up is asked for after a restart."""
LEAST_WAIT: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Listening:
    """Ordinary messages, as they were stored: without their words."""

    originals: Originals
    collecting: Collecting
    changes: Changes

    async def message(self, item: Pending, event: Message) -> None:
        """Something was said to nobody in particular: intake collects it."""
        await self.collecting.collect(item, event)

    async def changed(self, item: Pending, event: MessageEdited | MessageDeleted) -> None:
        """Something that was said before is now different, or gone."""
        await self.changes.follow(item, event)

    async def worded(self, item: Pending, event: Message) -> Message | None:
        """The message with its words; None when nobody can read them any more. Raises `Later` while the platform cannot
        be asked."""
        if not event.withheld:
            return event
        found = await self.originals.text(MessageRef(thread=event.thread, message_id=event.message_id))
        if isinstance(found, str):
            return event.model_copy(update={"text": found, "withheld": False})
        if isinstance(found, Retry):
            raise Later(f"message not read: {found.why}", max(found.after, LEAST_WAIT), READ_TRIES)
        log.warning("message_not_read", inbound=item.id, trouble=type(found).__name__, why=found.why)
        return None

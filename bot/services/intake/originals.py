"""The texts of ordinary messages: in memory only, for as long as there is room; else read again from the platform.

Nothing of an ordinary message is on disk before it is flagged, so after a restart, or in another process, its text is
asked for where it was said.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bot.core.inbound import Message, MessageEdited, MessageRef, ThreadRef
from bot.core.tasks import DESCRIPTION_MAX
from bot.ports import Gone, NotAllowed, Platform, Trouble

MOST: Final = 20_000
"""So many texts: more than 200 messages a second bring in the 90 s in which an item is collected."""
MOST_CHARACTERS: Final = 16_000_000
LONGEST: Final = 4 * DESCRIPTION_MAX
"""Nobody reads further: `extract` cuts there."""
KEPT: Final = timedelta(hours=1)
BEFORE: Final = 20
"""So many messages of a channel are remembered in their order."""
CHANNELS: Final = 1_000

Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Kept:
    text: str
    sent_at: datetime
    until: float


class Originals:
    """The texts that this process has heard lately. `owner` names it, to other processes."""

    def __init__(self, platforms: Mapping[str, Platform], most: int = MOST, owner: str = "") -> None:
        self.owner = owner
        self._platforms = platforms
        self._most = most
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._characters = 0
        self._order: OrderedDict[tuple[str, str, str], deque[Key]] = OrderedDict()

    def keep(self, message: Message | MessageEdited) -> None:
        """Remembers a text; an edit goes over the text before it, an older text never over a newer one."""
        if message.withheld:
            return
        key, now = _key(message.thread, message.message_id), time.monotonic()
        known = self._kept.get(key)
        if known is not None and known.sent_at > message.sent_at:
            return
        self._forget(key)
        kept = _Kept(message.text[:LONGEST], message.sent_at, now + KEPT.total_seconds())
        self._kept[key] = kept
        self._characters += len(kept.text)
        if known is None and isinstance(message, Message):
            self._put_in_order(key)
        while self._kept and (len(self._kept) > self._most or self._characters > MOST_CHARACTERS or self._is_old(now)):
            self._forget(next(iter(self._kept)))

    def held(self, message: MessageRef) -> str | None:
        """The text, if it is in memory."""
        kept = self._kept.get(_key(message.thread, message.message_id))
        return kept.text if kept is not None else None

    def outdated(self, edit: MessageEdited) -> None:
        """Forgets what is in memory of a message unless it is as new as that edit, which another process may have
        heard."""
        key = _key(edit.thread, edit.message_id)
        kept = self._kept.get(key)
        if kept is not None and kept.sent_at < edit.sent_at:
            self._forget(key)

    def before(self, message: MessageRef, most: int) -> list[str]:
        """What was said in its channel right before, oldest first, as far as it is in memory."""
        key = _key(message.thread, message.message_id)
        order = list(self._order.get(key[:3], ()))
        earlier = order[: order.index(key)] if key in order else []
        texts = [kept.text for one in earlier if (kept := self._kept.get(one)) is not None]
        return texts[-most:] if most > 0 else []

    async def text(self, message: MessageRef) -> str | Trouble:
        """The text, from memory or as the platform has it now; `Gone` when the message was deleted."""
        held = self.held(message)
        return await self.fresh(message) if held is None else held

    async def fresh(self, message: MessageRef) -> str | Trouble:
        """The text as the platform has it now, whatever is in memory."""
        platform = self._platforms.get(message.thread.platform)
        if platform is None:
            return NotAllowed(f"Configure {message.thread.platform} again.", why="platform_not_configured")
        posted = await platform.read(message)
        if isinstance(posted, Trouble):
            if isinstance(posted, Gone):
                self.drop(message)
            return posted
        self.keep(posted.message)
        return posted.message.text[:LONGEST]

    def drop(self, message: MessageRef) -> None:
        """Forgets a text."""
        self._forget(_key(message.thread, message.message_id))

    def _forget(self, key: Key) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._characters -= len(gone.text)

    def _is_old(self, now: float) -> bool:
        return next(iter(self._kept.values())).until < now

    def _put_in_order(self, key: Key) -> None:
        order = self._order.setdefault(key[:3], deque(maxlen=BEFORE))
        self._order.move_to_end(key[:3])
        order.append(key)
        if len(self._order) > CHANNELS:
            self._order.popitem(last=False)


def _key(where: ThreadRef, message_id: str) -> Key:
    return (where.platform, where.workspace_id, where.channel_id, message_id)

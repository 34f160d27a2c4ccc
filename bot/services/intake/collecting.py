"""Ordinary messages become items: many of them in one transaction, each claimed by its key, none of them stored.

Only what is known without a model is looked at here (`bot.core.intake.filter`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Final

from bot.core.inbound import Message, MessageRef
from bot.core.intake.filter import Facts, Skip, is_short, skipped
from bot.core.suggestions import TOGETHER, Mode
from bot.services.batches import Batches
from bot.services.intake.modes import Modes
from bot.services.intake.originals import Originals
from bot.store import Pending, Store, Transaction

PLACES: Final = 1_000
GATHER_SECONDS: Final = 0.02
"""Nobody waits for the claim of a message, so a few of them share a commit."""

AT_ONCE: Final = 16
"""Messages of one transaction: few enough that a command, which is stored next, hardly waits for it (ours)."""

Heard = tuple[Pending, Message]


class Part(Enum):
    """What a message is to the items of its place."""

    WORDS = auto()
    BETWEEN = auto()


class Collecting:
    """Claims messages for intake. `owner` names this process, which holds their texts."""

    def __init__(self, store: Store, modes: Modes, originals: Originals, owner: str) -> None:
        self._store = store
        self._modes = modes
        self._originals = originals
        self._owner = owner
        self._together: Batches[Heard, None] = Batches(self._collect, AT_ONCE, GATHER_SECONDS)
        self._spoke: OrderedDict[tuple[str, str], tuple[str, datetime]] = OrderedDict()

    async def collect(self, item: Pending, message: Message) -> None:
        """Marks the stored event handled and, where the message is worth it, claims it, in one transaction with
        others."""
        await self._together.add((item, message))

    async def _collect(self, heard: Sequence[Heard]) -> Sequence[None]:
        in_order = sorted(heard, key=lambda one: (one[1].sent_at, one[0].id))

        def unit(tx: Transaction) -> None:
            fresh = tx.inbox.done_all([item.id for item, _, _ in parts])
            modes = self._modes.of_each(tx, (message.thread for _, message, _ in parts))
            wanted = [
                (message, part)
                for (item, message, part), mode in zip(parts, modes, strict=True)
                if item.id in fresh and part is not None and mode is not Mode.OFF and not _steers(tx, message)
            ]
            if wanted:
                between = {at for at, (_, part) in enumerate(wanted) if part is Part.BETWEEN}
                tx.suggestions.collect([message for message, _ in wanted], self._owner, between=between)

        parts = [(item, message, self._part(message)) for item, message in in_order]
        await self._store.run(unit)
        await asyncio.sleep(0)
        return [None] * len(heard)

    def _text(self, message: Message) -> str | None:
        reference = MessageRef(thread=message.thread, message_id=message.message_id)
        return self._originals.held(reference) if message.withheld else message.text

    def _part(self, message: Message) -> Part | None:
        """What a message is to intake: words to judge, by themselves or as more of what their author has just said; or
        somebody else's few words that end that. None: nothing. Who heard it has noted whether it is short; what nobody
        has looked at is read when it is judged."""
        kind = message.person.kind
        who = Facts(by_bot=kind == "bot", by_webhook=kind == "webhook")
        if skipped("", who) is not Skip.SHORT:  # of people only the length counts, which is looked at next
            return None
        short = message.is_short
        if short is None:
            text = self._text(message)
            short = is_short(text) if text is not None else None
        place = (message.thread.canonical if message.in_thread else "", message.thread.channel_id)
        if short is None:
            return Part.WORDS
        author, at = self._spoke.get(place, ("", message.sent_at))
        again = author == message.person.id and abs(message.sent_at - at) <= TOGETHER
        if short and again:
            return Part.WORDS
        self._spoke[place] = ("" if short else message.person.id, message.sent_at)
        self._spoke.move_to_end(place)
        if len(self._spoke) > PLACES:
            self._spoke.popitem(last=False)
        return Part.BETWEEN if short else Part.WORDS


def _steers(tx: Transaction, message: Message) -> bool:
    """Whether it stands in the thread of a code task or of a follow-up."""
    thread = tx.threads.find(message.thread) if message.in_thread else None
    if thread is None:
        return False
    return tx.tasks.in_thread(thread.id) is not None or tx.followups.in_thread(thread.id) is not None

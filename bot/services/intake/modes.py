"""What intake does in a channel now, and which ordinary messages are worth an inbox row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bot.core.inbound import Message, MessageRef, Ordinary, ThreadRef
from bot.core.suggestions import Mode
from bot.services.people import Rights
from bot.store import Transaction

SETTING: Final = "intake"
"""The channel setting that holds the mode."""
FEATURES: Final = frozenset({"codetasks", "intake"})


@dataclass(frozen=True, slots=True)
class Modes:
    """Reads the modes of channels. Stateless: asked again whenever it counts."""

    rights: Rights

    @property
    def on(self) -> bool:
        """Whether intake is a part of this installation at all."""
        return set(self.rights.settings.features) >= FEATURES

    def of(self, tx: Transaction, place: ThreadRef) -> Mode:
        """The mode of the channel as it is now; off where nothing is set, and where the bot is not used."""
        chosen = tx.people.setting(place, SETTING) if self.on else None
        mode = next((mode for mode in Mode if mode.value == chosen), Mode.OFF)
        return mode if mode is Mode.OFF or self.rights.hears(tx, place) else Mode.OFF

    def of_each(self, tx: Transaction, places: Iterable[ThreadRef]) -> list[Mode]:
        """The mode at each of the places; each channel is looked up once."""
        known: dict[tuple[str, str, str], Mode] = {}
        found: list[Mode] = []
        for place in places:
            channel = (place.platform, place.workspace_id, place.channel_id)
            if channel not in known:
                known[channel] = self.of(tx, place)
            found.append(known[channel])
        return found

    def wanted(self, tx: Transaction, events: Sequence[Ordinary]) -> list[bool]:
        """Which of the things that were said, edited or deleted are to be handled. Where intake is off, only what
        stands in a thread of ours is, and what becomes of a message that intake knows."""
        modes = self.of_each(tx, (event.thread for event in events))
        return [mode is not Mode.OFF or self._is_ours(tx, event) for event, mode in zip(events, modes, strict=True)]

    def _is_ours(self, tx: Transaction, event: Ordinary) -> bool:
        if isinstance(event, Message):
            return event.in_thread and tx.threads.find(event.thread) is not None
        return tx.suggestions.of_message(MessageRef(thread=event.thread, message_id=event.message_id)) is not None


def message_key(message: MessageRef) -> str:
    """The dedup key of a code task that was filed from this message, by whichever door."""
    where = message.thread
    return f"m:{where.platform}:{where.workspace_id}:{where.channel_id}:{message.message_id}"

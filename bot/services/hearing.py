"""Channels in which the bot is used: what comes from any other is answered with one refusal, and nothing else is done.

The list is the setting CHANNELS. A follow-up that was set before its channel left the list still fires.
"""

from dataclasses import dataclass
from typing import Final

from bot.core.emoji import emoji_name
from bot.core.inbound import BotAdded, BotRemoved, ButtonPress, Command, FormSent, Gap, Person, Reaction, Unreadable
from bot.core.task_cards import say_doc
from bot.services import absence
from bot.services.announcements import Announcer
from bot.services.people import Rights
from bot.store import Pending, Store, Transaction

FILING_EMOJI: Final = "bulb"
"""The reaction that files a message where no other is chosen, as `emoji_name` names it on every platform."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """Asked of every stored event before anything else looks at it."""

    store: Store
    rights: Rights
    announcer: Announcer

    async def turned_away(self, item: Pending) -> bool:
        """Whether the event came from a channel where the bot is not used: then it is handled already."""
        event = item.event
        if not self.rights.settings.channels or isinstance(event, Gap | BotRemoved | Unreadable):
            return False
        place, direct = event.thread, event.direct
        if await self.store.run(lambda tx: self.rights.hears(tx, place, direct), read=True):
            return False
        await self.store.run(lambda tx: self._turn_away(tx, item))
        return True

    def _turn_away(self, tx: Transaction, item: Pending) -> None:
        if not tx.inbox.done(item.id):
            return
        event = item.event
        match event:
            case Command() | ButtonPress() | FormSent():
                self._refuse(tx, item, event.person)
            case Reaction(added=True) if self._files(event.emoji):
                self._refuse(tx, item, event.person)
            case BotAdded():
                absence.come_back(tx, event.thread)
                tx.outbox.revive(event.thread.model_copy(update={"root": None, "native": None}))
            case _:
                pass

    def _files(self, emoji: str) -> bool:
        chosen = self.rights.settings.intake_emoji
        return emoji == (emoji_name(chosen) if chosen else FILING_EMOJI)

    def _refuse(self, tx: Transaction, item: Pending, person: Person) -> None:
        event = item.event
        assert isinstance(event, Command | ButtonPress | FormSent | Reaction), "only people are answered"
        refused = self.rights.refuse_channel()
        token = None if isinstance(event, Reaction) else event.reply_token
        doc = self.announcer.languages.personal(tx, person, event.thread).make(
            lambda texts: say_doc(texts, refused.key, **refused.values)
        )
        known = tx.threads.find(event.thread)
        lane = known.id if known is not None else tx.threads.lane(event.thread).id
        self.announcer.whisper(tx, lane, person, doc, f"IN-{item.id}:answer", token)

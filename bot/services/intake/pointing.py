"""A message that somebody points at, with a menu, a mention or an emoji: it is found with its item, and filed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from bot.core.commands import FileTask, Options
from bot.core.emoji import emoji_name
from bot.core.inbound import Command, Message, MessageRef, Person, Reaction, ThreadRef
from bot.core.people import Action, may
from bot.core.suggestions import EXPIRED, FILED, OPEN, PER_CHANNEL_AND_DAY, REMOVED, SAME, SKIPPED, WAITING, Suggestion
from bot.ports import Platform, Posted, Retry
from bot.services.earlier import said_earlier
from bot.services.intake.judging import Reading
from bot.services.intake.modes import Modes
from bot.services.intake.suggestions import Suggestions
from bot.services.later import Later
from bot.services.ledger import Ledger
from bot.services.people import known_person
from bot.services.refusals import Refused
from bot.services.said import Answers, Said
from bot.services.tasks import Filed
from bot.store import Pending, Store, SuggestionFilter, Transaction

log = structlog.get_logger(__name__)

EMOJI: Final = "reaction"
"""The channel setting that names the emoji that files a message."""
BULB: Final = "bulb"
READ_TRIES: Final = 10
LOOKED_AT: Final = 100
SOURCE: Final = "reaction"
DOORS: Final = frozenset({"shortcut", "menu"})
"""With these a person points at somebody's message."""
MACHINES: Final = frozenset({"bot", "webhook"})
"""Whose reactions mean nothing; ours is one of them."""


@dataclass(frozen=True, slots=True)
class Pointed:
    """A message that someone reacted to: where it stands, who wrote it, and all the words of its item."""

    message: Message
    author: Person
    """Who wrote it, with the roles that the platform tells of."""
    text: str
    context: str = ""
    """What was said before it in its thread, as stored JSON."""


@dataclass(frozen=True, slots=True)
class Pointing:
    """Files what was pointed at, or shows it to those who may. Holds no state."""

    store: Store
    suggestions: Suggestions
    ledger: Ledger
    answers: Answers
    modes: Modes
    reading: Reading
    platforms: Mapping[str, Platform]

    async def meant(self, event: Command, person: Person) -> Command:
        """A command with which a person points at a message: with the author as the platform knows them, and with all
        the words of the message's item. Any other as given. Raises `Later` while either cannot be told."""
        author = event.author
        if not self.modes.on or event.door not in DOORS or event.command == "followup" or author is None:
            return event
        if not event.message_id or not may(self.suggestions.rights.role(person), Action.FILE, is_requester=False):
            return event
        known = person if _same(author, person) else await self._known(author)
        reference = MessageRef(thread=event.thread, message_id=event.message_id)
        return event.model_copy(update={"author": known, "text": await self._whole(reference, event.text)})

    async def _known(self, author: Person) -> Person:
        return await known_person(author, self.platforms, self.store, self.suggestions.rights)

    async def _whole(self, message: MessageRef, text: str) -> str:
        """What all messages of its item say; `text` where it belongs to none, and where its words are shown already."""
        found = await self.store.run(lambda tx: tx.suggestions.of_message(message), read=True)
        if found is None or found.members == 1 or found.state is OPEN:
            return text
        whole = await self.reading.of(found)
        if isinstance(whole, Retry):
            raise Later(f"item not read: {whole.why}", max(whole.after, timedelta(seconds=1)), READ_TRIES)
        return whole if isinstance(whole, str) else text

    def claimed(self, tx: Transaction, said: Said, event: Command, wish: FileTask) -> Filed | Refused | None:
        """Files a message that belongs to an item, or is to belong to one from now on; None for any other command, and
        for one who may not file."""
        if not self.modes.on or not event.message_id:
            return None
        if not may(self.suggestions.rights.role(said.person), Action.FILE, is_requester=False):
            return None
        message = MessageRef(thread=event.thread, message_id=event.message_id)
        found = tx.suggestions.of_message(message)
        if found is None and event.door not in DOORS:
            return None
        author = event.author or said.person
        if found is None:
            found = tx.suggestions.take(message, author, event.sent_at)
        found = self._by(tx, found, author)
        return self._file(tx, said, found, wish.text, event.door, wish.options, said.context)

    def _by(self, tx: Transaction, found: Suggestion, author: Person) -> Suggestion:
        """An item with what is known of its author now; that of an outsider needs an admin. Whoever was known as an
        outsider stays one."""
        if author.id != found.author_id:
            return found
        if author.roles or author.kind != "human":
            tx.people.see(author)
        if author.kind in ("human", found.author_kind):
            return found
        told = {"author_kind": author.kind, "author_name": author.name or found.author_name}
        return tx.suggestions.update(found.id or 0, (found.state,), **told) or found

    def _file(
        self,
        tx: Transaction,
        said: Said,
        found: Suggestion,
        text: str,
        source: str,
        options: Options | None = None,
        context: str = "",
    ) -> Filed | Refused:
        """Files an item by a door of its message; whoever comes second asks for it too."""
        outcome = self.suggestions.file(
            tx,
            found,
            said.person,
            text=None if found.state is OPEN else text,
            source=source,
            options=options if options != Options() else None,
            context=context,
            reply_token=said.reply_token,
        )
        if isinstance(outcome, Filed) and not outcome.fresh:
            self.ledger.ask(tx, outcome.task, said.person)
        if isinstance(outcome, Refused) and found.state in (SKIPPED, WAITING) and self.suggestions.asks(tx, found):
            self._show(tx, found, text, said.person)  # an admin is asked
        return outcome

    async def pointed_at(self, item: Pending, event: Reaction) -> Pointed | Refused | None:
        """The message that a reaction asks to file; None when the reaction is none of ours. Raises `Later` while the
        message cannot be read."""
        platform = self.platforms.get(event.platform)
        if not self.modes.on or not event.added or platform is None or event.person.kind in MACHINES:
            return None
        if not await self.store.run(lambda tx: self._may_be_ours(tx, event), read=True):
            return None
        posted = await platform.read(MessageRef(thread=event.thread, message_id=event.message_id))
        if isinstance(posted, Retry):
            raise Later(f"message not read: {posted.why}", max(posted.after, timedelta(seconds=1)), READ_TRIES)
        if not isinstance(posted, Posted):
            log.warning("message_not_read", inbound=item.id, trouble=type(posted).__name__)
            return Refused("refused.cannot_read")
        message = posted.message
        if posted.own or not await self.store.run(lambda tx: self._is_ours(tx, event, message.thread), read=True):
            return None
        reference = MessageRef(thread=message.thread, message_id=message.message_id)
        text = await self._whole(reference, message.text)
        place = message.thread
        in_thread = message.in_thread and place.root not in (None, message.message_id)
        context = ""
        if in_thread:
            own = {message.message_id}
            context = await said_earlier(platform, place, own, item.attempts, message.sent_at)
        return Pointed(message, await self._known(message.person), text, context)

    def _may_be_ours(self, tx: Transaction, event: Reaction) -> bool:
        """Whether it may file a message; a channel that is not known yet may have an emoji of its own."""
        return not event.thread.channel_id or self._is_ours(tx, event, event.thread)

    def _is_ours(self, tx: Transaction, event: Reaction, place: ThreadRef) -> bool:
        """Whether its emoji files messages in the channel, and the bot is used there."""
        if not self.suggestions.rights.hears(tx, place):
            return False
        chosen = tx.people.setting(place, EMOJI) or self.suggestions.settings.intake_emoji or BULB
        return emoji_name(event.emoji) == emoji_name(chosen)

    def reacted(self, tx: Transaction, said: Said, pointed: Pointed) -> None:
        """The emoji that files a message, on a message: filed by whoever may, else shown to those who may."""
        message = pointed.message
        reference = MessageRef(thread=message.thread, message_id=message.message_id)
        found = self._by(tx, tx.suggestions.take(reference, pointed.author, message.sent_at), pointed.author)
        if found.state is REMOVED or said.person.kind in MACHINES:
            return
        if may(self.suggestions.rights.role(said.person), Action.FILE, is_requester=False):
            self._answer(tx, said, self._file(tx, said, found, pointed.text, SOURCE, context=pointed.context))
        elif found.state in (FILED, SAME):
            task = tx.tasks.get(found.code_task_id or 0)
            if task is None:  # deleted since
                self.answers.refuse(tx, said, self.suggestions.rights.refuse_filing())
                return
            self.ledger.ask(tx, task, said.person)
            self.answers.say(tx, said, "suggestion.asked_too", ref=task.ref)
        else:
            self._offer(tx, said, found, pointed.text)

    def _offer(self, tx: Transaction, said: Said, found: Suggestion, text: str) -> None:
        if found.state is OPEN:
            self.answers.say(tx, said, "suggestion.shown_already", ref=found.ref)
            return
        outcome = self._show(tx, found, text, said.person)
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        else:
            self.answers.say(tx, said, "suggestion.shown", ref=found.ref)

    def _show(self, tx: Transaction, found: Suggestion, text: str, person: Person) -> Suggestion | Refused:
        """Shows an item to those who may decide, if there are not too many already."""
        if found.state is EXPIRED or self._offered(tx, found) >= PER_CHANNEL_AND_DAY:
            return self.suggestions.rights.refuse_filing()
        return self.suggestions.offer(tx, found, text, person)

    def _offered(self, tx: Transaction, found: Suggestion) -> int:
        """How many that people without the right have pointed at wait for a decision in the channel."""
        place = (found.platform, found.workspace_id, found.channel_id)
        waiting = tx.suggestions.list(SuggestionFilter(states=(OPEN,), channel=place, limit=LOOKED_AT))
        return sum(one.judge == "person" for one in waiting)

    def _answer(self, tx: Transaction, said: Said, outcome: Filed | Refused) -> None:
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        elif not outcome.fresh:
            self.answers.say(tx, said, "reply.already_filed", ref=outcome.task.ref)


def _same(author: Person, person: Person) -> bool:
    return (author.platform, author.workspace_id, author.id) == (person.platform, person.workspace_id, person.id)

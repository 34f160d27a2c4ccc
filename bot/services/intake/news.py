"""What threads and channels are told of suggestions. Everything here only enqueues deliveries in the transaction that
made the change; `services/outbox.py` sends them.

The line of a suggestion is one message, edited like a card: the delivery `RQ-3:line`, card key `RQ-3`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bot.core.cards import Doc
from bot.core.inbound import MessageRef, Person, ReplyToken, ThreadRef
from bot.core.suggestion_replies import Line, intake_on_doc, line_doc, muted_doc, paused_doc
from bot.core.suggestions import HASH_SHOWN, Mode, Suggestion, line_key
from bot.core.texts import Texts
from bot.services.announcements import Announcer, is_told
from bot.store import Delivery, Transaction


@dataclass(frozen=True, slots=True)
class SuggestionNews:
    """Tells of suggestions, each place in its language. Holds no state."""

    announcer: Announcer

    def line(self, tx: Transaction, thread_id: int, line: Line, why: str = "", key: str = "") -> None:
        """Posts the line in its thread, or shows on it what is true now. `why` tells two edits of one instant apart;
        an edit of the same `key` is made once."""
        suggestion, mask = line.suggestion, self.announcer.redactor.mask
        place = tx.threads.get(thread_id).ref
        doc = self.announcer.languages.shared(tx, place).make(lambda texts: line_doc(line, texts, tx.now, mask))
        if not is_told(tx, suggestion):
            tx.outbox.add(thread_id, Delivery("post", line_key(suggestion), doc, card_key=suggestion.ref))
            return
        parts = (suggestion.state.value, suggestion.text_hash[:HASH_SHOWN], int(tx.now.timestamp() * 1000), why)
        key = key or ":".join((suggestion.ref, *map(str, parts)))
        tx.outbox.add(thread_id, Delivery("edit", key, doc, card_key=suggestion.ref))

    def mark(self, tx: Transaction, thread_id: int, suggestion: Suggestion) -> None:
        """Shows on the message itself that it reads as a request."""
        message = MessageRef(thread=thread_of(suggestion), message_id=suggestion.message_id)
        self.announcer.mark(tx, thread_id, message, "idea", f"{suggestion.ref}:idea")

    def whisper(
        self, tx: Transaction, thread_id: int, person: Person, doc: Doc, key: str, token: ReplyToken | None
    ) -> None:
        """Shows something to one person."""
        self.announcer.whisper(tx, thread_id, person, doc, key, token)

    def intake_on(self, tx: Transaction, place: ThreadRef, mode: Mode, judge: str) -> None:
        """Tells a channel that its messages are judged from now on."""
        self._notice(tx, place, f"on:{mode.value}", lambda texts: intake_on_doc(mode, judge, texts))

    def paused(self, tx: Transaction, place: ThreadRef) -> None:
        """Tells a channel that three in a row were no requests."""
        self._notice(tx, place, "paused", paused_doc)

    def muted(self, tx: Transaction, place: ThreadRef, by: str) -> None:
        """Tells a channel who has muted suggestions there."""
        self._notice(tx, place, "muted", lambda texts: muted_doc(by, texts))

    def _notice(self, tx: Transaction, place: ThreadRef, what: str, draw: Callable[[Texts], Doc]) -> None:
        where = place.model_copy(update={"root": None, "native": None})
        content = self.announcer.languages.shared(tx, where).make(draw)
        key = f"intake:{where.canonical}:{what}:{int(tx.now.timestamp() * 1000)}"
        tx.outbox.add(tx.threads.open(where).id, Delivery("post", key, content))


def thread_of(suggestion: Suggestion) -> ThreadRef:
    """The thread that its line belongs in: the one its message stands in, else the one under its message."""
    return channel_of(suggestion).model_copy(update={"root": suggestion.root or suggestion.message_id})


def channel_of(suggestion: Suggestion) -> ThreadRef:
    """The channel it was said in."""
    return ThreadRef(
        platform=suggestion.platform, workspace_id=suggestion.workspace_id, channel_id=suggestion.channel_id
    )

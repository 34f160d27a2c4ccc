"""One thing that a person said, pressed or sent, while it is handled, and how it is answered: to them alone."""

from collections.abc import Callable
from dataclasses import dataclass

from bot.core import verbs as spoken
from bot.core.cards import Doc
from bot.core.commands import render
from bot.core.inbound import ButtonPress, Command, FormSent, Message, Person, Reaction, ReplyToken
from bot.core.quoting import code_span
from bot.core.task_cards import say_doc
from bot.core.texts import Texts
from bot.services.announcements import Announcer
from bot.services.languages import Wording
from bot.services.ledger import Looked
from bot.services.refusals import Refused
from bot.store import Pending, Transaction


@dataclass(frozen=True, slots=True)
class Said:
    """Who said it, where, and in which language they read. `thread_id` is the thread if we know it; `context` is what
    was said there before, as stored JSON. `origin` is the stored event that a press goes back to, with its number;
    `channel_name` is what the channel is called, for what is kept with it; `looked` what the text may repeat."""

    item: Pending
    event: Command | ButtonPress | FormSent | Message | Reaction
    person: Person
    thread_id: int | None
    wording: Wording
    context: str = ""
    origin: tuple[int, Command | ButtonPress | FormSent] | None = None
    channel_name: str = ""
    looked: Looked | None = None

    @property
    def number(self) -> int:
        """The inbox row that buttons under an answer name."""
        return self.origin[0] if self.origin is not None else self.item.id

    @property
    def key(self) -> str:
        """`IN-7`."""
        return f"IN-{self.item.id}"

    @property
    def reply_token(self) -> ReplyToken | None:
        return None if isinstance(self.event, Message | Reaction) else self.event.reply_token


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers privately. Whatever was said is answered at most once: a second answer is dropped."""

    announcer: Announcer

    def refuse(self, tx: Transaction, said: Said, refused: Refused) -> None:
        """Says no, and why."""
        self.whisper(tx, said, lambda texts: say_doc(texts, refused.key, **refused.values))

    def say(self, tx: Transaction, said: Said, key: str, **values: object) -> None:
        """Answers with one text."""
        self.whisper(tx, said, lambda texts: say_doc(texts, key, **values))

    def type_it(self, tx: Transaction, said: Said, command: spoken.Command) -> None:
        """Answers a button whose form did not open: the words to type instead."""

        def draw(texts: Texts) -> Doc:
            return say_doc(texts, "form.type_it", command=code_span(render(command, texts.language)))

        self.whisper(tx, said, draw)

    def whisper(self, tx: Transaction, said: Said, draw: Callable[[Texts], Doc]) -> None:
        """Answers the person in their language."""
        doc = said.wording.make(draw)
        lane = said.thread_id or _lane(tx, said.event)
        self.announcer.whisper(tx, lane, said.person, doc, f"{said.key}:answer", said.reply_token)


def _lane(tx: Transaction, event: Command | ButtonPress | FormSent | Message | Reaction) -> int:
    """Where someone is answered who wrote in a thread that we did not know: there, not beside it in the channel."""
    if isinstance(event, Command) and event.in_thread and event.thread.root is not None:
        return tx.threads.open(event.thread).id
    return tx.threads.lane(event.thread).id

"""The notice board: notes are pinned on it, answers are pinned below them."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.core.cards import Card, Content, Doc
from bot.core.inbound import Command, Message, MessageRef, Person, ReplyToken, ThreadRef
from bot.ports import Capabilities, Clock, Fatal, Gone, Health, HttpAnswer, Identity, Inbox, Posted, Retry
from tests.platforms.paper.settings import PaperSettings


def create(settings: PaperSettings, clock: Clock) -> "PaperPlatform":
    return PaperPlatform(settings.paper_board, clock)


class PaperPlatform:
    """Everything in memory: `pin` is what people do, `notes` what hangs there."""

    name = "paper"
    capabilities = Capabilities(
        slash=False,
        slash_in_thread=False,
        forms=False,
        whisper=False,
        activity=False,
        sees_all_messages=True,
        max_text=500,
        max_buttons=0,
        edit_window=None,
        idempotent_post=True,
        exclusive_ingress=False,
        every_language=False,
        post_interval=timedelta(0),
    )

    def __init__(self, board: str, clock: Clock) -> None:
        self._board, self._clock = board, clock
        self._numbers = itertools.count(1)
        self._inbox: Inbox | None = None
        self._listening = asyncio.Event()
        self.notes: dict[str, str] = {}
        self.below: dict[str, str] = {}
        self.authors: dict[str, str] = {}
        self.pinned = asyncio.Event()

    async def preflight(self) -> Identity:
        return Identity("paper", "pin", self._board, "clerk", "clerk")

    async def run(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        self._inbox = inbox
        self._listening.set()
        await stop.wait()
        return None

    def health(self) -> Health:
        return Health("ready" if self._inbox else "starting")

    async def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        return HttpAnswer(404)

    async def pin(self, who: str, text: str) -> str:
        """A person pins a note that asks for something."""
        await self._listening.wait()
        assert self._inbox is not None
        note, now = self._hang(text), self._clock.now()
        self.authors[note] = who
        person = Person(platform="paper", workspace_id=self._board, id=who, name=who, roles=frozenset({"owner"}))
        place = ThreadRef(platform="paper", workspace_id=self._board, channel_id="board", root=note)
        await self._inbox.accept(
            Command(
                platform="paper",
                app_id="pin",
                workspace_id=self._board,
                key=f"pin:m:{note}",
                sent_at=now,
                received_at=now,
                thread=place,
                person=person,
                door="mention",
                text=text,
                message_id=note,
            )
        )
        return note

    async def post(self, to: ThreadRef, content: Content, key: str) -> MessageRef:
        note = self._hang(_words(content))
        if to.root:
            self.below[note] = to.root
        self.pinned.set()
        return MessageRef(thread=to.model_copy(update={"root": to.root or note}), message_id=note)

    async def edit(self, message: MessageRef, content: Content, key: str) -> MessageRef | Gone:
        if message.message_id not in self.notes:
            return Gone("message")
        self.notes[message.message_id] = _words(content)
        self.pinned.set()
        return message

    async def react(self, message: MessageRef, mark: str, on: bool, key: str) -> MessageRef:
        return message

    async def whisper(
        self, person: Person, to: ThreadRef, doc: Doc, reply_token: ReplyToken | None, key: str
    ) -> MessageRef:
        return await self.post(to, doc, key)

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> Sequence[Posted]:
        return ()

    async def read(self, message: MessageRef) -> Posted | Gone:
        text = self.notes.get(message.message_id)
        if text is None:
            return Gone("message")
        now = self._clock.now()
        root = self.below.get(message.message_id) or message.message_id
        said = Message(
            platform="paper",
            app_id="pin",
            workspace_id=self._board,
            key=f"pin:m:{message.message_id}",
            sent_at=now,
            received_at=now,
            thread=message.thread.model_copy(update={"root": root}),
            person=self._pinned_by(message.message_id),
            message_id=message.message_id,
            text=text,
        )
        return Posted(said, own=message.message_id not in self.authors)

    def _pinned_by(self, note: str) -> Person:
        who = self.authors.get(note, "clerk")
        kind = "human" if note in self.authors else "bot"
        return Person(platform="paper", workspace_id=self._board, id=who, name=who, kind=kind)

    async def channels(self) -> Sequence[ThreadRef]:
        return (ThreadRef(platform="paper", workspace_id=self._board, channel_id="board"),)

    async def permalink(self, message: MessageRef) -> str | None:
        return None

    async def channel_name(self, thread: ThreadRef) -> str:
        return "notice board" if thread.channel_id == "board" else ""

    async def resolve(self, person: Person) -> Person | Retry:
        return person

    async def aclose(self) -> None:
        return

    def _hang(self, text: str) -> str:
        note = f"note-{next(self._numbers)}"
        self.notes[note] = text
        return note


def _words(content: Content) -> str:
    return f"{content.title}\n{content.summary}" if isinstance(content, Card) else content.text

"""People in a channel where intake works: what they press, type and react to, and what is shown for it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.app import App, wire
from bot.core.cards import CONTENT, Doc
from bot.core.followups import FollowUp
from bot.core.inbound import (
    ButtonPress,
    Command,
    Event,
    FormSent,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageRef,
    Person,
    Reaction,
    ThreadRef,
)
from bot.core.intake.guard import guard
from bot.core.suggestions import OPEN, SKIPPED, WAITING, Suggestion, hash_of
from bot.core.tasks import CodeTask
from bot.ports import Gone, Posted
from bot.store import AuditFilter, FollowUpFilter, TaskFilter
from platforms.registry import load_settings
from storage.engine import Database
from tests.clock import FakeClock
from tests.platforms.paper.adapter import PaperPlatform

ANA = Person(platform="paper", workspace_id="T1", id="U1", name="ana", roles=frozenset({"member"}))
"""May file."""
BO = ANA.model_copy(update={"id": "U2", "name": "bo"})
"""May only look."""
CY = ANA.model_copy(update={"id": "U3", "name": "cy", "roles": frozenset({"owner"})})
"""An admin."""
GUS = ANA.model_copy(update={"id": "U4", "name": "gus", "kind": "guest"})
DI = ANA.model_copy(update={"id": "U5", "name": "di"})
"""May file, too."""
CHANNEL = ThreadRef(platform="paper", workspace_id="T1", channel_id="C1")
TEXT = "Could we get CSV export on the invoices page? Accounting asks for it every month."
OTHER = "Could we get Excel export on the invoices page? Accounting asks for it every month."
TITLE = "Could we get CSV export on the invoices page?"
START = datetime(2026, 3, 6, 14, 30, tzinfo=UTC)


class Board(PaperPlatform):
    """A chat whose messages can be read back as they were said."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__("T1", clock)
        self.said: dict[str, Message] = {}
        self.talk: list[Message] = []
        """What its only thread holds."""
        self.guests: set[str] = set()
        """Who is none of the team; their messages do not tell."""

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> list[Posted]:
        return [Posted(message, own=False) for message in self.talk]

    async def resolve(self, person: Person) -> Person:
        return person.model_copy(update={"kind": "guest"}) if person.id in self.guests else person

    async def read(self, message: MessageRef) -> Posted | Gone:
        found = self.said.get(message.message_id)
        return Posted(found, own=False) if found is not None else Gone("message")


@dataclass
class Desk:
    """The chat services over a store, whose clock stands still."""

    app: App
    clock: FakeClock
    board: Board
    count: int = 0
    events: list[Event] = field(default_factory=list[Event])

    async def hears(
        self, text: str = TEXT, author: Person = BO, thread: ThreadRef = CHANNEL, **words: Any
    ) -> Suggestion:
        """A message that was judged to be a request, and shown."""
        message = self.writes(text, author, thread)

        def unit(tx: Any) -> Suggestion:
            tx.people.see(author)
            (number,) = tx.suggestions.collect([message], "t")
            title = text.splitlines()[0].split("? ")[0][:79]
            told = {
                "title": f"{title}?" if "? " in text else title,
                "text": text,
                "text_hash": hash_of(text),
                "guard": " ".join(guard(text)),
                "judge": "rules",
                "kind": "feature_request",
                "score": 0.9,
                "author_name": author.name,
                "author_kind": author.kind,
                **words,
            }
            moved = tx.suggestions.move(number, (WAITING,), OPEN, **told)
            assert moved is not None
            self.app.intake.suggestions.show(tx, moved)
            return tx.suggestions.get(number)

        return await self.app.store.run(unit)

    def writes(self, text: str = TEXT, author: Person = BO, thread: ThreadRef = CHANNEL) -> Message:
        """An ordinary message, which nothing has seen yet."""
        self.count += 1
        number = f"10.{self.count}"
        told = {**self._base(author), "thread": thread, "in_thread": thread.root is not None}
        message = Message(**told, key=f"A1:m:{number}", message_id=number, text=text)
        self.board.said[number] = message
        return message

    async def skips(self, text: str = TEXT, author: Person = BO) -> Message:
        """A message that was judged to be no request: nothing of it is stored but its key."""
        message = self.writes(text, author)

        def unit(tx: Any) -> None:
            tx.people.see(author)
            (number,) = tx.suggestions.collect([message], "t")
            assert tx.suggestions.move(number, (WAITING,), SKIPPED, reason="below_threshold", score=0.1)

        await self.app.store.run(unit)
        return message

    async def edits(self, message: Message, text: str = OTHER, *, told: bool = True) -> None:
        """Other words; `told` is false where the platform tells of no edits."""
        self.count += 1
        self.clock.advance(1)
        self.board.said[message.message_id] = message.model_copy(update={"text": text})
        if told:
            fields = {"message_id": message.message_id, "text": text}
            await self.handle(MessageEdited(**self._base(message.person), key=f"A1:e:{self.count}", **fields))

    async def deletes(self, message: Message) -> None:
        self.count += 1
        self.clock.advance(1)
        del self.board.said[message.message_id]
        told = {name: value for name, value in self._base(message.person).items() if name != "person"}
        await self.handle(MessageDeleted(**told, key=f"A1:d:{self.count}", message_id=message.message_id))

    async def presses(self, value: str, person: Person = ANA) -> str:
        """A button by its value; answers the last whisper."""
        self.count += 1
        event = ButtonPress(**self._base(person), key=f"A1:o:{self.count}", value=value, message_id="1.1")
        return await self.handle(event)

    async def clicks(self, label: str, person: Person = ANA, number: int = 1) -> str:
        """A button of a line by its label."""
        buttons = {button.label: button.value for button in (await self.line(number)).buttons}
        return await self.presses(buttons[label], person)

    async def says(self, text: str, person: Person = ANA, **fields: Any) -> str:
        self.count += 1
        told = {"door": "mention", "message_id": f"20.{self.count}", **fields}
        return await self.handle(Command(**{**self._base(person), "key": f"A1:c:{self.count}", "text": text, **told}))

    async def picks(self, message: Message, person: Person = ANA) -> str:
        """The message shortcut."""
        told = {"door": "shortcut", "message_id": message.message_id, "author": message.person}
        return await self.says(message.text, person, **told)

    async def reacts(self, message: Message, person: Person = ANA, emoji: str = "bulb", **fields: Any) -> str:
        self.count += 1
        told = {"message_id": message.message_id, "emoji": emoji, "added": True, **fields}
        return await self.handle(Reaction(**self._base(person), key=f"A1:r:{self.count}", **told))

    async def sends(self, form: str, text: str, person: Person = ANA) -> str:
        self.count += 1
        told = {"form": form, "fields": {"text": text}}
        return await self.handle(FormSent(**self._base(person), key=f"A1:f:{self.count}", **told))

    async def handle(self, event: Event) -> str:
        before = len(await self._bodies("kind = 'whisper'"))
        await self.app.store.run(lambda tx: tx.inbox.add(event))
        await self.app.inbox.drain()
        said = await self._bodies("kind = 'whisper'")
        return said[-1].text if len(said) > before else ""

    async def line(self, number: int = 1) -> Doc:
        """The line of a suggestion as it is shown now."""
        return (await self._bodies(f"card_key = 'RQ-{number}'"))[-1]

    async def posts(self) -> list[str]:
        """What was posted that belongs to no card."""
        return [doc.text for doc in await self._bodies("kind = 'post' AND card_key IS NULL")]

    async def notes(self) -> list[Doc]:
        """The same, with their buttons."""
        return await self._bodies("kind = 'post' AND card_key IS NULL")

    async def follow_ups(self) -> list[FollowUp]:
        return list(await self.app.store.run(lambda tx: tx.followups.list(FollowUpFilter(limit=50)), read=True))

    async def last_whisper(self) -> Doc:
        return (await self._bodies("kind = 'whisper'"))[-1]

    async def suggestion(self, number: int = 1) -> Suggestion:
        found = await self.app.store.run(lambda tx: tx.suggestions.get(number), read=True)
        assert found is not None
        return found

    async def tasks(self) -> list[CodeTask]:
        return list(await self.app.store.run(lambda tx: tx.tasks.list(TaskFilter(limit=50)), read=True))

    async def task(self) -> CodeTask:
        (task,) = await self.tasks()
        return task

    async def cards(self) -> int:
        return len(await self._rows("kind = 'post' AND card_key LIKE 'CT-%'"))

    async def audited(self, action: str) -> list[tuple[str, str]]:
        """Actor and subject of every audit entry of that action, oldest first."""
        found = await self.app.store.run(lambda tx: tx.people.audit_entries(AuditFilter(action=action)), read=True)
        return [(entry.actor, entry.subject) for entry in reversed(found)]

    async def setting(self, key: str) -> str | None:
        return await self.app.store.run(lambda tx: tx.people.setting(CHANNEL, key), read=True)

    async def sets(self, key: str, value: str) -> None:
        await self.app.store.run(lambda tx: tx.people.set_setting(CHANNEL, key, value))

    async def _bodies(self, where: str) -> list[Doc]:
        return [CONTENT.validate_json(body) for (body,) in await self._rows(where) if body]  # type: ignore[misc]

    async def _rows(self, where: str) -> list[Any]:
        sql = f"SELECT body FROM outbox WHERE {where} ORDER BY id"
        return await self.app.store.run(lambda tx: list(tx.session.execute(sa.text(sql)).all()), read=True)

    def _base(self, person: Person) -> dict[str, Any]:
        now = self.clock.now()
        told = {"platform": "paper", "app_id": "A1", "workspace_id": "T1", "person": person, "thread": CHANNEL}
        return {**told, "sent_at": now, "received_at": now}


@pytest.fixture
async def make_desk(store: Database, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Callable[..., Desk]]:
    clock.set(START)
    board = Board(clock)

    def make(**settings: Any) -> Desk:
        chosen = {
            "codetask_data": tmp_path,
            "repos": {"web": {"url": "file:///nowhere/web.git", "forge": "none"}},
            "default_agent": "demo",
            "filers": "U1,U5",
            **settings,
        }
        return Desk(wire(load_settings(**chosen), store, {"paper": board}, {}), clock, board)

    yield make


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


def labels(doc: Doc) -> list[str]:
    return [button.label for button in doc.buttons]

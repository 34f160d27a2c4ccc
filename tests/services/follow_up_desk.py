"""People at a desk: the chat services over a store, whose clock stands still, and what they whisper."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from bot.app import App, wire
from bot.core.cards import CONTENT, Button, Doc
from bot.core.followups import FollowUp, FollowUpState
from bot.core.inbound import ButtonPress, Command, Event, FormSent, Message, Person, ThreadRef
from bot.services.followup_runs import ClaimedFollowUp
from bot.store import FollowUpFilter, TaskFilter
from platforms.registry import load_settings
from storage.engine import Database
from tests.clock import FakeClock

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
ANA = Person(platform="slack", workspace_id="T1", id="U1", name="ana", roles=frozenset({"member"}), timezone=BERLIN)
BO = ANA.model_copy(update={"id": "U2", "name": "bo"})
CY = ANA.model_copy(update={"id": "U3", "name": "cy", "roles": frozenset({"owner"})})
GUEST = ANA.model_copy(update={"id": "U4", "name": "gus", "kind": "guest"})
NOWHERE = Person(platform="slack", workspace_id="T1", id="U5", name="dee", roles=frozenset({"member"}))
CHANNEL = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1")
THREAD = CHANNEL.model_copy(update={"root": "17.1"})
PENDING, RUNNING, CANCELLED = FollowUpState.PENDING, FollowUpState.RUNNING, FollowUpState.CANCELLED
FRIDAY = datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
"""15:30 in Berlin, 9:30 in New York."""


@dataclass
class Desk:
    """The chat services over a store, whose clock stands still: hand it events, read what it whispers."""

    app: App
    clock: FakeClock
    count: int = 0
    events: list[Event] = field(default_factory=list[Event])

    async def says(self, text: str, person: Person = ANA, thread: ThreadRef = CHANNEL, **fields: Any) -> Doc:
        """A command; `/followup` unless told otherwise. Answers the last whisper."""
        self.count += 1
        in_thread = thread.root is not None
        told = {"key": f"A1:c:{self.count}", "door": "mention" if in_thread else "slash", "command": "followup"}
        given = {**self._base(person, thread), **told, "in_thread": in_thread, **fields}
        await self.handle(Command(text=text, **given))
        return await self.last_whisper()

    async def presses(self, button: Button | str, person: Person = ANA, message_id: str = "1.1") -> Doc:
        self.count += 1
        value = button if isinstance(button, str) else button.value
        event = ButtonPress(**self._base(person, CHANNEL), key=f"A1:o:{self.count}", value=value, message_id=message_id)
        await self.handle(event)
        return await self.last_whisper()

    async def sends(self, form: str, person: Person = ANA, **fields: str) -> Doc:
        self.count += 1
        event = FormSent(**self._base(person, CHANNEL), key=f"A1:f:{self.count}", form=form, fields=fields)
        await self.handle(event)
        return await self.last_whisper()

    async def writes(self, text: str, person: Person = ANA, thread: ThreadRef = THREAD, **fields: Any) -> None:
        """An ordinary message."""
        self.count += 1
        given = {"in_thread": thread.root is not None, **self._base(person, thread), **fields}
        await self.handle(Message(key=f"A1:m:{self.count}", message_id=f"18.{self.count}", text=text, **given))

    def _base(self, person: Person, thread: ThreadRef) -> dict[str, Any]:
        now = self.clock.now()
        told = {"platform": "slack", "app_id": "A1", "workspace_id": "T1", "person": person, "thread": thread}
        return {**told, "sent_at": now, "received_at": now}

    async def handle(self, event: Event) -> None:
        await self.app.store.run(lambda tx: tx.inbox.add(event))
        await self.app.inbox.drain()

    async def whispers(self) -> list[Doc]:
        rows = await self.rows("SELECT body FROM outbox WHERE kind = 'whisper' ORDER BY id")
        return [CONTENT.validate_json(body) for (body,) in rows]  # type: ignore[misc]

    async def last_whisper(self) -> Doc:
        return (await self.whispers() or [Doc(text="")])[-1]

    async def all(self) -> list[FollowUp]:
        found = await self.app.store.run(lambda tx: list(tx.followups.list(FollowUpFilter(limit=200))), read=True)
        return sorted(found, key=lambda one: one.id or 0)

    async def one(self) -> FollowUp:
        (found,) = await self.all()
        return found

    async def state(self, number: int = 1) -> FollowUpState:
        return (await self.all())[number - 1].state

    async def tasks(self) -> int:
        return len(await self.app.store.run(lambda tx: tx.tasks.list(TaskFilter(limit=50)), read=True))

    async def rows(self, sql: str) -> list[Any]:
        return await self.app.store.run(lambda tx: list(tx.session.execute(sa.text(sql)).all()), read=True)

    async def runs(self, number: int = 1) -> ClaimedFollowUp:
        """Makes a pending one due, and has a worker begin it."""
        await self.app.store.run(lambda tx: tx.followups.update(number, due_at=tx.now))
        await self.app.store.run(self.app.firing.fire_due)
        claimed = await self.app.store.run(lambda tx: self.app.followup_runs.claim(tx, "w1", "h"))
        assert claimed is not None
        return claimed

    async def fires(self) -> None:
        await self.app.store.run(self.app.firing.fire_due)

    async def sees_a_thread(self) -> int:
        return (await self.app.store.run(lambda tx: tx.threads.open(THREAD))).id


@pytest.fixture
async def make_desk(store: Database, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Callable[..., Desk]]:
    clock.set(FRIDAY)

    def make(**settings: Any) -> Desk:
        chosen = {
            "codetask_data": tmp_path,
            "repos": {"web": {"url": "file:///nowhere/web.git", "forge": "none"}},
            "default_agent": "demo",
            "filers": "member",
            **settings,
        }
        return Desk(wire(load_settings(**chosen), store, {}, {}), clock)

    yield make


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


def berlin(*when: int) -> datetime:
    return datetime(*when, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)  # type: ignore[misc]


def labels(doc: Doc) -> list[str]:
    return [button.label for button in doc.buttons]

"""A channel where people talk, its platform, and a bot that listens: what intake is tried on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.app import App, wire
from bot.core.inbound import Message, MessageDeleted, MessageEdited, MessageRef, Person, ThreadRef
from bot.core.suggestions import Mode, Suggestion
from bot.ports import Gone, Posted, Trouble
from bot.store import SuggestionFilter
from platforms.registry import load_settings
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import Chat

ANA = Person(platform="slack", workspace_id="T1", id="U1", name="ana", roles=frozenset({"member"}))
BO = ANA.model_copy(update={"id": "U2", "name": "bo"})
GUS = ANA.model_copy(update={"id": "U4", "name": "gus", "kind": "guest", "roles": frozenset()})
CHANNEL = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1")
WISH = "Could we get a CSV export on the invoices page? I have to copy every line by hand each month."
MARKED = "Feature request: add a CSV export to the invoices page, please."
CHATTER = "The train was late again this morning, so I will join the stand-up from my phone."
BURST = timedelta(seconds=95)


class Wall(Chat):
    """The platform's side: what people said as it is now."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.messages: dict[str, Message] = {}
        self.trouble: Trouble | None = None
        self.reads = 0

    async def read(self, message: MessageRef) -> Posted | Trouble:
        self.reads += 1
        if self.trouble is not None:
            return self.trouble
        found = self.messages.get(message.message_id)
        return Gone("message", "message_not_found") if found is None else Posted(found, own=False, event=found)

    async def resolve(self, person: Person) -> Person:
        """The platform knows its members' roles."""
        return person.model_copy(update={"roles": frozenset({"member"} if person.kind == "human" else ())})


@dataclass
class Room:
    """A bot in a channel. `restart` forgets all that is in memory."""

    store: Database
    clock: FakeClock
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    wall: Wall = field(init=False)
    app: App = field(init=False)
    count: int = 0
    model: Any = None

    def __post_init__(self) -> None:
        self.wall = Wall(self.clock)
        self.restart()

    def restart(self) -> None:
        chosen = {
            "codetask_data": self.folder,
            "repos": {"web": {"url": "file:///nowhere/web.git", "forge": "none"}},
            "default_agent": "demo",
            "filers": "member",
            **self.settings,
        }
        self.app = wire(load_settings(**chosen), self.store, {"slack": self.wall}, {}, model=self.model)  # type: ignore[dict-item]

    async def turn(self, mode: Mode, channel: ThreadRef = CHANNEL) -> None:
        await self.store.run(lambda tx: tx.people.set_setting(channel, "intake", mode.value))

    def message(self, text: str, person: Person = ANA, root: str | None = None, **fields: Any) -> Message:
        """A message as the adapter hands it in; the platform has it from now on."""
        self.count += 1
        id, now = f"{self.count}.5", self.clock.now()
        told: dict[str, Any] = {
            "platform": "slack",
            "app_id": "A1",
            "workspace_id": "T1",
            "key": f"A1:m:C1:{id}",
            "sent_at": now,
            "received_at": now,
            "raw": {"event": {"text": text}},
            "thread": CHANNEL.model_copy(update={"root": root or id}),
            "person": person,
            "message_id": id,
            "text": text,
            "in_thread": root is not None,
        }
        message = Message(**(told | fields))
        self.wall.messages[message.message_id] = message
        return message

    async def says(self, text: str, person: Person = ANA, root: str | None = None, **fields: Any) -> Message:
        """Somebody writes, and it is handled."""
        message = self.message(text, person, root, **fields)
        await self.app.inbox.accept(message)
        await self.app.inbox.drain()
        return message

    def edit(self, message: Message, text: str) -> MessageEdited:
        """An edit as the adapter hands it in; the platform has the new text from now on."""
        self.count += 1
        now = self.clock.now()
        self.wall.messages[message.message_id] = message.model_copy(update={"text": text})
        told = message.model_dump(exclude={"kind", "in_thread", "mentions_others", "is_short", "raw"})
        told |= {"key": f"A1:e:{self.count}", "text": text, "sent_at": now, "received_at": now, "raw": {"text": text}}
        return MessageEdited(**told)

    async def edits(self, message: Message, text: str) -> None:
        """Somebody edits, and it is handled."""
        await self.app.inbox.accept(self.edit(message, text))
        await self.app.inbox.drain()

    async def deletes(self, message: Message) -> None:
        self.count += 1
        del self.wall.messages[message.message_id]
        kept = {"platform", "app_id", "workspace_id", "sent_at", "received_at", "thread", "message_id"}
        told = message.model_dump(include=kept)
        told |= {"key": f"A1:d:{self.count}", "raw": {"previous_message": {"text": message.text}}}
        await self.app.inbox.accept(MessageDeleted(**told))
        await self.app.inbox.drain()

    async def judges(self, after: timedelta = BURST) -> None:
        """Time passes, and what is due is judged."""
        self.clock.advance(after)
        await self.app.intake.judging.drain()

    async def items(self) -> list[Suggestion]:
        found = await self.store.run(lambda tx: list(tx.suggestions.list(SuggestionFilter(limit=200))), read=True)
        return sorted((Suggestion.model_validate(one.model_dump()) for one in found), key=lambda one: one.id or 0)

    async def item(self) -> Suggestion:
        (found,) = await self.items()
        return found

    async def rows(self, sql: str) -> list[Any]:
        return await self.store.run(lambda tx: list(tx.session.execute(sa.text(sql)).all()), read=True)

    async def everything(self) -> str:
        """Every value of every table."""

        def unit(tx: Any) -> str:
            connection = tx.session.connection()
            names = sa.inspect(connection).get_table_names()
            return repr([connection.exec_driver_sql(f'SELECT * FROM "{name}"').all() for name in names])

        return await self.store.run(unit, read=True)


@pytest.fixture
def make_room(store: Database, clock: FakeClock, tmp_path: Path) -> Iterator[Callable[..., Room]]:
    yield lambda **settings: Room(store, clock, tmp_path, settings)


@pytest.fixture
def room(make_room: Callable[..., Room]) -> Room:
    return make_room()

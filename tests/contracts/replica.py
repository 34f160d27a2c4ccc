"""One process of the application as the suite runs it: the real parts over the real store, ended at will."""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from bot.app import App, run_parts, wire
from bot.core.cards import Content
from bot.core.followups import FollowUp
from bot.core.inbound import Event, Gap
from bot.core.redact import LiveRedactor
from bot.core.tasks import CodeTask, Stage
from bot.ports import Clock, Fatal, Platform, Receipt
from bot.settings import Settings
from bot.store import Delivery, FollowUpFilter, TaskFilter, Transaction
from storage.engine import Database, open_database

STOP_SECONDS = 5.0
HEARD = 200


class Replica:
    """The application on one platform: chat, inbox, relay, scheduler; no worker."""

    def __init__(self, settings: Settings, make_platform: Callable[[Settings], Platform], clock: Clock) -> None:
        self.settings = settings
        self._make_platform = make_platform
        self._clock = clock
        self._stop = asyncio.Event()
        self._task: asyncio.Task[Fatal | None] | None = None
        self.store: Database
        self.platform: Platform
        self.app: App
        self.heard: deque[Event] = deque(maxlen=HEARD)
        """The latest events handed in, also those that came before."""

    async def open(self) -> None:
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.store = await open_database(self.settings.store_url, self._clock)
        self.platform = self._make_platform(self.settings)
        redactor = LiveRedactor(self.settings.secrets())
        self.app = wire(self.settings, self.store, {self.platform.name: self.platform}, {}, redactor)
        self.heard.clear()
        self._overhear()

    def _overhear(self) -> None:
        """Keeps what the adapter and the look back hand in, each time they do, whatever becomes of it then."""
        accept = self.app.inbox.accept

        async def overheard(event: Event) -> Receipt:
            receipt = await accept(event)
            self.heard.append(event)
            return receipt

        self.app.inbox.accept = overheard  # type: ignore[method-assign]

    def run(self) -> None:
        self._task = asyncio.create_task(run_parts(self.app, self._stop, None, True))

    @property
    def ended(self) -> bool:
        return self._task is not None and self._task.done()

    async def outcome(self) -> Fatal | None:
        """How the process ended; waits for its end."""
        assert self._task is not None
        return await asyncio.wait_for(asyncio.shield(self._task), 20)

    async def stop(self) -> Fatal | None:
        """Ends in good order; TimeoutError when it takes longer than it may."""
        assert self._task is not None
        self._stop.set()
        try:
            return await asyncio.wait_for(self._task, STOP_SECONDS)
        finally:
            await self._close()

    async def crash(self) -> None:
        """Ends without any order: whatever was under way is dropped where it was."""
        if self._task is not None:
            self._task.cancel()
            while not self._task.done():  # what was just stored may begin to be handled only now
                for handling in list(self.app.inbox._in_flight.values()):
                    handling.cancel()
                await asyncio.wait({self._task}, timeout=0.05)
            await asyncio.gather(self._task, return_exceptions=True)
        await self._close()

    async def _close(self) -> None:
        await self.platform.aclose()
        await self.store.close()

    # --- Looking inside -----------------------------------------------------------------------------------------------

    async def tasks(self) -> list[CodeTask]:
        """All code tasks, oldest first."""
        found = await self.store.run(lambda tx: list(tx.tasks.list(TaskFilter(limit=1000))), read=True)
        return sorted(found, key=lambda task: task.id or 0)

    async def follow_ups(self) -> list[FollowUp]:
        """All follow-ups, oldest first."""
        found = await self.store.run(lambda tx: list(tx.followups.list(FollowUpFilter(limit=1000))), read=True)
        return sorted(found, key=lambda follow_up: follow_up.id or 0)

    async def unfinished(self) -> int:
        """Events to handle and deliveries to send."""

        def count(tx: Transaction) -> int:
            waiting = {**tx.figures.deliveries()}
            waiting.pop("dead", None)
            return tx.figures.unhandled() + sum(waiting.values())

        return await self.store.run(count, read=True)

    async def finish_sending(self, seconds: float = 3.0) -> None:
        """Waits until no delivery is between claim and answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.ended and await self._sending():
                    await self.wait_for_change(0.01)

    async def _sending(self) -> int:
        return await self.store.run(lambda tx: tx.figures.deliveries().get("sending", 0), read=True)

    async def parked(self) -> int:
        """Deliveries given up for good."""
        return await self.store.run(lambda tx: tx.figures.deliveries().get("dead", 0), read=True)

    async def wait_for_change(self, seconds: float) -> None:
        await self.store.changed("outbox", self.store.version("outbox"), seconds)

    async def poke(self) -> None:
        """Wakes everything that waits for an instant, as the clock was moved."""
        if not self.ended:
            await self.app.scheduler.tick()
            if "followups" in self.app.settings.features:
                await self.store.run(self.app.firing.fire_due)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the (SQLite) database, read past the application."""
        with contextlib.closing(sqlite3.connect(str(self.store.url.database), timeout=10)) as connection:
            return connection.execute(query, values).fetchall()

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Nobody can write to the database meanwhile."""
        connection = sqlite3.connect(str(self.store.url.database), isolation_level=None, timeout=10)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.rollback()
            connection.close()

    async def events(self) -> list[Event]:
        """Everything in the inbox, oldest first."""
        numbers = [number for (number,) in self.rows("SELECT id FROM inbound ORDER BY id")]
        found = await self.store.run(lambda tx: [tx.inbox.event(number) for number in numbers], read=True)
        return [event for event in found if event is not None]

    async def told(self) -> int:
        """How many events are stored that somebody told the bot: an adapter's own notes of what it may have missed come
        when they may."""
        return sum(not isinstance(event, Gap) for event in await self.events())

    # --- What a worker does, without an agent -------------------------------------------------------------------------

    async def move(self, task_id: int, to: Stage, *, say: bool = True, **values: Any) -> CodeTask:
        """Moves a code task on from wherever it is and announces it, as a worker or the forge would."""

        def unit(tx: Transaction) -> CodeTask:
            moved = tx.tasks.move(task_id, set(Stage), to, actor="worker:contract", **values)
            assert moved is not None, f"no way to {to}"
            if to is Stage.FAILED:
                tx.runs.cancel(task_id)
            if say:
                runs = tx.runs.of_task(task_id)
                self.app.tasks.announcer.moved(tx, moved, runs[-1] if runs else None)
            return moved

        return await self.store.run(unit)

    async def send(self, thread_id: int, *deliveries: Delivery) -> None:
        """Enqueues deliveries in one transaction."""
        await self.store.run(lambda tx: [tx.outbox.add(thread_id, one) for one in deliveries])

    async def reply(self, thread_id: int, key: str, content: Content) -> None:
        await self.send(thread_id, Delivery("post", key, content))

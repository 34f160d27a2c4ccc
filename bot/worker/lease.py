"""Leases of the runs under way: kept alive from their own thread, so that a blocked event loop loses nothing."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol, TypeVar

import structlog

from bot.settings import Settings
from bot.store import Store, StoreDown, Transaction

T = TypeVar("T")
log = structlog.get_logger(__name__)

CANCEL_SECONDS = 2.0
"""A cancel is noticed within this time even when its notification was lost."""
STORE_AGAIN_SECONDS: Final = 1.0


class FencedRun(Protocol):
    """The right to write about one run, whatever it is a run of."""

    @property
    def run_id(self) -> int: ...

    @property
    def fence(self) -> int: ...


class Interrupted(Exception):
    """The run may not go on: its lease is gone (cancelled, taken over), or the worker stops."""

    def __init__(self, why: Literal["lost", "stopping"]) -> None:
        super().__init__(why)
        self.why: Literal["lost", "stopping"] = why


@dataclass(slots=True)
class Held:
    """One leased run in this process. `over` is set once the run may not go on; `why` says which way."""

    lease: FencedRun
    renewed_at: datetime
    over: asyncio.Event = field(default_factory=asyncio.Event)
    why: Literal["lost", "stopping"] = "lost"

    def end(self, why: Literal["lost", "stopping"]) -> None:
        if not self.over.is_set():
            self.why = why
            self.over.set()

    async def guard(self, work: Awaitable[T]) -> T:
        """The result of `work`, or `Interrupted` as soon as the run may not go on (then `work` is cancelled)."""
        task = asyncio.ensure_future(work)
        over = asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Interrupted(self.why)
        finally:
            over.cancel()
            if not task.done():
                await _abandon(task)

    async def write(self, store: Store, unit: Callable[[Transaction], T]) -> T:
        """One transaction. A database that is away is waited for, as long as the lease may still hold."""
        while True:
            try:
                return await store.run(unit)
            except StoreDown:
                log.warning("store_awaited", run=self.lease.run_id)
            with suppress(TimeoutError):
                async with asyncio.timeout(STORE_AGAIN_SECONDS):
                    await self.over.wait()
            if self.over.is_set():
                raise Interrupted(self.why)


async def _abandon(task: "asyncio.Future[T]") -> None:
    """Cancels a step and waits until it has cleaned up; trouble while it does so is logged, and changes nothing."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("step_ended_badly", exc_info=error)


class Leases:
    """The leases of one worker. `start` begins heartbeats, `stop` ends them."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._held: dict[int, Held] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._watcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._thread.start()
        self._watcher = asyncio.create_task(self._watch_cancels())

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join)
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher

    def add(self, lease: FencedRun) -> Held:
        held = Held(lease, self._store.now())
        with self._lock:
            self._held[lease.run_id] = held
        return held

    def remove(self, held: Held) -> None:
        with self._lock:
            # A run that was parked and approved may be held anew by now: its lease is not this one.
            if self._held.get(held.lease.run_id) is held:
                del self._held[held.lease.run_id]

    def end_all(self, why: Literal["lost", "stopping"]) -> None:
        for held in self._snapshot():
            held.end(why)

    def _snapshot(self) -> list[Held]:
        with self._lock:
            return list(self._held.values())

    def _beat(self) -> None:
        pause = usual = self._settings.heartbeat_seconds
        while not self._stop.wait(pause):
            pause = usual
            for held in self._snapshot():
                if held.over.is_set():
                    continue
                alive = self._renew(held)
                if alive is None:  # as soon as the database is back: whoever looks for lost runs is back then too
                    pause = min(STORE_AGAIN_SECONDS, usual / 4)
                elif not alive and not self._stop.is_set():
                    log.warning("lease_lost", run=held.lease.run_id, host=socket.gethostname())
                    self._loop.call_soon_threadsafe(held.end, "lost")

    def _renew(self, held: Held) -> bool | None:
        """Whether the lease goes on; None when nobody could be asked and it has not run out yet."""
        lease, length = held.lease, self._settings.lease
        try:
            alive = self._store.run_sync(lambda tx: tx.runs.heartbeat(lease.run_id, lease.fence, length))
        except Exception as error:  # a thread that ends here would let every later lease run out in silence
            if not isinstance(error, StoreDown):
                log.exception("heartbeat_failed", run=lease.run_id)
            return None if self._store.now() - held.renewed_at < length else False
        held.renewed_at = self._store.now()
        return alive

    async def _watch_cancels(self) -> None:
        while True:
            seen = self._store.version("cancel")
            try:
                await self._drop_lost()
            except Exception:
                log.exception("cancel_watch_failed")
            await self._store.changed("cancel", seen, CANCEL_SECONDS)

    async def _drop_lost(self) -> None:
        held = [h for h in self._snapshot() if not h.over.is_set()]
        if not held:
            return
        keys = [(h.lease.run_id, h.lease.fence) for h in held]
        try:
            alive = await self._store.run(lambda tx: [tx.runs.holds(*key) for key in keys], read=True)
        except StoreDown:
            return
        for one, holds in zip(held, alive, strict=True):
            if not holds:
                one.end("lost")

"""The process's alarm clock: APScheduler with exactly four jobs, none of which holds user data.

`wake` rings when the next thing falls due, `tick` every few seconds (reaps lost leases, bounds clock jumps and lost
notifications), `reconcile` looks at open pull requests, `prune` cleans up soon after the start and then daily. Every
process may run them all: claims and guarded updates decide who acts.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, get_args

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.services.attempts import Attempts
from bot.services.followup_runs import FollowUpRuns
from bot.services.merges import Reconciler
from bot.settings import Settings
from bot.store import Forgotten, Store, StoreDown, Topic, Transaction

log = structlog.get_logger(__name__)
BACKFILL_EVERY: Final = timedelta(minutes=5)
PRUNE_FIRST: Final = timedelta(minutes=5)
"""After the start, so that a process that is restarted every day prunes too."""
PRUNE_BATCH: Final = 500
SUPERSEDED_KEPT: Final = timedelta(days=1)
FORGOTTEN: Final[tuple[Forgotten, ...]] = get_args(Forgotten)
DUE_TOPICS: Final[tuple[Topic, ...]] = ("run", "outbox", "inbound", "follow_up", "intake")


class Scheduler:
    """Start it once per process; `stop` ends it. `backfill` reads missed messages every five minutes; `expire` closes
    suggestions that nobody decided in time, and answers how many it closed; `reread` looks at the messages of queued
    code tasks where nobody tells of edits."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        attempts: Attempts,
        followup_runs: FollowUpRuns,
        reconciler: Reconciler,
        backfill: Callable[[], Awaitable[None]],
        expire: Callable[[Transaction], int],
        reread: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._settings = settings
        self._listens = "intake" in settings.features
        self._attempts = attempts
        self._followup_runs = followup_runs
        self._reconciler = reconciler
        self._backfill = backfill
        self._expire = expire
        self._reread = reread
        self._backfilled_at: datetime = store.now()
        self._ticking = asyncio.Lock()
        self._looking: set[asyncio.Task[None]] = set()
        self._alarms = AsyncIOScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def start(self) -> None:
        s = self._settings
        self._alarms.add_job(self.tick, "interval", seconds=s.sweep_seconds, id="tick")
        self._alarms.add_job(self.reconcile, "interval", seconds=s.reconcile_seconds, id="reconcile")
        first = self._store.now() + PRUNE_FIRST
        self._alarms.add_job(self.prune, "interval", days=1, id="prune", next_run_time=first)
        self._alarms.start()
        self._alarms.add_job(self.tick, "date", id="wake")

    async def stop(self) -> None:
        """No alarm rings any more. A tick under way is finished; what asks the network is cut off: it is repeatable."""
        self._alarms.pause()
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
        async with self._ticking:
            self._alarms.shutdown(wait=False)

    async def tick(self) -> None:
        """Applies the retry rule to lost runs, returns lost deliveries, and sets the next alarm."""
        async with self._ticking:
            await self._tick()

    async def _tick(self) -> None:
        try:
            reaped = await self._attempts.reap(self._store) + await self._followup_runs.reap_all(self._store)
            if reaped:
                log.warning("reaped", count=reaped)
            expired = await self._store.run(self._expire) if self._listens else 0
            if expired:
                log.info("suggestions_expired", count=expired)
            await self._store.run(lambda tx: [tx.wake(topic) for topic in DUE_TOPICS])
            due = await self._store.run(lambda tx: tx.runs.next_available_at(), read=True)
        except StoreDown:
            log.warning("tick_skipped", why="the database cannot be reached")
            return
        limit = self._store.now() + timedelta(seconds=self._settings.sweep_seconds)
        at = min(due, limit) if due is not None else limit
        self._alarms.add_job(self.tick, "date", run_date=at, id="wake", replace_existing=True)

    async def reconcile(self) -> None:
        """Looks at open pull requests and, every five minutes, reads channels again for missed messages."""
        if self._looking:
            return
        self._look(self._reconciler.run_once(), "reconcile")
        if self._listens:
            self._look(self._reread(), "reread")
        now = self._store.now()
        if now - self._backfilled_at >= BACKFILL_EVERY:
            self._backfilled_at = now
            self._look(self._backfill(), "backfill")

    def _look(self, work: Awaitable[object], what: str) -> None:
        """Runs something that asks the network beside the alarms; a fault of it is logged."""

        async def look() -> None:
            try:
                await work
            except StoreDown:
                log.warning("look_skipped", what=what, why="the database cannot be reached")
            except Exception:
                log.exception("look_failed", what=what)

        task = asyncio.create_task(look(), name=what)
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def prune(self) -> None:
        """Forgets raw payloads and finished code tasks after the retention time, a few rows per transaction."""
        now = self._store.now()
        keep = now - timedelta(days=self._settings.retention_days)
        removed: dict[str, int] = {}
        try:
            for kind in FORGOTTEN:
                removed[kind] = await self._forget(kind, now - SUPERSEDED_KEPT if kind == "superseded" else keep)
        except StoreDown:
            log.warning("prune_cut_short", why="the database cannot be reached")
        log.info("pruned", **removed)

    async def _forget(self, kind: Forgotten, before: datetime) -> int:
        total = 0
        while True:
            count = await self._store.run(lambda tx: tx.prune(kind, before, PRUNE_BATCH))
            total += count
            if count < PRUNE_BATCH:
                return total

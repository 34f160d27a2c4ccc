"""The worker: claims runs as they become ready, works several at once, drains when it is told to stop."""

import asyncio
import os
import random
import socket
import string
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import metadata

import structlog

from bot.core.tasks import FailureReason
from bot.failpoints import failpoint
from bot.services.attempts import Claimed, Failure
from bot.services.loops import short_ref, work_from_rows
from bot.store import StoreDown, Transaction, WorkerSeen
from bot.worker.disk import shortage
from bot.worker.lease import Held, Interrupted, Leases
from bot.worker.run_log import RunLog
from bot.worker.socket_folders import remove_dead
from bot.worker.stages import StageRun, Tools
from bot.worker.workspace_folders import remove_stale

log = structlog.get_logger(__name__)
VERSION = metadata.version("codetask")
JANITOR_SECONDS = 60.0
DISK_SECONDS = 2.0
"""How soon a worker that is short of disk looks again."""
STALE_AFTER = timedelta(minutes=10)


def worker_name() -> str:
    """A name for this process: host, process id and four letters, since process ids come again."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{''.join(random.choices(string.ascii_lowercase, k=4))}"


class Worker:
    """Works runs until `run`'s stop event is set."""

    def __init__(self, tools: Tools, name: str = "") -> None:
        self.name = name or worker_name()
        self._tools = tools
        self._running: set[asyncio.Task[None]] = set()
        self._short_of_disk = False

    @property
    def seen(self) -> WorkerSeen:
        """What status pages show of this worker."""
        return WorkerSeen(self.name, socket.gethostname(), VERSION, self._tools.sandbox.name)

    @property
    def busy(self) -> int:
        """Runs under way."""
        return len(self._running)

    async def run(self, stop: asyncio.Event) -> None:
        """Claims and works until `stop`; then lets steps finish for a while and gives the rest back to the queue."""
        leases = Leases(self._tools.store, self._tools.settings)
        leases.start()
        janitor = asyncio.create_task(self._janitor())

        async def step() -> float | None:
            if self._is_short_of_disk():
                return DISK_SECONDS
            return None if await self._start_next(leases) else await self._idle_seconds()

        try:
            await work_from_rows(self._tools.store, "run", step, stop, self._running)
            await self._drain(leases)
        finally:
            janitor.cancel()
            with suppress(asyncio.CancelledError):
                await janitor
            await leases.stop()

    def _is_short_of_disk(self) -> bool:
        """Whether the disk is below its reserve, so that nothing new may start. What runs goes on."""
        why = shortage(self._tools.settings)
        if why and not self._short_of_disk:
            log.error("claiming_stopped", why=why, fix="Free some space. Claiming goes on by itself.")
        elif self._short_of_disk and not why:
            log.warning("claiming_goes_on", why="there is enough disk again")
        self._short_of_disk = bool(why)
        return self._short_of_disk

    async def _start_next(self, leases: Leases) -> bool:
        if len(self._running) >= self._tools.settings.max_runs:
            return False
        claimed = await self._claim()
        if claimed is None:
            return False
        self._start(claimed, leases)
        return True

    async def _claim(self) -> Claimed | None:
        host = socket.gethostname()
        try:
            claimed = await self._tools.store.run(lambda tx: self._claim_once(tx, host))
        except StoreDown:
            return None
        if claimed is not None:
            failpoint("claim.after_commit")
        return claimed

    def _claim_once(self, tx: Transaction, host: str) -> Claimed | None:
        claimed = self._tools.attempts.claim(tx, self.name, host)
        if claimed is not None:
            failpoint("claim.before_commit")
        return claimed

    async def _idle_seconds(self) -> float:
        poll = self._tools.settings.poll_interval_ms / 1000
        with suppress(StoreDown):
            due = await self._tools.store.run(lambda tx: tx.runs.next_available_at(), read=True)
            if due is not None:
                return min(max((due - self._tools.store.now()).total_seconds(), 0.001), poll)
        return poll

    def _start(self, claimed: Claimed, leases: Leases) -> None:
        held = leases.add(claimed.lease)
        task = asyncio.create_task(self._work(claimed, held), name=f"run-{claimed.lease.run_id}")
        self._running.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._running.discard(done)
            leases.remove(held)

        task.add_done_callback(ended)

    async def _work(self, claimed: Claimed, held: Held) -> None:
        async with RunLog(self._tools.store, claimed.lease, self._tools.redactor) as run_log:
            stage_run = StageRun(self._tools, claimed, held, run_log)
            log.info("run_started", run=stage_run.ref, worker=self.name)
            try:
                await stage_run.work()
                log.info("run_ended", run=stage_run.ref)
            except Interrupted as interrupted:
                await self._interrupted(stage_run, interrupted)
            except StoreDown:
                log.error("run_abandoned", run=stage_run.ref, why="the database cannot be reached")
            except Exception:
                await self._crashed(stage_run)

    async def _crashed(self, stage_run: StageRun) -> None:
        """A bug of ours costs an attempt, never the code task."""
        ref = short_ref()
        log.exception("run_crashed", run=stage_run.ref, ref=ref)
        failure = Failure(FailureReason.WORKER_LOST, f"The worker met an unexpected fault (ref {ref}).")
        lease, cost = stage_run.claimed.lease, stage_run.cost
        with suppress(StoreDown):
            await self._tools.store.run(lambda tx: self._tools.attempts.fail(tx, lease, failure, cost))

    async def _interrupted(self, stage_run: StageRun, interrupted: Interrupted) -> None:
        lease, cost = stage_run.claimed.lease, stage_run.cost
        log.info("run_interrupted", run=stage_run.ref, why=interrupted.why)
        stage_run.log.event("stopped: cancelled or taken over" if interrupted.why == "lost" else "the worker stops")
        with suppress(StoreDown):
            if interrupted.why == "stopping":
                await self._tools.store.run(lambda tx: self._tools.attempts.give_back(tx, lease, cost))
            else:
                left = stage_run.left
                await self._tools.store.run(lambda tx: self._tools.attempts.leave(tx, lease, cost, **left))

    async def _drain(self, leases: Leases) -> None:
        if not self._running:
            return
        log.info("draining", runs=len(self._running))
        _, pending = await asyncio.wait(self._running, timeout=self._tools.settings.drain_seconds)
        if pending:
            leases.end_all("stopping")
            await asyncio.wait(pending)

    async def _janitor(self) -> None:
        while True:
            try:
                await self.clean_up()
            except StoreDown:
                log.warning("clean_up_skipped", why="the database cannot be reached")
            except Exception:
                log.exception("clean_up_failed")
            await asyncio.sleep(JANITOR_SECONDS)

    async def clean_up(self) -> list[str]:
        """Removes what lost runs left: their processes, workspaces and sockets. Returns the workspaces' names."""
        settings, now = self._tools.settings, self._tools.store.now()
        live = await self._tools.store.run(lambda tx: set(tx.runs.live_workspaces()), read=True)
        keep = max(timedelta(hours=settings.keep_failed_hours), STALE_AFTER)
        removed = await remove_stale(settings.workspaces, live, STALE_AFTER, now, kept_for=keep)
        if removed:
            log.info("workspaces_removed", count=len(removed))
        dead = remove_dead(datetime.now(UTC))  # by the clock of the file system, not the database's
        if dead:
            log.info("socket_folders_removed", count=len(dead))
        return removed

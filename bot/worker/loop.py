"""The worker: claims runs as they become ready, works several at once, drains when it is told to stop."""

import asyncio
import os
import random
import socket
import string
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import metadata
from typing import Protocol

import structlog

from bot.failpoints import failpoint
from bot.services.loops import short_ref, work_from_rows
from bot.store import StoreDown, Transaction, WorkerSeen
from bot.worker.disk import shortage
from bot.worker.follow_up import FollowUpRun
from bot.worker.lease import FencedRun, Held, Interrupted, Leases
from bot.worker.run_log import RunLog
from bot.worker.socket_folders import remove_dead
from bot.worker.stages import StageRun
from bot.worker.tools import Tools
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


class _LeasedRun(Protocol):
    """One claimed run, whatever it is a run of."""

    log: RunLog

    @property
    def ref(self) -> str: ...

    async def work(self) -> None:
        """Works it to its end; raises `Interrupted` when it may not go on."""
        ...

    async def crashed(self, ref: str) -> None: ...

    async def give_back(self) -> None: ...

    async def leave(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Begin:
    """A claimed run that can be started now."""

    lease: FencedRun
    make: Callable[[Held, RunLog], _LeasedRun]


@dataclass(frozen=True, slots=True)
class _Lane:
    """One kind of runs: how many at once, how the next is claimed, and those under way."""

    limit: int
    claim: Callable[[Transaction], _Begin | None]
    running: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])


class Worker:
    """Works runs until `run`'s stop event is set."""

    def __init__(self, tools: Tools, name: str = "") -> None:
        self.name = name or worker_name()
        self._tools = tools
        self._running: set[asyncio.Task[None]] = set()
        self._lanes = self._open_lanes()
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
        """Starts what is ready of each kind. They have room of their own, so neither keeps the other waiting."""
        started = False
        for lane in self._lanes:
            if len(lane.running) < lane.limit:
                begin = await self._claim(lane)
                if begin is not None:
                    self._start(begin, lane, leases)
                    started = True
        return started

    def _open_lanes(self) -> list["_Lane"]:
        tools, host = self._tools, socket.gethostname()

        def code_task(tx: Transaction) -> _Begin | None:
            claimed = tools.attempts.claim(tx, self.name, host)
            if claimed is None:
                return None
            failpoint("claim.before_commit")
            return _Begin(claimed.lease, partial(StageRun, tools, claimed))

        def follow_up(tx: Transaction) -> _Begin | None:
            claimed = tools.followup_runs.claim(tx, self.name, host) if tools.followup_runs is not None else None
            return _Begin(claimed.lease, partial(FollowUpRun, tools, claimed)) if claimed is not None else None

        lanes = [_Lane(tools.settings.max_runs, code_task)]
        return lanes if tools.followup_runs is None else [*lanes, _Lane(tools.settings.max_follow_ups, follow_up)]

    async def _claim(self, lane: "_Lane") -> "_Begin | None":
        try:
            begin = await self._tools.store.run(lane.claim)
        except StoreDown:
            return None
        if begin is not None:
            failpoint("claim.after_commit")
        return begin

    async def _idle_seconds(self) -> float:
        poll = self._tools.settings.poll_interval_ms / 1000
        with suppress(StoreDown):
            due = await self._tools.store.run(lambda tx: tx.runs.next_available_at(), read=True)
            if due is not None:
                return min(max((due - self._tools.store.now()).total_seconds(), 0.001), poll)
        return poll

    def _start(self, begin: "_Begin", lane: "_Lane", leases: Leases) -> None:
        held = leases.add(begin.lease)
        task = asyncio.create_task(self._work(begin, held), name=f"run-{begin.lease.run_id}")
        self._running.add(task)
        lane.running.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._running.discard(done)
            lane.running.discard(done)
            leases.remove(held)

        task.add_done_callback(ended)

    async def _work(self, begin: "_Begin", held: Held) -> None:
        async with RunLog(self._tools.store, begin.lease, self._tools.redactor) as run_log:
            run = begin.make(held, run_log)
            log.info("run_started", run=run.ref, worker=self.name)
            try:
                await run.work()
                log.info("run_ended", run=run.ref)
            except Interrupted as interrupted:
                await self._interrupted(run, interrupted)
            except StoreDown:
                log.error("run_abandoned", run=run.ref, why="the database cannot be reached")
            except Exception:
                ref = short_ref()
                log.exception("run_crashed", run=run.ref, ref=ref)
                with suppress(StoreDown):
                    await run.crashed(ref)

    async def _interrupted(self, run: "_LeasedRun", interrupted: Interrupted) -> None:
        log.info("run_interrupted", run=run.ref, why=interrupted.why)
        run.log.event("stopped: cancelled or taken over" if interrupted.why == "lost" else "the worker stops")
        with suppress(StoreDown):
            await (run.give_back() if interrupted.why == "stopping" else run.leave())

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

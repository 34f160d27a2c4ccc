"""The log of one run: redacted before it is stored, at most a second late, bounded, and only while the run is ours."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from bot.core.hygiene import clean
from bot.core.redact import LiveRedactor
from bot.core.runs import LogKind, LogLine
from bot.store import Store, StoreDown, Transaction
from bot.worker.lease import FencedRun

log = structlog.get_logger(__name__)
FLUSH_SECONDS: Final = 0.5
LINE_MAX: Final = 4_000
WAITING_MAX: Final = 2_000


class RunLog:
    """Collects lines and stores them in batches. Use it as an async context manager; leaving it stores the rest."""

    def __init__(self, store: Store, lease: FencedRun, redactor: LiveRedactor) -> None:
        self._store = store
        self._lease = lease
        self.redactor = redactor
        self._lines: list[LogLine] = []
        self._dropped = 0
        self._flusher: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()

    async def __aenter__(self) -> "RunLog":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leaving.set()
        if self._flusher is not None:
            await self._flusher
        await self._flush()

    def event(self, text: str) -> None:
        """Something the worker did."""
        self.write(text, LogKind.EVENT)

    def write(self, text: str, kind: LogKind = LogKind.OUTPUT) -> None:
        """One piece of output, its beginning where it is long; stored within a second."""
        self._add(self._safe(text)[:LINE_MAX], kind)

    def write_all(self, text: str, kind: LogKind = LogKind.OUTPUT) -> None:
        """The same for a text that must be found whole: a long one becomes several entries."""
        left = self._safe(text)
        while len(left) > LINE_MAX:
            at = left.rfind("\n", LINE_MAX // 2, LINE_MAX) + 1 or LINE_MAX
            self._add(left[:at].rstrip(), kind)
            left = left[at:]
        self._add(left, kind)

    def _safe(self, text: str) -> str:
        return clean(self.redactor.mask(text)).rstrip()

    def _add(self, line: str, kind: LogKind) -> None:
        if not line:
            return
        if len(self._lines) >= WAITING_MAX:
            self._dropped += 1
            return
        self._lines.append(LogLine(type=kind, content=line))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_soon())

    async def flush(self) -> None:
        """Stores what was written so far. Call it before a stage change, so that followers see the last lines first."""
        await self._flush()

    async def _flush_soon(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._leaving.wait()
        await self._flush()

    async def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if self._dropped:
            lines.append(LogLine(type=LogKind.EVENT, content=f"{self._dropped} lines came too fast and were left out"))
            self._dropped = 0
        if not lines:
            return
        try:
            await self._store.run(lambda tx: self._keep(tx, lines))
        except StoreDown:
            if self._leaving.is_set():
                log.warning("run_log_lost", run=self._lease.run_id, lines=len(lines))
            else:
                self._lines = lines + self._lines  # the next line that comes starts another try

    def _keep(self, tx: Transaction, lines: list[LogLine]) -> None:
        """A run that was claimed again or deleted belongs to someone else: its log is not ours to write."""
        run = tx.runs.get(self._lease.run_id)
        if run is not None and run.fence == self._lease.fence:
            tx.runs.log(self._lease.run_id, lines)

"""The log of one run: redacted before it is stored, at most a second late, bounded."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from bot.core.hygiene import clean
from bot.core.redact import LiveRedactor
from bot.core.runs import LogKind, LogLine
from bot.store import Store, StoreDown

log = structlog.get_logger(__name__)
FLUSH_SECONDS: Final = 0.5
LINE_MAX: Final = 4_000
WAITING_MAX: Final = 2_000


class RunLog:
    """Collects lines and stores them in batches. Use it as an async context manager; leaving it stores the rest."""

    def __init__(self, store: Store, run_id: int, redactor: LiveRedactor) -> None:
        self._store = store
        self._run_id = run_id
        self.redactor = redactor
        self._lines: list[LogLine] = []
        self._dropped = 0
        self._flusher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RunLog":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
            with suppress(asyncio.CancelledError):
                await self._flusher
        await self._flush()

    def event(self, text: str) -> None:
        """Something the worker did."""
        self.write(text, LogKind.EVENT)

    def write(self, text: str, kind: LogKind = LogKind.OUTPUT) -> None:
        """One piece of output; stored within a second."""
        line = clean(self.redactor.mask(text)).rstrip()[:LINE_MAX]
        if not line:
            return
        if len(self._lines) >= WAITING_MAX:
            self._dropped += 1
            return
        self._lines.append(LogLine(type=kind, content=line))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_soon())

    async def _flush_soon(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        await self._flush()

    async def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if self._dropped:
            lines.append(LogLine(type=LogKind.EVENT, content=f"{self._dropped} lines came too fast and were left out"))
            self._dropped = 0
        if not lines:
            return
        try:
            await self._store.run(lambda tx: tx.runs.log(self._run_id, lines))
        except StoreDown:
            log.warning("run_log_lost", run=self._run_id, lines=len(lines))

"""Backfill: reads channels and threads again and puts what was missed through the inbox, under the same keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from bot.core.inbound import Gap, ThreadRef
from bot.ports import Inbox, Platform, Posted
from bot.store import Store

log = structlog.get_logger(__name__)

OVERLAP: Final = timedelta(seconds=60)
LIVELY: Final = timedelta(hours=24)
LIMIT: Final = 200
MAX_PAGES: Final = 50


class Backfill:
    """Reads back what the live connection may have missed.

    How far a place was read is remembered here and not taken from the newest stored event: an event that came in
    live says nothing about the one before it."""

    def __init__(self, store: Store, platforms: Mapping[str, Platform]) -> None:
        self._store = store
        self._platforms = platforms
        self._read_to: dict[str, datetime] = {}
        self.inbox: Inbox | None = None

    async def everywhere(self) -> None:
        """Every active thread and its channel, on every platform, from where it was last read (at first: a day)."""
        for name in self._platforms:
            for scope in await self._active(name):
                last = self._read_to.get(scope.canonical, self._store.now() - LIVELY)
                await self._scope(name, scope, last - OVERLAP)

    async def gap(self, gap: Gap) -> None:
        """What a gap may concern: every channel the bot is in, and the active threads."""
        platform = self._platforms.get(gap.platform)
        if platform is None:
            return
        joined = await platform.channels()
        channels = joined if isinstance(joined, Sequence) else []
        scopes = {scope.canonical: scope for scope in (*channels, *await self._active(gap.platform))}
        for scope in scopes.values():
            if gap.channel_id in (None, scope.channel_id):
                await self._scope(gap.platform, scope, gap.since - OVERLAP)

    async def _active(self, name: str) -> list[ThreadRef]:
        """The channels of active threads, then the threads themselves."""
        lively = self._store.now() - LIVELY
        threads = await self._store.run(lambda tx: tx.threads.active(name, lively), read=True)
        rooted = [thread.ref for thread in threads if thread.ref.root is not None]
        channels = {
            thread.ref.channel_id: thread.ref.model_copy(update={"root": None, "native": None}) for thread in threads
        }
        return [*channels.values(), *rooted]

    async def _scope(self, name: str, scope: ThreadRef, after: datetime) -> None:
        asked_at = self._store.now()
        for _ in range(MAX_PAGES):
            posted = await self._platforms[name].history(scope, after, LIMIT)
            if not isinstance(posted, Sequence):
                log.info("backfill_skipped", platform=name, trouble=type(posted).__name__)
                return
            await self._accept(posted)
            if len(posted) < LIMIT:
                break
            after = posted[-1].message.sent_at
        self._read_to[scope.canonical] = asked_at

    async def _accept(self, posted: Sequence[Posted]) -> None:
        if self.inbox is None:
            return
        for message in posted:
            if message.event is not None and not message.own:
                await self.inbox.accept(message.event)

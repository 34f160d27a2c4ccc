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


class Backfill:
    """Reads back what the live connection may have missed."""

    def __init__(self, store: Store, platforms: Mapping[str, Platform]) -> None:
        self._store = store
        self._platforms = platforms
        self.inbox: Inbox | None = None

    async def everywhere(self) -> None:
        """Every active thread and its channel, on every platform."""
        for name in self._platforms:
            await self._platform(name, None, self._store.now() - LIVELY)

    async def gap(self, gap: Gap) -> None:
        """The channels that a gap may concern."""
        await self._platform(gap.platform, gap.channel_id, gap.since - OVERLAP)

    async def _platform(self, name: str, channel_id: str | None, since: datetime) -> None:
        platform = self._platforms.get(name)
        if platform is None or self.inbox is None:
            return
        lively = self._store.now() - LIVELY
        threads = await self._store.run(lambda tx: tx.threads.active(name, lively), read=True)
        chosen = [thread.ref for thread in threads if channel_id in (None, thread.ref.channel_id)]
        channels = {ref.channel_id: ref.model_copy(update={"root": None, "native": None}) for ref in chosen}
        for scope in (*channels.values(), *chosen):
            await self._scope(platform, scope, since)

    async def _scope(self, platform: Platform, scope: ThreadRef, since: datetime) -> None:
        where = (scope.platform, scope.workspace_id, scope.channel_id)
        last = await self._store.run(lambda tx: tx.inbox.last_sent_at(*where), read=True)
        after = since if last is None else max(since, last - OVERLAP)
        posted = await platform.history(scope, after, LIMIT)
        if not isinstance(posted, Sequence):
            log.info("backfill_skipped", platform=scope.platform, trouble=type(posted).__name__)
            return
        await self._accept(posted)

    async def _accept(self, posted: Sequence[Posted]) -> None:
        assert self.inbox is not None
        for message in posted:
            if message.event is not None and not message.own:
                await self.inbox.accept(message.event)

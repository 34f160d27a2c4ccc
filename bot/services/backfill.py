"""Backfill: reads channels and threads again and puts what was missed through the inbox, under the same keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from bot.core.inbound import Gap, ThreadRef
from bot.ports import Gone, Inbox, InboxDown, NotAllowed, Platform, Posted, Retry, Trouble
from bot.services.later import Later
from bot.store import Store

log = structlog.get_logger(__name__)

OVERLAP: Final = timedelta(seconds=60)
LIVELY: Final = timedelta(hours=24)
LIMIT: Final = 1000
MAX_PAGES: Final = 10
GAP_TRIES: Final = 20
"""How often a gap is tried while a platform cannot be read: for about an hour."""


class Backfill:
    """Reads back what the live connection may have missed.

    From when to when a place was read is remembered here and not taken from the newest stored event: an event that came
    in live says nothing about the one before it."""

    def __init__(self, store: Store, platforms: Mapping[str, Platform]) -> None:
        self._store = store
        self._platforms = platforms
        self._read: dict[str, tuple[datetime, datetime]] = {}
        self.inbox: Inbox | None = None

    async def everywhere(self) -> None:
        """Every active thread and its channel, on every platform, from where it was last read (at first: a day)."""
        for name in self._platforms:
            for scope in await self._active(name):
                lively = self._store.now() - LIVELY
                since, until = self._read.get(scope.canonical, (lively, lively))
                await self._scope(name, scope, (until if since <= lively else lively) - OVERLAP)

    async def gap(self, gap: Gap) -> None:
        """What a gap may concern: every channel the bot is in, and the active threads.

        Raises `Later` while any of them cannot be read; those that could be are then not read again. What the bot may
        not read at all is left out (on Lark, groups where the app was not granted the right)."""
        platform = self._platforms.get(gap.platform)
        if platform is None:
            return
        after = await self._missed_since(gap) - OVERLAP
        joined = await platform.channels()
        channels: Sequence[ThreadRef] = joined if isinstance(joined, Sequence) else ()
        unread: list[Trouble] = [] if isinstance(joined, Sequence) else [joined]
        scopes = {scope.canonical: scope for scope in (*channels, *await self._active(gap.platform))}
        for scope in scopes.values():
            if gap.channel_id not in (None, scope.channel_id) or self._covers(scope, after, gap.received_at):
                continue
            trouble = await self._scope(gap.platform, scope, after)
            if trouble is not None and not isinstance(trouble, Gone | NotAllowed):  # a right does not come by waiting
                unread.append(trouble)
        if unread:
            waits = [trouble.after for trouble in unread if isinstance(trouble, Retry)]
            raise Later(f"gap not read: {type(unread[0]).__name__}", max(waits, default=timedelta(0)), GAP_TRIES)

    async def _missed_since(self, gap: Gap) -> datetime:
        """When the last event before the gap came in, at most a day earlier: an adapter that has just started cannot
        know since when nobody listened."""
        last = await self._store.run(lambda tx: tx.inbox.last_received_at(gap.platform, gap.since), read=True)
        return gap.since if last is None else max(last, gap.since - LIVELY)

    def _covers(self, scope: ThreadRef, since: datetime, until: datetime) -> bool:
        known = self._read.get(scope.canonical)
        return known is not None and known[0] <= since and until <= known[1]

    async def _active(self, name: str) -> list[ThreadRef]:
        """The channels of active threads, then the threads themselves."""
        lively = self._store.now() - LIVELY
        threads = await self._store.run(lambda tx: tx.threads.active(name, lively), read=True)
        rooted = [thread.ref for thread in threads if thread.ref.root is not None]
        channels = {
            thread.ref.channel_id: thread.ref.model_copy(update={"root": None, "native": None}) for thread in threads
        }
        return [*channels.values(), *rooted]

    async def _scope(self, name: str, scope: ThreadRef, since: datetime) -> Trouble | None:
        """Reads one place; what kept it from being read whole, None when nothing did."""
        until, after = self._store.now(), since
        for _ in range(MAX_PAGES):
            posted = await self._platforms[name].history(scope, after, LIMIT)
            if not isinstance(posted, Sequence):
                log.info("backfill_skipped", platform=name, trouble=type(posted).__name__, why=posted.why)
                return posted
            try:
                await self._accept(posted)
            except InboxDown:
                return Retry(timedelta(0), why="the inbox is down")
            if len(posted) < LIMIT:
                break
            after = posted[-1].message.sent_at
        else:
            log.warning("backfill_cut", platform=name, channel=scope.channel_id, at=after.isoformat())
            until = after
        self._remember(scope, since, until)
        return None

    def _remember(self, scope: ThreadRef, since: datetime, until: datetime) -> None:
        """Joins what was read now to what was read before, unless there is a hole between the two."""
        known = self._read.get(scope.canonical)
        whole = known is not None and since <= known[1]
        self._read[scope.canonical] = (
            (min(known[0], since), max(known[1], until)) if whole and known else (since, until)
        )

    async def _accept(self, posted: Sequence[Posted]) -> None:
        if self.inbox is None:
            return
        for message in posted:
            if message.event is not None and not message.own:
                await self.inbox.accept(message.event)

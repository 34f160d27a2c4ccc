"""The supervision of a platform's connection: again and again, with growing pauses, telling deaf from quiet.

One home for all platforms: each hands in a `Line`. Where every process gets every event, only the holder of a lease
listens; the others stand by, and still send. Rules: platforms.md 1.7, 1.8.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import structlog

from bot.core.inbound import Gap
from bot.ports import (
    AuthFailed,
    Clock,
    Fatal,
    Gone,
    Health,
    Identity,
    Inbox,
    InboxDown,
    NotAllowed,
    Retry,
    Trouble,
    Unsendable,
)
from platforms.line import C, Checked, Ended, Line, Live, Timings

log: Final = structlog.get_logger(__name__)
T = TypeVar("T")


class Lease:
    """The right to listen, held in the database under the owner's name; times by this process's own clock."""

    def __init__(self, inbox: Inbox, name: str, timings: Timings) -> None:
        self._inbox, self._name, self._timings = inbox, name, timings
        self._owner = secrets.token_hex(8)
        self._renewed = float("-inf")

    async def hold(self) -> bool:
        """Takes or renews it; False while another process has it or nobody can tell."""
        try:
            held = await self._inbox.hold(self._name, self._owner, self._timings.lease)
        except InboxDown as error:
            log.warning("lease_unknown", ref=error.ref)
            return False
        self._renewed = _monotonic() if held else float("-inf")
        return held

    @property
    def is_due(self) -> bool:
        return _monotonic() - self._renewed >= self._timings.renew.total_seconds()

    @property
    def is_lost(self) -> bool:
        """Whether another process has it by now, or may have."""
        return _monotonic() - self._renewed >= self._timings.unrenewed.total_seconds()

    async def release(self) -> None:
        await self._inbox.release(self._name, self._owner)


class Supervision(Generic[C]):
    """Runs one adapter's connection. `note` takes in the state, the last error and a count of reconnects."""

    def __init__(self, line: Line[C], clock: Clock, timings: Timings, note: Callable[..., None]) -> None:
        self._line, self._intake = line, line.intake
        self._clock, self._timings, self._note = clock, timings, note

    async def run(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        """Fills the inbox until `stop` is set or the platform refuses for good."""
        self._intake.inbox = inbox
        try:
            fatal = await self._supervise(inbox, stop)
        finally:
            await self._intake.drain(self._timings.drain)
            self._intake.inbox = None
        if fatal is not None:
            log.error("platform_failed", platform=self._line.name, why=fatal.why, fix=fatal.fix)
            self._note("failed", fatal.why)
        return fatal

    async def _supervise(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        since, failures, deaf = self._clock.now(), 0, 0
        lease: Lease | None = None
        checked = await until(stop, self._line.check())
        try:
            while checked is not None and not stop.is_set():
                match checked:
                    case Retry(why=why, after=wait):
                        failures += 1
                        self._note("reconnecting", why)
                    case Checked():
                        lease = lease or self._lease(inbox, checked)
                        ended = await self._led(checked, lease, since, stop)
                        if not isinstance(ended, Ended) or stop.is_set():
                            return ended if isinstance(ended, Fatal) else None
                        failures = 0 if ended.steady else failures + 1
                        deaf = deaf + 1 if ended.deaf else (0 if ended.heard else deaf)
                        since, wait = ended.since or since, ended.wait
                        if deaf >= self._timings.rebuilds:
                            return Fatal(f"connected, but {self._line.title} delivers no events", self._line.deaf_fix)
                        self._note("deaf" if ended.deaf else "reconnecting", ended.why, reconnects=1)
                    case AuthFailed(fix=fix, why=why) | NotAllowed(fix=fix, why=why):
                        return Fatal(f"{self._line.title} refused: {why}", fix)
                    case Gone(why=why) | Unsendable(why=why):
                        return Fatal(f"{self._line.title} refused: {why}", self._line.auth_fix)
                await until(stop, asyncio.sleep(max(pause(self._timings, failures), wait.total_seconds())))
                checked = await until(stop, self._line.check())
            return None
        finally:
            if lease is not None:
                await lease.release()

    # --- The lease ----------------------------------------------------------------------------------------------------

    def _lease(self, inbox: Inbox, checked: C) -> Lease | None:
        name = self._line.lease(checked)
        return Lease(inbox, name, self._timings) if name else None

    async def _led(self, checked: C, lease: Lease | None, since: datetime, stop: asyncio.Event) -> Ended | Fatal | None:
        """One connection, once the lease is ours. None when told to stop before."""
        if lease is None or await self._lead(lease, stop):
            return await self._connected(checked, lease, since, stop)
        return None

    async def _lead(self, lease: Lease, stop: asyncio.Event) -> bool:
        """Waits for the lease. False when told to stop before."""
        while not stop.is_set():
            if not lease.is_lost and not lease.is_due:
                return True
            if await until(stop, lease.hold()):
                return True
            self._note("standby", "")
            await until(stop, asyncio.sleep(self._timings.standby.total_seconds()))
        return False

    # --- One connection -----------------------------------------------------------------------------------------------

    async def _connected(self, checked: C, lease: Lease | None, since: datetime, stop: asyncio.Event) -> Ended | Fatal:
        """One connection from its opening to its end."""
        try:
            async with self._line.connect(checked, stop) as live:
                return await self._watch(live, lease, since, stop) if isinstance(live, Live) else live
        except Exception as error:
            meaning = self._line.meaning(error)
            if meaning is None:
                raise
            return meaning

    async def _watch(self, live: Live, lease: Lease | None, since: datetime, stop: asyncio.Event) -> Ended | Fatal:
        """Stays until connection or lease is lost, the platform is silent although there were messages, or `stop`."""
        began, connected_at, asked_at = _monotonic(), self._clock.now(), self._clock.now()
        probed_at = float("-inf")
        gap: datetime | None = since
        why, deaf = "", False
        self._note("ready", "")
        while not (stop.is_set() or why):
            missed = live.missed_since(self._heard_at(connected_at))
            if missed is not None:
                gap = min(gap or missed, missed)
            if gap is not None and await self._report_gap(gap):
                gap = None
            if lease is not None and lease.is_due and not await lease.hold() and lease.is_lost:
                why = "another process listens"
            elif self._is_quiet(max(self._heard_at(connected_at), asked_at), probed_at):
                probed_at = _monotonic()
                asked_at, quiet_since = self._clock.now(), self._heard_at(connected_at)
                limit = self._timings.connect if lease else None  # the lease is not renewed meanwhile
                probed = await until(stop, self._probe(quiet_since, limit))
                if isinstance(probed, Fatal):
                    return probed
                deaf = bool(probed) and live.can_rebuild
                why = "connected, but no events arrive" if deaf else ""
                if probed and not deaf:  # a webhook that nobody reaches: nothing to rebuild, but much to read
                    gap = quiet_since
            elif await until(stop, live.lost_within(self._timings.tick)):
                ending = live.ending()
                if isinstance(ending, Fatal):
                    return ending
                why = ending
        last = self._intake.last_inbound_at
        steady = _monotonic() - began >= self._timings.steady.total_seconds()
        heard = last is not None and last >= connected_at
        return Ended(why, gap or self._heard_at(connected_at), steady and not deaf, heard, deaf)

    def _heard_at(self, connected_at: datetime) -> datetime:
        heard = self._intake.last_inbound_at
        return heard if heard and heard >= connected_at else connected_at

    def _is_quiet(self, last: datetime, probed_at: float) -> bool:
        """Whether to probe: after a long silence, or at once when a call was refused (then not again in a row)."""
        refused = self._intake.revoked.is_set() and _monotonic() - probed_at >= self._timings.tick.total_seconds()
        return refused or self._clock.now() - last >= self._timings.deaf_after

    async def _probe(self, since: datetime, limit: timedelta | None) -> bool | Fatal:
        """Whether messages were posted that never arrived here. Fatal when the credentials are no longer good."""
        self._intake.revoked.clear()
        told = await self._line.ask()
        if isinstance(told, AuthFailed):
            return Fatal(f"{self._line.title} refused: {told.why}", told.fix)
        if isinstance(told, Trouble):
            return False
        try:
            async with asyncio.timeout(limit.total_seconds() if limit else None):
                return await self._misses(since - self._line.precision)
        except TimeoutError:
            return False

    async def _misses(self, since: datetime) -> bool:
        latest = self._clock.now() - self._timings.deaf_age
        for scope in await self._line.places():
            found = await self._line.reader.history(scope, since, self._line.page)
            if not isinstance(found, Trouble) and any(self._line.is_missed(past, since, latest) for past in found):
                return True
        return False

    async def _report_gap(self, since: datetime) -> bool:
        """Tells the backfill to read again from `since`. False when it could not be stored: ask again later."""
        about, now = self._line.about(), self._clock.now()
        if about is None:
            return False
        app_id, workspace_id = about
        gap = Gap(
            platform=self._line.name,
            app_id=app_id,
            workspace_id=workspace_id,
            key=f"{app_id}:o:gap:{now.isoformat()}",
            sent_at=now,
            received_at=now,
            since=since,
        )
        return await self._intake.accept(gap) is None


def pause(timings: Timings, failures: int) -> float:
    """Seconds before the next attempt: none after a steady time, then doubling, ±20 %."""
    first, longest = timings.first_backoff.total_seconds(), timings.longest_backoff.total_seconds()
    return min(first * 2 ** min(failures - 1, 30), longest) * random.uniform(0.8, 1.2) if failures else 0.0


async def in_time(timings: Timings, check: Awaitable[T]) -> T | Retry:
    """What a preflight finds within its 10 s."""
    try:
        async with asyncio.timeout(timings.connect.total_seconds()):
            return await check
    except TimeoutError:
        return Retry(timings.first_backoff, why="no answer in time")


def preflight_answer(checked: Checked | Trouble, title: str, url: str) -> Identity | AuthFailed | NotAllowed:
    """What `Platform.preflight` says of a check: who the bot is, or what a person has to do."""
    match checked:
        case Checked(identity=identity):
            return identity
        case Retry(why=why):
            return NotAllowed(f"{title} could not be reached at {url}; check the network and the address.", why)
        case Gone(why=why) | Unsendable(why=why):
            return NotAllowed(f"{title} refused the check ({why}).", why)
        case _:
            return checked


def noted(known: Health, state: Any = None, error: str | None = None, reconnects: int = 0) -> Health:
    """The health after something happened; what is not told stays."""
    said = known.last_error if error is None else error
    return Health(state or known.state, known.last_inbound_at, said, known.reconnects + reconnects)


async def until(stop: asyncio.Event, work: "Coroutine[Any, Any, T] | Awaitable[T]") -> T | None:
    """The result of `work`; None as soon as `stop` is set: `work` is then cancelled and gone."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for left in (task, stopped):
            left.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()

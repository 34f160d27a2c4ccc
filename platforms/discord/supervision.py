"""The supervision of the gateway: the leader lease, connecting again and again, telling deaf from quiet.

Discord sends every event to every session, so of several processes only the holder of a lease listens; the others
stand by, and still send. Rules: platforms.md 1.7, 1.8 and 2.2.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, assert_never

import discord

from bot.core.inbound import Gap
from bot.ports import AuthFailed, Clock, Fatal, Gone, Identity, Inbox, InboxDown, NotAllowed, Retry, Trouble, Unsendable
from platforms.discord.commands import Intake, log
from platforms.discord.errors import AUTH_FIX, trouble_of, why_closed
from platforms.discord.gateway import Gateway, Identifies, NoIdentifyLeft

T = TypeVar("T")
ALL_SERVERS: Final = "*"
"""The workspace of a gap: it may concern every server the bot is in."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Intervals of the supervision (platforms.md 1.7, 1.8; `tick`, `drain`, `standby` ours). Tests shorten them."""

    connect: timedelta = timedelta(seconds=10)
    session: timedelta = timedelta(seconds=60)
    heartbeat: timedelta = timedelta(seconds=60)
    first_backoff: timedelta = timedelta(seconds=1)
    longest_backoff: timedelta = timedelta(minutes=5)
    steady: timedelta = timedelta(seconds=60)
    deaf_after: timedelta = timedelta(minutes=10)
    deaf_age: timedelta = timedelta(seconds=60)
    tick: timedelta = timedelta(seconds=1)
    drain: timedelta = timedelta(seconds=2)
    rebuilds: int = 3
    lease: timedelta = timedelta(seconds=30)
    renew: timedelta = timedelta(seconds=10)
    unrenewed: timedelta = timedelta(seconds=20)
    standby: timedelta = timedelta(seconds=2)
    identify_pause: timedelta = timedelta(seconds=5)
    identifies: int = 5
    identify_window: timedelta = timedelta(minutes=10)
    identify_reserve: int = 50


@dataclass(frozen=True, slots=True)
class Checked:
    """A preflight that passed: who the bot is, and the intents it may ask for."""

    identity: Identity
    intents: int
    start_limit: Any


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a connection ended. `since`: from when on events may have been missed. `wait`: not before."""

    why: str
    since: datetime
    steady: bool = False
    heard: bool = False
    deaf: bool = False
    wait: timedelta = timedelta(0)


class Lease:
    """The right to listen, held in the database under the owner's name; times by this process's own clock."""

    def __init__(self, inbox: Inbox, app_id: str, timings: Timings) -> None:
        self._inbox, self._timings = inbox, timings
        self._name, self._owner = f"discord_gateway:{app_id}", secrets.token_hex(8)
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


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


class Supervision:
    """Runs one adapter's connection. `check` is the preflight, `probe` asks whether messages were missed."""

    def __init__(
        self,
        intake: Intake,
        clock: Clock,
        timings: Timings,
        token: str,
        check: Callable[[], Awaitable[Checked | Trouble]],
        probe: Callable[[datetime], Awaitable[bool | Fatal]],
        sync: Callable[[], Awaitable[None]],
        note: Callable[..., None],
    ) -> None:
        self._intake, self._clock, self._timings, self._token = intake, clock, timings, token
        self._check, self._probe, self._sync, self._note = check, probe, sync, note
        self._identifies = Identifies(clock, timings.identifies, timings.identify_window, timings.identify_reserve)

    async def run(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        """Connects again and again, with growing pauses, until told to stop or refused for good."""
        since, failures, deaf = self._clock.now(), 0, 0
        lease: Lease | None = None
        checked = await until(stop, self._check())
        try:
            while checked is not None:
                wait = timedelta(0)
                match checked:
                    case Checked(identity=identity):
                        lease = lease or Lease(inbox, identity.app_id, self._timings)
                        ended = await self._led(checked, lease, since, stop)
                        if not isinstance(ended, Ended) or stop.is_set():
                            return ended if isinstance(ended, Fatal) else None
                        failures = 0 if ended.steady else failures + 1
                        deaf = deaf + 1 if ended.deaf else (0 if ended.heard else deaf)
                        since, wait = ended.since, ended.wait
                        if deaf >= self._timings.rebuilds:
                            return Fatal("connected, but Discord delivers no events", "Look at the app's intents.")
                        self._note("deaf" if ended.deaf else "reconnecting", ended.why, reconnects=1)
                    case Retry(why=why, after=after):
                        failures, wait = failures + 1, after
                        self._note("reconnecting", why)
                    case refused:
                        return _refused(refused)
                await until(stop, asyncio.sleep(max(self._pause(failures), wait.total_seconds())))
                checked = await until(stop, self._check())
            return None
        finally:
            if lease is not None:
                await lease.release()

    async def _led(self, checked: Checked, lease: Lease, since: datetime, stop: asyncio.Event) -> Ended | Fatal | None:
        """One connection, once the lease is ours. None when told to stop before."""
        return await self._connected(checked, lease, since, stop) if await self._lead(lease, stop) else None

    def _pause(self, failures: int) -> float:
        """Seconds before the next attempt: none after a steady time, then doubling, ±20 %."""
        first, longest = self._timings.first_backoff.total_seconds(), self._timings.longest_backoff.total_seconds()
        return min(first * 2 ** min(failures - 1, 30), longest) * random.uniform(0.8, 1.2) if failures else 0.0

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

    async def _connected(self, checked: Checked, lease: Lease, since: datetime, stop: asyncio.Event) -> Ended | Fatal:
        """One connection from its opening to its end. A new client and session each time, closed here."""
        self._identifies.told(checked.start_limit)
        wait = self._identifies.wait()
        if wait > timedelta(0):
            return Ended("too many new sessions lately", since, wait=min(wait, self._timings.longest_backoff))
        await until(stop, self._sync())
        client = Gateway(
            self._intake, checked.intents, self._timings.heartbeat, self._timings.identify_pause, self._identifies
        )
        try:
            opened = await until(stop, client.open(self._token, self._timings.session))
            if not opened:
                return self._ended_by(client.error) or Ended("Discord started no session in time", since)
            return await self._watch(client, lease, since, stop)
        except Exception as error:  # the SDK raises whatever it met: all of it means that there is no connection
            return self._ended_by(error, since) or Ended(type(error).__name__, since)
        finally:
            await self._intake.drain(self._timings.drain)
            await client.shut(self._timings.tick)

    def _ended_by(self, error: BaseException | None, since: datetime | None = None) -> Ended | Fatal | None:
        """What the SDK's last words mean."""
        begun = since or self._clock.now()
        match error:
            case None:
                return None
            case discord.ConnectionClosed():
                return why_closed(error) or Ended(f"closed with {error.code}", begun)
            case NoIdentifyLeft():
                return Ended(str(error), begun, wait=min(error.after, self._timings.longest_backoff))
            case Exception():
                trouble = trouble_of(error)
                if isinstance(trouble, AuthFailed):
                    return Fatal(f"Discord refused: {trouble.why}", trouble.fix)
                return Ended(type(error).__name__, begun)
            case _:
                return Ended(type(error).__name__, begun)

    async def _watch(self, client: Gateway, lease: Lease, since: datetime, stop: asyncio.Event) -> Ended | Fatal:
        """Stays until the connection or lease is lost, Discord falls silent although there were messages, or `stop`."""
        began, connected_at, asked_at = _monotonic(), self._clock.now(), self._clock.now()
        gap: datetime | None = since
        sessions, why, deaf = client.sessions, "", False
        self._note("ready", "")
        while not (stop.is_set() or why):
            if client.sessions != sessions:
                sessions, gap = client.sessions, min(gap or self._heard_at(connected_at), self._heard_at(connected_at))
                self._note("ready", "", reconnects=1)
            if self._intake.lost_since is not None:
                gap, self._intake.lost_since = min(gap or self._intake.lost_since, self._intake.lost_since), None
            if gap is not None and await self._report_gap(gap):
                gap = None
            if lease.is_due and not await lease.hold() and lease.is_lost:
                why = "another process listens"
            elif self._is_quiet(max(self._heard_at(connected_at), asked_at)):
                asked_at = self._clock.now()
                probed = await until(stop, self._probe(self._heard_at(connected_at)))
                if isinstance(probed, Fatal):
                    return probed
                deaf = bool(probed)
                why = "connected, but no events arrive" if deaf else ""
            elif await until(stop, client.lost_within(self._timings.tick)):
                ended = self._ended_by(client.error)
                if isinstance(ended, Fatal):
                    return ended
                why = ended.why if ended else "the connection was lost"
        heard = (self._intake.last_inbound_at or connected_at) > connected_at
        steady = _monotonic() - began >= self._timings.steady.total_seconds()
        return Ended(why, gap or self._heard_at(connected_at), steady and not deaf, heard, deaf)

    def _heard_at(self, connected_at: datetime) -> datetime:
        heard = self._intake.last_inbound_at
        return heard if heard and heard >= connected_at else connected_at

    def _is_quiet(self, last: datetime) -> bool:
        return self._intake.revoked.is_set() or self._clock.now() - last >= self._timings.deaf_after

    async def _report_gap(self, since: datetime) -> bool:
        """Tells the backfill to read again from `since`. False when it could not be stored: ask again later."""
        me, now = self._intake.me, self._clock.now()
        if me is None:
            return False
        gap = Gap(
            platform="discord",
            app_id=me.app_id,
            workspace_id=ALL_SERVERS,
            key=f"{me.app_id}:o:gap:{now.isoformat()}",
            sent_at=now,
            received_at=now,
            since=since,
        )
        return await self._intake.accept(gap) is None


def _refused(trouble: Trouble) -> Fatal:
    """A preflight that cannot pass by itself."""
    match trouble:
        case AuthFailed(fix=fix, why=why) | NotAllowed(fix=fix, why=why):
            return Fatal(f"Discord refused: {why}", fix)
        case Retry(why=why) | Gone(why=why) | Unsendable(why=why):
            return Fatal(f"Discord refused: {why}", AUTH_FIX)
        case _:
            assert_never(trouble)


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

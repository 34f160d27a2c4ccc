"""What a platform hands to the supervision (supervision.py): how it connects, and how it tells what was missed."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, Protocol, TypeVar

from bot.core.inbound import ThreadRef
from bot.ports import Fatal, Identity, Posted, Trouble
from platforms.intake import Keeper

LOST: Final = "the connection was lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Intervals of the supervision (platforms.md 1.7, 1.8; `tick`, `drain`, `standby` ours). Tests shorten them."""

    connect: timedelta = timedelta(seconds=10)
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


@dataclass(frozen=True, slots=True)
class Checked:
    """A preflight that passed. A platform adds what it needs to connect."""

    identity: Identity


C = TypeVar("C", bound=Checked)


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a connection ended, or never began. `since`: from when on events may have been missed; None: as before.

    `wait`: no new one before."""

    why: str
    since: datetime | None = None
    steady: bool = False
    heard: bool = False
    deaf: bool = False
    wait: timedelta = timedelta(0)


class Socket(Protocol):
    """An open connection of a platform's SDK."""

    async def lost_within(self, limit: timedelta) -> bool:
        """Waits at most `limit`; True as soon as the connection has ended."""
        ...


class Live:
    """What stands between a platform and us. Without a socket it is a webhook: never lost, and nothing to rebuild."""

    def __init__(self, socket: Socket | None = None) -> None:
        self._socket = socket

    @property
    def can_rebuild(self) -> bool:
        return self._socket is not None

    async def lost_within(self, limit: timedelta) -> bool:
        if self._socket is not None:
            return await self._socket.lost_within(limit)
        await asyncio.sleep(limit.total_seconds())
        return False

    def missed_since(self, heard_at: datetime) -> datetime | None:
        """From when on events may have been missed though the connection stands; each is told once."""
        return None

    def ending(self) -> str | Fatal:
        """Why it was lost, or why no other could stand."""
        return LOST


class Reader(Protocol):
    """What the probe reads."""

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> Sequence[Posted] | Trouble: ...

    async def channels(self) -> Sequence[ThreadRef] | Trouble: ...


class Line(ABC, Generic[C]):
    """One platform's part. `title` is its name for people; `auth_fix` and `deaf_fix` tell them what to do.

    `page`: how many messages the probe reads of a channel; `precision`: of the platform's times; `everywhere`: the
    workspace of a gap that may concern all of them."""

    name: str
    title: str
    auth_fix: str
    deaf_fix: str
    page: int = 200
    precision: timedelta = timedelta(0)
    everywhere: str = ""

    def __init__(self, intake: Keeper[Any], reader: Reader, check: Callable[[], Awaitable[C | Trouble]]) -> None:
        self.intake, self.reader, self.check = intake, reader, check

    @abstractmethod
    def connect(self, checked: C, stop: asyncio.Event) -> AbstractAsyncContextManager[Live | Ended | Fatal]:
        """A new connection, closed with its client and session at the end of the context, whatever happens there."""

    @abstractmethod
    async def ask(self) -> object:
        """Asks the platform who we are. A `Trouble` when it does not say: `AuthFailed` ends everything."""

    def meaning(self, error: Exception) -> Ended | Fatal | None:
        """What an exception of the SDK means for the connection; None for a bug of ours, which is raised."""
        return None

    def lease(self, checked: C) -> str | None:
        """The lease that whoever listens has to hold; None where several processes may listen."""
        return None

    def about(self) -> tuple[str, str] | None:
        """The app and the workspace that a gap concerns; None while nobody told who we are."""
        me = self.intake.me
        return None if me is None else (me.app_id, self.everywhere or me.workspace_id)

    async def places(self) -> Sequence[ThreadRef]:
        """At most ten channels in which the probe looks for missed messages: those lately heard from, else any."""
        about, recent = self.about(), list(self.intake.channels)[-10:]
        if about is None:
            return []
        if recent:
            return [ThreadRef(platform=self.name, workspace_id=about[1], channel_id=channel) for channel in recent]
        joined = await self.reader.channels()
        return [] if isinstance(joined, Trouble) else joined[:10]

    def is_missed(self, past: Posted, since: datetime, latest: datetime) -> bool:
        """Whether a message of the history should have been heard: a person's, after the last that was, settled."""
        return past.event is not None and past.message.person.kind == "human" and since < past.message.sent_at <= latest

"""What is Discord's own of the supervision: the gateway, its day's budget of new sessions, what its close codes mean.

Discord sends every event to every session, so of several processes only the holder of a lease listens. Rules:
platforms.md 1.8 and 2.2.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import discord

from bot.core.inbound import ThreadRef
from bot.ports import AuthFailed, Clock, Fatal, Posted, Trouble
from platforms.discord.api import Api
from platforms.discord.commands import Intake
from platforms.discord.errors import AUTH_FIX, trouble_of, why_closed
from platforms.discord.gateway import Gateway, Identifies, NoIdentifyLeft
from platforms.discord.reading import PAGE, Reading
from platforms.line import LOST, Ended, Line, Live
from platforms.line import Checked as _Checked
from platforms.line import Timings as _Timings
from platforms.supervision import until

ALL_SERVERS: Final = "*"
"""The workspace of a gap: it may concern every server the bot is in."""
MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings(_Timings):
    """The intervals of the supervision (platforms.md 1.7, 1.8), of the gateway, and the budget of IDENTIFYs (ours)."""

    session: timedelta = timedelta(seconds=60)
    heartbeat: timedelta = timedelta(seconds=60)
    identify_pause: timedelta = timedelta(seconds=5)
    identifies: int = 5
    identify_window: timedelta = timedelta(minutes=10)
    identify_reserve: int = 50


@dataclass(frozen=True, slots=True)
class Checked(_Checked):
    """A preflight that passed: also the intents the bot may ask for, and how many sessions are left today."""

    intents: int
    start_limit: Any


class Listening(Live):
    """A session of the gateway. The SDK resumes it by itself; where it had to begin another, events were missed."""

    def __init__(self, client: Gateway, intake: Intake, note: Callable[..., None]) -> None:
        super().__init__(client)
        self._client, self._intake, self._note = client, intake, note
        self._sessions = client.sessions

    def missed_since(self, heard_at: datetime) -> datetime | None:
        missed, self._intake.lost_since = self._intake.lost_since, None
        if self._client.sessions != self._sessions:
            self._sessions = self._client.sessions
            self._note("ready", "", reconnects=1)
            since = self._client.silent_since  # not `heard_at`: the new session may have been heard since
            missed = min(missed or since, since, heard_at)
        return missed

    def ending(self) -> str | Fatal:
        ended = None if self._client.error is None else meaning_of(self._client.error)
        return ended.why if isinstance(ended, Ended) else ended or LOST


class DiscordLine(Line[Checked]):
    """The gateway under a lease. `sync` registers the commands before each connection."""

    name, title, auth_fix = "discord", "Discord", AUTH_FIX
    deaf_fix = "Look at the app's intents."
    page, precision, everywhere = PAGE, MILLISECOND, ALL_SERVERS

    def __init__(
        self,
        intake: Intake,
        reading: Reading,
        api: Api,
        check: Callable[[], Awaitable[Checked | Trouble]],
        sync: Callable[[], Awaitable[None]],
        note: Callable[..., None],
        clock: Clock,
        timings: Timings,
    ) -> None:
        super().__init__(intake, reading, check)
        self._discord, self._api, self._sync, self._note, self._timings = intake, api, sync, note, timings
        self._identifies = Identifies(clock, timings.identifies, timings.identify_window, timings.identify_reserve)

    @asynccontextmanager
    async def connect(self, checked: Checked, stop: asyncio.Event) -> AsyncIterator[Live | Ended | Fatal]:
        self._identifies.told(checked.start_limit)
        wait = self._identifies.wait()
        if wait > timedelta(0):
            yield self._later("too many new sessions lately", wait)
            return
        await until(stop, self._sync())
        client = Gateway(
            self._discord, checked.intents, self._timings.heartbeat, self._timings.identify_pause, self._identifies
        )
        try:
            if await until(stop, client.open(self._api.token, self._timings.session)):
                yield Listening(client, self._discord, self._note)
            else:
                yield Ended("Discord started no session in time")
        finally:
            await self.intake.drain(self._timings.drain)
            await client.shut(self._timings.tick)

    def _later(self, why: str, wait: timedelta) -> Ended:
        return Ended(why, wait=min(wait, self._timings.longest_backoff))

    def meaning(self, error: Exception) -> Ended | Fatal:
        """The SDK raises whatever it met: all of it means that there is no connection."""
        return self._later(str(error), error.after) if isinstance(error, NoIdentifyLeft) else meaning_of(error)

    def lease(self, checked: Checked) -> str:
        return f"discord_gateway:{checked.identity.app_id}"

    async def ask(self) -> object:
        return await self._api.open()

    async def places(self) -> Sequence[ThreadRef]:
        """Also threads, which only a look at the servers tells."""
        joined = await self.reader.channels()
        scopes = [] if isinstance(joined, Trouble) else joined
        recent = list(self.intake.channels)[-10:]
        return [one for one in scopes if (one.native or one.channel_id) in recent] or scopes[:10]

    def is_missed(self, past: Posted, since: datetime, latest: datetime) -> bool:
        """Whether a person wrote this after the last that was heard. An id tells the time to the millisecond only."""
        said = past.message
        new = int(said.message_id) > self._discord.last_message and said.sent_at >= since
        return new and past.event is not None and said.person.kind == "human" and said.sent_at <= latest


def meaning_of(error: BaseException) -> Ended | Fatal:
    """What the SDK's last words mean."""
    match error:
        case discord.ConnectionClosed():
            return why_closed(error) or Ended(f"closed with {error.code}")
        case NoIdentifyLeft():
            return Ended(str(error))
        case Exception():
            trouble = trouble_of(error)
            refused = isinstance(trouble, AuthFailed)
            return Fatal(f"Discord refused: {trouble.why}", trouble.fix) if refused else Ended(type(error).__name__)
        case _:
            return Ended(type(error).__name__)

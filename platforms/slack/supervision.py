"""What is Slack's own of the supervision: Socket Mode, or the webhook, and who tells whether the token holds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from bot.ports import Fatal, Trouble
from platforms.line import Checked as _Checked
from platforms.line import Ended, Line, Live, Reader
from platforms.line import Timings as _Timings
from platforms.slack.commands import Connection, Intake
from platforms.slack.errors import AUTH_FIX
from platforms.supervision import until


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings(_Timings):
    """The intervals of the supervision, and of Socket Mode's pings (platforms.md 1.7)."""

    ping: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Checked(_Checked):
    """A preflight that passed. `url`: where to connect to; empty for the HTTP transport."""

    url: str


class SlackLine(Line[Checked]):
    """Socket Mode or HTTP, as the preflight found. `open` makes a connection, `ask` is `auth.test`."""

    name, title, auth_fix = "slack", "Slack", AUTH_FIX
    deaf_fix = "Look for another process of this app."

    def __init__(
        self,
        intake: Intake,
        reader: Reader,
        check: Callable[[], Awaitable[Checked | Trouble]],
        ask: Callable[[], Awaitable[object]],
        make: Callable[[], Connection],
        timings: Timings,
    ) -> None:
        super().__init__(intake, reader, check)
        self._ask, self._make, self._timings = ask, make, timings

    @asynccontextmanager
    async def connect(self, checked: Checked, stop: asyncio.Event) -> AsyncIterator[Live | Ended | Fatal]:
        if not checked.url:
            yield Live()
            return
        socket = self._make()
        try:
            opened = await until(stop, socket.open(checked.url, self._timings.connect))
            yield Live(socket) if opened else Ended("Slack did not greet in time")
        finally:
            try:
                await self.intake.drain(self._timings.drain)
            finally:
                await socket.shut(self._timings.tick)

    async def ask(self) -> object:
        return await self._ask()

"""What is Lark's own of the supervision: the long connection, or the webhook, and which messages ought to arrive."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.ports import Fatal, Posted, Trouble
from platforms.lark.commands import Intake
from platforms.lark.connection import Connection
from platforms.lark.errors import AUTH_FIX
from platforms.lark.reading import Reader
from platforms.lark.rest import Json
from platforms.lark.setup import SENSITIVE_SCOPE
from platforms.line import Checked as _Checked
from platforms.line import Ended, Line, Live
from platforms.line import Timings as _Timings
from platforms.supervision import until


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings(_Timings):
    """The intervals of the supervision (platforms.md 1.7), of the pings, and `hold` (ours).

    `hold`: how long a button press waits for what the core whispers; Lark gives 3 s, storing takes its part."""

    ping: timedelta = timedelta(seconds=20)
    hold: timedelta = timedelta(milliseconds=400)


@dataclass(frozen=True, slots=True)
class Checked(_Checked):
    """A preflight that passed. `endpoint`: where to connect to; empty for the webhook."""

    endpoint: Json


class LarkLine(Line[Checked]):
    """The long connection or the webhook, as the preflight found. `granted`: the scopes the app has."""

    name, title, auth_fix = "lark", "Lark", AUTH_FIX
    deaf_fix = "Look for another process of this app."
    precision = timedelta(milliseconds=1)

    def __init__(
        self,
        intake: Intake,
        reader: Reader,
        check: Callable[[], Awaitable[Checked | Trouble]],
        make: Callable[[Json], Connection],
        granted: Callable[[], frozenset[str]],
        timings: Timings,
    ) -> None:
        super().__init__(intake, reader, check)
        self._get, self._make, self._granted, self._timings = reader.get, make, granted, timings

    @asynccontextmanager
    async def connect(self, checked: Checked, stop: asyncio.Event) -> AsyncIterator[Live | Ended | Fatal]:
        if not checked.endpoint:
            yield Live()
            return
        socket = self._make(checked.endpoint)
        try:
            refused = await until(stop, socket.open(self._timings.connect))
            yield Live(socket) if refused == "" else Ended(refused or "stopped")
        finally:
            socket.take_no_more()
            await self.intake.drain(self._timings.drain)
            await socket.shut(self._timings.tick)

    async def ask(self) -> object:
        return await self._get("/open-apis/bot/v3/info")

    def is_missed(self, past: Posted, since: datetime, latest: datetime) -> bool:
        """Whether a message should have arrived. Without the sensitive scope a group sends only mentions."""
        mentioned = past.event is not None and past.event.kind == "command" and past.event.door == "mention"
        return super().is_missed(past, since, latest) and (SENSITIVE_SCOPE in self._granted() or mentioned)

"""One connection to Discord's gateway: the SDK's client, kept from dying of what it cannot read.

discord.py ends its client on any payload that it cannot parse and on a failed first connect, and it reconnects without
counting its IDENTIFYs. So a client lives for one connection and its RESUMEs; the supervision makes a new one.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import discord

from bot.ports import Clock
from platforms.discord.api import Http
from platforms.discord.buttons import PressedButton
from platforms.discord.commands import HEARD, Intake, log

SILENT: Final = HEARD - {"INTERACTION_CREATE"}
"""Events that only we read; the SDK's objects of them are not needed."""


class NoIdentifyLeft(Exception):
    """Connecting again now would waste the day's IDENTIFYs: too many end in a reset of the token."""

    def __init__(self, after: timedelta) -> None:
        super().__init__("too many new sessions")
        self.after = after


class Identifies:
    """The budget of new sessions: at most `most` within `window`, and none when Discord says few are left today."""

    def __init__(self, clock: Clock, most: int, window: timedelta, least: int) -> None:
        self._clock, self._most, self._window, self._least = clock, most, window, least
        self._used: deque[datetime] = deque()
        self.left = 1000
        self.resets_in = timedelta(0)

    def told(self, limit: Any) -> None:
        """Takes in `session_start_limit` of `GET /gateway/bot`."""
        if isinstance(limit, dict):
            self.left = int(limit.get("remaining", self.left))
            self.resets_in = timedelta(milliseconds=int(limit.get("reset_after", 0)))

    def wait(self) -> timedelta:
        """How long until the next new session may start; zero for now."""
        if self.left < self._least:
            return max(self.resets_in, timedelta(seconds=1))
        now = self._clock.now()
        while self._used and not timedelta(0) <= now - self._used[0] < self._window:
            self._used.popleft()  # long ago, or the clock was set back
        return self._window - (now - self._used[0]) if len(self._used) >= self._most else timedelta(0)

    def take(self) -> None:
        """Counts one. Raises `NoIdentifyLeft`."""
        wait = self.wait()
        if wait > timedelta(0):
            raise NoIdentifyLeft(wait)
        self._used.append(self._clock.now())
        self.left -= 1


class Gateway(discord.Client):
    """The SDK's client for one connection. `sessions` counts the sessions it started; a RESUME starts none."""

    def __init__(
        self,
        intake: Intake,
        intents: int,
        heartbeat: timedelta,
        identify_pause: timedelta,
        identifies: Identifies,
    ) -> None:
        self._intake = intake
        self._pause = identify_pause
        self._identifies = identifies
        self._raw: dict[int, dict[str, Any]] = {}
        self.sessions = 0
        self.silent_since = intake.now()
        """When the session before the present one last said something: what came after that may be missed."""
        self._began_at = self.silent_since
        self.resumes = 0
        self._ready_now = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        super().__init__(
            intents=discord.Intents._from_value(intents),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            heartbeat_timeout=heartbeat.total_seconds(),
        )
        parsers = self._connection.parsers
        for name, parse in list(parsers.items()):
            parsers[name] = partial(self._arrived, name, parse)

    def _get_state(self, **options: Any) -> Any:
        # The SDK makes the state in its constructor, right after its HTTP client: ours takes that one's place.
        self.http = Http(self._intake.api.base, self._intake.api.gateway)
        return super()._get_state(**options)

    # --- What the SDK calls -------------------------------------------------------------------------------------------

    async def setup_hook(self) -> None:
        self.add_dynamic_items(PressedButton)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        self._identifies.take()
        if not initial:
            await asyncio.sleep(self._pause.total_seconds())

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        log.exception("sdk_handler_failed", handler=event_method)

    async def on_interaction(self, interaction: Any) -> None:
        self.take(interaction.id)  # commands, forms, completions, and a press that the SDK could not match

    def take(self, interaction_id: int) -> None:
        """Takes in an interaction, once."""
        raw = self._raw.pop(interaction_id, None)
        if raw is not None:
            self._intake.hear("INTERACTION_CREATE", raw)

    def _arrived(self, name: str, parse: Callable[[Any], None], data: Any) -> None:
        """Every event of the gateway, before the SDK reads it."""
        interaction = self._noted(data) if name == "INTERACTION_CREATE" else None
        if name == "READY":
            last = self._intake.last_inbound_at
            self.silent_since = max(last, self._began_at) if last else self._began_at
            self._began_at = self._intake.now()
            self.sessions += 1
            self._ready_now.set()
        elif name == "RESUMED":
            self.resumes += 1
        if interaction is None:
            self._intake.hear(name, data)
        if name in SILENT:
            return
        try:
            parse(data)
        except Exception as error:  # the SDK would end the connection over one event it cannot read
            log.warning("sdk_could_not_read", kind=name, error=type(error).__name__)
            if interaction is not None:
                self.take(interaction)

    def _noted(self, data: Any) -> int | None:
        """Keeps an interaction's payload until the SDK has found who handles it."""
        id = data.get("id") if isinstance(data, dict) else None
        if not isinstance(id, str) or not id.isdecimal() or len(id) > 20:
            return None
        self._raw[int(id)] = data
        while len(self._raw) > 1000:
            del self._raw[next(iter(self._raw))]
        return int(id)

    # --- What the supervision calls -----------------------------------------------------------------------------------

    async def open(self, token: str, limit: timedelta) -> bool:
        """Logs in, connects and waits for the session. False when there was none in time. Raises what the SDK says."""
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await self.login(token)
                self._connecting = asyncio.create_task(self.connect(reconnect=False))
                ready = asyncio.create_task(self._ready_now.wait())
                try:
                    await asyncio.wait({self._connecting, ready}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    ready.cancel()
                if self._connecting.done():
                    self._connecting.result()
                return self._ready_now.is_set()
        except TimeoutError:
            return False

    async def lost_within(self, limit: timedelta) -> bool:
        """Waits at most `limit`; True as soon as the connection has ended for good."""
        assert self._connecting is not None, "opened"
        await asyncio.wait({self._connecting}, timeout=limit.total_seconds())
        return self._connecting.done()

    @property
    def error(self) -> BaseException | None:
        """Why the connection ended, once it did."""
        if self._connecting is None or not self._connecting.done() or self._connecting.cancelled():
            return None
        return self._connecting.exception()

    async def shut(self, limit: timedelta) -> None:
        """Closes everything, whatever state it is in; no task, thread or socket is left."""
        tasks = [self._connecting, getattr(self._connection, "_ready_task", None)]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await self.close()
        except Exception as error:  # a connection that cannot be closed politely is dropped below
            log.debug("connection_dropped", error=type(error).__name__)
        with contextlib.suppress(Exception):
            await self.http.shut()  # type: ignore[attr-defined]

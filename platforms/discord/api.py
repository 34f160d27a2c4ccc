"""Discord's REST API through the SDK's own HTTP layer, with answers and troubles as values.

Two things of the SDK are changed here. Its base addresses are class attributes, one per process: requests are sent to
this adapter's addresses instead. And it waits silently, up to 30 s, where Discord asks to come back later, also after
a request that already succeeded: here it waits at most half a second, and else says so, as the relay paces.
"""

import asyncio
import logging
import re
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import aiohttp
import discord
from discord.gateway import DiscordWebSocket, KeepAliveHandler
from discord.http import HTTPClient, Ratelimit, Route

from bot.ports import AuthFailed, Gone, NotAllowed, Retry, Trouble, Unsendable
from platforms.addresses import is_safe
from platforms.discord.errors import SOON, trouble_of

T = TypeVar("T")
Json = dict[str, Any]
TROUBLE: Final = (Retry, Gone, NotAllowed, AuthFailed, Unsendable)
PATIENCE: Final = 0.5
"""Seconds that a call may wait by itself for a rate limit (ours)."""
PATIENT: Final = 6.0
"""The same for reads, which nobody waits for (ours); Discord's windows are 5 s."""
CALL_SECONDS: Final = 15.0
"""Seconds until a call counts as unanswered (ours); the SDK would wait five minutes."""

CLOSING: Final = aiohttp.ClientWSTimeout(ws_close=1.0)
"""How long a gateway that no longer answers may take to say goodbye (ours); the SDK would wait 30 s."""


class _Silenced(logging.Filter):
    """Drops the lines about voice, which Codetask never uses."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "voice will NOT be supported" not in record.getMessage()


class _WithoutTokens(logging.Filter):
    """Takes the tokens of interactions out of addresses: whoever reads one can answer in the bot's name."""

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args if isinstance(record.args, tuple) else ()
        record.args = tuple(_TOKEN.sub(r"\1***", one) if isinstance(one, str) else one for one in args)
        return True


_TOKEN: Final = re.compile(r"(/(?:webhooks|interactions)/\d+/|\A\d{15,20}\+)[^/?\s]+")
logging.getLogger("discord.client").addFilter(_Silenced())
logging.getLogger("discord.http").addFilter(_WithoutTokens())


class _Bucket(Ratelimit):
    """The SDK's counter of one rate limit; full means `RateLimited` at once, unless it is nearly over."""

    __slots__ = ()

    async def acquire(self) -> None:
        self._last_request = self._loop.time()
        if self.is_expired():
            self.reset()
        while self.remaining <= 0 and self.expires is not None:
            wait = self.expires - self._loop.time()
            if wait > PATIENCE:
                raise discord.RateLimited(wait)
            await asyncio.sleep(max(wait, 0.0) + 0.001)
            if self.is_expired():
                self.reset()
        self.remaining -= 1
        self.outgoing += 1

    async def __aexit__(self, *_: object) -> None:
        self.outgoing -= 1


class Http(HTTPClient):
    """The SDK's HTTP client for one pair of addresses. `sockets` are the gateway connections it opened."""

    def __init__(self, base: str, gateway: str) -> None:
        super().__init__(asyncio.get_running_loop(), max_ratelimit_timeout=30)
        self.max_ratelimit_timeout = PATIENCE
        self._base, self._gateway = base.rstrip("/"), gateway
        self.sockets: list[aiohttp.ClientWebSocketResponse] = []

    def get_ratelimit(self, key: str) -> Ratelimit:
        if key not in self._buckets:
            self._try_clear_expired_ratelimits()
            self._buckets[key] = _Bucket(None)
        return self._buckets[key]

    async def request(self, route: Route, **options: Any) -> Any:
        route.url = self._base + route.url.removeprefix(Route.BASE)
        return await super().request(route, **options)

    async def ws_connect(self, url: str, *, compress: int = 0) -> aiohttp.ClientWebSocketResponse:
        default = str(DiscordWebSocket.DEFAULT_GATEWAY)
        if url.startswith(default):
            url = self._gateway.rstrip("/") + "/" + url.removeprefix(default)
        if not is_safe(url, "wss"):
            raise aiohttp.InvalidURL(url)
        socket = await super().ws_connect(url, compress=compress)
        socket._timeout = CLOSING
        self.sockets.append(socket)
        return socket

    def without_token(self) -> "Http":
        """The same session for the answers to interactions, whose address holds their own right."""
        other = Http(self._base, self._gateway)
        other._HTTPClient__session = self._HTTPClient__session  # type: ignore[attr-defined]
        other._global_over = self._global_over
        return other

    async def shut(self) -> None:
        """Closes session and sockets, whatever state they are in; no thread of theirs is left."""
        beating = [one for one in threading.enumerate() if isinstance(one, KeepAliveHandler)]
        mine = [one for one in beating if one.ws.socket in self.sockets]
        for thread in mine:
            thread.stop()
        for socket in self.sockets:
            if not socket.closed:
                await _hang_up(socket)
        await self.close()
        for thread in mine:
            await asyncio.to_thread(thread.join, 1.0)


async def _hang_up(socket: aiohttp.ClientWebSocketResponse) -> None:
    try:
        async with asyncio.timeout(0.5):
            await socket.close(code=1000)
    except Exception:  # a connection that cannot be closed politely is dropped
        socket._response.close()


class Api:
    """Calls of the bot. Each answers with Discord's JSON or with the trouble; a bug of ours is raised."""

    def __init__(self, base: str, gateway: str, token: str, refused: Callable[[str], None]) -> None:
        self.base, self.gateway, self.token = base, gateway, token
        self._refused = refused
        self._http: Http | None = None
        self._answers: Http | None = None
        self._opening = asyncio.Lock()
        self._closed = False
        self.user: Json = {}

    async def open(self) -> Json | Trouble:
        """The bot's own user. Opens the session where there is none; asks Discord each time."""
        async with self._opening:
            if self._closed:  # else who comes late would open a session that nobody closes
                return Retry(SOON, why="closed")
            if self._http is not None:
                http = self._http
                told = await self.attempt(lambda: http.request(Route("GET", "/users/@me")))
            else:
                told = await self._log_in()
        if not isinstance(told, TROUBLE):
            self.user = told
        return told

    async def _log_in(self) -> Json | Trouble:
        http = Http(self.base, self.gateway)
        told: Any = None
        try:
            told = await self.attempt(lambda: http.static_login(self.token))
        finally:
            if self._closed or told is None or isinstance(told, TROUBLE):  # None: it was cut off
                await http.shut()
        if self._closed or isinstance(told, TROUBLE):
            return told if isinstance(told, TROUBLE) else Retry(SOON, why="closed")
        self._http, self._answers = http, http.without_token()
        return dict(told)

    async def close(self) -> None:
        self._closed = True
        if self._http is not None:
            await self._http.shut()
        self._http = self._answers = None

    async def attempt(self, call: Callable[[], Awaitable[T]], patience: float = 0.0) -> T | Trouble:
        """The answer of one call, or what its failure means. `patience`: seconds it may wait for a rate limit."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await call()
        except discord.RateLimited as error:
            if error.retry_after > patience:
                return Retry(timedelta(seconds=max(error.retry_after, 0.0)), why="ratelimited")
        except Exception as error:  # sorted right here; what is not Discord's or the network's goes on up
            trouble = trouble_of(error)
            if trouble is None:
                raise
            if isinstance(trouble, AuthFailed):
                self._refused(trouble.why)
            return trouble
        await asyncio.sleep(patience)
        return await self.attempt(call)

    async def call(self, method: str, path: str, *, patience: float = 0.0, body: Any = None, **parameters: Any) -> Any:
        """One request by the bot's token. `query` among the parameters goes into the address."""
        query = parameters.pop("query", None)
        if self._http is None:
            opened = await self.open()
            if isinstance(opened, TROUBLE):
                return opened
        http = self._http
        assert http is not None, "opened above"
        options = {name: value for name, value in (("json", body), ("params", query)) if value is not None}
        return await self.attempt(lambda: http.request(Route(method, path, **parameters), **options), patience)

    async def answer(self, interaction_id: str, token: str, kind: int, data: Json | None = None) -> Trouble | None:
        """The one answer to an interaction, within its three seconds."""
        body = {"type": kind, **({"data": data} if data is not None else {})}
        path = "/interactions/{webhook_id}/{webhook_token}/callback"
        told = await self._by_token("POST", path, interaction_id, token, body)
        return told if isinstance(told, TROUBLE) else None

    async def follow_up(self, app_id: str, token: str, body: Json) -> Any:
        """One more answer to an interaction, for fifteen minutes."""
        return await self._by_token("POST", "/webhooks/{webhook_id}/{webhook_token}", app_id, token, body)

    async def edit_answer(self, app_id: str, token: str, body: Json) -> Any:
        """Changes the first answer to an interaction."""
        path = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"
        return await self._by_token("PATCH", path, app_id, token, body)

    async def delete_answer(self, app_id: str, token: str) -> Any:
        """Takes the first answer to an interaction away."""
        path = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"
        return await self._by_token("DELETE", path, app_id, token, None)

    async def _by_token(self, method: str, path: str, id: str, token: str, body: Json | None) -> Any:
        if self._answers is None:
            opened = await self.open()
            if isinstance(opened, TROUBLE):
                return opened
        http = self._answers
        assert http is not None, "opened above"
        sent: dict[str, Any] = {} if body is None else {"json": body}
        return await self.attempt(lambda: http.request(Route(method, path, webhook_id=id, webhook_token=token), **sent))

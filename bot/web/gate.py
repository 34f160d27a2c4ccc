"""The outermost layer: which hosts are answered, how often a client may ask, how large a body may be, and a last net
under every route so that no exception text ever leaves."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.services.loops import short_ref
from bot.settings import LOOPBACK, Settings
from bot.store import StoreDown
from bot.web.errors import ApiError, error_response

log = structlog.get_logger(__name__)

BODY_MAX: Final = 1024 * 1024
CLIENTS_MAX: Final = 10_000
PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Answered under any host name: orchestrators probe by address."""
WEBHOOKS: Final = "/webhooks/"


@dataclass(frozen=True, slots=True)
class Pace:
    """A token bucket: `burst` requests at once, refilled by `per_second`."""

    per_second: float = 100.0
    burst: float = 500.0


@dataclass(slots=True)
class RateLimit:
    """Buckets per client, in memory, the least recently seen forgotten first."""

    pace: Pace = field(default_factory=Pace)
    now: Callable[[], float] = time.monotonic
    buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait(self, client: str) -> float:
        """Seconds until the client may ask again; 0 lets this request pass."""
        now = self.now()
        level, seen = self.buckets.pop(client, (self.pace.burst, now))
        level = min(self.pace.burst, level + (now - seen) * self.pace.per_second)
        passes = level >= 1
        self.buckets[client] = (level - 1 if passes else level, now)
        if len(self.buckets) > CLIENTS_MAX:
            self.buckets.popitem(last=False)
        return 0.0 if passes else (1 - level) / self.pace.per_second


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Host names that are answered: loopback, the address bound to, CODETASK_URL's and WEB_ALLOWED_HOSTS."""
    own = host_name(settings.codetask_url.partition("://")[2].partition("/")[0])
    names = {*LOOPBACK, settings.web_host.strip("[]"), own, *(name.lower() for name in settings.web_allowed_hosts)}
    return frozenset(name for name in names if name)


def host_name(header: str) -> str:
    """The name in a Host header, without its port, in lower case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower().rstrip(".")


class TooLargeError(HTTPException):
    """The body went over the limit while it was read. The framework lets its own kind of exception through."""

    def __init__(self) -> None:
        super().__init__(413)


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(self, inner: ASGIApp, hosts: Sequence[str] | frozenset[str], limit: RateLimit) -> None:
        self.inner = inner
        self.hosts = frozenset(hosts)
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        refusal = self._refuse(scope)
        if refusal is not None:
            await error_response(refusal)(scope, receive, send)
            return
        await self._guarded(scope, receive, send)

    def _refuse(self, scope: Scope) -> ApiError | None:
        path, headers = scope["path"], _headers(scope)
        if path not in PROBES and host_name(headers.get("host", "")) not in self.hosts:
            return ApiError(
                400,
                "unknown_host",
                "This server does not answer to that host name.",
                "An admin can add it to WEB_ALLOWED_HOSTS.",
            )
        wait = self.limit.wait(_client(scope))
        if wait:
            return ApiError(429, Retry_After=str(max(1, round(wait + 0.5))))
        length = headers.get("content-length", "")
        if not path.startswith(WEBHOOKS) and length.isdigit() and int(length[:12]) > BODY_MAX:
            return ApiError(413)
        return None

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        size = 0
        limited = not scope["path"].startswith(WEBHOOKS)

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if limited and size > BODY_MAX:
                raise TooLargeError
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.inner(scope, counted, watched)
        except ClientDisconnect:
            return
        except Exception as error:
            response = _last_answer(error, scope["path"])
            if not started:
                await response(scope, receive, send)


def _last_answer(error: Exception, path: str) -> JSONResponse:
    if isinstance(error, TooLargeError):
        return error_response(ApiError(413))
    ref = short_ref()
    if isinstance(error, StoreDown):
        log.warning("request_failed", path=path, ref=ref, why="the database cannot be reached")
        return error_response(ApiError(503, Retry_After="5"), ref)
    log.error("request_failed", path=path, ref=ref, exc_info=error)
    return error_response(ApiError(500), ref)


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"

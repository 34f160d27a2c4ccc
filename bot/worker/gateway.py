"""The model gateway: agents hold a dummy key and a loopback address; the worker holds the real key and counts.

One unix socket per run, shown inside the sandbox; one fixed endpoint behind it. Bodies are never logged or kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import io
import os
import secrets
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol
from urllib.parse import urlsplit

import structlog
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, web
from pydantic import SecretStr

from bot.ports import Bind, ModelEndpoint
from bot.worker.metering import PriceTable, StreamMeter, Tokens, load_prices, read_answer
from bot.worker.model_requests import (
    COUNT_PATH,
    MODELS_PATH,
    PASSED_BACK,
    PASSED_ON,
    Denied,
    ModelRequest,
    error_body,
    model_list,
    read_request,
    upstream_url,
)

SOCKET_FOLDER: Final = "/run/codetask"
SOCKET_NAME: Final = "llm.sock"
INSIDE_URL: Final = "http://127.0.0.1:8421"
"""The address agents see inside a sandbox with its own network; the bridge forwards it to the socket."""

MAX_BODY: Final = 10 * 1024 * 1024
MAX_ANSWER: Final = 64 * 1024 * 1024
MAX_ERROR: Final = 64 * 1024
AT_ONCE: Final = 4
MAX_WAITING: Final = 32
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TIMEOUT = ClientTimeout(total=None, sock_connect=30, sock_read=600)
_CLOSE_S = 1.0

log = structlog.get_logger(__name__)


class GatewaySettings(Protocol):
    """What the gateway needs from the configuration."""

    @property
    def llm_base_url(self) -> str: ...
    @property
    def llm_api_key(self) -> SecretStr | None: ...
    @property
    def llm_provider(self) -> str: ...
    @property
    def llm_model(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What a run used so far. `usd` is None when a price was unknown. `estimated`: an answer was cut off before it

    named its usage, so its size was counted instead."""

    requests: int
    tokens: Tokens
    usd: Decimal | None
    estimated: bool = False


class Gateway:
    """Makes runs' ways to the model. One per worker process; `aclose` ends it.

    `models` are allowed besides the configured one. Raises ValueError for an endpoint that is not https or loopback."""

    def __init__(
        self, settings: GatewaySettings, *, models: Collection[str] = (), prices: PriceTable | None = None
    ) -> None:
        parts = urlsplit(settings.llm_base_url)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if not safe or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError("LLM_BASE_URL must be an https address without a user or query; http only on loopback.")
        self.base_url = settings.llm_base_url
        self.key = settings.llm_api_key.get_secret_value() if settings.llm_api_key else ""
        self.provider = settings.llm_provider
        self.model = settings.llm_model
        self.models = frozenset({settings.llm_model, *models} - {""})
        self.prices = prices or load_prices()
        self._session: ClientSession | None = None
        self._runs: set[GatewayRun] = set()

    async def open_run(
        self, run_id: str, budget_usd: Decimal | float | None, socket_dir: Path, *, loopback: bool = False
    ) -> GatewayRun:
        """A run's own socket `llm.sock` in `socket_dir` (an existing private folder) and dummy key.

        `loopback` also listens on a port of the host's loopback, for a sandbox without its own network. Raises OSError
        when the socket cannot be made (a path ends at 107 bytes)."""
        budget = None if budget_usd is None else Decimal(str(budget_usd))
        run = GatewayRun(self, run_id, budget, socket_dir)
        await run.listen(loopback=loopback)
        self._runs.add(run)
        return run

    async def aclose(self) -> None:
        """Closes every open run and the connections to the endpoint."""
        for run in list(self._runs):
            await run.close()
        if self._session is not None:
            await self._session.close()

    def forget(self, run: GatewayRun) -> None:
        """Called by a run that has closed."""
        self._runs.discard(run)

    def session(self) -> ClientSession:
        """The HTTP client for the endpoint: no cookies, no proxy from the environment."""
        if self._session is None:
            self._session = ClientSession(timeout=_TIMEOUT, cookie_jar=DummyCookieJar(), trust_env=False)
        return self._session

    async def __aenter__(self) -> Gateway:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class GatewayRun:
    """One run's way to the model: its key, its budget, its count. `close` voids the key at once."""

    def __init__(self, gateway: Gateway, run_id: str, budget: Decimal | None, folder: Path) -> None:
        self._gateway = gateway
        self._run = run_id
        self._budget = budget
        self._folder = folder
        self._key = secrets.token_urlsafe(32)
        self._open = True
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._requests = 0
        self._tokens = Tokens()
        self._usd = Decimal(0)
        self._reserved = Decimal(0)
        self._priced = True
        self._estimated = False
        self._trouble = ""
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def endpoint(self) -> ModelEndpoint:
        """What the agent is given: an address, the dummy key, the model's name."""
        base_url = f"http://127.0.0.1:{self._port}" if self._port else INSIDE_URL
        inside = "" if self._port else f"{SOCKET_FOLDER}/{SOCKET_NAME}"
        return ModelEndpoint(base_url, self._key, self._gateway.model, self._gateway.provider, inside)

    @property
    def bind(self) -> Bind:
        """The folder with the socket, to be shown inside the sandbox."""
        return Bind(self._folder, SOCKET_FOLDER)

    def usage(self) -> RunUsage:
        """Counted so far, interrupted answers included."""
        return RunUsage(self._requests, self._tokens, self._usd if self._priced else None, self._estimated)

    def trouble(self) -> str:
        """Why the endpoint or the budget refused the last request: budget, auth, quota, unreachable, or ""."""
        return self._trouble

    async def listen(self, *, loopback: bool) -> None:
        """Starts to answer."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=_CLOSE_S,
            auto_decompress=False,  # a body that is not what its encoding says would end as an error of ours
        )
        await self._runner.setup()
        path = self._folder / SOCKET_NAME
        await web.UnixSite(self._runner, str(path)).start()
        os.chmod(path, 0o600)
        if loopback:
            site = web.TCPSite(self._runner, "127.0.0.1", 0)
            await site.start()
            self._port = self._runner.addresses[-1][1]

    async def close(self) -> None:
        """Voids the key, ends running requests within about a second, removes the socket."""
        self._open = False
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
        with contextlib.suppress(FileNotFoundError):
            (self._folder / SOCKET_NAME).unlink()
        self._gateway.forget(self)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if not self._open or not self._has_key(request):
            return _error(request.path, 401, "authentication_error", "This key is not valid.")
        if request.method == "GET" and request.path == MODELS_PATH:
            return web.Response(body=model_list(self._gateway.models), content_type="application/json")
        if request.method != "POST" or request.query_string not in ("", "beta=true"):
            return _error(request.path, 404, "not_found_error", "The gateway does not carry this.")
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _error(request.path, 413, "request_too_large", "The request is over 10 MiB.")
        asked = read_request(request.path, raw, self._gateway.models)
        if isinstance(asked, Denied):
            return _error(request.path, asked.status, asked.kind, asked.why)
        async with self._slot() as free:
            if not free:
                return _error(request.path, 429, "rate_limit_error", "Too many requests wait already.")
            return await self._metered(request, asked)

    def _has_key(self, request: web.Request) -> bool:
        authorization = request.headers.get("Authorization", "")
        given = request.headers.get("x-api-key") or authorization.removeprefix("Bearer ")
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key.encode())

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[bool]:
        if self._waiting >= MAX_WAITING:
            yield False
            return
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield True
        finally:
            self._slots.release()

    async def _metered(self, request: web.Request, asked: ModelRequest) -> web.StreamResponse:
        """Reserves what the answer may cost at most, passes the request on, then books the cost instead."""
        if request.path == COUNT_PATH:
            return await self._forward(request, asked, None)
        price = self._gateway.prices.find(asked.model)
        worst = price.cost(Tokens(asked.max_input, asked.max_output)) if price else Decimal(0)
        if self._budget is not None and self._usd + self._reserved + worst > self._budget:
            self._trouble = "budget"
            log.info("gateway.over_budget", run=self._run, spent=str(self._usd), budget=str(self._budget))
            return _error(request.path, 402, "budget_exceeded", "The budget of this run is used up. Stop here.")
        self._reserved += worst
        self._requests += 1
        bill = _Bill(asked)
        try:
            return await self._forward(request, asked, bill)
        finally:
            self._reserved -= worst
            self._book(asked, bill)

    def _book(self, asked: ModelRequest, bill: _Bill) -> None:
        tokens = bill.tokens()
        if tokens is None:
            return
        price = self._gateway.prices.find(asked.model)
        self._tokens += tokens
        self._estimated |= bill.estimated
        if price is None:
            self._priced = False
        else:
            self._usd += price.cost(tokens)

    async def _forward(self, request: web.Request, asked: ModelRequest, bill: _Bill | None) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() in PASSED_ON}
        headers |= {"Content-Type": "application/json", "Accept-Encoding": "identity", **self._credential(asked)}
        url = upstream_url(self._gateway.base_url, request.path)
        if bill is not None:
            bill.sent()
        data = io.BytesIO(asked.body)  # aiohttp warns of bytes over 1 MiB, an ordinary size for a long conversation
        post = self._gateway.session().post(url, data=data, headers=headers, allow_redirects=False)
        try:
            async with post as answer:
                if answer.status != 200:
                    if bill is not None:
                        bill.void()
                    return await self._refused(request, answer)
                self._trouble = ""
                return await self._pass_back(request, asked, answer, bill)
        except (ClientError, TimeoutError) as error:
            if bill is not None:
                bill.void()
            self._trouble = "unreachable"
            log.warning("gateway.unreachable", run=self._run, error=type(error).__name__)
            return _error(request.path, 502, "api_error", "The model endpoint cannot be reached.")

    def _credential(self, asked: ModelRequest) -> dict[str, str]:
        key = self._gateway.key
        if not key:
            return {}
        return {"x-api-key": key} if asked.protocol == "messages" else {"Authorization": f"Bearer {key}"}

    async def _refused(self, request: web.Request, answer: ClientResponse) -> web.StreamResponse:
        """An answer other than 200: its text is passed on without our key, a refusal of our key not at all."""
        status = answer.status
        log.info("gateway.refused", run=self._run, status=status)
        if status in (401, 403):
            self._trouble = "auth"
            return _error(request.path, status, "authentication_error", "The model endpoint refuses the worker's key.")
        if 300 <= status < 400 or status < 200:
            self._trouble = "unreachable"
            return _error(request.path, 502, "api_error", "The model endpoint answered with a redirect.")
        self._trouble = {402: "quota", 429: "quota"}.get(status, "unreachable" if status >= 500 else "")
        body = b""
        async for chunk in answer.content.iter_chunked(MAX_ERROR):
            body += chunk
            if len(body) >= MAX_ERROR:
                break
        if self._gateway.key:
            body = body.replace(self._gateway.key.encode(), b"[removed]")
        return web.Response(status=status, body=body, headers=_passed_back(answer))

    async def _pass_back(
        self, request: web.Request, asked: ModelRequest, answer: ClientResponse, bill: _Bill | None
    ) -> web.StreamResponse:
        """Passes an answer on, chunk by chunk as it arrives."""
        out = web.StreamResponse(status=200, headers=_passed_back(answer))
        await out.prepare(request)
        streamed = answer.content_type == "text/event-stream"
        if bill is not None:
            bill.begin(streamed=streamed)
        size = 0
        try:
            async for chunk in answer.content.iter_any():
                size += len(chunk)
                if bill is not None:
                    bill.feed(chunk)
                if size > MAX_ANSWER:
                    raise ConnectionError("the answer is over the limit")
                await out.write(chunk)
            await out.write_eof()
        except (ClientError, ConnectionError, TimeoutError):
            # The agent went away or the endpoint broke off. Part of the answer is out already, so the only honest sign
            # is a connection that ends early; what has passed is booked by its size.
            if request.transport is not None:
                request.transport.close()
        return out


class _Bill:
    """Counts one answer while it passes."""

    def __init__(self, asked: ModelRequest) -> None:
        self._asked = asked
        self._stream: StreamMeter | None = None
        self._whole: bytearray | None = None
        self._sent = False
        self.estimated = False

    def sent(self) -> None:
        """The request is on its way: from here on it may cost, even if the agent goes away before the answer."""
        self._sent = True

    def void(self) -> None:
        """The endpoint refused or never got the request: it costs nothing."""
        self._sent = False

    def begin(self, *, streamed: bool) -> None:
        """The answer begins."""
        if streamed:
            self._stream = StreamMeter(self._asked.protocol)
        else:
            self._whole = bytearray()

    def feed(self, chunk: bytes) -> None:
        if self._stream is not None:
            self._stream.feed(chunk)
        elif self._whole is not None:
            self._whole += chunk

    def tokens(self) -> Tokens | None:
        """What to book: the usage named; an estimate by size for a cut-off answer; None when it costs nothing."""
        if not self._sent:
            return None
        if self._stream is not None:
            named, size = self._stream.tokens, self._stream.content_bytes
            early = self._stream.early
        elif self._whole is not None:
            named, size, early = read_answer(self._asked.protocol, bytes(self._whole)), len(self._whole), None
        else:  # cut off while waiting: an unstreamed answer may be complete by now at the endpoint
            named, size, early = None, 0 if self._asked.streamed else 4 * self._asked.max_output, None
        if named is not None:
            return named
        self.estimated = True
        input_ = early.input if early else self._asked.max_input
        return Tokens(input_, min(size // 4 + 1, self._asked.max_output))


def _passed_back(answer: ClientResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower() in PASSED_BACK}


def _error(path: str, status: int, kind: str, why: str) -> web.Response:
    body = error_body("messages" if path.startswith("/v1/messages") else "chat", kind, why)
    return web.Response(status=status, body=body, content_type="application/json")

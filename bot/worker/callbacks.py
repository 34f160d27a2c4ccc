"""The callback server: what a running agent calls to set follow-ups, file a code task and tell its thread something.

One unix socket and one random token per run, both gone when the run ends. MCP at `POST /mcp`, the same as plain JSON
under `/api/v1/run`. The token fixes the run; thread, person and rights follow from its rows (`bot.services.run_tools`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from bot.core.inbound import ThreadRef
from bot.core.questions import ANSWER_WAIT
from bot.core.redact import LiveRedactor
from bot.ports import CallbackEndpoint
from bot.services.loops import short_ref
from bot.services.run_seats import RunHold, ToolRefusal, ToolRefused, take_seat
from bot.services.run_tools import RunTools
from bot.store import Store, StoreDown, Transaction
from bot.worker.callback_tools import TOOLS, Tool, routed
from bot.worker.gateway import SOCKET_FOLDER
from bot.worker.mcp_wire import McpServer

SOCKET_NAME: Final = "api.sock"
ASKING_MAX: Final = 2
"""Calls of one run that may wait for a person at once: each looks at the database now and then."""
CONNECTIONS_MAX: Final = 16
"""Connections of one run that may be open at once; one more is closed at once."""
INSIDE_URL: Final = "http://127.0.0.1:8422"
"""The address agents see inside a sandbox with its own network; the bridge forwards it to the socket."""
ROOT: Final = "/api/v1/run/"
MAX_BODY: Final = 64 * 1024
CALLS_A_MINUTE: Final = 30
"""Product rule 12."""
INSTRUCTIONS: Final = (
    "These tools act in the chat thread that you work for; no thread, channel or person can be named. Prefer "
    "schedule_followup over waiting more than 2 minutes."
)
_STATUS: Final[Mapping[ToolRefusal, int]] = {
    "bad": 400,
    "not_allowed": 403,
    "not_found": 404,
    "state": 409,
    "limit": 429,
    "away": 503,
}
VERSION: Final = metadata.version("codetask")
WAIT_S: Final = 45.0
"""How long a call waits for a person's answer; MCP clients give up after 60 s unless told otherwise."""
UseCase = Callable[[], Awaitable[dict[str, Any] | ToolRefused]]
_LOOK_S = 5.0
_SILENCE_S = 90.0
"""After this an agent that was told `waiting` and has not asked again is taken to go on without the answer."""
_MINUTE_S = 60.0
_CLOSE_S = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Opens the servers of runs. One per worker process."""

    store: Store
    tools: RunTools
    redactor: LiveRedactor

    async def open_run(self, hold: RunHold, folder: Path, *, loopback: bool = False) -> CallbackRun:
        """A run's own socket `api.sock` in `folder` (an existing private one) and token.

        `loopback` also listens on a port of the host's loopback, for a sandbox without its own network. Raises OSError
        when the socket cannot be made."""
        place = None
        with contextlib.suppress(StoreDown):  # only told to the agent
            place = await self.store.run(lambda tx: _place(tx, hold))
        run = CallbackRun(self, hold, folder, place)
        self.redactor.learn(run.token)
        await run.listen(loopback=loopback)
        return run


def _place(tx: Transaction, hold: RunHold) -> ThreadRef | None:
    seat = take_seat(tx, hold)
    return None if isinstance(seat, ToolRefused) else seat.place


class FewConnections(web.Server):
    """A server for hostile clients: bodies as they come, of at most 64 KiB, over at most 16 connections."""

    @classmethod
    def of(cls, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> FewConnections:
        """One that answers every request with `answer`. Call within the event loop."""
        loop = asyncio.get_running_loop()

        def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)

        return cls(answer, request_factory=request, handler_cancellation=True, access_log=None, auto_decompress=False)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()


class CallbackRun:
    """One run's server. `close` voids the token at once."""

    def __init__(self, callbacks: Callbacks, hold: RunHold, folder: Path, place: ThreadRef | None) -> None:
        self.token = secrets.token_urlsafe(32)
        self._callbacks, self._hold, self._folder, self._place = callbacks, hold, folder, place
        self._offered = [TOOLS[name] for name in callbacks.tools.offered()]
        self._calls: deque[float] = deque()
        self._waiting_at: float | None = None
        self._paused = 0.0
        self._open = True
        self._port = 0
        self._runner: web.ServerRunner | None = None
        self._asking = 0

    @property
    def endpoint(self) -> CallbackEndpoint:
        """What the agent is given."""
        if self._port:
            return CallbackEndpoint(f"http://127.0.0.1:{self._port}", self.token, str(self._folder / SOCKET_NAME))
        return CallbackEndpoint(INSIDE_URL, self.token, f"{SOCKET_FOLDER}/{SOCKET_NAME}", bridged=True)

    @property
    def env(self) -> dict[str, str]:
        """The agent's environment: how to call, and where it works (product rule 12)."""
        told, place = self.endpoint, self._place
        return {
            "CODETASK_URL": told.base_url,
            "CODETASK_SOCKET": told.socket,
            "CODETASK_RUN_TOKEN": told.token,
            "CODETASK_PLATFORM": place.platform if place else "",
            "CODETASK_CHANNEL": place.channel_id if place else "",
            "CODETASK_THREAD": (place.root or "") if place else "",
        }

    def paused(self) -> float:
        """For how many seconds people were waited for so far, at most an hour: the run's clocks stand still then.

        An agent that no longer asks for the answer does not wait."""
        waited = 0.0
        if self._waiting_at is not None:
            waited = min(asyncio.get_running_loop().time() - self._waiting_at, _SILENCE_S)
        return min(self._paused + waited, ANSWER_WAIT.total_seconds())

    async def listen(self, *, loopback: bool) -> None:
        """Starts to answer."""
        self._runner = web.ServerRunner(FewConnections.of(self._answer), shutdown_timeout=_CLOSE_S)
        await self._runner.setup()
        path = self._folder / SOCKET_NAME
        await web.UnixSite(self._runner, str(path)).start()
        os.chmod(path, 0o600)
        if loopback:
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
            self._port = self._runner.addresses[-1][1]

    async def close(self) -> None:
        """Voids the token, gives up an open question, ends requests within about a second, removes the socket."""
        self._open = False
        if self._waiting_at is not None:
            with contextlib.suppress(StoreDown):
                await self._callbacks.store.run(lambda tx: self._callbacks.tools.give_up_question(tx, self._hold))
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
        with contextlib.suppress(FileNotFoundError):
            (self._folder / SOCKET_NAME).unlink()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if not self._open or not self._has_token(request):
            refused = _error(401, "unauthorized", "This needs the token of a running run.")
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _error(413, "too_large", "The body is over 64 KiB.")
        patience = _patience(request.query.get("wait", ""))
        if request.path == "/mcp":
            return await self._over_mcp(request.method, raw, patience)
        if request.path.startswith(ROOT):
            return await self._over_http(request.method, request.path.removeprefix(ROOT), raw, patience)
        return _error(404, "not_found", "There is nothing at this address.")

    def _has_token(self, request: web.BaseRequest) -> bool:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.token.encode())

    async def _over_mcp(self, method: str, raw: bytes, patience: float) -> web.Response:
        if method != "POST":
            return _not_that_way("POST")
        mcp = McpServer(VERSION, self._offered, INSTRUCTIONS, partial(self._call, patience=patience))
        status, body = await mcp.answer(raw)
        return web.Response(status=status) if body is None else _json(status, body)

    async def _over_http(self, method: str, path: str, raw: bytes, patience: float) -> web.Response:
        here = [one for one in routed(path) if one[1] in self._offered]
        if not here:
            return _error(404, "not_found", "There is nothing at this address.")
        found = next((one for one in here if one[0] == method), None)
        if found is None:
            return _not_that_way(", ".join(sorted(one[0] for one in here)))
        _, tool, in_path = found
        try:
            body = json.loads(raw) if raw.strip() else {}
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            return _error(400, "bad_request", "The body is not a JSON object.")
        answer = await self._call(tool, {**body, **in_path}, patience=patience)
        if isinstance(answer, ToolRefused):
            return _refused(answer)
        return _json(201 if tool.makes else 200, answer)

    async def _call(self, tool: Tool, given: Mapping[str, Any], *, patience: float) -> dict[str, Any] | ToolRefused:
        """Runs a tool for this run; one that waits for a person, again and again for `patience` seconds."""
        if not self._may_call():
            return ToolRefused(f"More than {CALLS_A_MINUTE} calls in a minute. Wait a minute.", "limit")
        arguments = tool.read(given)
        if isinstance(arguments, ToolRefused):
            return arguments
        use_case = partial(self._use, tool, arguments)
        if not tool.waits:
            return await use_case()
        if self._asking >= ASKING_MAX:
            return ToolRefused("This run already waits for an answer. Ask again when it is there.", "limit")
        self._asking += 1
        try:
            return await self._until_answered(use_case, patience)
        finally:
            self._asking -= 1

    async def _until_answered(self, ask: UseCase, patience: float) -> dict[str, Any] | ToolRefused:
        store, loop = self._callbacks.store, asyncio.get_running_loop()
        end = loop.time() + patience
        while True:
            seen = store.version("task")
            answer = await ask()
            waits = not isinstance(answer, ToolRefused) and answer.get("status") == "waiting"
            self._pause(waits)
            left = end - loop.time()
            if not waits or left <= 0:
                return answer
            await store.changed("task", seen, min(left, _LOOK_S))

    def _pause(self, waits: bool) -> None:
        """Whether the time from now on counts."""
        self._paused = self.paused()
        self._waiting_at = asyncio.get_running_loop().time() if waits else None

    async def _use(self, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any] | ToolRefused:
        """One transaction. Whatever goes wrong inside is a short sentence outside."""
        use_case = getattr(self._callbacks.tools, tool.name)
        try:
            return await self._callbacks.store.run(lambda tx: use_case(tx, self._hold, **arguments))
        except StoreDown:
            return ToolRefused("The database cannot be reached. Try again in a minute.", "away")
        except Exception:
            ref = short_ref()
            log.exception("callback_failed", run=self._hold.run_id, tool=tool.name, ref=ref)
            return ToolRefused(f"That went wrong on our side (ref {ref}). Nothing was done.", "away")

    def _may_call(self) -> bool:
        now = asyncio.get_running_loop().time()
        while self._calls and self._calls[0] <= now - _MINUTE_S:
            self._calls.popleft()
        if len(self._calls) >= CALLS_A_MINUTE:
            return False
        self._calls.append(now)
        return True


def _patience(said: str) -> float:
    """The seconds that a caller says it waits (`?wait=600`), at most as long as a person may take."""
    return min(float(said), ANSWER_WAIT.total_seconds() + WAIT_S) if said.isdecimal() and len(said) < 6 else WAIT_S


def _refused(refusal: ToolRefused) -> web.Response:
    return _error(_STATUS[refusal.kind], refusal.kind, refusal.say, choices=list(refusal.choices))


def _not_that_way(allowed: str) -> web.Response:
    refused = _error(405, "method_not_allowed", f"This address knows {allowed}.")
    refused.headers["Allow"] = allowed
    return refused


def _error(status: int, code: str, message: str, **more: Any) -> web.Response:
    return _json(status, {"code": code, "message": message, **more})


def _json(status: int, body: Mapping[str, Any]) -> web.Response:
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")

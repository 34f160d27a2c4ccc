"""The front door of the REST API: reads requests, checks token, rate and planned faults, keeps the calls."""

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from platforms.discord.simulator.app import Application
from platforms.discord.simulator.catalog import ERRORS, OPERATIONS, Operation
from platforms.discord.simulator.refusals import ApiError, not_found, refuse, unauthorized
from platforms.discord.simulator.state import World
from platforms.simulation import Fault, FaultPlan

Json = dict[str, Any]
GLOBAL_RATE = 50
"""Requests per second of one bot."""


@dataclass
class Call:
    """One request to the REST API and its answer. `method` is the operation id, `error` empty when carried out.

    `code` is Discord's error code; `started` and `answered` are monotonic seconds.
    """

    method: str
    verb: str
    path: str
    at: datetime
    params: Json = field(default_factory=dict)
    query: Json = field(default_factory=dict)
    body: Any = None
    status: int = 0
    code: int = 0
    error: str = ""
    answer: Any = None
    started: float = 0.0
    answered: float = 0.0

    @property
    def arguments(self) -> Json:
        """Path parameters, query and body together."""
        return {**self.params, **self.query, **(self.body if isinstance(self.body, dict) else {})}


class Rates:
    """Discord's rates, as windows on the simulated clock. Always told in headers; enforced when `enabled`."""

    def __init__(self, world: World, enabled: bool) -> None:
        self.world = world
        self.enabled = enabled
        self._windows: dict[str, tuple[datetime, int]] = {}

    def take(self, operation: Operation, major: str) -> tuple[dict[str, str], float, bool]:
        """The headers, the seconds to wait (0: counted) and whether it was the global limit."""
        limit, seconds = operation.rate if self.enabled else (1000, 1.0)
        key = f"{operation.name}:{major}"
        used, left = self._count(key, limit, seconds)
        _, overall = self._count("global", GLOBAL_RATE, 1.0) if self.enabled else (0, 0.0)
        now = self.world.clock.now().timestamp()
        reset = self._reset(key, seconds)
        left = left if self.enabled else 0.0
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - used)),
            "X-RateLimit-Reset": f"{now + reset:.3f}",
            "X-RateLimit-Reset-After": f"{reset:.3f}",
            "X-RateLimit-Bucket": f"{zlib.crc32(operation.name.encode()):08x}",
        }
        return headers, max(left, overall), overall > left

    def _count(self, key: str, limit: int, seconds: float) -> tuple[int, float]:
        now = self.world.clock.now()
        since, used = self._windows.get(key, (now, 0))
        if (now - since).total_seconds() >= seconds:
            since, used = now, 0
        if used >= limit:
            return used, seconds - (now - since).total_seconds()
        self._windows[key] = (since, used + 1)
        return used + 1, 0.0

    def _reset(self, key: str, seconds: float) -> float:
        since, _ = self._windows[key]
        return max(0.0, seconds - (self.world.clock.now() - since).total_seconds())


class Api:
    """Serves `/api/v10/...`. `handlers` maps an operation id to the function that carries it out."""

    def __init__(self, world: World, app: Application, faults: FaultPlan, rates: Rates) -> None:
        self.world = world
        self.app = app
        self.faults = faults
        self.rates = rates
        self.handlers: dict[str, Callable[[Call], Any]] = {}
        self.calls: list[Call] = []
        self._routes = [(operation, operation.pattern) for operation in OPERATIONS]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = "/" + request.match_info["tail"]
        operation, params, known = self._find(request.method, path)
        call = Call(operation.name if operation else "unknown", request.method, path, self.world.clock.now(), params)
        call.started, call.query = time.monotonic(), dict(request.query)
        self.calls.append(call)
        readable = await self._read(request, call)
        fault = self.faults.take(call.method) or self.faults.take(f"{call.method}@{self._whose(call)}")
        if fault is not None and fault.drop_before_commit:
            return self._drop(request, call)
        answer = self._planned(call, fault) if fault is not None else None
        if answer is None:
            answer = self._answer(request, call, operation, known, readable)
            if fault is not None and fault.drop_after_commit:
                return self._drop(request, call)
        call.answered = time.monotonic()
        self.world.changed()
        return answer

    def _whose(self, call: Call) -> str:
        """Where a call goes, for faults of one kind of place: `create_message@guild` spares direct messages."""
        channel = self.world.channel(str(call.params.get("channel_id", "")))
        return "direct" if channel is not None and channel.is_direct else "guild"

    def _find(self, verb: str, path: str) -> tuple[Operation | None, Json, bool]:
        known = False
        for operation, pattern in self._routes:
            match = pattern.fullmatch(path)
            if match is not None:
                known = True
                if operation.verb == verb:
                    return operation, {name: unquote(value) for name, value in match.groupdict().items()}, True
        return None, {}, known

    def _answer(
        self, request: web.Request, call: Call, operation: Operation | None, known: bool, readable: bool
    ) -> web.Response:
        headers: dict[str, str] = {}
        try:
            if operation is None or operation.name not in self.handlers:
                self.world.surprise(f"{call.verb} {call.path}", "unknown operation")
                raise ApiError(405, 0, "405: Method Not Allowed") if known else not_found()
            if not operation.by_token and not self._authorized(request):
                raise unauthorized()
            headers, wait, everywhere = self.rates.take(operation, _major(call))
            if wait > 0:
                return self._limited(call, wait, everywhere, headers)
            if not readable:
                raise refuse(50109)
            self._known_fields(operation, call)
            return self._respond(call, *_result(self.handlers[operation.name](call)), headers)
        except ApiError as refusal:
            return self._respond(call, refusal.status, refusal.body, headers)
        except Exception as error:
            self.world.surprise(call.method, f"the simulator could not handle it: {error!r}")
            return self._respond(call, 500, {"message": "500: Internal Server Error", "code": 0}, headers)

    def _authorized(self, request: web.Request) -> bool:
        header = request.headers.get("Authorization", "")
        return header.startswith("Bot ") and self.app.valid(header)

    def _known_fields(self, operation: Operation, call: Call) -> None:
        unknown = sorted(set(call.query) - operation.query)
        if isinstance(call.body, dict):
            unknown += sorted(set(call.body) - operation.fields)
        if unknown:
            self.world.surprise(call.method, f"unknown fields: {', '.join(unknown)}")

    def _planned(self, call: Call, fault: Fault) -> web.Response | None:
        if fault.error is not None:
            code = int(fault.error)
            status, message = ERRORS.get(code, (fault.status or 400, "Planned"))
            body = {"message": message, "code": code}
            return self._respond(call, fault.status or status, body, {})
        if fault.status == 429 or (fault.status is None and fault.retry_after is not None):
            return self._limited(call, fault.retry_after or 1.0, False, {})
        if fault.status is None:
            return None
        if fault.status == 401:
            return self._respond(call, 401, unauthorized().body, {})
        call.status, call.error = fault.status, f"http_{fault.status}"
        return web.Response(status=fault.status, text="<html>unavailable</html>", content_type="text/html")

    def _limited(self, call: Call, wait: float, everywhere: bool, headers: dict[str, str]) -> web.Response:
        body = {"message": "You are being rate limited.", "retry_after": round(wait, 3), "global": everywhere}
        shown = {**headers, "Retry-After": f"{wait:g}", "X-RateLimit-Scope": "global" if everywhere else "user"}
        return self._respond(call, 429, body, {**shown, "Via": "1.1 google"})

    def _respond(self, call: Call, status: int, body: Any, headers: dict[str, str]) -> web.Response:
        call.status, call.answer = status, body
        if status >= 400:
            call.code = body.get("code", 0)
            call.error = str(body["message"])
        if status == 204:
            return web.Response(status=204, headers=headers)
        via = {} if status == 429 else {"Via": "1.1 google"}
        raw = json.dumps(body, separators=(",", ":")).encode()
        return web.Response(body=raw, status=status, content_type="application/json", headers={**via, **headers})

    def _drop(self, request: web.Request, call: Call) -> web.Response:
        call.error = call.error or "dropped"
        if request.transport is not None:
            request.transport.abort()
        self.world.changed()
        return web.Response()

    async def _read(self, request: web.Request, call: Call) -> bool:
        """Fills the body; False when it is not readable."""
        raw: str | None
        if request.content_type.startswith("multipart/"):
            form = await request.post()
            part = form.get("payload_json")
            raw = part.decode() if isinstance(part, bytes | bytearray) else part if isinstance(part, str) else None
            files = sorted(name for name in form if name != "payload_json")
            if files:
                self.world.surprise(call.method, f"the simulator keeps no files: {', '.join(files)}")
        else:
            raw = await request.text()
        if not raw:
            return True
        try:
            call.body = json.loads(raw)
        except ValueError:
            return False
        return isinstance(call.body, dict | list)


def _result(value: Any) -> tuple[int, Any]:
    """A handler gives a body (200), None (204) or a pair of status and body."""
    if value is None:
        return 204, None
    return value if isinstance(value, tuple) else (200, value)


def _major(call: Call) -> str:
    return "+".join(str(call.params[n]) for n in ("channel_id", "guild_id", "token") if n in call.params)

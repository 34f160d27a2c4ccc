"""The front door of the web API: reads requests of every encoding, checks token, scope, rate and planned faults."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from platforms.simulation import Fault, FaultPlan
from platforms.slack.simulator.catalog import METHODS, Method
from platforms.slack.simulator.state import World

Json = dict[str, Any]
_JSON_FIELDS = {"blocks", "attachments", "metadata", "view", "loading_messages"}
_EVERYWHERE = {"team_id"}
"""Arguments Bolt adds to every call; Slack reads them for org-wide tokens only."""
_FLAGS = {"inclusive", "include_all_metadata", "exclude_archived", "include_locale", "return_im", "reply_broadcast"}


class ApiError(Exception):
    """The platform says no: `ok: false` with a code."""

    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code)
        self.code = code
        self.extra = extra


@dataclass
class Call:
    """One request to the web API and its answer. `error` is empty when it was carried out."""

    method: str
    arguments: Json
    at: datetime
    status: int = 0
    error: str = ""
    answer: Json = field(default_factory=dict)


@dataclass
class Credentials:
    """The tokens of the app and what they allow. A revoked token maps to the error it now gets."""

    bot_token: str
    app_token: str
    signing_secret: str
    scopes: set[str]
    app_scopes: set[str]
    revoked: dict[str, str] = field(default_factory=dict)

    def check(self, token: str, method: Method) -> None:
        if not token:
            raise ApiError("not_authed")
        if token in self.revoked:
            raise ApiError(self.revoked[token])
        if token not in (self.bot_token, self.app_token):
            raise ApiError("invalid_auth")
        if (token == self.app_token) != method.app_level:
            raise ApiError("not_allowed_token_type")
        if method.scope is not None:
            self.need(method.scope)

    def need(self, *scopes: str) -> None:
        """Refuses unless one of the scopes was granted."""
        granted = self.scopes | self.app_scopes
        if not granted & set(scopes):
            raise ApiError("missing_scope", needed=",".join(scopes), provided=",".join(sorted(self.scopes)))


class Rates:
    """Slack's rates, as token buckets on the simulated clock. Off unless `enabled`."""

    def __init__(self, world: World, enabled: bool, burst: int) -> None:
        self.world = world
        self.enabled = enabled
        self.burst = burst
        self._buckets: dict[str, tuple[float, datetime]] = {}

    def wait(self, name: str, method: Method, arguments: Json) -> int:
        """Seconds to wait before this call is allowed; 0 counts it as made."""
        if not self.enabled:
            return 0
        if method.tier is None:
            key, size, per_second = f"{name}:{arguments.get('channel')}", float(self.burst), 1.0
        else:
            key, size, per_second = name, float(method.tier), method.tier / 60
        now = self.world.clock.now()
        left, seen_at = self._buckets.get(key, (size, now))
        left = min(size, left + (now - seen_at).total_seconds() * per_second)
        if left < 1:
            self._buckets[key] = (left, now)
            return max(1, round((1 - left) / per_second + 0.499))
        self._buckets[key] = (left - 1, now)
        return 0


class WebApi:
    """Serves `/api/<method>`. `handlers` maps a method to the function that carries it out."""

    def __init__(self, world: World, credentials: Credentials, faults: FaultPlan, rates: Rates) -> None:
        self.world = world
        self.credentials = credentials
        self.faults = faults
        self.rates = rates
        self.handlers: dict[str, Callable[[Json], Json]] = {}
        self.calls: list[Call] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        arguments, token = await self._read(request)
        call = Call(name, arguments, self.world.clock.now())
        self.calls.append(call)
        fault = self.faults.take(name)
        if fault is not None and fault.drop_before_commit:
            return self._drop(request, call)
        answer = self._planned(call, fault) if fault is not None else None
        if answer is None:
            answer = self._answer(call, token)
            if fault is not None and fault.drop_after_commit:
                return self._drop(request, call)
        self.world.changed()
        return answer

    def _answer(self, call: Call, token: str) -> web.Response:
        try:
            method = self._admit(call, token)
            wait = self.rates.wait(call.method, method, call.arguments)
            if wait:
                return self._respond(call, 429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(wait)})
            return self._respond(call, 200, {"ok": True} | self.handlers[call.method](call.arguments))
        except ApiError as refusal:
            return self._respond(call, 200, {"ok": False, "error": refusal.code} | refusal.extra)
        except Exception as error:
            self.world.surprise(call.method, f"the simulator could not handle it: {error!r}")
            return self._respond(call, 500, {"ok": False, "error": "fatal_error"})

    def _admit(self, call: Call, token: str) -> Method:
        method = METHODS.get(call.method)
        if method is None or call.method not in self.handlers:
            self.world.surprise(call.method, "unknown method")
            raise ApiError("unknown_method", req_method=call.method)
        unknown = sorted(set(call.arguments) - method.arguments - _EVERYWHERE)
        if unknown:
            self.world.surprise(call.method, f"unknown arguments: {', '.join(unknown)}")
        self.credentials.check(token, method)
        for name in method.required:
            if call.arguments.get(name) in (None, "") and name not in ("status",):
                raise missing(call.method, name)
        return method

    def _planned(self, call: Call, fault: Fault) -> web.Response | None:
        if fault.error is not None:
            return self._respond(call, fault.status or 200, {"ok": False, "error": fault.error})
        if fault.status == 429 or (fault.status is None and fault.retry_after is not None):
            headers = {"Retry-After": f"{fault.retry_after or 1:g}"}
            return self._respond(call, 429, {"ok": False, "error": "ratelimited"}, headers)
        if fault.status is not None:
            call.status, call.error = fault.status, f"http_{fault.status}"
            headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            return web.Response(status=fault.status, text="<html>unavailable</html>", headers=headers)
        return None

    def _respond(self, call: Call, status: int, body: Json, headers: dict[str, str] | None = None) -> web.Response:
        call.status, call.answer, call.error = status, body, "" if body["ok"] else body["error"]
        shown = {"X-Slack-Req-Id": self.world.ids.hexadecimal(32), **(headers or {})}
        if call.error not in ("invalid_auth", "not_authed", "unknown_method"):
            shown["X-OAuth-Scopes"] = ",".join(sorted(self.credentials.scopes))
            scope = METHODS[call.method].scope if call.method in METHODS else None
            shown |= {"X-Accepted-OAuth-Scopes": scope} if scope else {}
        return web.json_response(body, status=status, headers=shown)

    def _drop(self, request: web.Request, call: Call) -> web.Response:
        call.error = call.error or "dropped"
        if request.transport is not None:
            request.transport.abort()
        self.world.changed()
        return web.Response()

    async def _read(self, request: web.Request) -> tuple[Json, str]:
        arguments: Json = dict(request.query)
        if request.method == "POST":
            if request.content_type == "application/json":
                raw = await request.text()
                try:
                    arguments |= json.loads(raw) if raw else {}
                except (ValueError, TypeError):
                    self.world.surprise(request.match_info["method"], "a body that is no JSON object")
            else:
                form = await request.post()
                arguments |= {name: str(value) for name, value in form.items()}
        header = request.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ") if header else str(arguments.get("token", ""))
        arguments.pop("token", None)
        return {name: _value(name, value) for name, value in arguments.items()}, token


def missing(method: str, argument: str) -> ApiError:
    """The refusal for a required argument that is not there. Where Slack has an own code for it, that code."""
    code = {"channel": "channel_not_found", "user": "user_not_found", "ts": "message_not_found"}.get(argument)
    detail = {"messages": [f"[ERROR] missing required field: {argument}"]}
    return ApiError(code or "invalid_arguments", response_metadata=detail)


def _value(name: str, value: Any) -> Any:
    if name in _FLAGS:
        return value in (True, 1, "1", "true", "True")
    if name in _JSON_FIELDS and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value

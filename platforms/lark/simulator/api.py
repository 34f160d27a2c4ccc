"""The front door of the API: reads requests, checks token, scope, rate and planned faults."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from platforms.lark.simulator.catalog import ENDPOINTS, TOKEN_LIFE, TOKEN_RENEWAL, Endpoint
from platforms.lark.simulator.state import World
from platforms.simulation import Fault, FaultPlan

Json = dict[str, Any]


class ApiError(Exception):
    """The platform says no: a code and a message in the body of an HTTP 400, or of another status."""

    def __init__(self, code: int, message: str, *, status: int = 400, **error: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.error = error
        self.headers: dict[str, str] = {}


@dataclass
class Call:
    """One request to the API and its answer. `code` is 0 when it was carried out; `error` is then empty."""

    method: str
    arguments: Json
    at: datetime
    status: int = 0
    code: int = 0
    error: str = ""
    answer: Json = field(default_factory=dict)


@dataclass
class Credentials:
    """The app's keys, the tokens given out and what they allow."""

    app_id: str
    app_secret: str
    encrypt_key: str
    verification_token: str
    scopes: set[str]
    tokens: dict[str, datetime] = field(default_factory=dict)
    secret_is_wrong: bool = False
    wrong_domain: bool = False

    def knows(self, app_id: str, secret: str) -> bool:
        return app_id == self.app_id and secret == self.app_secret and not self.secret_is_wrong


class Access:
    """Gives out tenant access tokens and checks them and their scopes."""

    def __init__(self, world: World, credentials: Credentials) -> None:
        self.world = world
        self.credentials = credentials

    def token(self, arguments: Json) -> Json:
        """`tenant_access_token/internal`: always HTTP 200; the same token until it has less than 30 min left."""
        app_id, secret = str(arguments.get("app_id") or ""), str(arguments.get("app_secret") or "")
        if not app_id.startswith("cli_") or not secret:
            raise ApiError(10003, "invalid param", status=200)
        if app_id != self.credentials.app_id:
            raise ApiError(10014, "app id not exists", status=200)
        if not self.credentials.knows(app_id, secret):
            raise ApiError(10014, "app secret invalid", status=200)
        now = self.world.clock.now()
        for token, expires_at in self.credentials.tokens.items():
            if expires_at - now >= TOKEN_RENEWAL:
                return self._given(token, expires_at)
        token = f"t-g{self.world.ids.secret(40)}"
        self.credentials.tokens[token] = now + TOKEN_LIFE
        return self._given(token, now + TOKEN_LIFE)

    def check(self, token: str, endpoint: Endpoint) -> None:
        """Refuses a missing, wrong, expired or revoked token and a missing scope."""
        if not token:
            raise ApiError(
                99991661, "Missing access token for authorization. Please make a request with token attached."
            )
        expires_at = self.credentials.tokens.get(token)
        if expires_at is None or expires_at <= self.world.clock.now():
            raise ApiError(
                99991663, "Invalid access token for authorization. Please make a request with token attached."
            )
        self.need(endpoint.scopes)

    def need(self, scopes: tuple[str, ...]) -> None:
        """Refuses unless one of the scopes was granted (or none is needed)."""
        if scopes and not self.credentials.scopes & set(scopes):
            listed = ", ".join(scopes)
            link = f"https://open.larksuite.com/app/{self.credentials.app_id}/auth?q={','.join(scopes)}&op_from=openapi"
            raise ApiError(
                99991672,
                f"Access denied. One of the following scopes is required: [{listed}]. Apply for it here: {link}",
                permission_violations=[{"type": "action_scope_required", "subject": scope} for scope in scopes],
            )

    def _given(self, token: str, expires_at: datetime) -> Json:
        left = int((expires_at - self.world.clock.now()).total_seconds())
        return {"tenant_access_token": token, "expire": left}


class Rates:
    """Lark's rates, counted in sliding windows on the simulated clock. Off unless `enabled`."""

    def __init__(self, world: World, enabled: bool) -> None:
        self.world = world
        self.enabled = enabled
        self.tenant_per_minute: int | None = None
        """If set, posts of the whole tenant above it get 11232 (reported: 100)."""
        self._seen: dict[str, list[float]] = {}

    def check(self, endpoint: Endpoint, arguments: Json, chat: str) -> None:
        """Refuses what is too much: per app, tenant, chat (posts) or message (card updates)."""
        if not self.enabled:
            return
        posting = endpoint.name in ("message.create", "message.reply")
        if posting or endpoint.name == "message.patch":
            wait = max(self._wait(f"app:{endpoint.name}", 50, 1), self._wait(f"app:{endpoint.name}", 1000, 60))
            if wait:
                refusal = ApiError(99991400, "request trigger frequency limit", status=429)
                refusal.headers = {"x-ogw-ratelimit-limit": "1000", "x-ogw-ratelimit-reset": str(int(wait) + 1)}
                raise refusal
        if posting and self.tenant_per_minute is not None and self._wait("tenant", self.tenant_per_minute, 60):
            raise ApiError(11232, "create message trigger system rate limit")
        key = f"chat:{chat}" if posting else f"message:{arguments.get('message_id')}"
        if (posting or endpoint.name == "message.patch") and self._wait(key, 5, 1):
            raise ApiError(230020, "This operation triggers the frequency limit.")
        for counted in (f"app:{endpoint.name}", *(("tenant",) if posting else ()), key):
            self._seen.setdefault(counted, []).append(self.world.clock.now().timestamp())

    def _wait(self, key: str, most: int, seconds: float) -> float:
        """Seconds until one more is allowed; 0: now."""
        now = self.world.clock.now().timestamp()
        recent = [at for at in self._seen.get(key, []) if now - at < 60]
        self._seen[key] = recent
        within = [at for at in recent if now - at < seconds]
        return within[-most] + seconds - now if len(within) >= most else 0.0


class Api:
    """Serves the endpoints. `handlers` maps an endpoint's name to the function that carries it out."""

    def __init__(self, world: World, access: Access, faults: FaultPlan, rates: Rates) -> None:
        self.world = world
        self.access = access
        self.faults = faults
        self.rates = rates
        self.handlers: dict[str, Callable[[Json], Json]] = {}
        self.chat_of: Callable[[Json], str] = lambda arguments: ""
        """The chat that a post goes to, for the rate per chat."""
        self.calls: list[Call] = []

    def add_routes(self, app: web.Application) -> None:
        for endpoint in ENDPOINTS:
            app.router.add_route(endpoint.verb, endpoint.path, self._handler(endpoint))
        app.router.add_route("*", "/{path:.*}", self._unknown)

    def _handler(self, endpoint: Endpoint) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            body, unknown = await self._read(request, endpoint)
            arguments = {**body, **request.query, **request.match_info}
            call = Call(endpoint.name, arguments, self.world.clock.now())
            self.calls.append(call)
            if unknown:
                self.world.surprise(endpoint.name, f"unknown fields: {', '.join(unknown)}")
            return self._answer(request, endpoint, call)

        return handle

    def _answer(self, request: web.Request, endpoint: Endpoint, call: Call) -> web.Response:
        fault = self.faults.take(endpoint.name)
        if fault is not None and fault.drop_before_commit:
            return self._drop(request, call)
        planned = self._planned(endpoint, call, fault) if fault is not None else None
        if planned is not None:
            return planned
        answer = self._carry_out(request, endpoint, call)
        if fault is not None and fault.drop_after_commit:
            return self._drop(request, call)
        return answer

    def _carry_out(self, request: web.Request, endpoint: Endpoint, call: Call) -> web.Response:
        try:
            if endpoint.token:
                scheme, _, token = request.headers.get("Authorization", "").partition(" ")
                self.access.check(token.strip() if scheme.lower() == "bearer" else "", endpoint)
            for name in endpoint.required:
                if call.arguments.get(name) in (None, ""):
                    raise invalid(f"{name} is required")
            self.rates.check(endpoint, call.arguments, self.chat_of(call.arguments))
            found = self.handlers[endpoint.name](call.arguments)
        except ApiError as refusal:
            return self._refuse(call, refusal)
        except Exception as error:
            self.world.surprise(call.method, f"the simulator could not handle it: {error!r}")
            return self._refuse(call, ApiError(2200, "Internal Error", status=500))
        flat = endpoint.name in ("token", "bot.info")
        return self._respond(call, 200, {"code": 0, "msg": "success", **(found if flat else {"data": found})}, {})

    def _planned(self, endpoint: Endpoint, call: Call, fault: Fault) -> web.Response | None:
        headers = {} if fault.retry_after is None else {"x-ogw-ratelimit-reset": f"{fault.retry_after:g}"}
        if fault.error is not None:
            code, _, message = fault.error.partition(":")
            status = fault.status or (400 if endpoint.token else 200)
            refusal = ApiError(int(code), message.strip() or "planned", status=status)
            refusal.headers = headers
            return self._refuse(call, refusal)
        if fault.status == 429 or (fault.status is None and fault.retry_after is not None):
            refusal = ApiError(99991400, "request trigger frequency limit", status=429)
            refusal.headers = headers or {"x-ogw-ratelimit-reset": "1"}
            return self._refuse(call, refusal)
        if fault.status is not None:
            call.status, call.error = fault.status, f"http_{fault.status}"
            self.world.changed()
            return web.Response(status=fault.status, text="<html>unavailable</html>", headers=headers)
        return None

    def _refuse(self, call: Call, refusal: ApiError) -> web.Response:
        body: Json = {"code": refusal.code, "msg": refusal.message}
        if refusal.status != 200:
            body["error"] = {"log_id": self.world.ids.hexadecimal(32).upper(), **refusal.error}
        return self._respond(call, refusal.status, body, refusal.headers)

    def _respond(self, call: Call, status: int, body: Json, headers: dict[str, str]) -> web.Response:
        call.status, call.answer, call.code = status, body, body["code"]
        call.error = "" if call.code == 0 else str(call.code)
        self.world.changed()
        return web.json_response(body, status=status, headers={"X-Tt-Logid": self.world.ids.hexadecimal(32), **headers})

    def _drop(self, request: web.Request, call: Call) -> web.Response:
        call.error = call.error or "dropped"
        if request.transport is not None:
            request.transport.abort()
        self.world.changed()
        return web.Response()

    async def _read(self, request: web.Request, endpoint: Endpoint) -> tuple[Json, list[str]]:
        raw = await request.read()
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self.world.surprise(endpoint.name, "a body that is no JSON object")
            body = {}
        return body, sorted((set(body) - endpoint.body) | (set(request.query) - endpoint.query))

    async def _unknown(self, request: web.Request) -> web.Response:
        call = Call(f"{request.method} {request.path}", dict(request.query), self.world.clock.now(), 404, 404, "404")
        self.calls.append(call)
        self.world.surprise(call.method, "unknown endpoint")
        return web.Response(status=404, text="404 page not found")


def invalid(what: str) -> ApiError:
    """230001 with Lark's `ext=`."""
    return ApiError(230001, f"Your request contains an invalid request parameter, ext={what}.")

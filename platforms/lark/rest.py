"""Lark's REST endpoints over one pooled HTTP client, with an access token of our own per service and app.

The SDK fetches tokens by a blocking call on the loop, caches them by app alone and never asks again: hence this.
"""

import asyncio
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from bot.ports import Clock
from platforms.addresses import LOOPBACK
from platforms.lark.errors import STALE_TOKEN, LarkRefused

EARLY: Final = timedelta(minutes=5)
"""How long before its end a token is replaced."""
TIMEOUT: Final = httpx.Timeout(15, connect=5)
POOL: Final = httpx.Limits(max_connections=20, max_keepalive_connections=10, keepalive_expiry=60)
TOKEN_PATH: Final = "/open-apis/auth/v3/tenant_access_token/internal"
ENDPOINT_PATH: Final = "/callback/ws/endpoint"

Json = Mapping[str, Any]


class LarkApi:
    """One app at one service (Lark, Feishu or a simulator). Methods raise `LarkRefused` or an `httpx` error."""

    def __init__(self, base_url: str, app_id: str, secret: str, clock: Clock) -> None:
        self.base_url, self.app_id = base_url.rstrip("/"), app_id
        self._secret, self._clock = secret, clock
        self._client: httpx.AsyncClient | None = None
        self._token, self._fresh_until = "", datetime.min.replace(tzinfo=UTC)
        self._renewing = asyncio.Lock()

    async def aclose(self) -> None:
        """Closes the pool; the next call opens another."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def call(self, verb: str, path: str, *, query: Json | None = None, body: Json | None = None) -> Json:
        """The `data` of an answer. A refused token is replaced once."""
        token = await self._current_token("")
        try:
            answer = await self._ask(verb, path, query, body, token)
        except LarkRefused as refusal:
            if refusal.code not in STALE_TOKEN:
                raise
            answer = await self._ask(verb, path, query, body, await self._current_token(token))
        data = answer.get("data")
        return data if isinstance(data, Mapping) else answer

    async def endpoint(self) -> Json:
        """Where to connect for the long connection: `URL` and `ClientConfig`."""
        answer = await self._ask("POST", ENDPOINT_PATH, None, {"AppID": self.app_id, "AppSecret": self._secret}, "")
        data = answer.get("data")
        if not isinstance(data, Mapping) or not isinstance(data.get("URL"), str):
            raise LarkRefused(0, "no address for the long connection", 502)
        return data

    async def _current_token(self, refused: str) -> str:
        """A token that is good for five more minutes at least, and not the refused one."""
        async with self._renewing:
            if not self._token or self._token == refused or self._clock.now() >= self._fresh_until:
                given = await self._ask(
                    "POST", TOKEN_PATH, None, {"app_id": self.app_id, "app_secret": self._secret}, ""
                )
                token, life = given.get("tenant_access_token"), given.get("expire")
                if not isinstance(token, str) or not isinstance(life, int):
                    raise LarkRefused(0, "no token in the answer", 502)
                self._token = token
                self._fresh_until = self._clock.now() + timedelta(seconds=min(max(life, 0), 86_400)) - EARLY
            return self._token

    async def _ask(self, verb: str, path: str, query: Json | None, body: Json | None, token: str) -> Json:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
            content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        answer = await self._pool().request(
            verb, self.base_url + path, params=dict(query or {}), content=content, headers=headers
        )
        return _read(answer)

    def _pool(self) -> httpx.AsyncClient:
        if self._client is None:
            local = urlsplit(self.base_url).hostname in LOOPBACK
            self._client = httpx.AsyncClient(timeout=TIMEOUT, limits=POOL, trust_env=not local)
        return self._client


def _read(answer: httpx.Response) -> Json:
    """The body of an answer that carries code 0. Raises `LarkRefused` for everything else."""
    after = _after(answer.headers)
    try:
        found: Any = json.loads(answer.content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping) or not isinstance(found.get("code"), int):
        raise LarkRefused(0, "an answer that is no JSON of Lark's", answer.status_code, after)
    if found["code"] == 0 and answer.status_code < 400:
        return found
    error = found.get("error")
    violations = error.get("permission_violations") if isinstance(error, Mapping) else None
    scopes = [str(one.get("subject")) for one in violations or [] if isinstance(one, Mapping) and one.get("subject")]
    raise LarkRefused(found["code"], str(found.get("msg") or "")[:500], answer.status_code, after, scopes)


def _after(headers: Mapping[str, str]) -> float:
    """Seconds that Lark asks to wait; 0 when it does not say."""
    given = headers.get("x-ogw-ratelimit-reset") or headers.get("retry-after") or "0"
    try:
        seconds = float(given)
    except ValueError:
        return 0
    return seconds if math.isfinite(seconds) else 0

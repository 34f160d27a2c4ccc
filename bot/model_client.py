"""The one client for chat completions and embeddings of an OpenAI-compatible endpoint (LLM_BASE_URL).

What such endpoints differ in is found out once and remembered: whether they hold a model to a JSON schema, to JSON, or
to nothing, and which optional parameters they refuse. No text and no key is ever logged.
"""

import asyncio
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from itertools import chain
from time import monotonic, time
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
import structlog
from pydantic import BaseModel, Field, ValidationError

from bot.ports import ModelAway, ModelUseless
from bot.settings import Settings

Read = TypeVar("Read")

BUDGET_SECONDS: Final = 20.0
"""The time that one question may take in all: every step of the ladder, every wait, the repair."""
EMBED_SECONDS: Final = 5.0
BODY_MAX: Final = 1024 * 1024
VECTOR_MAX: Final = 8_192
SOON: Final = timedelta(seconds=30)
"""When an endpoint that failed is asked again."""
LATER: Final = timedelta(minutes=5)
"""When an endpoint is asked again that needs an admin first: a wrong key, address or model."""
LONGEST_WAIT: Final = timedelta(hours=1)
_TRIES: Final = 12
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_CHAT: Final = "/chat/completions"
_EMBED: Final = "/embeddings"
_PLAIN: Final = 2
"""The last step of the ladder: no response format at all."""

log = structlog.get_logger(__name__)


class _Message(BaseModel):
    content: str = Field(min_length=1)


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


class _Vector(BaseModel):
    index: int
    embedding: list[float] = Field(min_length=1, max_length=VECTOR_MAX)


class _Embeddings(BaseModel):
    data: list[_Vector]


def open_model(settings: Settings) -> "ModelClient | None":
    """The endpoint of LLM_* with its models, None where it or they are not configured. Raises ValueError for an address
    that may not be used."""
    if not settings.llm_base_url or not (settings.llm_model or settings.embeddings_model):
        return None
    key = settings.llm_api_key.get_secret_value() if settings.llm_api_key else ""
    return ModelClient(settings.llm_base_url, key, settings.llm_model, settings.embeddings_model)


class ModelClient:
    """Implements `bot.ports.Model`. Follows no redirect, reads at most `BODY_MAX` bytes, uses no proxy on loopback."""

    def __init__(
        self, base_url: str, key: str, model: str, embeddings_model: str = "", *, budget: float = BUDGET_SECONDS
    ) -> None:
        local = _checked(base_url)
        base = base_url.rstrip("/")
        last = base.rsplit("/", 1)[-1]
        self._base = base if re.fullmatch(r"v\d\w*", last) else f"{base}/v1"
        self._key, self._model, self._embeddings = key, model, embeddings_model
        self._budget = budget
        self._step = 0
        self._extras: dict[str, Any] = {"temperature": 0, "max_tokens": 2_000}
        self._quiet: dict[str, float] = {}
        self._trust_env = not local
        self._http: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"ModelClient({self._model})"

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def ask(
        self, rules: str, data: str, schema: Mapping[str, Any], read: Callable[[str], Read]
    ) -> Read | ModelAway | ModelUseless:
        """As `Model.ask`, within the time budget."""
        messages = [{"role": "system", "content": rules}, {"role": "user", "content": data}]
        try:
            async with asyncio.timeout(self._budget):
                answer = await self._complete(messages, schema)
                if not isinstance(answer, str):
                    return answer
                try:
                    return read(json_in(answer))
                except ValueError as error:
                    fix = f"That answer cannot be used: {error} Answer again, with the corrected JSON object only."
                messages += [{"role": "assistant", "content": answer[:4_000]}, {"role": "user", "content": fix}]
                answer = await self._complete(messages, schema)
                if not isinstance(answer, str):
                    return answer
                try:
                    return read(json_in(answer))
                except ValueError:
                    return self._useless("not what was asked for")
        except TimeoutError:
            return self._away(_CHAT, "slow", SOON)

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]] | ModelAway | ModelUseless:
        """As `Model.embed`."""
        body = {"model": self._embeddings, "input": list(texts), "encoding_format": "float"}
        try:
            async with asyncio.timeout(EMBED_SECONDS):
                answer = await self._post(_EMBED, body)
        except TimeoutError:
            return self._away(_EMBED, "slow", SOON)
        if not isinstance(answer, bytes):
            return answer if isinstance(answer, ModelAway) else self._useless("embeddings refused")
        try:
            found = sorted(_Embeddings.model_validate_json(answer).data, key=lambda one: one.index)
        except ValidationError:
            return self._useless("no embeddings")
        vectors = [one.embedding for one in found]
        sane = len({len(vector) for vector in vectors}) == 1 and all(map(math.isfinite, chain.from_iterable(vectors)))
        if [one.index for one in found] != list(range(len(texts))) or not sane:
            return self._useless("no embeddings")
        return vectors

    async def _complete(
        self, messages: list[dict[str, str]], schema: Mapping[str, Any]
    ) -> str | ModelAway | ModelUseless:
        """The model's text: json_schema first, then json_object, then plain; the first that works is remembered."""
        step, extras = self._step, dict(self._extras)
        for _ in range(_TRIES):
            body = {"model": self._model, "messages": messages, **extras, **_format(step, schema)}
            answer = await self._post(_CHAT, body)
            if isinstance(answer, _Refused):
                named = next((name for name in extras if name in answer.said), None)
                if named is not None:
                    extras.pop(named)
                elif step < _PLAIN:
                    step += 1
                else:
                    return self._useless(f"refused with {answer.status}")
            elif isinstance(answer, bytes):
                self._step, self._extras = step, extras
                try:
                    return _Completion.model_validate_json(answer).choices[0].message.content
                except ValidationError:
                    return self._useless("no completion")
            else:
                return answer
        return self._useless("refused again and again")

    async def _post(self, path: str, body: Mapping[str, Any]) -> "bytes | _Refused | ModelAway | ModelUseless":
        """The body of a 200. One wait is made for an endpoint that asks for it, if the time budget allows it."""
        for _ in range(2):
            if (left := self._quiet.get(path, 0.0) - monotonic()) > 0:
                if left > self._budget / 2:
                    return ModelAway(timedelta(seconds=left))
                await asyncio.sleep(left)
            try:
                status, headers, content = await self._send(path, body)
            except _TooLong:
                return self._useless("too long an answer")
            except httpx.HTTPError as error:
                return self._away(path, type(error).__name__, SOON)
            if status == 200:
                return content
            if status in (400, 413, 422):
                return _Refused(status, content[:4_000].decode("utf-8", "replace"))
            wait = _after(headers)
            if status in (429, 503) and wait is not None:
                self._quiet[path] = monotonic() + wait.total_seconds()
                continue
            return self._away(path, str(status), SOON if status in (408, 429) or status >= 500 else LATER)
        return ModelAway(timedelta(seconds=max(self._quiet[path] - monotonic(), 1.0)))

    async def _send(self, path: str, body: Mapping[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        headers = {"content-type": "application/json", "accept": "application/json", "accept-encoding": "identity"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        async with self._pool().stream("POST", self._base + path, content=content, headers=headers) as answer:
            found = bytearray()
            async for piece in answer.aiter_raw():
                found += piece
                if len(found) > BODY_MAX:
                    raise _TooLong
            return answer.status_code, answer.headers, bytes(found)

    def _pool(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=self._budget, follow_redirects=False, trust_env=self._trust_env)
        return self._http

    def _away(self, path: str, why: str, after: timedelta) -> ModelAway:
        self._quiet[path] = monotonic() + after.total_seconds()
        log.warning("model_away", why=why, retry_in_s=after.total_seconds())
        return ModelAway(after)

    def _useless(self, why: str) -> ModelUseless:
        log.warning("model_useless", why=why)
        return ModelUseless(why)


def _checked(base_url: str) -> bool:
    """Whether an address is on loopback. Raises ValueError for one that a key may not be sent to."""
    say = "LLM_BASE_URL must be an https address without a user or query; http only on loopback."
    try:
        parts = urlsplit(base_url)
        local, _ = parts.hostname in _LOOPBACK, parts.port
    except ValueError:
        raise ValueError(say) from None
    safe = parts.scheme == "https" or (parts.scheme == "http" and local)
    if not safe or not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(say)
    return local


class _TooLong(Exception):
    """The answer is longer than `BODY_MAX`."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """The endpoint does not take the request as it is."""

    status: int
    said: str


def _format(step: int, schema: Mapping[str, Any]) -> dict[str, Any]:
    if step == 0:
        named = {"name": "answer", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    return {"response_format": {"type": "json_object"}} if step < _PLAIN else {}


def _after(headers: httpx.Headers) -> timedelta | None:
    """What Retry-After asks for, seconds or a date, at most an hour; None where it says nothing that can be read."""
    said = headers.get("retry-after", "")
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time()
        except (ValueError, TypeError, OverflowError):
            return None
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST_WAIT.total_seconds())) if math.isfinite(seconds) else None


def json_in(answer: str) -> str:
    """The JSON object in a model's answer: without what it thought aloud, a fence, or words around it."""
    plain = answer.rpartition("</think>")[2]
    start, end = plain.find("{"), plain.rfind("}")
    return plain[start : end + 1] if 0 <= start < end else plain.strip()

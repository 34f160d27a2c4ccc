"""One request to GitHub's REST API through gidgethub, with every way it can go wrong turned into a value.

gidgethub follows redirects, reads bodies without a limit and raises `ValueError` on codes it does not know (520); the
subclass here does none of that. Nothing of a credential is ever part of an exception, a text or a log line.
"""

import asyncio
import http
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from gidgethub import HTTPException
from gidgethub.aiohttp import GitHubAPI

from bot.ports import Clock
from bot.worker.forges.github_errors import Failure, failure_of, lost, unreadable
from bot.worker.forges.settings import GitHubSettings

MAX_ANSWER: Final = 8 * 1024 * 1024
"""Bytes of one answer; a page of 100 pull requests is under 3 MiB."""
_REQUESTER: Final = "codetask"
_API_VERSION: Final = "2022-11-28"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `path` is a URI template filled with `fields`; `data` makes it a write.

    `creating` marks a request that must not be repeated blindly: its answer may be lost after GitHub did it."""

    method: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] | None = None
    token: str = field(default="", repr=False)
    jwt: str = field(default="", repr=False)
    etag: str = ""
    creating: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer: the decoded JSON and its ETag."""

    data: object
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """304: nothing changed since the ETag."""


class _AnswerTooLarge(Exception):
    """More than `MAX_ANSWER` bytes."""


class _Request(GitHubAPI):
    """A gidgethub client for one request: no redirects, a time limit, a size limit, only codes it knows."""

    def __init__(self, session: aiohttp.ClientSession, settings: GitHubSettings) -> None:
        super().__init__(session, _REQUESTER, base_url=settings.api_url)
        self._limit = aiohttp.ClientTimeout(total=settings.timeout.total_seconds())
        self.answer_headers: Mapping[str, str] = {}

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, Mapping[str, str], bytes]:
        sent = {**headers, "x-github-api-version": _API_VERSION}
        async with self._session.request(
            method, url, headers=sent, data=body, allow_redirects=False, timeout=self._limit
        ) as response:
            content = await _read_capped(response)
            self.answer_headers = response.headers
            headers = _lower(response.headers)
            if response.status >= 400 and not _is_object(content):
                headers["content-type"] = "text/plain; charset=latin-1"
            return _known_status(response.status), headers, content


async def _read_capped(response: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_chunked(64 * 1024):
        size += len(piece)
        if size > MAX_ANSWER:
            raise _AnswerTooLarge
        pieces.append(piece)
    return b"".join(pieces)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _is_object(content: bytes) -> bool:
    """Whether a refusal is what GitHub sends; a proxy's page may call itself JSON, and its status still counts."""
    try:
        return isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False


def _known_status(status: int) -> int:
    """gidgethub builds an `http.HTTPStatus` of the code, which raises for 520 and its like."""
    try:
        return http.HTTPStatus(status).value
    except ValueError:
        return 400 if 400 <= status < 500 else 500


class GitHubHttp:
    """Sends requests on one connection pool, opened at the first request in the running event loop."""

    def __init__(self, settings: GitHubSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def ask(self, ask: Ask) -> Answer | Unchanged | Failure:
        """The answer, or what went wrong. Raises nothing but cancellation."""
        if self._closed:  # else who comes late would open a session that nobody closes
            return lost("GitHub is not asked any more", maybe_done=False)
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        request = _Request(self._session, self._settings)
        try:
            data = await _send(request, ask)
        except HTTPException as refused:
            if refused.status_code == http.HTTPStatus.NOT_MODIFIED and ask.etag:
                return Unchanged()
            return failure_of(refused, self._clock.now(), creating=ask.creating)
        except aiohttp.ClientConnectorError:
            return lost("GitHub cannot be reached", maybe_done=False)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as fault:
            return lost(f"GitHub did not answer ({type(fault).__name__})", maybe_done=ask.creating)
        except (_AnswerTooLarge, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return unreadable(maybe_done=ask.creating)
        return Answer(data, request.answer_headers.get("etag", "")[:256])

    async def aclose(self) -> None:
        """Closes the connections for good; idempotent."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _send(request: _Request, ask: Ask) -> object:
    credential: dict[str, Any] = {"jwt": ask.jwt} if ask.jwt else {"oauth_token": ask.token or None}
    if ask.data is None:
        headers = {"if-none-match": ask.etag} if ask.etag else None
        return await request.getitem(ask.path, ask.fields, extra_headers=headers, **credential)
    send = request.post if ask.method == "POST" else request.patch
    return await send(ask.path, ask.fields, data=dict(ask.data), **credential)

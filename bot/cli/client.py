"""The HTTP API as commands use it: one call, or a stream of events; every error becomes a `Failure`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import httpx

from bot.cli.failures import FAILED, NOT_FOUND, REFUSED, UNREACHABLE, USAGE, Failure
from bot.cli.server import Server, find_server
from bot.core.hygiene import clean

EXITS: Final = {
    400: USAGE,
    401: REFUSED,
    403: REFUSED,
    404: NOT_FOUND,
    409: REFUSED,
    413: USAGE,
    422: USAGE,
    429: UNREACHABLE,
    503: UNREACHABLE,
}
CALL_SECONDS: Final = 30.0
QUIET_SECONDS: Final = 45.0
"""The server says something on a stream every 15 s."""


class Api:
    """Calls one server. Use as a context manager."""

    def __init__(self, server: Server | None = None) -> None:
        self.server = server or find_server()
        headers = {"accept": "application/json"}
        if self.server.token:
            headers["authorization"] = f"Bearer {self.server.token}"
        self._http = httpx.Client(
            base_url=f"{self.server.url}/api/v1/", headers=headers, timeout=CALL_SECONDS, trust_env=False
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of one call; None for an answer without a body."""
        with self._reaching():
            answer = self._http.request(method, path, **request)
        _check(answer)
        return answer.json() if answer.content else None

    def pages(self, path: str, params: Mapping[str, Any], key: str, limit: int | None = None) -> list[Any]:
        """The items of a list, following `next` (sent back as `key`) until the end or `limit` items."""
        items: list[Any] = []
        asked = dict(params)
        while True:
            page = self.call("GET", path, params=asked)
            items += page["items"]
            if not page["next"] or (limit is not None and len(items) >= limit):
                return items if limit is None else items[:limit]
            asked[key] = page["next"]

    def events(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[tuple[str, Any]]:
        """(name, data) of each event of a stream, until the server ends it."""
        headers = {"accept": "text/event-stream"}
        timeout = httpx.Timeout(CALL_SECONDS, read=QUIET_SECONDS)
        with (
            self._reaching(),
            self._http.stream("GET", path, params=params, headers=headers, timeout=timeout) as answer,
        ):
            if answer.status_code != 200:
                answer.read()
                _check(answer)
            name = ""
            for line in answer.iter_lines():
                kind, _, text = line.partition(": ")
                if kind == "event":
                    name = text
                elif kind == "data":
                    yield name, json.loads(text)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise _unreachable(self.server.url) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise Failure(f"CODETASK_URL is no address: {self.server.url}", USAGE) from error


def task_path(task_id: str, verb: str = "") -> str:
    """The path of a code task, whatever form its id has."""
    return f"code-tasks/{quote(task_id, safe='')}{'/' if verb else ''}{verb}"


def follow_up_path(follow_up_id: str, verb: str = "") -> str:
    """The path of a follow-up, whatever form its id has."""
    return f"follow-ups/{quote(follow_up_id, safe='')}{'/' if verb else ''}{verb}"


def suggestion_path(suggestion_id: str, verb: str = "") -> str:
    """The path of a suggestion."""
    return f"suggestions/{quote(suggestion_id, safe='')}{'/' if verb else ''}{verb}"


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        body = answer.json()
        message, hint, ref = str(body["message"]), str(body["hint"]), str(body["ref"])
    except (ValueError, KeyError, TypeError):
        raise Failure(
            f"The server answered {answer.status_code} without saying why.",
            EXITS.get(answer.status_code, FAILED),
            "Is CODETASK_URL the address of a Codetask server?",
        ) from None
    if answer.status_code >= 500:
        hint = f"{hint} (ref {ref})".strip()
    if body.get("choices"):
        hint = f"Say one of: {', '.join(map(str, body['choices']))}."
    raise Failure(clean(message), EXITS.get(answer.status_code, FAILED), clean(hint), str(body.get("code", "")))


def _unreachable(url: str) -> Failure:
    from bot.core.texts import Texts

    return Failure(Texts.load().say("cli.unreachable", url=url, command="`codetask up`"), UNREACHABLE)

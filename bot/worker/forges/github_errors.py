"""What GitHub's refusals mean: pass by themselves, need a setting, or are final.

Sources: GitHub docs "Rate limits for the REST API" (retry-after, x-ratelimit-reset, else wait at least a minute) and
"Troubleshooting the REST API" (404 instead of 403 for what a token may not see), gidgethub 6.0 `sansio`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from gidgethub import BadRequestUnknownError, HTTPException, InvalidField, ValidationError

from bot.core.hygiene import clean, cut
from bot.ports import ForgeRefused, ForgeRetry, ForgeTrouble

SOON: Final = timedelta(seconds=2)
"""The first wait of the caller's own doubling (faults 1)."""
SECONDARY_WAIT: Final = timedelta(seconds=60)
"""What GitHub asks for when a secondary limit names no time."""
LONGEST_WAIT: Final = timedelta(hours=2)

Kind = Literal[
    "unauthorized", "forbidden", "missing", "moved", "exists", "no_draft", "head", "invalid", "limited", "lost"
]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that did not succeed, and what to tell the caller if nothing better is known."""

    kind: Kind
    trouble: ForgeTrouble


def lost(why: str, *, maybe_done: bool) -> Failure:
    """No answer: the connection failed, broke or took too long."""
    return Failure("lost", ForgeRetry(SOON, why, maybe_done))


def unreadable(*, maybe_done: bool) -> Failure:
    """An answer that is not what GitHub sends (a proxy's page, half a JSON, too long)."""
    return lost("GitHub's answer could not be read", maybe_done=maybe_done)


def failure_of(error: HTTPException, now: datetime, *, creating: bool) -> Failure:
    """The meaning of an answer outside 2xx."""
    status, said = int(error.status_code), _words(str(error))
    wait = _wait(status, said, error.headers, now)
    if wait is not None:
        return Failure("limited", ForgeRetry(wait, f"GitHub's rate limit ({status})"))
    if status >= 500:
        after = _retry_after(error.headers) or SOON
        return Failure("lost", ForgeRetry(after, f"GitHub has a problem ({status})", maybe_done=creating))
    if status < 400:
        say = "GitHub says the repository has moved: update GITHUB_OWNER and GITHUB_REPO."
        return Failure("moved", ForgeRefused(say, config=True))
    match status:
        case 401:
            say = "GitHub refused the credential (401): set a valid GITHUB_TOKEN, or check the GitHub App's id and key."
            return Failure("unauthorized", ForgeRefused(say, config=True))
        case 403:
            return Failure("forbidden", ForgeRefused(_forbidden(error.headers, said), config=True))
        case 404:
            say = "GitHub does not show this to the credential (404): check owner, repository and the token's access."
            return Failure("missing", ForgeRefused(say, config=True))
        case 408:
            return lost("GitHub did not wait for the request (408)", maybe_done=creating)
        case 422:
            return _unprocessable(error)
        case _:
            return Failure("invalid", ForgeRefused(f"GitHub refused the request ({status}): {said}"))


def _wait(status: int, said: str, headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long a rate limit lasts; None when the answer is not about one."""
    if status not in (403, 429):
        return None
    if (after := _retry_after(headers)) is not None:
        return after
    if headers.get("x-ratelimit-remaining", "").strip() == "0":
        reset = headers.get("x-ratelimit-reset", "").strip()
        if re.fullmatch(r"\d{1,12}", reset):
            left = timedelta(seconds=int(reset) - now.timestamp())
            return min(max(left, timedelta(seconds=1)), LONGEST_WAIT)
        return SECONDARY_WAIT
    if status == 429 or re.search(r"rate limit|abuse detection", said, re.IGNORECASE):
        return SECONDARY_WAIT
    return None


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if re.fullmatch(r"\d{1,9}", value) is None:
        return SECONDARY_WAIT
    return min(max(timedelta(seconds=int(value)), timedelta(seconds=1)), LONGEST_WAIT)


def _forbidden(headers: Mapping[str, str], said: str) -> str:
    needed = headers.get("x-accepted-github-permissions", "")
    if re.fullmatch(r"[a-z_]+=[a-z]+(?:[,; ]+[a-z_]+=[a-z]+)*", needed):
        return f"GitHub does not allow this (403): the credential needs the permission {needed}."
    return f"GitHub does not allow this (403): {said}. Give the credential Contents and Pull requests write access."


def _unprocessable(error: HTTPException) -> Failure:
    """422: `Validation Failed` with a list of errors, each a text or {resource, field, code, message}."""
    rows: list[object] = []
    if isinstance(error, InvalidField | ValidationError) and isinstance(error.errors, list):
        rows = list(error.errors)
    details = " ".join(_detail(row) for row in rows)
    said = _words(details or ("not JSON" if isinstance(error, BadRequestUnknownError) else str(error)))
    if re.search(r"pull request already exists", f"{details} {error}", re.IGNORECASE):
        return Failure("exists", ForgeRefused(f"A pull request exists already: {said}"))
    if re.search(r"draft pull requests are not supported", f"{details} {error}", re.IGNORECASE):
        return Failure("no_draft", ForgeRefused("This repository does not support draft pull requests."))
    if any(isinstance(row, dict) and row.get("field") == "head" and row.get("code") == "invalid" for row in rows):
        return Failure("head", ForgeRetry(timedelta(seconds=5), "GitHub does not see the pushed branch yet"))
    return Failure("invalid", ForgeRefused(f"GitHub refused the request (422): {said}"))


def _detail(row: object) -> str:
    if isinstance(row, dict):
        message = row.get("message")
        return message if isinstance(message, str) else f"{row.get('field', '')} {row.get('code', '')}"
    return str(row)


def _words(text: str) -> str:
    """GitHub's words on one line, cleaned and short."""
    return cut(" ".join(clean(text).split()), 200)

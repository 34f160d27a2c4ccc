"""GitHub webhook deliveries: is the signature good, and what does the delivery say about a pull request?

Pure: bytes in, values out. Deliveries come from the internet, so every byte is hostile: no function here raises on any
input, and nothing of a delivery is trusted before `verify_signature` said yes.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast
from urllib.parse import parse_qs

_SIGNATURE: Final = re.compile(r"sha256=[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_NUMBER_MAX: Final = 2**31 - 1
_BRANCH_MAX: Final = 255
_USED_EVENT: Final = "pull_request"
_ACTIONS: Final = frozenset({"closed", "reopened"})


@dataclass(frozen=True, slots=True)
class PullRequestFact:
    """What happened to a pull request. It is matched by repository and number, never by URL text.

    GitHub compares `owner` and `repo` without regard to case. `merged_by` is empty when GitHub names nobody."""

    owner: str
    repo: str
    number: int
    action: Literal["merged", "closed", "reopened"]
    merged_by: str = ""
    head: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A good delivery that says nothing we use: answer 200."""

    why: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not what GitHub sends: answer 400. `why` names the missing part and never quotes the delivery."""

    why: str


GitHubEvent = PullRequestFact | Ignored | Malformed


def verify_signature(secrets: Sequence[str], header: str | None, body: bytes) -> bool:
    """Whether `X-Hub-Signature-256` is the HMAC-SHA256 of the raw body under one of the secrets (two while rotating).

    Empty secrets never match. The time taken depends on the number of secrets, not on which of them matches.
    """
    if header is None or not header.isascii() or _SIGNATURE.fullmatch(header) is None:
        return False
    given = header.encode("ascii")
    good = False
    for secret in secrets:
        if secret:
            digest = hmac.new(secret.encode("utf-8", "surrogateescape"), body, hashlib.sha256).hexdigest()
            good |= hmac.compare_digest(given, b"sha256=" + digest.encode("ascii"))
    return good


def read_event(event: str, body: bytes, content_type: str = "application/json") -> GitHubEvent:
    """What a delivery says. `event` is the `X-GitHub-Event` header; both content types GitHub offers are read.

    The event's name is looked at before the body: an unused event is ignored whatever it contains.
    """
    if event != _USED_EVENT:
        return Ignored("event is not used")
    payload = _json_object(body, content_type)
    if payload is None:
        return Malformed("the body is not a JSON object")
    action = payload.get("action")
    if not isinstance(action, str):
        return Malformed("no action")
    if action not in _ACTIONS:
        return Ignored("action is not used")
    return _fact(action, payload)


def _json_object(body: bytes, content_type: str) -> dict[str, Any] | None:
    try:
        text = body.decode("utf-8")
        if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
            text = parse_qs(text, max_num_fields=16).get("payload", [""])[0]
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _fact(action: str, payload: dict[str, Any]) -> GitHubEvent:
    repository, pull = _object(payload, "repository"), _object(payload, "pull_request")
    owner, repo = _text(_object(repository, "owner"), "login"), _text(repository, "name")
    if _NAME.fullmatch(owner) is None or _NAME.fullmatch(repo) is None:
        return Malformed("no repository")
    number = pull.get("number")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= _NUMBER_MAX:
        return Malformed("no pull request number")
    head = _text(_object(pull, "head"), "ref")
    if not head or len(head) > _BRANCH_MAX:
        return Malformed("no head branch")
    if action == "reopened":
        return PullRequestFact(owner, repo, number, "reopened", head=head)
    merged = pull.get("merged")
    if not isinstance(merged, bool):
        return Malformed("closed, but not said whether merged")
    if not merged:
        return PullRequestFact(owner, repo, number, "closed", head=head)
    by = _text(_object(pull, "merged_by"), "login")
    return PullRequestFact(owner, repo, number, "merged", by if _LOGIN.fullmatch(by) else "", head)


_LOGIN: Final = re.compile(r"[A-Za-z0-9._-]{1,100}(?:\[bot\])?")


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value: object = parent.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(parent: dict[str, Any], name: str) -> str:
    value: object = parent.get(name)
    return value if isinstance(value, str) else ""

"""GitHub webhook deliveries: signatures (F26) and what a payload says (F13)."""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.github_events import Ignored, Malformed, PullRequestFact, read_event, verify_signature

BODY = b'{"action": "closed"}'
SECRET, OLD = "a-long-webhook-secret", "the-previous-secret"


def signed(secret: str, body: bytes = BODY, algorithm: str = "sha256") -> str:
    return f"{algorithm}=" + hmac.new(secret.encode(), body, getattr(hashlib, algorithm)).hexdigest()


GOOD = signed(SECRET)

REFUSED: dict[str, tuple[list[str], str | None, bytes]] = {
    "missing": ([SECRET], None, BODY),
    "empty": ([SECRET], "", BODY),
    "prefix only": ([SECRET], "sha256=", BODY),
    "no prefix": ([SECRET], GOOD.removeprefix("sha256="), BODY),
    "sha1": ([SECRET], signed(SECRET, algorithm="sha1"), BODY),
    "sha1 digest named sha256": ([SECRET], "sha256=" + signed(SECRET, algorithm="sha1")[5:], BODY),
    "sha512": ([SECRET], signed(SECRET, algorithm="sha512"), BODY),
    "upper-case prefix": ([SECRET], "SHA256=" + GOOD[7:], BODY),
    "upper-case digest": ([SECRET], "sha256=" + GOOD[7:].upper(), BODY),
    "one digit short": ([SECRET], GOOD[:-1], BODY),
    "one digit long": ([SECRET], GOOD + "0", BODY),
    "trailing newline": ([SECRET], GOOD + "\n", BODY),
    "leading space": ([SECRET], " " + GOOD, BODY),
    "two signatures": ([SECRET], f"{GOOD},{GOOD}", BODY),
    "non-ASCII": ([SECRET], "sha256=é" + GOOD[8:], BODY),
    "full-width digits": ([SECRET], "sha256=" + "１" * 64, BODY),
    "lone surrogate": ([SECRET], "sha256=\udcff" + GOOD[8:], BODY),
    "NUL": ([SECRET], GOOD + "\x00", BODY),
    "not hex": ([SECRET], "sha256=" + "z" * 64, BODY),
    "other body": ([SECRET], GOOD, BODY + b" "),
    "empty body": ([SECRET], GOOD, b""),
    "other secret": ([OLD], GOOD, BODY),
    "no secret": ([], GOOD, BODY),
    "empty secret": ([""], signed(""), BODY),
    "empty previous secret": ([SECRET, ""], signed(""), BODY),
    "last digit wrong": ([SECRET], GOOD[:-1] + ("0" if GOOD[-1] != "0" else "1"), BODY),
    "a megabyte": ([SECRET], "sha256=" + "0" * 1_048_577, BODY),
}


@pytest.mark.parametrize(("secrets", "header", "body"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_signature_is_refused(secrets: list[str], header: str | None, body: bytes) -> None:
    assert verify_signature(secrets, header, body) is False


@pytest.mark.parametrize(
    ("secrets", "header", "body"),
    [
        ([SECRET], GOOD, BODY),
        ([SECRET, OLD], GOOD, BODY),
        ([SECRET, OLD], signed(OLD), BODY),
        ([SECRET, ""], GOOD, BODY),
        ([SECRET], signed(SECRET, b""), b""),
        ([SECRET], signed(SECRET, b"\xff\x00"), b"\xff\x00"),
        (["sécret"], signed("sécret"), BODY),
    ],
)
def test_good_signature_is_taken_with_either_secret(secrets: list[str], header: str, body: bytes) -> None:
    assert verify_signature(secrets, header, body) is True


def test_githubs_published_example() -> None:
    """From GitHub's docs, "Validating webhook deliveries", "Testing the webhook payload validation"."""
    header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert verify_signature(["It's a Secret to Everybody"], header, b"Hello, World!")


def payload(action: str = "closed", **pull: Any) -> dict[str, Any]:
    facts = {"number": 87, "merged": True, "merged_by": {"login": "bo"}, "head": {"ref": "code-worker/CT-42"}, **pull}
    return {
        "action": action,
        "pull_request": facts,
        "repository": {"name": "web", "owner": {"login": "acme"}, "full_name": "acme/web"},
    }


def read(value: object) -> object:
    return read_event("pull_request", json.dumps(value).encode())


def test_merged_closed_and_reopened_are_told_apart() -> None:
    head = "code-worker/CT-42"
    assert read(payload()) == PullRequestFact("acme", "web", 87, "merged", "bo", head)
    assert read(payload(merged=False, merged_by=None)) == PullRequestFact("acme", "web", 87, "closed", "", head)
    assert read(payload("reopened", merged=False)) == PullRequestFact("acme", "web", 87, "reopened", "", head)


@pytest.mark.parametrize(
    ("by", "name"),
    [(None, ""), ({"login": "merge-queue[bot]"}, "merge-queue[bot]"), ({"login": "<!everyone>"}, ""), ("bo", "")],
)
def test_merged_by_is_a_login_or_empty(by: object, name: str) -> None:
    fact = read(payload(merged_by=by))
    assert isinstance(fact, PullRequestFact)
    assert fact.merged_by == name


def test_a_form_encoded_delivery_is_read() -> None:
    body = urlencode({"payload": json.dumps(payload())}).encode()
    fact = read_event("pull_request", body, "application/x-www-form-urlencoded; charset=utf-8")
    assert isinstance(fact, PullRequestFact)


@pytest.mark.parametrize("event", ["ping", "push", "", "pull_request_review", "PULL_REQUEST", "\udcff"])
def test_unused_events_are_ignored_before_their_body_is_read(event: str) -> None:
    assert isinstance(read_event(event, b"\xff not json"), Ignored)


@pytest.mark.parametrize("action", ["opened", "synchronize", "edited", "labeled", "brand_new"])
def test_unused_actions_are_ignored(action: str) -> None:
    assert isinstance(read(payload(action)), Ignored)


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"action": "\xff"}',
    "a list": b"[]",
    "null": b"null",
    "a string": b'"closed"',
    "nested too deep": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "a number of 5,000 digits": b'{"action": "closed", "n": ' + b"9" * 5000 + b"}",
    "no action": b"{}",
    "action is a number": b'{"action": 1}',
    "nothing else": b'{"action": "closed"}',
    "number is a string": json.dumps(payload(number="87")).encode(),
    "number is true": json.dumps(payload(number=True)).encode(),
    "number is zero": json.dumps(payload(number=0)).encode(),
    "number is negative": json.dumps(payload(number=-1)).encode(),
    "number is huge": json.dumps(payload(number=2**63)).encode(),
    "number is a fraction": json.dumps(payload(number=87.0)).encode(),
    "merged is a string": json.dumps(payload(merged="true")).encode(),
    "merged is missing": json.dumps(payload(merged=None)).encode(),
    "no head": json.dumps(payload(head=None)).encode(),
    "head too long": json.dumps(payload(head={"ref": "x" * 256})).encode(),
    "pull_request is a list": json.dumps(payload() | {"pull_request": []}).encode(),
    "repository is null": json.dumps(payload() | {"repository": None}).encode(),
    "repository walks": json.dumps(payload() | {"repository": {"name": "../x", "owner": {"login": "a"}}}).encode(),
    "owner has a newline": json.dumps(payload() | {"repository": {"name": "x", "owner": {"login": "a\n"}}}).encode(),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_bodies_are_named_and_never_quoted(body: bytes) -> None:
    answer = read_event("pull_request", body)
    assert isinstance(answer, Malformed)
    assert answer.why.isascii()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(list(payload())), inner),
    max_leaves=12,
)


@settings(database=None)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.text())
def test_no_body_raises(body: bytes, content_type: str) -> None:
    assert isinstance(read_event("pull_request", body, content_type), PullRequestFact | Ignored | Malformed)


@settings(database=None)
@given(st.lists(st.text(), max_size=2), st.text() | st.none(), st.binary())
def test_no_signature_raises_or_passes_by_chance(secrets: list[str], header: str | None, body: bytes) -> None:
    assert verify_signature(secrets, header, body) is False

"""The signature check of the HTTP transport: only Slack's own fresh bytes pass."""

import hashlib
import hmac
from datetime import timedelta

import pytest

from platforms.slack.inbound import MAX_BODY, parse_body, verify_signature
from tests.platforms.slack.payloads import NOW

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
BODY = b'{"type":"event_callback"}'
STAMP = str(int(NOW.timestamp()))


def sign(body: bytes = BODY, stamp: str = STAMP, secret: str = SECRET) -> str:
    return "v0=" + hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()


def check(
    body: bytes = BODY, stamp: str | None = STAMP, signature: str | None = None, secret: str = SECRET, case: str = "low"
) -> int | None:
    given = {"x-slack-request-timestamp": stamp, "x-slack-signature": sign() if signature is None else signature}
    headers = {name.title() if case == "Title" else name: value for name, value in given.items() if value is not None}
    return verify_signature(secret, headers, body, NOW)


@pytest.mark.parametrize("case", ["low", "Title"])
def test_slacks_own_request_passes(case: str) -> None:
    assert check(case=case) is None


def test_slacks_published_example_passes() -> None:
    # https://docs.slack.dev/authentication/verifying-requests-from-slack
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name="
        b"foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2F"
        b"hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015."
        b"47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    at = NOW - timedelta(seconds=NOW.timestamp() - 1531420618)
    assert verify_signature(SECRET, headers, body, at) is None


def at(seconds: int) -> tuple[str, str]:
    stamp = str(int(NOW.timestamp()) + seconds)
    return stamp, sign(stamp=stamp)


@pytest.mark.parametrize("seconds", [-300, -299, -1, 0, 1, 299, 300])
def test_fresh_enough(seconds: int) -> None:
    stamp, signature = at(seconds)
    assert check(stamp=stamp, signature=signature) is None


@pytest.mark.parametrize("seconds", [-301, -3600, -86400 * 365, 301, 3600, 86400 * 365])
def test_old_and_future_requests_are_refused(seconds: int) -> None:
    stamp, signature = at(seconds)
    assert check(stamp=stamp, signature=signature) == 401


@pytest.mark.parametrize(
    "stamp",
    [
        None,
        "",
        " ",
        "abc",
        "-1",
        "+1",
        "1e9",
        "1772805720.0",
        " 1772805720",
        "1772805720\n",
        "٣",
        "0x10",
        "9" * 13,
        "nan",
    ],
)
def test_a_timestamp_that_is_not_digits_is_refused(stamp: str | None) -> None:
    assert check(stamp=stamp, signature=sign(stamp=stamp or "")) == 401


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "v0=",
        "v0",
        sign()[3:],
        "v1=" + sign()[3:],
        sign()[:-1],
        sign() + "0",
        " " + sign(),
        sign().upper(),
        sign(secret="another-app's-secret"),
        sign(body=BODY + b" "),
        sign(stamp=str(int(STAMP) - 1)),
        "v0=" + "0" * 64,
        "v0=é" + "0" * 62,
        "\udcff",
        "v0=" + hashlib.sha256(SECRET.encode() + BODY).hexdigest(),
    ],
)
def test_a_wrong_signature_is_refused(signature: str) -> None:
    assert check(signature=signature) == 401


def test_no_secret_lets_nobody_in() -> None:
    assert check(secret="", signature=sign(secret="")) == 401


def test_a_changed_body_is_refused() -> None:
    assert check(body=b'{"type":"event_callback" }') == 401


def test_bytes_that_are_no_text_are_checked_as_bytes() -> None:
    body = b"\xff\xfe\x00"
    assert check(body=body, signature=sign(body)) is None
    assert check(body=body) == 401


def test_too_large() -> None:
    body = b"x" * (MAX_BODY + 1)
    assert check(body=body, signature=sign(body)) == 413
    body = b"x" * MAX_BODY
    assert check(body=body, signature=sign(body)) is None


JSON = {"Content-Type": "application/json; charset=utf-8"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_bodies_are_parsed() -> None:
    assert parse_body(JSON, b'{"a": 1}') == {"a": 1}
    assert parse_body(FORM, b"command=%2Fcodetask&text=") == {"command": "/codetask", "text": ""}
    assert parse_body(FORM, b"payload=%7B%22type%22%3A%22block_actions%22%7D") == {"type": "block_actions"}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b"[]"),
        (JSON, b'"x"'),
        (JSON, b"\xff"),
        (JSON, b"[" * 200_000),
        (FORM, b""),
        (FORM, b"no-pairs"),
        (FORM, b"payload=%7B"),
        (FORM, b"payload=[]"),
        (FORM, b"&".join(b"a=1" for _ in range(300))),
    ],
)
def test_malformed_bodies(headers: dict[str, str], body: bytes) -> None:
    assert parse_body(headers, body) is None

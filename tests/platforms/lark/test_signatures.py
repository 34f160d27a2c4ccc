"""Webhook requests: what is Lark's, and everything that is almost that."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platforms.lark.inbound import decrypt, is_genuine, is_unsigned, verify_signature
from platforms.lark.simulator import encrypted_body, signed_headers
from tests.platforms.lark.payloads import NOW, received
from tests.platforms.lark.signing import lark_requests

KEY = "an-encrypt-key"
STAMP = int(NOW.timestamp())


def test_there_are_enough_cases() -> None:
    cases = lark_requests(KEY, "verification-token", NOW, received())
    assert len(cases) >= 40
    assert {case.status for case in cases} == {200, 400, 401, 413}


def test_lark_s_own_example_is_decrypted() -> None:
    """From Lark's page on encryption: key `test key`, plaintext `hello world` (no JSON, so no payload of ours)."""
    body = json.dumps({"encrypt": "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk="}).encode()
    assert decrypt("test key", body) is None
    padded = encrypted_body("test key", {"hello": "world"})
    assert decrypt("test key", padded) == {"hello": "world"}


def test_signatures_do_not_move_between_requests() -> None:
    body = encrypted_body(KEY, received())
    good = signed_headers(KEY, body, STAMP)
    assert verify_signature(KEY, good, body, NOW) is None
    dice = random.Random(3)
    for _ in range(200):
        place = dice.randrange(len(body))
        forged = bytes([*body[:place], body[place] ^ (1 << dice.randrange(8)), *body[place + 1 :]])
        assert verify_signature(KEY, good, forged, NOW) == 401
    assert verify_signature("", good, body, NOW) == 401


@given(
    body=st.binary(max_size=200), stamp=st.text(max_size=15), nonce=st.text(max_size=9), signature=st.text(max_size=70)
)
def test_nothing_forged_passes_and_nothing_raises(body: bytes, stamp: str, nonce: str, signature: str) -> None:
    headers = {
        "X-Lark-Request-Timestamp": stamp,
        "X-Lark-Request-Nonce": nonce,
        "X-Lark-Signature": signature,
    }
    assert verify_signature(KEY, headers, body, NOW) == 401
    assert decrypt(KEY, body) is None
    assert not is_unsigned(headers)


@pytest.mark.parametrize("payload", [{}, {"header": 7}, {"header": {}}, {"header": {"token": None}}, {"token": ""}])
def test_a_payload_without_the_token_is_not_genuine(payload: dict[str, object]) -> None:
    assert not is_genuine(payload, "secret")
    assert not is_genuine({"header": {"token": ""}}, "")
    assert is_genuine({"header": {"token": "secret"}}, "secret")
    assert is_genuine({"token": "secret", "type": "url_verification"}, "secret")

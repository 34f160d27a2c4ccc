"""Webhook requests as Lark signs and encrypts them, and everything that is almost that."""

import base64
import json
from datetime import datetime
from typing import Any

from platforms.lark.simulator import encrypted_body, signed_headers
from tests.contracts.rig import Request


def lark_requests(key: str, token: str, now: datetime, event: dict[str, Any]) -> list[Request]:
    """Each with the status it must get; `event` is one that the app reads, under its own token."""
    stamp = int(now.timestamp())
    unknown = {"schema": "2.0", "header": {"event_type": "something.new_v1", "token": token}, "event": {}}
    body, told = encrypted_body(key, unknown), encrypted_body(key, event)
    good = signed_headers(key, body, stamp)
    signature = good["X-Lark-Signature"]
    unsigned = {"Content-Type": "application/json"}
    check = {"type": "url_verification", "token": token, "challenge": "abc"}

    checked = encrypted_body(key, check)

    def signed(sent: bytes, at: int | str = stamp, by: str = key) -> dict[str, str]:
        return signed_headers(by, sent, at)

    def sealed(payload: Any, by: str = key) -> bytes:
        return encrypted_body(by, payload)

    other = sealed(unknown, "another-app-s-encrypt-key")
    broken = {
        "not UTF-8": b"\xff\xfe\x00",
        "no JSON": b"{",
        "a list": b"[]",
        "deep": b"[" * 100_000,
        "not encrypted": json.dumps(unknown).encode(),
        "no base64": b'{"encrypt": "%%%"}',
        "too short": json.dumps({"encrypt": base64.b64encode(b"x" * 16).decode()}).encode(),
        "no block": json.dumps({"encrypt": base64.b64encode(b"x" * 33).decode()}).encode(),
        "bad padding": json.dumps({"encrypt": base64.b64encode(b"x" * 64).decode()}).encode(),
        "a list inside": sealed([1]),
        "other key inside": other,
    }
    large = b"x" * (1024 * 1024 + 1)
    cases = [
        Request("valid", good, body, 200),
        Request("valid event", signed(told), told, 200),
        Request("the same again", signed(told), told, 200),
        Request("lower-case headers", {k.lower(): v for k, v in good.items()}, body, 200),
        Request("upper-case headers", {k.upper(): v for k, v in good.items()}, body, 200),
        Request("URL check, signed", signed(checked), checked, 200),
        Request("URL check, unsigned", unsigned, sealed(check), 200),
        Request("URL check, wrong token", unsigned, sealed({**check, "token": "wrong"}), 401),
        Request("URL check, not encrypted", unsigned, json.dumps(check).encode(), 401),
        Request("no headers", {}, body, 401),
        Request("event without signature", unsigned, told, 401),
        Request("no timestamp", {"X-Lark-Request-Nonce": "1", "X-Lark-Signature": signature}, body, 401),
        Request("no nonce", {k: v for k, v in good.items() if "Nonce" not in k}, body, 401),
        Request("other nonce", {**good, "X-Lark-Request-Nonce": "2"}, body, 401),
        Request("other app's key", signed(body, by="another-app-s-encrypt-key"), body, 401),
        Request("other app's request", signed(other, by="another-app-s-encrypt-key"), other, 401),
        Request("empty key", signed(body, by=""), body, 401),
        Request("changed body", good, body + b" ", 401),
        Request("empty body, old signature", good, b"", 401),
        Request("event under another's signature", good, told, 401),
        Request("not UTF-8, forged", good, b"\xff\xfe\x00", 401),
        Request("too large", signed(large), large, 413),
    ]
    cases += [Request(f"{name}, signed", signed(sent), sent, 400) for name, sent in broken.items()]
    for wrong in ("", "wrong", None, 7, ["x"]):
        sent = sealed({**unknown, "header": {"event_type": "something.new_v1", "token": wrong}})
        cases.append(Request(f"token {wrong!r}", signed(sent), sent, 401))
    for seconds, status in ((-290, 200), (290, 200), (-310, 401), (310, 401), (-3600, 401), (-31_536_000, 401)):
        cases.append(Request(f"{seconds} s old", signed(body, stamp + seconds), body, status))
    odds = ("", "abc", "-1", "1e9", f"{stamp}.0", f" {stamp}", f"{stamp}\n", "٣", "0x10", "9" * 30, "nan")
    cases += [Request(f"timestamp {odd!r}", signed(body, odd), body, 401) for odd in odds]
    forged = [" ", signature[:-1], signature + "0", signature.upper(), "0" * 64, "é" + "0" * 63, "\udcff" * 64]
    cases += [Request(f"signature {one!r}", {**good, "X-Lark-Signature": one}, body, 401) for one in forged]
    return cases

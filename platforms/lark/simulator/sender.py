"""The webhook transport: Lark posts signed, encrypted requests to the app's request URL."""

import asyncio
import base64
import hashlib
import json
import os
import time
from typing import Any

import aiohttp

from platforms.lark.simulator.api import Credentials
from platforms.lark.simulator.catalog import ACK_WINDOW
from platforms.lark.simulator.delivery import Attempt, Courier, Delivery
from platforms.lark.simulator.state import World

Json = dict[str, Any]


def signed_headers(encrypt_key: str, body: bytes, timestamp: int | str, nonce: str = "1372461998") -> dict[str, str]:
    """The headers Lark signs a request with: SHA-256 over timestamp, nonce, encrypt key and the raw body."""
    digest = hashlib.sha256(f"{timestamp}{nonce}{encrypt_key}".encode() + body).hexdigest()
    return {
        "X-Lark-Request-Timestamp": str(timestamp),
        "X-Lark-Request-Nonce": nonce,
        "X-Lark-Signature": digest,
    }


def encrypted(encrypt_key: str, payload: bytes, iv: bytes | None = None) -> str:
    """The base64 of AES-256-CBC over the payload, PKCS#7 padded; the first 16 bytes are the IV."""
    from Crypto.Cipher import AES

    iv = iv or os.urandom(16)
    pad = 16 - len(payload) % 16
    cipher = AES.new(hashlib.sha256(encrypt_key.encode()).digest(), AES.MODE_CBC, iv)
    return base64.b64encode(iv + cipher.encrypt(payload + bytes([pad]) * pad)).decode()


def encrypted_body(encrypt_key: str, payload: Json) -> bytes:
    """The body of a request: `{"encrypt": ...}`, or the payload itself without a key."""
    plain = json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return json.dumps({"encrypt": encrypted(encrypt_key, plain)}).encode() if encrypt_key else plain


class Sender:
    """Posts payloads to one URL; a transport of the courier."""

    def __init__(self, world: World, courier: Courier, credentials: Credentials, url: str) -> None:
        self.world = world
        self.courier = courier
        self.credentials = credentials
        self.url = url
        self._session: aiohttp.ClientSession | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, delivery: Delivery, attempt: Attempt) -> None:
        task = asyncio.ensure_future(self._post(delivery, attempt))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def verify(self, signed: bool) -> bool:
        """The handshake that saving a request URL starts: whether the app gave the challenge back within 3 s."""
        challenge = self.world.ids.uuid()
        payload = {"challenge": challenge, "token": self.credentials.verification_token, "type": "url_verification"}
        body = encrypted_body(self.credentials.encrypt_key, payload)
        headers = self._headers(body) if signed else {"Content-Type": "application/json"}
        try:
            async with self._open().post(self.url, data=body, headers=headers) as answer:
                said = json.loads(await answer.text())
                return answer.status == 200 and isinstance(said, dict) and said.get("challenge") == challenge
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    async def close(self) -> None:
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _post(self, delivery: Delivery, attempt: Attempt) -> None:
        body = encrypted_body(self.credentials.encrypt_key, delivery.payload)
        headers = self._headers(body)
        attempt.sent = time.monotonic()
        try:
            async with self._open().post(self.url, data=body, headers=headers, allow_redirects=False) as answer:
                text = await answer.text()
        except TimeoutError:
            self.courier.fail(delivery, attempt, "timeout")
        except aiohttp.ClientError:
            self.courier.fail(delivery, attempt, "connection_failed")
        else:
            self.courier.answer(delivery, attempt, self._read(delivery, text), answer.status)

    def _read(self, delivery: Delivery, text: str) -> Any:
        """The answer to a press. What is answered to an event is not read."""
        if delivery.kind != "callback" or not text.strip():
            return None
        try:
            return json.loads(text)
        except ValueError:
            self.world.surprise(delivery.name, f"an answer that is no JSON: {text[:100]}")
            return None

    def _headers(self, body: bytes) -> dict[str, str]:
        stamp = int(self.world.clock.now().timestamp())
        signature = signed_headers(self.credentials.encrypt_key, body, stamp, self.world.ids.digits(10))
        return {"Content-Type": "application/json; charset=utf-8", **signature}

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=ACK_WINDOW.total_seconds() + 30)
            self._session = aiohttp.ClientSession(timeout=limit, trust_env=False)
        return self._session

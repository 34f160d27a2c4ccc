"""The HTTP transport: Slack posts signed requests to the app's request URL."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp

from platforms.slack.simulator.catalog import ACK_WINDOW
from platforms.slack.simulator.delivery import Attempt, Courier, Delivery
from platforms.slack.simulator.state import World

Json = dict[str, Any]


def signed_headers(secret: str, body: bytes, timestamp: int) -> dict[str, str]:
    """The headers Slack signs a request with: HMAC-SHA256 over `v0:timestamp:body`."""
    base = b"v0:" + str(timestamp).encode() + b":" + body
    digest = hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(timestamp), "X-Slack-Signature": f"v0={digest}"}


class Sender:
    """Posts payloads to one URL; a transport of the courier."""

    def __init__(self, world: World, courier: Courier, secret: str, url: str) -> None:
        self.world = world
        self.courier = courier
        self.secret = secret
        self.url = url
        self._session: aiohttp.ClientSession | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, delivery: Delivery, attempt: Attempt, reason: str) -> None:
        task = asyncio.ensure_future(self._post(delivery, attempt, reason))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def verify(self) -> bool:
        """The `url_verification` handshake: whether the app answered the challenge."""
        challenge = self.world.ids.secret(40)
        payload = {"token": "legacy", "challenge": challenge, "type": "url_verification"}
        body = json.dumps(payload).encode()
        async with self._open().post(self.url, data=body, headers=self._headers(body, "application/json")) as answer:
            text = await answer.text()
        if answer.status != 200:
            return False
        try:
            return json.loads(text).get("challenge") == challenge
        except (ValueError, AttributeError):
            return text == challenge

    async def close(self) -> None:
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _post(self, delivery: Delivery, attempt: Attempt, reason: str) -> None:
        body, kind = _encode(delivery)
        headers = self._headers(body, kind)
        if attempt.number:
            headers |= {"X-Slack-Retry-Num": str(attempt.number), "X-Slack-Retry-Reason": reason}
        attempt.sent = time.monotonic()
        try:
            async with self._open().post(self.url, data=body, headers=headers, allow_redirects=False) as answer:
                text = await answer.text()
        except TimeoutError:
            self.courier.fail(delivery, attempt, "timeout")
        except aiohttp.ClientError:
            self.courier.fail(delivery, attempt, "connection_failed")
        else:
            if answer.status // 100 == 2:
                self.courier.answer(delivery, attempt, _decode(text), answer.status)
            else:
                self._refused(delivery, attempt, answer)

    def _refused(self, delivery: Delivery, attempt: Attempt, answer: aiohttp.ClientResponse) -> None:
        if answer.headers.get("X-Slack-No-Retry") == "1":
            attempt.number = 99
        self.courier.fail(delivery, attempt, "http_error", answer.status)

    def _headers(self, body: bytes, kind: str) -> dict[str, str]:
        stamp = int(self.world.clock.now().timestamp())
        return {
            "Content-Type": kind,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            **signed_headers(self.secret, body, stamp),
        }

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=ACK_WINDOW.total_seconds() + 30)
            self._session = aiohttp.ClientSession(timeout=limit, trust_env=False)
        return self._session


def _encode(delivery: Delivery) -> tuple[bytes, str]:
    if delivery.kind == "events_api":
        return json.dumps(delivery.payload).encode(), "application/json"
    fields = delivery.payload if delivery.kind == "slash_commands" else {"payload": json.dumps(delivery.payload)}
    return urlencode(fields).encode(), "application/x-www-form-urlencoded"


def _decode(text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return {"text": text}

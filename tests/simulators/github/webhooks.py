"""Webhook deliveries as GitHub signs and sends them."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp


@dataclass(frozen=True)
class Delivery:
    """One delivery: an id, the event's name, and the exact bytes."""

    id: str
    event: str
    body: bytes = field(repr=False)

    def headers(self, secret: str) -> Mapping[str, str]:
        """The headers GitHub sends with it, signed with a secret."""
        sha256 = hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest()
        sha1 = hmac.new(secret.encode(), self.body, hashlib.sha1).hexdigest()
        return {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/044aadd",
            "X-GitHub-Delivery": self.id,
            "X-GitHub-Event": self.event,
            "X-GitHub-Hook-ID": "292430182",
            "X-GitHub-Hook-Installation-Target-ID": "1296269",
            "X-GitHub-Hook-Installation-Target-Type": "repository",
            "X-Hub-Signature": f"sha1={sha1}",
            "X-Hub-Signature-256": f"sha256={sha256}",
        }


def delivery(event: str, payload: Mapping[str, Any]) -> Delivery:
    return Delivery(str(uuid.uuid4()), event, json.dumps(payload).encode())


async def send(url: str, what: Delivery, secret: str) -> int:
    """Posts a delivery and returns the status, giving up after GitHub's 10 seconds."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, data=what.body, headers=what.headers(secret)) as answer,
    ):
        return answer.status

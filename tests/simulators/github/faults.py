"""Faults on demand: what GitHub, or the network before it, does wrong with the next matching request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Fault:
    """One planned fault. `path` is a regular expression for the whole path.

    `status` answers instead of GitHub, `body` and `headers` with it. `drop`: the connection is closed without answer,
    `after_commit` says whether GitHub did the request first. `hang`: no answer until the client gives up. `half`: an
    answer that breaks off in the middle (GitHub did the request)."""

    method: str
    path: str
    times: int = 1
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"message": "Server Error"}'
    content_type: str = "application/json"
    drop: bool = False
    after_commit: bool = False
    hang: bool = False
    half: bool = False

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("*", method) and re.fullmatch(self.path, path) is not None


@dataclass
class Burst:
    """GitHub's secondary limit: after `allowed` content requests every further one is refused until it is lifted."""

    allowed: int
    retry_after: int | None = 60
    status: int = 403
    seen: int = 0

    def refuses(self) -> bool:
        self.seen += 1
        return self.seen > self.allowed

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}

"""Our brake in front of GitHub's: 60 content requests a minute, 400 an hour (GitHub: 80 and 500), and its pauses."""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

from bot.ports import Clock, ForgeRetry

PER_MINUTE: Final = 60
PER_HOUR: Final = 400
MINTS_PER_HOUR: Final = 2_000
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)


class Window:
    """At most `most` requests in any span of `span`."""

    def __init__(self, most: int, span: timedelta) -> None:
        self._most, self._span = most, span
        self._taken: deque[datetime] = deque()

    def wait(self, now: datetime) -> timedelta:
        """How long until one more is allowed; zero when it is allowed now."""
        while self._taken and self._taken[0] <= now - self._span:
            self._taken.popleft()
        return self._taken[0] + self._span - now if len(self._taken) >= self._most else timedelta(0)

    def take(self, now: datetime) -> None:
        self._taken.append(now)


class Limits:
    """Counts content requests, and holds everything back while GitHub asked us to wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._content = (Window(PER_MINUTE, _MINUTE), Window(PER_HOUR, _HOUR))
        self._mints = (Window(MINTS_PER_HOUR, _HOUR),)
        self._held_until: dict[str, datetime] = {}

    def content(self) -> ForgeRetry | None:
        """Counts one request that creates or changes something; or says how long to wait."""
        return self._take(self._content, "Our limit of pull request changes (60 a minute, 400 an hour)")

    def mint(self) -> ForgeRetry | None:
        """Counts one request for a token; or says how long to wait."""
        return self._take(self._mints, "Our limit of token requests (2,000 an hour)")

    def _take(self, windows: tuple[Window, ...], why: str) -> ForgeRetry | None:
        now = self._clock.now()
        wait = max(window.wait(now) for window in windows)
        if wait > timedelta(0):
            return ForgeRetry(wait, why)
        for window in windows:
            window.take(now)
        return None

    def hold(self, owner: str, after: timedelta) -> None:
        """GitHub asked us to wait: nothing is sent for this owner until then."""
        until = self._clock.now() + after
        self._held_until[owner.lower()] = max(until, self._held_until.get(owner.lower(), until))

    def held(self, owner: str) -> ForgeRetry | None:
        """What is left of a pause GitHub asked for."""
        until = self._held_until.get(owner.lower())
        left = until - self._clock.now() if until is not None else timedelta(0)
        if left > timedelta(0):
            return ForgeRetry(left, "GitHub asked us to wait")
        self._held_until.pop(owner.lower(), None)
        return None

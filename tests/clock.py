"""A clock that tests move by hand."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


class FakeClock:
    """A `bot.ports.Clock` that stands still until it is moved. Safe from any thread."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def advance(self, by: timedelta | float) -> datetime:
        """Moves the clock by a duration (a number is seconds) and returns the new present."""
        with self._lock:
            self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)
            return self._now

    def set(self, now: datetime) -> None:
        """Moves the clock to an aware instant, forwards or backwards."""
        if now.utcoffset() is None:
            raise ValueError("a clock shows aware instants")
        with self._lock:
            self._now = now.astimezone(UTC)

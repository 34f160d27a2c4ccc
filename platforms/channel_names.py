"""The names of channels as a platform tells them, remembered for a while. One home for all platforms."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from bot.ports import Clock

NAME_LIFE: Final = timedelta(minutes=10)
"""How long a channel's name is remembered (ours): renaming one is rare and harmless."""
KEPT: Final = 5000


class ChannelNames:
    """`ask` tells a channel's name by its id: empty for one without a name, None where the platform cannot tell now."""

    def __init__(self, clock: Clock, ask: Callable[[str], Awaitable[str | None]]) -> None:
        self._clock, self._ask = clock, ask
        self._known: dict[str, tuple[datetime, str]] = {}

    async def name(self, channel: str) -> str:
        """The name, as told last where the platform cannot tell now; else empty."""
        now = self._clock.now()
        until, known = self._known.get(channel, (now, ""))
        if until > now:
            return known
        told = await self._ask(channel)
        if told is None:
            return known
        self._known.pop(channel, None)
        self._known[channel] = (now + NAME_LIFE, told)
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return told

"""What the suite's rig for Discord watches: a witness at the inbox, and one handle for each thing under way."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from bot.core.inbound import Event, Person, ThreadRef
from bot.ports import Choice, Fatal, Inbox, Receipt
from platforms.discord.adapter import DiscordPlatform
from platforms.discord.simulator import Interaction
from tests.contracts.rig import Sent


class Witness:
    """Passes everything on to the application's inbox, and notes what it has stored."""

    def __init__(self, inbox: Inbox, seen: Callable[[Event], None]) -> None:
        self._inbox, self._seen = inbox, seen

    async def accept(self, event: Event) -> Receipt:
        receipt = await self._inbox.accept(event)
        self._seen(event)
        return receipt

    async def choices(self, name: str, text: str, person: Person, place: ThreadRef | None = None) -> list[Choice]:
        return await self._inbox.choices(name, text, person, place)

    async def hold(self, name: str, owner: str, ttl: timedelta) -> bool:
        return await self._inbox.hold(name, owner, ttl)

    async def release(self, name: str, owner: str) -> None:
        await self._inbox.release(name, owner)


class Witnessed(DiscordPlatform):
    """The adapter under a witness."""

    seen: Callable[[Event], None]
    changed: Callable[[], None]

    def _note(self, *told: Any, **more: Any) -> None:
        super()._note(*told, **more)
        self.changed()

    async def run(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        return await super().run(Witness(inbox, self.seen), stop)


class Stored(Sent):
    """A gateway event on its way into the inbox, once or several times."""

    def __init__(self, stored: Mapping[str, list[float]], id: str, session: int, *, expected: bool = True) -> None:
        self._stored, self._id, self.session = stored, id, session
        self._starts: list[float] = []
        if expected:
            self.again()

    def again(self) -> None:
        self._starts.append(time.monotonic())

    def forget(self) -> None:
        """What was not stored by now went to a process that nobody watched."""
        del self._starts[len(self._times) :]

    @property
    def _times(self) -> list[float]:
        return self._stored.get(self._id, [])

    @property
    def acked_at(self) -> float | None:
        return self._times[-1] if self._times else None

    @property
    def acked(self) -> bool:
        return len(self._times) >= len(self._starts)

    @property
    def latencies(self) -> Sequence[float]:
        return [at - began for began, at in zip(self._starts, self._times, strict=False)]

    @property
    def attempts(self) -> int:
        return len(self._starts)


class Asked(Sent):
    """An interaction."""

    def __init__(self, native: Interaction) -> None:
        self.native = native

    @property
    def acked(self) -> bool:
        return self.native.acked

    @property
    def acked_at(self) -> float | None:
        return self.native.answered if self.native.acked else None

    @property
    def latencies(self) -> Sequence[float]:
        return [(self.native.answered or 0.0) - self.native.sent] if self.native.acked else []

    @property
    def attempts(self) -> int:
        return 1


class Confirmed(Asked):
    """A press on a button that asks first: acked when the answer to the question is."""

    def __init__(self, native: Interaction, yes: "asyncio.Task[Interaction]") -> None:
        super().__init__(native)
        self.yes = yes

    @property
    def acked(self) -> bool:
        return self.yes.done() and self.yes.result().acked


class Closed(Sent):
    """A closed form: Discord tells nobody."""

    acked = True
    acked_at = None
    latencies: Sequence[float] = ()
    attempts = 1

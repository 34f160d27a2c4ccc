"""What every platform's way in has in common: who the bot is, what was heard last, storing, and what is under way."""

import asyncio
import hashlib
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import structlog

from bot.core.forms import Form, filled
from bot.core.inbound import Event, Person, ThreadRef, Unreadable
from bot.ports import Clock, Inbox, InboxDown
from platforms.reading import short_ref

log: Final = structlog.get_logger(__name__)
Me = TypeVar("Me")

ACCEPT_BUDGET: Final = timedelta(seconds=2.5)
"""The inbox has 2 s of the 3 s that every platform gives; half a second on top is for a busy loop (ours)."""
RECENT: Final = 20
"""How many channels lately heard from are remembered (ours)."""


class Keeper(Generic[Me]):
    """Stores what a platform delivers. `me` is set by the preflight, `inbox` while the adapter runs.

    A platform's `Intake` adds how its payloads come in. Without `me` and `inbox` nothing may be acknowledged."""

    def __init__(self, clock: Clock) -> None:
        self.me: Me | None = None
        self.inbox: Inbox | None = None
        self.last_inbound_at: datetime | None = None
        self.revoked = asyncio.Event()
        """Set when the platform refused our credentials: the supervision asks once more, and gives up if it is so."""
        self.channels: dict[str, datetime] = {}
        """Channels lately heard from, newest last."""
        self._clock = clock
        self._tasks: set[asyncio.Future[Any]] = set()

    def now(self) -> datetime:
        """The present, by the adapter's clock."""
        return self._clock.now()

    def note_channel(self, channel: str) -> None:
        """Remembers that a channel was heard from."""
        self.channels.pop(channel, None)
        self.channels[channel] = self._clock.now()
        while len(self.channels) > RECENT:
            del self.channels[next(iter(self.channels))]

    async def accept(self, event: Event) -> str | None:
        """Stores an event. None when it is safe; else the reference under which the loss is logged. Never raises."""
        if isinstance(event, Unreadable):
            log.warning("unreadable_payload", ref=event.ref, why=event.why)
        try:
            if self.inbox is None:
                raise InboxDown(ref_of(event.key))
            async with asyncio.timeout(ACCEPT_BUDGET.total_seconds()):
                await self.inbox.accept(event)
        except InboxDown as error:
            log.error("event_not_stored", ref=error.ref, key=event.key)
            return error.ref
        except Exception:  # the SDK must not see it: it would acknowledge, end the connection or print as it likes
            ref = ref_of(event.key)
            log.exception("event_not_stored", ref=ref, key=event.key)
            return ref
        return None

    async def prefilled(self, form: Form, person: Person, place: ThreadRef, budget: timedelta) -> Form:
        """The form with what its fields open with; as it is where that is not known within `budget`. Never raises."""
        if not form.prefilled or self.inbox is None:
            return form
        try:
            async with asyncio.timeout(budget.total_seconds()):
                known = await self.inbox.choices("form", form.key, person, place)
        except Exception as error:  # an empty form is better than none
            log.warning("form_not_filled", form=form.key, error=type(error).__name__)
            return form
        return filled(form, {choice.label: choice.value for choice in known})

    # --- What is under way --------------------------------------------------------------------------------------------

    def spawn(self, work: Awaitable[Any]) -> None:
        """Runs something that `drain` waits for."""
        self.track(asyncio.ensure_future(work))

    def track(self, task: "asyncio.Future[Any]") -> None:
        """Makes `drain` wait for a task."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, limit: timedelta) -> bool:
        """Waits for what is being stored or answered, then cancels the rest. False when something was cancelled."""
        left = {task for task in self._tasks if task is not asyncio.current_task()}
        if not left:
            return True
        _, late = await asyncio.wait(left, timeout=limit.total_seconds())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not late


def ref_of(key: str) -> str:
    """The reference of an event, by its key."""
    return short_ref(hashlib.sha256(key.encode()).digest())

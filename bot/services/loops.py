"""The loop of a part that works from rows: look, work, wait for a wake-up; no error ends it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any, Final

import structlog

from bot.store import Store, StoreDown, Topic

log = structlog.get_logger(__name__)

BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
FAULT_SECONDS: Final = 1.0
"""How long a loop rests after an error that nobody expected, or while the database cannot be reached."""


def short_ref() -> str:
    """A short reference (`k7f2`) that a person can name and that stands in the log."""
    return "".join(random.choices(BASE32, k=4))


async def work_from_rows(
    store: Store,
    topic: Topic,
    step: Callable[[], Awaitable[float | None]],
    stop: asyncio.Event,
    under_way: Collection["asyncio.Task[Any]"] = (),
) -> None:
    """Calls `step` until `stop`. It answers None when there may be more to do at once, else the seconds to wait unless
    `topic` is signalled before, or one of the tasks `under_way` ends. An unexpected error is logged with a reference,
    and the loop goes on."""
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            seen = store.version(topic)
            try:
                idle = await step()
            except StoreDown:
                idle = FAULT_SECONDS
            except Exception:
                log.exception("loop_failed", loop=topic, ref=short_ref())
                await asyncio.wait({stopping}, timeout=FAULT_SECONDS)
                continue
            if idle is None:
                continue
            waiting = asyncio.create_task(store.changed(topic, seen, idle))
            await asyncio.wait({waiting, stopping, *under_way}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
    finally:
        stopping.cancel()

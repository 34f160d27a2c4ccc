"""Which workers are alive, as pages and `doctor` show it. Never used to decide who owns a run: leases do that."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from bot.store import Store, StoreDown, WorkerSeen

ALIVE: Final = timedelta(seconds=60)
"""A worker that was not seen for this long is gone."""
EVERY_SECONDS: Final = 15.0


async def keep_seen(store: Store, worker: WorkerSeen, stop: asyncio.Event) -> None:
    """Says that the worker is alive until `stop`, and then that it is gone."""
    while not stop.is_set():
        with suppress(StoreDown):
            await store.run(lambda tx: tx.figures.worker_seen(worker))
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY_SECONDS):
                await stop.wait()
    with suppress(StoreDown):
        await store.run(lambda tx: tx.figures.worker_gone(worker.id))

"""A real process that fires follow-ups: the app's firing loop and alarm clock on the store of the given URL.

`python -m benchmarks.firing_process URL` prints `ready` when it waits for follow-ups, and runs until a line comes in on
standard input. Then it prints one JSON object: `commits` has, for each transaction that began at an instant, the moment
right after its commit was durable (both in epoch seconds); `cpu_seconds` is what the process used since `ready`.
"""

import asyncio
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar, cast

from benchmarks.work import bench_settings
from bot.app import open_app, run_parts, settle_memory
from bot.core.redact import Redactor
from bot.logs import configure_logs
from bot.store import Transaction
from storage.engine import Database

T = TypeVar("T")


class TimedStore:
    """The app's store that notes when each transaction was durable, by the instant at which it began."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.commits: dict[float, float] = {}

    async def run(self, unit: Callable[[Any], T], *, read: bool = False, urgent: bool = False) -> T:
        if read:
            return await self._store.run(unit, read=True)
        began = 0.0

        def noted(tx: Transaction) -> T:
            nonlocal began
            value = unit(tx)
            began = tx.now.timestamp()
            return value

        value = await self._store.run(noted, urgent=urgent)
        self.commits[began] = time.time()
        return value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def main(url: str) -> None:
    """Runs until told to end, then prints what was noted."""
    configure_logs("error", Redactor(()), terminal=False, stream=sys.stderr)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="codetask-bench-"))
        settings = bench_settings(codetask_data=folder, database_url=url, default_agent="patch", filers="*")
        app = await stack.enter_async_context(open_app(settings, with_platforms=False))
        store = TimedStore(app.store)
        app = dataclasses.replace(app, firing=dataclasses.replace(app.firing, store=cast("Database", store)))
        stop = asyncio.Event()
        parts = asyncio.create_task(run_parts(app, stop, None, serve=False))
        settle_memory()
        began = time.process_time()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        used = time.process_time() - began
        stop.set()
        await parts
        print(json.dumps({"commits": list(store.commits.items()), "cpu_seconds": used}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

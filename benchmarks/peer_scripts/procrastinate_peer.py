"""Procrastinate in its own environment: `procrastinate_peer.py URL COUNT PER_SECOND MANY`. Prints one JSON object."""

import asyncio
import sys
import time
from importlib import metadata

from procrastinate import App, PsycopgConnector
from trial import begin, fill, one_by_one, per_second, reached, report, started


async def main(url: str, count: int, rate: float, many: int) -> None:
    app = App(connector=PsycopgConnector(conninfo=url))

    @app.task(name="measure")
    async def measure(number: int) -> None:
        begin(number)

    async def enqueue(number: int) -> object:
        return await measure.defer_async(number=number)

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        working = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
        times = await one_by_one(enqueue, count, rate)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await fill(enqueue, many)
        began = time.perf_counter()
        working = asyncio.create_task(app.run_worker_async(install_signal_handlers=False, concurrency=10))
        await asyncio.wait_for(reached(len(started) + many), 120)
        speed = per_second(many, began)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        report(metadata.version("procrastinate"), times, speed)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))

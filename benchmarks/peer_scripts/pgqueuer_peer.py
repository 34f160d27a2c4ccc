"""PgQueuer in its own environment: `pgqueuer_peer.py URL COUNT PER_SECOND MANY`. Prints one JSON object."""

import asyncio
import sys
import time
from importlib import metadata

import psycopg
from pgqueuer import QueueManager
from pgqueuer.db import PsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from trial import begin, fill, one_by_one, per_second, reached, report, started


async def connect(url: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(url, autocommit=True)


def worker(connection: psycopg.AsyncConnection) -> QueueManager:
    manager = QueueManager(Queries(PsycopgDriver(connection)))

    @manager.entrypoint("measure")
    async def measure(job: Job) -> None:
        begin(int(job.payload or b"0"))

    return manager


async def main(url: str, count: int, rate: float, many: int) -> None:
    async with await connect(url) as enqueuing, await connect(url) as working, await connect(url) as draining:
        queries = Queries(PsycopgDriver(enqueuing))
        await queries.install()

        async def enqueue(number: int) -> object:
            return await queries.enqueue("measure", str(number).encode())

        manager = worker(working)
        running = asyncio.create_task(manager.run())
        times = await one_by_one(enqueue, count, rate)
        manager.shutdown.set()
        await running
        await fill(enqueue, many)
        manager = worker(draining)
        began = time.perf_counter()
        running = asyncio.create_task(manager.run())
        await asyncio.wait_for(reached(len(started) + many), 120)
        speed = per_second(many, began)
        manager.shutdown.set()
        await running
        report(metadata.version("pgqueuer"), times, speed)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))

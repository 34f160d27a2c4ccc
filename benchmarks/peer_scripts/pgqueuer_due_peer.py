"""PgQueuer with deferred jobs: `pgqueuer_due_peer.py URL COUNT SPREAD LEAD`. Prints one JSON object.

The clock stops when a job's function begins.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib import metadata

import psycopg
from pgqueuer import QueueManager
from pgqueuer.db import PsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

BATCH = 1_000
WAIT_SECONDS = 120
started: list[tuple[int, float]] = []
all_begun = asyncio.Event()


async def main(url: str, count: int, spread: float, lead: float) -> None:
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as enqueuing,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as working,
    ):
        queries = Queries(PsycopgDriver(enqueuing))
        await queries.install()
        manager = QueueManager(Queries(PsycopgDriver(working)))

        @manager.entrypoint("measure")
        async def measure(job: Job) -> None:
            started.append((int(job.payload or b"0"), time.time()))
            if len(started) == count:
                all_begun.set()

        running = asyncio.create_task(manager.run())
        first = datetime.now(UTC) + timedelta(seconds=lead)
        due = [first + timedelta(seconds=spread * number / count) for number in range(count)]
        for begin in range(0, count, BATCH):
            some = range(begin, min(begin + BATCH, count))
            now = datetime.now(UTC)
            after = [due[number] - now for number in some]
            names, payloads = ["measure"] * len(some), [str(number).encode() for number in some]
            await queries.enqueue(names, payloads, [0] * len(some), after)
        if datetime.now(UTC) > first:
            sys.exit("the jobs could not be added before the first fell due")
        try:
            await asyncio.wait_for(all_begun.wait(), lead + spread + WAIT_SECONDS)
        finally:
            manager.shutdown.set()
            await running
    late = [(at - due[number].timestamp()) * 1000 for number, at in started]
    print(json.dumps({"version": metadata.version("pgqueuer"), "milliseconds": late}))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))

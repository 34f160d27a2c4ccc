"""From enqueuing a run to its claim by a waiting worker: commit, wake-up, claim, commit.

The clock starts before the enqueuing call and stops when the worker holds the claimed run. On PostgreSQL the enqueuer
is a store of its own, so the worker hears of it only through LISTEN.
"""

import asyncio
import random
import time
from contextlib import ExitStack
from functools import partial

from benchmarks.figure import POLL, POLL_P99_MS, Figure, p50_p99
from benchmarks.stores import Unavailable, open_store, postgres_server, postgres_url, sqlite_url
from benchmarks.work import attempts, file_task
from bot.services.attempts import Attempts, Claimed
from bot.store import Transaction
from storage.engine import Database

TARGET_MS = 20.0
PER_SECOND = 20.0


def run(quick: bool = False) -> list[Figure]:
    count = 5 if quick else 400
    figures: list[Figure] = []
    with sqlite_url() as url, open_store(url) as store:
        times = asyncio.run(measure(store, store, count))
        figures += p50_p99("enqueue_to_claim_sqlite", times, TARGET_MS, peer=POLL, peer_value=POLL_P99_MS)
    with sqlite_url() as url, open_store(url) as worker, open_store(url) as enqueuer:
        times = asyncio.run(measure(worker, enqueuer, count))
        figures += p50_p99("enqueue_to_claim_sqlite_two_processes", times, peer=POLL, peer_value=POLL_P99_MS)
    try:
        with ExitStack() as stack:
            url = stack.enter_context(postgres_url(stack.enter_context(postgres_server())))
            worker, enqueuer = stack.enter_context(open_store(url)), stack.enter_context(open_store(url))
            times = asyncio.run(measure(worker, enqueuer, count))
            figures += p50_p99("enqueue_to_claim_postgres", times, TARGET_MS, peer=POLL, peer_value=POLL_P99_MS)
    except Unavailable as why:
        print(f"SKIPPED enqueue_to_claim_postgres: {why}")
    return figures


async def measure(worker: Database, enqueuer: Database, count: int) -> list[float]:
    """Milliseconds of `count` runs that come one by one at random moments."""
    draw = random.Random(5)
    claimed: dict[int, float] = {}
    began: dict[int, float] = {}
    waiting = asyncio.create_task(claim_all(worker, claimed, count))
    for _ in range(count):
        await asyncio.sleep(draw.expovariate(PER_SECOND))
        started = time.perf_counter()
        task = await enqueuer.run(lambda tx: file_task(tx).id)
        began[task or 0] = started
    await asyncio.wait_for(waiting, 60)
    return [(claimed[task] - started) * 1000 for task, started in began.items()]


async def claim_all(store: Database, claimed: dict[int, float], count: int) -> None:
    """Waits for work and claims it as the worker's loop does; each claimed run is ended at once."""
    moves = attempts()
    while len(claimed) < count:
        seen = store.version("run")
        found = await store.run(lambda tx: moves.claim(tx, "bench", "here"))
        if found is None:
            await store.changed("run", seen, 10)
            continue
        claimed[found.lease.task_id] = time.perf_counter()
        await store.run(partial(_end, moves, found))


def _end(moves: Attempts, found: Claimed, tx: Transaction) -> None:
    from bot.services.attempts import Cost

    moves.review(tx, found.lease, Cost())

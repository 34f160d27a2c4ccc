"""One side of the queue as a real process, or both: it enqueues runs, it claims them.

`python -m benchmarks.queue_process ROLE URL COUNT` with ROLE `enqueue`, `claim` or `both` prints `ready` when its store
is open. `enqueue` waits then for a line on standard input. At the end it prints one JSON object: `began` and `claimed`
have, by code task, the moments (`time.perf_counter`, which all processes of a Linux machine share) at which it was
about to enqueue the run and at which it held it claimed. The first `WARM_UP` runs are left out.
"""

import asyncio
import json
import random
import sys
import time
from functools import partial

from benchmarks.stores import open_store
from benchmarks.work import attempts, file_task
from bot.app import SWITCH_SECONDS, settle_memory
from bot.services.attempts import Attempts, Claimed, Cost
from bot.store import Transaction
from storage.engine import Database

PER_SECOND = 20.0
WARM_UP = 20
"""Runs after which each side has done it all."""
LIMIT_SECONDS = 120.0

Moments = dict[int, float]


async def enqueue(store: Database, count: int) -> Moments:
    """Files code tasks one by one at random moments, about 20 a second; when each call began."""
    draw = random.Random(5)
    began: Moments = {}
    for _ in range(count):
        await asyncio.sleep(draw.expovariate(PER_SECOND))
        now = time.perf_counter()
        began[await store.run(lambda tx: file_task(tx).id) or 0] = now
    return began


async def claim(store: Database, count: int) -> Moments:
    """Claims as the worker's loop does: each run is a task of its own, which ends it at once, while the loop looks for
    the next. When each was held."""
    moves = attempts()
    claimed: Moments = {}
    async with asyncio.TaskGroup() as running:
        while len(claimed) < count:
            seen = store.version("run")
            found = await store.run(lambda tx: moves.claim(tx, "bench", "here"))
            if found is None:
                await store.changed("run", seen, 10)
                continue
            claimed[found.lease.task_id] = time.perf_counter()
            running.create_task(store.run(partial(_end, moves, found)))
    return claimed


def _end(moves: Attempts, found: Claimed, tx: Transaction) -> None:
    moves.review(tx, found.lease, Cost())


async def main(role: str, url: str, count: int) -> None:
    """Plays the role to its end, then prints the moments."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with open_store(url) as store:
        settle_memory()
        print("ready", flush=True)
        if role == "enqueue":
            await asyncio.to_thread(sys.stdin.readline)
        async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as group:
            began = group.create_task(enqueue(store, count + WARM_UP)) if role != "claim" else None
            claimed = group.create_task(claim(store, count + WARM_UP)) if role != "enqueue" else None
    told = {
        "began": list(began.result().items())[WARM_UP:] if began is not None else [],
        "claimed": list(claimed.result().items()) if claimed is not None else [],
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

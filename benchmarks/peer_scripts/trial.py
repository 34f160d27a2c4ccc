"""What both peers go through: jobs one by one at random moments, then a full queue. Standard library only."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable

started: dict[int, float] = {}
"""When each job's function began, by its number; the peers' functions fill it in."""

arrived = asyncio.Event()
Enqueue = Callable[[int], Awaitable[object]]
QUICK = 100_000
"""Numbers from here on belong to the full queue."""


def begin(number: int) -> None:
    """To be called first thing in every job."""
    started[number] = time.perf_counter()
    arrived.set()


async def reached(count: int) -> None:
    """Waits until that many jobs have begun."""
    while len(started) < count:
        arrived.clear()
        await arrived.wait()


async def one_by_one(enqueue: Enqueue, count: int, per_second: float) -> list[float]:
    """Milliseconds from before each enqueuing call to the start of its job."""
    draw = random.Random(5)
    began: dict[int, float] = {}
    await enqueue(0)  # the first one pays for what is set up late
    await asyncio.wait_for(reached(1), 60)
    for number in range(1, count + 1):
        await asyncio.sleep(draw.expovariate(per_second))
        began[number] = time.perf_counter()
        await enqueue(number)
    await asyncio.wait_for(reached(count + 1), 60)
    return [(started[number] - at) * 1000 for number, at in began.items()]


async def fill(enqueue: Enqueue, count: int) -> None:
    """Enqueues that many jobs while nobody works."""
    for number in range(QUICK, QUICK + count):
        await enqueue(number)


def per_second(count: int, began: float) -> float:
    """Jobs of the full queue per second since then."""
    return count / (max(at for number, at in started.items() if number >= QUICK) - began)


def report(version: str, milliseconds: list[float], rate: float) -> None:
    """Prints the result for the caller."""
    print(json.dumps({"version": version, "milliseconds": milliseconds, "per_second": rate}))

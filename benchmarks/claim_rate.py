"""How many runs one process claims and completes in a second: two transactions each, nothing else."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from benchmarks.figure import Figure
from benchmarks.stores import Unavailable, open_store, postgres_server, postgres_url, sqlite_url
from benchmarks.work import EVERYTHING, file_task
from bot.core.runs import RunLease
from bot.store import Transaction
from storage.engine import THREADS_POSTGRES, Database

LEASE = timedelta(seconds=60)
TARGET_SQLITE, TARGET_POSTGRES = 1_500, 350
FILED_AT_ONCE = 200


def run(quick: bool = False) -> list[Figure]:
    count = 20 if quick else 2_000
    with sqlite_url() as url, open_store(url) as store:
        figures = [_figure("claim_complete_per_s_sqlite", rate(store, count, 1), TARGET_SQLITE)]
    try:
        with postgres_server() as server, postgres_url(server) as url, open_store(url) as store:
            value = rate(store, count, THREADS_POSTGRES)
            figures.append(_figure("claim_complete_per_s_postgres", value, TARGET_POSTGRES))
    except Unavailable as why:
        print(f"SKIPPED claim_complete_per_s_postgres: {why}")
    return figures


def _figure(name: str, value: float, target: float) -> Figure:
    return Figure(name, round(value, 1), "/s", target, higher=True)


def rate(store: Database, count: int, threads: int) -> float:
    """Runs claimed and completed per second by `threads` threads of this process."""
    for start in range(0, count, FILED_AT_ONCE):
        store.run_sync(_file_many(min(FILED_AT_ONCE, count - start)))
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(lambda _: work_off(store), range(threads)))
    if done != count:
        raise AssertionError(f"{done} of {count} runs were completed")
    return count / (time.perf_counter() - began)


def work_off(store: Database) -> int:
    """Claims and completes until nothing is left; how many."""
    done = 0
    while True:
        run = store.run_sync(lambda tx: tx.runs.claim("bench", "here", EVERYTHING, EVERYTHING, LEASE))
        if run is None:
            return done
        run_id, fence = run.id or 0, run.fence
        done += store.run_sync(_complete(run_id, fence))


def _complete(run_id: int, fence: int) -> Callable[[Transaction], bool]:
    return lambda tx: tx.runs.end(run_id, fence, RunLease.DONE) is not None


def _file_many(count: int) -> Callable[[Transaction], None]:
    def unit(tx: Transaction) -> None:
        for _ in range(count):
            file_task(tx)

    return unit

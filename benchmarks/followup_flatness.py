"""What pending follow-ups cost a process that waits for them: a wake-up and its memory, with 10 and with 100,000.

A wake-up finds one follow-up due, starts it and looks when the next one is due. The larger store also holds finished
follow-ups, as many as `claim_at_scale` has finished runs.
"""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from benchmarks.claim_at_scale import MANY as FINISHED
from benchmarks.figure import Figure, percentile
from benchmarks.followup_load import firing
from benchmarks.followup_rows import finish, put
from benchmarks.idle import rss_mb
from benchmarks.stores import open_store, sqlite_url
from benchmarks.work import bench_settings
from bot.app import wire
from bot.core.followups import FollowUpKind
from bot.store import Transaction
from storage.engine import Database

FEW, MANY = 10, 100_000
WAKE_UPS = 300
LATER = timedelta(days=1)
PROMPTS = (FollowUpKind.AGENT,)
TARGET = 1.3
"""How much more the larger store may cost; the same as for claims."""


def run(quick: bool = False) -> list[Figure]:
    many = 1_000 if quick else MANY
    finished = 100 if quick else int(os.environ.get("CODETASK_BENCH_FINISHED", FINISHED))
    with ExitStack() as stack:
        urls = [stack.enter_context(sqlite_url()) for _ in range(2)]
        stores = [stack.enter_context(open_store(url)) for url in urls]
        for store, count in zip(stores, (FEW, many), strict=True):
            put(store, [datetime.now(UTC) + LATER + timedelta(seconds=n) for n in range(count)], PROMPTS)
        finish(stores[1], finished)
        few_ms, many_ms = _wake_up_ms(stores, 5 if quick else WAKE_UPS)
        few_mb, many_mb = (_memory_mb(url, 0.5 if quick else 5.0) for url in urls)
    note = f"{many} pending and {finished} finished against {FEW} pending"
    return [
        Figure("followup_wakeup_10_ms", round(few_ms, 3), "ms"),
        Figure("followup_wakeup_100k_ms", round(many_ms, 3), "ms", note=note),
        Figure("followup_wakeup_100k_ratio", round(many_ms / few_ms, 2), "x", TARGET, note=note),
        Figure("followup_rss_10_mb", round(few_mb, 1), "MB"),
        Figure("followup_rss_100k_mb", round(many_mb, 1), "MB", note=note),
        Figure("followup_rss_100k_ratio", round(many_mb / few_mb, 2), "x", TARGET, note=note),
    ]


def _wake_up_ms(stores: list[Database], count: int) -> tuple[float, float]:
    """The median wake-up on each store; they take turns, so that other load meets both alike."""
    looks = [_look(store) for store in stores]
    times: list[list[float]] = [[], []]
    for _ in range(count):
        for store, look, taken in zip(stores, looks, times, strict=True):
            put(store, [datetime.now(UTC)], PROMPTS)
            began = time.perf_counter()
            if store.run_sync(look) != 1:
                raise AssertionError("the due follow-up was not found")
            taken.append((time.perf_counter() - began) * 1000)
    return percentile(times[0], 0.5), percentile(times[1], 0.5)


def _look(store: Database) -> Callable[[Transaction], int]:
    """What the firing loop does when it wakes up."""
    with tempfile.TemporaryDirectory(prefix="codetask-bench-") as folder:
        settings = bench_settings(codetask_data=folder, default_agent="patch", filers="*")
        firing = wire(settings, store, {}, {}).firing

    def look(tx: Transaction) -> int:
        fired = firing.fire_due(tx)
        tx.followups.next_due_at()
        return fired

    return look


def _memory_mb(url: str, seconds: float) -> float:
    """What a process holds after it has fired some and has waited for the others."""
    with open_store(url) as store, firing(url) as process:
        put(store, [datetime.now(UTC)] * 30, PROMPTS)
        time.sleep(seconds)
        return rss_mb(process.pid)

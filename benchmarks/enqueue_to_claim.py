"""From enqueuing a run to its claim by a waiting worker: commit, wake-up, claim, commit.

The clock starts before the enqueuing call and stops when the worker holds the claimed run. The processes are those of a
deployment (`queue_process`): on SQLite one, which does both, and for comparison two; on PostgreSQL two, a server and a
worker, which hears of the run only through LISTEN.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from benchmarks.figure import POLL, POLL_P99_MS, Figure, p50_p99
from benchmarks.stores import Unavailable, postgres_server, postgres_url, sqlite_url

TARGET_MS = 20.0
HERE = Path(__file__).resolve().parents[1]


def run(quick: bool = False) -> list[Figure]:
    count = 5 if quick else 400
    figures: list[Figure] = []
    with sqlite_url() as url:
        times = measure(url, ["both"], count)
        figures += p50_p99("enqueue_to_claim_sqlite", times, TARGET_MS, peer=POLL, peer_value=POLL_P99_MS)
    with sqlite_url() as url:
        times = measure(url, ["claim", "enqueue"], count)
        figures += p50_p99("enqueue_to_claim_sqlite_two_processes", times, peer=POLL, peer_value=POLL_P99_MS)
    try:
        with ExitStack() as stack:
            url = stack.enter_context(postgres_url(stack.enter_context(postgres_server())))
            times = measure(url, ["claim", "enqueue"], count)
            figures += p50_p99("enqueue_to_claim_postgres", times, TARGET_MS, peer=POLL, peer_value=POLL_P99_MS)
    except Unavailable as why:
        print(f"SKIPPED enqueue_to_claim_postgres: {why}")
    return figures


def measure(url: str, roles: Sequence[str], count: int) -> list[float]:
    """Milliseconds of `count` runs that come one by one at random moments."""
    began: dict[int, float] = {}
    claimed: dict[int, float] = {}
    with ExitStack() as stack:
        processes = [stack.enter_context(_playing(role, url, count)) for role in roles]
        for _, to_it in processes:
            to_it.write("go\n")
            to_it.flush()
        for lines, _ in processes:
            told = json.loads(lines.readline())
            began |= dict(told["began"])
            claimed |= dict(told["claimed"])
    assert len(began) == count
    return [(claimed[task] - moment) * 1000 for task, moment in began.items()]


@contextmanager
def _playing(role: str, url: str, count: int) -> Iterator[tuple[IO[str], IO[str]]]:
    """A process in that role, ready: what it prints, and what it reads."""
    command = [sys.executable, "-m", "benchmarks.queue_process", role, url, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE)
    try:
        assert process.stdout is not None and process.stdin is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the process that should {role} did not start")
        yield process.stdout, process.stdin
    finally:
        process.terminate()
        process.communicate(timeout=30)

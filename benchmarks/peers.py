"""PgQueuer and Procrastinate on the same PostgreSQL: enqueue to start of the job, and jobs per second.

They are installed into a throw-away environment under `build/`, never into the project's; without network they are
skipped, loudly. The clock runs as for ours: from before the enqueuing call to the start of the job, and jobs come one
by one at random moments.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks import claim_rate, enqueue_to_claim
from benchmarks.figure import Figure, percentile
from benchmarks.stores import Unavailable, open_store, postgres_server, postgres_url
from storage.engine import THREADS_POSTGRES

PEERS = {"pgqueuer": "pgqueuer[psycopg]", "procrastinate": "procrastinate"}
FOLDER = Path("build/bench-peers")
SCRIPTS = Path(__file__).with_name("peer_scripts")
LIMIT_SECONDS = 300
VERSION = metadata.version("codetask")


@dataclass(frozen=True, slots=True)
class Result:
    """What one queue did: its version, milliseconds from enqueuing to start, and jobs per second."""

    version: str
    milliseconds: list[float]
    per_second: float


def run(quick: bool = False) -> list[Figure]:
    python = install()
    if python is None:
        return []
    count, many = (5, 50) if quick else (400, 1_000)
    figures: list[Figure] = []
    try:
        with postgres_server() as server:
            for name in PEERS:
                with postgres_url(server, empty=True) as url:
                    theirs = _measure(name, python, url, count, many)
                if theirs is not None:
                    figures += _beside(name, _ours(server, count, many), theirs)
    except Unavailable as why:
        print(f"SKIPPED peers: {why}")
    return figures


def _ours(server: str, count: int, many: int) -> Result:
    with postgres_url(server) as url, open_store(url) as worker, open_store(url) as enqueuer:
        times = asyncio.run(enqueue_to_claim.measure(worker, enqueuer, count))
        return Result(VERSION, times, claim_rate.rate(worker, many, THREADS_POSTGRES))


def _beside(name: str, ours: Result, theirs: Result) -> list[Figure]:
    """Our figures with the peer's: both from the same server and the same minutes."""
    figures: list[Figure] = []
    for title, share in (("p50", 0.5), ("p99", 0.99)):
        value, other = (round(percentile(result.milliseconds, share), 2) for result in (ours, theirs))
        peer = {"peer": f"{name} {theirs.version}", "peer_value": other}
        figures.append(Figure(f"enqueue_to_claim_postgres_vs_{name}_{title}_ms", value, "ms", **peer))
    value, other = round(ours.per_second, 1), round(theirs.per_second, 1)
    peer = {"peer": f"{name} {theirs.version}", "peer_value": other}
    return [*figures, Figure(f"claim_complete_postgres_vs_{name}_per_s", value, "/s", higher=True, **peer)]


def install() -> Path | None:
    """The environment's Python with both peers in it; None, said loudly, when that cannot be had."""
    python = FOLDER / "bin/python"
    uv = shutil.which("uv")
    make = [uv, "venv", "-q", str(FOLDER)] if uv else [sys.executable, "-m", "venv", str(FOLDER)]
    add = [uv, "pip", "install", "-q", "--python", str(python)] if uv else [str(python), "-m", "pip", "install", "-q"]
    add += [*PEERS.values(), "psycopg[binary,pool]"]
    for command in [add] if python.exists() else [make, add]:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"SKIPPED peers: they cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
            return None
    return python


def _measure(name: str, python: Path, url: str, count: int, many: int) -> Result | None:
    command = [str(python), str(SCRIPTS / f"{name}_peer.py"), url, str(count), str(enqueue_to_claim.PER_SECOND)]
    done = subprocess.run([*command, str(many)], capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    if done.returncode:
        print(f"SKIPPED {name}: {done.stderr.strip().splitlines()[-1:]}")
        return None
    return Result(**json.loads(done.stdout.splitlines()[-1]))

"""The load of `followup_lateness` on others: an APScheduler job store on SQLite, PgQueuer on the same PostgreSQL."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.followup_load import Late, Load
from benchmarks.peers import SCRIPTS, install
from benchmarks.stores import postgres_url

ADDED_PER_SECOND = 150
"""So many jobs an APScheduler store takes in a second at the least; the first falls due after all are in."""
LIMIT_SECONDS = 600


def apscheduler(*loads: Load) -> list[Late]:
    """Each load on a job store in a SQLite file of its own; none when it cannot be measured, said loudly."""
    found: list[Late] = []
    for load in loads:
        with tempfile.TemporaryDirectory(prefix="codetask-bench-") as folder:
            lead = load.lead.total_seconds() + load.count / ADDED_PER_SECOND
            url = f"sqlite:///{Path(folder) / 'jobs.db'}"
            late = _measure("APScheduler", sys.executable, "apscheduler_peer.py", url, load, lead)
        if late is None:
            return []
        found.append(late)
    return found


def pgqueuer(server: str, *loads: Load) -> list[Late]:
    """Each load on PgQueuer in a database of its own; none when it cannot be had, said loudly."""
    python = install()
    found: list[Late] = []
    for load in loads if python is not None else ():
        with postgres_url(server, empty=True) as url:
            lead = load.lead.total_seconds()
            late = _measure("PgQueuer", str(python), "pgqueuer_due_peer.py", url, load, lead)
        if late is None:
            return []
        found.append(late)
    return found


def _measure(name: str, python: str, script: str, url: str, load: Load, lead: float) -> Late | None:
    command = [python, str(SCRIPTS / script), url, str(load.count), str(load.spread.total_seconds()), str(lead)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    if done.returncode:
        print(f"SKIPPED {name}: {done.stderr.strip().splitlines()[-1:]}")
        return None
    told = json.loads(done.stdout.splitlines()[-1])
    if len(told["milliseconds"]) < load.count:
        print(f"{name} ran only {len(told['milliseconds'])} of {load.count} jobs")
    return Late(f"{name} {told['version']}", told["milliseconds"])

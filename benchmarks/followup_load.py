"""A load of follow-ups for one real process that fires them (`firing_process`), and how late each was claimed."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.figure import Stolen, load_average
from benchmarks.followup_rows import put
from benchmarks.stores import open_store
from bot.core.followups import FollowUpKind
from storage.engine import Database
from storage.models import FollowUpRow
from storage.statements import columns_of

LIMIT_SECONDS = 180.0
WARM_UP = 20
"""Follow-ups fired before the load, so that the process has done it all once."""
HERE = Path(__file__).resolve().parents[1]
WRONG = """
SELECT count(*) FROM follow_up f WHERE f.state NOT IN ('running', 'success') OR f.attempt <> 1
  OR f.triggered_at < f.due_at
  OR (SELECT count(*) FROM run r WHERE r.follow_up_id = f.id) <> CASE f.kind WHEN 'agent' THEN 1 ELSE 0 END
  OR (SELECT count(*) FROM outbox o WHERE o.thread_id = f.thread_id) <> CASE f.kind WHEN 'agent' THEN 0 ELSE 1 END
"""


@dataclass(frozen=True, slots=True)
class Load:
    """`count` follow-ups that fall due over `spread`, the first `lead` after they are set; the kinds take turns."""

    count: int
    spread: timedelta
    lead: timedelta
    kinds: Sequence[FollowUpKind] = (FollowUpKind.AGENT, FollowUpKind.MESSAGE)

    def times(self, start: datetime) -> list[datetime]:
        return [start + self.lead + self.spread * n / self.count for n in range(self.count)]


@dataclass(frozen=True, slots=True)
class Late:
    """Milliseconds between the due times and the claims by `name`, and what else the machine did meanwhile."""

    name: str
    milliseconds: list[float]
    cpu_seconds: float = 0.0
    load: float = field(default_factory=load_average)
    stolen: float | None = None


def on_store(url: str, load: Load) -> Late:
    """Lets a process fire the load; raises when one was early, doubled or missed."""
    with open_store(url) as store, firing(url) as process:
        put(store, replace(load, count=WARM_UP).times(datetime.now(UTC) - load.lead - load.spread), load.kinds)
        _wait_until_fired(store)
        stolen, start = Stolen(), datetime.now(UTC)
        put(store, load.times(start), load.kinds)
        if datetime.now(UTC) > start + load.lead:
            raise RuntimeError("the machine is too slow: follow-ups fell due before all were set")
        time.sleep((load.lead + load.spread).total_seconds())
        _wait_until_fired(store)
        told = end(process)
        late = _milliseconds(store, dict(told["commits"]), start)
        return Late("codetask", late, told["cpu_seconds"], stolen=stolen.percent())


@contextmanager
def firing(url: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that fires on this store, ready."""
    command = [sys.executable, "-m", "benchmarks.firing_process", url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("the firing process did not start")
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def end(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Ends the process; what it noted."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def _wait_until_fired(store: Database) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while _count(store, "SELECT count(*) FROM follow_up WHERE state = 'pending'"):
        if time.monotonic() > deadline:
            raise RuntimeError("not all follow-ups were fired")
        time.sleep(0.2)
    if wrong := _count(store, WRONG):
        raise AssertionError(f"{wrong} follow-ups were early, fired twice or missed")


def _count(store: Database, sql: str) -> int:
    with store.engine.connect() as connection:
        return connection.execute(sa.text(sql)).scalar_one()


def _milliseconds(store: Database, commits: dict[float, float], since: datetime) -> list[float]:
    table = columns_of(FollowUpRow)
    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(table.c.due_at, table.c.triggered_at).where(table.c.due_at > since)).all()
    return [(commits[triggered.timestamp()] - due.timestamp()) * 1000 for due, triggered in rows]

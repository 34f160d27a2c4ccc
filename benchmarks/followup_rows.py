"""Follow-ups to measure with, put into the tables in bulk: pending ones at given times, and finished ones."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from bot.core.followups import FollowUpKind
from storage.engine import Database
from storage.models import FollowUpRow, PersonRow, ThreadRow
from storage.statements import columns_of, insert
from storage.transaction import Tx

PEOPLE, CHANNELS = 50, 50
BATCH = 5_000
FINISHED = """
INSERT INTO follow_up ({names}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
SELECT {values} FROM n, (SELECT * FROM follow_up LIMIT 1) f
"""
FINISHED_OWN = {
    "id": "1000000 + i",
    "uuid": "'u-' || i",
    "state": "'success'",
    "thread_id": "1 + (i % {threads})",
    "triggered_at": "due_at",
    "completed_at": "due_at",
}


def put(store: Database, times: Sequence[datetime], kinds: Sequence[FollowUpKind]) -> None:
    """One pending follow-up per time, each in a thread of its own; the kinds take turns."""
    for first in range(0, len(times), BATCH):
        some = times[first : first + BATCH]
        store.run_sync(lambda tx, s=some, f=first: _put(tx, s, kinds, f))  # type: ignore[misc]


def _put(tx: Tx, times: Sequence[datetime], kinds: Sequence[FollowUpKind], first: int) -> None:
    connection, now = tx.session.connection(), datetime.now(UTC)
    known = {"platform": "slack", "workspace_id": "T1"}
    if not connection.exec_driver_sql("SELECT count(*) FROM person").scalar_one():
        people = [{**known, "id": f"U{n}", "name": f"Person {n}", "seen_at": now} for n in range(PEOPLE)]
        _insert(connection, PersonRow, [{"kind": "human", "roles": json.dumps([]), **person} for person in people])
    numbers = range(first, first + len(times))
    threads = [{**known, "channel_id": f"C{n % CHANNELS}", "thread_key": str(uuid.uuid4())} for n in numbers]
    _insert(connection, ThreadRow, threads)
    last = connection.exec_driver_sql("SELECT max(id) FROM thread").scalar_one()
    rows = [
        {
            "uuid": str(uuid.uuid4()),
            "platform": "slack",
            "workspace_id": "T1",
            "channel_id": f"C{n % CHANNELS}",
            "thread_id": last - len(times) + 1 + n - first,
            "anchored": True,
            "kind": kinds[n % len(kinds)],
            "title": f"Look at number {n}",
            "body": f"Look at number {n} and say whether it is green.",
            "due_at": at,
            "zone": "Europe/Berlin",
            "requester_platform": "slack",
            "requester_workspace": "T1",
            "requester_id": f"U{n % PEOPLE}",
            "created_at": now,
            "updated_at": now,
        }
        for n, at in zip(numbers, times, strict=True)
    ]
    _insert(connection, FollowUpRow, rows)
    tx.wake("follow_up")


def finish(store: Database, count: int) -> None:
    """Adds that many that were answered long ago (SQLite); some pending one must be there."""
    names = [column.name for column in columns_of(FollowUpRow).columns]
    with store.engine.begin() as connection:
        threads = connection.exec_driver_sql("SELECT count(*) FROM thread").scalar_one()
        own = {name: value.format(threads=threads) for name, value in FINISHED_OWN.items()}
        values = ", ".join(own.get(name, f"f.{name}") for name in names)
        connection.exec_driver_sql(FINISHED.format(names=", ".join(names), values=values, count=count))


def _insert(connection: sa.Connection, table: type, rows: list[dict[str, object]]) -> None:
    _, defaults, _ = insert(table, connection.dialect.name == "sqlite")
    connection.execute(sa.insert(columns_of(table)), [{**defaults, **row} for row in rows])

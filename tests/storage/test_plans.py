"""The statements of the queue use their partial indexes, so that finished rows cost nothing however many there are."""

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.inbound import Message, Person
from storage.engine import Database
from storage.models import FollowUpRow, SuggestionRow
from storage.statements import columns_of
from storage.transaction import Tx
from tests.clock import FakeClock
from tests.postgres_databases import Databases
from tests.storage.conformance.bench import LEASE, file, where
from tests.storage.conformance.followups import put

FINISHED = 3_000
ANN = ("slack", "T1", "U1")


class Undone(Exception):
    """Ends a transaction that is to change nothing."""


def message(number: str, at: datetime) -> Message:
    return Message(
        platform="slack",
        app_id="A1",
        workspace_id="T1",
        key=f"A1:m:C1:{number}",
        thread=where(None),
        person=Person(platform="slack", workspace_id="T1", id="U1"),
        message_id=number,
        text="",
        sent_at=at,
        received_at=at,
    )


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A store with many finished rows and a few open ones, which stay as they are."""
    databases: Databases | None = None
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("plans") / "codetask.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        url = f"sqlite:///{path}"
    else:
        databases = request.getfixturevalue("postgres_databases")
        url = databases.take(fresh=True)
    store = Database(url, FakeClock())
    store.run_sync(fill)
    yield store
    store.close_sync()
    if databases is not None:
        databases.give_back(url, reuse=False)


def fill(tx: Tx) -> None:
    task = file(tx, thread="1.0")
    thread = task.thread_id
    connection = tx.session.connection()
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {FINISHED}) "
        if tx.sqlite
        else f"WITH n AS (SELECT generate_series(1, {FINISHED}) AS i) "
    )
    when = "'2031-05-06 07:08:09.000000'" if tx.sqlite else "timestamptz '2031-05-06 07:08:09+00'"
    finished_runs = (
        "INSERT INTO run (kind, code_task_id, attempt, state, priority, available_at, repo_key, agent, fence,"
        f" log_bytes, counts_attempt, created_at) {numbers} SELECT 'code_task', {task.id}, i + 10, 'done', 1, {when},"
        f" 'app', 'a', 1, 0, {'1' if tx.sqlite else 'true'}, {when} FROM n"
    )
    sent = (
        "INSERT INTO outbox (thread_id, seq, dedup_key, kind, platform, gate, target, body, state, available_at,"
        f" attempt, fence, created_at) {numbers} SELECT {thread}, i + 1000, 'k' || i, 'post', 'slack', 'g', '{{}}', '',"
        f" 'sent', {when}, 1, 1, {when} FROM n"
    )
    handled = (
        "INSERT INTO inbound (platform, workspace_id, natural_key, event_id, kind, channel_id, payload, state,"
        f" attempts, sent_at, received_at, available_at) {numbers} SELECT 'slack', 'T1', 'k' || i, '', 'message', 'C1',"
        f" '{{}}', 'done', 0, {when}, {when}, {when} FROM n"
    )
    follow_up = put(tx)
    put(tx, root="2.0", due_at=tx.now + timedelta(hours=1))
    own = {"id": "100000 + i", "uuid": "'u-' || i", "state": "'success'", "thread_id": f"{thread}", "title": "'t' || i"}
    names = [column.name for column in columns_of(FollowUpRow).columns]
    values = ", ".join(own.get(name, name) for name in names)
    fired = (
        f"INSERT INTO follow_up ({', '.join(names)}) {numbers} SELECT {values} FROM n,"
        f" (SELECT * FROM follow_up WHERE id = {follow_up.id}) f"
    )
    (heard,) = tx.suggestions.collect([message("0", tx.now)], "p1")
    tx.flush()
    own = {"id": "100000 + i", "message_id": "'x' || i", "state": "'skipped'", "author_id": "'U' || i"}
    names = [f'"{column.name}"' for column in columns_of(SuggestionRow).columns]
    values = ", ".join(own.get(name.strip('"'), name) for name in names)
    skipped = (
        f"INSERT INTO suggestion ({', '.join(names)}) {numbers} SELECT {values} FROM n,"
        f" (SELECT * FROM suggestion WHERE id = {heard}) s"
    )
    members = (
        "INSERT INTO suggestion_member"
        " (platform, workspace_id, channel_id, message_id, suggestion_id, position, sent_at)"
        " SELECT platform, workspace_id, channel_id, message_id, id, 0, last_at FROM suggestion WHERE state = 'skipped'"
    )
    for statement in (finished_runs, sent, handled, fired, skipped, members, "ANALYZE"):
        connection.exec_driver_sql(statement)


def plans(store: Database, unit: Callable[[Tx], Any]) -> list[str]:
    """The database's plan of every statement that the unit runs; what it writes is undone."""
    seen: list[tuple[str, Any]] = []
    found: list[str] = []

    def watch(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        seen.append((statement, parameters))

    prefix = "EXPLAIN QUERY PLAN " if store.is_sqlite else "EXPLAIN "

    def explain(tx: Tx) -> None:
        sa.event.listen(store.engine, "before_cursor_execute", watch)
        try:
            unit(tx)
            tx.flush()
        finally:
            sa.event.remove(store.engine, "before_cursor_execute", watch)
        connection = tx.session.connection()
        for statement, parameters in seen:
            if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "WITH", "INSERT INTO RUN")):
                rows = connection.exec_driver_sql(prefix + statement, parameters)
                found.append("\n".join(str(row[-1]) for row in rows))
        raise Undone

    with contextlib.suppress(Undone):
        store.run_sync(explain)
    return found


@pytest.mark.parametrize(
    ("table", "indexes", "unit"),
    [
        ("run", {"ix_run_ready"}, lambda tx: tx.runs.claim("w", "h", 2, 10, LEASE)),
        ("outbox", {"ix_outbox_ready", "ix_outbox_lane"}, lambda tx: tx.outbox.claim(["slack"], [], 8)),
        ("run", {"ix_run_lease"}, lambda tx: tx.runs.expired()),
        ("run", {"ix_run_waiting", "ix_run_ready"}, lambda tx: tx.runs.next_available_at()),
        ("outbox", {"ix_outbox_lease", "ux_outbox_sending"}, lambda tx: tx.outbox.reap()),
        ("outbox", {"ix_outbox_ready"}, lambda tx: tx.outbox.next_available_at()),
        ("inbound", {"ix_inbound_new"}, lambda tx: tx.inbox.pending(10)),
        ("follow_up", {"ix_follow_up_due"}, lambda tx: tx.followups.due(100)),
        ("follow_up", {"ix_follow_up_due"}, lambda tx: tx.followups.next_due_at()),
        ("run", {"ix_run_ready"}, lambda tx: tx.runs.claim_follow_up("w", "h", 4, LEASE)),
        ("follow_up", {"ix_follow_up_quota"}, lambda tx: tx.followups.pending_counts(ANN, None)),
        ("follow_up", {"ix_follow_up_due", "ix_follow_up_thread_id"}, lambda tx: tx.followups.pending_counts(ANN, 2)),
    ],
    ids=[
        "claim-run",
        "claim-delivery",
        "expired",
        "next-run",
        "reap-outbox",
        "next-delivery",
        "pending",
        "due-follow-ups",
        "next-follow-up",
        "claim-follow-up",
        "pending-of-a-person",
        "pending-in-a-thread",
    ],
)
def test_open_rows_are_found_by_their_partial_index(full: Database, table: str, indexes: set[str], unit: Any) -> None:
    main = [text for text in plans(full, unit) if any(index in text for index in indexes)]
    assert main, plans(full, unit)
    for text in main:
        assert not re.search(rf"Seq Scan on {table}\b", text), text
        assert not re.search(r"SCAN \w+$", re.sub("SCAN (ready|heads|s)", "", text), re.MULTILINE), text


def test_due_follow_ups_are_not_sorted_and_their_threads_not_read_through(full: Database) -> None:
    (due,) = [text for text in plans(full, lambda tx: tx.followups.due(100)) if "ix_follow_up_due" in text]
    assert "Sort Key: f.due_at" not in due, due
    assert due.count("TEMP B-TREE") <= 1, due  # the conversations of one thread
    assert due.count("ix_run_thread") >= (2 if full.is_sqlite else 1), due  # PostgreSQL reads tiny tables whole


@pytest.mark.parametrize(
    "unit",
    [
        lambda tx: tx.suggestions.collect([message("0", tx.now), message("1", tx.now)], "p1"),
        lambda tx: tx.suggestions.lease_due("p1", 10),
        lambda tx: tx.suggestions.next_due_at("p1"),
        lambda tx: tx.suggestions.skip({1: ("below_threshold", 0.1, "h")}),
        lambda tx: tx.suggestions.shown_to(ANN, tx.now - timedelta(minutes=10)),
        lambda tx: tx.suggestions.expire(tx.now, 10),
    ],
    ids=["collect", "lease", "next-due", "skip", "shown-to", "expire"],
)
def test_chatter_costs_the_same_however_much_was_heard_before(full: Database, unit: Any) -> None:
    for text in plans(full, unit):
        assert not re.search(r"Seq Scan on suggestion", text), text
        assert not re.search(r"SCAN suggestion\w*$", text, re.MULTILINE), text


def test_what_was_judged_is_found_by_its_id(full: Database) -> None:
    (skip,) = plans(full, lambda tx: tx.suggestions.skip({1: ("below_threshold", 0.1, "h")}))
    assert "INTEGER PRIMARY KEY" in skip or not full.is_sqlite, skip  # PostgreSQL joins what few there are


@pytest.mark.parametrize("move", ["start", "post"])
def test_follow_ups_fire_by_their_ids(full: Database, move: str) -> None:
    (fire,) = plans(full, lambda tx: getattr(tx.followups, move)([1, 2, 3]))
    assert not re.search("SCAN follow_up|Seq Scan|Nested Loop", fire), fire
    assert "ix_follow_up_due" not in fire or not full.is_sqlite, fire


def test_the_runs_of_fired_follow_ups_are_copied_by_their_ids(full: Database) -> None:
    (copy,) = plans(full, lambda tx: tx.runs.enqueue_follow_ups([1], "demo"))
    assert "pk_follow_up" in copy or "INTEGER PRIMARY KEY" in copy, copy


def test_a_claim_does_not_sort_the_queue(full: Database) -> None:
    (claim,) = [text for text in plans(full, lambda tx: tx.runs.claim("w", "h", 2, 10, LEASE)) if "ready" in text]
    assert "ix_run_waiting" not in claim, claim
    assert "Sort" not in claim, claim
    assert "TEMP B-TREE" not in claim, claim

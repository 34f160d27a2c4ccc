"""Runs: claims, leases, fences and logs. The hand-written heart of the queue; keep it short and its tests long.

States in WHERE clauses are literals, not bound parameters, so that the partial indexes are used on both databases.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from bot.core.runs import LogKind, LogLine, ParkedChange, Run, RunLease, RunLogEntry, RunState
from bot.core.tasks import CodeTask
from bot.store import RunAgain
from storage.models import ApprovalRow, RunLogRow, RunRow
from storage.statements import IDS_POSTGRES, IDS_SQLITE, columns_of, insert

if TYPE_CHECKING:
    from storage.transaction import Tx

LOG_BYTES_MAX = 5 * 1024 * 1024
LOG_FULL = "truncated: the log reached its limit of 5 MiB"
GROW_LOG = """
UPDATE run SET log_bytes = log_bytes + :more WHERE id = :id AND log_bytes <= :most RETURNING log_bytes - :more
"""
"""It locks the run, so that two writers never take the same line number and nobody deletes the run meanwhile."""
CLAIM_TRIES = 5
HELD = "id = :id AND fence = :fence AND state = 'active'"
ENDED_AS = {RunLease.DONE: RunState.COMPLETE, RunLease.WAITING: RunState.WAITING_FOR_INPUT, RunLease.QUEUED: None}
"""What an agent is said to do once its run ended so; failed, where nothing is said."""

CLAIM = """
WITH ready AS {materialized} (
  SELECT r.id AS id FROM run r {index}
  WHERE r.kind = '{kind}' AND r.state = 'queued' AND r.available_at <= :now
    AND NOT EXISTS (SELECT 1 FROM run s WHERE s.session_key = r.session_key AND s.state = 'active'){room}
  ORDER BY r.priority, r.available_at, r.id LIMIT {limit} {lock}
)
UPDATE run SET state = 'active', run_state = 'working', fence = fence + 1, lease_owner = :worker, host = :host,
  lease_until = :until, started_at = :now, slot = (
    SELECT min(s.n) FROM (
      SELECT 0 AS n UNION ALL SELECT a.slot + 1 FROM run a WHERE a.repo_key = run.repo_key AND a.state = 'active'
    ) s WHERE NOT EXISTS (
      SELECT 1 FROM run b WHERE b.repo_key = run.repo_key AND b.slot = s.n AND b.state = 'active'))
WHERE id = (SELECT id FROM ready) RETURNING {columns}
"""


ROOM_IN_REPOSITORY = """
    AND (SELECT count(*) FROM run a WHERE a.repo_key = r.repo_key AND a.state = 'active') < :per_repo"""
ROOM_FOR_PULLS = """
    AND (SELECT count(*) FROM code_task t WHERE t.repo = r.repo_key AND t.stage = 'review') < :open_prs"""
FOLLOW_UPS = "follow-ups"
"""The one slot group of all runs of follow-ups, in the column of repositories; no alias is called so."""
ROOM_FOR_FOLLOW_UPS = f"""(SELECT CASE WHEN count(*) < :per_repo THEN 1 ELSE 0 END FROM run a
    WHERE a.repo_key = '{FOLLOW_UPS}' AND a.state = 'active')"""
"""Asked once, not for each that waits: while no slot is free, thousands in the queue cost nothing."""


def session_key(thread_id: int | None, agent: str) -> str | None:
    """The key of an agent's conversation in a thread; None outside of threads."""
    return None if thread_id is None else f"{thread_id}:{agent}"


@cache
def claim_statement(*, sqlite: bool, kind: str = "code_task") -> sa.TextualSelect:
    """The claim as one statement: the next ready run whose repository has room becomes active in its lowest free slot.

    Fewer than `per_repo` runs of it are active, so that slot is below `per_repo`: with the unique index on (repository,
    slot) no more than `per_repo` are ever active, however many workers race.
    """
    columns = columns_of(RunRow).columns
    text = CLAIM.format(
        columns=", ".join(column.name for column in columns),
        kind=kind,
        room=ROOM_IN_REPOSITORY + ROOM_FOR_PULLS if kind == "code_task" else "",
        limit="1" if kind == "code_task" else ROOM_FOR_FOLLOW_UPS,
        # SQLite would take the index on available_at and sort the whole queue for every claim.
        index="INDEXED BY ix_run_ready" if sqlite else "",
        materialized="" if sqlite else "MATERIALIZED",
        lock="" if sqlite else "FOR UPDATE OF r SKIP LOCKED",
    )
    instants = [sa.bindparam(name, type_=UTCDateTime()) for name in ("now", "until")]
    return sa.text(text).bindparams(*instants).columns(*columns)


@cache
def enqueue_statement(*, sqlite: bool) -> tuple[sa.TextClause, dict[str, object]]:
    """One queued run for each of some follow-ups, oldest due first, copied inside the database; the other columns'
    defaults."""
    copied = {
        "kind": "'follow_up'",
        "follow_up_id": "id",
        "thread_id": "thread_id",
        "attempt": "attempt",
        "available_at": ":now",
        "repo_key": f"'{FOLLOW_UPS}'",
        "session_key": "CAST(thread_id AS text) || ':' || :agent",
        "agent": ":agent",
        "created_at": ":now",
    }
    _, defaults, _ = insert(RunRow, sqlite)
    left = {name: value for name, value in defaults.items() if name not in copied and value is not None}
    names = ", ".join([*copied, *left])
    values = ", ".join([*copied.values(), *(f":{name}" for name in left)])
    ids = IDS_SQLITE if sqlite else IDS_POSTGRES
    text = sa.text(
        f"INSERT INTO run ({names}) SELECT {values} FROM follow_up WHERE {ids} ORDER BY due_at, follow_up.id"
    )
    columns = columns_of(RunRow).columns
    types = {"now": UTCDateTime(), "agent": sa.String(), **{name: columns[name].type for name in left}}
    return text.bindparams(*(sa.bindparam(name, type_=kind) for name, kind in types.items())), left


ON_BRANCH = """state IN ('queued', 'active', 'waiting') AND follow_up_id IN (
  SELECT id FROM follow_up WHERE thread_id = :thread_id AND state = 'running' AND (by_agent OR origin_run_id IS NULL)
  UNION SELECT id FROM follow_up WHERE state = 'running' AND NOT by_agent
    AND origin_run_id IN (SELECT id FROM run WHERE code_task_id = :task_id))"""
"""Open runs of follow-ups that are anchored to a thread or were sent to a code task."""


class Runs:
    """See `bot.store.RunQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def enqueue(self, task: CodeTask, attempt: int, available_at: datetime) -> Run:
        values = {
            "code_task_id": task.id,
            "thread_id": task.thread_id,
            "attempt": attempt,
            "priority": task.priority,
            "available_at": available_at,
            "repo_key": task.repo,
            "session_key": session_key(task.thread_id, task.agent),
            "agent": task.agent,
            "created_at": self._tx.now,
        }
        row = self._tx.insert_row(RunRow, values)
        if row is None:
            raise RunAgain
        self._tx.wake("run")
        return Run.model_construct(**row)

    def claim(self, worker: str, host: str, per_repo: int, open_prs: int, lease: timedelta) -> Run | None:
        return self._claim("code_task", worker, host, lease, {"per_repo": per_repo, "open_prs": open_prs})

    def enqueue_follow_ups(self, ids: Sequence[int], agent: str) -> None:
        statement, defaults = enqueue_statement(sqlite=self._tx.sqlite)
        given = json.dumps(list(ids)) if self._tx.sqlite else list(ids)
        values = {**defaults, "now": self._tx.now, "agent": agent, "ids": given}
        try:
            self._tx.run(statement, values)
        except sa.exc.IntegrityError as error:
            raise RunAgain from error
        self._tx.wake("run")

    def claim_follow_up(self, worker: str, host: str, at_once: int, lease: timedelta) -> Run | None:
        return self._claim("follow_up", worker, host, lease, {"per_repo": at_once})

    def _claim(self, kind: str, worker: str, host: str, lease: timedelta, limits: dict[str, int]) -> Run | None:
        now = self._tx.now
        statement = claim_statement(sqlite=self._tx.sqlite, kind=kind)
        values = {"now": now, "until": now + lease, "worker": worker, "host": host, **limits}
        for _ in range(CLAIM_TRIES):
            try:
                with self._tx.may_lose_a_race():
                    row = self._tx.run(statement, values).mappings().one_or_none()
            except sa.exc.IntegrityError:
                continue  # another worker took the same repository slot: the unique index decides, try the next
            return Run.model_construct(**row) if row is not None else None
        return None

    def heartbeat(self, run_id: int, fence: int, lease: timedelta) -> bool:
        return self._write(run_id, fence, {"lease_until": self._tx.now + lease})

    def holds(self, run_id: int, fence: int) -> bool:
        return self._tx.scalar(f"SELECT id FROM run WHERE {HELD}", id=run_id, fence=fence) is not None

    def update(self, run_id: int, fence: int, **values: Any) -> bool:
        return self._write(run_id, fence, values)

    def end(self, run_id: int, fence: int, state: RunLease, **values: Any) -> Run | None:
        ended = {
            "state": state,
            "lease_until": None,
            "lease_owner": None,
            "slot": None,
            "finished_at": None if state in (RunLease.QUEUED, RunLease.WAITING) else self._tx.now,
            "run_state": ENDED_AS.get(state, RunState.FAILED),
        } | values
        row = self._tx.changed(RunRow, ended, HELD, id=run_id, fence=fence)
        if row is None:
            return None
        self._tx.wake("run")
        self._tx.wake("follow_up")  # one may wait for the thread to be free
        return Run.model_construct(**row)

    def ready(self, task_id: int) -> Run | None:
        now = {"available_at": self._tx.now}
        row = self._tx.changed(RunRow, now, "code_task_id = :id AND state = 'queued'", id=task_id)
        if row is not None:
            self._tx.wake("run")
        return Run.model_construct(**row) if row is not None else None

    def cancel(self, task_id: int) -> Run | None:
        return self._cancel(col(RunRow.code_task_id) == task_id)

    def cancel_follow_up(self, follow_up_id: int) -> Run | None:
        return self._cancel(col(RunRow.follow_up_id) == follow_up_id)

    def _cancel(self, whose: "sa.ColumnElement[bool]") -> Run | None:
        now = self._tx.now
        statement = (
            sa.update(RunRow)
            .where(whose, sa.text("state IN ('queued', 'active', 'waiting')"))
            .values(
                state=RunLease.CANCELLED,
                run_state=RunState.FAILED,
                cancel_requested_at=now,
                finished_at=now,
                lease_until=None,
                slot=None,
            )
            .returning(RunRow.id)
        )
        run_id = self._tx.session.execute(statement).scalar_one_or_none()
        if run_id is None:
            return None
        self._tx.wake("cancel")
        self._tx.wake("run")
        self._tx.wake("follow_up")
        return self._fresh(run_id)

    def settle(self, run_id: int, fence: int, cost_usd: float | None, tokens: int | None) -> None:
        self._tx.session.execute(
            sa.update(RunRow)
            .where(col(RunRow.id) == run_id, col(RunRow.fence) == fence, sa.text("state = 'cancelled'"))
            .values(cost_usd=cost_usd, tokens=tokens)
        )

    def expired(self) -> Sequence[Run]:
        query = select(RunRow).where(sa.text("state = 'active'"), col(RunRow.lease_until) < self._tx.now)
        return self._tx.session.exec(query.order_by(col(RunRow.lease_until)).limit(100)).all()

    def get(self, run_id: int) -> Run | None:
        row = self._tx.first(RunRow, "id = :id", id=run_id)
        return Run.model_construct(**row) if row is not None else None

    def of_task(self, task_id: int) -> Sequence[Run]:
        rows = self._tx.rows(RunRow, "code_task_id = :task_id", "attempt", task_id=task_id)
        return [Run.model_construct(**row) for row in rows]

    def of_follow_up(self, follow_up_id: int) -> Sequence[Run]:
        rows = self._tx.rows(RunRow, "follow_up_id = :id", "attempt", id=follow_up_id)
        return [Run.model_construct(**row) for row in rows]

    def on_branch(self, task_id: int, thread_id: int | None) -> Sequence[Run]:
        rows = self._tx.rows(RunRow, ON_BRANCH, "id", task_id=task_id, thread_id=thread_id or 0)
        return [Run.model_construct(**row) for row in rows]

    def park(self, run_id: int, fence: int, change: ParkedChange, **values: Any) -> Run | None:
        run = self.end(run_id, fence, RunLease.WAITING, run_state=RunState.WAITING_FOR_INPUT, **values)
        if run is not None:
            facts = {"facts": change.facts, "warnings": change.warnings}
            kept = {
                "run_id": run_id,
                "base_sha": change.base_sha,
                "tree_sha": change.tree_sha,
                "sha": change.sha,
                "reasons": json.dumps(change.reasons),
                "facts": json.dumps(facts),
                "bundle": change.bundle,
                "asked_at": self._tx.now,
            }
            self._tx.session.execute(sa.delete(ApprovalRow).where(col(ApprovalRow.run_id) == run_id))
            self._tx.insert_new(ApprovalRow, kept)
        return run

    def parked(self, run_id: int) -> ParkedChange | None:
        row = self._tx.first(ApprovalRow, "run_id = :run_id", run_id=run_id)
        if row is None:
            return None
        facts = json.loads(row.facts)
        return ParkedChange(
            base_sha=row.base_sha,
            tree_sha=row.tree_sha,
            sha=row.sha,
            reasons=tuple(json.loads(row.reasons)),
            warnings=tuple(facts["warnings"]),
            facts=facts["facts"],
            bundle=row.bundle,
            approved=row.verdict == "approved",
            asked_at=row.asked_at,
        )

    def decide(self, task_id: int, approved: bool, by: str) -> Run | None:
        return self._decide(col(RunRow.code_task_id) == task_id, approved, by)

    def decide_run(self, run_id: int, approved: bool, by: str) -> Run | None:
        return self._decide(col(RunRow.id) == run_id, approved, by)

    def _decide(self, which: "sa.ColumnElement[bool]", approved: bool, by: str) -> Run | None:
        values: dict[str, Any] = {"state": RunLease.FAILED, "finished_at": self._tx.now, "run_state": RunState.FAILED}
        if approved:
            values = {"state": RunLease.QUEUED, "run_state": None, "available_at": self._tx.now}
        statement = sa.update(RunRow).where(which, sa.text("state = 'waiting'")).values(values).returning(RunRow.id)
        run_id = self._tx.session.execute(statement).scalar_one_or_none()
        if run_id is None:
            return None
        verdict = {"verdict": "approved" if approved else "refused", "decided_by": by, "decided_at": self._tx.now}
        self._tx.session.execute(sa.update(ApprovalRow).where(col(ApprovalRow.run_id) == run_id).values(verdict))
        self._tx.wake("run")
        return self._fresh(run_id)

    def waiting_since(self, before: datetime) -> Sequence[Run]:
        query = select(RunRow).join(ApprovalRow, col(ApprovalRow.run_id) == RunRow.id)
        query = query.where(sa.text("run.state = 'waiting'"), col(ApprovalRow.asked_at) < before)
        return self._tx.session.exec(query.order_by(col(RunRow.id)).limit(100)).all()

    def log(self, run_id: int, lines: Sequence[LogLine]) -> None:
        sizes = [len(line.content.encode(errors="replace")) for line in lines]
        size = self._tx.scalar(GROW_LOG, id=run_id, more=sum(sizes), most=LOG_BYTES_MAX)
        if size is None:
            return  # full, as its last line says, or deleted
        seq = self._tx.scalar("SELECT coalesce(max(seq), 0) FROM run_log WHERE run_id = :id", id=run_id)
        for number, (line, more) in enumerate(zip(lines, sizes, strict=True), seq + 1):
            size += more
            over = size > LOG_BYTES_MAX
            self._tx.session.add(
                RunLogRow(
                    run_id=run_id,
                    seq=number,
                    at=self._tx.now,
                    type=LogKind.EVENT if over else line.type,
                    content=LOG_FULL if over else line.content,
                )
            )
            if over:
                break
        self._tx.wake("task")

    def logs(self, run_id: int, after: int = 0, limit: int = 1000) -> Sequence[RunLogEntry]:
        query = select(RunLogRow).where(RunLogRow.run_id == run_id, RunLogRow.seq > after)
        return self._tx.session.exec(query.order_by(col(RunLogRow.seq)).limit(limit)).all()

    def tail(self, run_id: int, limit: int) -> Sequence[RunLogEntry]:
        query = select(RunLogRow).where(RunLogRow.run_id == run_id).order_by(col(RunLogRow.seq).desc()).limit(limit)
        return self._tx.session.exec(query).all()[::-1]

    def live_workspaces(self) -> Collection[str]:
        query = select(RunRow.workspace).where(sa.text("state = 'active'"), col(RunRow.workspace).is_not(None))
        return [name for name in self._tx.session.exec(query) if name is not None]

    def next_available_at(self) -> datetime | None:
        query = select(sa.func.min(RunRow.available_at)).where(
            sa.text("state = 'queued'"), col(RunRow.available_at) > self._tx.now
        )
        return self._tx.session.exec(query).one()

    def _write(self, run_id: int, fence: int, values: dict[str, Any]) -> bool:
        return self._tx.change(RunRow, values, HELD, id=run_id, fence=fence) == 1

    def _fresh(self, run_id: int) -> Run:
        run = self.get(run_id)
        assert run is not None, "a run vanished in the transaction that wrote it"
        return run

"""Follow-ups: setting, the guarded moves between states, what is due, and lists.

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

from bot.core.followups import FollowUp, FollowUpKind, FollowUpReason, FollowUpState, may_move
from bot.core.inbound import Person
from bot.store import REVIVABLE, Due, FollowUpFilter, PendingCounts
from storage.models import ApprovalRow, FollowUpRow, RunLogRow, RunRow, ThreadRow
from storage.statements import IDS_POSTGRES, IDS_SQLITE, belongs_to, columns_of

if TYPE_CHECKING:
    from storage.transaction import Tx

LISTED_MAX = 200
KINDS = {kind.value: kind for kind in FollowUpKind}
WORKING = """EXISTS (SELECT 1 FROM run r WHERE r.thread_id = f.thread_id AND r.finished_at IS NULL
  AND (r.state = 'active' OR (r.state = 'queued' AND r.kind = 'follow_up')))"""
"""An agent works in its thread, or will as soon as a worker is free."""
AWAY = """(EXISTS (SELECT 1 FROM channel_setting c WHERE c.platform = f.platform AND c.workspace_id = f.workspace_id
  AND c.channel_id IN (f.channel_id, '') AND c.key = 'away')
  OR COALESCE((SELECT o.state = 'dead' AND o.last_error LIKE 'refused: %' FROM outbox o
    WHERE o.thread_id = f.thread_id AND o.kind = 'post' AND o.created_at > :lately
    ORDER BY o.seq DESC LIMIT 1), FALSE))"""
"""The bot was taken out of the channel, or its last word in the thread was refused (`bot.store.REFUSED`) and waits for
the bot to be added again."""
DUE = f"""
SELECT f.id, f.kind, f.due_at, f.if_missed, f.if_busy, f.thread_id, f.agent,
  (f.if_busy = 'skip' AND {WORKING}) AS busy,
  (SELECT max(r.finished_at) FROM run r WHERE r.thread_id = f.thread_id AND r.state <> 'lost') AS free_since,
  (SELECT s.agent FROM agent_session s WHERE s.thread_id = f.thread_id
   ORDER BY s.last_used_at DESC LIMIT 1) AS session_agent,
  (SELECT c.value FROM channel_setting c WHERE c.platform = f.platform AND c.workspace_id = f.workspace_id
   AND c.channel_id = f.channel_id AND c.key = 'agent') AS channel_agent,
  CASE WHEN f.kind = 'message' THEN
    (SELECT c.value FROM channel_setting c WHERE c.platform = f.platform AND c.workspace_id = f.workspace_id
     AND c.channel_id IN (f.channel_id, '') AND c.key = 'language' ORDER BY c.channel_id DESC LIMIT 1) END AS language,
  (f.kind = 'agent' AND {AWAY}) AS away,
  f.requester_platform, f.requester_workspace, f.requester_id, p.kind AS person_kind, p.roles
FROM follow_up f LEFT JOIN person p
  ON p.platform = f.requester_platform AND p.workspace_id = f.requester_workspace AND p.id = f.requester_id
WHERE f.state = 'pending' AND f.due_at <= :now AND (f.kind = 'message' OR f.if_busy = 'skip' OR NOT {WORKING})
ORDER BY f.due_at, f.id LIMIT :limit {{lock}}
"""
JOIN_SESSION = """
UPDATE run SET thread_id = :thread_id, session_key = :prefix || agent
WHERE follow_up_id = :id AND thread_id IS NULL AND state IN ('queued', 'active')
"""
"""A run whose follow-up opens its thread holds that thread's conversation from then on: what is said there waits."""
COUNT_ALONE = """SELECT pg_advisory_xact_lock(hashtextextended(key, 0))
FROM unnest(CAST(:keys AS text[])) WITH ORDINALITY AS wanted(key, place) ORDER BY place"""
"""Waits for whoever counts for the same person or thread. Always the person first, so nobody waits in a circle."""
PENDING_OF_PERSON = """SELECT count(*) FROM follow_up WHERE requester_platform = :platform
AND requester_workspace = :workspace AND requester_id = :person AND state = 'pending'"""
PENDING_IN_THREAD = """SELECT count(*), count(CASE WHEN by_agent THEN 1 END) FROM follow_up
WHERE thread_id = :thread_id AND state = 'pending'"""
NEXT_DUE = "SELECT min(due_at) AS due_at FROM follow_up WHERE state = 'pending' AND due_at > :now"
FIRE = """
UPDATE follow_up {by_id} SET state = :state, attempt = attempt + 1, triggered_at = :now, updated_at = :now,
  completed_at = :completed_at, late_seconds = :late_seconds
WHERE {ids} AND state = 'pending' AND due_at <= :now RETURNING {returned}
"""
ORDER = """CASE state WHEN 'running' THEN 0 WHEN 'pending' THEN 1 ELSE 2 END,
  CASE WHEN state = 'pending' THEN due_at END, id DESC"""


def _entity(row: sa.RowMapping | None) -> FollowUp | None:
    return FollowUp.model_construct(**row) if row is not None else None


def _columns(*names: str) -> list[sa.Column[Any]]:
    """Columns of the table by name, so that results come as its types."""
    return [columns_of(FollowUpRow).c[name] for name in names]


@cache
def due_statement(*, sqlite: bool) -> sa.TextualSelect:
    """What is due, with all that decides about it, each row locked on PostgreSQL."""
    lock = "" if sqlite else "FOR UPDATE OF f SKIP LOCKED"
    types = {"due_at": UTCDateTime(), "free_since": UTCDateTime(), "busy": sa.Boolean(), "away": sa.Boolean()}
    names = (*Due._fields[:-1], "requester_platform", "requester_workspace", "requester_id", "person_kind", "roles")
    columns = [sa.column(name, types.get(name, sa.String())) for name in names]
    text = sa.text(DUE.format(lock=lock))
    instants = [sa.bindparam(name, type_=UTCDateTime()) for name in ("now", "lately")]
    return text.bindparams(*instants).columns(*columns)


@cache
def fire_statement(*, sqlite: bool, whole: bool) -> sa.TextualSelect:
    """The move of due ones out of pending; it gives their ids, or with `whole` their rows."""
    columns = list(columns_of(FollowUpRow).columns) if whole else _columns("id")
    text = FIRE.format(
        by_id="NOT INDEXED" if sqlite else "",  # else SQLite may look through all that are due
        ids=IDS_SQLITE if sqlite else IDS_POSTGRES,
        returned=", ".join(column.name for column in columns),
    )
    instants = [sa.bindparam(name, type_=UTCDateTime()) for name in ("now", "completed_at")]
    return sa.text(text).bindparams(*instants).columns(*columns)


@cache
def next_due_statement() -> sa.TextualSelect:
    """When the next one that is not due yet falls due."""
    return sa.text(NEXT_DUE).bindparams(sa.bindparam("now", type_=UTCDateTime())).columns(due_at=UTCDateTime())


class FollowUps:
    """See `bot.store.FollowUpQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def add(self, follow_up: FollowUp) -> FollowUp | None:
        row = self._tx.insert_row(FollowUpRow, follow_up.model_dump(exclude={"id"}))
        if row is not None:
            self._tx.wake("follow_up")
        return _entity(row)

    def get(self, follow_up_id: int) -> FollowUp | None:
        return _entity(self._tx.first(FollowUpRow, "id = :id", id=follow_up_id))

    def find(self, *, uuid: str = "", dedup_key: str = "") -> FollowUp | None:
        if uuid:
            return _entity(self._tx.first(FollowUpRow, "uuid = :uuid", uuid=uuid))
        return _entity(self._tx.first(FollowUpRow, "dedup_key = :dedup_key", dedup_key=dedup_key))

    def list(self, which: FollowUpFilter) -> Sequence[FollowUp]:
        query = select(FollowUpRow).order_by(sa.text(ORDER)).limit(min(which.limit, LISTED_MAX)).offset(which.offset)
        if which.states:
            query = query.where(col(FollowUpRow.state).in_(which.states))
        if which.requester:
            platform, workspace, person = which.requester
            query = query.where(
                FollowUpRow.requester_platform == platform,
                FollowUpRow.requester_workspace == workspace,
                FollowUpRow.requester_id == person,
            )
        if which.thread_id is not None:
            query = query.where(FollowUpRow.thread_id == which.thread_id)
        if which.seen_by is not None:
            query = query.where(sa.or_(col(FollowUpRow.platform) == "", belongs_to(FollowUpRow, which.seen_by)))
        if which.channel:
            query = self._in_channel(query, which.channel, which.root)
        return self._tx.session.exec(query).all()

    def _in_channel(self, query: Any, channel: tuple[str, str, str], root: str | None) -> Any:
        platform, workspace, channel_id = channel
        query = query.where(FollowUpRow.channel_id == channel_id)
        if platform:
            query = query.where(FollowUpRow.platform == platform)
        if workspace:
            query = query.where(FollowUpRow.workspace_id == workspace)
        if root is None:
            return query
        named = sa.or_(col(ThreadRow.thread_key) == root, col(ThreadRow.native) == root)
        rooted = select(ThreadRow.id).where(col(ThreadRow.channel_id) == channel_id, named)
        return query.where(col(FollowUpRow.thread_id).in_(rooted))

    def in_thread(self, thread_id: int) -> FollowUp | None:
        newest = "id = (SELECT max(id) FROM follow_up WHERE thread_id = :thread_id AND NOT anchored)"
        return _entity(self._tx.first(FollowUpRow, newest, thread_id=thread_id))

    def pending_counts(self, requester: tuple[str, str, str], thread_id: int | None) -> PendingCounts:
        platform, workspace, person = requester
        if not self._tx.sqlite:  # SQLite has one writer at a time
            keys = [f"follow_up:{':'.join(requester)}", f"follow_up:{thread_id}"]
            self._tx.listed(COUNT_ALONE, keys=keys[: 1 if thread_id is None else 2])
        known = {"platform": platform, "workspace": workspace, "person": person}
        of_person = self._tx.scalar(PENDING_OF_PERSON, **known)
        (in_thread,) = self._tx.listed(PENDING_IN_THREAD, thread_id=thread_id)
        return PendingCounts(of_person, *in_thread)

    def set_by_run(self, run_id: int) -> int:
        return self._tx.scalar("SELECT count(*) FROM follow_up WHERE origin_run_id = :run_id", run_id=run_id)

    def sent_to(self, task_id: int) -> int:
        runs = "SELECT id FROM run WHERE code_task_id = :task_id"
        where = f"origin_run_id IN ({runs}) AND NOT by_agent AND state IN ('pending', 'running')"
        return self._tx.scalar(f"SELECT count(*) FROM follow_up WHERE {where}", task_id=task_id)

    def due(self, limit: int) -> Sequence[Due]:
        now = self._tx.now
        known = {"now": now, "lately": now - REVIVABLE, "limit": limit}
        rows = self._tx.run(due_statement(sqlite=self._tx.sqlite), known).all()  # fetched in one go
        people: dict[tuple[str, ...], Person] = {}
        found: list[Due] = []
        for row in rows:
            number, kind, *facts, platform, workspace, person, person_kind, roles = row
            who = (platform, workspace, person)
            if who not in people:
                people[who] = Person(
                    platform=platform,
                    workspace_id=workspace,
                    id=person,
                    kind=person_kind or "human",
                    roles=frozenset(json.loads(roles or "[]")),
                )
            found.append(Due(number, KINDS[kind], *facts, people[who]))
        return found

    def next_due_at(self) -> datetime | None:
        return self._tx.run(next_due_statement(), {"now": self._tx.now}).scalar_one()

    def start(self, ids: Sequence[int], late: timedelta | None = None) -> Sequence[int]:
        return self._fire(ids, FollowUpState.RUNNING, late, whole=False).scalars().all() if ids else []

    def post(self, ids: Sequence[int], late: timedelta | None = None) -> Sequence[FollowUp]:
        rows = self._fire(ids, FollowUpState.SUCCESS, late, whole=True).mappings().all() if ids else []
        return [FollowUp.model_construct(**row) for row in rows]

    def _fire(
        self, ids: Sequence[int], to_state: FollowUpState, late: timedelta | None, *, whole: bool
    ) -> sa.CursorResult[Any]:
        now, sqlite = self._tx.now, self._tx.sqlite
        values = {
            "ids": json.dumps(list(ids)) if sqlite else list(ids),
            "state": to_state.value,
            "now": now,
            "completed_at": now if to_state is FollowUpState.SUCCESS else None,
            "late_seconds": None if late is None else int(late.total_seconds()),
        }
        self._tx.wake("task")
        return self._tx.run(fire_statement(sqlite=sqlite, whole=whole), values)

    def move(
        self,
        follow_up_id: int,
        from_states: Collection[FollowUpState],
        to_state: FollowUpState,
        *,
        reason: FollowUpReason | None = None,
        **values: Any,
    ) -> FollowUp | None:
        legal = sorted(state.value for state in from_states if may_move(state, to_state))
        if not legal:
            return None
        now = self._tx.now
        over = to_state in (FollowUpState.SUCCESS, FollowUpState.FAILED, FollowUpState.CANCELLED)
        new = {
            "state": to_state,
            "failure_reason": reason,
            "updated_at": now,
            "completed_at": now if over else None,
            **values,
        }
        states = ", ".join(f"'{state}'" for state in legal)
        row = self._tx.changed(FollowUpRow, new, f"id = :id AND state IN ({states})", id=follow_up_id)
        if row is not None:
            self._tx.wake("task")
            if to_state is FollowUpState.PENDING:
                self._tx.wake("follow_up")
        return _entity(row)

    def update(self, follow_up_id: int, **values: Any) -> FollowUp | None:
        new = {"updated_at": self._tx.now, **values}
        row = self._tx.changed(FollowUpRow, new, "id = :id AND state = 'pending'", id=follow_up_id)
        if row is not None:
            self._tx.wake("follow_up")
            self._tx.wake("task")
        return _entity(row)

    def settle_in(self, follow_up_id: int, thread_id: int) -> None:
        known = {"id": follow_up_id, "thread_id": thread_id}
        if self._tx.affected("UPDATE follow_up SET thread_id = :thread_id WHERE id = :id AND NOT anchored", **known):
            self._tx.affected(JOIN_SESSION, **known, prefix=f"{thread_id}:")

    def delete(self, follow_up_id: int) -> bool:
        lock = "" if self._tx.sqlite else " FOR UPDATE"
        state = self._tx.scalar(f"SELECT state FROM follow_up WHERE id = :id{lock}", id=follow_up_id)
        if state is None or state == "running":
            return False
        runs = select(RunRow.id).where(RunRow.follow_up_id == follow_up_id)
        for statement in (
            sa.delete(RunLogRow).where(col(RunLogRow.run_id).in_(runs)),
            sa.delete(ApprovalRow).where(col(ApprovalRow.run_id).in_(runs)),
            sa.delete(RunRow).where(col(RunRow.follow_up_id) == follow_up_id),
            sa.delete(FollowUpRow).where(col(FollowUpRow.id) == follow_up_id),
        ):
            self._tx.session.execute(statement)
        self._tx.wake("task")
        return True

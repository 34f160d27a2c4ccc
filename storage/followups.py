"""Follow-ups: setting, the guarded moves between states, what is due, and lists.

States in WHERE clauses are literals, not bound parameters, so that the partial indexes are used on both databases.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from bot.core.followups import FollowUp, FollowUpReason, FollowUpState, may_move
from bot.store import Due, FollowUpFilter
from storage.models import FollowUpRow, RunLogRow, RunRow
from storage.statements import columns_of

if TYPE_CHECKING:
    from storage.transaction import Tx

LISTED_MAX = 200
WORKING = """EXISTS (SELECT 1 FROM run r WHERE r.thread_id = follow_up.thread_id
  AND (r.state = 'active' OR (r.state = 'queued' AND r.kind = 'follow_up')))"""
"""An agent works in its thread, or will as soon as a worker is free."""
DUE = f"""
SELECT {WORKING} AS busy, (SELECT max(r.finished_at) FROM run r WHERE r.thread_id = follow_up.thread_id) AS free_since,
  (SELECT s.agent FROM agent_session s WHERE s.thread_id = follow_up.thread_id
   ORDER BY s.last_used_at DESC LIMIT 1) AS session_agent, {{columns}}
FROM follow_up
WHERE state = 'pending' AND due_at <= :now AND (kind = 'message' OR if_busy = 'skip' OR NOT {WORKING})
ORDER BY due_at, id LIMIT :limit {{lock}}
"""
ORDER = """CASE state WHEN 'running' THEN 0 WHEN 'pending' THEN 1 ELSE 2 END,
  CASE WHEN state = 'pending' THEN due_at END, id DESC"""


def _entity(row: sa.RowMapping | None) -> FollowUp | None:
    return FollowUp.model_construct(**row) if row is not None else None


@cache
def due_statement(*, sqlite: bool) -> sa.TextualSelect:
    """What is due, with what decides about it, each row locked on PostgreSQL."""
    columns = columns_of(FollowUpRow).columns
    lock = "" if sqlite else "FOR UPDATE OF follow_up SKIP LOCKED"
    text = DUE.format(columns=", ".join(column.name for column in columns), lock=lock)
    facts = [
        sa.column("busy", sa.Boolean()),
        sa.column("free_since", UTCDateTime()),
        sa.column("session_agent", sa.String()),
    ]
    return sa.text(text).bindparams(sa.bindparam("now", type_=UTCDateTime())).columns(*facts, *columns)


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
        if which.channel:
            platform, workspace, channel = which.channel
            query = query.where(
                FollowUpRow.platform == platform,
                FollowUpRow.workspace_id == workspace,
                FollowUpRow.channel_id == channel,
            )
        return self._tx.session.exec(query).all()

    def in_thread(self, thread_id: int) -> FollowUp | None:
        newest = "id = (SELECT max(id) FROM follow_up WHERE thread_id = :thread_id AND NOT anchored)"
        return _entity(self._tx.first(FollowUpRow, newest, thread_id=thread_id))

    def pending_of(self, requester: tuple[str, str, str]) -> int:
        platform, workspace, person = requester
        where = """SELECT count(*) FROM follow_up WHERE requester_platform = :platform
            AND requester_workspace = :workspace AND requester_id = :person AND state = 'pending'"""
        return self._tx.scalar(where, platform=platform, workspace=workspace, person=person)

    def pending_in(self, thread_id: int, *, by_agents: bool = False) -> int:
        where = "SELECT count(*) FROM follow_up WHERE thread_id = :thread_id AND state = 'pending'"
        return self._tx.scalar(where + (" AND by_agent" if by_agents else ""), thread_id=thread_id)

    def set_by_run(self, run_id: int) -> int:
        return self._tx.scalar("SELECT count(*) FROM follow_up WHERE origin_run_id = :run_id", run_id=run_id)

    def due(self, limit: int) -> Sequence[Due]:
        bound = {"now": self._tx.now, "limit": limit}
        found: list[Due] = []
        for row in self._tx.run(due_statement(sqlite=self._tx.sqlite), bound).mappings():
            values = dict(row)
            facts = {name: values.pop(name) for name in ("busy", "free_since", "session_agent")}
            found.append(Due(FollowUp.model_construct(**values), **facts))
        return found

    def next_due_at(self) -> datetime | None:
        query = select(sa.func.min(FollowUpRow.due_at)).where(
            sa.text("state = 'pending'"), col(FollowUpRow.due_at) > self._tx.now
        )
        return self._tx.session.exec(query).one()

    def fire(self, ids: Sequence[int], to_state: FollowUpState) -> Sequence[FollowUp]:
        if not ids:
            return []
        now = self._tx.now
        values: dict[str, Any] = {
            "state": to_state,
            "attempt": columns_of(FollowUpRow).c.attempt + 1,
            "triggered_at": now,
            "updated_at": now,
            "completed_at": now if to_state is FollowUpState.SUCCESS else None,
        }
        table = columns_of(FollowUpRow)
        statement = (
            sa.update(table)
            .where(table.c.id.in_(ids), sa.text("state = 'pending'"), table.c.due_at <= now)
            .values(values)
            .returning(*table.columns)
        )
        rows = self._tx.run(statement, {}).mappings().all()
        self._tx.wake("task")
        return [FollowUp.model_construct(**row) for row in rows]

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
        self._tx.change(FollowUpRow, {"thread_id": thread_id}, "id = :id AND NOT anchored", id=follow_up_id)

    def delete(self, follow_up_id: int) -> bool:
        lock = "" if self._tx.sqlite else " FOR UPDATE"
        state = self._tx.scalar(f"SELECT state FROM follow_up WHERE id = :id{lock}", id=follow_up_id)
        if state is None or state == "running":
            return False
        runs = select(RunRow.id).where(RunRow.follow_up_id == follow_up_id)
        for statement in (
            sa.delete(RunLogRow).where(col(RunLogRow.run_id).in_(runs)),
            sa.delete(RunRow).where(col(RunRow.follow_up_id) == follow_up_id),
            sa.delete(FollowUpRow).where(col(FollowUpRow.id) == follow_up_id),
        ):
            self._tx.session.execute(statement)
        self._tx.wake("task")
        return True

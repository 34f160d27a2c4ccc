"""Code tasks: filing, the guarded moves between stages, lists and history."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from bot.core.tasks import CodeTask, Stage, may_move
from bot.store import Move, TaskFilter
from storage.models import ApprovalRow, CodeTaskRow, RunLogRow, RunRow, TaskEventRow, ThreadRow
from storage.statements import belongs_to, columns_of

if TYPE_CHECKING:
    from storage.transaction import Tx

LISTED_MAX = 200
WATCHED_AFTER_END = timedelta(days=14)
"""How long the pull request of a failed code task is looked at: it may still be merged or reopened."""
FAILED_WITH_PULL = "stage = 'failed' AND pr_number IS NOT NULL AND finished_at > :since"
LEASE_HELD = "EXISTS (SELECT 1 FROM run WHERE run.id = :run_id AND fence = :fence AND state = 'active')"
QUEUE_POSITION = """
SELECT (SELECT count(*) FROM run r WHERE r.kind = 'code_task' AND r.state = 'queued'
        AND (r.priority, r.available_at, r.id) <= (mine.priority, mine.available_at, mine.id))
FROM run mine WHERE mine.code_task_id = :id AND mine.state = 'queued'
"""
NAMES = """
SELECT name FROM code_task WHERE requester_platform = :platform AND requester_workspace = :workspace
AND requester_id = :person AND name {bytewise} >= :prefix AND name {bytewise} < :after
"""
FILED_BY = """
SELECT at FROM audit WHERE actor = :actor AND action = 'file' AND at >= :since ORDER BY id DESC LIMIT :most
"""
FILED_IN = """
SELECT t.created_at FROM code_task t JOIN thread h ON h.id = t.thread_id
WHERE h.platform = :platform AND h.workspace_id = :workspace AND h.channel_id = :channel AND t.created_at >= :since
ORDER BY t.created_at DESC LIMIT :most
"""
IN_NO_TALK = """NOT EXISTS (SELECT 1 FROM thread h JOIN channel_setting c ON c.platform = h.platform
AND c.workspace_id = h.workspace_id AND c.channel_id = h.channel_id AND c.key = 'direct'
WHERE h.id = code_task.thread_id)"""
"""It was not filed in a talk with the bot alone (`bot.services.people.TALK`)."""
ENTERED_AT = {Stage.RUNNING: "started_at", Stage.TESTING: "testing_at", Stage.REVIEW: "review_at"}


@cache
def record_statement() -> sa.Insert:
    """Appends one move to the history of a code task, whose row this transaction has written: so nobody else takes the
    next number meanwhile."""
    columns = columns_of(TaskEventRow).columns
    given = {column.name: sa.bindparam(column.name, type_=column.type) for column in columns}
    last = sa.select(sa.func.max(columns["seq"])).where(columns["code_task_id"] == given["code_task_id"])
    given["seq"] = sa.func.coalesce(last.scalar_subquery(), 0) + 1  # type: ignore[assignment]
    del given["id"]
    return sa.insert(columns_of(TaskEventRow)).values(given)


def _entity(row: sa.RowMapping | None) -> CodeTask | None:
    return CodeTask.model_construct(**row) if row is not None else None


class Tasks:
    """See `bot.store.TaskQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def add(self, task: CodeTask, actor: str) -> CodeTask | None:
        values = task.model_dump(exclude={"id"})
        row = self._tx.insert_row(CodeTaskRow, values)
        if row is None:
            return None
        self._record(row["id"], actor, None, Stage.QUEUED, "filed", None)
        self._tx.wake("task")
        return _entity(row)

    def get(self, task_id: int) -> CodeTask | None:
        return _entity(self._tx.first(CodeTaskRow, "id = :id", id=task_id))

    def find(self, *, uuid: str = "", name: str = "", dedup_key: str = "", requester: str = "") -> CodeTask | None:
        if dedup_key and not (uuid or name or requester):
            return _entity(self._tx.first(CodeTaskRow, "dedup_key = :dedup_key", dedup_key=dedup_key))
        query = select(CodeTaskRow).order_by(col(CodeTaskRow.id).desc()).limit(1)
        if uuid:
            query = query.where(CodeTaskRow.uuid == uuid)
        if name:
            query = query.where(CodeTaskRow.name == name)
        if dedup_key:
            query = query.where(CodeTaskRow.dedup_key == dedup_key)
        if requester:
            query = query.where(sa.or_(CodeTaskRow.requester_id == requester, CodeTaskRow.requester_name == requester))
        return self._tx.session.exec(query).first()

    def named(self, name: str) -> Sequence[CodeTask]:
        query = select(CodeTaskRow).where(CodeTaskRow.name == name).order_by(col(CodeTaskRow.id).desc())
        return self._tx.session.exec(query.limit(20)).all()

    def in_thread(self, thread_id: int) -> CodeTask | None:
        newest = "id = (SELECT max(id) FROM code_task WHERE thread_id = :thread_id)"
        return _entity(self._tx.first(CodeTaskRow, newest, thread_id=thread_id))

    def list(self, which: TaskFilter) -> Sequence[CodeTask]:
        query = select(CodeTaskRow).order_by(col(CodeTaskRow.id).desc()).limit(min(which.limit, LISTED_MAX))
        if which.stages:
            query = query.where(col(CodeTaskRow.stage).in_(which.stages))
        if which.requester:
            platform, workspace, person = which.requester
            query = query.where(
                CodeTaskRow.requester_platform == platform,
                CodeTaskRow.requester_workspace == workspace,
                CodeTaskRow.requester_id == person,
            )
        if which.thread_id is not None:
            query = query.where(CodeTaskRow.thread_id == which.thread_id)
        if which.repo:
            query = query.where(CodeTaskRow.repo == which.repo)
        if which.channel:
            platform, workspace, channel = which.channel
            query = query.join(ThreadRow, col(ThreadRow.id) == CodeTaskRow.thread_id).where(
                ThreadRow.platform == platform, ThreadRow.workspace_id == workspace, ThreadRow.channel_id == channel
            )
        if which.text:
            query = query.where(col(CodeTaskRow.description).icontains(which.text, autoescape=True))
        if which.who:
            named = sa.or_(CodeTaskRow.requester_id == which.who, CodeTaskRow.requester_name == which.who)
            query = query.where(named)
        if which.reason:
            query = query.where(CodeTaskRow.failure_reason == which.reason)
        if which.since:
            query = query.where(col(CodeTaskRow.created_at) >= which.since)
        if which.seen_by is not None:
            query = query.where(sa.or_(sa.text(IN_NO_TALK), belongs_to(CodeTaskRow, which.seen_by)))
        if which.before_id is not None:
            query = query.where(col(CodeTaskRow.id) < which.before_id)
        return self._tx.session.exec(query).all()

    def names(self, requester: tuple[str, str, str], prefix: str) -> Collection[str]:
        platform, workspace, person = requester
        after = prefix + chr(0x10FFFF)  # a range reads only these from the index; LIKE would not
        who = {"platform": platform, "workspace": workspace, "person": person, "prefix": prefix, "after": after}
        return set(self._tx.column(NAMES.format(bytewise="" if self._tx.sqlite else 'COLLATE "C"'), **who))

    def move(
        self,
        task_id: int,
        from_stages: Collection[Stage],
        to_stage: Stage,
        *,
        actor: str,
        reason: str = "",
        lease: tuple[int, int] | None = None,
        **values: Any,
    ) -> CodeTask | None:
        # Where it can come from one stage only, the UPDATE itself looks whether it does.
        before = next(iter(from_stages)) if len(from_stages) == 1 else self._locked(task_id)
        if before is None or before not in from_stages or not may_move(before, to_stage):
            return None
        new = {"stage": to_stage, "updated_at": self._tx.now, **self._entering(before, to_stage), **values}
        if lease is None:
            row = self._tx.changed(CodeTaskRow, new, "id = :id AND stage = :stage", id=task_id, stage=before.value)
        else:
            known = {"id": task_id, "stage": before.value, "run_id": lease[0], "fence": lease[1]}
            row = self._tx.changed(CodeTaskRow, new, f"id = :id AND stage = :stage AND {LEASE_HELD}", **known)
        if row is None:
            return None
        self._record(task_id, actor, before, to_stage, reason, lease)
        self._tx.wake("task")
        return _entity(row)

    def update(self, task_id: int, in_stages: Collection[Stage], **values: Any) -> CodeTask | None:
        stages = ", ".join(f"'{stage.value}'" for stage in sorted(in_stages))
        new = {"updated_at": self._tx.now, **values}
        row = self._tx.changed(CodeTaskRow, new, f"id = :id AND stage IN ({stages})", id=task_id)
        if row is not None:
            self._tx.wake("task")
        return _entity(row)

    def history(self, task_id: int) -> Sequence[Move]:
        rows = self._tx.session.exec(
            select(TaskEventRow).where(TaskEventRow.code_task_id == task_id).order_by(col(TaskEventRow.seq))
        )
        return [Move(r.seq, r.at, r.actor, r.from_stage, r.to_stage, r.reason, r.run_id) for r in rows]

    def moves(self, task_id: int) -> int:
        return self._tx.scalar("SELECT coalesce(max(seq), 0) FROM task_event WHERE code_task_id = :id", id=task_id)

    def filed_by(self, actor: str, since: datetime, most: int) -> Sequence[datetime]:
        self._tx.alone(f"filed:{actor}")
        return self._instants(FILED_BY, actor=actor, since=since, most=most)

    def filed_in(self, channel: tuple[str, str, str], since: datetime, most: int) -> Sequence[datetime]:
        self._tx.alone(f"filed:{':'.join(channel)}")
        platform, workspace, channel_id = channel
        where = {"platform": platform, "workspace": workspace, "channel": channel_id}
        return self._instants(FILED_IN, **where, since=since, most=most)

    def _instants(self, sql: str, **bound: Any) -> Sequence[datetime]:
        query = sa.text(sql).columns(sa.column("at", UTCDateTime()))
        return [at for (at,) in self._tx.run(query.bindparams(sa.bindparam("since", type_=UTCDateTime())), bound)]

    def queue_position(self, task_id: int) -> int | None:
        return self._tx.scalar(QUEUE_POSITION, id=task_id)

    def in_review(self) -> Sequence[CodeTask]:
        review = self._tx.rows(CodeTaskRow, "stage = 'review' AND pr_number IS NOT NULL", "id")
        ended = {"since": self._tx.now - WATCHED_AFTER_END, "limit": LISTED_MAX}
        failed = self._tx.rows(CodeTaskRow, FAILED_WITH_PULL, "finished_at DESC, id DESC LIMIT :limit", **ended)
        return [CodeTask.model_construct(**row) for row in (*review, *failed)]

    def by_pull_request(self, repos: Collection[str], number: int) -> CodeTask | None:
        query = select(CodeTaskRow).where(col(CodeTaskRow.repo).in_(repos), CodeTaskRow.pr_number == number)
        return self._tx.session.exec(query.order_by(col(CodeTaskRow.id).desc()).limit(1)).first()

    def delete(self, task_id: int) -> bool:
        if not self._tx.sqlite:  # a log that is being written has its run: wait for it, then remove both
            self._tx.column("SELECT id FROM run WHERE code_task_id = :id ORDER BY id FOR UPDATE", id=task_id)
        if self._locked(task_id) not in (Stage.MERGED, Stage.FAILED):
            return False
        runs = select(RunRow.id).where(RunRow.code_task_id == task_id)
        for statement in (
            sa.delete(RunLogRow).where(col(RunLogRow.run_id).in_(runs)),
            sa.delete(ApprovalRow).where(col(ApprovalRow.run_id).in_(runs)),
            sa.delete(RunRow).where(col(RunRow.code_task_id) == task_id),
            sa.delete(TaskEventRow).where(col(TaskEventRow.code_task_id) == task_id),
            sa.delete(CodeTaskRow).where(col(CodeTaskRow.id) == task_id),
        ):
            self._tx.session.execute(statement)
        self._tx.wake("task")
        return True

    def _locked(self, task_id: int) -> Stage | None:
        """The stage of a code task, which nobody else changes before this transaction ends."""
        lock = "" if self._tx.sqlite else " FOR UPDATE"
        stage = self._tx.scalar(f"SELECT stage FROM code_task WHERE id = :id{lock}", id=task_id)
        return Stage(stage) if stage is not None else None

    def _entering(self, before: Stage, stage: Stage) -> dict[str, Any]:
        now = self._tx.now
        values: dict[str, Any] = {}
        if stage is not Stage.FAILED:
            values |= {"failure_reason": None, "error": None, "failed_at_stage": None, "cancelled_by": None}
        if stage in (Stage.MERGED, Stage.FAILED):
            values["finished_at"] = now
        else:
            values["finished_at"] = None
        if stage is Stage.FAILED:
            values["failed_at_stage"] = before
        if stage in ENTERED_AT:
            values[ENTERED_AT[stage]] = now
        return values

    def _record(
        self,
        task_id: int,
        actor: str,
        before: Stage | None,
        stage: Stage,
        reason: str,
        lease: tuple[int, int] | None,
    ) -> None:
        run_id, fence = lease or (None, None)
        values = {
            "code_task_id": task_id,
            "at": self._tx.now,
            "actor": actor,
            "from_stage": before,
            "to_stage": stage,
            "reason": reason,
            "run_id": run_id,
            "fence": fence,
        }
        self._tx.run(record_statement(), values)

"""Figures of the whole installation, and the workers that are alive: for `/metrics`, `stats` and `doctor`."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import col, select

from bot.core.tasks import Stage
from bot.store import WorkerSeen
from storage.models import CodeTaskRow, FollowUpRow, InboundRow, OutboxRow, RunRow, WorkerRow

if TYPE_CHECKING:
    from storage.transaction import Tx

FORGOTTEN_AFTER = timedelta(days=1)
BUSY = "SELECT lease_owner, count(*) FROM run WHERE state = 'active' GROUP BY lease_owner"


class Figures:
    """See `bot.store.FigureQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def stages(self) -> Mapping[Stage, int]:
        query = select(CodeTaskRow.stage, sa.func.count()).group_by(col(CodeTaskRow.stage))
        found = dict(self._tx.session.exec(query).all())
        return {stage: found.get(stage, 0) for stage in Stage}

    def runs(self) -> Mapping[str, int]:
        return self._count(RunRow, RunRow.state, ("queued", "active", "waiting"))

    def deliveries(self) -> Mapping[str, int]:
        return self._count(OutboxRow, OutboxRow.state, ("pending", "sending", "unknown", "dead"))

    def oldest_delivery_at(self) -> datetime | None:
        waiting = sa.text("state IN ('pending', 'unknown')")
        return self._tx.session.exec(select(sa.func.min(OutboxRow.created_at)).where(waiting)).one()

    def unhandled(self) -> int:
        query = select(sa.func.count()).select_from(InboundRow).where(sa.text("state = 'new'"))
        return self._tx.session.exec(query).one()

    def claims(self) -> int:
        return self._tx.session.exec(select(sa.func.coalesce(sa.func.sum(RunRow.fence), 0))).one()

    def follow_ups(self) -> Mapping[str, int]:
        return self._count(FollowUpRow, FollowUpRow.state, ("pending", "running"))

    def oldest_due_at(self) -> datetime | None:
        return self._tx.session.exec(select(sa.func.min(FollowUpRow.due_at)).where(sa.text("state = 'pending'"))).one()

    def worker_seen(self, worker: WorkerSeen) -> None:
        values = {"host": worker.host, "version": worker.version, "sandbox": worker.sandbox, "seen_at": self._tx.now}
        if self._tx.insert_new(WorkerRow, {"id": worker.id, **values}) is None:
            self._tx.session.execute(sa.update(WorkerRow).where(col(WorkerRow.id) == worker.id).values(values))
        old = sa.delete(WorkerRow).where(col(WorkerRow.seen_at) < self._tx.now - FORGOTTEN_AFTER)
        self._tx.session.execute(old)

    def worker_gone(self, worker_id: str) -> None:
        self._tx.session.execute(sa.delete(WorkerRow).where(col(WorkerRow.id) == worker_id))

    def workers(self, within: timedelta) -> Sequence[WorkerSeen]:
        busy: dict[str, int] = dict(self._tx.listed(BUSY))  # type: ignore[arg-type]
        rows = self._tx.rows(WorkerRow, "seen_at >= :since", "id", since=self._tx.now - within)
        return [
            WorkerSeen(r["id"], r["host"], r["version"], r["sandbox"], r["seen_at"], busy.get(r["id"], 0)) for r in rows
        ]

    def _count(self, table: type, state: object, states: Sequence[str]) -> Mapping[str, int]:
        named = ", ".join(f"'{name}'" for name in states)
        query = sa.select(state, sa.func.count()).select_from(table).where(sa.text(f"state IN ({named})"))
        found = {str(name): count for name, count in self._tx.session.execute(query.group_by(state)).all()}
        return {name: found.get(name, 0) for name in states}

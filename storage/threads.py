"""Conversation threads: found by root or native id, rooted once, and the counter that orders their deliveries."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import col, select

from bot.core.inbound import ThreadRef
from bot.core.tasks import ACTIVE
from bot.store import Thread
from storage.models import CodeTaskRow, InboundRow, ThreadRow

if TYPE_CHECKING:
    from storage.transaction import Tx

PENDING = "pending:"
LANE = "pending:channel"


def as_ref(row: ThreadRow) -> ThreadRef:
    """Where a stored thread is; its root is None while nothing was posted."""
    root = None if row.thread_key.startswith(PENDING) else row.thread_key
    return ThreadRef(
        platform=row.platform,
        workspace_id=row.workspace_id,
        channel_id=row.channel_id,
        root=root,
        native=row.native,
    )


def as_thread(row: ThreadRow) -> Thread:
    return Thread(row.id or 0, as_ref(row), row.url or "")


class Threads:
    """See `bot.store.ThreadQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def find(self, ref: ThreadRef) -> Thread | None:
        if ref.root is None and ref.native is None:
            return None
        matches = [ThreadRow.thread_key == ref.root] if ref.root else []
        if ref.native:
            matches.append(ThreadRow.native == ref.native)
        row = self._tx.session.exec(
            select(ThreadRow)
            .where(
                ThreadRow.platform == ref.platform,
                ThreadRow.workspace_id == ref.workspace_id,
                ThreadRow.channel_id == ref.channel_id,
                sa.or_(*matches),
            )
            .limit(1)
        ).first()
        return as_thread(row) if row else None

    def open(self, ref: ThreadRef) -> Thread:
        known = self.find(ref)
        if known is not None:
            return known
        values = {
            "platform": ref.platform,
            "workspace_id": ref.workspace_id,
            "channel_id": ref.channel_id,
            "thread_key": ref.root or f"{PENDING}{uuid.uuid4()}",
            "native": ref.native,
            "next_seq": 1,
        }
        thread_id = self._tx.insert_new(ThreadRow, values)
        if thread_id is None:
            known = self.find(ref)
            assert known is not None, "a thread vanished while it was opened"
            return known
        return Thread(thread_id, ref)

    def get(self, thread_id: int) -> Thread:
        row = self._tx.session.get_one(ThreadRow, thread_id)
        return as_thread(row)

    def rooted(self, thread_id: int, root: str, native: str | None = None) -> None:
        values: dict[str, object] = {"thread_key": root}
        if native:
            values["native"] = native
        self._tx.session.execute(
            sa.update(ThreadRow)
            .where(ThreadRow.id == thread_id, col(ThreadRow.thread_key).startswith(PENDING))
            .values(values)
        )

    def link(self, thread_id: int, url: str) -> None:
        self._tx.session.execute(sa.update(ThreadRow).where(ThreadRow.id == thread_id).values(url=url))

    def lane(self, channel: ThreadRef) -> Thread:
        rootless = channel.model_copy(update={"root": None, "native": None})
        where = {
            "platform": channel.platform,
            "workspace_id": channel.workspace_id,
            "channel_id": channel.channel_id,
            "thread_key": LANE,
        }
        thread_id = self._tx.insert_new(ThreadRow, dict(where))
        if thread_id is None:
            thread_id = self._tx.session.exec(select(ThreadRow.id).filter_by(**where)).one()
        return Thread(thread_id or 0, rootless)

    def active(self, platform: str, since: datetime) -> Sequence[Thread]:
        open_tasks = select(CodeTaskRow.thread_id).where(col(CodeTaskRow.stage).in_(ACTIVE))
        lively = select(InboundRow.channel_id).where(InboundRow.platform == platform, InboundRow.received_at >= since)
        rows = self._tx.session.exec(
            select(ThreadRow)
            .where(
                ThreadRow.platform == platform,
                ~col(ThreadRow.thread_key).startswith(PENDING),
                sa.or_(col(ThreadRow.id).in_(open_tasks), col(ThreadRow.channel_id).in_(lively)),
            )
            .order_by(col(ThreadRow.id).desc())
            .limit(200)
        )
        return [as_thread(row) for row in rows]

    def next_seq(self, thread_id: int) -> int:
        """The next place in the thread's order of deliveries; locks the thread for this transaction."""
        return (
            self._tx.session.execute(
                sa.update(ThreadRow)
                .where(ThreadRow.id == thread_id)
                .values(next_seq=ThreadRow.next_seq + 1)
                .returning(ThreadRow.next_seq)
            ).scalar_one()
            - 1
        )

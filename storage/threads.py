"""Conversation threads: found by root or native id, rooted once, and the counter that orders their deliveries."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import col, select

from bot.core.inbound import ThreadRef
from bot.core.tasks import ACTIVE
from bot.store import RunAgain, Thread
from storage.models import METADATA, CodeTaskRow, InboundRow, OutboxRow, ThreadRow

if TYPE_CHECKING:
    from storage.transaction import Tx

PENDING = "pending:"
NEXT_SEQ = "UPDATE thread SET next_seq = next_seq + 1 WHERE id = :id RETURNING next_seq"
LANE = "pending:channel"
SAME_AGENT = """DELETE FROM agent_session WHERE thread_id = :old
AND agent IN (SELECT agent FROM agent_session WHERE thread_id = :new)"""
"""A thread has one conversation with an agent: of two threads that become one, the rooted one's stays."""
SAME_NEWS = """DELETE FROM subscription WHERE thread_id = :old
AND code_task_id IN (SELECT code_task_id FROM subscription WHERE thread_id = :new)"""
"""A thread is told once of what becomes of a code task."""
SAME_SESSION = """UPDATE run SET session_key = CAST(thread_id AS text) || ':' || agent
WHERE thread_id = :id AND state IN ('queued', 'waiting') AND session_key IS NOT NULL"""
"""Runs that wait belong to that one conversation from now on; those under way keep the key they hold."""


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
        if not ref.root and not ref.native:
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
        row = self._tx.found(ThreadRow, "id = :id", id=thread_id)
        if row is None:
            raise LookupError(f"no thread {thread_id}")
        return as_thread(row)

    def rooted(self, thread_id: int, root: str, native: str | None = None) -> None:
        thread = self._tx.session.get_one(ThreadRow, thread_id, populate_existing=True)
        if not thread.thread_key.startswith(PENDING) or thread.thread_key == LANE:
            return
        heard_of = self.find(as_ref(thread).model_copy(update={"root": root, "native": native}))
        if heard_of is not None:
            self._join(heard_of.id, thread_id)
        values: dict[str, object] = {"thread_key": root}
        if native:
            values["native"] = native
        pending = [col(ThreadRow.id) == thread_id, col(ThreadRow.thread_key).startswith(PENDING)]
        try:
            with self._tx.session.begin_nested():
                self._tx.session.execute(sa.update(ThreadRow).where(*pending).values(values))
        except sa.exc.IntegrityError as error:
            raise RunAgain from error  # someone answered under the new root at this moment

    def _join(self, from_id: int, to_id: int) -> None:
        """Moves all that hangs on one thread to another. An answer under a root can come in before the post that made
        the root is recorded; then it has opened a thread of its own."""
        both = select(ThreadRow.id).where(col(ThreadRow.id).in_((from_id, to_id))).order_by(col(ThreadRow.id))
        self._tx.session.exec(both.with_for_update()).all()
        self._tx.affected(SAME_AGENT, old=from_id, new=to_id)
        self._tx.affected(SAME_NEWS, old=from_id, new=to_id)
        for table in METADATA.tables.values():
            if "thread_id" in table.c and table.name != OutboxRow.__tablename__:
                column = table.c["thread_id"]
                self._tx.session.execute(sa.update(table).where(column == from_id).values(thread_id=to_id))
        self._tx.affected(SAME_SESSION, id=to_id)
        deliveries = select(OutboxRow.id).where(OutboxRow.thread_id == from_id).order_by(col(OutboxRow.seq))
        for delivery_id in self._tx.session.exec(deliveries).all():
            values = {"thread_id": to_id, "seq": self.next_seq(to_id)}
            self._tx.session.execute(sa.update(OutboxRow).where(col(OutboxRow.id) == delivery_id).values(values))
        self._tx.session.execute(sa.delete(ThreadRow).where(col(ThreadRow.id) == from_id))

    def link(self, thread_id: int, url: str) -> None:
        self._tx.session.execute(sa.update(ThreadRow).where(ThreadRow.id == thread_id).values(url=url))

    def discard(self, thread_id: int) -> None:
        used = select(OutboxRow.id).where(OutboxRow.thread_id == thread_id).exists()
        self._tx.session.execute(
            sa.delete(ThreadRow).where(
                col(ThreadRow.id) == thread_id,
                col(ThreadRow.thread_key).startswith(PENDING),
                ThreadRow.thread_key != LANE,
                ThreadRow.next_seq == 1,
                ~used,
            )
        )

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
        following = self._tx.scalar(NEXT_SEQ, id=thread_id)
        if following is None:
            raise RunAgain  # it was joined to another thread at this moment
        return following - 1

"""Deliveries: enqueued with the change they tell of, sent in their thread's order, each result guarded by a fence."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
import structlog
from sqlmodel import col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from bot.core.cards import CONTENT, dump_content
from bot.core.inbound import ThreadRef
from bot.store import DELIVERY_LEASE as LEASE
from bot.store import REFUSED, REVIVABLE, Delivery, Outgoing, RunAgain
from storage.models import CardRow, OutboxRow, RateGateRow, ThreadRow
from storage.statements import IDS_POSTGRES, IDS_SQLITE
from storage.threads import as_ref

if TYPE_CHECKING:
    from storage.transaction import Tx

log = structlog.get_logger(__name__)

CLAIM = """
WITH heads AS {materialized} (
  SELECT o.id AS id, o.thread_id AS thread_id FROM outbox o
  WHERE o.state IN ('pending', 'unknown') AND o.available_at <= :now AND o.platform IN :platforms
    AND o.gate NOT IN :paced
    AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.thread_id = o.thread_id AND e.seq < o.seq
                    AND e.state IN ('pending', 'sending', 'unknown')
                    AND NOT (o.kind = 'whisper' AND e.kind = 'edit' AND e.state = 'pending'))
    AND NOT EXISTS (SELECT 1 FROM outbox s WHERE s.thread_id = o.thread_id AND s.state = 'sending')
    AND NOT EXISTS (SELECT 1 FROM rate_gate g WHERE g.scope = o.gate AND g.blocked_until > :now)
  ORDER BY o.available_at, o.id LIMIT :limit {lock}
)
UPDATE outbox SET attempt = attempt + 1,
  last_error = CASE WHEN state = 'unknown' THEN 'unknown' ELSE NULL END,
  state = 'sending', fence = fence + 1, lease_until = :until
WHERE id IN (SELECT min(id) FROM heads GROUP BY thread_id) AND state IN ('pending', 'unknown') RETURNING id
"""


LOCK_THREADS = f"SELECT id FROM thread WHERE {IDS_POSTGRES} ORDER BY id FOR UPDATE"
NEXT_SEQS = """
UPDATE thread SET next_seq = next_seq + :count WHERE {ids}
RETURNING id, next_seq, platform, workspace_id, channel_id
"""


NEXT_AVAILABLE = """
SELECT min(at) AS at FROM (
  SELECT min(available_at) AS at FROM outbox WHERE state IN ('pending', 'unknown') AND available_at > :now
  UNION ALL SELECT min(blocked_until) FROM rate_gate WHERE blocked_until > :now) AS next
"""


@cache
def claim_statement(*, sqlite: bool) -> sa.TextClause:
    """The claim as one statement: the oldest unsent delivery of each thread, where no gate is closed."""
    text = CLAIM.format(
        materialized="" if sqlite else "MATERIALIZED", lock="" if sqlite else "FOR UPDATE OF o SKIP LOCKED"
    )
    return sa.text(text).bindparams(
        sa.bindparam("now", type_=UTCDateTime()),
        sa.bindparam("until", type_=UTCDateTime()),
        sa.bindparam("platforms", expanding=True),
        sa.bindparam("paced", expanding=True),
    )


@cache
def next_available_statement() -> sa.TextualSelect:
    """When the next delivery that is not ready yet is, or the next gate opens."""
    return sa.text(NEXT_AVAILABLE).bindparams(sa.bindparam("now", type_=UTCDateTime())).columns(at=UTCDateTime())


class Place(NamedTuple):
    """What a gate is made of."""

    platform: str
    workspace_id: str
    channel_id: str


class Outbox:
    """See `bot.store.OutboxQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def add(self, thread_id: int, delivery: Delivery) -> bool:
        if self.known(delivery.dedup_key):
            return False
        thread, seq = self._take_places({thread_id: 1})[thread_id]
        available_at = self._tx.now + delivery.delay
        if delivery.kind == "edit":
            available_at = self._supersede(delivery.card_key, available_at)
        if delivery.card_key is not None and delivery.kind == "post":
            self._tx.insert_new(CardRow, {"key": delivery.card_key, "thread_id": thread_id})
        values = {
            "thread_id": thread_id,
            "seq": seq,
            "dedup_key": delivery.dedup_key,
            "kind": delivery.kind,
            "platform": thread.platform,
            "gate": gate_of(thread, delivery),
            "card_key": delivery.card_key,
            "target": json.dumps(dict(delivery.target or {})),
            "body": dump_content(delivery.content) if delivery.content is not None else "",
            "available_at": available_at,
            "created_at": self._tx.now,
        }
        if self._tx.insert_new(OutboxRow, values) is None:
            raise RunAgain  # the same key was enqueued at this moment; the next run finds it
        self._tx.wake("outbox")
        return True

    def add_all(self, posts: Sequence[tuple[int, Delivery]]) -> None:
        places = self._take_places(Counter(thread_id for thread_id, _ in posts))
        rows: list[dict[str, object]] = []
        for thread_id, post in posts:
            thread, seq = places[thread_id]
            places[thread_id] = thread, seq + 1
            rows.append(
                {
                    "thread_id": thread_id,
                    "seq": seq,
                    "dedup_key": post.dedup_key,
                    "kind": post.kind,
                    "platform": thread.platform,
                    "gate": gate_of(thread, post),
                    "target": json.dumps(dict(post.target or {})),
                    "body": dump_content(post.content) if post.content is not None else "",
                    "available_at": self._tx.now + post.delay,
                    "created_at": self._tx.now,
                }
            )
        if rows:
            self._tx.insert_many(OutboxRow, rows, known=("dedup_key",))
            self._tx.wake("outbox")

    def _take_places(self, wanted: Mapping[int, int]) -> dict[int, tuple["Place", int]]:
        """Takes so many places in each thread's order: the thread and the first of them. Locks the threads in the order
        of their ids."""
        places: dict[int, tuple[Place, int]] = {}
        if not self._tx.sqlite:
            self._tx.listed(LOCK_THREADS, ids=list(wanted))
        for count in sorted(set(wanted.values())):
            ids = [thread_id for thread_id, times in wanted.items() if times == count]
            sqlite = self._tx.sqlite
            text = NEXT_SEQS.format(ids=IDS_SQLITE if sqlite else IDS_POSTGRES)
            given = json.dumps(ids) if sqlite else ids
            for thread_id, seq, *place in self._tx.listed(text, ids=given, count=count):
                places[thread_id] = Place(*place), seq - count
        if len(places) < len(wanted):
            raise RunAgain  # one was joined to another thread at this moment
        return places

    def known(self, dedup_key: str) -> bool:
        return self._tx.scalar("SELECT id FROM outbox WHERE dedup_key = :key", key=dedup_key) is not None

    def claim(
        self, platforms: Collection[str], paced: Collection[str], limit: int, lease: timedelta = LEASE
    ) -> Sequence[Outgoing]:
        if not platforms:
            return []
        now = self._tx.now
        values = {
            "now": now,
            "until": now + lease,
            "platforms": list(platforms),
            "paced": list(paced) or [""],
            "limit": limit,
        }
        try:
            with self._tx.may_lose_a_race():
                ids = self._tx.run(claim_statement(sqlite=self._tx.sqlite), values).scalars().all()
        except sa.exc.IntegrityError:
            return []  # another sender took the same thread: the unique index decides
        if not ids:
            return []
        query = select(OutboxRow, ThreadRow, CardRow).join(ThreadRow, col(ThreadRow.id) == OutboxRow.thread_id)
        query = query.join(CardRow, col(CardRow.key) == OutboxRow.card_key, isouter=True)
        rows = self._tx.session.exec(
            query.where(col(OutboxRow.id).in_(ids)).order_by(col(OutboxRow.id)),
            execution_options={"populate_existing": True},
        )
        readable: list[Outgoing] = []
        for row, thread, card in rows:
            try:
                readable.append(self._outgoing(row, thread, card))
            except ValueError as error:
                self._park_unreadable(row, type(error).__name__)
        return readable

    def _park_unreadable(self, row: OutboxRow, why: str) -> None:
        """Written by another version, or damaged: it must not hold up what others are told."""
        log.error("delivery_unreadable", delivery=row.dedup_key, error=why)
        dead = {"state": "dead", "lease_until": None, "last_error": f"unreadable: {why}"}
        self._tx.change(OutboxRow, dead, "id = :id", id=row.id)
        self._tx.people.audit("relay", "undeliverable", row.dedup_key, {"why": f"unreadable: {why}"})
        self._tx.wake("outbox")

    def sent(self, delivery: Outgoing, message_id: str | None, root: str | None, native: str | None = None) -> bool:
        now = self._tx.now
        values = {"state": "sent", "sent_at": now, "platform_message_id": message_id, "last_error": None}
        if not self._write(delivery, values):
            return False
        if root is not None:
            self._tx.threads.rooted(delivery.thread_id, root, native)
        if delivery.card_key is not None and message_id is not None:
            card = {"message_id": message_id, "edited_at": now}
            self._tx.change(CardRow, card, "key = :card_key", card_key=delivery.card_key)
        self._tx.wake("outbox")
        return True

    def retry(self, delivery: Outgoing, available_at: datetime, why: str, maybe_done: bool) -> bool:
        state = "unknown" if maybe_done or delivery.check_first else "pending"
        written = self._write(delivery, {"state": state, "available_at": available_at, "last_error": why})
        self._tx.wake("outbox")
        return written

    def dead(self, delivery: Outgoing, why: str) -> bool:
        written = self._write(delivery, {"state": "dead", "last_error": why})
        self._tx.wake("outbox")
        return written

    def revive(self, channel: ThreadRef) -> int:
        threads = select(ThreadRow.id).where(
            ThreadRow.platform == channel.platform,
            ThreadRow.workspace_id == channel.workspace_id,
            ThreadRow.channel_id == channel.channel_id,
        )
        statement = (
            sa.update(OutboxRow)
            .where(
                col(OutboxRow.thread_id).in_(threads),
                sa.text("state = 'dead'"),
                OutboxRow.kind != "whisper",
                col(OutboxRow.last_error).startswith(REFUSED),
                col(OutboxRow.created_at) > self._tx.now - REVIVABLE,
            )
            .values(state="pending", available_at=self._tx.now)
        )
        count = self._tx.session.execute(statement).rowcount
        if count:
            self._tx.wake("outbox")
        return count

    def block(self, scope: str, until: datetime) -> None:
        if self._tx.insert_new(RateGateRow, {"scope": scope, "blocked_until": until}) is None:
            self._tx.session.execute(
                sa.update(RateGateRow)
                .where(RateGateRow.scope == scope, col(RateGateRow.blocked_until) < until)
                .values(blocked_until=until)
            )

    def reap(self) -> int:
        statement = (
            sa.update(OutboxRow)
            .where(sa.text("state = 'sending'"), col(OutboxRow.lease_until) < self._tx.now)
            .values(state="unknown", lease_until=None, available_at=self._tx.now)
        )
        count = self._tx.session.execute(statement).rowcount
        if count:
            self._tx.wake("outbox")
        return count

    def next_available_at(self) -> datetime | None:
        return self._tx.run(next_available_statement(), {"now": self._tx.now}).scalar_one()

    def adopt(self, card_key: str, thread_id: int, message_id: str) -> None:
        self._tx.insert_new(CardRow, {"key": card_key, "thread_id": thread_id, "message_id": message_id})

    def card_message(self, card_key: str) -> str | None:
        return self._tx.scalar("SELECT message_id FROM card WHERE key = :card_key", card_key=card_key)

    def lose_card(self, card_key: str) -> None:
        self._tx.change(CardRow, {"message_id": None}, "key = :card_key", card_key=card_key)

    def _supersede(self, card_key: str | None, available_at: datetime) -> datetime:
        """Replaces the card's pending edits; the new one goes out when the first of them would have."""
        pending = "card_key = :card_key AND state = 'pending' AND kind = 'edit'"
        first = self._tx.first(OutboxRow, pending, "available_at", card_key=card_key)
        if first is None:
            return available_at
        self._tx.change(OutboxRow, {"state": "superseded"}, pending, card_key=card_key)
        return min(first["available_at"], available_at)

    def _write(self, delivery: Outgoing, values: dict[str, Any]) -> bool:
        ours = "id = :id AND fence = :fence AND state = 'sending'"
        new = {"lease_until": None, **values}
        return self._tx.change(OutboxRow, new, ours, id=delivery.id, fence=delivery.fence) == 1

    def _outgoing(self, row: OutboxRow, thread: ThreadRow, card: CardRow | None) -> Outgoing:
        return Outgoing(
            id=row.id or 0,
            fence=row.fence,
            thread_id=row.thread_id,
            to=as_ref(thread),
            kind=row.kind,  # type: ignore[arg-type]
            dedup_key=row.dedup_key,
            gate=row.gate,
            content=CONTENT.validate_json(row.body) if row.body else None,
            card_key=row.card_key,
            card_message_id=card.message_id if card else None,
            target=json.loads(row.target),
            attempt=row.attempt,
            check_first=row.last_error == "unknown",
            created_at=row.created_at,
        )


def gate_of(thread: "ThreadRow | Place", delivery: Delivery) -> str:
    """The rate gate a delivery passes: one per channel and kind, edits one per card."""
    if delivery.kind == "edit":
        return f"{thread.platform}:edit:{delivery.card_key}"
    return f"{thread.platform}:{thread.workspace_id}:{thread.channel_id}:{delivery.kind}"

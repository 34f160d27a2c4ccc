"""Events as accepted: stored once per natural key before the ack, handled from their rows."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from bot.core.inbound import EVENT, Event
from bot.store import Damaged, Pending
from storage.models import InboundRow
from storage.statements import IDS_POSTGRES, IDS_SQLITE

if TYPE_CHECKING:
    from storage.transaction import Tx


KEY = ("platform", "workspace_id", "natural_key")
HEARD = "heard"
"""The one row of each platform that says when something last came in that was not stored."""
MARK = f"platform = :platform AND workspace_id = '' AND natural_key = '{HEARD}'"
PENDING = """
SELECT id, natural_key, payload, attempts FROM inbound WHERE state = 'new' AND available_at <= :now
ORDER BY available_at, id LIMIT :limit
"""
DONE_ALL = """
UPDATE inbound SET state = 'done', handled_at = :now WHERE id IN (
  SELECT id FROM inbound WHERE {ids} AND {state} = 'new' ORDER BY id {lock})
RETURNING id
"""


@cache
def _done_all(*, sqlite: bool) -> sa.TextualSelect:
    """By their ids: without the plus SQLite would look at all that are new. On PostgreSQL in their order, so that two
    processes with the same events do not wait for each other."""
    state, lock = ("+state", "") if sqlite else ("state", "FOR UPDATE")
    text = sa.text(DONE_ALL.format(ids=IDS_SQLITE if sqlite else IDS_POSTGRES, state=state, lock=lock))
    return text.bindparams(sa.bindparam("now", type_=UTCDateTime())).columns(sa.column("id", sa.Integer))


def _read(row: sa.Row[Any]) -> Pending | Damaged:
    try:
        return Pending(row.id, EVENT.validate_json(row.payload), row.attempts)
    except ValueError as error:
        return Damaged(row.id, row.natural_key, type(error).__name__)


class Inbox:
    """See `bot.store.InboxQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def add(self, event: Event) -> int | None:
        return self.add_all([event])[0]

    def add_all(self, events: Sequence[Event]) -> Sequence[int | None]:
        new = self._tx.insert_all_new(InboundRow, [self._row(event) for event in events], KEY)
        if new:
            self._tx.wake("inbound")
        return [new.pop((event.platform, event.workspace_id, event.key), None) for event in events]

    def _row(self, event: Event) -> dict[str, object]:
        thread = getattr(event, "thread", None)
        return {
            "platform": event.platform,
            "workspace_id": event.workspace_id,
            "natural_key": event.key,
            "event_id": event.event_id,
            "kind": event.kind,
            "channel_id": thread.channel_id if thread else "",
            "payload": EVENT.dump_json(event).decode(),
            "state": "new",
            "attempts": 0,
            "sent_at": event.sent_at,
            "received_at": event.received_at,
            "available_at": self._tx.now,
        }

    def pending(self, limit: int) -> Sequence[Pending | Damaged]:
        return [_read(row) for row in self._tx.listed(PENDING, now=self._tx.now, limit=limit)]

    def event(self, inbound_id: int) -> Event | None:
        row = self._tx.session.get(InboundRow, inbound_id)
        return EVENT.validate_json(row.payload) if row and row.payload else None

    def done(self, inbound_id: int) -> bool:
        handled = {"state": "done", "handled_at": self._tx.now}
        return self._tx.change(InboundRow, handled, "id = :id AND state = 'new'", id=inbound_id) == 1

    def done_all(self, inbound_ids: Sequence[int]) -> Collection[int]:
        sqlite = self._tx.sqlite
        given = json.dumps(list(inbound_ids)) if sqlite else list(inbound_ids)
        bound = {"ids": given, "now": self._tx.now}
        return set(self._tx.run(_done_all(sqlite=sqlite), bound).scalars())

    def failed(self, inbound_id: int, error: str, retry_after: timedelta | None) -> None:
        values: dict[str, object] = {"attempts": InboundRow.attempts + 1, "error": error}
        if retry_after is None:
            values |= {"state": "failed", "handled_at": self._tx.now}
        else:
            values |= {"available_at": self._tx.now + retry_after}
        self._tx.session.execute(
            sa.update(InboundRow).where(InboundRow.id == inbound_id, sa.text("state = 'new'")).values(values)
        )

    def last_sent_at(self, platform: str, workspace_id: str, channel_id: str) -> datetime | None:
        return self._tx.session.exec(
            select(sa.func.max(InboundRow.sent_at)).where(
                InboundRow.platform == platform,
                InboundRow.workspace_id == workspace_id,
                InboundRow.channel_id == channel_id,
            )
        ).one()

    def heard(self, platform: str, at: datetime) -> None:
        if (
            self._tx.change(InboundRow, {"received_at": at}, f"{MARK} AND received_at < :at", platform=platform, at=at)
            == 0
        ):
            told = {"sent_at": at, "received_at": at, "available_at": at, "handled_at": at}
            key = {"platform": platform, "workspace_id": "", "natural_key": HEARD, "kind": HEARD}
            self._tx.insert_new(InboundRow, {**key, **told, "payload": "", "state": "done"})

    def last_received_at(self, platform: str, until: datetime) -> datetime | None:
        came_in = select(InboundRow.received_at).where(InboundRow.platform == platform, InboundRow.received_at <= until)
        stored = came_in.where(col(InboundRow.kind).not_in(("gap", HEARD))).order_by(col(InboundRow.id).desc()).limit(1)
        heard = came_in.where(InboundRow.workspace_id == "", InboundRow.natural_key == HEARD)
        found = [self._tx.session.exec(query).first() for query in (stored, heard)]
        return max((at for at in found if at is not None), default=None)

"""Suggestions: judging in turn, the guarded moves between states, lists, limits and the figures of the report.

States in WHERE clauses are literals, not bound parameters, so that the partial indexes are used on both databases.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from bot.core.inbound import Message, MessageRef, Person, ThreadRef
from bot.core.suggestions import JUDGING, OTHERS_AFTER, WIPED, Suggestion, SuggestionState, may_move
from bot.store import Member, SuggestionFilter
from storage.collecting import CHANNEL, MESSAGE, Collecting, bound_to, channel_of
from storage.models import SuggestionMemberRow, SuggestionRow
from storage.statements import columns_of

if TYPE_CHECKING:
    from storage.transaction import Tx

LISTED_MAX: Final = 200
SKIP_LOCKED: Final = "FOR UPDATE SKIP LOCKED"
SHOWN: Final = "state IN ('open', 'filed', 'same', 'dismissed', 'expired', 'removed') AND judge <> 'person'"
"""Every one that was shown but those that an edit took below the threshold again."""
DECIDED: Final = "state IN ('filed', 'same', 'dismissed')"
BY_PEOPLE: Final = f"{DECIDED} AND judge <> 'person' AND coalesce(decided_by, '') <> 'auto'"
WORDLESS: Final = frozenset({SuggestionState.SKIPPED, SuggestionState.EXPIRED, SuggestionState.REMOVED})
"""In these states no word of a message is kept."""
DECISIONS: Final = frozenset({SuggestionState.FILED, SuggestionState.SAME, SuggestionState.DISMISSED})
LEASE = """
UPDATE suggestion SET lease_until = :until, owner = :owner, closed = {true}, updated_at = :now WHERE id IN (
  SELECT id FROM suggestion WHERE state = 'waiting' AND due_at <= :now
    AND (lease_until IS NULL OR lease_until <= :now) AND (owner = :owner OR due_at <= :left)
  ORDER BY due_at, id LIMIT :limit {lock})
RETURNING {columns}
"""
NEXT_DUE = """
SELECT min(CASE WHEN lease_until IS NULL AND owner = :owner THEN due_at END) AS mine,
  min(CASE WHEN lease_until IS NULL AND owner <> :owner THEN due_at END) AS others, min(lease_until) AS leased
FROM suggestion WHERE state = 'waiting'
"""
WIPE = ", ".join(f"{name} = ''" for name in WIPED)
SKIP_SQLITE = f"""
UPDATE suggestion SET state = 'skipped', reason = json_extract(o.value, '$[1]'), score = json_extract(o.value, '$[2]'),
  seen_hash = json_extract(o.value, '$[3]'), lease_until = NULL, updated_at = :now, {WIPE}
FROM json_each(:outcomes) o WHERE suggestion.id = json_extract(o.value, '$[0]') AND +state = 'waiting'
"""
"""By their ids: without the plus it would look at all that wait, for each outcome."""
SKIP_POSTGRES = f"""
UPDATE suggestion SET state = 'skipped', reason = o.value->>1, score = CAST(o.value->>2 AS double precision),
  seen_hash = o.value->>3, lease_until = NULL, updated_at = :now, {WIPE}
FROM json_array_elements(CAST(:outcomes AS json)) AS o(value)
WHERE suggestion.id = CAST(o.value->>0 AS integer) AND state = 'waiting'
"""
EXPIRE = f"""
UPDATE suggestion SET state = 'expired', lease_until = NULL, updated_at = :now, {WIPE} WHERE id IN (
  SELECT id FROM suggestion WHERE state = 'open' AND created_at < :before AND updated_at < :before {{which}}
  ORDER BY updated_at LIMIT :most {{lock}})
RETURNING {{columns}}
"""
ASKS_ADMIN: Final = "AND (guard <> '' OR author_kind <> 'human')"
COUNTS: Final = "SELECT state, reason, count(*) FROM suggestion WHERE {where} GROUP BY state, reason"
RECORD = f"""
SELECT count(*), count(CASE WHEN state <> 'dismissed' THEN 1 END) FROM suggestion
WHERE {CHANNEL} AND {BY_PEOPLE} AND judge = :judge AND score >= :threshold
"""
OF_MESSAGE: Final = f"id = (SELECT suggestion_id FROM suggestion_member WHERE {MESSAGE})"


def _entity(row: sa.RowMapping | None) -> Suggestion | None:
    return Suggestion.model_construct(**row) if row is not None else None


@cache
def _returning(sql: str, instants: tuple[str, ...]) -> sa.TextualSelect:
    """A statement that gives whole rows; `{columns}` stands for their names, quoted: `similar` is SQL."""
    columns = list(columns_of(SuggestionRow).columns)
    text = sa.text(sql.replace("{columns}", ", ".join(f'"{column.name}"' for column in columns)))
    return text.bindparams(*(sa.bindparam(name, type_=UTCDateTime()) for name in instants)).columns(*columns)


@cache
def _next_due() -> sa.TextualSelect:
    return sa.text(NEXT_DUE).columns(mine=UTCDateTime(), others=UTCDateTime(), leased=UTCDateTime())


def _states(states: Collection[SuggestionState]) -> str:
    return ", ".join(f"'{state.value}'" for state in sorted(states))


class Suggestions:
    """See `bot.store.SuggestionQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._collecting = Collecting(tx)

    def collect(
        self, messages: Sequence[Message], owner: str, *, between: Collection[int] = ()
    ) -> Sequence[int | None]:
        return self._collecting.collect(messages, owner, between)

    def take(self, message: MessageRef, author: Person, sent_at: datetime) -> Suggestion:
        return self._collecting.take(message, author, sent_at)

    def of_message(self, message: MessageRef) -> Suggestion | None:
        where = bound_to(channel_of(message))
        return _entity(self._tx.first(SuggestionRow, OF_MESSAGE, message_id=message.message_id, **where))

    def behind(self, code_task_id: int) -> Suggestion | None:
        return _entity(self._tx.first(SuggestionRow, "code_task_id = :id AND state = 'filed'", id=code_task_id))

    def members(self, suggestion_id: int) -> Sequence[Member]:
        root = self._tx.scalar("SELECT root FROM suggestion WHERE id = :id", id=suggestion_id)
        rows = self._tx.rows(SuggestionMemberRow, "suggestion_id = :id", "position", id=suggestion_id)
        return [_member(row, root or None) for row in rows]

    def lease_due(self, owner: str, limit: int) -> Sequence[Suggestion]:
        now, sqlite = self._tx.now, self._tx.sqlite
        sql = LEASE.replace("{true}", "1" if sqlite else "TRUE").replace("{lock}", "" if sqlite else SKIP_LOCKED)
        bound = {"owner": owner, "limit": limit, "now": now, "until": now + JUDGING, "left": now - OTHERS_AFTER}
        rows = self._tx.run(_returning(sql, ("now", "until", "left")), bound).mappings().all()
        found = [Suggestion.model_construct(**row) for row in rows]
        return sorted(found, key=lambda suggestion: (suggestion.due_at, suggestion.id))

    def next_due_at(self, owner: str = "") -> datetime | None:
        row = self._tx.run(_next_due(), {"owner": owner}).one()
        others = row.others + (OTHERS_AFTER if owner else timedelta(0)) if row.others else None
        return min((at for at in (row.mine, others, row.leased) if at is not None), default=None)

    def get(self, suggestion_id: int) -> Suggestion | None:
        return _entity(self._tx.first(SuggestionRow, "id = :id", id=suggestion_id))

    def locked(self, suggestion_id: int) -> Suggestion | None:
        lock = "" if self._tx.sqlite else " FOR UPDATE"
        return _entity(self._tx.first(SuggestionRow, f"id = :id{lock}", id=suggestion_id))

    def list(self, which: SuggestionFilter) -> Sequence[Suggestion]:
        query = select(SuggestionRow).order_by(col(SuggestionRow.id).desc()).limit(min(which.limit, LISTED_MAX))
        if which.states:
            query = query.where(col(SuggestionRow.state).in_(which.states))
        if which.channel:
            query = query.filter_by(**bound_to(which.channel))
        if which.author:
            platform, workspace, person = which.author
            query = query.filter_by(platform=platform, workspace_id=workspace, author_id=person)
        if which.before_id is not None:
            query = query.where(col(SuggestionRow.id) < which.before_id)
        return self._tx.session.exec(query).all()

    def move(
        self, suggestion_id: int, from_states: Collection[SuggestionState], to_state: SuggestionState, **values: Any
    ) -> Suggestion | None:
        legal = [state for state in from_states if may_move(state, to_state)]
        if not legal:
            return None
        now = self._tx.now
        new: dict[str, Any] = {"state": to_state, "lease_until": None, "updated_at": now}
        if to_state in DECISIONS:
            new["decided_at"] = now
        if to_state is SuggestionState.OPEN or values.get("decided_by") == "auto":
            new["shown_at"] = now
        new |= values | (WIPED if to_state in WORDLESS else {})
        row = self._tx.changed(SuggestionRow, new, f"id = :id AND state IN ({_states(legal)})", id=suggestion_id)
        return _entity(row)

    def skip(self, outcomes: Mapping[int, tuple[str, float, str]]) -> int:
        if not outcomes:
            return 0
        given = json.dumps([[number, *outcome] for number, outcome in sorted(outcomes.items())])
        sql = SKIP_SQLITE if self._tx.sqlite else SKIP_POSTGRES
        return self._tx.affected(sql, outcomes=given, now=self._tx.now)

    def update(self, suggestion_id: int, in_states: Collection[SuggestionState], **values: Any) -> Suggestion | None:
        new = {"updated_at": self._tx.now, **values}
        row = self._tx.changed(SuggestionRow, new, f"id = :id AND state IN ({_states(in_states)})", id=suggestion_id)
        if row is not None and row["state"] is SuggestionState.WAITING:
            self._tx.wake("intake")
        return _entity(row)

    def shown_to(self, author: tuple[str, str, str], since: datetime) -> int:
        platform, workspace, person = author
        where = f"{SHOWN} AND platform = :platform AND workspace_id = :workspace AND author_id = :person"
        self._tx.alone(f"asked:{':'.join(author)}")
        return self._count_shown(where, since, platform=platform, workspace=workspace, person=person)

    def shown_in(self, channel: tuple[str, str, str], since: datetime) -> int:
        self._tx.alone(f"asked:{':'.join(channel)}")
        return self._count_shown(f"{SHOWN} AND {CHANNEL}", since, **bound_to(channel))

    def filed_itself(self, channel: tuple[str, str, str], since: datetime) -> int:
        self._tx.alone(f"asked:{':'.join(channel)}")
        where = f"state = 'filed' AND decided_by = 'auto' AND {CHANNEL}"
        return self._count_shown(where, since, **bound_to(channel))

    def _count_shown(self, where: str, since: datetime, **bound: Any) -> int:
        lately = "INDEXED BY ix_suggestion_shown" if self._tx.sqlite else ""  # else it may read all that was heard
        sql = f"SELECT count(*) FROM suggestion {lately} WHERE shown_at >= :since AND {where}"
        return self._tx.scalar(sql, since=since, **bound)

    def last_decided(self, channel: tuple[str, str, str], limit: int) -> Sequence[SuggestionState]:
        where = f"WHERE {CHANNEL} AND {BY_PEOPLE} ORDER BY decided_at DESC, id DESC LIMIT :limit"
        states = self._tx.column(f"SELECT state FROM suggestion {where}", limit=limit, **bound_to(channel))
        return [SuggestionState(state) for state in states]

    def record(self, channel: tuple[str, str, str], judge: str, threshold: float) -> tuple[int, int]:
        ((decided, right),) = self._tx.listed(RECORD, judge=judge, threshold=threshold, **bound_to(channel))
        return decided, right

    def counts(self, channel: tuple[str, str, str] | None, since: datetime) -> Mapping[tuple[str, str], int]:
        where, bound = _lately(channel, since)
        return {(state, why): count for state, why, count in self._tx.listed(COUNTS.format(where=where), **bound)}

    def channels(self, since: datetime) -> Sequence[tuple[str, str, str]]:
        columns = "platform, workspace_id, channel_id"
        sql = f"SELECT DISTINCT {columns} FROM suggestion WHERE created_at >= :since ORDER BY {columns}"
        return [(platform, workspace, channel) for platform, workspace, channel in self._tx.listed(sql, since=since)]

    def scores(self, channel: tuple[str, str, str] | None, since: datetime) -> Sequence[float]:
        where, bound = _lately(channel, since)
        where += " AND score IS NOT NULL AND state <> 'waiting' AND judge <> 'person'"
        return self._tx.column(f"SELECT score FROM suggestion WHERE {where} ORDER BY id", **bound)

    def labelled(self, limit: int) -> Sequence[Suggestion]:
        where = f"{DECIDED} AND text <> '' AND coalesce(decided_by, '') <> 'auto'"
        rows = self._tx.rows(SuggestionRow, where, "id DESC LIMIT :limit", limit=limit)
        return [Suggestion.model_construct(**row) for row in rows]

    def expire(self, before: datetime, most: int, *, asks_admin: bool = False) -> Sequence[Suggestion]:
        sql = EXPIRE.replace("{which}", ASKS_ADMIN if asks_admin else "")
        sql = sql.replace("{lock}", "" if self._tx.sqlite else SKIP_LOCKED)
        bound = {"before": before, "most": most, "now": self._tx.now}
        rows = self._tx.run(_returning(sql, ("before", "now")), bound).mappings().all()
        return [Suggestion.model_construct(**row) for row in rows]


def _lately(channel: tuple[str, str, str] | None, since: datetime) -> tuple[str, dict[str, Any]]:
    if channel is None:
        return "created_at >= :since", {"since": since}
    return f"{CHANNEL} AND created_at >= :since", {"since": since, **bound_to(channel)}


def _member(row: sa.RowMapping, root: str | None) -> Member:
    thread = ThreadRef(
        platform=row["platform"], workspace_id=row["workspace_id"], channel_id=row["channel_id"], root=root
    )
    return Member(MessageRef(thread=thread, message_id=row["message_id"]), row["sent_at"])

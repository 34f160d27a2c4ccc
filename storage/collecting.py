"""How messages become items of intake: each message belongs to one item, whoever claims it and however often.

The keys of `suggestion` and `suggestion_member` hold that whatever happens. On PostgreSQL the claims in one channel
also stand in line (an advisory lock, held until the commit), so that a lost race does not cost a repeated transaction;
SQLite has one writer anyway. A batch costs a handful of statements, however many messages it has.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from bot.core.inbound import Message, MessageRef, Person
from bot.core.suggestions import MEMBERS_MAX, TOGETHER, Suggestion, SuggestionState
from bot.store import RunAgain
from storage.models import SuggestionMemberRow, SuggestionRow

if TYPE_CHECKING:
    from storage.transaction import Tx

AT_LEAST: Final = timedelta(seconds=5)
"""A message that came late (after an outage) waits so long for its neighbours, which come right after it."""
IN_LINE: Final = "SELECT pg_advisory_xact_lock(hashtextextended(:key, 4))"
CHANNEL: Final = "platform = :platform AND workspace_id = :workspace_id AND channel_id = :channel_id"
MESSAGE: Final = f"{CHANNEL} AND message_id = :message_id"
THESE_SQLITE: Final = "message_id IN (SELECT value FROM json_each(:ids))"
THESE_POSTGRES: Final = "message_id = ANY(CAST(:ids AS text[]))"

Channel = tuple[str, str, str]


def channel_of(message: MessageRef | Message) -> Channel:
    """(platform, workspace id, channel id)."""
    return message.thread.platform, message.thread.workspace_id, message.thread.channel_id


def place_of(message: MessageRef | Message) -> str:
    """The root of the thread that a message stands in, empty for one of the channel itself."""
    root = message.thread.root or ""
    outside = root == message.message_id or (isinstance(message, Message) and not message.in_thread)
    return "" if outside else root


def bound_to(channel: Channel) -> dict[str, str]:
    return dict(zip(("platform", "workspace_id", "channel_id"), channel, strict=True))


@dataclass(slots=True)
class _Item:
    """An item that waits, or is about to: what this batch makes of it."""

    id: int | None
    root: str
    author_id: str
    owner: str
    last_at: datetime
    due_at: datetime
    members: int = 0
    closed: bool = False
    touched: bool = False
    first: Message | None = None
    joined: list[tuple[int, Message]] = field(default_factory=list[tuple[int, Message]])

    def takes(self, message: Message) -> bool:
        near = abs(message.sent_at - self.last_at) <= TOGETHER
        return near and self.members < MEMBERS_MAX

    def close(self, now: datetime) -> None:
        self.closed = self.touched = True
        self.due_at = min(self.due_at, now)

    def join(self, message: Message, now: datetime) -> None:
        self.joined.append((self.members, message))
        self.members += 1
        self.touched = True
        self.last_at = max(self.last_at, message.sent_at)
        self.due_at = max(min(self.last_at, now) + TOGETHER, now + AT_LEAST)
        if self.members == MEMBERS_MAX:
            self.close(now)


class Collecting:
    """The claims of one transaction."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def collect(self, messages: Sequence[Message], owner: str, between: Collection[int]) -> Sequence[int | None]:
        """See `bot.store.SuggestionQueries.collect`."""
        channels = sorted({channel_of(message) for message in messages})
        self._stand_in_line(channels)
        items: dict[Channel, list[_Item]] = {}
        where: dict[tuple[Channel, str], _Item] = {}
        known: set[tuple[Channel, str]] = set()
        for channel in channels:
            ids = [message.message_id for message in messages if channel_of(message) == channel]
            known |= {(channel, message_id) for message_id in self._known(channel, ids)}
            items[channel] = self._waiting(channel)
        for at, message in enumerate(messages):
            key = (channel_of(message), message.message_id)
            if at in between:
                _cut(message, items[key[0]], self._tx.now)
            elif key not in known:
                known.add(key)
                where[key] = self._placed(message, items[key[0]], owner)
        self._write(items)
        keys = [(channel_of(message), message.message_id) for message in messages]
        return [item.id if (item := where.pop(key, None)) else None for key in keys]

    def take(self, message: MessageRef, author: Person, sent_at: datetime) -> Suggestion:
        """See `bot.store.SuggestionQueries.take`."""
        channel = channel_of(message)
        self._stand_in_line([channel])
        known = self._tx.scalar(
            f"SELECT suggestion_id FROM suggestion_member WHERE {MESSAGE}",
            message_id=message.message_id,
            **bound_to(channel),
        )
        lock = "" if self._tx.sqlite else " FOR UPDATE"
        if known is not None:
            row = self._tx.first(SuggestionRow, f"id = :id{lock}", id=known)
            if row is None:
                raise RunAgain  # retention removed it at this moment
            return Suggestion.model_construct(**row)
        now = self._tx.now
        suggestion = Suggestion(
            **bound_to(channel),
            root=place_of(message),
            message_id=message.message_id,
            author_id=author.id,
            author_name=author.name,
            author_kind=author.kind,
            state=SuggestionState.SKIPPED,
            judge="person",
            score=1.0,
            closed=True,
            last_at=sent_at,
            due_at=now,
            created_at=now,
            updated_at=now,
        )
        row = self._tx.insert_row(SuggestionRow, suggestion.model_dump(exclude={"id"}))
        if row is None:
            raise RunAgain
        self._tx.insert_many(SuggestionMemberRow, [_member(channel, row["id"], 0, message.message_id, sent_at)])
        return Suggestion.model_construct(**row)

    def _stand_in_line(self, channels: Iterable[Channel]) -> None:
        if not self._tx.sqlite:
            for channel in channels:
                self._tx.scalar(IN_LINE, key="\n".join(channel))

    def _known(self, channel: Channel, ids: Sequence[str]) -> Sequence[str]:
        these, given = self._these(ids)
        sql = f"SELECT message_id FROM suggestion_member WHERE {CHANNEL} AND {these}"
        return self._tx.column(sql, ids=given, **bound_to(channel))

    def _these(self, ids: Sequence[str]) -> tuple[str, Any]:
        return (THESE_SQLITE, json.dumps(ids)) if self._tx.sqlite else (THESE_POSTGRES, list(ids))

    def _waiting(self, channel: Channel) -> list[_Item]:
        """What still takes messages in a channel, locked: nobody judges it meanwhile."""
        lock = "" if self._tx.sqlite else " FOR UPDATE"
        where = f"{CHANNEL} AND state = 'waiting' AND NOT closed ORDER BY id{lock}"
        names = ("id", "root", "author_id", "owner", "last_at", "due_at", "members")
        rows = self._tx.rows(SuggestionRow, where, **bound_to(channel))
        return [_Item(**{name: row[name] for name in names}) for row in rows]

    def _placed(self, message: Message, items: list[_Item], owner: str) -> _Item:
        """The item that a new message joins or begins; what somebody else left in its place is due at once."""
        now, root = self._tx.now, place_of(message)
        mine: _Item | None = None
        _cut(message, items, now)
        for item in items:
            if item.closed or item.root != root or item.author_id != message.person.id:
                continue
            if item.takes(message):
                mine = item
            else:
                item.close(now)
        if mine is None:
            mine = _Item(None, root, message.person.id, message.heard_by or owner, message.sent_at, now, first=message)
            items.append(mine)
        mine.join(message, now)
        return mine

    def _write(self, items: Mapping[Channel, Sequence[_Item]]) -> None:
        now = self._tx.now
        # Closed ones first: two of one author in one place may not both be collecting.
        for item in sorted((i for known in items.values() for i in known if i.id and i.touched), key=_order):
            values = {"members": item.members, "last_at": item.last_at, "due_at": item.due_at, "closed": item.closed}
            self._tx.change(SuggestionRow, {**values, "updated_at": now}, "id = :id", id=item.id)
        rows = [self._new_row(channel, item) for channel, many in items.items() for item in many if item.id is None]
        if rows:
            self._tx.insert_many(SuggestionRow, rows)
            self._number(items)
        members = [
            _member(channel, item.id, position, message.message_id, message.sent_at)
            for channel, many in items.items()
            for item in many
            for position, message in item.joined
        ]
        if members:
            self._tx.insert_many(SuggestionMemberRow, members)
            self._tx.wake("intake")

    def _new_row(self, channel: Channel, item: _Item) -> dict[str, object]:
        message, now = item.first, self._tx.now
        assert message is not None
        return {
            **bound_to(channel),
            "root": item.root,
            "message_id": message.message_id,
            "author_id": item.author_id,
            "author_name": message.person.name,
            "author_kind": message.person.kind,
            "owner": item.owner,
            "members": item.members,
            "closed": item.closed,
            "last_at": item.last_at,
            "due_at": item.due_at,
            "created_at": now,
            "updated_at": now,
        }

    def _number(self, items: Mapping[Channel, Sequence[_Item]]) -> None:
        """Learns the numbers of the new items by their first messages."""
        for channel, many in items.items():
            new = {item.first.message_id: item for item in many if item.id is None and item.first is not None}
            if not new:
                continue
            these, given = self._these(list(new))
            sql = f"SELECT id, message_id FROM suggestion WHERE {CHANNEL} AND {these}"
            for number, message_id in self._tx.listed(sql, ids=given, **bound_to(channel)):
                new[message_id].id = number


def _cut(message: Message, items: Iterable[_Item], now: datetime) -> None:
    """Another speaker ends what is being said in a place."""
    for item in items:
        if not item.closed and item.root == place_of(message) and item.author_id != message.person.id:
            item.close(now)


def _order(item: _Item) -> tuple[bool, int]:
    return not item.closed, item.id or 0


def _member(
    channel: Channel, suggestion_id: int | None, position: int, message_id: str, sent_at: datetime
) -> dict[str, object]:
    return {
        **bound_to(channel),
        "message_id": message_id,
        "suggestion_id": suggestion_id,
        "position": position,
        "sent_at": sent_at,
    }

"""One transaction with its queries grouped by noun: the `Transaction` that units of work get."""

from datetime import datetime
from functools import cache, cached_property

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlmodel import Session, SQLModel

from bot.ports import Clock
from bot.store import Topic
from storage.figures import Figures
from storage.inbox import Inbox
from storage.outbox import Outbox
from storage.people import People
from storage.retention import prune
from storage.runs import Runs
from storage.tasks import Tasks
from storage.threads import Threads


class Tx:
    """See `bot.store.Transaction`."""

    def __init__(self, session: Session, clock: Clock | None, *, sqlite: bool) -> None:
        self.session = session
        self.sqlite = sqlite
        self.topics: set[Topic] = set()
        self._clock = clock
        self.threads = Threads(self)
        self.inbox = Inbox(self)
        self.tasks = Tasks(self)
        self.runs = Runs(self)
        self.outbox = Outbox(self)
        self.people = People(self)
        self.figures = Figures(self)

    @cached_property
    def now(self) -> datetime:
        if self._clock is not None:
            return self._clock.now()
        if self.sqlite:
            from storage.engine import SystemClock

            return SystemClock().now()
        return self.session.execute(sa.text("SELECT clock_timestamp()")).scalar_one()

    def wake(self, topic: Topic) -> None:
        self.topics.add(topic)

    def prune(self, before: datetime) -> dict[str, int]:
        return prune(self.session, before)

    def insert_new(self, table: type[SQLModel], values: dict[str, object]) -> int | None:
        """INSERT ... ON CONFLICT DO NOTHING: the new row's id (1 where it has none), None when a unique key was taken.

        `values` are columns; what they leave out gets the model's default."""
        statement, defaults, has_id = _insert(table, self.sqlite)
        result = self.session.connection().execute(statement, {**defaults, **values})
        row = result.first()  # `rowcount` of an INSERT is not known on every driver
        if row is None:
            return None
        return row[0] if has_id else 1


@cache
def _insert(table: type[SQLModel], sqlite: bool) -> tuple[sa.Insert, dict[str, object], bool]:
    """The statement for a table, built once: building one costs more than running it."""
    columns: sa.Table = table.__table__  # type: ignore[attr-defined]
    insert = (sqlite_dialect if sqlite else postgresql).insert(columns).on_conflict_do_nothing()
    has_id = "id" in columns.columns and columns.columns["id"].primary_key and columns.columns["id"].autoincrement
    has_id = bool(has_id) and isinstance(columns.columns["id"].type, sa.Integer)
    fields = table.model_fields.items()
    defaults = {name: field.default for name, field in fields if name != "id" and not field.is_required()}
    return insert.returning(*columns.primary_key), defaults, has_id

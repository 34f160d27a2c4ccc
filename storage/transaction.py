"""One transaction with its queries grouped by noun: the `Transaction` that units of work get."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from bot.ports import Clock
from bot.store import Forgotten, Topic
from storage import statements
from storage.figures import Figures
from storage.inbox import Inbox
from storage.leases import Leases
from storage.outbox import Outbox
from storage.people import People
from storage.retention import prune
from storage.runs import Runs
from storage.statements import Bound
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
        self.leases = Leases(self)

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

    def prune(self, kind: Forgotten, before: datetime, most: int) -> int:
        return prune(self, kind, before, most)

    def may_lose_a_race(self) -> AbstractContextManager[Any]:
        """Around a statement that another process can make fail on a unique index: what came before it survives.

        SQLite has one writer at a time and takes back a failed statement by itself; a savepoint would only cost."""
        return nullcontext() if self.sqlite else self.session.begin_nested()

    def insert_new(self, table: type[SQLModel], values: dict[str, object]) -> int | None:
        """INSERT ... ON CONFLICT DO NOTHING: the new row's id (1 where it has none), None when a unique key was taken.

        `values` are columns; what they leave out gets the model's default."""
        statement, defaults, has_id = statements.insert(table, self.sqlite)
        row = self._execute(statement, {**defaults, **values}).first()  # not every driver knows an INSERT's rowcount
        if row is None:
            return None
        return row[0] if has_id else 1

    def change(self, table: type[SQLModel], values: Bound, where: str, **bound: Any) -> int:
        """UPDATE: sets `values` in the rows that fit `where` (SQL with `:names` from `bound`). Returns how many."""
        statement = statements.update(table, values, where, bound, returning=False)
        return self._execute(statement, statements.update_values(values, bound)).rowcount

    def changed(self, table: type[SQLModel], values: Bound, where: str, **bound: Any) -> sa.RowMapping | None:
        """The same for at most one row: the row as it is now, None when none fitted."""
        statement = statements.update(table, values, where, bound, returning=True)
        return self._execute(statement, statements.update_values(values, bound)).mappings().one_or_none()

    def first(self, table: type[SQLModel], where: str, order: str = "", **bound: Any) -> sa.RowMapping | None:
        """SELECT: the first row that fits `where`, as it is in the database now."""
        return self._execute(statements.query(table, where, order, bound), bound).mappings().first()

    def rows(self, table: type[SQLModel], where: str, order: str = "", **bound: Any) -> Sequence[sa.RowMapping]:
        """SELECT: all rows that fit `where`."""
        return self._execute(statements.query(table, where, order, bound), bound).mappings().all()

    def scalar(self, sql: str, **bound: Any) -> Any:
        """The first column of the first row of any statement, None without rows; instants come as the driver's."""
        return self._execute(statements.text(sql, bound), bound).scalar()

    def listed(self, sql: str, **bound: Any) -> Sequence[sa.Row[Any]]:
        """All rows of any statement."""
        return self._execute(statements.text(sql, bound), bound).all()

    def affected(self, sql: str, **bound: Any) -> int:
        """Runs an UPDATE or DELETE; how many rows it changed."""
        return self._execute(statements.text(sql, bound), bound).rowcount

    def column(self, sql: str, **bound: Any) -> Sequence[Any]:
        """The first column of every row."""
        return self._execute(statements.text(sql, bound), bound).scalars().all()

    def _execute(self, statement: sa.Executable, values: Bound) -> sa.CursorResult[Any]:
        return self.session.connection().execute(statement, dict(values))

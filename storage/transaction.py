"""One transaction with its queries grouped by noun: the `Transaction` that units of work get."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from bot.ports import Clock
from bot.store import Forgotten, RunAgain, Topic
from storage import statements
from storage.connections import begun_at
from storage.figures import Figures
from storage.followups import FollowUps
from storage.inbox import Inbox
from storage.leases import Leases
from storage.outbox import Outbox
from storage.people import People
from storage.questions import Questions
from storage.retention import prune
from storage.runs import Runs
from storage.sessions import Sessions
from storage.statements import Bound
from storage.subscriptions import Subscriptions
from storage.suggestions import Suggestions
from storage.tasks import Tasks
from storage.threads import Threads


class Tx:
    """See `bot.store.Transaction`."""

    def __init__(self, connection: sa.Connection, clock: Clock | None, *, sqlite: bool) -> None:
        self.sqlite = sqlite
        self._connection = connection
        self._untouched = True
        self.topics: set[Topic] = set()
        self._clock = clock
        self.threads = Threads(self)
        self.inbox = Inbox(self)
        self.tasks = Tasks(self)
        self.runs = Runs(self)
        self.followups = FollowUps(self)
        self.sessions = Sessions(self)
        self.outbox = Outbox(self)
        self.people = People(self)
        self.figures = Figures(self)
        self.leases = Leases(self)
        self.questions = Questions(self)
        self.suggestions = Suggestions(self)
        self.subscriptions = Subscriptions(self)

    @cached_property
    def session(self) -> Session:
        """An ORM session inside this transaction, for the queries that are not hot: making one costs as much as a
        statement."""
        self._untouched = False
        return Session(self._connection, expire_on_commit=False)

    def flush(self) -> None:
        """Writes what was added to the session."""
        if "session" in self.__dict__:
            self.session.flush()

    def close(self) -> None:
        """Lets go of the session's objects; they stay as they are."""
        if session := self.__dict__.pop("session", None):
            session.close()

    @cached_property
    def now(self) -> datetime:
        if self._clock is not None:
            return self._clock.now()
        if self.sqlite:
            from storage.engine import SystemClock

            return SystemClock().now()
        return begun_at(self._connection)

    def alone(self, key: str) -> None:
        """Waits for any other transaction that names the same key, until it ends. SQLite has one writer at a time."""
        if not self.sqlite:
            self.scalar("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0)) IS NULL", key=key)

    def wake(self, topic: Topic) -> None:
        self.topics.add(topic)

    def prune(self, kind: Forgotten, before: datetime, most: int) -> int:
        return prune(self, kind, before, most)

    @contextmanager
    def may_lose_a_race(self) -> Iterator[None]:
        """Around a statement that another process can make fail on a unique index: what came before it survives.

        SQLite has one writer at a time and takes back a failed statement by itself; a savepoint would only cost. On
        PostgreSQL, when nothing came before, the transaction begins anew."""
        if self.sqlite:
            yield
        elif not self._untouched:
            with self._connection.begin_nested():
                yield
        else:
            try:
                yield
            except sa.exc.IntegrityError:
                self.close()
                self._connection.rollback()
                self._connection.begin()
                self._untouched = True
                raise

    def insert_new(self, table: type[SQLModel], values: dict[str, object]) -> int | None:
        """INSERT ... ON CONFLICT DO NOTHING: the new row's id (1 where it has none), None when a unique key was taken.

        `values` are columns; what they leave out gets the model's default."""
        statement, defaults, has_id = statements.insert(table, self.sqlite)
        row = self.run(statement, {**defaults, **values}).first()  # not every driver knows an INSERT's rowcount
        if row is None:
            return None
        return row[0] if has_id else 1

    def insert_all_new(
        self, table: type[SQLModel], rows: Sequence[dict[str, object]], key: tuple[str, ...]
    ) -> dict[tuple[object, ...], int]:
        """The same for rows of the same columns in one statement: the new rows' ids by the columns of their `key`."""
        if not rows:
            return {}
        statement, defaults = statements.insert_all(table, self.sqlite, key)
        self._untouched = False
        found = self._connection.execute(statement, [{**defaults, **row} for row in rows])
        return {tuple(names): number for number, *names in found}

    def insert_row(self, table: type[SQLModel], values: dict[str, object]) -> sa.RowMapping | None:
        """The same: the whole new row."""
        statement, defaults, _ = statements.insert(table, self.sqlite, whole=True)
        return self.run(statement, {**defaults, **values}).mappings().one_or_none()

    def insert_many(
        self, table: type[SQLModel], rows: Sequence[dict[str, object]], *, known: tuple[str, ...] = ()
    ) -> None:
        """Inserts rows of the same columns in one go, but for those whose `known` columns are taken; any other taken
        unique key raises `RunAgain`."""
        statement, defaults = statements.insert_many(table, self.sqlite, known)
        self._untouched = False
        try:
            self._connection.execute(statement, [{**defaults, **row} for row in rows])
        except sa.exc.IntegrityError as error:
            raise RunAgain from error

    def change(self, table: type[SQLModel], values: Bound, where: str, **bound: Any) -> int:
        """UPDATE: sets `values` in the rows that fit `where` (SQL with `:names` from `bound`). Returns how many."""
        statement = statements.update(table, values, where, bound, returning=False)
        return self.run(statement, statements.update_values(values, bound)).rowcount

    def changed(self, table: type[SQLModel], values: Bound, where: str, **bound: Any) -> sa.RowMapping | None:
        """The same for at most one row: the row as it is now, None when none fitted."""
        statement = statements.update(table, values, where, bound, returning=True)
        return self.run(statement, statements.update_values(values, bound)).mappings().one_or_none()

    def first(self, table: type[SQLModel], where: str, order: str = "", **bound: Any) -> sa.RowMapping | None:
        """SELECT: the first row that fits `where`, as it is in the database now."""
        return self.run(statements.query(table, where, order, bound), bound).mappings().first()

    def found(self, table: type[SQLModel], where: str, **bound: Any) -> Any:
        """The same with its columns as attributes: what the ORM's `get` answers, for a fraction of its time."""
        return self.run(statements.query(table, where, "", bound), bound).first()

    def rows(self, table: type[SQLModel], where: str, order: str = "", **bound: Any) -> Sequence[sa.RowMapping]:
        """SELECT: all rows that fit `where`."""
        return self.run(statements.query(table, where, order, bound), bound).mappings().all()

    def scalar(self, sql: str, **bound: Any) -> Any:
        """The first column of the first row of any statement, None without rows; instants come as the driver's."""
        return self.run(statements.text(sql, bound), bound).scalar()

    def listed(self, sql: str, **bound: Any) -> Sequence[sa.Row[Any]]:
        """All rows of any statement."""
        return self.run(statements.text(sql, bound), bound).all()

    def affected(self, sql: str, **bound: Any) -> int:
        """Runs an UPDATE or DELETE; how many rows it changed."""
        return self.run(statements.text(sql, bound), bound).rowcount

    def column(self, sql: str, **bound: Any) -> Sequence[Any]:
        """The first column of every row."""
        return self.run(statements.text(sql, bound), bound).scalars().all()

    def run(self, statement: sa.Executable, values: Bound) -> sa.CursorResult[Any]:
        """Runs a statement without the ORM."""
        self._untouched = False
        return self._connection.execute(statement, dict(values))

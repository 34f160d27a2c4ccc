"""One transaction with its queries grouped by noun: the `Transaction` that units of work get."""

from datetime import datetime
from functools import cached_property

import sqlalchemy as sa
from sqlmodel import Session

from bot.ports import Clock
from bot.store import Topic
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

    def insert_new(self, table: type, values: dict[str, object], returning: sa.ColumnElement[int] | None = None):
        """INSERT ... ON CONFLICT DO NOTHING; the new row's id (or 1), None when a unique key was taken."""
        from sqlalchemy.dialects import postgresql, sqlite

        insert = sqlite.insert if self.sqlite else postgresql.insert
        statement = insert(table).values(values).on_conflict_do_nothing()
        if returning is not None:
            return self.session.execute(statement.returning(returning)).scalar_one_or_none()
        return 1 if self.session.execute(statement).rowcount else None

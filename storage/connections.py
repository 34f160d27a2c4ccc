"""Engines whose transactions cost as few round trips as they can: how one begins and how it commits.

PostgreSQL: `BEGIN` and the reading of its clock travel together, and so do `NOTIFY` and `COMMIT`. The `BEGIN` is also
the test whether a pooled connection is alive (docs/decisions/0008).
"""

import sqlite3
import time
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from storage.checkpoints import PAGES_MOST

THREADS_POSTGRES: Final = 6
BUSY_SECONDS: Final = 10
"""How long a transaction waits for another process that writes (ours)."""
BUSY_MS: Final = 8
"""How long it waits before it asks anew (ours)."""
_BEGUN_AT, _TOPICS = "codetask_begun_at", "codetask_topics"


def begin(engine: sa.Engine) -> sa.Connection:
    """A connection in a fresh transaction. One from the pool that turns out dead is replaced once: nothing was done on
    it, and SQLAlchemy has dropped all others of its age."""
    for again in (True, False):
        connection = engine.connect()
        try:
            connection.begin()
        except BaseException as error:
            connection.close()
            if again and isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
                continue
            raise
        return connection
    raise AssertionError


def begun_at(connection: sa.Connection) -> datetime:
    """When the transaction began, by the clock of the PostgreSQL server."""
    return connection.info[_BEGUN_AT]


def notify_at_commit(connection: sa.Connection, origin: str, topics: Collection[str]) -> None:
    """PostgreSQL: the commit of this transaction tells the listeners of these topics (plain words of ours), and which
    process it comes from."""
    assert all(word.isidentifier() for word in (origin, *topics))
    connection.info[_TOPICS] = ",".join([origin, *sorted(topics)])


def sqlite_engine(url: sa.URL, begin: str, static: bool = False) -> sa.Engine:
    """An engine whose transactions start with `begin`: writers take the write lock at once (a deferred BEGIN that
    upgrades later fails with "database is locked" under load)."""
    engine = sa.create_engine(
        url,
        hide_parameters=True,  # what is stored must not stand in the log
        # The connection used last comes first, so that the writer's thread keeps its own (`Database._others_wrote`).
        **({"poolclass": sa.pool.StaticPool} if static else {"poolclass": sa.pool.QueuePool, "pool_use_lifo": True}),
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": 10},
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        patience = BUSY_MS if begin == "BEGIN IMMEDIATE" else BUSY_SECONDS * 1000
        pragmas = ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={patience}", "foreign_keys=ON")
        for pragma in (*pragmas, f"wal_autocheckpoint={PAGES_MOST}"):
            connection.execute(f"PRAGMA {pragma}").close()

    def do_begin(pooled: sa.PoolProxiedConnection) -> None:
        _begin_sqlite(pooled.dbapi_connection, begin)

    engine.dialect.do_begin = do_begin  # type: ignore[method-assign]
    return engine


def _begin_sqlite(connection: Any, begin: str) -> None:
    """Asks for the lock every few milliseconds. SQLite itself would soon ask ten times a second only, and lose against
    another process that writes all the time; `busy_timeout` is set so that it asks a few times at each of ours."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(begin).close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise


def postgres_engine(url: sa.URL) -> sa.Engine:
    """An engine on psycopg 3 whose sessions cannot hold locks or idle in a transaction for long.

    psycopg would send a BEGIN of its own, alone, ahead of the first statement: with `autocommit` it leaves that to us,
    and its `commit` and `rollback` still end what we began."""
    options = "-c idle_in_transaction_session_timeout=10s -c lock_timeout=5s -c timezone=UTC"
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_size=THREADS_POSTGRES + 2,
        max_overflow=4,
        connect_args={"options": options, "connect_timeout": 5, "autocommit": True},
    )
    engine.dialect.do_begin = _begin_postgres  # type: ignore[method-assign]
    engine.dialect.do_commit = _commit_postgres  # type: ignore[method-assign]
    return engine


def _begin_postgres(pooled: Any) -> None:
    pooled.info.pop(_TOPICS, None)  # of a transaction that was rolled back
    # Two statements in one message: only unprepared ones may be.
    with pooled.dbapi_connection.execute("BEGIN; SELECT clock_timestamp()", prepare=False) as cursor:
        cursor.nextset()
        pooled.info[_BEGUN_AT] = cursor.fetchone()[0]


def _commit_postgres(pooled: Any) -> None:
    topics = pooled.info.pop(_TOPICS, "")
    if topics:
        pooled.dbapi_connection.execute(f"NOTIFY codetask, '{topics}'; COMMIT", prepare=False).close()
    else:
        pooled.dbapi_connection.commit()

"""The database: `open_database(url)` and `await db.run(unit)`.

A unit of work is a plain function that gets a `Transaction`, reads and writes through it and returns a value. It runs
on a small thread pool, in one transaction, and cannot await: so no network call ever happens inside a transaction. What
it `wake`s is signalled once the commit is durable.
"""

import asyncio
import itertools
import queue
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa
import structlog

from bot.ports import Clock
from bot.store import RunAgain, StoreDown, Topic
from storage.checkpoints import Checkpointer
from storage.connections import THREADS_POSTGRES, begin, notify_at_commit, postgres_engine, sqlite_engine
from storage.schema import prepare
from storage.transaction import Tx
from storage.wakeups import DataVersionWatcher, PostgresListener, Wakeups

T = TypeVar("T")
Unit = Callable[[Tx], T]
log = structlog.get_logger(__name__)

URGENT, NORMAL = 0, 1
READERS_SQLITE = 2
TRIES = 3
BACKOFF_SECONDS = (0.02, 0.05)
"""Between two tries of a unit: at random in this range, so that two who met do not meet again at once."""
POSTGRES_RETRYABLE = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03"})
"""Serialization failure, deadlock, lock timeout, and the three "server is going away" states."""
UNDONE_AT_COMMIT = frozenset({"40001", "40P01"})
"""With these a COMMIT surely wrote nothing; after any other lost one nobody knows."""
POSTGRES_AWAY = ("08", "25", "57")
"""SQLSTATE classes: connection, state of the transaction (read-only, ended for idling), operator."""
POSTGRES_REFUSES = ("authentication failed", "does not exist", "pg_hba.conf")
"""What a server says to a connection that it will not serve later either; no SQLSTATE comes with a failed one."""
START_AGAIN_SECONDS = 0.5
"""Between two looks whether the server answers by now (ours)."""
FAILED_BEFORE = "25P02"
"""A statement after one that failed, whose error was swallowed: a fault of ours, not of the server."""
REASON_SHOWN = 200
"""Characters of what the database says about an outage, in the log."""

_SEEN = "codetask_data_version"
BUSY_ENOUGH = 0.1
"""Seconds after which a writer that does not answer is taken for one that waits (ours)."""

SQLITE_DOWN = frozenset({5, 6, 8, 10, 13, 14})
"""SQLITE_BUSY, LOCKED, READONLY, IOERR, FULL and CANTOPEN."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Lane:
    """Threads that run queued jobs, urgent ones first."""

    def __init__(self, name: str, threads: int) -> None:
        self._jobs: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self.threads = [threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def submit(self, priority: int, job: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(job())
            except Exception as error:
                future.set_exception(error)

        self._jobs.put((priority, next(self._order), call))
        return future

    def close(self) -> None:
        for _ in self.threads:
            self._jobs.put((NORMAL + 1, next(self._order), None))
        for thread in self.threads:
            thread.join()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()[2]
            if job is None:
                return
            job()


class Database:
    """The store of one process. Open it with `open_database`, close it with `close`."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._clock = clock
        self._memory = False
        self.wakeups = Wakeups()
        if self.is_sqlite:
            self._open_sqlite()
        else:
            self._open_postgres()

    def _open_sqlite(self) -> None:
        memory = self._memory = self.url.database in (None, "", ":memory:")
        self._writer_engine = sqlite_engine(self.url, "BEGIN IMMEDIATE", static=memory)
        self._reader_engine = self._writer_engine if memory else sqlite_engine(self.url, "BEGIN")
        self._writer = Lane("db-write", 1)
        self._reader = self._writer if memory else Lane("db-read", READERS_SQLITE)
        self._watcher = None if memory else self._watch(str(self.url.database))
        self._checkpointer = None if memory else Checkpointer(str(self.url.database))

    def _watch(self, path: str) -> DataVersionWatcher:
        def by_others() -> bool:
            asked = self._writer.submit(URGENT, self._others_wrote)
            try:
                return asked.result(BUSY_ENOUGH)
            except TimeoutError:  # the writer waits for another process, most likely
                asked.cancel()  # it would take note, unheard, of what is written until it has its turn
                return True

        return DataVersionWatcher(path, self.wakeups, by_others)

    def _others_wrote(self) -> bool:
        """SQLite, in the writer's thread: whether another connection than its own has committed since this was asked
        last. Where the heartbeat's thread was given another one, that counts as somebody else."""
        pooled = self._writer_engine.raw_connection()
        try:
            version = pooled.cursor().execute("PRAGMA data_version").fetchone()[0]
            seen, pooled.info[_SEEN] = pooled.info.get(_SEEN), version
        finally:
            pooled.close()
        return version != seen

    def _open_postgres(self) -> None:
        self._writer_engine = self._reader_engine = postgres_engine(self.url)
        self._writer = self._reader = Lane("db", THREADS_POSTGRES)
        self._watcher = PostgresListener(self.url, self.wakeups)
        self._checkpointer = None

    @property
    def engine(self) -> sa.Engine:
        return self._writer_engine

    async def run(self, unit: Unit[T], *, read: bool = False, urgent: bool = False) -> T:
        """Runs the unit in one transaction and returns its value once the commit is durable.

        `read` promises that nothing is written; `urgent` jumps the queue (inbound events inside their ack window). A
        unit may run again after a deadlock or a connection dropped before its COMMIT, never after one dropped during
        it. Raises `StoreDown` when the database cannot be reached, and whatever the unit raises (then nothing was
        written).
        """
        lane = self._reader if read else self._writer
        future = lane.submit(URGENT if urgent else NORMAL, lambda: self.run_sync(unit, read=read))
        return await asyncio.wrap_future(future)

    def run_sync(self, unit: Unit[T], *, read: bool = False) -> T:
        """The same in the calling thread, for the heartbeat's own thread and the command line."""
        if self._memory and threading.current_thread() not in self._writer.threads:
            # One connection holds a database in memory, so only its own thread may use it.
            return self._writer.submit(NORMAL, lambda: self.run_sync(unit, read=read)).result()
        for attempt in itertools.count(1):
            try:
                return self._once(unit, read)
            except RunAgain:
                if attempt == TRIES:
                    raise
            except _CommitLostError as lost:
                log.warning("commit_lost", error=str(lost))
                self.wakeups.wake_all()  # for all we know it was written
                raise StoreDown(str(lost)) from lost
            except sa.exc.DBAPIError as error:
                if not self._is_down(error):
                    raise
                if attempt == TRIES or not self._may_retry(error):
                    log.warning("store_down", error=type(error.orig).__name__, why=_reason(error))
                    raise StoreDown(type(error.orig).__name__) from error
            time.sleep(random.uniform(*BACKOFF_SECONDS))
        raise AssertionError

    def _once(self, unit: Unit[T], read: bool) -> T:
        connection = begin(self._reader_engine if read else self._writer_engine)
        tx = Tx(connection, self._clock, sqlite=self.is_sqlite)
        try:
            value = unit(tx)
            tx.flush()
            if tx.topics and not self.is_sqlite:
                notify_at_commit(connection, self.wakeups.origin, tx.topics)
            self._commit(connection)
            if self._checkpointer is not None and not read:
                self._checkpointer.committed()
        finally:
            tx.close()
            connection.close()  # rolls back what was not committed
        for topic in tx.topics:
            self.wakeups.wake(topic)
        return value

    def _commit(self, connection: sa.Connection) -> None:
        """Commits. A unit whose COMMIT was lost may have been written, so it never runs again on its own."""
        try:
            connection.commit()
        except sa.exc.DBAPIError as error:
            if self._is_down(error) and _sqlstate(error) not in UNDONE_AT_COMMIT:
                raise _CommitLostError(type(error.orig).__name__) from error
            raise

    def _is_down(self, error: sa.exc.DBAPIError) -> bool:
        """Whether the database is the trouble (away, locked, full, read-only) and not a statement of ours."""
        if self.is_sqlite:
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
            return isinstance(error, sa.exc.OperationalError) and code in SQLITE_DOWN
        return isinstance(error, sa.exc.OperationalError) or error.connection_invalidated or _is_away(error)

    def _may_retry(self, error: sa.exc.DBAPIError) -> bool:
        if self.is_sqlite:
            return False
        return error.connection_invalidated or _is_away(error) or _sqlstate(error) in POSTGRES_RETRYABLE

    def now(self) -> datetime:
        """The present by the process's clock (inside a unit use `tx.now`)."""
        return (self._clock or SystemClock()).now()

    def version(self, topic: Topic) -> int:
        """How often `topic` was signalled; hand it to `changed` so that no signal is lost in between."""
        return self.wakeups.version(topic)

    async def changed(self, topic: Topic, seen: int, timeout: float | None = None) -> int:
        """Waits until `topic` was signalled more than `seen` times, or for `timeout` seconds; returns the count."""
        return await self.wakeups.changed(topic, seen, timeout)

    async def close(self) -> None:
        """Finishes queued work, ends the threads and closes every connection."""
        await asyncio.to_thread(self.close_sync)

    def close_sync(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
        if self._checkpointer is not None:
            self._checkpointer.close()
        self._writer.close()
        if self._reader is not self._writer:
            self._reader.close()
        self._writer_engine.dispose()
        self._reader_engine.dispose()


class _CommitLostError(Exception):
    """The connection ended while a COMMIT was under way."""


def _sqlstate(error: sa.exc.DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _reason(error: sa.exc.DBAPIError) -> str:
    """The database's own first line about it, such as `sorry, too many clients already`."""
    return next(iter(str(error.orig).strip().splitlines()), "")[:REASON_SHOWN]


def _is_away(error: sa.exc.DBAPIError) -> bool:
    state = _sqlstate(error)
    return state.startswith(POSTGRES_AWAY) and state != FAILED_BEFORE


async def open_database(url: str, clock: Clock | None = None, patience: timedelta = timedelta(0)) -> Database:
    """The store at that URL with a current schema: SQLite is migrated, PostgreSQL only checked.

    A PostgreSQL that does not answer is asked again for so long: it may be starting, too. Raises
    `storage.schema.SchemaMismatch` when the schema is not this version's, and `StoreDown`."""
    database = Database(url, clock)
    try:
        await _prepare(database, time.monotonic() + patience.total_seconds())
    except sa.exc.OperationalError as error:
        await database.close()
        raise StoreDown(type(error.orig).__name__) from error
    except BaseException:
        await database.close()
        raise
    return database


async def _prepare(database: Database, until: float) -> None:
    for attempt in itertools.count(1):
        try:
            await asyncio.to_thread(prepare, database.engine, auto=database.is_sqlite)
            return
        except sa.exc.OperationalError as error:
            left = until - time.monotonic()
            if database.is_sqlite or left <= 0 or any(words in str(error.orig) for words in POSTGRES_REFUSES):
                raise
            if attempt == 1:
                log.warning("database_away", asked_again_for_s=round(left), error=type(error.orig).__name__)
        await asyncio.sleep(min(START_AGAIN_SECONDS, left))

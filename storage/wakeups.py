"""Wake-ups: whoever waits for work is told right after the commit that made it, in this process or another.

One process: an event set after the commit. PostgreSQL: NOTIFY inside the writing transaction, one LISTEN connection
here. SQLite with a second process: `PRAGMA data_version` is watched, since SQLite has no event to wait for. Nobody is
told twice: what this process committed itself is not signalled once more when it is noticed on the database.
"""

import asyncio
import secrets
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, get_args

import sqlalchemy as sa
import structlog

from bot.store import Topic

if TYPE_CHECKING:
    import psycopg

log = structlog.get_logger(__name__)
TOPICS: tuple[Topic, ...] = get_args(Topic)
WATCH_SECONDS = 0.05
RECONNECT_SECONDS = 1.0


class Wakeups:
    """Counts signals per topic and wakes the coroutines that wait for a higher count. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: Counter[Topic] = Counter()
        self._waiters: dict[asyncio.Future[None], tuple[asyncio.AbstractEventLoop, Topic]] = {}
        self.origin = f"o{secrets.token_hex(8)}"
        """Begins the notices of this process, so that it knows its own."""

    def version(self, topic: Topic) -> int:
        with self._lock:
            return self._versions[topic]

    def wake(self, topic: Topic) -> None:
        with self._lock:
            self._versions[topic] += 1
            due = [(future, loop) for future, (loop, wanted) in self._waiters.items() if wanted == topic]
        for future, loop in due:
            loop.call_soon_threadsafe(_resolve, future)

    def wake_all(self) -> None:
        for topic in TOPICS:
            self.wake(topic)

    async def changed(self, topic: Topic, seen: int, timeout: float | None) -> int:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._versions[topic] > seen:
                return self._versions[topic]
            self._waiters[future] = (loop, topic)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            pass
        finally:
            with self._lock:
                del self._waiters[future]
        return self.version(topic)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class DataVersionWatcher:
    """Signals every topic when somebody else committed to the SQLite file.

    It looks on a connection of its own, for which everybody is somebody else; `by_others` says, when something was
    committed, whether that was not, or not only, this process."""

    def __init__(self, path: str, wakeups: Wakeups, by_others: Callable[[], bool]) -> None:
        self._path = path
        self._wakeups = wakeups
        self._by_others = by_others
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="db-watch", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                with closing(sqlite3.connect(self._path, check_same_thread=False)) as connection:
                    self._compare(connection)
            except (sqlite3.Error, sa.exc.DBAPIError) as error:
                log.warning("watch_lost", error=type(error).__name__)
                self._stop.wait(RECONNECT_SECONDS)
                self._wakeups.wake_all()  # commits may have been missed

    def _compare(self, connection: sqlite3.Connection) -> None:
        seen = connection.execute("PRAGMA data_version").fetchone()[0]
        while not self._stop.wait(WATCH_SECONDS):
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            if version != seen:
                seen = version
                if self._by_others():
                    self._wakeups.wake_all()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


class PostgresListener:
    """One LISTEN connection; reconnects by itself and then signals everything, since notices may have been missed."""

    def __init__(self, url: sa.URL, wakeups: Wakeups) -> None:
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._wakeups = wakeups
        self._stop = threading.Event()
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="db-listen", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        import psycopg

        lost = False  # said once, however long it lasts
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True, connect_timeout=5) as connection:
                    connection.execute("LISTEN codetask")
                    self._wakeups.wake_all()
                    self.ready.set()
                    if lost:
                        log.info("listen_back")
                    lost = False
                    self._receive(connection)
            except psycopg.Error as error:
                if not lost:
                    log.warning("listen_lost", error=type(error).__name__)
                lost = True
                self._stop.wait(RECONNECT_SECONDS)

    def _receive(self, connection: "psycopg.Connection") -> None:
        while not self._stop.is_set():
            for notice in connection.notifies(timeout=0.5):
                words = notice.payload.split(",")
                for topic in words if words[0] != self._wakeups.origin else ():
                    if topic in TOPICS:
                        self._wakeups.wake(topic)
                if self._stop.is_set():
                    return

    def close(self) -> None:
        import psycopg

        self._stop.set()
        with suppress(psycopg.Error), psycopg.connect(self._conninfo, autocommit=True, connect_timeout=1) as connection:
            connection.execute("NOTIFY codetask")  # ends the wait for notices at once
        self._thread.join()

"""Wake-ups: who waits is told right after the commit, in this process, in another one, and after a lost connection."""

import asyncio
import itertools
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from storage.engine import Database
from storage.transaction import Tx
from storage.wakeups import DataVersionWatcher, PostgresListener, Wakeups
from tests.clock import FakeClock
from tests.storage.conformance.bench import file
from tests.stores import every_store, only_postgres, only_sqlite

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0
ELSEWHERE = """
import sys
import threading
from storage.engine import Database
from tests.storage.conformance.bench import file
store = Database(sys.argv[1])
store.run_sync(file)
store.close_sync()
"""


@pytest.fixture
async def second(store: Database, database_url: str, clock: FakeClock) -> AsyncIterator[Database]:
    """Another store on the same database, as a second bot has it."""
    other = Database(database_url, clock)
    if isinstance(other._watcher, PostgresListener):
        assert await asyncio.to_thread(other._watcher.ready.wait, DEADLINE)
    yield other
    await other.close()


@every_store
async def test_a_commit_wakes_who_waits(store: Database) -> None:
    seen = store.version("run")
    waiting = asyncio.create_task(store.changed("run", seen, DEADLINE))
    await store.run(file)
    assert await waiting > seen


@every_store
async def test_a_signal_between_look_and_wait_is_not_lost(store: Database) -> None:
    seen = store.version("run")
    await store.run(file)
    assert await store.changed("run", seen, DEADLINE) > seen


@every_store
async def test_other_topics_do_not_wake(store: Database) -> None:
    seen = store.version("outbox")
    waiting = asyncio.create_task(store.changed("outbox", seen, DEADLINE))
    await asyncio.sleep(0)
    store.wakeups.wake("run")
    await asyncio.sleep(0)
    assert not waiting.done()
    store.wakeups.wake("outbox")
    assert await waiting == seen + 1


@every_store
async def test_waiting_ends_with_its_time(store: Database) -> None:
    seen = store.version("inbound")
    assert await store.changed("inbound", seen, 0.001) == seen


async def test_a_commit_wakes_another_bot(store: Database, second: Database) -> None:
    seen = second.version("run")
    await store.run(file)
    assert await second.changed("run", seen, DEADLINE) > seen
    assert await second.run(lambda tx: tx.runs.claim("w", "h", 1, 9, timedelta(seconds=60))) is not None


async def test_an_own_commit_is_signalled_once(store: Database, second: Database) -> None:
    watcher = store._watcher
    if isinstance(watcher, DataVersionWatcher):
        await asyncio.to_thread(watcher._by_others)  # what was written before anybody asked is not known
    seen = {topic: store.version(topic) for topic in ("run", "outbox")}
    await store.run(file)
    if isinstance(watcher, DataVersionWatcher):
        assert not await asyncio.to_thread(watcher._by_others)
    await second.run(lambda tx: tx.wake("outbox") or tx.leases.hold("a", "b", timedelta(seconds=60)))
    assert await store.changed("outbox", seen["outbox"], DEADLINE) > seen["outbox"], "notices arrive in order"
    if isinstance(watcher, PostgresListener):
        assert store.version("run") == seen["run"] + 1
    else:
        await store.changed("run", seen["run"] + 1, DEADLINE)
        assert store.version("run") == seen["run"] + 2, "another process does not say what it wrote"


@only_sqlite
async def test_two_threads_that_write_do_not_wake_it_for_ever(store: Database) -> None:
    """The heartbeat's thread is given a connection of its own while the writer's is in use; afterwards the writer keeps
    to one again."""
    watcher = store._watcher
    assert isinstance(watcher, DataVersionWatcher)
    inside, go = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        inside.set()
        assert go.wait(DEADLINE)

    reading = asyncio.create_task(store.run(slow))
    assert await asyncio.to_thread(inside.wait, DEADLINE)
    overlapping = store.engine.raw_connection()  # as the other thread's, before its BEGIN
    go.set()
    await reading
    overlapping.close()
    await store.run(file)
    await asyncio.to_thread(watcher._by_others)
    for _ in range(3):
        await store.run(file)
        assert not await asyncio.to_thread(watcher._by_others)


@only_sqlite
async def test_what_others_wrote_while_the_writer_was_busy_is_not_missed(store: Database, second: Database) -> None:
    watcher, go = store._watcher, threading.Event()
    assert isinstance(watcher, DataVersionWatcher)
    await asyncio.to_thread(watcher._by_others)
    busy = store._writer.submit(0, lambda: go.wait(DEADLINE))
    assert await asyncio.to_thread(watcher._by_others), "it cannot know, so it says so"
    await second.run(file)
    go.set()
    assert busy.result(DEADLINE)
    await store.run(lambda tx: None, read=False)
    assert await asyncio.to_thread(watcher._by_others)


async def test_a_commit_wakes_another_process(store: Database, database_url: str) -> None:
    seen = store.version("run")
    command = [sys.executable, "-c", ELSEWHERE, database_url]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=subprocess.PIPE)
    assert await store.changed("run", seen, DEADLINE) > seen
    _, err = await process.communicate()
    assert process.returncode == 0, err


@only_postgres
async def test_a_lost_listener_comes_back_and_signals_everything(store: Database, database_url: str) -> None:
    seen = {topic: store.version(topic) for topic in ("run", "outbox")}
    with psycopg.connect(database_url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        ).fetchall()
    assert ended == [(True,)]
    for topic in ("run", "outbox"):
        assert await store.changed(topic, seen[topic], DEADLINE) > seen[topic]
    seen_run = store.version("run")
    await store.run(file)
    assert await store.changed("run", seen_run, DEADLINE) > seen_run


async def test_a_watch_that_broke_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "codetask.db"
    path.mkdir()  # SQLite cannot open it
    wakeups = Wakeups()
    watcher = DataVersionWatcher(str(path), wakeups, lambda: True)
    try:
        assert await wakeups.changed("run", 0, DEADLINE) > 0, "it went on after its first error"
        path.rmdir()
        async with asyncio.timeout(DEADLINE):
            with closing(sqlite3.connect(path)) as other:
                for n in itertools.count():
                    seen = wakeups.version("run")
                    other.execute(f"CREATE TABLE t{n} (x)")
                    if await wakeups.changed("run", seen, 1.0) > seen and n > 2:
                        break
    finally:
        await asyncio.to_thread(watcher.close)


@only_postgres
async def test_a_rolled_back_unit_notifies_nobody(store: Database, second: Database) -> None:
    seen, quiet = second.version("run"), second.version("outbox")

    def broken(tx: Tx) -> None:
        file(tx)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.run(broken)
    await store.run(lambda tx: tx.wake("outbox"))
    assert await second.changed("outbox", quiet, DEADLINE) > quiet, "notices arrive in order"
    assert second.version("run") == seen

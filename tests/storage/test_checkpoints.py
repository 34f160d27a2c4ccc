"""SQLite's checkpoints beside the writer."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.checkpoints import EVERY, PAGES_MOST, Checkpointer
from storage.engine import Database
from tests.stores import only_sqlite


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that never does a checkpoint itself."""
    connection = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}").close()
    connection.execute("CREATE TABLE note (text TEXT)").close()
    yield connection
    connection.close()


@pytest.fixture
def checkpointer(tmp_path: Path, writer: sqlite3.Connection) -> Iterator[Checkpointer]:
    keeper = Checkpointer(str(tmp_path / "log.db"))
    yield keeper
    keeper.close()


def until(found: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + 20, threading.Event()
    while not found():
        assert time.monotonic() < deadline
        pause.wait(0.01)


def moved(tmp_path: Path) -> bool:
    """Whether the database file by itself, without its log, has the rows."""
    alone = tmp_path / "alone.db"
    alone.write_bytes((tmp_path / "log.db").read_bytes())
    with sqlite3.connect(alone) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        count = connection.execute("SELECT count(*) FROM note").fetchone()[0] if tables else 0
    connection.close()
    return count == EVERY


def test_what_was_committed_is_moved_without_the_writer(
    tmp_path: Path, writer: sqlite3.Connection, checkpointer: Checkpointer
) -> None:
    for number in range(EVERY):
        assert not moved(tmp_path)
        writer.execute("INSERT INTO note VALUES (?)", (f"note {number}",)).close()
        checkpointer.committed()
    until(lambda: moved(tmp_path))


def test_a_reader_and_a_writer_in_the_middle_hold_nothing_up(
    tmp_path: Path, writer: sqlite3.Connection, checkpointer: Checkpointer
) -> None:
    reader = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    for number in range(EVERY):
        writer.execute("INSERT INTO note VALUES (?)", (f"note {number}",)).close()
    reader.execute("BEGIN").close()
    assert reader.execute("SELECT count(*) FROM note").fetchone() == (EVERY,)
    writer.execute("BEGIN IMMEDIATE").close()
    writer.execute("INSERT INTO note VALUES ('not committed')").close()
    for _ in range(EVERY):
        checkpointer.committed()
    until(lambda: moved(tmp_path))
    writer.execute("COMMIT").close()
    assert reader.execute("SELECT count(*) FROM note").fetchone() == (EVERY,)
    reader.close()


def test_a_database_that_is_gone_is_left_to_the_writer(tmp_path: Path) -> None:
    keeper = Checkpointer(str(tmp_path / "gone.db"))
    for _ in range(EVERY):
        keeper.committed()
    until(lambda: not keeper._due.is_set())
    keeper.close()
    assert list(tmp_path.iterdir()) == [], "and no empty one takes its place"


@only_sqlite
def test_the_store_lets_the_log_grow_no_further_than_that(store: Database) -> None:
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar() == PAGES_MOST

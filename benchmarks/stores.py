"""Fresh stores to measure on: a SQLite file on disk, and a private PostgreSQL (or `TEST_POSTGRES_URL`)."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.engine import Database, postgres_engine, sqlite_engine
from storage.schema import migrate
from storage.wakeups import PostgresListener
from tests.postgres_server import PostgresServer, Unavailable, execute, with_database

__all__ = ["Unavailable", "open_store", "postgres_server", "postgres_url", "sqlite_url"]


@contextmanager
def sqlite_url() -> Iterator[str]:
    """The URL of a migrated SQLite file in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="codetask-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'codetask.db'}"
        _migrate(url)
        yield url


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL on which databases can be made. Raises `Unavailable` with what to do."""
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield url
        return
    server = PostgresServer()
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def postgres_url(server: str, *, empty: bool = False) -> Iterator[str]:
    """The URL of a migrated database of its own (`empty`: without tables)."""
    name = f"codetask_bench_{uuid.uuid4().hex[:8]}"
    execute(server, f"CREATE DATABASE {name}")
    url = with_database(server, name)
    try:
        if not empty:
            _migrate(url)
        yield url
    finally:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def open_store(url: str) -> Iterator[Database]:
    """An open store; on PostgreSQL it listens."""
    database = Database(url)
    try:
        watcher = database._watcher
        if isinstance(watcher, PostgresListener) and not watcher.ready.wait(20):
            raise TimeoutError("LISTEN did not start")
        yield database
    finally:
        database.close_sync()


def _migrate(url: str) -> None:
    import sqlalchemy as sa

    where = sa.make_url(url)
    engine = sqlite_engine(where, "BEGIN IMMEDIATE") if url.startswith("sqlite") else postgres_engine(where)
    migrate(engine)
    engine.dispose()

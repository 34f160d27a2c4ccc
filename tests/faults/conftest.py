"""Fixtures of the fault tests: where processes come from, and how often a fault is repeated."""

import itertools
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.process import Nursery
from tests.postgres_databases import Databases
from tests.postgres_server import PostgresServer, Unavailable, execute, with_database

Urls = Callable[[int], list[str]]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Forks real processes of the product."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="session")
def long_run() -> bool:
    """Whether the full counts are asked for (`make faults`)."""
    return os.environ.get("CODETASK_FAULT_ROUNDS") == "long"


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that nobody else uses."""
    try:
        server = PostgresServer()
    except Unavailable as why:
        pytest.skip(str(why))
    yield server
    server.stop()


def migrated(server: PostgresServer) -> str:
    """The URL of a migrated database on it."""
    import sqlalchemy as sa

    from storage.engine import postgres_engine
    from storage.schema import migrate

    name = f"codetask_fault_{uuid.uuid4().hex[:12]}"
    execute(server.url, f"CREATE DATABASE {name}")
    url = with_database(server.url, name)
    engine = postgres_engine(sa.make_url(url))
    migrate(engine)
    engine.dispose()
    return url


@pytest.fixture
def sqlite_urls(tmp_path: Path, sqlite_template: Path) -> Urls:
    """Makes migrated SQLite databases."""
    numbers = itertools.count()

    def make(count: int) -> list[str]:
        paths = [tmp_path / f"db{next(numbers)}.sqlite" for _ in range(count)]
        for path in paths:
            shutil.copyfile(sqlite_template, path)
        return [f"sqlite:///{path}" for path in paths]

    return make


@pytest.fixture
def postgres_urls(postgres_databases: Databases) -> Iterator[Urls]:
    """Makes migrated PostgreSQL databases; they are gone when the next ones are made, and after the test."""
    taken: list[str] = []

    def give_back() -> None:
        for url in taken:
            postgres_databases.give_back(url, reuse=False)
        taken.clear()

    def make(count: int) -> list[str]:
        give_back()
        taken.extend(postgres_databases.take() for _ in range(count))
        return list(taken)

    yield make
    give_back()


@pytest.fixture(params=["sqlite", "postgres"])
def site_url(request: pytest.FixtureRequest) -> str:
    """One migrated database, once per store, for a site of processes."""
    return request.getfixturevalue(f"{request.param}_urls")(1)[0]

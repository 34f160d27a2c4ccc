"""Fixtures that every test may use: a database of its own on each store, and a clock moved by hand.

`database_url` and `store` run a test once per store (ids `sqlite`, `postgres`; add `memory` with the decorator
`every_store` of tests/stores.py). PostgreSQL comes from tests/postgres_server.py; where it cannot be had those tests
are skipped, and under CODETASK_REQUIRE_POSTGRES=1 a run in which no PostgreSQL test executed fails.
"""

import os
import shutil
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
import structlog

from tests.clock import FakeClock
from tests.postgres_databases import Databases
from tests.postgres_server import PostgresServer, Unavailable, execute, with_database

if TYPE_CHECKING:
    from storage.engine import Database

PLAIN = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])
"""Tracebacks as Python prints them: the coloured ones with all values cost a second each."""

STORES = ("sqlite", "postgres")
LONG_SECONDS = 1800
"""The limit of a test of `make faults`, in place of its own."""
IN_TURN = ("services", "web")
"""Folders whose tests `make test` runs on one of the stores each, by the name of the test: what a database may do in
another way is tested in tests/storage, on all of them."""

POSTGRES_RAN = pytest.StashKey[int]()
FAILED = pytest.StashKey[bool]()
"""Whether the test itself failed, for the fixtures that clean up behind it."""


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test moves it."""
    return FakeClock()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL on which databases can be made; the test is skipped where there is none."""
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield url
        return
    try:
        server = PostgresServer()
    except Unavailable as why:
        pytest.skip(str(why))
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that others are copied from."""
    name = f"codetask_template_{uuid.uuid4().hex[:8]}"
    execute(postgres_url, f"CREATE DATABASE {name}")
    _migrate(with_database(postgres_url, name))
    yield name
    execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str, postgres_template: str) -> Iterator[Databases]:
    """Migrated databases without rows."""
    databases = Databases(postgres_url, postgres_template)
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that others are copied from."""
    path = tmp_path_factory.mktemp("template") / "codetask.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> Iterator[str]:
    """A PostgreSQL database without tables."""
    name = f"codetask_test_{uuid.uuid4().hex[:12]}"
    execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE template0")
    yield with_database(postgres_url, name)
    execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=STORES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database, once per store."""
    if request.param == "memory":
        yield "sqlite://"
    elif request.param == "sqlite":
        path = tmp_path / "codetask.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
    else:
        databases = request.getfixturevalue("postgres_databases")
        url = databases.take()
        yield url
        databases.give_back(url, reuse=not request.node.stash.get(FAILED, False))


@pytest.fixture
def store(database_url: str, clock: FakeClock) -> Iterator["Database"]:
    """An open store on `database_url` that tells the time by `clock`."""
    from storage.engine import Database
    from storage.schema import migrate
    from storage.wakeups import PostgresListener

    database = Database(database_url, clock)
    if database_url == "sqlite://":
        migrate(database.engine)
    if isinstance(database._watcher, PostgresListener):
        assert database._watcher.ready.wait(20), "LISTEN did not start"
    yield database
    database.close_sync()


def _migrate(url: str) -> None:
    import sqlalchemy as sa

    from storage.engine import postgres_engine, sqlite_engine
    from storage.schema import migrate

    where = sa.make_url(url)
    engine = sqlite_engine(where, "BEGIN IMMEDIATE") if url.startswith("sqlite") else postgres_engine(where)
    migrate(engine)
    engine.dispose()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[POSTGRES_RAN] = 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `long` runs with `make faults` only, and so does the second store of `IN_TURN`."""
    if os.environ.get("CODETASK_FAULT_ROUNDS") != "long":
        left_out = [item for item in items if item.get_closest_marker("long") is not None or _is_for_the_other(item)]
        config.hook.pytest_deselected(items=left_out)
        left = set(left_out)
        items[:] = [item for item in items if item not in left]
        return
    for item in items:  # the long counts take longer than what is set for the short ones
        item.add_marker(pytest.mark.timeout(LONG_SECONDS), append=False)


def _is_for_the_other(item: pytest.Item) -> bool:
    """Whether it runs on both stores, of which it is not the turn of this one."""
    callspec = getattr(item, "callspec", None)
    store = callspec.params.get("database_url") if callspec is not None else None
    chosen = any(mark.args[0] == "database_url" for mark in item.iter_markers("parametrize"))
    if store not in STORES or chosen or item.path.parent.name not in IN_TURN:
        return False
    name = item.nodeid.replace("sqlite", "").replace("postgres", "")
    return STORES[crc32(name.encode()) % 2] != store


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    callspec = getattr(item, "callspec", None)
    if callspec is not None and "postgres" in callspec.params.values():
        item.config.stash[POSTGRES_RAN] += 1
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


def _postgres_missing(config: pytest.Config) -> bool:
    return os.environ.get("CODETASK_REQUIRE_POSTGRES") == "1" and config.stash[POSTGRES_RAN] == 0


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # one of several processes (`-n`): the one that started them adds up
        output["postgres_ran"] = session.config.stash[POSTGRES_RAN]
        return
    if _postgres_missing(session.config) and not session.config.option.collectonly:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[POSTGRES_RAN] += getattr(node, "workeroutput", {}).get("postgres_ran", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    ran = config.stash[POSTGRES_RAN]
    if _postgres_missing(config):
        terminalreporter.write_line("FAILED: no test ran on PostgreSQL, and CODETASK_REQUIRE_POSTGRES=1", red=True)
    elif ran:
        terminalreporter.write_line(f"{ran} tests ran on PostgreSQL")

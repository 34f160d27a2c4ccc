"""The engine under its own units: deadlocks, a server that goes away, readers beside a writer, closing."""

import asyncio
import select
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from bot.store import StoreDown
from storage.engine import Database, open_database
from storage.schema import SchemaMismatch, check_schema, migrate
from storage.transaction import Tx
from tests.clock import FakeClock
from tests.postgres_server import PostgresServer, Unavailable, execute, with_database
from tests.storage.conformance.bench import LEASE, Bench, draft, file, together, where
from tests.stores import every_store, only_postgres, only_sqlite

DEADLINE = 20.0


@pytest.fixture
def own_server(postgres_url: str) -> Iterator[PostgresServer]:
    """A server of the test's own, to be crashed."""
    try:
        server = PostgresServer()
    except Unavailable as why:
        pytest.skip(str(why))
    yield server
    server.stop()


@only_postgres
def test_a_deadlock_is_run_again(store: Database) -> None:
    bench = Bench(store, FakeClock(), "")
    ids = [bench.file().id for _ in range(2)]
    meet = threading.Barrier(2)
    tries: list[int] = []

    def work(number: int) -> None:
        first, second = ids if number else ids[::-1]
        met: list[bool] = []

        def unit(tx: Tx) -> None:
            tries.append(number)
            touch = sa.text("UPDATE code_task SET tokens = coalesce(tokens, 0) + 1 WHERE id = :id")
            tx.session.execute(touch, {"id": first})
            if not met:
                met.append(True)
                meet.wait(DEADLINE)
            tx.session.execute(touch, {"id": second})

        store.run_sync(unit)

    together(2, work)
    assert len(tries) >= 3, "one of the two was rolled back and run again"
    assert bench.rows("SELECT DISTINCT tokens FROM code_task") == [(2,)]


@only_postgres
@pytest.mark.parametrize("written", [True, False])
def test_a_unit_whose_commit_was_lost_does_not_run_again(store: Database, written: bool) -> None:
    """Nobody knows whether it was written: a second run could file, claim or announce a second time."""
    tries: list[int] = []

    def lose(connection: sa.Connection) -> None:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        if written:
            raw.commit()
        raw.close()

    def unit(tx: Tx) -> None:
        tries.append(1)
        file(tx, name=f"n{len(tries)}", uuid=f"u{len(tries)}")

    sa.event.listen(store.engine, "commit", lose, once=True)
    with pytest.raises(StoreDown):
        store.run_sync(unit)
    assert len(tries) == 1
    assert Bench(store, FakeClock(), "").rows("SELECT count(*) FROM code_task") == [(int(written),)]


@only_postgres
def test_a_commit_that_surely_wrote_nothing_is_run_again(store: Database, database_url: str) -> None:
    execute(
        database_url,
        "CREATE SEQUENCE commits",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('commits') = 1 THEN"
        " RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON code_task DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    store.run_sync(file)
    rows = Bench(store, FakeClock(), "").rows("SELECT last_value, (SELECT count(*) FROM code_task) FROM commits")
    assert rows == [(2, 1)]


@only_postgres
def test_a_session_that_idled_too_long_is_met_again(store: Database) -> None:
    tries: list[int] = []

    def unit(tx: Tx) -> None:
        tries.append(1)
        if len(tries) == 1:
            tx.session.execute(sa.text("SET idle_in_transaction_session_timeout = '1ms'"))
            raw = tx.session.connection().connection.dbapi_connection
            assert raw is not None and select.select([raw.fileno()], [], [], DEADLINE)[0], "the server says goodbye"
        file(tx)

    store.run_sync(unit)
    assert len(tries) == 2


@only_postgres
def test_a_server_that_only_reads_is_said_to_be_down(store: Database) -> None:
    def unit(tx: Tx) -> None:
        tx.session.execute(sa.text("SET TRANSACTION READ ONLY"))
        file(tx)

    with pytest.raises(StoreDown):
        store.run_sync(unit)


async def migrated(server: PostgresServer) -> str:
    """The URL of a database with our tables."""
    execute(server.url, "CREATE DATABASE bot")
    url = with_database(server.url, "bot")
    fresh = Database(url)
    await asyncio.to_thread(migrate, fresh.engine)
    await fresh.close()
    return url


async def test_a_server_that_crashed_is_met_again(own_server: PostgresServer, clock: FakeClock) -> None:
    url = await migrated(own_server)
    store = await open_database(url, clock)
    try:
        await store.run(file)
        await asyncio.to_thread(own_server.crash)
        assert await store.run(lambda tx: tx.runs.claim("w", "h", 1, 9, LEASE)) is not None
        seen = store.version("run")
        await store.run(lambda tx: file(tx, name="second", uuid="second"))
        assert await store.changed("run", seen, DEADLINE) > seen
    finally:
        await store.close()


async def test_a_start_waits_for_a_server_that_comes_back(own_server: PostgresServer, clock: FakeClock) -> None:
    url = await migrated(own_server)
    own_server.go_down()
    with capture_logs() as said:
        opening = asyncio.create_task(open_database(url, clock, timedelta(seconds=DEADLINE)))
        while not away(said):
            done, _ = await asyncio.wait([opening], timeout=0.02)
            assert not done
        await asyncio.to_thread(own_server.come_back)
        store = await opening
    try:
        assert len(away(said)) == 1
        await store.run(file)
    finally:
        await store.close()


async def test_a_start_does_not_wait_for_a_server_that_refuses(own_server: PostgresServer) -> None:
    with capture_logs() as said, pytest.raises(StoreDown):
        await open_database(with_database(own_server.url, "nowhere"), patience=timedelta(hours=1))
    assert not away(said)


def away(said: Sequence[Mapping[str, object]]) -> list[object]:
    return [line for line in said if line["event"] == "database_away"]


async def test_a_server_that_is_away_is_said_to_be(own_server: PostgresServer, clock: FakeClock) -> None:
    execute(own_server.url, "CREATE DATABASE bot")
    store = Database(with_database(own_server.url, "bot"), clock)
    try:
        execute(own_server.url, "ALTER DATABASE bot ALLOW_CONNECTIONS false")
        with capture_logs() as said, pytest.raises(StoreDown):
            await store.run(lambda tx: tx.session.execute(sa.text("SELECT 1")).scalar())
        assert "not currently accepting connections" in said[-1]["why"]
        execute(own_server.url, "ALTER DATABASE bot ALLOW_CONNECTIONS true")
        assert await store.run(lambda tx: tx.session.execute(sa.text("SELECT 1")).scalar()) == 1
    finally:
        await store.close()


@only_sqlite
async def test_readers_do_not_wait_for_a_writer(store: Database) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        file(tx)
        inside.set()
        assert go_on.wait(DEADLINE)

    writing = asyncio.create_task(store.run(slow))
    assert await asyncio.to_thread(inside.wait, DEADLINE)
    async with asyncio.timeout(DEADLINE):
        assert (
            await store.run(lambda tx: tx.session.execute(sa.text("SELECT count(*) FROM run")).scalar(), read=True) == 0
        )
    go_on.set()
    await writing


@only_sqlite
async def test_urgent_units_go_first(store: Database) -> None:
    inside, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def slow(tx: Tx) -> None:
        inside.set()
        assert go_on.wait(DEADLINE)

    first = asyncio.create_task(store.run(slow))
    assert await asyncio.to_thread(inside.wait, DEADLINE)
    later = [asyncio.create_task(store.run(lambda tx: order.append("normal"))) for _ in range(3)]
    await asyncio.sleep(0)
    urgent = asyncio.create_task(store.run(lambda tx: order.append("urgent"), urgent=True))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, urgent, *later)
    assert order == ["urgent", "normal", "normal", "normal"]


@only_sqlite
def test_a_locked_file_is_waited_for(store: Database, database_url: str, clock: FakeClock) -> None:
    other = Database(database_url, clock)
    inside, waiting = threading.Event(), threading.Event()

    def holder(tx: Tx) -> None:
        file(tx)
        inside.set()
        assert waiting.wait(DEADLINE)

    def work(number: int) -> None:
        if number:
            store.run_sync(holder)
            return
        assert inside.wait(DEADLINE)
        waiting.set()
        other.run_sync(lambda tx: file(tx, name="b", uuid="b"))

    together(2, work)
    assert Bench(other, clock, "").rows("SELECT count(*) FROM run") == [(2,)]
    other.close_sync()


@every_store
async def test_a_unit_that_raises_leaves_the_store_usable(store: Database) -> None:
    for _ in range(12):
        with pytest.raises(ZeroDivisionError):
            await store.run(lambda tx: 1 // 0)
        with pytest.raises(sa.exc.IntegrityError):
            await store.run(lambda tx: tx.session.execute(sa.text("INSERT INTO card (key, thread_id) VALUES ('a', 9)")))
    await store.run(file)


async def test_closing_finishes_what_was_asked(store: Database, database_url: str, clock: FakeClock) -> None:
    other = Database(database_url, clock)
    asked = [asyncio.create_task(other.run(lambda tx, n=n: file(tx, name=f"n{n}", uuid=f"u{n}"))) for n in range(5)]
    await asyncio.sleep(0)
    await other.close()
    await asyncio.gather(*asked)
    assert Bench(store, clock, "").rows("SELECT count(*) FROM run") == [(5,)]


async def test_a_new_sqlite_file_gets_its_schema_at_the_start(tmp_path: Path) -> None:
    store = await open_database(f"sqlite:///{tmp_path / 'new.db'}")
    try:
        assert check_schema(store.engine) == []
        assert await store.run(lambda tx: tx.threads.open(where()).id) == 1
        assert await store.run(lambda tx: draft(tx).created_at.tzinfo) is not None
    finally:
        await store.close()


async def test_postgres_is_only_checked_at_the_start(empty_postgres_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="codetask db upgrade"):
        await open_database(empty_postgres_url)

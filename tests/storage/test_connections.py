"""How transactions begin and end: a dead connection from the pool, what is told at the commit, the lost race."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from storage.engine import Database
from storage.transaction import Tx
from storage.wakeups import PostgresListener
from tests.clock import FakeClock
from tests.postgres_server import execute
from tests.storage.conformance.bench import Bench, file, together
from tests.stores import every_store, only_postgres

KILL_OTHERS = (
    "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def sent(store: Database, unit: Callable[[Tx], None], log: Path) -> list[str]:
    """What one connection sent to the server while it ran `unit`: the kinds of the messages that wait for an answer."""
    with log.open("w") as trace:

        def libpq(tx: Tx) -> Any:
            return tx.session.connection().connection.dbapi_connection.pgconn  # type: ignore[union-attr]

        store.run_sync(lambda tx: libpq(tx).trace(trace.fileno()))
        store.run_sync(unit)
        store.run_sync(lambda tx: libpq(tx).untrace())
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    own = [line[3] for line in lines if len(line) > 3 and line[1] == "F" and line[3] in ("Query", "Sync")]
    return own[1:-1]  # without the COMMIT of the first unit and the BEGIN of the last


@only_postgres
def test_a_dead_connection_from_the_pool_is_replaced_before_anything_is_done(
    store: Database, database_url: str
) -> None:
    held = Barrier(3)

    def fill(_: int) -> None:
        store.run_sync(lambda tx: (tx.session.execute(sa.text("SELECT 1")).scalar(), held.wait(20)))

    together(3, fill)
    execute(database_url, KILL_OTHERS)
    tries: list[int] = []
    for _ in range(3):
        store.run_sync(lambda tx: tries.append(tx.session.execute(sa.text("SELECT 1")).scalar_one()))
    assert tries == [1, 1, 1], "no unit ran twice"


@only_postgres
def test_a_write_costs_three_round_trips(store: Database, tmp_path: Path) -> None:
    """BEGIN with the clock, the statement, NOTIFY with COMMIT."""
    store.run_sync(file)

    def unit(tx: Tx) -> None:
        assert tx.now is not None
        assert tx.affected("UPDATE run SET priority = priority WHERE id = 1") == 1
        tx.wake("run")

    assert sent(store, unit, tmp_path / "trace") == ["Query"] * 3


@only_postgres
async def test_listeners_hear_of_every_topic_and_not_of_what_was_rolled_back(
    store: Database, database_url: str, clock: FakeClock
) -> None:
    other = Database(database_url, clock)
    try:

        def failing(tx: Tx) -> None:
            tx.wake("outbox")
            raise ZeroDivisionError

        def both(tx: Tx) -> None:
            tx.wake("task")
            tx.wake("run")

        assert isinstance(other._watcher, PostgresListener)
        assert await asyncio.to_thread(other._watcher.ready.wait, 20)
        seen = {topic: other.version(topic) for topic in ("task", "run", "outbox")}
        with pytest.raises(ZeroDivisionError):
            await store.run(failing)
        await store.run(both)
        for topic in ("task", "run"):
            assert await other.changed(topic, seen[topic], 20) == seen[topic] + 1
        assert other.version("outbox") == seen["outbox"]
    finally:
        await other.close()


@every_store
@pytest.mark.parametrize("written_before", [False, True])
def test_a_lost_race_leaves_what_came_before(store: Database, clock: FakeClock, written_before: bool) -> None:
    gate = "INSERT INTO rate_gate (scope, blocked_until) VALUES (:scope, :at)"

    def add(tx: Tx, scope: str) -> None:
        tx.affected(gate, scope=scope, at=tx.now)

    def unit(tx: Tx) -> None:
        if written_before:
            add(tx, "before")
        with pytest.raises(sa.exc.IntegrityError), tx.may_lose_a_race():
            add(tx, "taken")
        add(tx, "after")

    store.run_sync(lambda tx: add(tx, "taken"))
    store.run_sync(unit)
    expected = {"taken", "after"} | ({"before"} if written_before else set())
    found = Bench(store, clock, "").rows("SELECT scope FROM rate_gate")
    assert {row[0] for row in found} == expected

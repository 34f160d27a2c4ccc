"""The loops of a process: one bad row or one unexpected error never ends them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from bot.core.cards import Doc
from bot.store import Delivery
from bot.worker.loop import Worker
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.conformance.bench import where
from tests.storage.world import World
from tests.stores import only_sqlite

DEADLINE = 20.0
pytestmark = only_sqlite


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(store, clock, tmp_path)


@contextmanager
def logged(name: str, times: int) -> Iterator[asyncio.Event]:
    """Set once `name` was logged that often."""
    event, left = asyncio.Event(), [times]

    def hear(_logger: Any, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if entry["event"] == name:
            assert name.endswith("_failed") <= bool(entry.get("ref")), "an unexpected error has a reference"
            left[0] -= 1
            if left[0] == 0:
                event.set()
        return entry

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[hear, *before])
    try:
        yield event
    finally:
        structlog.configure(processors=before)


@asynccontextmanager
async def running(loop: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(loop(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE):
            await task


def rename(world: World, table: str, name: str) -> None:
    world.store.run_sync(lambda tx: tx.session.execute(sa.text(f"ALTER TABLE {table} RENAME TO {name}")))


def worker(world: World) -> Worker:
    app = world.app
    sandbox = SimpleNamespace(name="none")
    tools = SimpleNamespace(
        store=world.store,
        settings=app.settings,
        attempts=app.attempts,
        redactor=app.redactor,
        sandbox=sandbox,
        followup_runs=app.followup_runs,
    )
    return Worker(tools)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "loop"),
    [
        ("inbound", lambda world: world.app.inbox.run),
        ("outbox", lambda world: world.app.relay.run),
        ("run", lambda world: worker(world).run),
    ],
    ids=["inbox", "relay", "worker"],
)
async def test_a_loop_goes_on_after_an_unexpected_error(world: World, table: str, loop: Any) -> None:
    rename(world, table, "gone")
    with logged("loop_failed", 2) as twice:
        async with running(loop(world)), asyncio.timeout(DEADLINE):
            await twice.wait()
            rename(world, "gone", table)


async def test_a_damaged_event_is_parked_and_the_next_is_handled(world: World) -> None:
    await world.say(world.command("help", key="A1:c:1"))
    await world.say(world.command("help", key="A1:c:2"))
    world.store.run_sync(lambda tx: tx.session.execute(sa.text("UPDATE inbound SET payload = '{' WHERE id = 1")))
    async with asyncio.timeout(DEADLINE):
        await world.settle()
    assert world.rows("SELECT id, state FROM inbound ORDER BY id") == [(1, "failed"), (2, "done")]
    assert world.rows("SELECT actor, action, subject FROM audit") == [("inbox", "unreadable", "A1:c:1")]
    assert len(world.chat.whispers) == 1


async def test_a_damaged_delivery_is_parked_and_the_next_is_sent(world: World) -> None:
    def put(tx: Any) -> None:
        thread = tx.threads.open(where("1.0")).id
        for key in ("one", "two"):
            tx.outbox.add(thread, Delivery("post", key, Doc(text=key)))
        tx.session.execute(sa.text("UPDATE outbox SET body = '{' WHERE dedup_key = 'one'"))

    world.store.run_sync(put)
    with logged("delivery_unreadable", 1) as parked:
        async with running(world.app.relay.run), asyncio.timeout(DEADLINE):
            await parked.wait()
            seen = 0
            while not world.chat.said:
                seen = await world.store.changed("outbox", seen, DEADLINE)
    assert [said.content.text for said in world.chat.said if isinstance(said.content, Doc)] == ["two"]
    assert world.rows("SELECT state FROM outbox ORDER BY id") == [("dead",), ("sent",)]

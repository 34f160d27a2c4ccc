"""Retention: the old is forgotten in small transactions, the rest and every message key stay."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot import scheduler
from bot.core.runs import LogLine
from bot.core.suggestions import SuggestionState
from bot.core.tasks import FailureReason
from bot.services.attempts import Cost, Failure
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.conformance.bench import Bench
from tests.storage.conformance.intake import opened, said
from tests.storage.world import World


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(store, clock, tmp_path)


def count(world: World, *tables: str) -> list[Any]:
    return [world.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


async def fail_one(world: World, key: str) -> None:
    await world.say(world.command(f"Add page {key} to the site", key=key))
    await world.settle()
    claimed = world.claim()
    assert claimed is not None
    lines = [LogLine(content=str(n)) for n in range(5)]
    failure = Failure(FailureReason.NO_CHANGES, "nothing to do")
    world.store.run_sync(lambda tx: tx.runs.log(claimed.lease.run_id, lines))
    world.store.run_sync(lambda tx: world.app.attempts.fail(tx, claimed.lease, failure, Cost()))
    await world.settle()


async def test_the_old_is_forgotten_in_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "PRUNE_BATCH", 2)
    for n in range(3):
        await fail_one(world, f"A1:c:{n}")
    world.clock.advance(timedelta(days=world.app.settings.retention_days + 1))
    await fail_one(world, "A1:c:new")
    before = world.mind.commits
    await world.app.scheduler.prune()
    assert world.mind.commits - before > 15, "no transaction takes more than a batch"
    assert count(world, "code_task", "run", "run_log", "card") == [1, 1, 5, 1]
    assert count(world, "inbound", "inbound WHERE payload <> ''") == [4, 1]
    assert count(world, "task_event WHERE code_task_id < 4", "outbox WHERE thread_id < 4") == [0, 0]


async def test_what_was_superseded_is_kept_for_a_day(world: World) -> None:
    await fail_one(world, "A1:c:1")
    world.store.run_sync(lambda tx: tx.session.execute(sa.text("UPDATE outbox SET state = 'superseded' WHERE id = 2")))
    await world.app.scheduler.prune()
    assert count(world, "outbox WHERE id = 2") == [1]
    world.clock.advance(timedelta(hours=25))
    await world.app.scheduler.prune()
    assert count(world, "outbox WHERE id = 2", "outbox WHERE id = 1", "card") == [0, 1, 1]


async def test_a_card_goes_with_its_deleted_code_task_once_nothing_is_to_be_sent(world: World) -> None:
    await fail_one(world, "A1:c:1")
    world.store.run_sync(lambda tx: tx.tasks.delete(1))
    world.store.run_sync(lambda tx: tx.session.execute(sa.text("UPDATE outbox SET state = 'pending' WHERE id = 2")))
    await world.app.scheduler.prune()
    assert count(world, "card") == [1], "its last edit must still find the message"
    world.store.run_sync(lambda tx: tx.session.execute(sa.text("UPDATE outbox SET state = 'sent' WHERE id = 2")))
    await world.app.scheduler.prune()
    assert count(world, "card") == [0]


async def test_lines_that_may_still_be_edited_keep_their_message(world: World) -> None:
    for text in (
        "Add a CSV export button to the contacts page",
        "Add a CSV export button to the contacts page, please",
    ):
        await world.say(world.command(text, key=f"A1:c:{len(text)}"))
    await world.settle()
    bench = Bench(world.store, world.clock, "")
    shown = world.store.run_sync(lambda tx: opened(tx, said(bench, 7, "U7")))
    world.store.run_sync(lambda tx: world.app.intake.suggestions.show(tx, shown))
    await world.settle()
    before = {"CT-1", "CT-2", "CT-2-like", "RQ-1"}
    assert {key for (key,) in world.rows("SELECT key FROM card")} == before
    await world.app.scheduler.prune()
    assert {key for (key,) in world.rows("SELECT key FROM card")} == before


async def test_suggestions_go_with_their_keys_once_nobody_can_want_them(world: World) -> None:
    store, clock = world.store, world.clock
    bench = Bench(store, clock, "")
    states = (SuggestionState.FILED, SuggestionState.DISMISSED, SuggestionState.SKIPPED, SuggestionState.OPEN)
    for n, state in enumerate(states):
        shown = store.run_sync(lambda tx, n=n: opened(tx, said(bench, n, f"U{n}")))
        if state is not SuggestionState.OPEN:
            move = lambda tx, s=shown, to=state: tx.suggestions.move(s.id or 0, [s.state], to, code_task_id=1)  # noqa: E731
            assert store.run_sync(move) is not None
    clock.advance(timedelta(days=29))
    await world.app.scheduler.prune()
    assert count(world, "suggestion", "suggestion_member") == [4, 4]
    clock.advance(timedelta(days=2))
    await world.app.scheduler.prune()
    assert world.rows("SELECT DISTINCT state FROM suggestion ORDER BY 1") == [("dismissed",), ("filed",), ("open",)]
    assert count(world, "suggestion_member") == [3]
    clock.advance(timedelta(days=world.app.settings.retention_days))
    await world.app.scheduler.prune()
    assert world.rows("SELECT DISTINCT state FROM suggestion") == [("open",)]
    assert count(world, "suggestion_member") == [1]


async def test_pruning_begins_soon_after_the_start(world: World) -> None:
    world.app.scheduler.start()
    try:
        job = world.app.scheduler._alarms.get_job("prune")
        assert job is not None
        assert job.next_run_time - world.clock.now() <= timedelta(minutes=10)
    finally:
        await world.app.scheduler.stop()

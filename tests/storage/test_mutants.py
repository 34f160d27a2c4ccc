"""The suite notices a broken engine: each of some classic faults, put in on purpose, makes a check fail."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

import storage.followups
import storage.outbox
from bot.services.announcements import Announcer
from bot.services.attempts import Attempts
from bot.services.followup_runs import FollowUpRuns
from bot.store import Due, RunAgain
from storage.engine import Database
from storage.models import RunRow
from storage.runs import Runs
from storage.transaction import Tx
from tests.clock import FakeClock
from tests.storage.conformance import CHECKS, Bench
from tests.storage.crash import first_difference, followed_up, merged
from tests.storage.world import DyingStore
from tests.stores import every_store, only_postgres

Patch = pytest.MonkeyPatch
memory = pytest.mark.parametrize("database_url", ["memory"], indirect=True)


def check(name: str) -> Callable[[Bench], None]:
    (found,) = [check for check in CHECKS if check.__name__ == name]
    return found


@every_store
def test_without_fences_an_older_claim_writes(
    store: Database, clock: FakeClock, database_url: str, monkeypatch: Patch
) -> None:
    def unfenced(self: Runs, run_id: int, fence: int, values: dict[str, Any]) -> bool:
        statement = sa.update(RunRow).where(col(RunRow.id) == run_id, sa.text("state = 'active'")).values(values)
        return self._tx.session.execute(statement).rowcount == 1

    monkeypatch.setattr(Runs, "_write", unfenced)
    with pytest.raises(AssertionError):
        check("an_older_claim_writes_nothing")(Bench(store, clock, database_url))


@every_store
def test_without_head_of_lane_a_held_delivery_is_overtaken(
    store: Database, clock: FakeClock, database_url: str, monkeypatch: Patch
) -> None:
    whole = storage.outbox.CLAIM
    start = whole.index("    AND NOT EXISTS (SELECT 1 FROM outbox e")
    end = whole.index("    AND NOT EXISTS (SELECT 1 FROM rate_gate")
    monkeypatch.setattr(storage.outbox, "CLAIM", whole[:start] + whole[end:])
    getattr(storage.outbox.claim_statement, "cache_clear", lambda: None)()
    try:
        with pytest.raises(AssertionError):
            check("a_held_head_is_never_overtaken")(Bench(store, clock, database_url))
    finally:
        getattr(storage.outbox.claim_statement, "cache_clear", lambda: None)()


@memory
async def test_announcing_in_a_second_transaction_loses_messages(
    store: Database, clock: FakeClock, tmp_path: Path, monkeypatch: Patch
) -> None:
    later: list[Callable[[Tx], None]] = []
    announce, run_sync = Announcer.moved, DyingStore.run_sync

    def moved(self: Announcer, tx: Tx, *args: Any, **values: Any) -> None:
        later.append(lambda other: announce(self, other, *args, **values))

    def in_two(self: DyingStore, unit: Callable[[Tx], Any], *, read: bool = False) -> Any:
        later.clear()
        value = run_sync(self, unit, read=read)
        for rest in later:
            run_sync(self, rest)
        return value

    monkeypatch.setattr(Announcer, "moved", moved)
    monkeypatch.setattr(DyingStore, "run_sync", in_two)
    assert "crash at commit" in await first_difference(merged, store, clock, tmp_path, before=False)


@memory
async def test_without_a_reaper_a_crash_is_for_ever(
    store: Database, clock: FakeClock, tmp_path: Path, monkeypatch: Patch
) -> None:
    async def nothing(_self: Attempts, _store: object) -> int:
        return 0

    monkeypatch.setattr(Attempts, "reap", nothing)
    assert "crash at commit" in await first_difference(merged, store, clock, tmp_path, before=False)


@memory
async def test_firing_in_two_transactions_leaves_follow_ups_without_a_run(
    store: Database, clock: FakeClock, tmp_path: Path, monkeypatch: Patch
) -> None:
    later: list[Callable[[Tx], None]] = []
    enqueue, run_sync = Runs.enqueue_follow_ups, DyingStore.run_sync

    def after_the_commit(_self: Runs, ids: Sequence[int], agent: str) -> None:
        later.append(lambda tx: enqueue(tx.runs, ids, agent))

    def in_two(self: DyingStore, unit: Callable[[Tx], Any], *, read: bool = False) -> Any:
        later.clear()
        value = run_sync(self, unit, read=read)
        for rest in later:
            run_sync(self, rest)
        return value

    monkeypatch.setattr(Runs, "enqueue_follow_ups", after_the_commit)
    monkeypatch.setattr(DyingStore, "run_sync", in_two)
    assert "crash at commit" in await first_difference(followed_up, store, clock, tmp_path, before=False)


@memory
async def test_without_a_reaper_a_follow_up_runs_for_ever(
    store: Database, clock: FakeClock, tmp_path: Path, monkeypatch: Patch
) -> None:
    async def nothing(_self: FollowUpRuns, _store: object) -> int:
        return 0

    monkeypatch.setattr(FollowUpRuns, "reap_all", nothing)
    assert "crash at commit" in await first_difference(followed_up, store, clock, tmp_path, before=False)


@every_store
def test_without_the_guard_what_was_cancelled_starts(
    store: Database, clock: FakeClock, database_url: str, monkeypatch: Patch
) -> None:
    unguarded = storage.followups.FIRE.replace("AND state = 'pending' AND due_at <= :now", "")
    assert unguarded != storage.followups.FIRE
    monkeypatch.setattr(storage.followups, "FIRE", unguarded)
    storage.followups.fire_statement.cache_clear()
    try:
        with pytest.raises(AssertionError):
            check("only_pending_ones_that_are_due_start")(Bench(store, clock, database_url))
    finally:
        storage.followups.fire_statement.cache_clear()


@only_postgres
def test_without_locks_two_bots_fire_the_same_one(
    store: Database, clock: FakeClock, database_url: str, monkeypatch: Patch
) -> None:
    """On SQLite there is one writer at a time. Nobody fires before a second one has read what is due."""
    read, both = storage.followups.FollowUps.due, threading.Barrier(2, timeout=60)

    def due(self: storage.followups.FollowUps, limit: int) -> Sequence[Due]:
        found = read(self, limit)
        if not both.broken:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait()
            both.abort()
        return found

    monkeypatch.setattr(storage.followups.FollowUps, "due", due)
    whole = storage.followups.FIRE
    monkeypatch.setattr(storage.followups, "FIRE", whole.replace("AND state = 'pending'", ""))
    monkeypatch.setattr(storage.followups, "DUE", storage.followups.DUE.replace("{lock}", ""))
    caches = (storage.followups.fire_statement, storage.followups.due_statement)
    for cache in caches:
        cache.cache_clear()
    try:
        with pytest.raises((AssertionError, RunAgain)):
            check("each_follow_up_is_fired_once")(Bench(store, clock, database_url))
    finally:
        for cache in caches:
            cache.cache_clear()

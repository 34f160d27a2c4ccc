"""The suite notices a broken engine: each of four classic faults, put in on purpose, makes a check fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

import storage.outbox
from bot.services.announcements import Announcer
from bot.services.attempts import Attempts
from storage.engine import Database
from storage.models import RunRow
from storage.runs import Runs
from storage.transaction import Tx
from tests.clock import FakeClock
from tests.storage.conformance import CHECKS, Bench
from tests.storage.crash import first_difference, merged
from tests.storage.world import DyingStore
from tests.stores import every_store

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

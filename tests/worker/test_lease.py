"""Leases are kept alive from their own thread: a blocked event loop loses nothing (invariant I12)."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any, cast

from bot.app import wire
from bot.core.inbound import Person
from bot.services.attempts import Claimed
from bot.services.tasks import Filed, Filing
from bot.settings import Settings
from bot.store import Store, StoreDown
from bot.worker.lease import Leases
from platforms.registry import load_settings
from storage.engine import Database, open_database

ANA = Person(platform="slack", workspace_id="T1", id="U1", name="ana", roles=frozenset({"owner"}))


class AwayOnce:
    """A store that is away when it is first written to in the caller's thread. It notes when it was."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.asked: list[float] = []
        self.twice = threading.Event()

    def run_sync(self, unit: Callable[[Any], Any], *, read: bool = False) -> Any:
        self.asked.append(monotonic())
        if len(self.asked) == 1:
            raise StoreDown("away")
        try:
            return self._store.run_sync(unit, read=read)
        finally:
            self.twice.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def claimed(settings: Settings, store: Database) -> Claimed:
    """A code task that a worker has just claimed."""
    app = wire(settings, store, {}, {})
    filed = await store.run(lambda tx: app.tasks.file(tx, Filing("Fix the login redirect", ANA)))
    assert isinstance(filed, Filed)
    found = await store.run(lambda tx: app.attempts.claim(tx, "w", "h"))
    assert found is not None
    return found


def settings_in(folder: Path, heartbeat_seconds: float) -> Settings:
    repos = {"web": {"url": "file:///nowhere/web.git", "forge": "none"}}
    timing = {"heartbeat_seconds": heartbeat_seconds, "lease_seconds": 30}
    return load_settings(codetask_data=folder, repos=repos, default_agent="demo", **timing)


async def test_an_absent_database_is_asked_again_at_once(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, heartbeat_seconds=4)
    store: Database = await open_database(f"sqlite:///{tmp_path}/codetask.db")
    away = AwayOnce(store)
    found = await claimed(settings, store)
    leases = Leases(cast("Store", away), settings)
    leases.start()
    try:
        held = leases.add(found.lease)
        assert await asyncio.to_thread(away.twice.wait, 30)
        first, second = away.asked[:2]
        assert second - first < settings.heartbeat_seconds * 0.75
        assert not held.over.is_set()
    finally:
        await leases.stop()
        await store.close()


async def test_a_blocked_event_loop_keeps_its_lease(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, heartbeat_seconds=0.05)
    store: Database = await open_database(f"sqlite:///{tmp_path}/codetask.db")
    try:
        found = await claimed(settings, store)
        until = found.run.lease_until
        assert until is not None
        leases = Leases(store, settings)
        leases.start()
        held = leases.add(found.lease)
        try:
            wanted = until + timedelta(milliseconds=200)
            # From here on nothing else runs on this loop: only another thread can move the lease.
            deadline = monotonic() + 20
            while until < wanted:
                assert monotonic() < deadline, "the lease was not renewed while the loop was blocked"
                run = store.run_sync(lambda tx: tx.runs.get(found.lease.run_id), read=True)
                assert run is not None and run.lease_until is not None
                until = run.lease_until
            assert not held.over.is_set()
        finally:
            await leases.stop()
    finally:
        await store.close()

"""Leases are kept alive from their own thread: a blocked event loop loses nothing (invariant I12)."""

from datetime import timedelta
from pathlib import Path
from time import monotonic

from bot.app import wire
from bot.core.inbound import Person
from bot.services.tasks import Filed, Filing
from bot.worker.lease import Leases
from platforms.registry import load_settings
from storage.engine import Database, open_database

ANA = Person(platform="slack", workspace_id="T1", id="U1", name="ana", roles=frozenset({"owner"}))


async def test_a_blocked_event_loop_keeps_its_lease(tmp_path: Path) -> None:
    settings = load_settings(
        codetask_data=tmp_path,
        repos={"web": {"url": "file:///nowhere/web.git", "forge": "none"}},
        default_agent="demo",
        heartbeat_seconds=0.05,
        lease_seconds=30,
    )
    store: Database = await open_database(f"sqlite:///{tmp_path}/codetask.db")
    try:
        app = wire(settings, store, {}, {})
        filed = await store.run(lambda tx: app.tasks.file(tx, Filing("Fix the login redirect", ANA)))
        assert isinstance(filed, Filed)
        claimed = await store.run(lambda tx: app.attempts.claim(tx, "w", "h"))
        assert claimed is not None and claimed.run.lease_until is not None
        leases = Leases(store, settings)
        leases.start()
        held = leases.add(claimed.lease)
        try:
            wanted = claimed.run.lease_until + timedelta(milliseconds=200)
            # From here on nothing else runs on this loop: only another thread can move the lease.
            deadline = monotonic() + 20
            until = claimed.run.lease_until
            while until < wanted:
                assert monotonic() < deadline, "the lease was not renewed while the loop was blocked"
                run = store.run_sync(lambda tx: tx.runs.get(claimed.lease.run_id), read=True)
                assert run is not None and run.lease_until is not None
                until = run.lease_until
            assert not held.over.is_set()
        finally:
            await leases.stop()
    finally:
        await store.close()

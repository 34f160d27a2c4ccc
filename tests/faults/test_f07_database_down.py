"""F7: the database is away for five seconds in the middle of the work. Nothing is lost, nobody ends, work resumes."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from bot.core.tasks import Stage
from bot.store import TaskFilter
from tests.faults.conftest import Urls, migrated
from tests.faults.invariants import check
from tests.faults.process import Nursery
from tests.faults.site import Site, site
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

AWAY: Final = 5.0
ROOMY: Final = {"filers": "*", "lease_seconds": 20, "max_runs": 2, "max_runs_per_repo": 2, "max_open_prs": 50}


async def outage(place: Site, down: Callable[[], None], up: Callable[[], None]) -> None:
    """Three code tasks are under way, the database goes, two people write, it comes back."""
    proc = place.start("all")
    await place.connected()
    for number in range(3):
        place.slack.runs_command("ana", f"/codetask Write the word done into file number {number}")
    await place.until(lambda task: task.stage in (Stage.RUNNING, Stage.TESTING))
    down()
    said = place.slack.user_mentions("bo", "Write the word done while the database is away")
    place.slack.runs_command("ana", "/codetask Tell me when this cannot be stored")
    with pytest.raises(TimeoutError):
        await proc.died(AWAY)
    up()
    assert place.slack.deliveries_of(said)
    assert not any(delivery.acked for delivery in place.slack.deliveries_of(said)), "acked what was not stored"
    place.slack.redeliver(said)
    await place.until(lambda task: task.stage is Stage.REVIEW, 1, 30)
    await place.slack.wait_for(lambda: len(place.saying("PR ready")) == 4, 60)
    await place.settled()
    assert await proc.stop() == 0, proc.said[-3000:]
    assert "part_failed" not in proc.said
    tasks = await place.store.run(lambda tx: list(tx.tasks.list(TaskFilter())), read=True)
    assert len(tasks) == 4  # a crashed PostgreSQL skips numbers
    for task in tasks:
        assert task.attempt == 1, f"{task.ref}: an absent database cost an attempt"
        await check(place, task.id or 0)


@pytest.mark.long  # one that crashes under three processes is in test_f16_follow_up_clocks.py
async def test_postgres_restarts(tmp_path: Path, nursery: Nursery, own_server: PostgresServer, long_run: bool) -> None:
    for number in range(20 if long_run else 1):
        async with site(tmp_path / str(number), nursery, migrated(own_server), **ROOMY) as place:
            await outage(place, own_server.go_down, own_server.come_back)


@pytest.mark.long
async def test_sqlite_is_locked(tmp_path: Path, nursery: Nursery, sqlite_urls: Urls, long_run: bool) -> None:
    for number in range(20 if long_run else 1):
        url = sqlite_urls(1)[0]
        locker = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
        async with site(tmp_path / str(number), nursery, url, **ROOMY) as place:
            await outage(place, lambda: locker.execute("BEGIN IMMEDIATE"), lambda: locker.execute("ROLLBACK"))  # noqa: B023
        locker.close()

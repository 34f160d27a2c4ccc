"""F1: `kill -9` of the process at each failpoint of the path; after a restart all ends as if nothing had been."""

import asyncio
import signal
from pathlib import Path
from typing import Final

import pytest

from bot.core.tasks import Stage
from tests.faults.invariants import check
from tests.faults.process import Nursery
from tests.faults.site import REQUEST, site

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

GROUPS: Final = {
    "claim": ("claim.before_commit", "claim.after_commit", "mirror.mid"),
    "agent": ("checkout.mid", "agent.spawned", "agent.mid", "agent.exited"),
    "compare": ("snapshot.tree_written", "gate.done", "test.spawned", "test.exited"),
    "push": ("push.before", "push.remote_accepted", "pr.before", "pr.created_unrecorded"),
    "chat": ("delivery.before", "delivery.sent_unrecorded", "cleanup.mid"),
}
QUICK: Final = ("claim", "push", "chat")
"""Where a kill could lose or double something that others see. The rest is killed with the long counts."""
ON_POSTGRES: Final = (
    "claim.before_commit",
    "push.remote_accepted",
    "pr.created_unrecorded",
    "delivery.sent_unrecorded",
)


async def survives(folder: Path, nursery: Nursery, database_url: str, failpoint: str) -> None:
    """One code task whose process is killed once at the failpoint."""
    async with site(folder, nursery, database_url) as place:
        first = place.start("all", f"{failpoint}:kill")
        await place.connected()
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        assert await first.died(60) == -signal.SIGKILL, failpoint
        second = place.start("all")
        task = await place.reaches(Stage.REVIEW)
        assert task.tests_passed is True and task.pr_number == 1, failpoint
        await place.says("PR ready")
        await place.slack.wait_for(lambda: "Waiting for review" in place.shown(place.slack.sent[0]), 30)
        await place.settled()
        assert await second.stop() == 0, second.said[-2000:]
        await check(place, replies=["PR ready"])
        assert len(place.pulls()) == len(place.branches()) == 1


async def together(folder: Path, nursery: Nursery, urls: list[str], failpoints: tuple[str, ...]) -> None:
    async with asyncio.TaskGroup() as group:
        for number, (url, failpoint) in enumerate(zip(urls, failpoints, strict=True)):
            group.create_task(survives(folder / f"site{number}", nursery, url, failpoint))


@pytest.mark.parametrize(
    "group", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in GROUPS]
)
async def test_sqlite(tmp_path: Path, nursery: Nursery, sqlite_urls, long_run: bool, group: str) -> None:
    failpoints = GROUPS[group]
    for number in range(20 if long_run else 1):
        folder = tmp_path / f"round{number}"
        folder.mkdir()
        await together(folder, nursery, sqlite_urls(len(failpoints)), failpoints)


@pytest.mark.long
async def test_postgres(tmp_path: Path, nursery: Nursery, postgres_urls, long_run: bool) -> None:
    chosen = [name for names in GROUPS.values() for name in names] if long_run else list(ON_POSTGRES)
    for number in range(20 if long_run else 1):
        for start in range(0, len(chosen), 4):
            some = tuple(chosen[start : start + 4])
            folder = tmp_path / f"round{number}-{start}"
            folder.mkdir()
            await together(folder, nursery, postgres_urls(len(some)), some)

"""What survives the end of a process besides crashes: a stopped worker's run, a change that waits for an approval."""

import signal
from pathlib import Path
from typing import Final

import pytest

from bot.core.runs import RunLease
from bot.core.tasks import FailureReason, Stage
from tests.faults.conftest import Urls
from tests.faults.invariants import check, processes_of
from tests.faults.process import Nursery, Proc
from tests.faults.site import AGENT, REQUEST, Site, site
from tests.simulators.github.repositories import git

pytestmark = [pytest.mark.fault, pytest.mark.timeout(180)]

LONG: Final = "sleep 600.75"
PROTECTED: Final = (
    "cat >/dev/null\nmkdir -p .github/workflows\necho 'on: push' > .github/workflows/ci.yml\necho x > done.txt\n"
)


async def test_a_stopped_worker_gives_its_run_back(tmp_path: Path, nursery: Nursery, site_url: str) -> None:
    async with site(tmp_path / "site", nursery, site_url, drain_seconds=0.5) as place:
        script = place.folder / "agent.sh"
        script.write_text(f"echo on\n{LONG}\n")
        first = place.start("all")
        await place.connected()
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        await place.slack.wait_for(lambda: any(LONG in line for line in processes_of(place)), 30)
        assert await first.stop(30) == 0, first.said[-2000:]
        task = await place.task()
        assert task is not None and (task.stage, task.attempt) == (Stage.QUEUED, 0), "the attempt was counted"
        assert [run.state for run in await place.runs()] == [RunLease.QUEUED]
        assert processes_of(place) == []
        assert list((place.folder / "data" / "workspaces").glob("ct-*")) == []

        script.write_text(AGENT)
        second = place.start("all")
        task = await place.reaches(Stage.REVIEW)
        assert task.attempt == 1
        await place.says("PR ready")
        await place.settled()
        assert await second.stop() == 0
        await check(place, replies=["PR ready"])


async def wait_for_the_question(place: Site) -> None:
    await place.slack.wait_for(lambda: any("Approve" in place.shown(m) for m in place.slack.sent), 60)
    await place.settled()


async def press_approve(place: Site) -> None:
    question = next(m for m in place.slack.sent if "Approve" in place.shown(m))
    place.slack.clicks("bo", question, "Approve")


@pytest.mark.parametrize(
    "killed_at", ["waiting", pytest.param("push.before", marks=pytest.mark.long), "push.remote_accepted"]
)
async def test_an_approval_survives_a_kill(tmp_path: Path, nursery: Nursery, sqlite_urls: Urls, killed_at: str) -> None:
    (url,) = sqlite_urls(1)
    async with site(tmp_path / "site", nursery, url, requester_may_approve=False) as place:
        bo, ana = place.slack.user("bo").id, place.slack.user("ana").id
        place.env["ADMINS"] = f"slack:{bo} slack:{ana}"
        (place.folder / "agent.sh").write_text(PROTECTED)
        first: Proc = place.start("all", "" if killed_at == "waiting" else f"{killed_at}:kill")
        await place.connected()
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        await wait_for_the_question(place)
        parked = await place.store.run(lambda tx: tx.runs.parked(1), read=True)
        assert parked is not None and place.github.pushes == []
        if killed_at == "waiting":
            assert await first.kill() == -signal.SIGKILL
            second = place.start("all")
            await place.slack.wait_for(lambda: place.slack.connections_opened > 1 and place.slack.connections, 30)
            await press_approve(place)
        else:
            await press_approve(place)
            assert await first.died(60) == -signal.SIGKILL
            second = place.start("all")
        task = await place.reaches(Stage.REVIEW)
        assert task.attempt == 1, "the approved change was made again"
        tree = git(place.github.repositories["acme/shop"].path, "rev-parse", f"refs/heads/{task.branch}^{{tree}}")
        assert tree == parked.tree_sha
        await place.says("PR ready")
        await place.settled()
        assert await second.stop() == 0, second.said[-2000:]
        assert len(place.github.repositories["acme/shop"].pulls) == 1
        assert sum("Approve" in place.shown(m) for m in place.slack.sent) <= 2, "asked twice"
        await check(place, replies=["PR ready"])


@pytest.mark.long
async def test_a_worker_that_dies_every_time_is_named(tmp_path: Path, nursery: Nursery, sqlite_urls: Urls) -> None:
    async with site(tmp_path / "site", nursery, sqlite_urls(1)[0]) as place:
        server = place.start("serve")
        await place.connected()
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        for _ in range(3):
            worker = place.start("worker", "gate.done:kill")
            assert await worker.died(60) == -signal.SIGKILL
        task = await place.until(lambda task: task.stage is Stage.FAILED)
        assert (task.failure_reason, task.attempt) == (FailureReason.WORKER_LOST, 3)
        await place.says("worker lost")
        await place.settled()
        assert await server.stop() == 0
        await check(place)
        assert place.branches() == []


async def test_processes_of_a_killed_worker_are_found(tmp_path: Path, nursery: Nursery, sqlite_urls: Urls) -> None:
    """Without a sandbox the agent outlives its worker; the janitor ends it together with the workspace."""
    async with site(tmp_path / "site", nursery, sqlite_urls(1)[0], max_attempts=1) as place:
        (place.folder / "agent.sh").write_text(f"echo on\nsetsid {LONG} &\n{LONG}\n")
        first = place.start("all")
        await place.connected()
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        await place.slack.wait_for(lambda: sum(LONG in line for line in processes_of(place)) >= 2, 30)
        assert await first.kill() == -signal.SIGKILL
        assert processes_of(place), "nothing was left to find: the test proves nothing"
        second = place.start("all")
        await place.until(lambda task: task.failure_reason is FailureReason.WORKER_LOST)
        await place.settled()
        assert await second.stop() == 0
        await check(place)

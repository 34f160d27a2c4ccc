"""F19: a cancel at each of eleven moments. The card says Cancelled, no process is left, and what exists is named."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

from bot.core.tasks import CodeTask, FailureReason, Stage
from tests.faults.conftest import Urls
from tests.faults.invariants import check, processes_of
from tests.faults.process import Nursery, Proc
from tests.faults.site import REQUEST, Site, site
from tests.simulators.github import Fault

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

LIMIT: Final = 12.0
"""Seconds from the click until the last process is gone. Source: the cancel ladder, 2 s to see it and 10 s to end."""
LONG: Final = "sleep 600.25"
AT_FAILPOINT: Final = {
    "checkout": "checkout.mid",
    "snapshot": "snapshot.tree_written",
    "gate": "gate.done",
    "before push": "push.before",
    "push accepted": "push.remote_accepted",
    "pull request created": "pr.created_unrecorded",
}
MOMENTS: Final = ("queued", "mirror", "agent", "stubborn agent", "test", "push hangs", "review", *AT_FAILPOINT)
EACH: Final = 4
"""So many are cancelled beside each other."""
QUICK: Final = (0, 12)
"""Where those start that `make test` cancels, too."""
WITH_BRANCH: Final = ("push accepted", "pull request created", "review")
WITH_PULL: Final = ("pull request created", "review")
STUBBORN: Final = f"cat >/dev/null\ntrap '' INT TERM\nsetsid {LONG} &\n{LONG} &\nwait\nwait\n"


async def reach(place: Site, moment: str) -> Proc | None:
    """Brings code task CT-1 to the moment; returns the worker, which is stuck there."""
    command = f"/codetask {REQUEST}"
    if moment == "mirror":
        fault = place.github.fail_next(Fault("GET", r".*/info/refs", hang=True))
    if moment == "push hangs":
        fault = place.github.fail_next(Fault("POST", r".*/git-receive-pack", hang=True))
    if moment in ("agent", "stubborn agent"):
        (place.folder / "agent.sh").write_text(STUBBORN if "stubborn" in moment else f"echo on\n{LONG}\n")
    extra = {"test_command": LONG} if moment == "test" else {}
    worker = None
    if moment in AT_FAILPOINT:
        extra["codetask_failpoint_seconds"] = "3"
        worker = place.start("worker", f"{AT_FAILPOINT[moment]}:delay", **extra)
    elif moment != "queued":
        worker = place.start("worker", **extra)
    place.slack.runs_command("ana", command)
    await place.slack.wait_for(lambda: place.cards(), 30)
    match moment:
        case "queued":
            await place.until(lambda task: task.stage is Stage.QUEUED)
        case "review":
            await place.reaches(Stage.REVIEW)
            await place.says("PR ready")
        case "mirror" | "push hangs":
            await place.slack.wait_for(lambda: fault.times == 0, 30)
        case "agent" | "stubborn agent" | "test":
            await place.slack.wait_for(lambda: any(LONG in line for line in processes_of(place)), 30)
        case _:
            assert worker is not None
            await place.passes(worker, f"failpoint {AT_FAILPOINT[moment]}: delay")
    return worker


async def cancelled(folder: Path, nursery: Nursery, url: str, moment: str) -> None:
    async with site(folder, nursery, url, keep_failed=24) as place:
        server = place.start("serve")
        await place.connected()
        worker = await reach(place, moment)
        begun = monotonic()
        place.slack.clicks("ana", place.cards()[0], "Cancel")
        task = await place.until(lambda task: task.stage is Stage.FAILED, timeout=LIMIT)
        assert task.failure_reason is FailureReason.CANCELLED and task.error == "Cancelled by user", moment
        if worker is not None and moment != "review":
            await place.passes(worker, "run_interrupted", LIMIT)
        await place.slack.wait_for(lambda: not processes_of(place), LIMIT)
        assert monotonic() - begun <= LIMIT, moment
        await place.slack.wait_for(lambda: "Cancelled" in place.shown(place.cards()[0]), 30)
        if worker is not None:
            assert await worker.stop() == 0, worker.said[-2000:]
        await place.settled()
        assert await server.stop() == 0, server.said[-2000:]
        left = await place.task()
        assert left is not None
        named(place, left, moment)
        await check(place)


def named(place: Site, task: CodeTask, moment: str) -> None:
    """What exists outside is what the row and the card say, and nothing exists that was not pushed before."""
    card = place.shown(place.cards()[0])
    branches = ["code-worker/CT-1"] if moment in WITH_BRANCH else []
    assert place.branches() == branches, moment
    assert [pull.number for pull in place.pulls()] == ([1] if moment in WITH_PULL else []), moment
    assert task.stage is Stage.FAILED
    assert bool(task.pushed_sha) == bool(branches), moment
    assert task.pr_number == (1 if moment in WITH_PULL else None), moment
    if moment in WITH_PULL:
        assert "#1" in card, card
    elif branches:
        assert "code-worker/CT-1" in card, card


@pytest.mark.parametrize(
    "start", [pytest.param(at, marks=() if at in QUICK else pytest.mark.long) for at in range(0, len(MOMENTS), EACH)]
)
async def test_cancel_at_every_moment(
    tmp_path: Path, nursery: Nursery, sqlite_urls: Urls, long_run: bool, start: int
) -> None:
    some = MOMENTS[start : start + EACH]
    for number in range(20 if long_run else 1):
        async with asyncio.TaskGroup() as group:
            for url, moment in zip(sqlite_urls(len(some)), some, strict=True):
                group.create_task(cancelled(tmp_path / f"{number}-{moment.replace(' ', '-')}", nursery, url, moment))


@pytest.mark.long
async def test_on_postgres(tmp_path: Path, nursery: Nursery, postgres_urls: Urls) -> None:
    some = ("agent", "push accepted")
    async with asyncio.TaskGroup() as group:
        for url, moment in zip(postgres_urls(2), some, strict=True):
            group.create_task(cancelled(tmp_path / moment.replace(" ", "-"), nursery, url, moment))

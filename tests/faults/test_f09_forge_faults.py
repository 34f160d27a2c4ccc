"""F9: the forge fails on fetch, push, list, create. One branch, one pull request, and only the broken step repeats."""

from pathlib import Path
from typing import Any, Final

import pytest

from bot.core.tasks import FailureReason
from bot.ports import PullRequest
from bot.services.attempts import Failure
from bot.worker.publishing import TRIES
from tests.clock import FakeClock
from tests.simulators.github import Fault
from tests.worker.publishing_rig import BRANCH, PULLS, REPO_GIT, Desk, desk

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]

STEPS: Final = {
    "fetch": ("GET", f"{REPO_GIT}/info/refs"),
    "fetch pack": ("POST", f"{REPO_GIT}/git-upload-pack"),
    "push": ("GET", f"{REPO_GIT}/info/refs"),
    "push pack": ("POST", f"{REPO_GIT}/git-receive-pack"),
    "list": ("GET", PULLS),
    "create": ("POST", PULLS),
}
FAULTS: Final[dict[str, dict[str, Any]]] = {
    **{str(status): {"status": status} for status in (500, 502, 503, 520)},
    "reset": {"drop": True},
    "reset after it was done": {"drop": True, "after_commit": True},
    "half an answer": {"half": True},
}
ANSWER_LOST: Final = ("reset after it was done", "half an answer")


async def works(place: Desk, step: str, fault: Fault) -> None:
    """The whole way, with one fault at the step."""
    if step.startswith("fetch"):
        if step == "fetch pack":  # there is only something to fetch when the base has moved
            from tests.simulators.github.repositories import commit_files

            path = place.github.repositories["acme/web"].path
            commit_files(path, "main", {"new.txt": "1\n"}, "More")
        place.github.fail_next(fault)
        assert isinstance(await place.publisher().fetch("main"), str)
    if step.startswith("push"):
        place.github.fail_next(fault)
    branch = await place.push()
    assert branch == BRANCH, branch
    pushed = len(place.github.pushes)
    if step in ("list", "create"):
        place.github.fail_next(fault)
    opened = await place.open()
    assert isinstance(opened, PullRequest), opened
    assert len(place.github.pushes) == pushed, "the push was repeated for the pull request"


@pytest.mark.parametrize("step", STEPS)
async def test_one_fault_is_waited_out(tmp_path: Path, clock: FakeClock, step: str, long_run: bool) -> None:
    method, path = STEPS[step]
    for number in range(20 if long_run else 1):
        for name, how in FAULTS.items():
            if "pack" in step and name in ANSWER_LOST and step == "fetch pack":
                continue  # a fetch changes nothing there: losing its answer is the plain reset
            async with desk(tmp_path / f"{number}-{name.replace(' ', '-')}", clock) as place:
                fault = Fault(method, path, **how)
                await works(place, step, fault)
                assert fault.times == 0, f"{name} at {step} never happened"
                assert place.branches == [BRANCH], name
                assert len(place.pulls) == 1, name
                assert len(place.waits) <= 1, f"{name}: {place.said}"
                assert all(1.8 <= wait.total_seconds() <= 2.2 for wait in place.waits), place.waits


@pytest.mark.parametrize("step", ["push", "create"])
async def test_waits_double_and_end(tmp_path: Path, clock: FakeClock, step: str) -> None:
    async with desk(tmp_path, clock) as place:
        if step == "create":
            assert await place.push() == BRANCH
        method, path = STEPS[step]
        place.github.fail_next(Fault(method, path, status=503, times=1000))
        ended = await (place.push() if step == "push" else place.open())
        assert isinstance(ended, Failure)
        assert ended.reason is FailureReason.PUSH_FAILED and not ended.may_retry
        assert f"after {TRIES} tries" in ended.error and "503" in ended.error
        expected = [2, 4, 8, 16, 32, 64, 128, 256, 300]
        assert len(place.waits) == TRIES - 1
        for wait, about in zip(place.waits, expected, strict=True):
            assert about * 0.9 <= wait.total_seconds() <= about * 1.1 + 0.001
        assert 12 * 60 <= place.waited <= 19 * 60


async def test_half_of_all_requests_fail(tmp_path: Path, clock: FakeClock, long_run: bool) -> None:
    """Every second request fails, for longer than one step takes."""
    for number in range(20 if long_run else 2):
        async with desk(tmp_path / str(number), clock) as place:
            for method, path in STEPS.values():
                for _ in range(2):
                    place.github.fail_next(Fault(method, path, status=502))
            assert await place.push() == BRANCH
            assert isinstance(await place.open(), PullRequest)
            assert place.waited <= 15 * 60
            assert place.branches == [BRANCH] and len(place.pulls) == 1


async def test_a_lost_lease_ends_the_waiting(tmp_path: Path, clock: FakeClock) -> None:
    from bot.worker.lease import Interrupted

    async with desk(tmp_path, clock) as place:
        place.github.fail_next(Fault("POST", f"{REPO_GIT}/git-receive-pack", status=503))
        pause = place.pause

        async def pause_and_lose(wait: Any) -> None:
            await pause(wait)
            place.lost = True

        place.pause = pause_and_lose  # type: ignore[method-assign]
        with pytest.raises(Interrupted):
            await place.push()
        assert place.branches == []

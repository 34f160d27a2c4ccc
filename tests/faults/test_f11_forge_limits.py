"""F11: GitHub asks to wait. Its waits are honoured, our own brake holds, and nothing fails of it."""

from pathlib import Path

import pytest

from bot.ports import PullRequest
from tests.clock import FakeClock
from tests.simulators.github import Fault
from tests.simulators.github.faults import Burst
from tests.worker.publishing_rig import BRANCH, PULLS, REPO_GIT, desk

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]
SECONDARY = '{"message": "You have exceeded a secondary rate limit."}'


@pytest.mark.parametrize(
    ("status", "headers", "seconds"), [(403, {"retry-after": "30"}, 30), (429, {"retry-after": "7"}, 7), (403, {}, 60)]
)
async def test_the_wait_is_honoured(
    tmp_path: Path, clock: FakeClock, status: int, headers: dict[str, str], seconds: int
) -> None:
    async with desk(tmp_path, clock) as place:
        await place.push()
        place.github.fail_next(Fault("POST", PULLS, status=status, headers=headers, body=SECONDARY))
        assert isinstance(await place.open(), PullRequest)
        assert [round(wait.total_seconds()) for wait in place.waits] == [seconds]
        assert len(place.pulls) == 1


async def test_a_limited_push_is_waited_out(tmp_path: Path, clock: FakeClock) -> None:
    async with desk(tmp_path, clock) as place:
        place.github.fail_next(Fault("POST", f"{REPO_GIT}/git-receive-pack", status=429, body="slow down"))
        assert await place.push() == BRANCH
        assert len(place.waits) == 1 and len(place.github.pushes) == 1


async def test_a_burst_fails_nothing(tmp_path: Path, clock: FakeClock, long_run: bool) -> None:
    """GitHub refuses everything after a few; each waits until it is let through."""
    async with desk(tmp_path, clock) as place:
        await place.push()
        place.github.burst = Burst(allowed=0, retry_after=20)
        pause = place.pause

        async def lift(wait: object) -> None:
            await pause(wait)  # type: ignore[arg-type]
            place.github.burst = None

        place.pause = lift  # type: ignore[method-assign]
        for _ in range(200 if long_run else 20):
            opened = await place.open()
            assert isinstance(opened, PullRequest), opened
        assert len(place.pulls) == 1
        assert place.waits and all(wait.total_seconds() >= 18 for wait in place.waits)

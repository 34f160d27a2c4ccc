"""F12: a token is refused in the middle of a run (401 once). It is minted again once, and the run goes on."""

from pathlib import Path

import pytest

from bot.core.tasks import FailureReason
from bot.ports import PullRequest
from bot.services.attempts import Failure
from tests.clock import FakeClock
from tests.simulators.github import Fault
from tests.worker.forges.conftest import app_keys  # noqa: F401 - a fixture
from tests.worker.publishing_rig import BRANCH, PULLS, TOKEN, Desk, desk

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_one_401_is_asked_again(
    tmp_path: Path,
    clock: FakeClock,
    app_keys: tuple[str, str],  # noqa: F811
    method: str,
    long_run: bool,
) -> None:
    for number in range(50 if long_run else 3):
        async with desk(tmp_path / str(number), clock, app_keys) as place:
            assert await place.push() == BRANCH
            minted = len(place.github.accounts.minted)
            place.github.fail_next(Fault(method, PULLS, status=401, body='{"message": "Bad credentials"}'))
            opened = await place.open()
            assert isinstance(opened, PullRequest), opened
            # One for the look, one for the call, and one more for whichever was refused.
            assert len(place.github.accounts.minted) - minted == 3 and place.waits == []
            assert len(place.pulls) == 1


async def test_expiry_between_push_and_pull_request(
    tmp_path: Path,
    clock: FakeClock,
    app_keys: tuple[str, str],  # noqa: F811
) -> None:
    async with desk(tmp_path, clock, app_keys) as place:
        assert await place.push() == BRANCH
        place.github.expire_tokens()
        assert isinstance(await place.open(), PullRequest)


async def test_a_token_refused_for_good_is_a_matter_of_configuration(tmp_path: Path, clock: FakeClock) -> None:
    async with desk(tmp_path, clock) as place:
        assert await place.push() == BRANCH
        revoke(place)
        ended = await place.open()
        assert isinstance(ended, Failure)
        assert ended.reason is FailureReason.CONFIG and not ended.may_retry
        assert place.waits == [] and TOKEN not in ended.error


async def test_a_push_with_a_refused_token_is_a_matter_of_configuration(tmp_path: Path, clock: FakeClock) -> None:
    async with desk(tmp_path, clock) as place:
        revoke(place)
        ended = await place.push()
        assert isinstance(ended, Failure)
        assert ended.reason is FailureReason.CONFIG and not ended.may_retry
        assert place.branches == [] and TOKEN not in ended.error


def revoke(place: Desk) -> None:
    place.github.accounts.tokens[TOKEN].revoked = True

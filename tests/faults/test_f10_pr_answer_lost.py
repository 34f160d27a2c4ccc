"""F10: the pull request was made and the answer got lost, or it exists already. There is exactly one in the end."""

from pathlib import Path

import pytest

from bot.ports import PullRequest
from tests.clock import FakeClock
from tests.simulators.github import Fault
from tests.worker.publishing_rig import BRANCH, PULLS, Desk, desk

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]


async def test_the_lost_answer_is_found_again(tmp_path: Path, clock: FakeClock, long_run: bool) -> None:
    for number in range(100 if long_run else 5):
        async with desk(tmp_path / str(number), clock) as place:
            await place.push()
            lost = {"half": True} if number % 2 else {"drop": True, "after_commit": True}
            place.github.fail_next(Fault("POST", PULLS, **lost))
            opened = await place.open()
            assert isinstance(opened, PullRequest) and opened.number == 1
            assert len(place.pulls) == 1
            assert len(place.github.asked("POST", "/pulls")) == 1, "it was asked for twice"


async def test_an_open_one_is_adopted(tmp_path: Path, clock: FakeClock) -> None:
    async with desk(tmp_path, clock) as place:
        await place.push()
        first = await place.open()
        again = await place.open()
        assert isinstance(first, PullRequest) and isinstance(again, PullRequest)
        assert first.number == again.number and len(place.pulls) == 1


async def test_a_refusal_because_it_exists_is_an_adoption(tmp_path: Path, clock: FakeClock) -> None:
    """The list is asked first; here it says "none" although there is one, as a replica behind would."""
    async with desk(tmp_path, clock) as place:
        await place.push()
        await make_behind_the_list(place)
        opened = await place.open()
        assert isinstance(opened, PullRequest) and opened.number == 1
        assert len(place.pulls) == 1 and place.pulls[0].head == BRANCH


async def make_behind_the_list(place: Desk) -> None:
    made = await place.open()
    assert isinstance(made, PullRequest)
    place.github.fail_next(Fault("GET", PULLS, status=200, body="[]"))

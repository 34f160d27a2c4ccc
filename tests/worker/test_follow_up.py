"""Follow-up runs on a worker: the conversation of the thread goes on, the answer is posted, nothing is ever pushed."""

from pathlib import Path

import pytest

from bot.core.followups import FollowUpState
from tests.worker.house import THREAD, house

pytestmark = pytest.mark.timeout(120)


async def test_it_answers_in_its_thread_with_no_repository(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path, database_url) as place:
        follow_up = await place.ended(place.put("how is it going do:list"))
        assert follow_up.state is FollowUpState.SUCCESS, (follow_up.error, place.log(follow_up))
        (said,) = await place.posts(follow_up)
        assert said.thread.root == THREAD.root
        assert said.content.text == "heard 1: how is it going do:list files:"
        assert place.workspaces() == [] or place.worker.busy

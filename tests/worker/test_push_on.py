"""Pushing on to a branch that exists: onto the tip that the work started from, and never over anybody's."""

from pathlib import Path

from bot.core.tasks import FailureReason
from bot.services.attempts import Failure
from tests.clock import FakeClock
from tests.simulators.github.repositories import commit_files
from tests.worker.git_world import AT, AUTHOR, as_agent
from tests.worker.publishing_rig import BRANCH, NAME, OWNER, Desk, desk


async def next_commit(place: Desk) -> str:
    """A commit on top of the one that was pushed."""
    await as_agent(place.workspace, "echo c,d >> export.csv")
    tree = await place.workspace.snapshot(place.sha)
    assert isinstance(tree, str), tree
    sha = await place.workspace.commit(place.sha, tree, "Add more\n", AUTHOR, AUTHOR, AT)
    assert isinstance(sha, str), sha
    return sha


async def test_only_onto_the_tip_that_it_started_from(tmp_path: Path, clock: FakeClock) -> None:
    async with desk(tmp_path, clock) as place:
        assert await place.push() == BRANCH
        first, second = place.sha, await next_commit(place)
        assert await place.publisher().push_on(BRANCH, second, first) is None
        assert place.tip == place.task.pushing_sha == second and place.task.pushed_sha == first
        assert await place.publisher().push_on(BRANCH, second, first) is None, "its answer may have been lost"

        bare = place.github.repositories[f"{OWNER}/{NAME}"].path
        theirs = commit_files(bare, BRANCH, {"theirs.txt": "x\n"}, "Mine")
        refused = await place.publisher().push_on(BRANCH, first, second)
        assert isinstance(refused, Failure) and refused.reason is FailureReason.PUSH_FAILED
        assert refused.error == f"Someone else changed the branch {BRANCH} meanwhile: nothing was pushed."
        assert place.tip == theirs and place.branches == [BRANCH]

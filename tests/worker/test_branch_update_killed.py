"""`kill -9` of a worker between the push onto a code task's branch and its pull request: the next one finishes it."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.followups import FollowUpState
from bot.core.tasks import Stage
from tests.simulators.github.repositories import git
from tests.worker.house import house
from tests.worker.review import BRANCH, in_review, local_repo

pytestmark = pytest.mark.timeout(120)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def url(tmp_path: Path, sqlite_template: Path) -> str:
    """A migrated database of its own."""
    (tmp_path / "only.db").write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{tmp_path / 'only.db'}"


async def test_one_commit_one_pull_request(tmp_path: Path, url: str) -> None:
    bare = tmp_path / "shop.git"
    async with house(tmp_path / "second", url, repos=local_repo(tmp_path)) as place:
        await place.end()  # only reads and sets, until the other one is gone
        review = await in_review(place, bare)
        before = review.tip
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.worker.house_process", str(tmp_path / "first"), url, str(bare),
            cwd=ROOT, env={**os.environ, "CODETASK_FAILPOINT": "push.remote_accepted:kill"},
        )  # fmt: skip
        follow_up = place.put("do:file=more.txt")
        try:
            async with asyncio.timeout(60):
                assert await worker.wait() == -signal.SIGKILL
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
        (run,) = place.run(lambda tx: tx.runs.of_follow_up(follow_up.id or 0))
        assert review.tip != before and review.task.pushed_sha == before
        place.run(lambda tx: tx.runs.heartbeat(run.id or 0, run.fence, timedelta(seconds=-1)))
        assert await place.app.followup_runs.reap_all(place.app.store) == 1

        place.stop.clear()
        place.start()
        ended = await place.ended(follow_up)
        assert (ended.state, ended.crashes) == (FollowUpState.SUCCESS, 1), place.log(follow_up)
        assert git(bare, "rev-list", f"{before}..{BRANCH}").split() == [review.tip], "one commit, once"
        pull, task = await review.pull(), review.task
        assert (pull.head_sha, pull.state, task.stage, task.pushed_sha) == (
            review.tip,
            "open",
            Stage.REVIEW,
            review.tip,
        )
        assert "Tests: passed" in pull.body
        (said,) = await place.posts(follow_up)
        assert said.content.text.startswith("CT-1: shop#1 is updated (+2 −0, tests passed).")

"""Asking for more in review: a mention in the thread, a second commit, the same pull request, an answer."""

from pathlib import Path
from typing import Final

import pytest

from bot.core.tasks import Stage
from tests.journeys.town import NAME, OWNER, town
from tests.simulators.github.repositories import git, make_bare
from tests.worker.git_world import FILES

pytestmark = pytest.mark.timeout(120)

AGENT: Final = """
prompt=$(cat)
case "$prompt" in
*"make it blue"*) test -f footer.txt || exit 9; echo blue >> footer.txt; echo "It is blue now." ;;
*) echo footer > footer.txt ;;
esac
"""


async def test_a_mention_in_review_updates_the_same_pull_request(tmp_path: Path) -> None:
    bare = tmp_path / "shop.git"
    make_bare(bare, "main", FILES)
    git(bare, "config", "http.receivepack", "true")
    async with town(
        tmp_path, bare, features=("codetasks", "followups"), default_agent="command",
        agent_command=("sh", "-c", AGENT), test_command="test -f footer.txt && echo 1 passed", sandbox="none",
        allow_unsandboxed_push=True,
    ) as place:  # fmt: skip
        place.slack.runs_command("ana", "/codetask Please add a footer")
        first = await place.reaches(Stage.REVIEW)
        root = (await place.says("PR ready")).thread_ts
        asked = place.slack.user_mentions("ana", "make it blue", "general", thread_ts=root)
        reply = await place.says("is updated")
        said = place.shown(reply)
        assert reply.thread_ts == root and "@ana" in said and "It is blue now." in said
        assert f"CT-1: {OWNER}/{NAME}#1" in said and "is updated (+1 −0, tests passed)." in said
        second = await place.task()
        assert second is not None and (second.stage, second.insertions) == (Stage.REVIEW, 2)
        (pull,) = place.github.repositories[f"{OWNER}/{NAME}"].pulls.values()
        log = git(bare, "log", "--format=%s", f"main..{first.branch}").splitlines()
        assert log == ["make it blue", "Please add a footer"] and pull.state == "open"
        assert git(bare, "rev-parse", first.branch or "") == second.pushed_sha != first.pushed_sha
        await place.slack.wait_for(lambda: "eyes" in asked.reactions, 10)
        await place.slack.wait_for(lambda: "+2 −0" in place.shown(place.card()), 10)

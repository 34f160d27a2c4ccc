"""F18, scaled: an agent or a test that fills the disk, floods its output or hides files. The limit is named, the worker
lives."""

import resource
from pathlib import Path
from typing import Any, Final

import pytest

from bot.core.tasks import CodeTask, FailureReason, Stage
from tests.journeys.town import Town, town
from tests.simulators.github.repositories import make_bare
from tests.worker.git_world import FILES
from tests.worker.test_stages import Case, ended, put, settings

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]

RAM: Final = 64 * 1024
"""KiB that the worker may grow by."""
AGENT: Final = """
prompt=$(cat)
case "$prompt" in
*case:bytes*) dd if=/dev/zero of=big bs=1M count=40 2>/dev/null; sleep 60 ;;
*case:files*) mkdir many; cd many; seq 3000 | xargs touch; sleep 60 ;;
*case:flood*) head -c 80000000 /dev/zero | tr '\\0' 'x' | fold -w 4000; echo x > done.txt ;;
*case:fifo*) mkfifo pipe; echo x > done.txt ;;
*case:closed*) mkdir shut; echo x > shut/in; chmod 000 shut; echo x > done.txt ;;
*case:deep*) p=deepdeepdeepdeepdeepdeep; for n in $(seq 150); do mkdir $p; cd $p; done; echo x > x ;;
*case:testfill*) echo x > fill.txt ;;
esac
"""


def chosen(folder: Path) -> dict[str, Any]:
    make_bare(folder / "shop.git", "main", FILES)
    more = {"max_attempts": 2, "max_runs": 1, "agent_minutes": 0.5, "workspace_max_mb": 20, "workspace_max_files": 2000}
    fill = "if test -f fill.txt; then dd if=/dev/zero of=big bs=1M count=40; sleep 60; fi"
    made = settings(folder, f"sqlite:///{folder}/db", **more, test_command=fill, keep_failed=0)
    (folder / "agent.sh").write_text(AGENT)
    return made


async def result(place: Town, word: str) -> CodeTask:
    task = await ended(place, put(place, Case(word, Stage.FAILED)))
    await place.slack.wait_for(lambda: place.worker.busy == 0, 30)
    return task


async def test_the_limit_is_named_and_not_tried_again(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with town(tmp_path, **chosen(tmp_path)) as place:
        for word, named in (("bytes", "more than 20 MiB"), ("files", "more than 2000 files"), ("flood", "more output")):
            task = await result(place, word)
            assert (task.stage, task.failure_reason) == (Stage.FAILED, FailureReason.AGENT_FAILED), word
            assert named in (task.error or ""), task.error
            assert task.attempt == 1, f"{word}: tried again"
            assert place.runs_left() == [], word
        full = await result(place, "testfill")
        assert (full.stage, full.tests_passed, full.pr_draft) == (Stage.REVIEW, False, True), full.error
        assert "20 MiB" in (full.test_tail or "")
        log = await place.log(3)
        assert len(log) < 6 * 1024 * 1024
        after = await result(place, "fifo")
        assert after.stage in (Stage.REVIEW, Stage.FAILED)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < RAM


async def test_odd_files_do_not_stay(tmp_path: Path) -> None:
    async with town(tmp_path, **chosen(tmp_path)) as place:
        for word in ("fifo", "closed", "deep"):
            task = await result(place, word)
            assert task.stage is Stage.REVIEW or task.failure_reason in (
                FailureReason.REFUSED,
                FailureReason.NO_CHANGES,
            ), f"{word}: {task.failure_reason} {task.error}"
            assert place.runs_left() == [], word

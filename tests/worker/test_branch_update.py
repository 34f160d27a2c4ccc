"""A follow-up about a code task in review works on its branch: the change passes every gate on the way to the same pull
request, the stage stays, and the thread is told what changed or why nothing did."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.core.followups import FollowUp, FollowUpReason, FollowUpState
from bot.core.runs import RunLease
from bot.core.tasks import Stage
from bot.services.refusals import Refused
from bot.store import Transaction
from bot.worker.sandbox.bubblewrap import BubblewrapSandbox
from tests.simulators.github.repositories import git
from tests.worker.house import ADMIN, SECRET, house, processes_below
from tests.worker.review import Review, in_review, local_repo

pytestmark = pytest.mark.timeout(120)
OTHER = ADMIN.model_copy(update={"id": "U2", "name": "Bo"})
TWO_ADMINS = ("slack:U1", "slack:U2")


@asynccontextmanager
async def review(folder: Path, url: str, repo: dict[str, Any] | None = None, **values: Any) -> AsyncIterator[Review]:
    """A house with a code task in review."""
    repos = local_repo(folder, **(repo or {}))
    async with house(folder / "machine", url, repos=repos, **values) as place:
        yield await in_review(place, folder / "shop.git")
    assert place.workspaces() == []


@pytest.fixture
def url(tmp_path: Path, sqlite_template: Path) -> str:
    """A migrated database of its own."""
    (tmp_path / "only.db").write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{tmp_path / 'only.db'}"


async def test_the_same_pull_request_gets_the_change(tmp_path: Path, database_url: str) -> None:
    async with review(tmp_path, database_url) as place:
        before = place.tip
        ended = await place.sent("do:file=more.txt")
        assert ended.state is FollowUpState.SUCCESS, (ended.error, place.place.log(ended))
        said = await place.said(ended)
        assert said.startswith("CT-1: shop#1 is updated (+2 −0, tests passed)."), said
        assert said.endswith("heard 1: do:file=more.txt")
        assert "more.txt" in place.files and "done.txt" in place.files
        task, pull = place.task, await place.pull()
        assert (task.stage, task.pushed_sha, pull.head_sha) == (Stage.REVIEW, place.tip, place.tip)
        assert (task.insertions, task.deletions) == (3, 0), "the card shows all that the pull request changes"
        assert "Tests: passed" in pull.body and pull.state == "open"
        parent, subject = git(place.bare, "log", "-1", "--format=%P%n%B", task.branch or "").split("\n", 1)
        assert parent == before and subject.startswith("do:file=more.txt") and "Code-Task: CT-1" in subject
        kept = place.place.session()
        assert kept is not None and kept.repo == "shop"

        again = await place.sent("do:list")
        answer = await place.said(again)
        assert answer.startswith("heard 2: do:file=more.txt | do:list"), "the same conversation"
        assert "more.txt" in answer and "No file was changed; shop#1 stays as it is." in answer
        assert place.task.pushed_sha == place.tip == task.pushed_sha


async def test_red_tests_are_pushed_and_said(tmp_path: Path, url: str) -> None:
    async with review(tmp_path, url) as place:
        ended = await place.sent("do:file=red.txt")
        assert "shop#1 is updated (+2 −0, tests failed, exit 1)." in await place.said(ended)
        pull = await place.pull()
        assert place.task.tests_passed is False and place.task.stage is Stage.REVIEW
        assert pull.draft and "[tests failing]" in pull.title


@pytest.mark.sandbox
async def test_in_a_sandbox_it_takes_the_same_way(tmp_path: Path, url: str, bubblewrap: BubblewrapSandbox) -> None:
    async with review(tmp_path, url, sandbox=bubblewrap, allow_unsandboxed_push=False) as place:
        ended = await place.sent("do:file=more.txt do:list")
        said = await place.said(ended)
        assert said.startswith("CT-1: shop#1 is updated (+2 −0, tests passed)."), (said, place.place.log(ended))
        assert place.task.pushed_sha == place.tip and "done.txt" in said


async def unpushed(place: Review, ended: FollowUp, before: str | None, why: str) -> None:
    """It failed, said why, and left branch and pull request alone."""
    assert ended.state is FollowUpState.FAILED, place.place.log(ended)
    said = await place.said(ended)
    assert f"{ended.ref} failed: {why}" in said and "shop#1 stays as it is." in said
    assert place.tip == before == place.task.pushed_sha and place.task.stage is Stage.REVIEW
    assert (await place.pull()).body == "as first opened"


async def test_what_may_not_be_pushed_is_not(tmp_path: Path, url: str) -> None:
    async with review(tmp_path, url, {"on_test_failure": "fail"}) as place:
        before = place.tip
        await unpushed(place, await place.sent("do:file=red.txt"), before, "Tests failed")
        assert place.task.tests_passed is True, "what is known of the pull request stays"
        await unpushed(place, await place.sent("do:write do:exit"), before, "Coding agent failed (exit 3)")
        await unpushed(place, await place.sent(f"{SECRET} do:note"), before, "Refused: known secret note.txt")


async def test_without_a_sandbox_nothing_is_pushed_unless_allowed(tmp_path: Path, url: str) -> None:
    async with review(tmp_path, url, allow_unsandboxed_push=False) as place:
        await unpushed(place, await place.sent("do:write"), place.tip, "Pushing is disabled without a sandbox")


async def test_a_protected_path_waits_for_an_admin(tmp_path: Path, database_url: str) -> None:
    async with review(tmp_path, database_url, admins=TWO_ADMINS) as place:
        before, house_ = place.tip, place.place

        async def asked() -> FollowUp:
            follow_up = house_.put("do:file=.github/workflows/ci.yml")
            await house_.until("run", lambda: _state(place, follow_up) is RunLease.WAITING)
            return follow_up

        first = await asked()
        assert "CT-1 needs you" in await place.said(first) and place.tip == before
        shown = house_.run(lambda tx: _asked(tx, first))
        own = house_.run(lambda tx: house_.app.tasks.decide(tx, 1, ADMIN, True, shown))
        assert isinstance(own, Refused) and own.key == "refused.own_approval", "who asked may not allow it"
        house_.run(lambda tx: house_.app.tasks.decide(tx, 1, OTHER, False, shown))
        refused = await house_.ended(first)
        assert refused.failure_reason is FollowUpReason.REFUSED and "Bo did not allow" in await place.said(refused)
        assert place.tip == before
        assert not isinstance(house_.run(lambda tx: house_.app.followups.delete(tx, first.id or 0, ADMIN)), Refused)

        second = await asked()
        parked = house_.run(lambda tx: tx.runs.parked(tx.runs.of_follow_up(second.id or 0)[-1].id or 0))
        stale = house_.run(lambda tx: house_.app.tasks.decide(tx, 1, OTHER, True, shown))
        assert isinstance(stale, Refused) and stale.key == "refused.approval_changed"
        allowed = house_.run(lambda tx: house_.app.tasks.decide(tx, 1, OTHER, True, _asked(tx, second)))
        assert not isinstance(allowed, Refused) and parked is not None
        assert (await house_.ended(second)).state is FollowUpState.SUCCESS, house_.log(second)
        assert place.tip == parked.sha and ".github/workflows/ci.yml" in place.files
        assert "heard 2:" in await place.says(second, "shop#1 is updated (+2 −0, tests passed).")


def _asked(tx: Transaction, follow_up: FollowUp) -> str:
    """The beginning of the commit that an admin was asked about."""
    parked = tx.runs.parked(tx.runs.of_follow_up(follow_up.id or 0)[-1].id or 0)
    return parked.sha[:12] if parked is not None else ""


def _state(place: Review, follow_up: FollowUp) -> RunLease | None:
    runs = place.place.run(lambda tx: tx.runs.of_follow_up(follow_up.id or 0))
    return runs[-1].state if runs else None


async def test_a_waiting_change_ends_with_its_code_task(tmp_path: Path, url: str) -> None:
    async with review(tmp_path, url, admins=TWO_ADMINS) as place:
        before, house_ = place.tip, place.place
        follow_up = house_.put("do:file=.github/workflows/ci.yml")
        await house_.until("run", lambda: _state(place, follow_up) is RunLease.WAITING)
        task = place.task
        house_.run(lambda tx: house_.app.merges.apply(tx, task, "merged", "bo", "webhook"))
        assert (await house_.ended(follow_up)).state is FollowUpState.CANCELLED
        assert "FU-1 was stopped: CT-1 is no longer in review" in await place.said(follow_up)
        late = house_.run(lambda tx: house_.app.tasks.decide(tx, 1, OTHER, True, _asked(tx, follow_up)))
        assert isinstance(late, Refused) and place.tip == before


@pytest.mark.parametrize("how", ["cancel", "merged", "stop"])
async def test_it_ends_at_once_when_the_code_task_does(tmp_path: Path, url: str, how: str) -> None:
    async with review(tmp_path, url) as place:
        before, house_ = place.tip, place.place
        follow_up = house_.put("do:write do:hang")
        await house_.until("task", lambda: "Waiting" in house_.log(follow_up))
        app, task = house_.app, place.task
        if how == "cancel":
            house_.run(lambda tx: app.tasks.cancel(tx, 1, ADMIN))
        elif how == "merged":
            house_.run(lambda tx: app.merges.apply(tx, task, "merged", "bo", "webhook"))
        else:
            house_.run(lambda tx: app.followups.stop(tx, follow_up.id or 0, ADMIN))
        await house_.until("run", lambda: house_.worker.busy == 0)
        assert processes_below(tmp_path) == [] and place.tip == before
        assert (await house_.ended(follow_up)).state is FollowUpState.CANCELLED
        said = await place.said(follow_up)
        assert said == (
            "" if how == "stop" else "FU-1 was stopped: CT-1 is no longer in review, so nothing is pushed to it."
        )
        assert place.task.stage is {"cancel": Stage.FAILED, "merged": Stage.MERGED, "stop": Stage.REVIEW}[how]


async def test_a_pull_request_that_was_closed_unheard_gets_nothing(tmp_path: Path, url: str) -> None:
    async with review(tmp_path, url) as place:
        await place.close()
        why = "The pull request was closed meanwhile: nothing was pushed"
        await unpushed(place, await place.sent("do:write"), place.tip, why)


async def test_what_others_pushed_stays_and_is_built_upon(tmp_path: Path, url: str) -> None:
    async with review(tmp_path, url) as place:
        theirs = place.commit({"theirs.txt": "x\n"})
        ended = await place.sent("do:write do:list")
        assert ended.state is FollowUpState.SUCCESS, ended.error
        assert "theirs.txt" in await place.said(ended)
        assert git(place.bare, "rev-parse", f"{place.tip}^") == theirs


async def test_after_review_it_only_answers(tmp_path: Path, url: str) -> None:
    async with review(tmp_path, url) as place:
        before = place.tip
        place.place.run(lambda tx: place.place.app.tasks.cancel(tx, 1, ADMIN))
        ended = await place.sent("do:write")
        assert "Changed files, not pushed: `changed.txt`." in await place.said(ended)
        assert place.tip == before


async def test_a_push_whose_run_was_lost_is_finished_by_the_next(tmp_path: Path, url: str) -> None:
    """Killed between push and pull request: the branch is at a commit that was noted and never recorded."""
    async with review(tmp_path, url) as place:
        lost = place.commit({"more.txt": "1\n2\n"})
        place.place.run(lambda tx: tx.tasks.update(1, {Stage.REVIEW}, pushing_sha=lost))
        ended = await place.sent("go on")
        assert "shop#1 is updated (+2 −0, tests passed)." in await place.said(ended), place.place.log(ended)
        assert place.tip == lost == place.task.pushed_sha
        assert "Tests: passed" in (await place.pull()).body

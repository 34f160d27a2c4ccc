"""F13: what happens on the forge, told late, twice, out of order or not at all. The row follows the facts."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from bot.core.commands import Options
from bot.core.github_events import PullRequestFact
from bot.core.inbound import Person
from bot.core.tasks import CodeTask, FailureReason, Stage, may_move
from bot.services.merges import Reconciler
from bot.services.refusals import Refused
from bot.services.tasks import Filing
from tests.journeys.town import NAME, OWNER, Town, town
from tests.simulators.github.repositories import make_bare
from tests.worker.git_world import FILES
from tests.worker.test_stages import ended, settings

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]

ANA: Final = Person(platform="slack", workspace_id="T1", id="U1", name="ana", roles=frozenset({"owner"}))
Tell = Callable[..., bool]


async def in_review(place: Town, count: int) -> list[CodeTask]:
    """So many code tasks in review, each with its pull request."""

    def unit(tx: Any) -> list[int]:
        numbers: list[int] = []
        for number in range(count):
            filed = place.app.tasks.file(tx, Filing(f"Please do case:new number {number}", ANA, Options()))
            assert not isinstance(filed, Refused)
            numbers.append(filed.task.id or 0)
        return numbers

    tasks = [await ended(place, number) for number in place.app.store.run_sync(unit)]
    assert all(task.stage is Stage.REVIEW for task in tasks), tasks
    return tasks


def teller(place: Town) -> Tell:
    """Applies a fact as the webhook does; a fresh delivery id unless one is given."""
    numbers = itertools.count()

    def tell(number: int, action: Any, delivery: str = "", repo: str = NAME, by: str = "bo") -> bool:
        fact = PullRequestFact(owner=OWNER, repo=repo, number=number, action=action, merged_by=by)
        name = delivery or f"delivery-{next(numbers)}"
        return place.app.store.run_sync(lambda tx: place.app.merges.apply_fact(tx, fact, name))

    return tell


def chosen(folder: Path, url: str, **more: Any) -> dict[str, Any]:
    make_bare(folder / "shop.git", "main", FILES)
    return settings(folder, url, test_command="none", reconcile_seconds=3600, **more)


def poll(place: Town) -> Reconciler:
    """The poll, run by hand."""
    return Reconciler(place.app.store, place.app.merges, place.app.forges)


async def legal(place: Town, task: CodeTask, *stages: Stage) -> None:
    """The history from the review on is exactly these stages, by legal moves."""
    moves = await place.app.store.run(lambda tx: list(tx.tasks.history(task.id or 0)), read=True)
    assert all(move.from_stage is None or may_move(move.from_stage, move.to_stage) for move in moves)
    start = next(i for i, move in enumerate(moves) if move.to_stage is Stage.REVIEW)
    assert [move.to_stage for move in moves[start + 1 :]] == list(stages)


async def test_told_twice_late_and_out_of_order(tmp_path: Path, database_url: str) -> None:
    async with town(tmp_path, **chosen(tmp_path, database_url)) as place:
        one, two, three, four, five = await in_review(place, 5)
        tell = teller(place)
        pr = [task.pr_number or 0 for task in (one, two, three, four, five)]

        assert tell(pr[0], "merged", "same") and not tell(pr[0], "merged", "same") and not tell(pr[0], "merged")
        await legal(place, one, Stage.MERGED)

        assert not tell(pr[1], "reopened") and tell(pr[1], "closed")  # the wrong way round: the poll sets it right
        await legal(place, two, Stage.FAILED)

        assert tell(pr[2], "closed") and tell(pr[2], "reopened") and tell(pr[2], "merged")
        assert not tell(pr[2], "closed") and not tell(pr[2], "reopened")
        await legal(place, three, Stage.FAILED, Stage.REVIEW, Stage.MERGED)

        cancelled = place.app.store.run_sync(lambda tx: place.app.tasks.cancel(tx, four.id or 0, ANA))
        assert not isinstance(cancelled, Refused)
        assert not tell(pr[3], "reopened") and not tell(pr[3], "closed") and tell(pr[3], "merged")
        await legal(place, four, Stage.FAILED, Stage.MERGED)
        found = await place.task(four.id or 0)
        assert found is not None and found.failure_reason is None and found.merged_by == "bo"

        assert not tell(pr[4], "merged", repo="other") and not tell(99, "merged")
        await legal(place, five)


async def test_the_poll_finds_what_no_webhook_told(tmp_path: Path, database_url: str) -> None:
    async with town(tmp_path, **chosen(tmp_path, database_url)) as place:
        one, two, three = await in_review(place, 3)
        github, tell, look = place.github, teller(place), poll(place).run_once
        await look()
        github.merge(OWNER, NAME, one.pr_number or 0)
        github.close(OWNER, NAME, two.pr_number or 0)
        await look()
        await legal(place, one, Stage.MERGED)
        await legal(place, two, Stage.FAILED)
        closed = await place.task(two.id or 0)
        assert closed is not None and closed.failure_reason is FailureReason.PR_CLOSED
        assert closed.error == "Pull request closed without merging"
        github.reopen(OWNER, NAME, two.pr_number or 0)
        await look()
        await legal(place, two, Stage.FAILED, Stage.REVIEW)

        tell(three.pr_number or 0, "closed")  # an old delivery: it was reopened since, and nothing changed on GitHub
        await legal(place, three, Stage.FAILED)
        await look()
        await legal(place, three, Stage.FAILED, Stage.REVIEW)
        before = len(github.calls)
        await look()
        asked = github.calls[before:]
        assert asked and all("if-none-match" in call.headers for call in asked), "asked in full though nothing changed"


async def test_a_cancelled_one_that_is_merged_is_merged(tmp_path: Path, sqlite_template: Path) -> None:
    async with town(tmp_path, **chosen(tmp_path, f"sqlite:///{tmp_path}/db")) as place:
        (task,) = await in_review(place, 1)
        look = poll(place).run_once
        place.app.store.run_sync(lambda tx: place.app.tasks.cancel(tx, task.id or 0, ANA))
        await look()
        await legal(place, task, Stage.FAILED)
        place.github.merge(OWNER, NAME, task.pr_number or 0)
        await look()
        await legal(place, task, Stage.FAILED, Stage.MERGED)

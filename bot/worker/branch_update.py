"""What a follow-up's run changed on the branch of a code task in review, on its way to the same pull request.

It goes through the phases of every change, then it is pushed onto what the run started from. The code task stays in
review all the time.

A crash between push and pull request is mended by the next run: the branch is then at a commit that was noted before
the push (`pushing_sha`) and is not known as pushed (`pushed_sha`), so it counts as this run's own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bot.core.patch import RefusedChange
from bot.core.runs import ParkedChange
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.ports import PullRequest
from bot.services.attempts import Cost, Failure
from bot.services.followup_runs import Answer, ClaimedFollowUp
from bot.services.send_runs import Pushed, SendRuns
from bot.store import Transaction
from bot.worker.changes import Changes
from bot.worker.failures import Stopped, need
from bot.worker.git import GitFailed
from bot.worker.lease import Interrupted
from bot.worker.phases import Phases, Tested
from bot.worker.publishing import Publisher

T = TypeVar("T")
ENDED_BEFORE: Final = {
    "merged": "The pull request was merged meanwhile: nothing was pushed.",
    "closed": "The pull request was closed meanwhile: nothing was pushed.",
}
"""What is said of a pull request that had ended before the push."""
ENDED_DURING: Final = {
    "merged": "The pull request was merged while the change was pushed.",
    "closed": "The pull request was closed while the change was pushed.",
}


@dataclass(slots=True)
class BranchUpdate:
    """One run's way from its checkout of the branch at `tip` to the pull request of `task`.

    `left` collects what is on the forge by now, as columns of the code task."""

    phases: Phases
    sends: SendRuns
    claimed: ClaimedFollowUp
    task: CodeTask
    tip: str
    cost: Callable[[], Cost]
    left: dict[str, Any] = field(default_factory=dict[str, Any])

    async def publish(self, answer: Answer) -> bool:
        """Ends in an updated pull request, or parked until an admin decides. False when the agent changed nothing."""
        phases, start = self.phases, self._start()
        tree_sha = await phases.snapshot(self.tip)
        changes = await phases.changes(start, tree_sha)
        if not changes.entries:
            return False
        judged, whole = phases.gate(changes), await self._whole(tree_sha)
        warnings = self._flags(whole, judged.warnings)
        sha = await self._commit(start, tree_sha, changes)
        command = await phases.test_command(tree_sha)
        tested = await phases.test(tree_sha, command) if command else Tested()
        phases.allow_red(tested)
        facts = {
            "columns": {**tested.values(), **_counts(whole)},
            "counts": [changes.insertions, changes.deletions],
            "text": answer.text,
        }
        change = ParkedChange(self.tip, tree_sha, sha, judged.reasons, tuple(warnings), facts, b"")
        if judged.reasons:
            await self._park(change, answer)
        else:
            await self._push(change, answer)
        return True

    async def go_on(self, change: ParkedChange) -> None:
        """An admin allowed the change: push exactly that tree, onto what it was made from."""
        self.phases.log.event("the change was approved")
        await self.phases.restored(change)
        await self._push(change, Answer(str(change.facts["text"]), repo=self.phases.repo.alias))

    def _start(self) -> str:
        """What the change is compared with: the tip, or what was there before a push whose run was lost."""
        known, pushing = self.task.pushed_sha, self.task.pushing_sha
        return known if known and self.tip == pushing and known != self.tip else self.tip

    async def _whole(self, tree_sha: str) -> Changes | None:
        """All that the pull request changes; None where that cannot be told."""
        base_sha = self.task.base_sha
        if not base_sha:
            return None
        changes = await self.phases.held.guard(self.phases.workspace.changes(base_sha, tree_sha))
        return None if isinstance(changes, GitFailed) else changes

    def _flags(self, whole: Changes | None, own: list[str]) -> list[str]:
        """What the pull request warns of: the flags of all that it changes, and of this run."""
        verdict = self.phases.judge(whole) if whole is not None else None
        if verdict is None or isinstance(verdict, RefusedChange):
            return own
        return list(dict.fromkeys([*map(self.phases.said, verdict.flags), *own]))

    async def _commit(self, start: str, tree_sha: str, changes: Changes) -> str:
        """The commit on top of the tip; the tip itself where a lost run had pushed all of it."""
        own = changes if start == self.tip else await self.phases.changes(self.tip, tree_sha)
        if not own.entries:
            return self.tip
        follow_up = self.claimed.follow_up
        named = self.task.model_copy(
            update={
                "title": follow_up.title,
                "requester_platform": follow_up.requester_platform,
                "requester_id": follow_up.requester_id,
                "requester_name": follow_up.requester_name,
            }
        )
        context = await self.phases.context(self.task, [])
        at = follow_up.triggered_at or follow_up.created_at
        return await self.phases.commit(named, self.tip, tree_sha, at, context)

    async def _park(self, change: ParkedChange, answer: Answer) -> None:
        parked = await self.phases.bundled(change)
        lease, cost = self.claimed.lease, self.cost()
        await self.phases.log.flush()
        asked = await self._write(lambda tx: self.sends.park(tx, lease, self._number, parked, cost, answer))
        if asked is None:
            raise Interrupted("lost")

    async def _push(self, change: ParkedChange, answer: Answer) -> None:
        phases, columns = self.phases, dict(change.facts["columns"])
        phases.allow_push(columns)
        publisher, branch = self.publisher(), self.task.branch or ""
        await self._require_open(publisher)
        if change.sha != self.tip:
            need(await phases.held.guard(publisher.push_on(branch, change.sha, self.tip)))
            phases.log.event(f"pushed {branch}")
        columns |= {"branch": branch, "pushed_sha": change.sha}
        if phases.repo.forge != "none":
            columns |= await self._tell_forge(publisher, change, columns)
        await phases.log.flush()
        insertions, deletions = change.facts["counts"]
        lease, cost, pushed = self.claimed.lease, self.cost(), Pushed(columns, (insertions, deletions))
        ended = await self._write(lambda tx: self.sends.pushed(tx, lease, self._number, answer, pushed, cost))
        if ended is None:
            raise Interrupted("lost")

    async def _require_open(self, publisher: Publisher) -> None:
        """Nothing is pushed to a pull request that was merged or closed, also where we were not told of it yet."""
        if self.task.pr_number is None:
            return
        pull = need(await self.phases.held.guard(publisher.pull_request(self.task)))
        if isinstance(pull, PullRequest) and pull.state != "open":
            raise Stopped(Failure(FailureReason.REFUSED, ENDED_BEFORE[pull.state]))

    async def _tell_forge(self, publisher: Publisher, change: ParkedChange, columns: dict[str, Any]) -> dict[str, Any]:
        """Gives the pull request the outcome of the tests, or opens one where there was none."""
        phases, total = self.phases, Cost(self.task.cost_usd, self.task.tokens) + self.cost()
        told = self.task.model_copy(update={**columns, "cost_usd": total.usd, "tokens": total.tokens})
        context = await phases.context(told, list(change.warnings))
        draft = phases.is_draft(told, told.tests_passed)
        if told.pr_number is None:
            opening = publisher.open_pull_request(told, told.branch or "", draft, context)
        else:
            opening = publisher.update_pull_request(told, draft, context)
        pull: PullRequest = need(await phases.held.guard(opening))
        phases.log.event(f"pull request {pull.url}")
        if pull.state != "open":
            raise Stopped(Failure(FailureReason.REFUSED, ENDED_DURING[pull.state]))
        return {"pr_number": pull.number, "pr_url": pull.url, "pr_draft": pull.draft}

    @property
    def _number(self) -> int:
        return self.task.id or 0

    def publisher(self) -> Publisher:
        """Reaches the forge for this run, as long as the run holds and the code task is in review."""
        phases = self.phases
        forge = phases.tools.forges[phases.repo.forge]
        return Publisher(
            phases.workspace, phases.repo, forge, self._note, self._still_ours, phases.log.event, self.left
        )

    async def _note(self, **values: Any) -> CodeTask:
        lease = self.claimed.lease
        task = await self._write(lambda tx: self.sends.note(tx, lease, self._number, **values))
        if task is None:
            await self._still_ours()
            raise Interrupted("lost")
        return task

    async def _still_ours(self) -> None:
        lease = self.claimed.lease
        stage = await self._write(lambda tx: self.sends.where(tx, lease, self._number))
        if stage is None:
            raise Interrupted("lost")
        if stage is not Stage.REVIEW:
            why = f"{self.task.ref} is no longer in review: nothing was pushed."
            raise Stopped(Failure(FailureReason.REFUSED, why))

    async def _write(self, unit: Callable[[Transaction], T]) -> T:
        return await self.phases.held.write(self.phases.tools.store, unit)


def _counts(whole: Changes | None) -> dict[str, int]:
    """The size of the whole pull request, as columns of the code task; none where it is not known."""
    if whole is None or not whole.entries or not (whole.insertions or whole.deletions):
        return {}
    return {"insertions": whole.insertions, "deletions": whole.deletions}

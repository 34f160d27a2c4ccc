"""Forge facts -> merged, pr_closed, reopened: from the webhook and from the poll that finds what webhooks lost.

A fact is applied in one guarded transaction, so a repeated, late or out-of-order one changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

import structlog

from bot.core.github_events import PullRequestFact
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.ports import Forge, NotModified, PullRequest
from bot.services.announcements import Announcer
from bot.services.branch_runs import end_on_branch
from bot.settings import Settings
from bot.store import Store, StoreDown, Transaction

log = structlog.get_logger(__name__)

FRESH: Final = timedelta(hours=1)
SLOW_POLL: Final = timedelta(minutes=5)
PrState = Literal["open", "merged", "closed"]


@dataclass(frozen=True, slots=True)
class Merges:
    """Applies forge facts. Stateless."""

    settings: Settings
    announcer: Announcer

    def apply_fact(self, tx: Transaction, fact: PullRequestFact, delivery_id: str) -> bool:
        """A webhook's fact; False when the delivery was seen before or the pull request is not ours."""
        if delivery_id and not tx.people.first_delivery(delivery_id):
            return False
        aliases = [
            repo.alias
            for repo in self.settings.repositories.values()
            if (repo.owner.lower(), repo.name.lower()) == (fact.owner.lower(), fact.repo.lower())
        ]
        task = tx.tasks.by_pull_request(aliases, fact.number) if aliases else None
        if task is None:
            return False
        state: PrState = "open" if fact.action == "reopened" else fact.action
        return self.apply(tx, task, state, fact.merged_by, "webhook") is not None

    def apply(self, tx: Transaction, task: CodeTask, state: PrState, by: str, source: str) -> CodeTask | None:
        """Moves the code task to where its pull request is; None when it is there already."""
        leaves = state != "open" and task.stage is Stage.REVIEW
        if leaves:
            end_on_branch(tx, self.announcer, task)
        moved = self._move(tx, task, state, by, source)
        if moved is not None:
            if leaves:
                end_on_branch(tx, self.announcer, task)
            told = {"stage": moved.stage.value, "pull_request": moved.pr_url, "by": by, "source": source}
            tx.people.audit("forge", f"pull_request.{state}", moved.ref, told)
            runs = tx.runs.of_task(moved.id or 0)
            self.announcer.moved(tx, moved, runs[-1] if runs else None)
        return moved

    def _move(self, tx: Transaction, task: CodeTask, state: PrState, by: str, source: str) -> CodeTask | None:
        actor, task_id = f"forge:{by}" if by else "forge", task.id or 0
        if state == "merged":
            return tx.tasks.move(
                task_id,
                {Stage.REVIEW, Stage.FAILED},
                Stage.MERGED,
                actor=actor,
                reason=f"merged ({source})",
                merged_by=by or None,
            )
        if state == "closed":
            return tx.tasks.move(
                task_id,
                {Stage.REVIEW},
                Stage.FAILED,
                actor=actor,
                reason=f"closed ({source})",
                failure_reason=FailureReason.PR_CLOSED,
                error="Pull request closed without merging",
            )
        if task.failure_reason is FailureReason.PR_CLOSED:
            return tx.tasks.move(task_id, {Stage.FAILED}, Stage.REVIEW, actor=actor, reason=f"reopened ({source})")
        return None


@dataclass(slots=True)
class Reconciler:
    """The poll: looks at pull requests in review, fresh ones every time, older ones every 5 minutes."""

    store: Store
    merges: Merges
    forges: Mapping[str, Forge]
    etags: dict[int, tuple[str, PrState]] = field(default_factory=dict[int, tuple[str, PrState]])
    """What the forge answered last time; asked "anything new?" only while our row agrees with that answer."""
    looked_at: dict[int, datetime] = field(default_factory=dict[int, datetime])

    async def run_once(self) -> int:
        """Looks at all that are due; returns how many code tasks moved."""
        tasks: Sequence[CodeTask] = await self.store.run(lambda tx: tx.tasks.in_review(), read=True)
        moved = 0
        for task in tasks:
            if not self._due(task):
                continue
            try:
                moved += await self._look(task)
            except StoreDown:
                raise
            except Exception:
                log.exception("reconcile_failed", task=task.ref)
        known = {task.id for task in tasks}
        self.etags = {number: etag for number, etag in self.etags.items() if number in known}
        self.looked_at = {number: at for number, at in self.looked_at.items() if number in known}
        return moved

    def _due(self, task: CodeTask) -> bool:
        now, last = self.store.now(), self.looked_at.get(task.id or 0)
        return last is None or now - task.updated_at < FRESH or now - last >= SLOW_POLL

    async def _look(self, task: CodeTask) -> int:
        repo = self.merges.settings.repositories.get(task.repo)
        forge = self.forges.get(repo.forge) if repo else None
        if repo is None or forge is None or task.pr_number is None:
            return 0
        self.looked_at[task.id or 0] = self.store.now()
        etag, said = self.etags.get(task.id or 0, ("", "open"))
        pull = await forge.pull_request(repo, task.pr_number, etag if _agrees(task, said) else "")
        if isinstance(pull, NotModified):
            return 0
        if not isinstance(pull, PullRequest):
            log.warning("reconcile_failed", task=task.ref, trouble=type(pull).__name__)
            return 0
        moved = await self.store.run(lambda tx: self.merges.apply(tx, task, pull.state, pull.merged_by, "poll"))
        if pull.etag:
            self.etags[task.id or 0] = (pull.etag, pull.state)
        return 0 if moved is None else 1


def _agrees(task: CodeTask, state: PrState) -> bool:
    """Whether the row shows what the forge said. A webhook out of order may have moved it away from that."""
    if task.stage is Stage.REVIEW:
        return state == "open"
    return state == ("closed" if task.failure_reason is FailureReason.PR_CLOSED else "open")

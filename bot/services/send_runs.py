"""Runs of follow-ups that work on the branch of a code task in review, as the queue and the thread see them.

A `send`, or a follow-up that falls due in the code task's thread, becomes such a run; the code task stays in review
all the time. Order of writing as everywhere: the run, the follow-up, the code task.
"""

from dataclasses import dataclass
from typing import Any, Final

from bot.core.cards import Doc
from bot.core.followups import FollowUp, FollowUpReason
from bot.core.runs import ParkedChange, RunLease, RunState
from bot.core.send_replies import left_doc, pushed_doc, unchanged_doc
from bot.core.task_cards import title_text
from bot.core.task_replies import approval_reply
from bot.core.tasks import CodeTask, Stage
from bot.core.texts import Texts
from bot.services.announcements import Announcer
from bot.services.attempts import Cost
from bot.services.branch_runs import post, tell_failed
from bot.services.followup_runs import Answer, FollowUpLease, FollowUpRuns
from bot.store import Transaction

REVIEW: Final = frozenset({Stage.REVIEW})
EVERY: Final = frozenset(Stage)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a run added to the pull request: columns of the code task, and its own inserted and deleted lines."""

    values: dict[str, Any]
    counts: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SendRuns:
    """The moves of such runs. Stateless; every method takes the transaction it works in."""

    runs: FollowUpRuns
    announcer: Announcer

    def where(self, tx: Transaction, lease: FollowUpLease, task_id: int) -> Stage | None:
        """The stage of the code task, None when the lease is lost."""
        if not tx.runs.holds(lease.run_id, lease.fence):
            return None
        task = tx.tasks.get(task_id)
        return task.stage if task is not None else Stage.FAILED

    def note(self, tx: Transaction, lease: FollowUpLease, task_id: int, **values: Any) -> CodeTask | None:
        """Stores facts on the code task in review. None when the lease is lost, or it has left review."""
        # A write, not a look: it locks the run, so nobody ends it before this commits.
        if not tx.runs.update(lease.run_id, lease.fence, run_state=RunState.WORKING):
            return None
        return tx.tasks.update(task_id, REVIEW, **values)

    def pushed(
        self, tx: Transaction, lease: FollowUpLease, task_id: int, answer: Answer, pushed: Pushed, cost: Cost
    ) -> FollowUp | None:
        """The pull request has the change: the follow-up has succeeded, card and thread say so. None when the lease is
        lost."""

        def tell(follow_up: FollowUp) -> None:
            task = self._settle(tx, task_id, cost, pushed.values)
            if task is None:
                return
            mask, now = self.announcer.redactor.mask, tx.now
            post(
                tx,
                self.announcer,
                follow_up,
                f"{follow_up.attempt}:result",
                lambda texts: pushed_doc(
                    follow_up, task, answer.text, pushed.counts, texts, now, mask, fresh_session=answer.fresh_session
                ),
            )
            # Behind the reply: an edit may have to wait for the one before it.
            self._edit(tx, task, f"sent:{follow_up.ref}:{follow_up.attempt}")

        return self.runs.answer(tx, lease, answer, cost, tell)

    def unchanged(
        self, tx: Transaction, lease: FollowUpLease, task_id: int, answer: Answer, cost: Cost
    ) -> FollowUp | None:
        """The agent answered and changed nothing. None when the lease is lost."""

        def tell(follow_up: FollowUp) -> None:
            task, now = self._settle(tx, task_id, cost, {}), tx.now
            if task is not None:
                post(
                    tx,
                    self.announcer,
                    follow_up,
                    f"{follow_up.attempt}:result",
                    lambda texts: unchanged_doc(
                        follow_up, task, answer.text, texts, now, fresh_session=answer.fresh_session
                    ),
                )

        return self.runs.answer(tx, lease, answer, cost, tell)

    def fail(
        self,
        tx: Transaction,
        lease: FollowUpLease,
        task_id: int,
        reason: FollowUpReason,
        error: str,
        cost: Cost,
        answer: Answer | None,
        left: dict[str, Any],
    ) -> FollowUp | None:
        """It ended without a result; the code task stays in review. `left` is what it had put on the forge by then, as
        columns of the code task: told, and not recorded as pushed, so that the next run on the branch finishes it. None
        when the lease is lost."""
        pushed = str(left.get("branch") or "") if left.get("pushed_sha") else ""

        def tell(follow_up: FollowUp) -> None:
            tell_failed(tx, self.announcer, follow_up, self._settle(tx, task_id, cost, {}), pushed)

        return self.runs.fail(tx, lease, reason, error, cost, answer, tell)

    def leave(self, tx: Transaction, lease: FollowUpLease, task_id: int, cost: Cost, left: dict[str, Any]) -> None:
        """An ended run says what it cost, and what had reached the branch by then."""
        run = tx.runs.get(lease.run_id)
        if run is None or run.fence != lease.fence or run.state is not RunLease.CANCELLED:
            return
        self.runs.leave(tx, lease, cost)
        self._settle(tx, task_id, cost, {})
        follow_up, branch = tx.followups.get(lease.follow_up_id), str(left.get("branch") or "")
        if follow_up is not None and left.get("pushed_sha"):
            key = f"{follow_up.attempt}:left"
            post(tx, self.announcer, follow_up, key, lambda texts: left_doc(follow_up, branch, texts))

    def park(
        self,
        tx: Transaction,
        lease: FollowUpLease,
        task_id: int,
        change: ParkedChange,
        cost: Cost,
        answer: Answer,
    ) -> CodeTask | None:
        """The change needs an admin's word: the lease is given up, the thread is asked. None when the lease is lost or
        the code task has left review."""
        run = tx.runs.park(lease.run_id, lease.fence, change, cost_usd=cost.usd, tokens=cost.tokens)
        follow_up, task = tx.followups.get(lease.follow_up_id), tx.tasks.get(task_id)
        if run is None or follow_up is None or task is None:
            return None
        self.runs.keep_session(tx, lease, run, answer)
        tx.people.audit(f"run:{lease.run_id}", "ask_approval", task.ref, {"tree": change.tree_sha})
        asked = task.model_copy(
            update={
                "requester_platform": follow_up.requester_platform,
                "requester_workspace": follow_up.requester_workspace,
                "requester_id": follow_up.requester_id,
                "requester_name": follow_up.requester_name,
            }
        )
        admin = self.announcer.admin_for(tx, asked)
        key = f"{follow_up.attempt}:asks:{run.fence}"
        topic = {"topic": f"{follow_up.ref} {title_text(task, self.announcer.redactor.mask)}"}

        def draw(texts: Texts) -> Doc:
            return approval_reply(asked, change, texts, admin).model_copy(update=topic)

        post(tx, self.announcer, follow_up, key, draw)
        return task

    def _settle(self, tx: Transaction, task_id: int, cost: Cost, values: dict[str, Any]) -> CodeTask | None:
        """Writes what a run changed, and adds its cost to the code task's; None when that is gone."""
        task = tx.tasks.update(task_id, EVERY, **values)
        if task is None or cost == Cost():
            return task
        total = Cost(task.cost_usd, task.tokens) + cost
        return tx.tasks.update(task_id, EVERY, cost_usd=total.usd, tokens=total.tokens)

    def _edit(self, tx: Transaction, task: CodeTask, what: str) -> None:
        own = tx.runs.of_task(task.id or 0)
        if own:
            self.announcer.changed(tx, task, own[-1], what)

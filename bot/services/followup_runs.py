"""A follow-up's run as the queue sees it: claim, answer, fail, give back, reap. Each is one transaction.

The run's row is written first and the follow-up's second, as with code tasks; every worker write is guarded by the
run's fence, and a lost lease writes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from bot.core.followups import ERROR_MAX, ON_TIME, FollowUp, FollowUpReason, FollowUpState
from bot.core.runs import ParkedChange, Run, RunLease
from bot.core.tasks import CodeTask, Stage
from bot.failpoints import failpoint
from bot.services.attempts import Cost
from bot.services.branch_runs import task_of
from bot.services.followup_news import FollowUpNews
from bot.services.kept_words import keep_words
from bot.services.loops import short_ref
from bot.settings import Settings
from bot.store import AgentSession, Store, StoreDown, Transaction

log = structlog.get_logger(__name__)

PENDING, RUNNING = FollowUpState.PENDING, FollowUpState.RUNNING
SUCCESS, FAILED = FollowUpState.SUCCESS, FollowUpState.FAILED
Tell = Callable[[FollowUp], None]
"""Says how a run ended, in its transaction."""
CRASHES_MAX = 2
"""Lost workers after which it is given up (product rule 7.2)."""
APPROVED_TRIES = 4
"""Claims of a run whose change an admin allowed: the same change is pushed by the next worker, but not without end."""


@dataclass(frozen=True, slots=True)
class FollowUpLease:
    """A worker's right to write about one run of a follow-up."""

    run_id: int
    fence: int
    follow_up_id: int


@dataclass(frozen=True, slots=True)
class ClaimedFollowUp:
    """A leased run with its follow-up and the conversation it goes on with, as they were at the claim.

    `repo` is the alias of the repository its workspace is a checkout of, empty for an empty workspace; `task` is the
    code task that it is about: the one it was sent to, else the newest of its thread."""

    lease: FollowUpLease
    run: Run
    follow_up: FollowUp
    session: AgentSession | None = None
    repo: str = ""
    task: CodeTask | None = None
    approved: ParkedChange | None = None
    """Set when an admin allowed the tested change: the run goes on at the push."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent's run ended with: its text, the conversation to keep, and what has to be said beside it.

    `repo` is the alias of the repository it worked in, `files` are the paths it changed there."""

    text: str
    session_ref: str | None = None
    archive: bytes | None = None
    summary: str = ""
    fresh_session: bool = False
    files: tuple[str, ...] = ()
    repo: str = ""


@dataclass(frozen=True, slots=True)
class FollowUpRuns:
    """The moves of follow-ups' runs. Stateless; every method takes the transaction it works in."""

    settings: Settings
    news: FollowUpNews

    def claim(self, tx: Transaction, worker: str, host: str) -> ClaimedFollowUp | None:
        """Leases the next ready run of a follow-up; None when nothing is ready."""
        run = tx.runs.claim_follow_up(worker, host, self.settings.max_follow_ups, self.settings.lease)
        if run is None or run.id is None or run.follow_up_id is None:
            return None
        follow_up = tx.followups.get(run.follow_up_id)
        if follow_up is None or follow_up.state is not RUNNING:
            tx.runs.end(run.id, run.fence, RunLease.CANCELLED)
            return None
        session = tx.sessions.get(run.thread_id, run.agent) if run.thread_id is not None else None
        lease = FollowUpLease(run.id, run.fence, run.follow_up_id)
        task, parked = task_of(tx, follow_up), tx.runs.parked(run.id)
        approved = parked if parked is not None and parked.approved else None
        if follow_up.is_send and task is not None and self._handed_over(tx, run, follow_up, task):
            return None
        repo = self._repo(tx, follow_up, session, task)
        return ClaimedFollowUp(lease, run, follow_up, session, repo, task, approved)

    def _handed_over(self, tx: Transaction, run: Run, follow_up: FollowUp, task: CodeTask) -> bool:
        """Whether the code task waits for its next attempt, whose agent gets what was sent meanwhile."""
        kept = keep_words(tx, task.id or 0, follow_up.requester_name or follow_up.requester_id, follow_up.body)
        if kept is None or not kept[1]:
            return False
        tx.runs.end(run.id or 0, run.fence, RunLease.DONE)
        done = tx.followups.move(follow_up.id or 0, {RUNNING}, SUCCESS, error=None)
        if done is not None:
            self.news.handed_over(tx, done, task.ref)
        return True

    def _repo(self, tx: Transaction, follow_up: FollowUp, session: AgentSession | None, task: CodeTask | None) -> str:
        """The repository to look at: that of the code task on whose branch it works, the conversation's, the thread's
        code task's, the channel's, the person's last one, the only one; empty when none of them is configured."""
        known = self.settings.repositories
        thread = tx.threads.get(follow_up.thread_id) if follow_up.thread_id is not None else None
        named = [session.repo if session is not None else None, task.repo if task is not None else None]
        if task is not None and task.stage is Stage.REVIEW:
            named.reverse()
        if thread is not None:
            named.append(tx.people.setting(thread.ref, "repo"))
        who = (follow_up.requester_platform, follow_up.requester_workspace, follow_up.requester_id)
        person = tx.people.find(*who)
        named.append(tx.people.last_repo(person) if person is not None else None)
        if len(known) == 1:
            named.append(next(iter(known)))
        return next((alias for alias in named if alias and alias in known), "")

    def answer(
        self, tx: Transaction, lease: FollowUpLease, answer: Answer, cost: Cost, tell: Tell | None = None
    ) -> FollowUp | None:
        """Running -> success: the answer is posted (by `tell`, where there is more to say), the conversation kept. None
        when the lease is lost."""
        run = tx.runs.end(lease.run_id, lease.fence, RunLease.DONE, cost_usd=cost.usd, tokens=cost.tokens)
        if run is None:
            return None
        follow_up = tx.followups.move(lease.follow_up_id, {RUNNING}, SUCCESS, error=None)
        if follow_up is None:
            return None
        kept = run.agent if follow_up.agent and follow_up.agent != run.agent else None
        if tell is not None:
            tell(follow_up)
        else:
            self.news.answered(
                tx, follow_up, answer.text, fresh_session=answer.fresh_session, kept=kept, files=answer.files
            )
        self.keep_session(tx, lease, run, answer)
        failpoint("followup.posted_unmarked")
        return follow_up

    def keep_session(self, tx: Transaction, lease: FollowUpLease, run: Run, answer: Answer) -> None:
        """Stores the agent's conversation under the thread that was answered in."""
        follow_up = tx.followups.get(lease.follow_up_id)
        if follow_up is None or follow_up.thread_id is None or answer.session_ref is None:
            return
        tx.sessions.save(
            AgentSession(
                follow_up.thread_id, run.agent, answer.session_ref, answer.repo, answer.summary, answer.archive
            )
        )

    def fail(
        self,
        tx: Transaction,
        lease: FollowUpLease,
        reason: FollowUpReason,
        error: str,
        cost: Cost,
        answer: Answer | None = None,
        tell: Tell | None = None,
    ) -> FollowUp | None:
        """Running -> failed: the thread is told why (by `tell`, where there is more to say), and a conversation that
        began is kept. None when the lease is lost."""
        run = tx.runs.end(
            lease.run_id,
            lease.fence,
            RunLease.FAILED,
            reason=reason.value,
            error=error[:ERROR_MAX],
            cost_usd=cost.usd,
            tokens=cost.tokens,
        )
        if run is None:
            return None
        failed = tx.followups.move(lease.follow_up_id, {RUNNING}, FAILED, reason=reason, error=error[:ERROR_MAX])
        if failed is not None:
            (tell or partial(self.news.failed, tx))(failed)
            if answer is not None:
                self.keep_session(tx, lease, run, answer)
        return failed

    def give_back(self, tx: Transaction, lease: FollowUpLease, cost: Cost | None = None) -> FollowUp | None:
        """A stopping worker returns its run to the queue; it costs the follow-up nothing."""
        known = {} if cost is None else {"cost_usd": cost.usd, "tokens": cost.tokens}
        run = tx.runs.end(
            lease.run_id, lease.fence, RunLease.QUEUED, run_state=None, available_at=tx.now, started_at=None, **known
        )
        return tx.followups.get(lease.follow_up_id) if run is not None else None

    def leave(self, tx: Transaction, lease: FollowUpLease, cost: Cost) -> None:
        """A stopped run says what it cost."""
        tx.runs.settle(lease.run_id, lease.fence, cost.usd, cost.tokens)

    async def reap_all(self, store: Store) -> int:
        """Ends the runs whose lease has run out, each in a transaction of its own. Returns how many. Raises
        `StoreDown`."""
        expired = await store.run(lambda tx: tx.runs.expired(), read=True)
        count = 0
        for run in expired:
            if run.kind == "follow_up":
                lease = FollowUpLease(run.id or 0, run.fence, run.follow_up_id or 0)
                try:
                    count += await store.run(partial(self.reap, lease=lease))
                except StoreDown:
                    raise
                except Exception:
                    log.exception("reap_failed", run=lease.run_id, follow_up=lease.follow_up_id, ref=short_ref())
        return count

    def reap(self, tx: Transaction, lease: FollowUpLease) -> bool:
        """Ends a run whose worker was lost: once, the follow-up is pending again if it is still in time, else missed;
        the second time it is given up (product rule 7.2)."""
        run = tx.runs.get(lease.run_id)
        if run is None or run.lease_until is None or run.lease_until >= tx.now:
            return False
        if lease.fence <= APPROVED_TRIES and _is_approved(tx, lease.run_id):
            return self.give_back(tx, lease) is not None
        if tx.runs.end(lease.run_id, lease.fence, RunLease.LOST, reason=FollowUpReason.WORKER_LOST.value) is None:
            return False
        follow_up = tx.followups.get(lease.follow_up_id)
        if follow_up is None:
            return True
        crashes = follow_up.crashes + 1
        if crashes < CRASHES_MAX and tx.now - follow_up.due_at <= ON_TIME:
            tx.followups.move(lease.follow_up_id, {RUNNING}, PENDING, crashes=crashes)
            return True
        reason = FollowUpReason.WORKER_LOST if crashes >= CRASHES_MAX else FollowUpReason.MISSED
        failed = tx.followups.move(lease.follow_up_id, {RUNNING}, FAILED, reason=reason, crashes=crashes)
        if failed is not None:
            self.news.failed(tx, failed)
        return True


def _is_approved(tx: Transaction, run_id: int) -> bool:
    parked = tx.runs.parked(run_id)
    return parked is not None and parked.approved

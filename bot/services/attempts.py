"""One attempt of a code task as the queue sees it: claim, advance, succeed, fail, give back, reap.

Each is one transaction. The run's row is written first and the code task's second, everywhere, so that two actors never
wait for each other; every worker write is guarded by the run's fence, and a lost lease writes nothing.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import structlog

from bot.core.runs import APPROVAL_WAIT, RETRY_JITTER, ParkedChange, Run, RunLease, RunState, retry_wait
from bot.core.tasks import ERROR_MAX, CodeTask, FailureReason, Stage
from bot.services.announcements import Announcer
from bot.services.branch_runs import refuse_change
from bot.services.loops import short_ref
from bot.settings import Settings
from bot.store import AgentSession, Store, StoreDown, Transaction

N = TypeVar("N", int, float)
log = structlog.get_logger(__name__)
IN_PROGRESS = frozenset({Stage.RUNNING, Stage.TESTING})
RETRYABLE = frozenset({FailureReason.AGENT_FAILED, FailureReason.TIMED_OUT, FailureReason.WORKER_LOST})
"""Reasons that lead to another attempt (product rule 3.6)."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to write about one run. Void as soon as anyone else ended or claimed it."""

    run_id: int
    fence: int
    task_id: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A leased run with its code task, as they were at the claim."""

    lease: Lease
    run: Run
    task: CodeTask
    approved: ParkedChange | None = None
    """Set when an admin allowed the tested change: the run goes on at the push."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt ended without a result. `retry` overrides the rule for its reason."""

    reason: FailureReason
    error: str
    retry: bool | None = None
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def may_retry(self) -> bool:
        return self.reason in RETRYABLE if self.retry is None else self.retry


@dataclass(frozen=True, slots=True)
class Cost:
    """What an attempt used, as metered by the gateway; None is unknown, never zero."""

    usd: float | None = None
    tokens: int | None = None

    def __add__(self, other: "Cost") -> "Cost":
        """Both together; what only one of them knows is taken from it."""
        return Cost(_sum(self.usd, other.usd), _sum(self.tokens, other.tokens))


def _sum(one: N | None, other: N | None) -> N | None:
    return other if one is None else one if other is None else one + other


def _lease_of(run: Run) -> Lease:
    return Lease(run.id or 0, run.fence, run.code_task_id or 0)


def _jitter() -> float:
    return random.uniform(-RETRY_JITTER, RETRY_JITTER)


@dataclass(frozen=True, slots=True)
class Attempts:
    """The moves of attempts. Stateless; every method takes the transaction it works in."""

    settings: Settings
    announcer: Announcer
    jitter: Callable[[], float] = _jitter

    def claim(self, tx: Transaction, worker: str, host: str) -> Claimed | None:
        """Leases the next ready run and moves its code task to running; None when nothing is ready."""
        s = self.settings
        run = tx.runs.claim(worker, host, s.max_runs_per_repo, s.max_open_prs, s.lease)
        if run is None or run.id is None or run.code_task_id is None:
            return None
        lease = Lease(run.id, run.fence, run.code_task_id)
        parked = tx.runs.parked(run.id) if run.fence > 1 else None  # nothing waits of one that was never claimed
        if parked is not None and parked.approved:
            return self._go_on(tx, lease, run, parked)
        task = tx.tasks.move(
            lease.task_id,
            {Stage.QUEUED},
            Stage.RUNNING,
            actor=f"worker:{worker}",
            reason=f"attempt {run.attempt}",
            lease=(run.id, run.fence),
            attempt=run.attempt,
            next_attempt_at=None,
        )
        if task is None:
            tx.runs.end(run.id, run.fence, RunLease.CANCELLED)
            return None
        self.announcer.moved(tx, task, run)
        return Claimed(lease, run, task)

    def _go_on(self, tx: Transaction, lease: Lease, run: Run, parked: ParkedChange) -> Claimed | None:
        task = tx.tasks.get(lease.task_id)
        if task is not None and task.stage is Stage.QUEUED:  # a stopping worker had given it back
            held = (lease.run_id, lease.fence)
            reason = f"attempt {run.attempt}, approved"
            actor = f"worker:{run.lease_owner}"
            task = tx.tasks.move(
                lease.task_id,
                {Stage.QUEUED},
                Stage.RUNNING,
                actor=actor,
                reason=reason,
                lease=held,
                attempt=run.attempt,
            )
        if task is None or task.stage not in IN_PROGRESS:
            tx.runs.end(lease.run_id, lease.fence, RunLease.CANCELLED)
            return None
        self.announcer.changed(tx, task, run, "approved")
        return Claimed(lease, run, task, parked)

    def park(
        self, tx: Transaction, lease: Lease, change: ParkedChange, cost: Cost, session: AgentSession | None = None
    ) -> CodeTask | None:
        """The change needs an admin's word: the lease is given up, the thread is asked. None when the lease is lost."""
        run = tx.runs.park(lease.run_id, lease.fence, change, cost_usd=cost.usd, tokens=cost.tokens)
        if run is None:
            return None
        task = tx.tasks.update(lease.task_id, IN_PROGRESS, **change.facts)
        if task is None:
            raise _TornRunError(lease)
        tx.people.audit(f"run:{lease.run_id}", "ask_approval", task.ref, {"tree": change.tree_sha})
        self.announcer.ask_approval(tx, task, run, change)
        _keep(tx, task, session)
        return task

    def refuse_waiting(self, tx: Transaction, run: Run, error: str, by: str) -> CodeTask | None:
        """A waiting change was refused or nobody answered: failed, reason refused."""
        ended = tx.runs.decide(run.code_task_id or 0, approved=False, by=by)
        if ended is None:
            return None
        lease = Lease(ended.id or 0, ended.fence, ended.code_task_id or 0)
        return self._after_failure(tx, lease, ended, Failure(FailureReason.REFUSED, error))

    def testing(self, tx: Transaction, lease: Lease, **values: Any) -> CodeTask | None:
        """The change is committed: running -> testing. None when the lease is lost."""
        return self._advance(tx, lease, {Stage.RUNNING}, Stage.TESTING, "committed", values)

    def report(self, tx: Transaction, lease: Lease, message: str, step: int) -> bool:
        """Shows what the agent does on the card (one line). False when the lease is lost.

        While a person is asked something, the card keeps showing the question."""
        run = tx.runs.get(lease.run_id)
        if run is not None and run.run_state is RunState.WAITING_FOR_INPUT:
            return tx.runs.holds(lease.run_id, lease.fence)
        if not tx.runs.update(lease.run_id, lease.fence, message=message[:200]):
            return False
        run, task = tx.runs.get(lease.run_id), tx.tasks.get(lease.task_id)
        if run is not None and task is not None:
            self.announcer.progressed(tx, task, run, step)
            tx.wake("task")
        return True

    def note(self, tx: Transaction, lease: Lease, **values: Any) -> CodeTask | None:
        """Stores facts of a running attempt on its code task (branch, pushed commit). None when the lease is lost."""
        # A write, not a look: it locks the run, so nobody takes it over before this commits.
        if not tx.runs.update(lease.run_id, lease.fence, run_state=RunState.WORKING):
            return None
        return tx.tasks.update(lease.task_id, IN_PROGRESS, **values)

    def review(
        self, tx: Transaction, lease: Lease, cost: Cost, *, session: AgentSession | None = None, **values: Any
    ) -> CodeTask | None:
        """Pushed: running or testing -> review; the agent's conversation is kept. None when the lease is lost."""
        run = tx.runs.end(lease.run_id, lease.fence, RunLease.DONE, cost_usd=cost.usd, tokens=cost.tokens)
        if run is None:
            return None
        values |= self._total(tx, lease.task_id)
        task = tx.tasks.move(
            lease.task_id, IN_PROGRESS, Stage.REVIEW, actor=f"run:{lease.run_id}", reason="pushed", **values
        )
        if task is None:
            raise _TornRunError(lease)
        pushed = {"branch": task.branch, "commit": task.pushed_sha, "base": task.base_sha, "pull_request": task.pr_url}
        tx.people.audit(f"run:{lease.run_id}", "push", task.ref, pushed)
        self.announcer.moved(tx, task, run)
        _keep(tx, task, session)
        return task

    def fail(
        self, tx: Transaction, lease: Lease, failure: Failure, cost: Cost, session: AgentSession | None = None
    ) -> CodeTask | None:
        """Ends an attempt: back to queued when it may be retried and attempts are left, else failed. The agent's
        conversation, if there was one, is kept."""
        run = tx.runs.end(
            lease.run_id,
            lease.fence,
            RunLease.FAILED,
            reason=failure.reason,
            error=failure.error[:ERROR_MAX],
            cost_usd=cost.usd,
            tokens=cost.tokens,
        )
        if run is None:
            return None
        task = self._after_failure(tx, lease, run, failure)
        _keep(tx, task, session)
        return task

    def give_back(self, tx: Transaction, lease: Lease, cost: Cost | None = None) -> CodeTask | None:
        """A stopping worker returns its run to the queue; the attempt is not counted, what it cost so far is.

        A run that goes on after an approval keeps its stage: whoever claims it pushes exactly that change."""
        known = {} if cost is None else {"cost_usd": cost.usd, "tokens": cost.tokens}
        run = tx.runs.end(
            lease.run_id, lease.fence, RunLease.QUEUED, run_state=None, available_at=tx.now, started_at=None, **known
        )
        if run is None:
            return None
        if self._is_approved(tx, lease.run_id):
            return tx.tasks.get(lease.task_id)
        task = tx.tasks.move(
            lease.task_id,
            IN_PROGRESS,
            Stage.QUEUED,
            actor=f"run:{lease.run_id}",
            reason="worker stopped",
            attempt=run.attempt - 1,
            **self._total(tx, lease.task_id),
        )
        if task is None:
            raise _TornRunError(lease)
        self.announcer.moved(tx, task, run)
        return task

    async def reap(self, store: Store) -> int:
        """Ends runs whose lease has run out and applies the retry rule, each in a transaction of its own: one that
        cannot be ended stops no other. Returns how many. Raises `StoreDown`."""
        due = await store.run(self._overdue, read=True)
        count = 0
        for lease, unit in due:
            try:
                count += await store.run(unit)
            except StoreDown:
                raise
            except Exception:
                log.exception("reap_failed", run=lease.run_id, task=lease.task_id, ref=short_ref())
        return count + await store.run(lambda tx: tx.outbox.reap())

    def _overdue(self, tx: Transaction) -> list[tuple[Lease, Callable[[Transaction], bool]]]:
        """What ends each run whose worker, or whose admin, was not heard of in time."""
        expired, waiting = tx.runs.expired(), tx.runs.waiting_since(tx.now - APPROVAL_WAIT)
        leases = [_lease_of(run) for run in expired if run.kind == "code_task"]
        lost = [(lease, partial(self.reap_run, lease=lease)) for lease in leases]
        return [*lost, *((_lease_of(run), partial(self._unanswered, run=run)) for run in waiting)]

    def reap_run(self, tx: Transaction, lease: Lease) -> bool:
        """Ends one run whose worker was lost; False when it goes on after all, or somebody else ended it."""
        run = tx.runs.get(lease.run_id)
        if run is None or run.lease_until is None or run.lease_until >= tx.now:
            return False
        if self._requeue_approved(tx, lease):
            return True
        ended = tx.runs.end(lease.run_id, lease.fence, RunLease.LOST, reason=FailureReason.WORKER_LOST)
        if ended is None:
            return False
        lost = Failure(FailureReason.WORKER_LOST, "The worker was lost while it worked on this.")
        self._after_failure(tx, lease, ended, lost)
        return True

    def _unanswered(self, tx: Transaction, run: Run) -> bool:
        why = "Refused: nobody allowed the change within 72 h."
        if run.kind == "follow_up":
            refused = refuse_change(tx, self.announcer, run, why, "nobody")
        else:
            refused = self.refuse_waiting(tx, run, why, "nobody")
        if refused is not None:
            tx.people.audit("server", "expire", refused.ref, {"run": run.id})
        return False

    def _requeue_approved(self, tx: Transaction, lease: Lease) -> bool:
        """What an admin allowed survives the loss of its worker: the same change is pushed by the next one.

        The fence counts claims, so a change that takes worker after worker with it ends as any lost run does."""
        if lease.fence > self.settings.max_attempts + 1 or not self._is_approved(tx, lease.run_id):
            return False
        return self.give_back(tx, lease) is not None

    def _is_approved(self, tx: Transaction, run_id: int) -> bool:
        parked = tx.runs.parked(run_id)
        return parked is not None and parked.approved

    def leave(self, tx: Transaction, lease: Lease, cost: Cost, **values: Any) -> CodeTask | None:
        """A cancelled run says what it cost and names what it had left outside (branch, pull request).

        None when somebody else claimed the run since: then nothing is written."""
        run = tx.runs.get(lease.run_id)
        if run is None or run.fence != lease.fence or run.state is not RunLease.CANCELLED:
            return None
        tx.runs.settle(lease.run_id, lease.fence, cost.usd, cost.tokens)
        task = tx.tasks.update(lease.task_id, {Stage.FAILED}, **values, **self._total(tx, lease.task_id))
        if task is not None and task.is_cancelled:
            self.announcer.changed(tx, task, run, "left")
        return task

    def _advance(
        self,
        tx: Transaction,
        lease: Lease,
        before: set[Stage],
        stage: Stage,
        reason: str,
        values: Mapping[str, Any],
    ) -> CodeTask | None:
        if not tx.runs.update(lease.run_id, lease.fence, message=None):
            return None
        held = (lease.run_id, lease.fence)
        actor = f"run:{lease.run_id}"
        task = tx.tasks.move(lease.task_id, before, stage, actor=actor, reason=reason, lease=held, **values)
        if task is not None:
            self.announcer.moved(tx, task, tx.runs.get(lease.run_id))
        return task

    def _after_failure(self, tx: Transaction, lease: Lease, run: Run, failure: Failure) -> CodeTask | None:
        before = tx.tasks.get(lease.task_id)
        if before is None:
            return None
        common: dict[str, Any] = {
            "error": failure.error[:ERROR_MAX],
            **failure.values,
            **self._total(tx, lease.task_id),
        }
        actor = f"run:{lease.run_id}"
        if failure.may_retry and run.attempt < before.max_attempts:
            at = tx.now + retry_wait(run.attempt, self.jitter(), self.settings.retry_waits)
            task = tx.tasks.move(
                lease.task_id,
                IN_PROGRESS,
                Stage.QUEUED,
                actor=actor,
                reason=failure.reason,
                lease=None,
                next_attempt_at=at,
                **common,
            )
            if task is not None:
                tx.runs.enqueue(task, run.attempt + 1, at)
        else:
            task = tx.tasks.move(
                lease.task_id,
                IN_PROGRESS,
                Stage.FAILED,
                actor=actor,
                reason=failure.reason,
                lease=None,
                failure_reason=failure.reason,
                **common,
            )
        if task is None:
            raise _TornRunError(lease)
        self.announcer.moved(tx, task, run)
        return task

    def _total(self, tx: Transaction, task_id: int) -> dict[str, Any]:
        return total_cost(tx.runs.of_task(task_id))


def _keep(tx: Transaction, task: CodeTask | None, session: AgentSession | None) -> None:
    """Stores an agent's conversation under the code task's thread, which may have been joined since the claim."""
    if session is not None and task is not None and task.thread_id is not None:
        tx.sessions.save(replace(session, thread_id=task.thread_id))


class _TornRunError(Exception):
    """A run was ended but its code task was not where the run left it: a bug; the transaction rolls back."""

    def __init__(self, lease: Lease) -> None:
        super().__init__(f"run {lease.run_id} and code task {lease.task_id} disagree")


def total_cost(runs: Sequence[Run]) -> dict[str, Any]:
    """Cost and tokens summed over all attempts; None while no attempt has a known value."""
    usd = [run.cost_usd for run in runs if run.cost_usd is not None]
    tokens = [run.tokens for run in runs if run.tokens is not None]
    return {"cost_usd": sum(usd) if usd else None, "tokens": sum(tokens) if tokens else None}

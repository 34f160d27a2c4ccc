"""The branch of a code task in review, and the follow-ups' runs that work on it: which they are, how they end when the
code task leaves review or an admin refuses their change, and what is told of them in the thread."""

from collections.abc import Callable

from bot.core.cards import Doc
from bot.core.followup_replies import failed_doc
from bot.core.followups import FollowUp, FollowUpReason, FollowUpState
from bot.core.runs import Run, RunLease
from bot.core.send_replies import ended_doc, send_failed_doc
from bot.core.tasks import CodeTask
from bot.core.texts import Texts
from bot.services.announcements import Announcer
from bot.store import Delivery, Transaction


def task_of(tx: Transaction, follow_up: FollowUp) -> CodeTask | None:
    """The code task that a follow-up is about: the one it was sent to, else the newest of its thread."""
    if follow_up.is_send:
        origin = tx.runs.get(follow_up.origin_run_id or 0)
        return tx.tasks.get(origin.code_task_id) if origin is not None and origin.code_task_id is not None else None
    return tx.tasks.in_thread(follow_up.thread_id) if follow_up.thread_id is not None else None


def runs_on_branch(tx: Transaction, task: CodeTask) -> list[Run]:
    """The open runs of follow-ups that are about a code task."""
    newest = tx.tasks.in_thread(task.thread_id) if task.thread_id is not None else None
    anchored = task.thread_id if newest is not None and newest.id == task.id else None
    return list(tx.runs.on_branch(task.id or 0, anchored))


def waiting_on_branch(tx: Transaction, task: CodeTask) -> tuple[Run, FollowUp] | None:
    """The run whose change waits for an admin, with the follow-up that it is a run of."""
    for run in runs_on_branch(tx, task):
        follow_up = tx.followups.get(run.follow_up_id or 0)
        if run.state is RunLease.WAITING and follow_up is not None:
            return run, follow_up
    return None


def end_on_branch(tx: Transaction, announcer: Announcer, task: CodeTask) -> None:
    """Ends every run on the branch of a code task that leaves review: nothing more is pushed, and who asked is told.

    Call it before the move, since runs are written before code tasks, and after it, for one that began meanwhile."""
    for run in runs_on_branch(tx, task):
        begun = run.started_at is not None and task.review_at is not None and run.started_at >= task.review_at
        works = begun and run.state in (RunLease.ACTIVE, RunLease.WAITING)
        if works or tx.runs.parked(run.id or 0) is not None:
            _end(tx, announcer, task, run)


def _end(tx: Transaction, announcer: Announcer, task: CodeTask, run: Run) -> None:
    if run.follow_up_id is None or tx.runs.cancel_follow_up(run.follow_up_id) is None:
        return
    why = f"{task.ref} is no longer in review."
    ended = tx.followups.move(run.follow_up_id, {FollowUpState.RUNNING}, FollowUpState.CANCELLED, error=why)
    if ended is not None:
        post(tx, announcer, ended, f"{ended.attempt}:ended", lambda texts: ended_doc(ended, task, texts))


def refuse_change(tx: Transaction, announcer: Announcer, run: Run, error: str, by: str) -> FollowUp | None:
    """A waiting change was refused, or nobody answered: the follow-up has failed. None when nothing waits."""
    ended = tx.runs.decide_run(run.id or 0, approved=False, by=by)
    if ended is None or ended.follow_up_id is None:
        return None
    running, failed, reason = {FollowUpState.RUNNING}, FollowUpState.FAILED, FollowUpReason.REFUSED
    refused = tx.followups.move(ended.follow_up_id, running, failed, reason=reason, error=error)
    if refused is not None:
        tell_failed(tx, announcer, refused, task_of(tx, refused), "")
    return refused


def tell_failed(tx: Transaction, announcer: Announcer, follow_up: FollowUp, task: CodeTask | None, pushed: str) -> None:
    """Says in the thread why it failed, and what that means for the pull request. `pushed` as in `send_failed_doc`."""
    now, key = tx.now, f"{follow_up.attempt}:{follow_up.failure_reason}:{int(tx.now.timestamp() * 1000)}"

    def draw(texts: Texts) -> Doc:
        if task is None:
            return failed_doc(follow_up, texts, now)
        return send_failed_doc(follow_up, task, pushed, texts, now)

    post(tx, announcer, follow_up, key, draw)


def post(tx: Transaction, announcer: Announcer, follow_up: FollowUp, key: str, draw: Callable[[Texts], Doc]) -> None:
    """Posts in the follow-up's thread; nothing where there is none."""
    if follow_up.thread_id is not None and follow_up.platform:
        place = tx.threads.get(follow_up.thread_id).ref
        content = announcer.languages.shared(tx, place).make(draw)
        target = {"follow_up": follow_up.id}
        tx.outbox.add(follow_up.thread_id, Delivery("post", f"{follow_up.ref}:{key}", content, target=target))

"""What a code task is shown as: the word for its stage, the four steps, the reason of a failure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from bot.core.cards import Step, StepState
from bot.core.moments import clock, elapsed
from bot.core.runs import Run, RunState
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.core.texts import Texts

Shown = Literal["queued", "running", "testing", "review", "merged", "failed", "cancelled", "needs_you"]
"""The six stages and two views: a cancelled code task, and one that waits for a person's answer."""

_STEPS: Final = ("queued", "writing", "tests", "pull_request")


@dataclass(frozen=True, slots=True)
class View:
    """All that a rendering of one code task is made from. `run` is its latest attempt, `position` its place in line."""

    task: CodeTask
    run: Run | None
    texts: Texts
    now: datetime
    position: int | None = None
    merged_by: str = ""

    @property
    def shown(self) -> Shown:
        return shown_as(self.task, self.run)

    @property
    def attempt(self) -> int:
        """The number of the attempt under way, or of the next one while the code task waits for it."""
        if self.task.stage is Stage.QUEUED:
            return self.task.attempt + 1
        return self.run.attempt if self.run else max(self.task.attempt, 1)


def shown_as(task: CodeTask, run: Run | None = None) -> Shown:
    """The word a person sees for the stage; its text is `shown.<word>`."""
    if task.is_cancelled:
        return "cancelled"
    under_way = task.stage in (Stage.RUNNING, Stage.TESTING)
    if under_way and run is not None and run.run_state is RunState.WAITING_FOR_INPUT:
        return "needs_you"
    words: dict[Stage, Shown] = {
        Stage.QUEUED: "queued",
        Stage.RUNNING: "running",
        Stage.TESTING: "testing",
        Stage.REVIEW: "review",
        Stage.MERGED: "merged",
        Stage.FAILED: "failed",
    }
    return words[task.stage]


def shown_stage(task: CodeTask, texts: Texts, run: Run | None = None) -> str:
    """The same in words: "Queued", "Cancelled", "Needs you"."""
    return texts.say(f"shown.{shown_as(task, run)}")


def steps_of(view: View) -> tuple[Step, ...]:
    """The steps of the card: done ones with their duration, the current one with its start."""
    match view.shown:
        case "queued":
            return _at(view, 0, "active", _queue_detail(view))
        case "running":
            return _at(view, 1, "active", _since(view, view.task.started_at))
        case "testing":
            return _at(view, 2, "active", _since(view, view.task.testing_at))
        case "needs_you":
            waiting = Step(label=view.texts.say("step.waiting_answer"), state="active")
            done = 2 if view.task.stage is Stage.TESTING else 1
            return (*(_done(view, number) for number in range(done)), waiting)
        case "review":
            return (*(_done(view, number) for number in range(3)), _waiting_for_review(view))
        case "merged":
            return tuple(_done(view, number) for number in range(4))
        case "failed":
            return _at(view, failed_step(view.task), "failed", "")
        case "cancelled":
            step = failed_step(view.task)
            return _at(view, step, "failed", view.texts.say("step.cancelled"))[: step + 1]


def failed_step(task: CodeTask) -> int:
    """At which of the four steps (from 0) a failed code task stopped."""
    if task.failure_reason in (FailureReason.PUSH_FAILED, FailureReason.PR_CLOSED):
        return 3
    if task.failure_reason is FailureReason.TESTS_FAILED:
        return 2
    steps = {Stage.QUEUED: 0, Stage.RUNNING: 1, Stage.TESTING: 2, Stage.REVIEW: 3}
    return steps.get(task.failed_at_stage or Stage.RUNNING, 1)


def step_label(step: int, texts: Texts) -> str:
    return texts.say(f"step.{_STEPS[step]}")


def _at(view: View, current: int, state: StepState, detail: str) -> tuple[Step, ...]:
    done = [_done(view, number) for number in range(current)]
    here = Step(label=step_label(current, view.texts), state=state, detail=detail)
    coming = [Step(label=step_label(number, view.texts), state="pending") for number in range(current + 1, 4)]
    return (*done, here, *coming)


def _done(view: View, step: int) -> Step:
    """A finished step. Red tests are a failed step of a code task that went on."""
    task, label = view.task, step_label(step, view.texts)
    if step == 2 and task.tests_passed is not True:
        if task.tests_passed is False:
            return Step(label=label, state="failed", detail=_took(view, 2))
        if task.stage in (Stage.REVIEW, Stage.MERGED):
            return Step(label=label, state="done", detail=view.texts.say("step.no_tests"))
    return Step(label=label, state="done", detail=_took(view, step))


def _took(view: View, step: int) -> str:
    """How long a step took; empty where it is not known. Times of an earlier attempt do not count."""
    task, run = view.task, view.run
    queued_at = run.created_at if run else task.created_at
    spans: tuple[tuple[datetime | None, datetime | None], ...] = (
        (queued_at, task.started_at),
        (task.started_at, task.testing_at or task.review_at),
        (task.testing_at, task.review_at),
        (None, None),
    )
    if step == 2 and task.test_seconds is not None:
        return elapsed(timedelta(seconds=task.test_seconds), view.texts)
    start, end = spans[step]
    return "" if start is None or end is None or end < start else elapsed(end - start, view.texts)


def _since(view: View, at: datetime | None) -> str:
    return "" if at is None else view.texts.say("step.since", time=clock(at, view.now, view.texts))


def _queue_detail(view: View) -> str:
    task, texts = view.task, view.texts
    due = task.next_attempt_at
    if task.attempt > 0:
        attempt, most = view.attempt, max(task.max_attempts, view.attempt)
        if due is None or due <= view.now:
            return texts.say("step.retry_now", attempt=attempt, max=most)
        wait, time = elapsed(due - view.now, texts), clock(due, view.now, texts)
        return texts.say("step.retry_in", attempt=attempt, max=most, wait=wait, time=time)
    if due is not None and due > view.now:
        return texts.say("step.start_at", time=clock(due, view.now, texts))
    if view.position is None or view.position < 1:
        return ""
    return texts.say("step.place", place=texts.say("place", n=view.position))


def _waiting_for_review(view: View) -> Step:
    return Step(label=view.texts.say("step.waiting_review"), state="active")


def reason_text(task: CodeTask, run: Run | None, texts: Texts) -> str:
    """Why a code task failed, as one short sentence without its full stop; empty when it did not fail.

    The stored error completes it where the reason alone says too little; mask it before or after."""
    match task.failure_reason:
        case None:
            return ""
        case FailureReason.AGENT_FAILED if run is not None and run.exit_code is not None:
            return texts.say("reason.agent_failed_exit", code=run.exit_code)
        case FailureReason.TIMED_OUT:
            return _timed_out(task, run, texts)
        case FailureReason.REFUSED if first_line(task.error):
            return _refused(stored_error(task.error, texts), texts)
        case FailureReason.BUDGET | FailureReason.CONFIG if first_line(task.error):
            return stored_error(task.error, texts)
        case FailureReason.PUSH_FAILED if first_line(task.error):
            error = stored_error(task.error, texts)
            named = error.casefold().split()[:2] == texts.say("reason.push_failed").casefold().split()[:2]
            return error if named else texts.say("reason.push_failed_why", why=error)
        case reason:
            return texts.say(f"reason.{reason.value}")


def _timed_out(task: CodeTask, run: Run | None, texts: Texts) -> str:
    if first_line(task.error):
        return stored_error(task.error, texts)
    if run is None or run.started_at is None or run.finished_at is None:
        return texts.say("reason.timed_out")
    return texts.say("reason.timed_out_after", duration=elapsed(run.finished_at - run.started_at, texts))


def _refused(error: str, texts: Texts) -> str:
    named = error.casefold().startswith(texts.say("reason.refused").casefold())
    return error if named else texts.say("reason.refused_why", why=error)


def stored_error(error: str | None, texts: Texts) -> str:
    """The first line of a stored error in the reader's language where the sentence is one of ours."""
    return texts.reword(first_line(error), "stored", "reason", "finding")


def first_line(text: str | None) -> str:
    """The first line that says something, without its full stop."""
    lines: Sequence[str] = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[0].rstrip(".。") if lines else ""

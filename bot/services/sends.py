"""`send`: a person's words for the agent of a code task, whatever stage it is in (product rule 8).

While it is queued they are kept and given to the agent after the description. From its claim on they become a
follow-up that is due at once and belongs to the code task: it waits for the thread's agent to be free, goes on with
its conversation, and in review its change goes to the same pull request.
"""

from dataclasses import dataclass
from typing import Final, Literal

from bot.core.followups import MESSAGE_MAX
from bot.core.hygiene import clean
from bot.core.inbound import Person
from bot.core.people import Action, may
from bot.core.questions import Question
from bot.core.quoting import code_span
from bot.core.runs import Run
from bot.core.tasks import CodeTask, Stage
from bot.services.branch_runs import runs_on_branch
from bot.services.followups import FollowUps, FollowUpSet, Wish
from bot.services.kept_words import keep_words
from bot.services.questions import Questions
from bot.services.refusals import Refused
from bot.services.tasks import CodeTasks, actor_of, unknown
from bot.store import Transaction

FEATURE: Final = "followups"
IN_PROGRESS: Final = frozenset({Stage.RUNNING, Stage.TESTING})


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the words went: `run` is the run whose agent gets them (`CT-42#1`, `FU-7#1`), `position` counts from 1.

    `how`: given to the agent at its `start`, taken as the `answer` to its question, in line behind its `turn`, or `now`
    in a new run."""

    task: CodeTask
    run: str
    position: int
    how: Literal["start", "answer", "turn", "now"]


@dataclass(frozen=True, slots=True)
class Sends:
    """The use case. Holds no state."""

    tasks: CodeTasks
    followups: FollowUps

    def send(
        self,
        tx: Transaction,
        task_id: int,
        person: Person,
        text: str,
        *,
        message_id: str | None = None,
        answers_question: bool = True,
    ) -> Sent | Refused:
        """Takes the words, or says why not. `answers_question`: where the agent waits for an answer they are it."""
        if not may(self.tasks.rights.role(person), Action.SEND, is_requester=False):
            return self.tasks.rights.refuse_filing()
        kept, task = clean(text).strip(), tx.tasks.get(task_id)
        if task is None:
            return unknown(task_id)
        if not kept:
            return Refused("refused.send_empty")
        if len(kept) > MESSAGE_MAX:
            return Refused("refused.send_too_long", {"n": len(kept)})
        match task.stage:
            case Stage.QUEUED:
                now = self._keep(tx, task, person, kept)
                if now is not None:
                    return now
                # It was claimed at this moment.
                return self.send(tx, task_id, person, text, message_id=message_id, answers_question=answers_question)
            case Stage.RUNNING | Stage.TESTING | Stage.REVIEW:
                return self._pass_on(tx, task, person, kept, message_id, answers_question=answers_question)
            case Stage.FAILED:
                command = code_span(f"retry {task.ref} with …")
                return Refused("refused.send_failed", {"ref": task.ref, "command": command}, "state")
            case Stage.MERGED:
                return Refused("refused.send_merged", {"ref": task.ref}, "state")

    def _keep(self, tx: Transaction, task: CodeTask, person: Person, text: str) -> Sent | Refused | None:
        """Adds the words to what the agent is told at its start; None where it has started."""
        kept = keep_words(tx, task.id or 0, person.name or person.id, text)
        if kept is None:
            return None
        now, place = kept
        if not place:
            return Refused("refused.send_full", {"ref": task.ref}, "state")
        self._record(tx, task, person, text)
        return Sent(now, f"{now.ref}#{now.attempt + 1}", place, "start")

    def _pass_on(
        self,
        tx: Transaction,
        task: CodeTask,
        person: Person,
        text: str,
        message_id: str | None,
        *,
        answers_question: bool,
    ) -> Sent | Refused:
        """Answers the agent's question, or lines up a run that goes on with the conversation."""
        runs = tx.runs.of_task(task.id or 0)
        open_question = tx.questions.last_of(runs[-1].id or 0) if runs else None
        may_answer = answers_question and task.stage in IN_PROGRESS
        if may_answer and open_question is not None and open_question.answered_at is None:
            return self._answer(tx, task, person, runs[-1], open_question, text)
        if FEATURE not in self.tasks.settings.features:
            return Refused("refused.follow_ups_disabled", kind="state")
        if not self.followups.agents or not runs:
            return Refused("refused.no_agent", {"setting": "DEFAULT_AGENT"}, "state")
        ahead = runs_on_branch(tx, task)
        if task.thread_id is None and (tx.followups.sent_to(task.id or 0) or task.stage in IN_PROGRESS):
            return Refused("refused.send_working", {"ref": task.ref}, "state")
        outcome = self.followups.set(tx, self._wish(tx, task, person, text, runs[-1], message_id))
        if not isinstance(outcome, FollowUpSet):
            return outcome
        self._record(tx, task, person, text)
        who = (person.platform, person.workspace_id, person.id)
        waiting = tx.followups.pending_counts(who, task.thread_id).in_thread if task.thread_id is not None else 1
        waits = bool(ahead) or waiting > 1 or task.stage in IN_PROGRESS
        return Sent(task, f"{outcome.follow_up.ref}#1", waiting, "turn" if waits else "now")

    def _answer(
        self, tx: Transaction, task: CodeTask, person: Person, run: Run, question: Question, text: str
    ) -> Sent | Refused:
        outcome = Questions(self.tasks.announcer, self.tasks.rights).answer(tx, person, question, text)
        return outcome if isinstance(outcome, Refused) else Sent(task, f"{task.ref}#{run.attempt}", 1, "answer")

    def _wish(
        self, tx: Transaction, task: CodeTask, person: Person, text: str, run: Run, message_id: str | None
    ) -> Wish:
        place = tx.threads.get(task.thread_id).ref if task.thread_id is not None else None
        return Wish(
            text=text,
            at=tx.now,
            person=person,
            place=place,
            thread_id=task.thread_id,
            agent=task.agent if task.agent in self.followups.agents else "",
            if_missed="run",
            run_now=True,
            source="send",
            goes_on=run.id,
            message_id=message_id,
        )

    def _record(self, tx: Transaction, task: CodeTask, person: Person, text: str) -> None:
        tx.people.audit(actor_of(person), "send", task.ref, {"characters": len(text)})

"""One code task, or a list of them, in chat: cancel, retry, show, status, logs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, assert_never

from bot.core.inbound import Person
from bot.core.people import Action, may
from bot.core.task_replies import EventLine, list_doc, logs_doc, show_doc, status_doc
from bot.core.tasks import ACTIVE, CodeTask, Stage
from bot.core.verbs import CancelTask, ListFilter, LogsOf, RetryTask, ShowTask, StatusOf, Stop, TaskId
from bot.services.refusals import Refused
from bot.services.said import Answers, Said
from bot.services.tasks import CodeTasks, unknown
from bot.services.visibility import may_see, seen_by
from bot.store import TaskFilter, Transaction

LOG_ENTRIES: Final = 20
OPEN_STAGES: Final = tuple(ACTIVE)

OnOne = CancelTask | RetryTask | ShowTask | StatusOf | LogsOf | Stop


@dataclass(frozen=True, slots=True)
class ChatTasks:
    """Acts on code tasks. `offer_follow_up` offers the follow-up of a number that no code task has, if there is one."""

    tasks: CodeTasks
    answers: Answers
    offer_follow_up: Callable[[Transaction, Said, OnOne], bool]

    def act(self, tx: Transaction, said: Said, command: OnOne) -> None:
        """Does what a command on one code task says."""
        if not may(self.tasks.rights.role(said.person), Action.VIEW, is_requester=False):
            self.answers.refuse(tx, said, self.tasks.rights.refuse_viewing())
            return
        task = self.tasks.find(tx, command.id, said.thread_id, said.person)
        role = self.tasks.rights.role(said.person)
        if isinstance(task, CodeTask) and not may_see(tx, role, said.person, task, said.event.thread):
            task = unknown(task.id or 0)
        if isinstance(task, Refused):
            if not self.offer_follow_up(tx, said, command):
                self.answers.refuse(tx, said, task)
            return
        match command:
            case Stop() if task.stage is Stage.REVIEW:
                self.answers.refuse(tx, said, Refused("refused.nothing_to_stop", {"ref": task.ref}, "state"))
            case CancelTask() | Stop():
                self._cancel(tx, said, task)
            case RetryTask(_, instruction):
                self._retry(tx, said, task, instruction)
            case ShowTask():
                self._show(tx, said, task)
            case StatusOf():
                self._status(tx, said, task)
            case LogsOf(_, attempt):
                self._logs(tx, said, task, attempt)
            case _:
                assert_never(command)

    def _cancel(self, tx: Transaction, said: Said, task: CodeTask) -> None:
        twice = task.is_cancelled
        self.answer(tx, said, self.tasks.cancel(tx, task.id or 0, said.person), _again("cancel", twice))

    def _retry(self, tx: Transaction, said: Said, task: CodeTask, instruction: str | None) -> None:
        outcome = self.tasks.retry(tx, task.id or 0, said.person, instruction)
        self.answer(tx, said, outcome, "reply.queued_again")

    def answer(self, tx: Transaction, said: Said, outcome: CodeTask | Refused, key: str) -> None:
        """Says what was done, or why not."""
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        else:
            self.answers.say(tx, said, key, ref=outcome.ref)

    def _show(self, tx: Transaction, said: Said, task: CodeTask) -> None:
        runs = tx.runs.of_task(task.id or 0)
        card = self.answers.announcer.card(tx, task, runs[-1] if runs else None)
        moves = [
            EventLine(move.at, move.to_stage, move.from_stage, shown_actor(tx, move.actor), move.reason)
            for move in tx.tasks.history(task.id or 0)
        ]
        self.answers.whisper(tx, said, lambda texts: show_doc(card(texts), moves, texts, tx.now))

    def _status(self, tx: Transaction, said: Said, task: CodeTask) -> None:
        runs, moves = tx.runs.of_task(task.id or 0), tx.tasks.history(task.id or 0)
        since = moves[-1].at if moves else None
        mask = self.answers.announcer.redactor.mask
        run = runs[-1] if runs else None
        self.answers.whisper(tx, said, lambda texts: status_doc(task, run, texts, tx.now, since, mask))

    def _logs(self, tx: Transaction, said: Said, task: CodeTask, attempt: int | None) -> None:
        runs = [run for run in tx.runs.of_task(task.id or 0) if attempt in (None, run.attempt)]
        if not runs:
            self.answers.refuse(
                tx, said, Refused("refused.unknown_attempt", {"ref": task.ref, "attempt": attempt or 1})
            )
            return
        entries = tx.runs.tail(runs[-1].id or 0, LOG_ENTRIES)
        self.answers.whisper(
            tx, said, lambda texts: logs_doc(task, entries, texts, self.answers.announcer.redactor.mask)
        )

    def list(self, tx: Transaction, said: Said, chosen: ListFilter) -> None:
        """The code tasks that a list means."""
        if not may(self.tasks.rights.role(said.person), Action.VIEW, is_requester=False):
            self.answers.refuse(tx, said, self.tasks.rights.refuse_viewing())
            return
        seen = seen_by(self.tasks.rights.role(said.person), said.person)
        tasks = self.tasks.list(tx, replace(list_filter(chosen, said.person), seen_by=seen))
        if chosen in ("failed", "cancelled"):
            tasks = [task for task in tasks if task.is_cancelled == (chosen == "cancelled")]
        mask = self.answers.announcer.redactor.mask
        self.answers.whisper(tx, said, lambda texts: list_doc(tasks, chosen, texts, tx.now, mask=mask))

    def ask_note(self, tx: Transaction, said: Said, number: int) -> None:
        """[Retry with a note] where no form opened: the words to type instead."""
        task = self.tasks.retriable(tx, number, said.person)
        if isinstance(task, Refused):
            self.answers.refuse(tx, said, task)
            return
        self.answers.type_it(tx, said, RetryTask(TaskId("CT", number), "…"))


def list_filter(chosen: str, person: Person) -> TaskFilter:
    """Which code tasks `list <chosen>` means."""
    match chosen:
        case "open":
            return TaskFilter(stages=OPEN_STAGES, requester=key_of(person), limit=50)
        case "mine":
            return TaskFilter(requester=key_of(person), limit=50)
        case "all":
            return TaskFilter(limit=50)
        case "cancelled":
            return TaskFilter(stages=(Stage.FAILED,), limit=50)
        case stage:
            return TaskFilter(stages=(Stage(stage),), limit=50)


def shown_actor(tx: Transaction, actor: str) -> str:
    """A history actor as a person reads it: a name for people, empty for workers and the forge."""
    platform, _, person_id = actor.partition(":")
    if platform in ("worker", "run", "forge"):
        return ""
    return tx.people.name_of(platform, person_id) or person_id


def _again(verb: str, twice: bool) -> str:
    return f"reply.{verb}_{'twice' if twice else 'done'}"


def key_of(person: Person) -> tuple[str, str, str]:
    """How a requester is looked up."""
    return person.platform, person.workspace_id, person.id

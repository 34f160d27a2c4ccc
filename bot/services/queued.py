"""Code tasks that no worker has taken yet: given another description, started before their time, taken back."""

from dataclasses import dataclass

from bot.core.inbound import Person
from bot.core.people import Action, is_requester, may
from bot.core.quoting import code_span
from bot.core.tasks import CodeTask, Stage, title_of
from bot.core.verbs import verb_word
from bot.services.refusals import Refused, stage_word
from bot.services.tasks import CodeTasks, actor_of, checked, unknown
from bot.store import Transaction

AUTO = "auto"
"""The source of a code task that intake filed by itself."""


@dataclass(frozen=True, slots=True)
class QueuedTasks:
    """The use cases. One transaction each; a refusal is a value."""

    tasks: CodeTasks

    def edit(self, tx: Transaction, task_id: int, person: Person, text: str) -> CodeTask | Refused:
        """Another description, while it is queued; its name stays."""
        task = self._own(tx, task_id, person, Action.EDIT, "edit")
        if isinstance(task, Refused):
            return task
        accepted = checked(text)
        if isinstance(accepted, Refused):
            return accepted
        words = {"description": accepted.text, "title": title_of(accepted.text)}
        changed = tx.tasks.update(task_id, {Stage.QUEUED}, **words)
        if changed is None:
            command = code_span(f"{verb_word('send')} {task.ref} …")
            values = {"ref": task.ref, "stage": stage_word(task.stage), "command": command}
            return Refused("refused.not_queued_edit", values, "state")
        tx.people.audit(actor_of(person), "edit", changed.ref, {"length": len(accepted.text)})
        self._show(tx, changed, "edit")
        return changed

    def start(self, tx: Transaction, task_id: int, person: Person) -> CodeTask | Refused:
        """No more waiting: a worker may take it now."""
        task = self._own(tx, task_id, person, Action.RUN_NOW, "start")
        if isinstance(task, Refused):
            return task
        waits = task.next_attempt_at is not None and task.next_attempt_at > tx.now
        changed = tx.tasks.update(task_id, {Stage.QUEUED}, next_attempt_at=None) if waits else None
        if changed is None or tx.runs.ready(task_id) is None:
            return Refused("refused.not_waiting", {"ref": task.ref}, "state")
        tx.people.audit(actor_of(person), "start", changed.ref, {})
        self._show(tx, changed, "start")
        return changed

    def undo(self, tx: Transaction, task_id: int, person: Person) -> CodeTask | Refused:
        """Takes back what intake filed by itself, while it still waits for that (product rule 3.7)."""
        task = self._own(tx, task_id, person, Action.UNDO, "undo")
        if isinstance(task, Refused):
            return task
        if not can_undo(task, tx):
            command = code_span(f"{verb_word('cancel')} {task.ref}")
            return Refused("refused.not_undone", {"ref": task.ref, "command": command}, "state")
        return self.tasks.cancel(tx, task_id, person)

    def _own(self, tx: Transaction, task_id: int, person: Person, action: Action, verb: str) -> CodeTask | Refused:
        task = tx.tasks.get(task_id)
        if task is None:
            return unknown(task_id)
        if not may(self.tasks.rights.role(person), action, is_requester=is_requester(person, task)):
            return self.tasks.rights.refuse_acting(task, verb)
        return task

    def _show(self, tx: Transaction, task: CodeTask, what: str) -> None:
        runs = tx.runs.of_task(task.id or 0)
        if runs:
            self.tasks.announcer.changed(tx, task, runs[-1], f"{what}:{int(tx.now.timestamp() * 1000)}")


def can_undo(task: CodeTask, tx: Transaction) -> bool:
    """Whether a code task was filed by itself and its undo time is not over."""
    waits = task.stage is Stage.QUEUED and task.next_attempt_at is not None and task.next_attempt_at > tx.now
    return waits and task.source == AUTO and task.attempt == 0

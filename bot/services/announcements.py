"""What the thread is told when a code task changes: the law of edit, post and ping (UX rules 1).

Everything here only enqueues deliveries in the transaction that made the change; `services/outbox.py` sends them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.core.cards import Card, Doc
from bot.core.inbound import MessageRef, Person, ReplyToken
from bot.core.quoting import escape
from bot.core.redact import LiveRedactor
from bot.core.runs import Run
from bot.core.task_cards import person_name, task_card
from bot.core.task_replies import approval_reply, cancelled_reply, failed_reply, review_reply
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.core.texts import Texts
from bot.services.presence import ALIVE
from bot.store import Delivery, Transaction

PROGRESS_EVERY = timedelta(seconds=3)
"""Edits that are no stage change wait this long, so that a burst of them becomes one."""


@dataclass(frozen=True, slots=True)
class Announcer:
    """Tells threads of code tasks. Holds no state."""

    texts: Texts
    redactor: LiveRedactor

    def filed(self, tx: Transaction, task: CodeTask, person: Person, reply_token: ReplyToken | None) -> None:
        """Posts the card: the root of its thread, or a reply when the thread exists.

        `person` and `reply_token` are kept with it, to say privately when the bot may not post there."""
        if task.thread_id is not None:
            card = self._card(tx, task, None)
            target = _to_person(person, reply_token)
            tx.outbox.add(task.thread_id, Delivery("post", f"{task.ref}:card", card, card_key=task.ref, target=target))

    def moved(
        self,
        tx: Transaction,
        task: CodeTask,
        run: Run | None,
        actor: Person | None = None,
    ) -> None:
        """Shows a stage change on the card at once, and posts the reply that goes with it."""
        if task.thread_id is None:
            return
        seq = tx.tasks.moves(task.id or 0)
        key = f"{task.ref}:{run.id if run else 0}:{task.stage}:{seq}"
        tx.outbox.add(task.thread_id, Delivery("edit", key, self._card(tx, task, run), card_key=task.ref))
        reply = self._reply(task, run, actor)
        if reply is not None:
            tx.outbox.add(task.thread_id, Delivery("post", f"{key}:reply", reply))
        if task.stage is Stage.MERGED:
            tx.outbox.add(task.thread_id, Delivery("react", f"{key}:done", target={"card": task.ref, "mark": "done"}))

    def changed(self, tx: Transaction, task: CodeTask, run: Run, what: str) -> None:
        """Shows on the card at once that a run goes on, without a stage change."""
        if task.thread_id is not None:
            key = f"{task.ref}:{run.id}:{what}:{run.fence}"
            tx.outbox.add(task.thread_id, Delivery("edit", key, self._card(tx, task, run), card_key=task.ref))

    def ask_approval(self, tx: Transaction, task: CodeTask, run: Run, reasons: Sequence[str]) -> None:
        """The card says "Needs you"; a reply asks an admin to allow the change."""
        if task.thread_id is None:
            return
        self.changed(tx, task, run, "asks")
        seen = tx.people.admins(task.requester_platform, task.requester_workspace)
        others = [admin for admin in seen if admin != task.requester_id] or list(seen)
        admin = tx.people.find(task.requester_platform, task.requester_workspace, others[0]) if others else None
        doc = approval_reply(task, reasons, self.texts, admin)
        tx.outbox.add(task.thread_id, Delivery("post", f"{task.ref}:{run.id}:asks:{run.fence}:reply", doc))

    def deleted(self, tx: Transaction, task: CodeTask, actor: Person) -> None:
        """The card of a deleted code task says so and has no buttons."""
        if task.thread_id is not None and tx.outbox.card_message(task.ref) is not None:
            who = person_name(actor.name, actor.id)
            text = self.texts.say("card.deleted", who=who)
            card = Card(key=task.ref, title=task.ref, summary=f"{task.ref}: {text}", body=escape(text), colour="grey")
            tx.outbox.add(task.thread_id, Delivery("edit", f"{task.ref}:deleted", card, card_key=task.ref))

    def progressed(self, tx: Transaction, task: CodeTask, run: Run, step: int) -> None:
        """Shows a reported step; a burst of steps becomes one edit."""
        if task.thread_id is not None:
            key = f"{task.ref}:{run.id}:step:{run.fence}:{step}"
            card = self._card(tx, task, run)
            tx.outbox.add(task.thread_id, Delivery("edit", key, card, card_key=task.ref, delay=PROGRESS_EVERY))

    def whisper(
        self, tx: Transaction, thread_id: int, person: Person, doc: Doc, key: str, reply_token: ReplyToken | None
    ) -> None:
        """Shows something to one person."""
        tx.outbox.add(thread_id, Delivery("whisper", key, doc, target=_to_person(person, reply_token)))

    def mark(self, tx: Transaction, thread_id: int, message: MessageRef, mark: str, key: str) -> None:
        """Reacts to a message."""
        target = {"message_id": message.message_id, "mark": mark}
        tx.outbox.add(thread_id, Delivery("react", key, target=target))

    def card(self, tx: Transaction, task: CodeTask, run: Run | None) -> Card:
        """The card as it looks now."""
        return self._card(tx, task, run)

    def _card(self, tx: Transaction, task: CodeTask, run: Run | None) -> Card:
        return task_card(
            task,
            run=run,
            texts=self.texts,
            now=tx.now,
            position_in_queue=tx.tasks.queue_position(task.id or 0) if task.stage is Stage.QUEUED else None,
            merged_by=task.merged_by or "",
            no_worker=task.stage is Stage.QUEUED and not tx.figures.workers(ALIVE),
            mask=self.redactor.mask,
        )

    def _reply(self, task: CodeTask, run: Run | None, actor: Person | None) -> Doc | None:
        if task.stage is Stage.REVIEW:
            return review_reply(task, self.texts, self.redactor.mask)
        if task.stage is not Stage.FAILED:
            return None
        if task.failure_reason is not FailureReason.CANCELLED:
            return failed_reply(task, self.texts, run, self.redactor.mask)
        if actor is None or actor.id == task.requester_id:
            return None
        return cancelled_reply(task, actor.name or actor.id, self.texts, mention=True)


def _to_person(person: Person, reply_token: ReplyToken | None) -> dict[str, object]:
    token = reply_token.model_dump(mode="json") if reply_token else None
    return {"person": person.model_dump(mode="json"), "reply_token": token}

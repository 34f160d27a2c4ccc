"""What the thread is told when a code task changes: the law of edit, post and ping (UX rules 1).

Everything here only enqueues deliveries in the transaction that made the change; `services/outbox.py` sends them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bot.core.cards import Card, Doc
from bot.core.inbound import MessageRef, Person, ReplyToken
from bot.core.quoting import escape
from bot.core.redact import LiveRedactor
from bot.core.runs import ParkedChange, Run
from bot.core.suggestion_replies import Line, line_doc
from bot.core.suggestions import MESSAGE_GONE, Suggestion, line_key
from bot.core.task_cards import person_name, task_card, title_text
from bot.core.task_replies import approval_reply, cancelled_reply, failed_reply, review_reply
from bot.core.tasks import ACTIVE, CodeTask, FailureReason, Stage
from bot.core.texts import Texts
from bot.services.asker_news import AskerNews
from bot.services.languages import Languages, Wording
from bot.services.presence import ALIVE
from bot.store import Delivery, Transaction

TYPED: Final = frozenset({"slash", "mention", "bang", "api", "cli"})
"""Sources of code tasks that quote no message of intake."""
PROGRESS_EVERY = timedelta(seconds=3)
"""Edits that are no stage change wait this long, so that a burst of them becomes one."""


@dataclass(frozen=True, slots=True)
class Announcer:
    """Tells threads of code tasks, each in its language. Holds no state.

    `sends`: whether words can be sent to an agent here, so that no button offers it in vain."""

    languages: Languages
    redactor: LiveRedactor
    sends: bool = True

    def filed(self, tx: Transaction, task: CodeTask, person: Person, reply_token: ReplyToken | None) -> None:
        """Posts the card: the root of its thread, or a reply when the thread exists.

        `person` and `reply_token` are kept with it, to say privately when the bot may not post there."""
        if task.thread_id is not None:
            card = self._wording(tx, task.thread_id).make(self.card(tx, task, None))
            target = _to_person(person, reply_token)
            tx.outbox.add(task.thread_id, Delivery("post", f"{task.ref}:card", card, card_key=task.ref, target=target))

    def moved(
        self,
        tx: Transaction,
        task: CodeTask,
        run: Run | None,
        actor: Person | None = None,
        *,
        told: bool = True,
    ) -> None:
        """Shows a stage change on the card at once, and posts the reply that goes with it; `told` with False leaves the
        threads of those who asked too untold."""
        if told:
            self.asker_news.tell(tx, task, actor)
        if task.thread_id is None:
            return
        seq = tx.tasks.moves(task.id or 0)
        key = f"{task.ref}:{run.id if run else 0}:{task.stage}:{seq}"
        wording = self._wording(tx, task.thread_id)
        card = wording.make(self.card(tx, task, run))
        tx.outbox.add(task.thread_id, Delivery("edit", key, card, card_key=task.ref))
        reply = self._reply(task, run, actor)
        if reply is not None:
            tx.outbox.add(task.thread_id, Delivery("post", f"{key}:reply", self._titled(task, wording.make(reply))))
        self._follow_line(tx, task, task.thread_id, f"{key}:line")
        if task.stage is Stage.MERGED:
            tx.outbox.add(task.thread_id, Delivery("react", f"{key}:done", target={"card": task.ref, "mark": "done"}))

    @property
    def asker_news(self) -> AskerNews:
        """What threads are told that asked for a code task of another thread."""
        return AskerNews(self.languages, self.redactor)

    def recounted(self, tx: Transaction, task: CodeTask) -> None:
        """Shows on the card that more or fewer people ask for it: its question before a cancel names them."""
        if task.thread_id is not None and task.stage in ACTIVE:
            runs, others = tx.runs.of_task(task.id or 0), len(tx.subscriptions.askers(task.id or 0))
            key = f"{task.ref}:askers:{others}:{int(tx.now.timestamp() * 1000)}"
            card = self._wording(tx, task.thread_id).make(self.card(tx, task, runs[-1] if runs else None))
            tx.outbox.add(task.thread_id, Delivery("edit", key, card, card_key=task.ref))

    def changed(self, tx: Transaction, task: CodeTask, run: Run, what: str) -> None:
        """Shows on the card at once that a run goes on, without a stage change."""
        if task.thread_id is not None:
            key = f"{task.ref}:{run.id}:{what}:{run.fence}"
            card = self._wording(tx, task.thread_id).make(self.card(tx, task, run))
            tx.outbox.add(task.thread_id, Delivery("edit", key, card, card_key=task.ref))

    def ask_approval(self, tx: Transaction, task: CodeTask, run: Run, change: ParkedChange) -> None:
        """The card says "Needs you"; a reply asks an admin to allow the change."""
        if task.thread_id is None:
            return
        self.changed(tx, task, run, "asks")
        admin = self.admin_for(tx, task)
        wording = self._wording(tx, task.thread_id)
        doc = self._titled(task, wording.make(lambda texts: approval_reply(task, change, texts, admin)))
        tx.outbox.add(task.thread_id, Delivery("post", f"{task.ref}:{run.id}:asks:{run.fence}:reply", doc))

    def admin_for(self, tx: Transaction, task: CodeTask) -> Person | None:
        """An admin to ask about the change of a code task: somebody else than its requester, where there is one."""
        seen = tx.people.admins(task.requester_platform, task.requester_workspace)
        others = [admin for admin in seen if admin != task.requester_id] or list(seen)
        return tx.people.find(task.requester_platform, task.requester_workspace, others[0]) if others else None

    def deleted(self, tx: Transaction, task: CodeTask, actor: Person) -> None:
        """The card of a deleted code task says so and has no buttons."""
        if task.thread_id is not None and tx.outbox.card_message(task.ref) is not None:
            who = person_name(actor.name, actor.id)
            card = self._wording(tx, task.thread_id).make(lambda texts: _deleted_card(task, who, texts))
            tx.outbox.add(task.thread_id, Delivery("edit", f"{task.ref}:deleted", card, card_key=task.ref))

    def progressed(self, tx: Transaction, task: CodeTask, run: Run, step: int) -> None:
        """Shows a reported step; a burst of steps becomes one edit."""
        if task.thread_id is not None:
            key = f"{task.ref}:{run.id}:step:{run.fence}:{step}"
            card = self._wording(tx, task.thread_id).make(self.card(tx, task, run))
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

    def card(self, tx: Transaction, task: CodeTask, run: Run | None) -> Callable[[Texts], Card]:
        """Draws the card as it looks now, in any language."""
        now, queued = tx.now, task.stage is Stage.QUEUED
        position = tx.tasks.queue_position(task.id or 0) if queued else None
        no_worker = queued and not tx.figures.workers(ALIVE)
        others = len(tx.subscriptions.askers(task.id or 0)) if task.stage in ACTIVE else 0
        behind = _behind(tx, task)
        gone = behind is not None and behind.reason == MESSAGE_GONE
        quoted = task.model_copy(update={"description": task.title}) if gone else task

        def draw(texts: Texts) -> Card:
            return task_card(
                quoted,
                run=run,
                texts=texts,
                now=now,
                position_in_queue=position,
                merged_by=task.merged_by or "",
                no_worker=no_worker,
                others=others,
                sends=self.sends,
                mask=self.redactor.mask,
            )

        return draw

    def _follow_line(self, tx: Transaction, task: CodeTask, thread_id: int, key: str) -> None:
        """The line of the suggestion that it was filed from says its stage, and offers only what can still be done."""
        suggestion = _behind(tx, task)
        if suggestion is not None and is_told(tx, suggestion):
            line = Line(suggestion, task)
            doc = self._wording(tx, thread_id).make(lambda texts: line_doc(line, texts, tx.now, self.redactor.mask))
            tx.outbox.add(thread_id, Delivery("edit", key, doc, card_key=suggestion.ref))

    def _wording(self, tx: Transaction, thread_id: int) -> Wording:
        return self.languages.shared(tx, tx.threads.get(thread_id).ref)

    def _titled(self, task: CodeTask, doc: Doc) -> Doc:
        """The reply with the name of the thread that a platform may have to open for it."""
        return doc.model_copy(update={"topic": f"{task.ref} {title_text(task, self.redactor.mask)}"})

    def _reply(self, task: CodeTask, run: Run | None, actor: Person | None) -> Callable[[Texts], Doc] | None:
        mask = self.redactor.mask
        if task.stage is Stage.REVIEW:
            return lambda texts: review_reply(task, texts, mask, sends=self.sends)
        if task.stage is not Stage.FAILED:
            return None
        if task.failure_reason is not FailureReason.CANCELLED:
            return lambda texts: failed_reply(task, texts, run, mask)
        if actor is None or actor.id == task.requester_id:
            return None
        by = actor.name or actor.id
        return lambda texts: cancelled_reply(task, by, texts, mention=True)


def is_told(tx: Transaction, suggestion: Suggestion) -> bool:
    """Whether there is a line of it."""
    return tx.outbox.card_message(suggestion.ref) is not None or tx.outbox.known(line_key(suggestion))


def _behind(tx: Transaction, task: CodeTask) -> Suggestion | None:
    """The suggestion that it was filed from."""
    return None if task.source in TYPED else tx.suggestions.behind(task.id or 0)


def _deleted_card(task: CodeTask, who: str, texts: Texts) -> Card:
    text = texts.say("card.deleted", who=who)
    summary = texts.say("card.deleted_summary", ref=task.ref, what=text)
    return Card(key=task.ref, title=task.ref, summary=summary, body=escape(text), colour="grey")


def _to_person(person: Person, reply_token: ReplyToken | None) -> dict[str, object]:
    token = reply_token.model_dump(mode="json") if reply_token else None
    return {"person": person.model_dump(mode="json"), "reply_token": token}

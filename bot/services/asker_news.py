"""What is told to threads that asked for a code task which was filed elsewhere.

Everything here only enqueues deliveries in the transaction that made the change. A thread is told once of every move
that matters to it: the key of the delivery names the thread and the move.
"""

from dataclasses import dataclass
from typing import Final

from bot.core.cards import Doc
from bot.core.inbound import Person
from bot.core.ledger_replies import apart_doc, different_value, looks_same_doc, news_doc, planned_doc
from bot.core.redact import LiveRedactor
from bot.core.tasks import CodeTask, Stage
from bot.core.texts import Texts
from bot.services.languages import Languages, Wording
from bot.store import Delivery, Subscription, Transaction

TOLD: Final = frozenset({Stage.REVIEW, Stage.MERGED, Stage.FAILED})
"""A thread is told of these stages; one that joins in them at once, without waiting for the next move."""


@dataclass(frozen=True, slots=True)
class AskerNews:
    """Tells threads, each in its language. Holds no state."""

    languages: Languages
    redactor: LiveRedactor

    def tell(self, tx: Transaction, task: CodeTask, actor: Person | None = None) -> None:
        """Tells every subscribed thread of the stage that the code task has just come to, where it matters there."""
        if task.stage not in TOLD:
            return
        for subscription in tx.subscriptions.of_task(task.id or 0):
            if subscription.thread_id != task.thread_id:
                self._one(tx, task, subscription, actor)

    def joined(self, tx: Transaction, task: CodeTask, thread_id: int) -> None:
        """Tells a thread that has just joined of a code task whose result is there."""
        for subscription in tx.subscriptions.of_thread(thread_id):
            if subscription.code_task_id == task.id:
                self._one(tx, task, subscription, None)

    def planned(self, tx: Transaction, task: CodeTask, thread_id: int) -> None:
        """Says in a thread that it has joined; once."""
        doc = self._wording(tx, thread_id).make(lambda texts: planned_doc(task, texts))
        tx.outbox.add(thread_id, Delivery("post", f"{task.ref}:planned:{thread_id}", doc))

    def looks_same(self, tx: Transaction, task: CodeTask, other: CodeTask) -> None:
        """Says in the thread of a code task that was just filed that another one likely asks for the same."""
        if task.thread_id is not None:
            mask = self.redactor.mask
            doc = self._wording(tx, task.thread_id).make(lambda texts: looks_same_doc(task, other, texts, mask))
            key = line_of(task)
            tx.outbox.add(task.thread_id, Delivery("post", key, doc, card_key=key))

    def merged_into(self, tx: Transaction, task: CodeTask, other: CodeTask) -> None:
        """The same line, after [Same as CT-12]."""
        if task.thread_id is not None:
            value = different_value(task.id, None)
            doc = self._wording(tx, task.thread_id).make(lambda texts: planned_doc(other, texts, value))
            self._line(tx, task, task.thread_id, doc, f"same:{other.id}")

    def apart(self, tx: Transaction, task: CodeTask) -> None:
        """The same line, after [This is different]."""
        if task.thread_id is not None and tx.outbox.known(line_of(task)):
            doc = self._wording(tx, task.thread_id).make(lambda texts: apart_doc(task, texts))
            self._line(tx, task, task.thread_id, doc, "apart")

    def _line(self, tx: Transaction, task: CodeTask, thread_id: int, doc: Doc, what: str) -> None:
        key = line_of(task)
        if tx.outbox.known(key):
            seq = tx.tasks.moves(task.id or 0)
            tx.outbox.add(thread_id, Delivery("edit", f"{key}:{what}:{seq}", doc, card_key=key))
        else:
            tx.outbox.add(thread_id, Delivery("post", key, doc, card_key=key))

    def _one(self, tx: Transaction, task: CodeTask, subscription: Subscription, actor: Person | None) -> None:
        if task.stage not in TOLD:
            return
        wording, mask = self._wording(tx, subscription.thread_id), self.redactor.mask
        value = different_value(subscription.from_task_id, subscription.suggestion_id)
        asker = subscription.person

        def draw(texts: Texts) -> Doc:
            doc = news_doc(task, asker, texts, mask, actor=actor, different=value)
            assert doc is not None, "the stage is looked at first"
            return doc

        key = f"{task.ref}:told:{subscription.thread_id}:{tx.tasks.moves(task.id or 0)}"
        tx.outbox.add(subscription.thread_id, Delivery("post", key, wording.make(draw)))

    def _wording(self, tx: Transaction, thread_id: int) -> Wording:
        return self.languages.shared(tx, tx.threads.get(thread_id).ref)


def line_of(task: CodeTask) -> str:
    """The key of the line that says which code task one looks like; it is edited like a card."""
    return f"{task.ref}-like"

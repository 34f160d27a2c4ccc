"""What a thread is told when the message behind a code task is edited or deleted after the filing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bot.core.buttons import cancel
from bot.core.cards import Doc
from bot.core.followups import MESSAGE_MAX
from bot.core.inbound import Person
from bot.core.intake.extract import extract
from bot.core.intake.guard import guard
from bot.core.people import Action, may
from bot.core.quoting import code_span
from bot.core.suggestion_replies import pass_on
from bot.core.suggestions import BY_HAND, FILED, MESSAGE_GONE, WIPED, Suggestion, hash_of
from bot.core.task_cards import requester_of, say_doc
from bot.core.tasks import DESCRIPTION_MIN, CodeTask, Stage, title_of
from bot.core.texts import Texts
from bot.services.announcements import Announcer
from bot.services.languages import Wording
from bot.services.people import Rights
from bot.store import Delivery, Transaction

COMMANDS: Final = frozenset({"slash", "mention", "bang"})
"""Doors whose message is a command: an edited command never runs again."""
SENT_MAX: Final = MESSAGE_MAX - 200
"""Characters of an edit that can be sent on, with the sentence before it."""
OVER: Final = frozenset({Stage.MERGED, Stage.FAILED})


@dataclass(frozen=True, slots=True)
class FiledChanges:
    """The code task is the requester's: nothing about it changes silently, and nothing unconfirmed gets in."""

    announcer: Announcer
    rights: Rights

    def follow(self, tx: Transaction, item: Suggestion, text: str | None, author: Person) -> None:
        """The messages of a filed item say something else now (`text`), or were deleted (None)."""
        task = tx.tasks.get(item.code_task_id or 0)
        if task is None or task.source in COMMANDS:
            return
        if text is None:
            self._deleted(tx, item, task)
        else:
            self._edited(tx, item, task, text, author)

    def _edited(self, tx: Transaction, item: Suggestion, task: CodeTask, text: str, author: Person) -> None:
        seen = hash_of(text)
        tx.suggestions.update(item.id or 0, (FILED,), seen_hash=seen, edited="")  # what was edited before is no more
        if task.stage in OVER:
            return
        words = extract(text)
        if hash_of(words.problem) == (item.told_hash or hash_of(task.description)):
            return  # an edit that was taken back, or that changes no word of the wish
        mine = item.reason != BY_HAND and hash_of(task.description) == item.text_hash
        trusted = author.kind == "human" and may(self.rights.role(author), Action.FILE, is_requester=False)
        fits = len(words.problem) >= DESCRIPTION_MIN and not guard(words.problem)
        revised = None
        if mine and trusted and fits:
            values = {"description": words.problem, "title": words.title or title_of(words.problem)}
            revised = tx.tasks.update(task.id or 0, {Stage.QUEUED}, **values)
        if revised is not None:
            tx.suggestions.update(
                item.id or 0, (FILED,), text=words.problem, text_hash=hash_of(words.problem), told_hash=""
            )
            self._card(tx, revised, f"revised:{seen[:12]}:{tx.now.isoformat()}")
            tx.people.audit(f"{author.platform}:{author.id}", "revise", task.ref, {"text": seen})
        else:
            task = tx.tasks.get(task.id or 0) or task  # it may have been claimed at this moment
        waits = task.stage is Stage.QUEUED
        if self.announcer.sends and trusted and fits and not waits and len(words.problem) <= SENT_MAX:
            item = tx.suggestions.update(item.id or 0, (FILED,), edited=words.problem) or item
        key = "intake.source_revised" if revised else "intake.source_kept" if waits else "intake.source_edited"
        command = code_span(f"{'edit' if waits else 'send'} {task.ref} …")
        self._post(
            tx, task, f"source:{seen[:12]}:{tx.now.isoformat()}", lambda texts: _note(texts, key, task, command, item)
        )

    def _deleted(self, tx: Transaction, item: Suggestion, task: CodeTask) -> None:
        """No word of it is shown any more; while it waits its requester is asked once."""
        tx.suggestions.update(item.id or 0, (FILED,), **WIPED, seen_hash="", reason=MESSAGE_GONE)
        self._card(tx, task, "unquoted")
        if task.stage is not Stage.QUEUED:
            return

        def ask(texts: Texts) -> Doc:
            doc = say_doc(texts, "intake.source_deleted", ref=task.ref)
            return doc.model_copy(update={"mention": requester_of(task), "buttons": (cancel(task, texts),)})

        self._post(tx, task, "source:deleted", ask)

    def _card(self, tx: Transaction, task: CodeTask, what: str) -> None:
        if task.thread_id is not None:
            runs = tx.runs.of_task(task.id or 0)
            card = self._wording(tx, task.thread_id).make(self.announcer.card(tx, task, runs[-1] if runs else None))
            tx.outbox.add(task.thread_id, Delivery("edit", f"{task.ref}:{what}", card, card_key=task.ref))

    def _post(self, tx: Transaction, task: CodeTask, what: str, draw: Callable[[Texts], Doc]) -> None:
        if task.thread_id is not None:
            doc = self._wording(tx, task.thread_id).make(draw)
            tx.outbox.add(task.thread_id, Delivery("post", f"{task.ref}:{what}", doc))

    def _wording(self, tx: Transaction, thread_id: int) -> Wording:
        return self.announcer.languages.shared(tx, tx.threads.get(thread_id).ref)


def _note(texts: Texts, key: str, task: CodeTask, command: str, item: Suggestion) -> Doc:
    given = {} if key == "intake.source_revised" else {"command": command}
    note = say_doc(texts, key, ref=task.ref, **given)
    return note.model_copy(update={"buttons": (pass_on(item, texts),)}) if item.edited else note

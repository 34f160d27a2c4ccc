"""Suggestions as people handle them: shown, filed, joined to a code task, dismissed. One transaction each.

Every door (chat, HTTP, command line, intake itself) comes through here, so rights, the once of a filing and the audit
trail are the same. A code task is filed under the key of the item's first message: whatever else is pointed at that
message finds the same one. Its requester is the message's author where they may file themselves, else whoever confirmed
it; the audit trail names both.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from bot.core.commands import Options
from bot.core.hygiene import count_hidden, cut
from bot.core.inbound import MessageRef, Person, ReplyToken
from bot.core.intake.extract import extract
from bot.core.intake.guard import guard
from bot.core.people import Action, may
from bot.core.suggestion_replies import OUTSIDE, REFUSED, Line
from bot.core.suggestions import (
    APPROVAL_WAIT,
    BY_HAND,
    DISMISSALS,
    DISMISSED,
    EXPIRED,
    FILED,
    KEPT,
    OPEN,
    REMOVED,
    SAME,
    UNDO,
    Mode,
    Suggestion,
    SuggestionState,
    hash_of,
)
from bot.core.tasks import TITLE_MAX, CodeTask, Stage, title_of
from bot.services.announcements import is_told
from bot.services.intake.modes import SETTING
from bot.services.intake.news import SuggestionNews, channel_of, thread_of
from bot.services.ledger import Ledger
from bot.services.people import Rights, with_links
from bot.services.queued import AUTO, can_undo
from bot.services.refusals import Refused
from bot.services.tasks import CodeTasks, Filed, Filing, actor_of, checked, message_key, unknown
from bot.settings import Settings
from bot.store import SuggestionFilter, Transaction

SINCE: Final = "intake_since"
"""The channel setting that remembers when intake was last switched on: refusals before that do not pause it."""
AT_ONCE: Final = 100
"""How many suggestions one call of `expire` closes."""
LOOKED_BACK: Final = 30


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The use cases. Holds no state."""

    settings: Settings
    tasks: CodeTasks
    ledger: Ledger
    news: SuggestionNews
    rights: Rights

    # --- What people see ----------------------------------------------------------------------------------------------

    def show(self, tx: Transaction, suggestion: Suggestion) -> None:
        """Shows one that has just become open: its line in the thread of the message, and a mark on the message."""
        thread = tx.threads.open(thread_of(suggestion))
        shown = tx.suggestions.update(suggestion.id or 0, (suggestion.state,), thread_id=thread.id) or suggestion
        self.news.mark(tx, thread.id, shown)
        self.news.line(tx, thread.id, self.line(tx, shown))

    def changed(self, tx: Transaction, suggestion: Suggestion, why: str = "") -> None:
        """Shows on the line what is true now; nothing where there is no line."""
        if suggestion.thread_id is not None and is_told(tx, suggestion):
            self.news.line(tx, suggestion.thread_id, self.line(tx, suggestion), why)

    def take_down(self, tx: Transaction, suggestion: Suggestion) -> None:
        """The line says why it is over, and has no buttons any more."""
        self.changed(tx, suggestion, "over")

    def line(self, tx: Transaction, suggestion: Suggestion) -> Line:
        """All that the line says."""
        task = tx.tasks.get(suggestion.code_task_id) if suggestion.code_task_id is not None else None
        similar = [tx.tasks.get(number) for number in suggestion.similar_ids]
        platform, _, decider = (suggestion.decided_by or "").partition(":")
        author = self.author(tx, suggestion)
        return Line(
            suggestion,
            task,
            [one for one in similar if one is not None],
            self.asks(tx, suggestion),
            for_filers=not self._may(author, Action.FILE),
            decided_by=(tx.people.name_of(platform, decider) or decider) if decider else "",
            starts_at=task.next_attempt_at if task is not None and can_undo(task, tx) else None,
        )

    def author(self, tx: Transaction, suggestion: Suggestion) -> Person:
        """Who said it, with the roles that their platform told of last."""
        known = tx.people.find(suggestion.platform, suggestion.workspace_id, suggestion.author_id)
        told: dict[str, Any] = {
            "platform": suggestion.platform,
            "workspace_id": suggestion.workspace_id,
            "id": suggestion.author_id,
            "name": suggestion.author_name,
            "kind": suggestion.author_kind,
        }
        author = Person.model_validate(told) if known is None else known
        kind = suggestion.author_kind if author.kind == "human" else author.kind
        return with_links(tx, author.model_copy(update={"kind": kind, "name": author.name or suggestion.author_name}))

    def asks(self, tx: Transaction, suggestion: Suggestion) -> tuple[str, ...]:
        """Why an admin has to allow it: what the guard found, and that its author is no member. Empty: a filer may
        file it."""
        author = self.author(tx, suggestion)
        outside = author.kind != "human" and not self._may(author, Action.FILE)
        return (*suggestion.guard.split(), *((OUTSIDE,) if outside else ()))

    # --- What people decide -------------------------------------------------------------------------------------------

    def file(
        self,
        tx: Transaction,
        suggestion: Suggestion,
        person: Person,
        *,
        by_itself: bool = False,
        text: str | None = None,
        source: str = "suggestion",
        options: Options | None = None,
        context: str = "",
        reply_token: ReplyToken | None = None,
    ) -> Filed | Refused:
        """Files it as a code task, once. A second filing finds the first, unless that one was deleted.

        `text` goes for a text that is not stored. `by_itself`: nobody pressed, so the code task waits `UNDO` before a
        worker may take it."""
        found = tx.suggestions.locked(suggestion.id or 0)
        if found is None:
            return unknown_suggestion(suggestion.ref)
        known = tx.tasks.get(found.code_task_id) if found.state in (FILED, SAME) and found.code_task_id else None
        if known is not None:
            return Filed(known, fresh=False)
        refused = None if by_itself else self.may_file(tx, found, person)
        if refused is not None:
            return refused
        words = {} if text is None else self._pointed_at(text)
        if isinstance(words, Refused):
            return words
        told = Filing(
            text=words.get("text") or found.text,
            person=person,
            options=options or self._options(found),
            source=AUTO if by_itself else source,
            context=context,
            reply_token=reply_token,
        )
        filed = self._as_code_task(tx, found, told)
        if isinstance(filed, Refused):
            return filed
        actor = AUTO if by_itself else actor_of(person)
        told_now = {"code_task_id": filed.task.id, "decided_by": _decider(filed, actor), **words}
        told_now |= {"edited": "", "told_hash": ""}
        if found.state is FILED:  # its code task was deleted
            moved = tx.suggestions.update(found.id or 0, (FILED,), decided_at=tx.now, **told_now)
        else:
            moved = tx.suggestions.move(found.id or 0, (found.state,), FILED, **told_now)
        assert moved is not None, "it is locked"
        self._audit(tx, actor, "file_suggestion", moved, task=filed.task.ref, hash=moved.text_hash)
        self._count_author(tx, moved, filed.task)
        self._tell_filed(tx, moved, filed.task, by_itself)
        return filed

    def may_file(self, tx: Transaction, suggestion: Suggestion, person: Person) -> Refused | None:
        """Why someone may not confirm it; None when they may."""
        if suggestion.state is REMOVED:
            return over(suggestion)
        refused_before = suggestion.state is EXPIRED and suggestion.reason == REFUSED
        if not (refused_before or self.asks(tx, suggestion)):
            return None if self._may(person, Action.JUDGE) else self.rights.refuse_judging(suggestion.ref)
        if not self._may(person, Action.APPROVE):
            return Refused("refused.may_not_allow", {"ref": suggestion.ref}, "not_allowed")
        if self._is_author(person, suggestion) and not self.tasks.may_approve_own(tx, person):
            return Refused("refused.own_suggestion", {"ref": suggestion.ref}, "not_allowed")
        return None

    def same(self, tx: Transaction, suggestion: Suggestion, task_id: int, person: Person) -> CodeTask | Refused:
        """It asks for what a code task asks for: its thread is told of that one, its author is counted there."""
        found, task = tx.suggestions.locked(suggestion.id or 0), tx.tasks.get(task_id)
        if found is None:
            return unknown_suggestion(suggestion.ref)
        if not self._may(person, Action.JUDGE):
            return self.rights.refuse_judging(found.ref)
        if task is None:
            return unknown(task_id)
        if found.state is SAME and found.code_task_id == task_id:
            return task
        refused = self.ledger.may_join(task)
        if refused is not None:
            return refused
        thread_id = found.thread_id or tx.threads.open(thread_of(found)).id
        moved = tx.suggestions.move(
            found.id or 0, (OPEN,), SAME, code_task_id=task_id, decided_by=actor_of(person), thread_id=thread_id
        )
        if moved is None:
            return over(found)
        self._audit(tx, actor_of(person), "same", moved, task=task.ref)
        self.ledger.join(tx, task, thread_id, self.author(tx, moved), suggestion_id=moved.id)
        self.changed(tx, moved)
        return task

    def different(
        self,
        tx: Transaction,
        suggestion: Suggestion,
        person: Person,
        context: str = "",
        reply_token: ReplyToken | None = None,
    ) -> Filed | Refused:
        """Takes a `same` back and files it as a code task of its own."""
        found = tx.suggestions.locked(suggestion.id or 0)
        if found is None or found.state is not SAME or found.code_task_id is None:
            return over(suggestion)
        refused = self.may_file(tx, found, person) if found.text else over(found)  # its message may be gone
        if refused is not None:
            return refused
        joined = tx.tasks.get(found.code_task_id)
        told = Filing(
            found.text,
            person,
            self._options(found),
            source="suggestion",
            context=context,
            reply_token=reply_token,
        )
        filed = self._as_code_task(tx, found, told)
        if isinstance(filed, Refused):
            return filed
        if joined is not None and found.thread_id is not None:
            self.ledger.leave(tx, joined, found.thread_id, person)
        moved = tx.suggestions.move(
            found.id or 0, (SAME,), FILED, code_task_id=filed.task.id, decided_by=_decider(filed, actor_of(person))
        )
        assert moved is not None, "it is locked"
        self._audit(tx, actor_of(person), "different", moved, task=filed.task.ref, hash=moved.text_hash)
        self._count_author(tx, moved, filed.task)
        self.changed(tx, moved)
        return filed

    def dismiss(self, tx: Transaction, suggestion: Suggestion, person: Person) -> Suggestion | Refused:
        """Not a request. Of a filed one the code task is cancelled; three in a row pause intake in the channel."""
        found = tx.suggestions.locked(suggestion.id or 0)
        if found is None:
            return unknown_suggestion(suggestion.ref)
        if not self._may(person, Action.JUDGE):
            return self.rights.refuse_judging(found.ref)
        if found.state is DISMISSED:
            return found
        if found.state is FILED:
            refused = self._cancel(tx, found, person)
            if refused is not None:
                return refused
        moved = tx.suggestions.move(found.id or 0, (OPEN, FILED), DISMISSED, decided_by=actor_of(person))
        if moved is None:
            return over(found)
        self._audit(tx, actor_of(person), "dismiss", moved)
        self.changed(tx, moved)
        self._pause(tx, moved)
        return moved

    def deny(self, tx: Transaction, suggestion: Suggestion, person: Person) -> Suggestion | Refused:
        """An admin does not allow it: nothing is filed, its words are wiped."""
        found = tx.suggestions.locked(suggestion.id or 0)
        if found is None:
            return unknown_suggestion(suggestion.ref)
        if not self._may(person, Action.APPROVE):
            return Refused("refused.may_not_allow", {"ref": found.ref}, "not_allowed")
        moved = tx.suggestions.move(found.id or 0, (OPEN,), EXPIRED, reason=REFUSED, decided_by=actor_of(person))
        if moved is None:
            return over(found)
        self._audit(tx, actor_of(person), "refuse", moved)
        self.changed(tx, moved)
        return moved

    def edit(self, tx: Transaction, suggestion: Suggestion, person: Person, text: str) -> Suggestion | Refused:
        """Other words for the agent: the line shows them, and what is filed from then on are they. The guard looks
        again."""
        found = tx.suggestions.locked(suggestion.id or 0)
        if found is None:
            return unknown_suggestion(suggestion.ref)
        if not self._may(person, Action.JUDGE):
            return self.rights.refuse_judging(found.ref)
        accepted = checked(text)
        if isinstance(accepted, Refused):
            return accepted
        words = words_of(accepted.text) | {"hidden": accepted.removed_hidden, "question": "", "reason": BY_HAND}
        changed = tx.suggestions.update(found.id or 0, (OPEN,), guard=" ".join(guard(accepted.text)), **words)
        if changed is None:
            return over(found)
        self._audit(tx, actor_of(person), "edit", changed, hash=changed.text_hash)
        self.changed(tx, changed)
        return changed

    def mute(self, tx: Transaction, suggestion: Suggestion, person: Person) -> Refused | None:
        """An admin wants no suggestions in this channel: from now on it is only observed. None when done."""
        if not self._may(person, Action.CONFIGURE):
            return Refused("refused.may_not_mute", {}, "not_allowed")
        place = channel_of(suggestion)
        if tx.people.setting(place, SETTING) in (Mode.SUGGEST.value, Mode.AUTO.value):
            tx.people.set_setting(place, SETTING, Mode.OBSERVE.value)
            tx.people.audit(actor_of(person), "setting", place.canonical, {SETTING: Mode.OBSERVE.value, "why": "mute"})
            self.news.muted(tx, place, person.name or person.id)
        return None

    def taken_back(self, tx: Transaction, suggestion: Suggestion, person: Person) -> None:
        """[Undo]: its code task is cancelled already; it counts as "Not a request"."""
        moved = tx.suggestions.move(suggestion.id or 0, (FILED,), DISMISSED, decided_by=actor_of(person))
        if moved is not None:
            self._audit(tx, actor_of(person), "undo", moved, task=f"CT-{moved.code_task_id}")
            self.changed(tx, moved)
            self._pause(tx, moved)

    # --- What time decides --------------------------------------------------------------------------------------------

    def expire(self, tx: Transaction) -> int:
        """Closes what nobody decided in time, and takes [Undo] off what may start now. Returns how many were closed."""
        gone = [
            *tx.suggestions.expire(tx.now - APPROVAL_WAIT, AT_ONCE, asks_admin=True),
            *tx.suggestions.expire(tx.now - KEPT, AT_ONCE),
        ]
        for suggestion in gone:
            tx.people.audit(AUTO, "expire", suggestion.ref, {})
            self.take_down(tx, suggestion)
        self._undo_over(tx)
        return len(gone)

    def _undo_over(self, tx: Transaction) -> None:
        latest, least = tx.now - UNDO, tx.now - UNDO - timedelta(days=1)
        for suggestion in tx.suggestions.list(SuggestionFilter(states=(FILED,), limit=AT_ONCE)):
            by_itself = suggestion.decided_by == AUTO and suggestion.decided_at is not None
            key = f"{suggestion.ref}:undo_over"
            if by_itself and least <= (suggestion.decided_at or latest) <= latest and not tx.outbox.known(key):
                self._without_undo(tx, suggestion, key)

    def _without_undo(self, tx: Transaction, suggestion: Suggestion, key: str) -> None:
        if suggestion.thread_id is not None and is_told(tx, suggestion):
            self.news.line(tx, suggestion.thread_id, self.line(tx, suggestion), key=key)

    def offer(self, tx: Transaction, suggestion: Suggestion, text: str, person: Person) -> Suggestion | Refused:
        """Shows a message that someone without the right to file has pointed at, for a filer to decide."""
        words = self._pointed_at(text)
        if isinstance(words, Refused):
            return words
        guards = {"guard": " ".join(guard(words["text"])), "hidden": count_hidden(text)}
        moved = tx.suggestions.move(suggestion.id or 0, (suggestion.state,), OPEN, **words, **guards)
        if moved is None:
            return over(suggestion)
        self._audit(tx, actor_of(person), "point_at", moved, hash=moved.text_hash)
        self.show(tx, moved)
        return moved

    # --- Parts --------------------------------------------------------------------------------------------------------

    def _as_code_task(self, tx: Transaction, found: Suggestion, told: Filing) -> Filed | Refused:
        """Files what was told, for the author where they may, in the thread and under the key of the first message."""
        author, place = self.author(tx, found), thread_of(found)
        thread = tx.threads.open(place)
        filing = replace(
            told,
            person=author if self._may(author, Action.FILE) else told.person,
            thread_id=thread.id,
            channel=place,
            dedup_key=message_key(MessageRef(thread=place, message_id=found.message_id)),
            start_at=tx.now + UNDO if told.source == AUTO else None,
        )
        outcome = self.tasks.file(tx, filing)
        if found.thread_id is None and not isinstance(outcome, Refused):
            tx.suggestions.update(found.id or 0, (found.state,), thread_id=thread.id)
        elif found.thread_id is None:
            tx.threads.discard(thread.id)
        return outcome

    def _count_author(self, tx: Transaction, suggestion: Suggestion, task: CodeTask) -> None:
        """Someone whose wish another filed is one who asked for it; a program is nobody."""
        author = self.author(tx, suggestion)
        if author.kind not in ("bot", "webhook"):
            self.ledger.ask(tx, task, author)

    def _options(self, found: Suggestion) -> Options:
        return Options(repo=found.repo if found.repo in self.settings.repositories else None)

    def _pointed_at(self, text: str) -> dict[str, Any] | Refused:
        """The words of a message that a person pointed at."""
        accepted = checked(text)
        if isinstance(accepted, Refused):
            return accepted
        return words_of(accepted.text) | {"seen_hash": hash_of(text), "judge": "person", "score": 1.0}

    def _tell_filed(self, tx: Transaction, suggestion: Suggestion, task: CodeTask, by_itself: bool) -> None:
        """Its line says so. One that was filed by itself gets a line for [Undo]; beside the card of one that a person
        filed without ever seeing a line, there is nothing to say."""
        if by_itself and suggestion.thread_id is not None:
            self.news.line(tx, suggestion.thread_id, self.line(tx, suggestion))
        else:
            self.changed(tx, suggestion)

    def _cancel(self, tx: Transaction, suggestion: Suggestion, person: Person) -> Refused | None:
        task = tx.tasks.get(suggestion.code_task_id or 0)
        if task is None or task.stage is Stage.FAILED:
            return None
        confirmed_it = suggestion.decided_by == actor_of(person)
        outcome = self.tasks.cancel(tx, task.id or 0, person, confirmed_it=confirmed_it)
        return outcome if isinstance(outcome, Refused) else None

    def _pause(self, tx: Transaction, suggestion: Suggestion) -> None:
        """Three "Not a request" in a row, since intake was switched on here: it only observes from now on."""
        place = channel_of(suggestion)
        channel = (place.platform, place.workspace_id, place.channel_id)
        if tx.people.setting(place, SETTING) not in (Mode.SUGGEST.value, Mode.AUTO.value):
            return
        last = tx.suggestions.last_decided(channel, DISMISSALS)
        if len(last) < DISMISSALS or any(state is not DISMISSED for state in last):
            return
        since = tx.people.setting(place, SINCE) or ""
        which = SuggestionFilter(states=(DISMISSED,), channel=channel, limit=LOOKED_BACK)
        lately = [one for one in tx.suggestions.list(which) if one.decided_at and one.decided_at.isoformat() >= since]
        if len(lately) >= DISMISSALS:
            tx.people.set_setting(place, SETTING, Mode.OBSERVE.value)
            tx.people.audit(AUTO, "setting", place.canonical, {SETTING: Mode.OBSERVE.value, "why": "dismissals"})
            self.news.paused(tx, place)

    def _audit(self, tx: Transaction, actor: str, action: str, suggestion: Suggestion, **more: str) -> None:
        author = f"{suggestion.platform}:{suggestion.author_id}"
        tx.people.audit(actor, action, suggestion.ref, {"author": author, **more})

    def _may(self, person: Person, action: Action) -> bool:
        return may(self.rights.role(person), action, is_requester=False)

    def _is_author(self, person: Person, suggestion: Suggestion) -> bool:
        accounts = [person, *person.also]
        author = (suggestion.platform, suggestion.workspace_id, suggestion.author_id)
        return author in [(one.platform, one.workspace_id, one.id) for one in accounts]


def _decider(filed: Filed, actor: str) -> str:
    """Who confirmed a filing: who filed it before, when it was filed already. Only they may take it back."""
    return actor if filed.fresh else f"{filed.task.requester_platform}:{filed.task.requester_id}"


def words_of(text: str) -> dict[str, Any]:
    """A text as the fields of a suggestion. `text` is cleaned already, as `check_description` gives it."""
    title = extract(text).title or title_of(text)
    return {"text": text, "text_hash": hash_of(text), "title": cut(title, TITLE_MAX)}


def unknown_suggestion(ref: str) -> Refused:
    return Refused("refused.unknown_suggestion", {"id": ref, "command": "suggestions"}, "not_found")


def over(suggestion: Suggestion) -> Refused:
    return Refused("refused.suggestion_over", {"ref": suggestion.ref}, "state")


def is_undecided(state: SuggestionState) -> bool:
    """Whether a door of its message may still file it."""
    return state not in (FILED, SAME, REMOVED)

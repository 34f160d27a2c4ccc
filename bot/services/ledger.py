"""The demand ledger: which code tasks ask for the same, who asked for them, and whose threads are told.

Similarity ranks, people merge: nothing joins a code task unless somebody says so. People are counted once, however many
of their accounts asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from bot.core.inbound import Person, ThreadRef
from bot.core.people import Action, Role, is_requester, may
from bot.core.similar import READ_MAX, Similar, similar
from bot.core.tasks import ACTIVE, CodeTask, Stage
from bot.core.texts import Word
from bot.services.announcements import Announcer
from bot.services.asker_news import AskerNews
from bot.services.people import Rights
from bot.services.refusals import Refused, stage_word
from bot.services.visibility import may_see
from bot.store import Demand, Transaction

if TYPE_CHECKING:
    from bot.services.tasks import CodeTasks

LOOKED_BACK: Final = timedelta(days=30)
"""Code tasks that were merged since then are offered as the same, too (product rule 14)."""
COMPARED: Final = 200
"""So many code tasks are compared with a text, the newest."""
OFFERED: Final = 3
JOINABLE: Final = ACTIVE - {Stage.REVIEW}
"""A code task in these stages can still become one with another: nobody has its pull request yet."""
ANYONE: Final = Person(platform="", workspace_id="", id="")
"""Somebody of whom nothing is known."""
RANKED: Final = 10
"""So many of the nearest are looked through for those that somebody may see."""


class Looked(NamedTuple):
    """A look through the code tasks for one that a text repeats."""

    likely: int | None
    """The number of the one that likely asks for the same."""
    newest: int
    """The highest number that there was; 0 for none."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The use cases. Holds no state."""

    announcer: Announcer
    rights: Rights

    # --- Likeness -----------------------------------------------------------------------------------------------------

    def similar(
        self,
        tx: Transaction,
        text: str,
        repo: str | None,
        *,
        person: Person,
        exclude: int | None = None,
        most: int = OFFERED,
        here: ThreadRef | None = None,
        newer_than: int = 0,
    ) -> list[Similar]:
        """Code tasks, open or merged in the last 30 days, that are nearest to a text: at most `most` (of 10), nearest
        first. Only those that the person may see, and so may every viewer: their titles are shown to all who read the
        answer (in the channel `here`, whose own are known there). `repo` looks at one repository's, `newer_than` only
        at those (of the 10 newest) with a higher number."""
        found = tx.subscriptions.candidates(repo, tx.now - LOOKED_BACK, RANKED if newer_than else COMPARED, READ_MAX)
        ranked = similar(text, (one for one in found if one[0] != exclude and one[0] > newer_than), top=RANKED)
        seen = (one for one in ranked if (task := tx.tasks.get(one.id)) and self._may_show(tx, task, person, here))
        return list(islice(seen, most))

    def _may_show(self, tx: Transaction, task: CodeTask, person: Person, here: ThreadRef | None) -> bool:
        return self.may_see(tx, task, person) and may_see(tx, Role.VIEWER, ANYONE, task, here)

    def look(self, tx: Transaction, text: str, repo: str, person: Person, here: ThreadRef | None) -> Looked:
        """What `offer` needs to know, looked up where no transaction that writes has to wait for it."""
        newest = tx.subscriptions.candidates(None, tx.now - LOOKED_BACK, 1, 0)
        found = self.similar(tx, text, repo, person=person, most=1, here=here)
        return Looked(found[0].id if found and found[0].likely_same else None, newest[0][0] if newest else 0)

    def offer(self, tx: Transaction, task: CodeTask, person: Person, looked: Looked | None = None) -> CodeTask | None:
        """Says in the thread of a code task just filed by hand which one it likely repeats, if there is one. It stays
        filed: that is for a person to say. With `looked` only what was filed since then is still looked through."""
        here = tx.threads.get(task.thread_id).ref if task.thread_id is not None else None
        newest = looked.newest if looked else 0
        found = self.similar(
            tx, task.description, task.repo, person=person, exclude=task.id, most=1, here=here, newer_than=newest
        )
        number = found[0].id if found and found[0].likely_same else looked.likely if looked else None
        other = tx.tasks.get(number) if number is not None else None
        if other is not None:
            self._news.looks_same(tx, task, other)
        return other

    def may_see(self, tx: Transaction, task: CodeTask, person: Person) -> bool:
        """Whether someone may see a code task (`bot.services.visibility`)."""
        return may_see(tx, self.rights.role(person), person, task)

    # --- Askers -------------------------------------------------------------------------------------------------------

    def join(
        self,
        tx: Transaction,
        task: CodeTask,
        thread_id: int | None,
        person: Person,
        *,
        suggestion_id: int | None = None,
        from_task_id: int | None = None,
    ) -> bool:
        """Counts someone as asking for a code task; their thread is told what becomes of it, and gets the link at once
        where there is one. False when that thread (or, in the code task's own thread, that person) was counted before.

        A thread that joins by a suggestion or by a code task of its own has a line that says so; any other is told."""
        number = task.id or 0
        if thread_id is None or thread_id == task.thread_id:
            return self.ask(tx, task, person)
        known = {"suggestion_id": suggestion_id, "from_task_id": from_task_id}
        if not tx.subscriptions.add(number, thread_id, person, **known):
            return False
        now = tx.tasks.get(number) or task  # the insertion has waited for a move that was under way, and it told nobody
        if suggestion_id is None and from_task_id is None and now.stage in JOINABLE:
            self._news.planned(tx, now, thread_id)
        self._news.joined(tx, now, thread_id)
        self._asked(tx, now)
        return True

    def ask(self, tx: Transaction, task: CodeTask, person: Person) -> bool:
        """Counts someone who asked for it in its own thread, or by the same message; False when counted before, and
        for its requester."""
        if is_requester(person, task) or not tx.subscriptions.ask(task.id or 0, person):
            return False
        self._asked(tx, task)
        return True

    def leave(self, tx: Transaction, task: CodeTask, thread_id: int, person: Person) -> bool:
        """Takes a thread out again: it is told nothing more. False when it was not subscribed."""
        if tx.subscriptions.end(task.id or 0, thread_id) is None:
            return False
        self._asked(tx, task)
        return True

    def subscribe(
        self, tx: Transaction, task: CodeTask, thread_id: int | None, asker: Person, actor: Person
    ) -> bool | Refused:
        """`join` at somebody's word, for themselves or (admins) for another; whether it was new."""
        if not may(self.rights.role(actor), Action.JUDGE, is_requester=False):
            return self.rights.refuse_filing()
        refused = self.may_join(task)
        if refused is not None:
            return refused
        fresh = self.join(tx, task, thread_id, asker)
        if fresh:
            tx.people.audit(_actor(actor), "ask", task.ref, {"asker": asker.account})
        return fresh

    def forget(self, tx: Transaction, task: CodeTask, asker: Person, actor: Person) -> bool:
        """Takes somebody out of those who asked, with all their accounts; their threads are told nothing more. False
        when they were not among them."""
        gone = [tx.subscriptions.forget(task.id or 0, account) for account in (asker, *asker.also)]
        if any(gone):
            tx.people.audit(_actor(actor), "unask", task.ref, {"asker": asker.account})
            self._asked(tx, task)
        return any(gone)

    def askers(self, tx: Transaction, task: CodeTask) -> Sequence[Person]:
        """Distinct people besides the requester who asked for it."""
        return tx.subscriptions.askers(task.id or 0)

    def tell(self, tx: Transaction, task: CodeTask, actor: Person | None = None) -> None:
        """Tells every subscribed thread, once, that the code task has moved."""
        self._news.tell(tx, task, actor)

    def top(self, tx: Transaction, limit: int, person: Person | None = None) -> list[Demand]:
        """Open code tasks by how many distinct people asked for them, most first; only those that `person` may see."""
        shown: list[Demand] = []
        for most in (limit, limit + COMPARED):
            found = tx.subscriptions.top(most)
            shown = [one for one in found if person is None or self.may_see(tx, one.task, person)]
            if len(shown) == len(found) or len(shown) >= limit:
                break
        return shown[:limit]

    # --- Two code tasks that are one ----------------------------------------------------------------------------------

    def may_join(self, task: CodeTask) -> Refused | None:
        """Why no request can join a code task; None when one can."""
        if task.stage is Stage.FAILED:
            return Refused("ledger.over", {"ref": task.ref, "stage": _shown(task)}, "state")
        return None

    def same(
        self, tx: Transaction, tasks: "CodeTasks", number: int, other_number: int, person: Person
    ) -> CodeTask | Refused:
        """A code task is the same as another: it is cancelled, and its thread and all who asked for it join the other,
        which is returned. For its requester and admins. Saying it again changes nothing."""
        task, other = tx.tasks.get(number), tx.tasks.get(other_number)
        if task is None or other is None or not self.may_see(tx, other, person):
            missing = number if task is None else other_number
            return Refused("refused.unknown_id", {"id": f"CT-{missing}", "command": "list"}, "not_found")
        if number == other_number:
            return Refused("ledger.itself", {"ref": task.ref}, "bad")
        if task.is_cancelled and self._joined_by(tx, task, other):
            return other
        refused = self.may_join(other)
        if refused is not None:
            return refused
        if task.stage not in JOINABLE:
            return Refused("ledger.too_late", {"ref": task.ref, "stage": _shown(task)}, "state")
        cancelled = tasks.cancel(tx, number, person, told=False)
        if isinstance(cancelled, Refused):
            return cancelled
        tx.people.audit(_actor(person), "same", task.ref, {"as": other.ref})
        self._hand_over(tx, cancelled, other)
        self._news.merged_into(tx, cancelled, other)
        return other

    def different(self, tx: Transaction, tasks: "CodeTasks", number: int, person: Person) -> CodeTask | Refused:
        """Takes `same` back: the code task is queued again, and its thread hears nothing more of the other."""
        queued = tasks.retry(tx, number, person, None)
        if isinstance(queued, Refused):
            return queued
        if queued.thread_id is not None:
            for one in tx.subscriptions.of_thread(queued.thread_id):
                other = tx.tasks.get(one.code_task_id)
                if one.from_task_id == number and other is not None:
                    self.leave(tx, other, queued.thread_id, person)
        tx.people.audit(_actor(person), "different", queued.ref, {})
        self._news.apart(tx, queued)
        return queued

    def _joined_by(self, tx: Transaction, task: CodeTask, other: CodeTask) -> bool:
        return any(one.from_task_id == task.id for one in tx.subscriptions.of_task(other.id or 0))

    def _hand_over(self, tx: Transaction, task: CodeTask, other: CodeTask) -> None:
        """All who asked for one code task ask for the other from now on: its requester and thread, and its askers."""
        askers = tx.subscriptions.askers(task.id or 0)
        for one in tx.subscriptions.of_task(task.id or 0):
            tx.subscriptions.end(task.id or 0, one.thread_id)
            known = {"suggestion_id": one.suggestion_id, "from_task_id": one.from_task_id}
            self.join(tx, other, one.thread_id, one.person, **known)
        for asker in askers:
            if asker not in tx.subscriptions.askers(other.id or 0):
                self.ask(tx, other, asker)
        requester = Person(
            platform=task.requester_platform,
            workspace_id=task.requester_workspace,
            id=task.requester_id,
            name=task.requester_name,
        )
        self.join(tx, other, task.thread_id, requester, from_task_id=task.id)

    @property
    def _news(self) -> AskerNews:
        return self.announcer.asker_news

    def _asked(self, tx: Transaction, task: CodeTask) -> None:
        """The card's question before a cancel names the others."""
        self.announcer.recounted(tx, task)


def _shown(task: CodeTask) -> Word:
    return stage_word("cancelled" if task.is_cancelled else task.stage)


def _actor(person: Person) -> str:
    return f"{person.platform}:{person.id}"

"""Questions of running agents: asked in the thread, answered by a button or by words, given up after an hour.

While one is open its run waits: the card says "Needs you", and the agent's clocks stand still (`bot/worker/callbacks`).
"""

from dataclasses import dataclass
from typing import Final

from bot.core.followup_replies import requester_of as requester_of_follow_up
from bot.core.hygiene import clean
from bot.core.inbound import Person
from bot.core.people import Action, may
from bot.core.questions import (
    ANSWER_MAX,
    ANSWER_WAIT,
    CHOICE_MAX,
    CHOICES_MAX,
    QUESTION_MAX,
    AnswerPress,
    Question,
    answered_doc,
    question_doc,
)
from bot.core.runs import Run, RunState
from bot.core.task_cards import requester_of as requester_of_task
from bot.services.announcements import Announcer
from bot.services.people import Rights
from bot.services.refusals import Refused
from bot.services.run_seats import RunSeat, ToolRefused
from bot.services.tasks import actor_of
from bot.store import Delivery, Transaction

OVER: Final = Refused("question.over", kind="state")


@dataclass(frozen=True, slots=True)
class Questions:
    """The use cases. Holds no state."""

    announcer: Announcer
    rights: Rights

    def ask(self, tx: Transaction, seat: RunSeat, text: str, choices: tuple[str, ...]) -> Question | ToolRefused:
        """The run's question: a new one, or the same one as it is now when it was asked before."""
        if seat.thread_id is None:
            return ToolRefused("This run has no chat thread where anybody could answer.", "state")
        unfit = _unfit(text, choices)
        if unfit:
            return ToolRefused(unfit)
        known = tx.questions.last_of(seat.run_id)
        if known is not None and known.answered_at is None and not _waits(seat.run):
            tx.questions.answer(known.id or 0, None, None)  # of an earlier claim of this run, whose agent is gone
        elif known is not None and known.text == text:
            return self._given_up(tx, seat, known) or known
        asked = tx.questions.ask(seat.run_id, seat.thread_id, text, choices)
        if asked is None:
            return ToolRefused("Another question of this run is open. One at a time.", "state")
        tx.runs.update(seat.run_id, seat.run.fence, run_state=RunState.WAITING_FOR_INPUT, message=text[:200])
        self._post(tx, seat, asked)
        return asked

    def give_up(self, tx: Transaction, seat: RunSeat) -> None:
        """Closes the run's open question, if there is one: its card goes on."""
        known = tx.questions.last_of(seat.run_id)
        if known is not None and tx.questions.answer(known.id or 0, None, None) is not None:
            self._go_on(tx, seat.run, f"given-up:{known.id}")

    def _given_up(self, tx: Transaction, seat: RunSeat, question: Question) -> Question | None:
        """The question, closed, when nobody answered in time."""
        if question.answered_at is not None or tx.now - question.asked_at < ANSWER_WAIT:
            return None
        closed = tx.questions.answer(question.id or 0, None, None)
        if closed is not None:
            self._go_on(tx, seat.run, f"unanswered:{question.id}")
        return closed

    def _post(self, tx: Transaction, seat: RunSeat, question: Question) -> None:
        task, follow_up, thread_id = seat.task, seat.follow_up, question.thread_id
        subject = task.ref if task is not None else follow_up.ref if follow_up is not None else ""
        whom = requester_of_task(task) if task is not None else None
        whom = requester_of_follow_up(follow_up) if follow_up is not None else whom
        self._redraw(tx, seat.run, f"asks:{question.id}")
        wording = self.announcer.languages.shared(tx, tx.threads.get(thread_id).ref)
        doc = wording.make(lambda texts: question_doc(question, subject, seat.run.agent, whom, texts))
        tx.outbox.add(thread_id, Delivery("post", f"QU-{question.id}", doc))

    def press(self, tx: Transaction, person: Person, press: AnswerPress) -> Question | Refused:
        """An answer by a button."""
        question = tx.questions.get(press.question)
        if question is None or press.choice > len(question.offered):
            return OVER
        return self.answer(tx, person, question, question.offered[press.choice - 1])

    def answer(self, tx: Transaction, person: Person, question: Question, text: str) -> Question | Refused:
        """An answer: whoever may send to agents may give it (product rule 9). The first one counts."""
        if not may(self.rights.role(person), Action.SEND, is_requester=False):
            return self.rights.refuse_filing()
        said = self.announcer.redactor.mask(clean(text)).strip()[:ANSWER_MAX]
        answered = tx.questions.answer(question.id or 0, said, person.name or person.id)
        if answered is None:
            return OVER
        tx.people.audit(actor_of(person), "answer", f"QU-{answered.id}", {"run": answered.run_id})
        run = tx.runs.get(answered.run_id)
        if run is not None:
            self._go_on(tx, run, f"answered:{answered.id}")
        wording = self.announcer.languages.shared(tx, tx.threads.get(answered.thread_id).ref)
        doc = wording.make(lambda texts: answered_doc(answered, texts))
        tx.outbox.add(answered.thread_id, Delivery("post", f"QU-{answered.id}:answer", doc))
        return answered

    def _go_on(self, tx: Transaction, run: Run, what: str) -> None:
        tx.runs.update(run.id or 0, run.fence, run_state=RunState.WORKING, message=None)
        self._redraw(tx, run, what)

    def _redraw(self, tx: Transaction, run: Run, what: str) -> None:
        """Shows on a code task's card that its run waits, or goes on."""
        now = tx.runs.get(run.id or 0)
        task = tx.tasks.get(run.code_task_id) if run.code_task_id is not None else None
        if now is not None and task is not None:
            self.announcer.changed(tx, task, now, what)


def _waits(run: Run) -> bool:
    return run.run_state is RunState.WAITING_FOR_INPUT


def _unfit(text: str, choices: tuple[str, ...]) -> str:
    """Why it cannot be asked; empty when it can."""
    if not text or len(text) > QUESTION_MAX:
        return f"A question is a text of at most {QUESTION_MAX} characters."
    if len(choices) > CHOICES_MAX or any(not one or len(one) > CHOICE_MAX for one in choices):
        return f"At most {CHOICES_MAX} choices of at most {CHOICE_MAX} characters each."
    return ""

"""`send` in chat: a mention in the thread of a code task, or the verb with an id."""

from dataclasses import dataclass
from typing import assert_never

from bot.core.commands import render
from bot.core.followups import FollowUp, FollowUpKind, FollowUpState
from bot.core.inbound import FormSent, MessageRef
from bot.core.people import Action, may
from bot.core.quoting import code_span
from bot.core.suggestions import FILED, Suggestion, hash_of
from bot.core.task_cards import say_doc
from bot.core.tasks import CodeTask, Stage
from bot.core.texts import Word
from bot.core.verbs import RetryTask, Send, Stop, Target, TaskId
from bot.services.branch_runs import runs_on_branch
from bot.services.chat_followups import ChatFollowUps
from bot.services.followups import Wish
from bot.services.refusals import Refused
from bot.services.said import Said
from bot.services.sends import Sends, Sent
from bot.services.tasks import unknown
from bot.services.visibility import may_see
from bot.store import Transaction

OVER = frozenset({FollowUpState.SUCCESS, FollowUpState.FAILED})


@dataclass(frozen=True, slots=True)
class ChatSends:
    """Acts on a `send`. Holds no state."""

    sends: Sends
    follow_ups: ChatFollowUps

    def act(self, tx: Transaction, said: Said, command: Send) -> None:
        """Passes the words on and says what becomes of them, or why not."""
        answers, tasks = self.follow_ups.answers, self.sends.tasks
        if isinstance(command.id, TaskId) and command.id.kind == "FU":
            self._to_follow_up(tx, said, command.id.number, command.text)
            return
        if not may(tasks.rights.role(said.person), Action.VIEW, is_requester=False):
            answers.refuse(tx, said, tasks.rights.refuse_viewing())
            return
        task = self._find(tx, said, command.id)
        if isinstance(task, Refused):
            answers.refuse(tx, said, task)
            return
        # A form of [Ask for changes] may have been open since before the agent asked something.
        self._send(tx, said, task, command.text, answers_question=not isinstance(said.event, FormSent))

    def ask(self, tx: Transaction, said: Said, number: int) -> None:
        """[Ask for changes] where no form opened: the words to type instead."""
        answers, rights = self.follow_ups.answers, self.sends.tasks.rights
        task = self._find(tx, said, TaskId("CT", number))
        if not may(rights.role(said.person), Action.SEND, is_requester=False):
            answers.refuse(tx, said, rights.refuse_filing())
        elif isinstance(task, Refused):
            answers.refuse(tx, said, task)
        else:
            answers.type_it(tx, said, Send(TaskId("CT", number), "…"))

    def pass_on(self, tx: Transaction, said: Said, found: Suggestion, shown: str) -> None:
        """[Send to agent]: what an edited message says now, once, and exactly as it was when the button was `shown`."""
        answers, rights = self.follow_ups.answers, self.sends.tasks.rights
        if not may(rights.role(said.person), Action.SEND, is_requester=False):
            answers.refuse(tx, said, rights.refuse_filing())
            return
        if found.state is not FILED or not found.edited or not hash_of(found.edited).startswith(shown):
            answers.refuse(tx, said, Refused("refused.edit_not_there", {}, "state"))
            return
        task = self._find(tx, said, TaskId("CT", found.code_task_id or 0))
        if isinstance(task, Refused):
            answers.refuse(tx, said, task)
            return
        text = f"{said.wording.texts.say('intake.edit_for_agent')}\n\n{found.edited}"
        if self._send(tx, said, task, text, answers_question=False):
            tx.suggestions.update(found.id or 0, (FILED,), edited="", told_hash=hash_of(found.edited))

    def _send(self, tx: Transaction, said: Said, task: CodeTask, text: str, *, answers_question: bool = True) -> bool:
        """Passes the words on and says what becomes of them; False when they were refused."""
        answers, message_id = self.follow_ups.answers, getattr(said.event, "message_id", None)
        outcome = self.sends.send(
            tx, task.id or 0, said.person, text, message_id=message_id, answers_question=answers_question
        )
        if isinstance(outcome, Sent):
            self._tell(tx, said, outcome)
        elif outcome.key == "refused.send_failed":
            retry = RetryTask(TaskId("CT", task.id or 0), "…")
            answers.whisper(
                tx,
                said,
                lambda texts: say_doc(
                    texts, outcome.key, ref=task.ref, command=code_span(render(retry, texts.language))
                ),
            )
        else:
            answers.refuse(tx, said, outcome)
        return isinstance(outcome, Sent)

    def stops(self, tx: Transaction, said: Said, command: Stop) -> bool:
        """Ends the run that works on the branch of a code task in review; False where the command means anything else.
        The code task stays in review."""
        task = self._find(tx, said, command.id)
        if isinstance(task, Refused) or task.stage is not Stage.REVIEW or not self.follow_ups.on:
            return False
        runs = runs_on_branch(tx, task)
        if not runs:
            return False
        self.follow_ups.act(tx, said, Stop(TaskId("FU", runs[0].follow_up_id or 0)))
        return True

    def _find(self, tx: Transaction, said: Said, target: Target) -> CodeTask | Refused:
        """The code task, if whoever speaks may see it."""
        tasks, person = self.sends.tasks, said.person
        found = tasks.find(tx, target, said.thread_id, person)
        if isinstance(found, Refused) or may_see(tx, tasks.rights.role(person), person, found, said.event.thread):
            return found
        return unknown(found.id or 0)

    def _tell(self, tx: Transaction, said: Said, sent: Sent) -> None:
        self._mark(tx, said)
        answers, ref, place = self.follow_ups.answers, sent.task.ref, Word("place", {"n": sent.position})
        match sent.how:
            case "now":
                answers.say(tx, said, "send.begun", ref=ref)
            case "turn":
                answers.say(tx, said, "send.queued", ref=ref, place=place)
            case "start":
                answers.say(tx, said, "send.kept", ref=ref, place=place)
            case "answer":
                answers.say(tx, said, "question.passed_on")
            case _:
                assert_never(sent.how)

    def _to_follow_up(self, tx: Transaction, said: Said, number: int, text: str) -> None:
        """A new run in the thread of a follow-up that is over: one that is due at once."""
        answers, found = self.follow_ups.answers, self.follow_ups.shown(tx, said, number)
        if not self.follow_ups.on:
            found = Refused("refused.follow_ups_disabled")
        if isinstance(found, FollowUp) and not _goes_on(found):
            state = Word(f"follow_up.state.{found.state}")
            found = Refused("refused.send_follow_up", {"ref": found.ref, "state": state}, "state")
        if isinstance(found, Refused):
            answers.refuse(tx, said, found)
            return
        place = tx.threads.get(found.thread_id or 0).ref
        wish = Wish(text=text, at=tx.now, person=said.person, place=place, thread_id=found.thread_id, zone=found.zone,
                    agent="", if_missed="run", run_now=True, source="send")  # fmt: skip
        outcome = self.follow_ups.followups.set(tx, wish)
        if isinstance(outcome, Refused):
            answers.refuse(tx, said, outcome)
            return
        self._mark(tx, said)
        answers.say(tx, said, "send.begun", ref=found.ref)

    def _mark(self, tx: Transaction, said: Said) -> None:
        """👀 on the message, where it was one."""
        message_id, thread_id = getattr(said.event, "message_id", None), said.thread_id
        if message_id and thread_id is not None:
            message = MessageRef(thread=said.event.thread, message_id=message_id)
            self.follow_ups.answers.announcer.mark(tx, thread_id, message, "seen", f"{said.key}:seen")


def _goes_on(follow_up: FollowUp) -> bool:
    """Whether its agent can be spoken to again."""
    return follow_up.state in OVER and follow_up.kind is FollowUpKind.AGENT and follow_up.thread_id is not None

"""Answers to the questions of running agents, given in chat: by a button, or by words to the bot in the thread."""

from dataclasses import dataclass

from bot.core.commands import FileTask, NotYet, Parsed, Send
from bot.core.inbound import Command
from bot.core.options import Options
from bot.core.questions import AnswerPress, Question
from bot.core.verbs import ThisThread
from bot.services.questions import Questions
from bot.services.refusals import Refused
from bot.services.said import Answers, Said
from bot.store import Transaction


@dataclass(frozen=True, slots=True)
class ChatQuestions:
    """Holds no state."""

    questions: Questions
    answers: Answers

    def heard(self, tx: Transaction, said: Said, event: Command, parsed: Parsed) -> bool:
        """Whether the words answered the open question of their thread. Commands stay commands."""
        text = _free_text(event, parsed)
        if text is None or not event.in_thread or event.command != "codetask" or event.door not in ("mention", "bang"):
            return False
        return self.answered(tx, said, text)

    def answered(self, tx: Transaction, said: Said, text: str) -> bool:
        """Takes a text as the answer to the open question of its thread; False where none is open."""
        question = tx.questions.open_in(said.thread_id) if said.thread_id is not None else None
        if question is None:
            return False
        self._tell(tx, said, self.questions.answer(tx, said.person, question, text))
        return True

    def press(self, tx: Transaction, said: Said, press: AnswerPress) -> None:
        """Takes a pressed choice as the answer."""
        self._tell(tx, said, self.questions.press(tx, said.person, press))

    def _tell(self, tx: Transaction, said: Said, outcome: Question | Refused) -> None:
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        else:
            self.answers.say(tx, said, "question.passed_on")


def _free_text(event: Command, parsed: Parsed) -> str | None:
    """Words that are no command: a text for the thread's agent, or what would file a code task."""
    match parsed:
        case Send(ThisThread(), text):
            return text
        case NotYet("send"):
            return event.text
        case FileTask(text, options) if options == Options():
            return text
        case _:
            return None

"""Answers to the questions of running agents, given in chat: by a button, or by words to the bot in the thread."""

from dataclasses import dataclass

from bot.core.commands import FileTask, NotYet, Parsed, Send
from bot.core.inbound import Command
from bot.core.options import Options
from bot.core.questions import AnswerPress, Question
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
        if said.thread_id is None or not event.in_thread or event.command != "codetask" or not _is_free(parsed):
            return False
        question = tx.questions.open_in(said.thread_id)
        if question is None:
            return False
        self._tell(tx, said, self.questions.answer(tx, said.person, question, event.text))
        return True

    def press(self, tx: Transaction, said: Said, press: AnswerPress) -> None:
        """Takes a pressed choice as the answer."""
        self._tell(tx, said, self.questions.press(tx, said.person, press))

    def _tell(self, tx: Transaction, said: Said, outcome: Question | Refused) -> None:
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        else:
            self.answers.say(tx, said, "question.passed_on")


def _is_free(parsed: Parsed) -> bool:
    """Words that are no command: a text for the thread's agent, or what would file a code task."""
    match parsed:
        case Send() | NotYet("send"):
            return True
        case FileTask(_, options):
            return options == Options()
        case _:
            return False

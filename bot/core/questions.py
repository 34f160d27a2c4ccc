"""A question that a running agent asks the people in its thread: the entity, its buttons, what is posted."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Field, SQLModel

from bot.core.cards import Button, Doc
from bot.core.hygiene import clean, cut
from bot.core.inbound import Person
from bot.core.quoting import Markdown, escape
from bot.core.task_cards import say_markdown
from bot.core.texts import Texts

QUESTION_MAX: Final = 1_000
CHOICE_MAX: Final = 60
CHOICES_MAX: Final = 4
"""Buttons under a question (product rule 4)."""
ANSWER_MAX: Final = 8_000
ANSWER_WAIT: Final = timedelta(hours=1)
"""How long a person may take; the run's clocks stand still meanwhile (product rule 14)."""
_LABEL_MAX: Final = 30
_VALUE: Final = re.compile(r"codetask:answer:QU-([1-9]\d{0,8})-([1-4])", re.ASCII)


class Question(SQLModel):
    """One question. Open until `answered_at` is set: with an answer, or without one when nobody gave it in time."""

    id: int | None = None
    run_id: int
    thread_id: int
    text: str = Field(max_length=QUESTION_MAX)
    choices: str = ""
    """One per line."""
    answer: str | None = None
    answered_by: str | None = None
    asked_at: datetime
    answered_at: datetime | None = None

    @property
    def offered(self) -> list[str]:
        return self.choices.splitlines()


@dataclass(frozen=True, slots=True)
class AnswerPress:
    """A pressed answer: the question's number and which choice, counted from 1."""

    question: int
    choice: int


def read_answer(value: str) -> AnswerPress | None:
    """What a button's value answers; None when it is no answer."""
    found = _VALUE.fullmatch(value)
    return AnswerPress(int(found[1]), int(found[2])) if found else None


def question_doc(question: Question, subject: str, agent: str, requester: Person | None, texts: Texts) -> Doc:
    """The question as a reply that mentions the requester, with its choices as buttons."""
    asked = say_markdown(texts, "question.asked", agent=agent, ref=subject)
    how = texts.say("question.how_pick" if question.choices else "question.how")
    buttons = tuple(
        Button(
            label=cut(choice, _LABEL_MAX),
            name=texts.say("question.choice_name", choice=cut(choice, CHOICE_MAX), ref=subject),
            value=f"codetask:answer:QU-{question.id}-{number}",
        )
        for number, choice in enumerate(question.offered, 1)
    )
    text = Markdown(f"{asked}\n\n{escape(clean(question.text))}\n\n{how}")
    return Doc(text=text, mention=requester, asks=True, buttons=buttons, topic=subject)


def answered_doc(question: Question, texts: Texts) -> Doc:
    """The quiet line that says who answered what."""
    said = cut(" ".join(clean(question.answer or "").split()), 200)
    return Doc(text=say_markdown(texts, "question.answered", who=question.answered_by or "", answer=said))

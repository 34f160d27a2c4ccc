"""Questions of running agents: asked, answered once, given up."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from bot.core.questions import Question
from storage.models import QuestionRow

if TYPE_CHECKING:
    from storage.transaction import Tx

OPEN = "id = :id AND answered_at IS NULL AND EXISTS (SELECT 1 FROM run r WHERE r.id = run_id AND r.state = 'active')"
OPEN_IN = """thread_id = :thread_id AND answered_at IS NULL
  AND EXISTS (SELECT 1 FROM run r WHERE r.id = run_id AND r.state = 'active')"""


def _entity(row: sa.RowMapping | None) -> Question | None:
    return Question.model_construct(**row) if row is not None else None


class Questions:
    """See `bot.store.QuestionQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def ask(self, run_id: int, thread_id: int, text: str, choices: tuple[str, ...]) -> Question | None:
        values: dict[str, object] = {
            "run_id": run_id,
            "thread_id": thread_id,
            "text": text,
            "choices": "\n".join(choices),
            "asked_at": self._tx.now,
        }
        return _entity(self._tx.insert_row(QuestionRow, values))

    def get(self, question_id: int) -> Question | None:
        return _entity(self._tx.first(QuestionRow, "id = :id", id=question_id))

    def last_of(self, run_id: int) -> Question | None:
        return _entity(self._tx.first(QuestionRow, "run_id = :run_id", "id DESC", run_id=run_id))

    def open_in(self, thread_id: int) -> Question | None:
        return _entity(self._tx.first(QuestionRow, OPEN_IN, "id DESC", thread_id=thread_id))

    def answer(self, question_id: int, answer: str | None, by: str | None) -> Question | None:
        values = {"answer": answer, "answered_by": by, "answered_at": self._tx.now}
        answered = _entity(self._tx.changed(QuestionRow, values, OPEN, id=question_id))
        if answered is not None:
            self._tx.wake("task")
        return answered

"""Words for an agent that has not started: kept with its code task, and given to it after the description, in order."""

from typing import Final

from bot.core.tasks import CodeTask, Stage
from bot.store import Transaction

KEPT_MAX: Final = 40_000
"""Characters of all that is kept for one start (ours)."""
BETWEEN: Final = "\n\n---\n\n"
QUEUED: Final = frozenset({Stage.QUEUED})


def keep_words(tx: Transaction, task_id: int, who: str, text: str) -> tuple[CodeTask, int] | None:
    """Adds someone's words. The code task, and the place of the words from 1: 0 when there is no room for them. None
    when the code task is not queued."""
    task = tx.tasks.update(task_id, QUEUED)  # locks the row: two senders follow each other
    if task is None:
        return None
    earlier = task.instruction.split(BETWEEN) if task.instruction else []
    words = BETWEEN.join([*earlier, f"{who}: {text}"])
    if len(words) > KEPT_MAX:
        return task, 0
    return tx.tasks.update(task_id, QUEUED, instruction=words) or task, len(earlier) + 1

"""Which code tasks a person may mean while they type an id."""

import re
from typing import Final

from bot.core.hygiene import clean, cut
from bot.core.inbound import Person, ThreadRef
from bot.core.progress import View
from bot.core.task_cards import Mask, title_text
from bot.core.tasks import CodeTask
from bot.core.texts import Texts
from bot.ports import Choice
from bot.services.languages import WHOLE_WORKSPACE, Languages
from bot.store import TaskFilter, Transaction

OFFERED: Final = 25
RECENT: Final = 200
"""How many of the newest code tasks are looked through (ours); older ones are found by number or words."""
LABEL_MAX: Final = 100
"""Characters of a label: Discord shows no more."""
_NUMBER: Final = re.compile(r"(?:ct-|#)?([1-9]\d{0,17})", re.ASCII)


def offer_tasks(tx: Transaction, text: str, person: Person, languages: Languages, mask: Mask) -> list[Choice]:
    """At most 25 code tasks that match the text, the most recent first, in the person's language."""
    everywhere = ThreadRef(platform=person.platform, workspace_id=person.workspace_id, channel_id=WHOLE_WORKSPACE)
    texts = languages.personal(tx, person, everywhere).texts
    return [choice_of(task, texts, mask) for task in matching_tasks(tx, text)]


def matching_tasks(tx: Transaction, text: str) -> list[CodeTask]:
    """At most 25 code tasks whose number, title or name the text is part of, the most recent first."""
    wanted = " ".join(clean(text).split()).lower()
    if not wanted:
        return list(tx.tasks.list(TaskFilter(limit=OFFERED)))
    number = _NUMBER.fullmatch(wanted)
    exact = tx.tasks.get(int(number[1])) if number else None
    found = {task.id: task for task in (exact,) if task is not None}
    for which in (TaskFilter(limit=RECENT), TaskFilter(text=wanted, limit=RECENT)):
        found |= {task.id: task for task in tx.tasks.list(which) if _matches(task, wanted, number)}
        if len(found) >= OFFERED:
            break
    return sorted(found.values(), key=lambda task: -(task.id or 0))[:OFFERED]


def _matches(task: CodeTask, wanted: str, number: re.Match[str] | None) -> bool:
    by_number = str(task.id).startswith(number[1]) if number else task.ref.lower().startswith(wanted)
    return by_number or wanted in task.title.lower() or wanted in task.name.lower()


def choice_of(task: CodeTask, texts: Texts, mask: Mask) -> Choice:
    """`CT-12 Title (Review)`, the title shortened so that the stage stays readable."""
    shown = texts.say(f"shown.{View(task, None, texts, task.updated_at).shown}")
    rest = texts.say("form.choice", ref=task.ref, title="", shown=shown)
    title = cut(title_text(task, mask), LABEL_MAX - len(rest))
    return Choice(label=texts.say("form.choice", ref=task.ref, title=title, shown=shown), value=task.ref)

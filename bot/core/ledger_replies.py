"""What is said of code tasks that several people asked for: to their threads, after filing by hand, and in `top`.

Every text that somebody wrote is escaped and masked; every state is rendered from the rows.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from bot.core import buttons
from bot.core.buttons import same_value, value_of
from bot.core.cards import Button, Doc
from bot.core.inbound import Person
from bot.core.progress import reason_text, shown_stage
from bot.core.quoting import Markdown, code_span
from bot.core.redact import mask_formats
from bot.core.suggestions import Suggestion
from bot.core.task_cards import Mask, person_name, plain, pull_request_link, say_markdown, title_text
from bot.core.tasks import CodeTask, Stage
from bot.core.texts import Texts, Word

TOP_PAGE: Final = 10


def looks_same_doc(task: CodeTask, other: CodeTask, texts: Texts, mask: Mask = mask_formats) -> Doc:
    """Said once after filing by hand: it is filed, and looks like another one. [Same as CT-12]."""
    text = say_markdown(texts, "ledger.looks_same", ref=task.ref, other=other.ref, title=title_text(other, mask))
    button = Button(
        label=texts.say("button.same", ref=other.ref),
        name=texts.say("button_name.same", one=task.ref, other=other.ref),
        value=same_value(task.id or 0, other.id or 0),
    )
    return Doc(text=text, buttons=(button,), topic=_topic(task, mask))


def planned_doc(task: CodeTask, texts: Texts, different: str = "") -> Doc:
    """Said in a thread that joins a code task. `different` is the value of [This is different], without one no
    button."""
    text = texts.say("ledger.planned", ref=task.ref, stage=Word(f"stage.{task.stage.value}"))
    return Doc(text=text, buttons=_different(task, different, texts))


def apart_doc(task: CodeTask, texts: Texts) -> Doc:
    """The same line after [This is different]."""
    return Doc(text=texts.say("ledger.apart", ref=task.ref))


def news_doc(
    task: CodeTask,
    asker: Person,
    texts: Texts,
    mask: Mask = mask_formats,
    *,
    actor: Person | None = None,
    different: str = "",
) -> Doc | None:
    """What a subscribed thread is told of the stage its code task has come to; None for stages nobody is told of.
    Mentions the asker. `actor` is who cancelled it, `different` the value of [This is different]."""
    match task.stage:
        case Stage.REVIEW | Stage.MERGED:
            key = "in_review" if task.stage is Stage.REVIEW else "merged"
            text, shown = _finished(key, task, texts), buttons.open_pull_request(task, texts)
        case Stage.FAILED if task.is_cancelled:
            who = person_name(task.cancelled_by or "" if actor is None else actor.name or actor.id)
            key = "ledger.cancelled" if who else "ledger.cancelled_plain"
            text = say_markdown(texts, key, ref=task.ref, **({"who": who} if who else {}))
            shown = _different(task, different, texts)
        case Stage.FAILED:
            why = plain(reason_text(task, None, texts), mask)
            text, shown = say_markdown(texts, "ledger.failed", ref=task.ref, why=why), ()
        case _:
            return None
    return Doc(text=text, mention=asker, buttons=shown, topic=_topic(task, mask))


def _finished(key: str, task: CodeTask, texts: Texts) -> Markdown:
    if task.pr_number is not None:
        return say_markdown(texts, f"ledger.{key}", link=pull_request_link(task), ref=task.ref)
    return say_markdown(texts, f"ledger.{key}_branch", branch=code_span(task.branch or task.ref), ref=task.ref)


def _different(task: CodeTask, value: str, texts: Texts) -> tuple[Button, ...]:
    if not value:
        return ()
    name = texts.say("button_name.different", ref=value.rpartition(":")[2] or task.ref)
    return (Button(label=texts.say("button.different"), name=name, value=value),)


def different_value(code_task_id: int | None, suggestion_id: int | None) -> str:
    """The value of [This is different] of a thread that joined by its code task or by its suggestion; empty where it
    joined by neither."""
    if suggestion_id is not None:
        return buttons.suggestion_value("different", suggestion_id)
    return value_of("different", code_task_id) if code_task_id is not None else ""


def _topic(task: CodeTask, mask: Mask) -> str:
    return f"{task.ref} {title_text(task, mask)}"


# --- top --------------------------------------------------------------------------------------------------------------


def top_doc(
    wanted: Sequence[tuple[CodeTask, int]],
    texts: Texts,
    now: datetime,
    mask: Mask = mask_formats,
    suggestions: Sequence[Suggestion] = (),
) -> Doc:
    """Open code tasks with how many people asked for each, most first, then open suggestions; at most 10 lines."""
    lines = [f"- {top_line(task, people, texts, mask)}" for task, people in wanted]
    lines += [f"- {_suggested(suggestion, texts, mask)}" for suggestion in suggestions]
    if not lines:
        return Doc(text=texts.say("ledger.top_empty"))
    return Doc(text="\n".join([f"**{texts.say('ledger.top_title')}**", "", *lines[:TOP_PAGE]]))


def top_line(task: CodeTask, people: int, texts: Texts, mask: Mask = mask_formats) -> Markdown:
    """`3 people · CT-12 Export contacts as CSV · Running`."""
    shown = shown_stage(task, texts)
    return _top_line(texts, people, task.ref, title_text(task, mask), shown)


def _suggested(suggestion: Suggestion, texts: Texts, mask: Mask) -> Markdown:
    return _top_line(texts, 1, suggestion.ref, plain(suggestion.title, mask), texts.say("ledger.top_suggested"))


def _top_line(texts: Texts, people: int, ref: str, title: str, shown: str) -> Markdown:
    counted = texts.say("ledger.top_people", n=people)
    return say_markdown(texts, "ledger.top_line", people=counted, ref=ref, title=title, shown=shown)

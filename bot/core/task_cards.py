"""The living card of a code task, and the small pieces its replies are made of too.

Of a `Card`, the title, steps, buttons and summary are plain text; meta, body and foot are markdown in which every
foreign text is escaped or code. `mask` is `Redactor.mask`; without one, tokens are still masked by their formats.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from bot.core.buttons import task_buttons
from bot.core.cards import Card, Colour, Doc
from bot.core.hygiene import clean, cut
from bot.core.inbound import Person
from bot.core.moments import clock
from bot.core.progress import Shown, View, failed_step, first_line, reason_text, step_label, steps_of, stored_error
from bot.core.quoting import Markdown, code_span, escape, fence, link
from bot.core.redact import mask_formats
from bot.core.runs import Run
from bot.core.tasks import CodeTask, FailureReason
from bot.core.texts import Texts

Mask = Callable[[str], str]

TAIL_LINES: Final = 6
TAIL_LINE_MAX: Final = 200
BODY_MAX: Final = 300
LINE_MAX: Final = 200
NO_SANDBOX: Final = "none"

_COLOURS: Final[dict[Shown, Colour]] = {
    "queued": "blue",
    "running": "amber",
    "testing": "amber",
    "needs_you": "amber",
    "review": "green",
    "merged": "green",
    "failed": "red",
    "cancelled": "grey",
}


def task_card(
    task: CodeTask,
    *,
    run: Run | None,
    texts: Texts,
    now: datetime,
    position_in_queue: int | None = None,
    merged_by: str = "",
    no_worker: bool = False,
    others: int = 0,
    sends: bool = True,
    mask: Mask = mask_formats,
) -> Card:
    """The card as it should look now. `run` is the latest attempt, `position_in_queue` counts from 1.

    `no_worker`: nobody is there to do it, so the card says what an admin can do; `others` besides its requester asked
    for it, which the question before a cancel says; without `sends` nobody is offered to ask for changes. Rendering the
    same row twice gives the same card, except for the wait of a retry.
    """
    view = View(task, run, texts, now, position_in_queue, merged_by)
    title, steps = _title(view, mask), steps_of(view)
    current = next((step.label for step in steps if step.state == "active"), "")
    return Card(
        key=task.ref,
        title=title,
        summary=_summary(view, current, mask),
        meta=_meta(view),
        steps=steps,
        body=_body(view, no_worker, mask),
        buttons=task_buttons(task, texts, others, sends=sends),
        foot=_foot(view),
        colour=_COLOURS[view.shown],
    )


def plain(text: str, mask: Mask, longest: int = LINE_MAX) -> str:
    """One masked, clean line of foreign text, as plain text."""
    return cut(" ".join(clean(mask(clean(text))).split()), longest)


def tail(text: str | None, mask: Mask) -> Markdown:
    """The last lines of an output as a code block: masked, at most 6 lines of 200 characters; empty for none."""
    lines = [line.rstrip() for line in clean(mask(clean(text or ""))).splitlines() if line.strip()]
    shown = "\n".join(cut(line, TAIL_LINE_MAX) for line in lines[-TAIL_LINES:])
    return fence(shown) if shown else Markdown("")


def person_name(name: str, fallback: str = "") -> str:
    """`@ana`, as plain text: names, never mentions."""
    shown = " ".join(clean(name or fallback).split()).lstrip("@")
    return f"@{cut(shown, 80)}" if shown else ""


def requester_of(task: CodeTask) -> Person | None:
    """The requester as someone who can be mentioned, or None when they asked from no chat platform."""
    if not task.requester_platform or not task.requester_id:
        return None
    return Person(
        platform=task.requester_platform,
        workspace_id=task.requester_workspace,
        id=task.requester_id,
        name=person_name(task.requester_name).removeprefix("@"),
    )


def pull_request_label(task: CodeTask) -> str:
    """`acme/web#87`, from the address of the pull request where it has that form, else the repository's alias."""
    parts = urlsplit(task.pr_url or "").path.strip("/").split("/")
    owner_and_name = "/".join(parts[:2]) if len(parts) == 4 and parts[2] == "pull" else task.repo
    return f"{owner_and_name}#{task.pr_number}"


def pull_request_link(task: CodeTask) -> Markdown:
    """The label as a link, or only the label when there is no web address."""
    return link(pull_request_label(task), task.pr_url or "")


def cost_text(usd: float | None, texts: Texts) -> str:
    """`$0.0123`, or a dash when unknown: never `$0.0000` for "I don't know"."""
    return texts.say("card.unknown_cost") if usd is None else f"${usd:.4f}"


def tests_text(task: CodeTask, texts: Texts, mask: Mask) -> str:
    """The outcome of the tests in a few words: the test summary, else passed, failed, no tests."""
    if task.tests_passed is None:
        return texts.say("tests.none")
    if task.test_summary:
        return plain(task.test_summary, mask)
    if task.tests_passed:
        return texts.say("tests.passed")
    if task.test_exit_code is None:
        return texts.say("tests.failed")
    return texts.say("tests.failed_exit", code=task.test_exit_code)


def change_text(task: CodeTask, texts: Texts) -> str:
    """`+120 −14`, empty while unknown."""
    if task.insertions is None or task.deletions is None:
        return ""
    return texts.say("card.changed", insertions=task.insertions, deletions=task.deletions)


def title_text(task: CodeTask, mask: Mask = mask_formats) -> str:
    return plain(task.title, mask)


def say_doc(texts: Texts, key: str, /, **values: object) -> Doc:
    """A reply made of one text. Values are escaped unless they are `Markdown` (`code_span`, `link`, ...)."""
    return Doc(text=say_markdown(texts, key, **values))


def say_markdown(texts: Texts, key: str, /, **values: object) -> Markdown:
    """One text as markdown; strings, also in a tuple, are escaped unless they are `Markdown` already."""
    return Markdown(texts.say(key, **{name: _safe(value) for name, value in values.items()}))


def _safe(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_safe(part) for part in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return escape(value) if isinstance(value, str) and not isinstance(value, Markdown) else value


def _mark(view: View) -> str:
    """What the title adds to the reference, where the steps alone could be missed."""
    match view.shown:
        case "failed" | "cancelled" | "needs_you" as shown:
            return view.texts.say(f"shown.{shown}")
        case "review" if view.task.tests_passed is False:
            return view.texts.say("card.tests_failing")
        case _:
            return ""


def _title(view: View, mask: Mask) -> str:
    title, mark = f"{view.task.ref} {title_text(view.task, mask)}", _mark(view)
    return view.texts.say("card.title_marked", title=title, mark=mark) if mark else title


def _summary(view: View, step: str, mask: Mask) -> str:
    title, shown = title_text(view.task, mask), view.texts.say(f"shown.{view.shown}")
    if step and step != shown:
        return view.texts.say("card.summary_step", ref=view.task.ref, shown=shown, step=step, title=title)
    return view.texts.say("card.summary", ref=view.task.ref, shown=shown, title=title)


def _meta(view: View) -> str:
    task, texts = view.task, view.texts
    parts = [
        escape(person_name(task.requester_name, task.requester_id)),
        code_span(task.repo),
        texts.say("card.filed", time=clock(task.created_at, view.now, texts)),
        code_span(task.branch) if task.branch and task.pr_number is None else "",
        pull_request_link(task) if task.pr_number is not None else "",
        texts.say("card.draft") if task.pr_draft and view.shown == "review" else "",
        _ending(view),
    ]
    return " · ".join(part for part in parts if part)


def _ending(view: View) -> str:
    task, texts = view.task, view.texts
    time = clock(task.finished_at or task.updated_at, view.now, texts)
    match view.shown:
        case "merged":
            who = person_name(view.merged_by)
            said = say_markdown(texts, "card.merged_by", time=time, who=who) if who else ""
            return said or texts.say("card.merged", time=time)
        case "cancelled":
            who = person_name(task.cancelled_by or "")
            said = say_markdown(texts, "card.cancelled_by", time=time, who=who) if who else ""
            return said or texts.say("card.cancelled", time=time)
        case "failed":
            return texts.say("card.failed_at", step=step_label(failed_step(task), texts))
        case _:
            return ""


def _body(view: View, no_worker: bool, mask: Mask) -> str:
    task, texts = view.task, view.texts
    match view.shown:
        case "queued":
            return _queued_body(view, no_worker, mask)
        case "running" | "needs_you":
            return escape(plain(view.run.message, mask)) if view.run and view.run.message else ""
        case "review":
            return _review_body(view, mask)
        case "failed":
            return _failed_body(view, mask)
        case "cancelled":
            branch = code_span(task.branch or "") if task.pushed_sha else ""
            return say_markdown(texts, "card.branch_kept", branch=branch) if branch else ""
        case "testing" | "merged":
            return ""


def _queued_body(view: View, no_worker: bool, mask: Mask) -> str:
    task, texts = view.task, view.texts
    lines: list[str] = []
    if no_worker:
        lines.append(say_markdown(texts, "card.no_worker", command=code_span("codetask worker")))
    if task.attempt > 0 and first_line(task.error):
        lines.append(say_markdown(texts, "card.last_error", error=plain(stored_error(task.error, texts), mask)))
    elif task.attempt == 0 and clean(task.description).strip() != task.title:
        lines.append(escape(cut(clean(mask(clean(task.description))).strip(), BODY_MAX)))
    return "\n\n".join(lines)


def _review_body(view: View, mask: Mask) -> str:
    task, texts = view.task, view.texts
    facts = " · ".join(part for part in (change_text(task, texts), escape(tests_text(task, texts, mask))) if part)
    lines = [facts]
    if task.pr_number is None:
        lines.append(texts.say("card.no_pull_request" if task.pushed_sha or task.branch else "card.no_push"))
    if task.tests_passed is False:
        lines.append(tail(task.test_tail, mask))
    return "\n\n".join(line for line in lines if line)


def _failed_body(view: View, mask: Mask) -> str:
    task = view.task
    reason = plain(reason_text(task, view.run, view.texts), mask)
    output = task.test_tail if task.failure_reason is FailureReason.TESTS_FAILED else task.error
    first, _, rest = (output or "").strip().partition("\n")
    said_already = reason.endswith(plain(stored_error(first, view.texts), mask))
    more = tail(rest if said_already else output, mask)
    said = say_markdown(view.texts, "join.stop", text=reason) if reason else ""
    return "\n\n".join(part for part in (said, more) if part)


def _foot(view: View) -> str:
    task, run, texts = view.task, view.run, view.texts
    if run is None or run.started_at is None:
        return task.ref
    parts = [f"{task.ref}#{run.attempt}", _worker(run), cost_text(task.cost_usd, texts)]
    if run.sandbox == NO_SANDBOX:
        parts.append(texts.say("card.no_sandbox"))
    return " · ".join(part for part in parts if part)


def _worker(run: Run) -> str:
    return escape(cut(clean(run.lease_owner or run.host or ""), 60))

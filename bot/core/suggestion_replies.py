"""The line of a suggestion in every state, the list of suggestions, what a channel is told of intake (UX 1, 5).

The line is one message that is edited; it is always rendered from the row. While it asks for a press it shows exactly
the text that the agent would be given, as code, so that nothing in it can look like anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from bot.core import buttons
from bot.core.buttons import SuggestionVerb, suggestion_value
from bot.core.cards import Button, ButtonStyle, Doc
from bot.core.hygiene import clean, cut
from bot.core.intake.guard import guard_text
from bot.core.intake.kinds import Kind
from bot.core.moments import ago, clock
from bot.core.progress import shown_stage
from bot.core.quoting import Markdown, code_span, fence
from bot.core.redact import mask_formats
from bot.core.suggestions import HASH_SHOWN, Mode, SkipReason, Suggestion, SuggestionState, hash_of
from bot.core.task_cards import Mask, person_name, plain, say_markdown, title_text
from bot.core.tasks import CodeTask, Stage
from bot.core.texts import Texts, Word
from bot.core.verbs import verb_word

TEXT_SHOWN: Final = 2_400
"""Characters of the text that the line shows: with its buttons it stays one message on every platform (Slack takes
3,000 in a section, Discord 4,000 in all). The rest is behind `show RQ-3`."""
LIST_PAGE: Final = 10
LISTED_BUTTONS: Final = 2
"""How many suggestions of a list have buttons, two each: more would hide the list (ours)."""
SIMILAR_SHOWN: Final = 3
ENDS: Final = " .!?…。！？"
"""What ends a sentence goes off a title that stands inside another."""
OUTSIDE: Final = "outside"
"""The reason, besides those of the guard, for which an admin is asked: its author is no member."""
REFUSED: Final = "refused"
"""`Suggestion.reason` of one that an admin did not allow. Its state is expired: that is no word on what it is."""


@dataclass(frozen=True, slots=True)
class Line:
    """A suggestion and all that its line says besides.

    `task` is the code task it became or joined, `similar` those that it may be the same as, likeliest first. `asks`
    are keys under `guard`, and `OUTSIDE`: why an admin has to allow it, none when a filer may file it. `for_filers`:
    its author may not file. `decided_by` is a name, `starts_at` when the code task starts that can still be undone.
    """

    suggestion: Suggestion
    task: CodeTask | None = None
    similar: Sequence[CodeTask] = ()
    asks: tuple[str, ...] = ()
    for_filers: bool = False
    decided_by: str = ""
    starts_at: datetime | None = None


def line_doc(line: Line, texts: Texts, now: datetime, mask: Mask = mask_formats, *, whole: bool = False) -> Doc:
    """The line as it should look now. `whole`: with all of a long text, for one person who asks for it."""
    suggestion = line.suggestion
    topic = f"{suggestion.ref} {plain(suggestion.title, mask)}".rstrip()
    match suggestion.state:
        case SuggestionState.OPEN:
            return Doc(text=_open_text(line, texts, mask, whole), buttons=_open_buttons(line, texts), topic=topic)
        case SuggestionState.FILED:
            return _filed(line, texts, now, topic)
        case SuggestionState.SAME:
            return _same(line, texts, topic)
        case SuggestionState.DISMISSED:
            text = _dismissed_text(line, texts)
        case SuggestionState.EXPIRED:
            text = _expired_text(line, texts)
        case SuggestionState.REMOVED:
            text = texts.say("suggestion.removed")
        case SuggestionState.SKIPPED if suggestion.reason == SkipReason.TURNED_OFF:
            text = texts.say("suggestion.turned_off")
        case SuggestionState.SKIPPED | SuggestionState.WAITING:
            text = texts.say("suggestion.no_longer")
        case _:
            assert_never(suggestion.state)
    return Doc(text=text, topic=topic)


# --- Open -------------------------------------------------------------------------------------------------------------


def _open_text(line: Line, texts: Texts, mask: Mask, whole: bool) -> str:
    suggestion = line.suggestion
    key = "suggestion.bug" if suggestion.kind is Kind.BUG_REPORT else "suggestion.feature"
    title = plain(suggestion.title, mask)
    notes = [say_markdown(texts, key, title=title.rstrip(ENDS) or title)]
    notes += [_why(reason, texts) for reason in line.asks]
    if line.asks:
        notes.append(texts.say("suggestion.admin"))
    elif line.for_filers:
        notes.append(texts.say("suggestion.for_filers"))
    parts = [texts.sentences(notes), _exactly(suggestion, title, texts, mask, whole), *_warnings(line, texts, mask)]
    return "\n\n".join(part for part in parts if part)


def _why(reason: str, texts: Texts) -> str:
    if reason == OUTSIDE:
        return texts.say("suggestion.outside")
    return texts.say(guard_text(reason)) if guard_text(reason) in texts.known else ""


def _exactly(suggestion: Suggestion, title: str, texts: Texts, mask: Mask, whole: bool) -> str:
    """The text that the agent would be given, unless the title says all of it."""
    text = mask(clean(suggestion.text)).strip()
    if " ".join(text.split()) == title:
        return ""
    shown = text if whole else cut(text, TEXT_SHOWN)
    parts = [texts.say("suggestion.exactly"), fence(shown)]
    if shown != text:
        command = code_span(f"{verb_word('show', texts.language)} {suggestion.ref}")
        parts.append(say_markdown(texts, "suggestion.cut", command=command))
    return "\n".join(parts)


def _warnings(line: Line, texts: Texts, mask: Mask) -> list[str]:
    suggestion, said = line.suggestion, list[str]()
    if suggestion.hidden:
        said.append(texts.say("suggestion.hidden", n=suggestion.hidden))
    if suggestion.question:
        said.append(say_markdown(texts, "suggestion.question", question=plain(suggestion.question, mask)))
    if line.similar:
        key = "suggestion.likely" if suggestion.likely_same else "suggestion.similar"
        listed = tuple(_task_in_list(task, texts, mask) for task in line.similar[:SIMILAR_SHOWN])
        said.append(say_markdown(texts, key, tasks=Markdown(texts.listed(listed))))
    return said


def _task_in_list(task: CodeTask, texts: Texts, mask: Mask) -> Markdown:
    shown = shown_stage(task, texts)
    return say_markdown(texts, "suggestion.task", ref=task.ref, title=title_text(task, mask), shown=shown)


def _open_buttons(line: Line, texts: Texts) -> tuple[Button, ...]:
    suggestion = line.suggestion
    shown = suggestion.text_hash[:HASH_SHOWN]
    if line.asks:
        return (
            _button("allow", suggestion, texts, shown, style="primary"),
            _button("deny", suggestion, texts, style="danger"),
        )
    same = (_same_as(suggestion, line.similar[0], texts),) if line.similar else ()
    return (
        _button("file", suggestion, texts, shown, style="primary"),
        _button("edit", suggestion, texts),
        *same,
        _button("not_request", suggestion, texts),
        _button("mute", suggestion, texts),
    )


def _same_as(suggestion: Suggestion, task: CodeTask, texts: Texts) -> Button:
    return Button(
        label=texts.say("button.same", ref=task.ref),
        name=texts.say("button_name.same", one=suggestion.ref, other=task.ref),
        value=suggestion_value("same", suggestion.id or 0, task.id or 0),
    )


def pass_on(suggestion: Suggestion, texts: Texts) -> Button:
    """[Send to agent], for exactly the text that the message has since its edit."""
    return Button(
        label=texts.say("button.pass_on"),
        name=texts.say("button_name.pass_on", ref=f"CT-{suggestion.code_task_id}"),
        value=suggestion_value("pass_on", suggestion.id or 0, hash_of(suggestion.edited)[:HASH_SHOWN]),
    )


_LABELS: Final[dict[SuggestionVerb, str]] = {"file": "file_suggestion", "deny": "refuse"}


def _button(
    verb: SuggestionVerb, suggestion: Suggestion, texts: Texts, argument: str = "", *, style: ButtonStyle = "default"
) -> Button:
    return Button(
        label=texts.say(f"button.{_LABELS.get(verb, verb)}"),
        name=texts.say(f"button_name.{'file_suggestion' if verb == 'file' else verb}", ref=suggestion.ref),
        value=suggestion_value(verb, suggestion.id or 0, argument),
        style=style,
    )


# --- Decided ----------------------------------------------------------------------------------------------------------


def _filed(line: Line, texts: Texts, now: datetime, topic: str) -> Doc:
    suggestion, task = line.suggestion, line.task
    if task is None:
        return Doc(text=texts.say("reply.filed", ref=f"CT-{suggestion.code_task_id}"), topic=topic)
    if line.starts_at is not None:
        text = texts.say("suggestion.auto_filed", ref=task.ref, time=clock(line.starts_at, now, texts))
        return Doc(text=text, buttons=(_of_task("undo", task, texts), _of_task("start", task, texts)), topic=topic)
    text = texts.say("suggestion.filed", ref=task.ref, stage=_stage(task))
    no_request = _button("not_request", suggestion, texts)
    match task.stage:
        case Stage.MERGED:
            offered = ()
        case Stage.FAILED:
            offered = (no_request,)
        case _:
            offered = (buttons.cancel(task, texts), no_request)
    return Doc(text=text, buttons=offered, topic=topic)


def _stage(task: CodeTask) -> Word:
    return Word("stage.cancelled" if task.is_cancelled else f"stage.{task.stage.value}")


def _of_task(verb: buttons.ButtonVerb, task: CodeTask, texts: Texts) -> Button:
    return Button(
        label=texts.say(f"button.{verb}"),
        name=texts.say(f"button_name.{verb}", ref=task.ref),
        value=buttons.value_of(verb, task.id or 0),
    )


def _same(line: Line, texts: Texts, topic: str) -> Doc:
    suggestion, task = line.suggestion, line.task
    ref = f"CT-{suggestion.code_task_id}"
    if task is None:
        return Doc(text=texts.say("reply.already_filed", ref=ref), topic=topic)
    text = texts.say("suggestion.same", ref=ref, stage=_stage(task))
    return Doc(text=text, buttons=(_button("different", suggestion, texts),), topic=topic)


def _expired_text(line: Line, texts: Texts) -> str:
    if line.suggestion.reason == REFUSED:
        return say_markdown(texts, "suggestion.denied", who=person_name(line.decided_by, "admin"))
    return texts.say("suggestion.expired")


def _dismissed_text(line: Line, texts: Texts) -> str:
    suggestion = line.suggestion
    if suggestion.code_task_id is not None:
        return texts.say("suggestion.undone", ref=f"CT-{suggestion.code_task_id}")
    return texts.say("suggestion.dismissed")


# --- Lists ------------------------------------------------------------------------------------------------------------


def list_doc(lines: Sequence[Line], texts: Texts, now: datetime, mask: Mask = mask_formats) -> Doc:
    """Open suggestions, one line each, at most 10, with [File as code task] [Not a request] where they are few."""
    if not lines:
        return Doc(text=texts.say("suggestions.empty"))
    shown = [f"- {list_line(line.suggestion, texts, now, mask)}" for line in lines[:LIST_PAGE]]
    if len(lines) > LIST_PAGE:
        command = code_span("codetask suggestion list")
        shown.append("\n" + say_markdown(texts, "list.more", n=len(lines) - LIST_PAGE, command=command))
    return Doc(
        text="\n".join([f"**{texts.say('suggestions.title')}**", "", *shown]),
        buttons=tuple(button for line in lines[:LISTED_BUTTONS] for button in _listed_buttons(line, texts)),
    )


def list_line(suggestion: Suggestion, texts: Texts, now: datetime, mask: Mask = mask_formats) -> Markdown:
    """`RQ-3 CSV export on contacts · @bo · 2h ago`."""
    who = person_name(suggestion.author_name, suggestion.author_id)
    age, title = ago(suggestion.created_at, now, texts), plain(suggestion.title, mask)
    return say_markdown(texts, "suggestions.line", ref=suggestion.ref, title=title, who=who, age=age)


def _listed_buttons(line: Line, texts: Texts) -> tuple[Button, ...]:
    """Two buttons whose labels say which suggestion they are for."""
    first, *others = _open_buttons(line, texts)
    second = next(button for button in others if button.value.startswith(("codetask:not_request:", "codetask:deny:")))
    return tuple(button.model_copy(update={"label": button.name, "style": "default"}) for button in (first, second))


# --- What a channel is told -------------------------------------------------------------------------------------------


def intake_on_doc(mode: Mode, judge: str, texts: Texts) -> Doc:
    """Posted once when intake is switched on in a channel, so that nobody is surprised."""
    words = {"mode": Word(f"intake.mode_{mode.value}"), "judge": Word(f"intake.judge_{judge}")}
    return Doc(text=say_markdown(texts, "intake.on", **words, command=_settings(Mode.OFF, texts)))


def paused_doc(texts: Texts) -> Doc:
    """Three in a row were no requests."""
    return Doc(text=say_markdown(texts, "intake.paused", command=_settings(Mode.SUGGEST, texts)))


def muted_doc(by: str, texts: Texts) -> Doc:
    """An admin has pressed [Mute here]."""
    command = _settings(Mode.SUGGEST, texts)
    return Doc(text=say_markdown(texts, "intake.muted", who=person_name(by), command=command))


def _settings(mode: Mode, texts: Texts) -> Markdown:
    return code_span(f"{verb_word('settings', texts.language)} intake {mode.value}")

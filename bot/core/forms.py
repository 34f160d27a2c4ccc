"""The forms that buttons open, before any platform gives them its shape; and what a sent form asks for.

A form has the key of its button (`codetask:<verb>:<id>`), so nothing is kept between opening and sending it: rights
and stage are checked when it is sent. A form's texts stand under `form.<verb>`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from bot.core.buttons import (
    ButtonAction,
    ButtonVerb,
    FollowUpAction,
    SuggestionAction,
    WishAction,
    parse_button,
    value_of,
)
from bot.core.hygiene import clean
from bot.core.texts import Texts
from bot.core.verbs import ChangeFollowUp, EditText, RetryTask, Send, SetFollowUp, TaskId

NOTE_MAX: Final = 2_000
"""Characters of a note (ours): Slack takes 3,000 in a field, Discord 4,000."""
NOTE: Final = "note"
WHEN: Final = "when"
WHEN_MAX: Final = 200
TEXT: Final = "text"
TEXT_MAX: Final = 2_000
EDIT_MAX: Final = 3_000
"""Characters of a suggestion's text in its form: what Slack takes in a field. A longer one is typed: `edit RQ-3 …`."""


@dataclass(frozen=True, slots=True)
class Field:
    """One text field. `label` has at most 45 characters and `hint` at most 100, as Discord shows no more.

    `instant`: it asks for a time; a platform with a picker shows that beside it and sends what was picked as seconds
    since 1970. `initial` is what it holds when it opens."""

    name: str
    label: str
    hint: str
    multiline: bool
    max_length: int
    required: bool
    instant: bool = False
    initial: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """A form: `title` and `submit` have at most 24 characters, as Slack shows no more. All of it is plain text."""

    key: str
    title: str
    submit: str
    fields: tuple[Field, ...]
    prefilled: bool = False
    """Its fields open with what is known by now: the platform asks `Inbox.choices("form", key, ...)`, and `filled` puts
    it in."""


@dataclass(frozen=True, slots=True)
class UnfitForm:
    """A form that cannot be taken: a required field is `empty`, or one is `too_long` (`length` characters)."""

    why: Literal["empty", "too_long"]
    length: int = 0


@dataclass(frozen=True, slots=True)
class LaterForm:
    """The form under [Other…]: a follow-up for the message that the stored command with this number was given on. No
    text: what the message says."""

    number: int
    wish: SetFollowUp


_NOTES: Final[frozenset[ButtonVerb]] = frozenset({"retry_note", "ask_changes"})
"""Buttons whose form asks for one note."""


def form_of(value: str, texts: Texts) -> Form | None:
    """The form that the button with this value opens, in the language of `texts`; None when it opens none."""
    match parse_button(value):
        case ButtonAction(verb, number) if verb in _NOTES:
            note = _field(NOTE, verb, NOTE_MAX, texts, multiline=True)
            return _form(value_of(verb, number), verb, (note,), texts, ref=f"CT-{number}")
        case FollowUpAction("change", number):
            when = _field(WHEN, "when", WHEN_MAX, texts, instant=True)
            return _form(value, "change", (when,), texts, ref=f"FU-{number}")
        case SuggestionAction("edit", number):
            text = _field(TEXT, "edit", EDIT_MAX, texts, multiline=True)
            return replace(_form(value, "edit", (text,), texts, ref=f"RQ-{number}"), prefilled=True)
        case WishAction("later"):
            when = _field(WHEN, "when", WHEN_MAX, texts, instant=True)
            text = _field(TEXT, "what", TEXT_MAX, texts, multiline=True, required=False)
            return _form(value, "later", (when, text), texts)
        case _:
            return None


def _form(key: str, name: str, fields: tuple[Field, ...], texts: Texts, **values: object) -> Form:
    title = texts.say(f"form.{name}.title", **values)
    return Form(key=key, title=title, submit=texts.say(f"form.{name}.submit"), fields=fields)


def _field(
    name: str,
    key: str,
    longest: int,
    texts: Texts,
    *,
    multiline: bool = False,
    required: bool = True,
    instant: bool = False,
) -> Field:
    return Field(
        name=name,
        label=texts.say(f"form.{key}.label"),
        hint=texts.say(f"form.{key}.hint"),
        multiline=multiline,
        max_length=longest,
        required=required,
        instant=instant,
    )


def filled(form: Form, known: Mapping[str, str]) -> Form:
    """The form with what is known in its fields, by their names. A text longer than its field holds is left out: sent
    back with its end cut off, it would take the place of the whole."""
    fields = tuple(
        replace(field, initial=known[field.name]) if 0 < len(known.get(field.name, "")) <= field.max_length else field
        for field in form.fields
    )
    return replace(form, fields=fields)


SentForm = RetryTask | Send | ChangeFollowUp | EditText | LaterForm | UnfitForm
"""What a sent form can be."""


def read_form(key: str, fields: Mapping[str, str]) -> SentForm | None:
    """The command that a sent form stands for; None when it is none of ours. Nothing of it is trusted."""

    def told(name: str) -> str:
        return clean(fields.get(name, "")).strip()

    match parse_button(key):
        case ButtonAction(verb, number) if verb in _NOTES:
            note = told(NOTE)
            if not note:
                return UnfitForm("empty")
            if len(note) > NOTE_MAX:
                return UnfitForm("too_long", len(note))
            task = TaskId("CT", number)
            return Send(task, note) if verb == "ask_changes" else RetryTask(task, note)
        case FollowUpAction("change", number):
            return ChangeFollowUp(TaskId("FU", number), told(WHEN))
        case SuggestionAction("edit", number):
            return EditText(TaskId("RQ", number), told(TEXT))
        case WishAction("later", number):
            return LaterForm(number, SetFollowUp(told(WHEN), what=told(TEXT)))
        case _:
            return None

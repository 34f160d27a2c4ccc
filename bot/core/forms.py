"""The forms that buttons open, before any platform gives them its shape; and what a sent form asks for.

A form has the key of its button (`codetask:<verb>:<id>`), so nothing is kept between opening and sending it: rights
and stage are checked when it is sent. A form's texts stand under `form.<verb>`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from bot.core.buttons import ButtonVerb, parse_button, value_of
from bot.core.hygiene import clean
from bot.core.texts import Texts
from bot.core.verbs import RetryTask, TaskId

NOTE_MAX: Final = 2_000
"""Characters of a note (ours): Slack takes 3,000 in a field, Discord 4,000."""
NOTE: Final = "note"


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


@dataclass(frozen=True, slots=True)
class UnfitForm:
    """A form that cannot be taken: a required field is `empty`, or one is `too_long` (`length` characters)."""

    why: Literal["empty", "too_long"]
    length: int = 0


_NOTES: Final[frozenset[ButtonVerb]] = frozenset({"retry_note"})
"""Buttons whose form asks for one note."""


def form_of(value: str, texts: Texts) -> Form | None:
    """The form that the button with this value opens, in the language of `texts`; None when it opens none."""
    action = parse_button(value)
    if action is None or action.verb not in _NOTES:
        return None
    verb = action.verb
    note = Field(
        name=NOTE,
        label=texts.say(f"form.{verb}.label"),
        hint=texts.say(f"form.{verb}.hint"),
        multiline=True,
        max_length=NOTE_MAX,
        required=True,
    )
    ref = f"CT-{action.number}"
    return Form(
        key=value_of(verb, action.number),
        title=texts.say(f"form.{verb}.title", ref=ref),
        submit=texts.say(f"form.{verb}.submit"),
        fields=(note,),
    )


def read_form(key: str, fields: Mapping[str, str]) -> RetryTask | UnfitForm | None:
    """The command that a sent form stands for; None when it is none of ours. Nothing of it is trusted."""
    action = parse_button(key)
    if action is None or action.verb not in _NOTES:
        return None
    note = clean(fields.get(NOTE, "")).strip()
    if not note:
        return UnfitForm("empty")
    if len(note) > NOTE_MAX:
        return UnfitForm("too_long", len(note))
    return RetryTask(TaskId("CT", action.number), note)

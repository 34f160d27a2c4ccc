"""The forms that a button opens in a chat, as whoever draws them needs them: plain words and text fields."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = Mapping[str, Any]
_MOST: Final = {"slack": 3000, "discord": 4000}
"""Characters of a text field that does not say."""
_LABEL, _TEXT_INPUT, _PARAGRAPH = 18, 4, 2


@dataclass(frozen=True, slots=True)
class Field:
    """A text field; `name` names it to `Channel.submits`."""

    name: str
    label: str
    hint: str = ""
    value: str = ""
    multiline: bool = False
    required: bool = True
    max_length: int = 3000


@dataclass(frozen=True, slots=True)
class Form:
    """A form that is open for the one person `to`. `busy` while it was sent and not answered yet.

    `problem` says why the bot did not take it."""

    id: str
    to: str
    title: str
    submit: str
    cancel: str
    fields: tuple[Field, ...]
    busy: bool = False
    problem: str = ""

    def check(self, values: Mapping[str, str]) -> None:
        """What the person's own client does not send: raises LookupError in words."""
        for field in self.fields:
            text = values.get(field.name, "")
            if field.required and not text.strip():
                raise LookupError(f"{field.label} Please write something.")
            if len(text) > field.max_length:
                raise LookupError(f"{field.label} At most {field.max_length:,} characters.")
        if unknown := set(values) - {field.name for field in self.fields}:
            raise LookupError(f"The form has no field {', '.join(sorted(unknown))}.")


def open_form(forms: Sequence[Form], person: str, wanted: str) -> Form:
    """The open form of this person. Raises LookupError."""
    for form in forms:
        if (form.id, form.to) == (wanted, person):
            return form
    raise LookupError("That form is closed.")


def read_view(view: Json, identity: str, to: str, *, busy: bool, problem: str) -> Form:
    """A modal of Slack."""
    return Form(
        id=identity,
        to=to,
        title=_plain(view["title"]),
        submit=_plain(view.get("submit")) or "Submit",
        cancel=_plain(view.get("close")) or "Cancel",
        fields=tuple(_inputs(view)),
        busy=busy,
        problem=problem,
    )


def _inputs(view: Json) -> Iterator[Field]:
    """The text fields. A picker is not drawn: the field beside it takes the same in words, under the picker's label."""
    asked = ""
    for block in view["blocks"]:
        if block["type"] == "input" and block["element"]["type"] == "datetimepicker":
            asked = _plain(block["label"])
        elif block["type"] == "input":
            element, label, asked = block["element"], asked or _plain(block["label"]), ""
            yield Field(
                name=str(block["block_id"]),
                label=label,
                hint=_plain(block.get("hint")),
                value=str(element.get("initial_value") or ""),
                multiline=bool(element.get("multiline")),
                required=not block.get("optional", False),
                max_length=int(element.get("max_length") or _MOST["slack"]),
            )


def _plain(told: Json | None) -> str:
    return str(told["text"]) if told else ""


def read_modal(body: Json, identity: str, to: str, *, busy: bool) -> Form:
    """A modal of Discord, whose button to send it is always called Submit."""
    fields = tuple(_labelled(body))
    return Form(identity, to, str(body["title"]), "Submit", "Cancel", fields, busy)


def _labelled(body: Json) -> Iterator[Field]:
    for outer in body["components"]:
        inner = outer["component"] if outer["type"] == _LABEL else (outer.get("components") or [{}])[0]
        if inner.get("type") == _TEXT_INPUT:
            yield Field(
                name=str(inner["custom_id"]),
                label=str(outer.get("label") or inner.get("label") or ""),
                hint=str(outer.get("description") or ""),
                value=str(inner.get("value") or ""),
                multiline=inner.get("style") == _PARAGRAPH,
                required=bool(inner.get("required", True)),
                max_length=int(inner.get("max_length") or _MOST["discord"]),
            )

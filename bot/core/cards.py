"""Cards and documents: what is said in chat, before any platform gives it its shape.

A `Card` is the one living message of a code task; a `Doc` is a reply or a whisper. Neither holds a platform's markup:
`platforms/<name>/cards.py` renders them. Text inside is markdown and may be hostile; renderers defuse it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bot.core.inbound import Person

StepState = Literal["pending", "active", "done", "failed"]
ButtonStyle = Literal["default", "primary", "danger"]
Colour = Literal["blue", "amber", "green", "red", "grey"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Value):
    """One line of progress: `label` in words, `detail` such as "2 min" or "since 14:04"."""

    label: str
    state: StepState
    detail: str = ""


class Button(_Value):
    """A button. `value` is `codetask:<verb>:<id>` (at most 100 characters) or empty for a link button with `url`.

    `name` is the accessible name and carries the object ("Cancel CT-42"). `confirm` asks before the press counts.
    """

    label: str
    name: str
    value: str = ""
    url: str = ""
    style: ButtonStyle = "default"
    confirm: str = ""


class Card(_Value):
    """The living message of one code task. `summary` says the whole card in words (notifications, screen readers)."""

    kind: Literal["card"] = "card"
    key: str
    title: str
    summary: str
    meta: str = ""
    steps: tuple[Step, ...] = ()
    body: str = ""
    buttons: tuple[Button, ...] = ()
    foot: str = ""
    colour: Colour = "blue"
    language: str = "en"
    translations: dict[str, "Card"] = Field(default_factory=dict[str, "Card"])
    """The same card in other languages, for platforms that show each viewer their own."""


class Doc(_Value):
    """A reply or whisper: markdown text, at most one mention (rendered first), buttons.

    `topic` names the thread where a platform has to open one for it; `asks` says that the mentioned person has to
    answer."""

    kind: Literal["doc"] = "doc"
    text: str
    mention: Person | None = None
    asks: bool = False
    buttons: tuple[Button, ...] = ()
    topic: str = ""
    language: str = "en"
    translations: dict[str, "Doc"] = Field(default_factory=dict[str, "Doc"])


Content = Annotated[Card | Doc, Field(discriminator="kind")]
CONTENT: TypeAdapter[Content] = TypeAdapter(Content)
"""Reads the body of a delivery, and writes all of it, as JSON."""


def dump_content(content: Content) -> str:
    """The body of a delivery as short JSON, without what has its default value. `CONTENT` reads it back."""
    return f'{{"kind":"{content.kind}",' + content.model_dump_json(exclude_defaults=True)[1:]

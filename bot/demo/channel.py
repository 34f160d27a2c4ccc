"""A channel of the demo, whatever its platform: what is shown there, in parts, and what a person can do in it.

Each platform's simulator is fitted to `Channel` in `<name>_view.py`, which reads the stored wire form. The parts hold
plain words only: whoever draws them (the page, the terminal) puts them out as text.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeVar

from bot.demo.forms import Form

T = TypeVar("T")
Language = Literal["en", "zh"]
PEOPLE: Final = ("ana", "bo", "cy")
"""Who a visitor may be: ana owns the workspace, bo and cy are members."""
EMOJI: Final = ("👍", "👀", "✅")
"""What a visitor may react with."""

WordStyle = Literal["plain", "bold", "italic", "strike", "code", "mention", "link", "time"]
LineRole = Literal["text", "title", "meta", "foot", "quote", "bullet"]
Mark = Literal["done", "active", "pending", "failed"]


@dataclass(frozen=True, slots=True)
class Word:
    """Some text of one style. `href`: the target of a link (http or https); `at`: the ISO instant of a time."""

    text: str
    style: WordStyle = "plain"
    href: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    words: tuple[Word, ...]
    role: LineRole = "text"
    kind: Literal["line"] = "line"


@dataclass(frozen=True, slots=True)
class Code:
    text: str
    kind: Literal["code"] = "code"


@dataclass(frozen=True, slots=True)
class Rule:
    kind: Literal["rule"] = "rule"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a plan; `mark` in a shape of its own, never by colour alone."""

    mark: Mark
    label: str
    detail: str = ""
    sign: str = ""
    """What the message itself shows for `mark`, where it shows anything."""


@dataclass(frozen=True, slots=True)
class Plan:
    title: str
    steps: tuple[Step, ...]
    kind: Literal["plan"] = "plan"


@dataclass(frozen=True, slots=True)
class Button:
    """`press` names the button to `Channel.presses`; empty for a link (`href`). `confirm` asks before it counts."""

    label: str
    name: str
    press: str = ""
    href: str = ""
    look: Literal["default", "primary", "danger"] = "default"
    confirm: str = ""


@dataclass(frozen=True, slots=True)
class Buttons:
    buttons: tuple[Button, ...]
    kind: Literal["buttons"] = "buttons"


@dataclass(frozen=True, slots=True)
class Frame:
    """A card with a coloured edge (`accent`, as `#rrggbb`) or a coloured head (`title` over `colour`)."""

    parts: tuple["Part", ...]
    accent: str = ""
    colour: str = ""
    title: tuple[Word, ...] = ()
    kind: Literal["frame"] = "frame"


Part = Line | Code | Rule | Plan | Buttons | Frame


@dataclass(frozen=True, slots=True)
class Reaction:
    """`emoji` as a character, `name` in words; `by` are the keys of those who reacted."""

    emoji: str
    name: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One message as it stands now, or a `note` about what someone did.

    `thread` is the id of the message it answers ("" at the top level); `to` the key of the one person who sees it (""
    for everyone); `who` and `key` name the speaker ("codetask" is the bot)."""

    id: str
    at: datetime
    who: str
    key: str
    parts: tuple[Part, ...]
    thread: str = ""
    to: str = ""
    kind: Literal["said", "note"] = "said"
    label: str = ""
    edited: bool = False
    reactions: tuple[Reaction, ...] = ()
    topic: str = ""

    @property
    def text(self) -> str:
        """The message in plain lines, buttons as `[Label]`."""
        return "\n".join(lines_of(self.parts))

    @property
    def step(self) -> str:
        """The label of the step that a card is at, "" where it shows none."""
        steps = [step for part in flat(self.parts) if isinstance(part, Plan) for step in part.steps]
        return next((step.label for step in steps if step.mark in ("active", "failed")), "")

    @property
    def has_plan(self) -> bool:
        """Whether it shows the steps of a code task to everyone: the card."""
        return not self.to and any(isinstance(part, Plan) for part in flat(self.parts))

    @property
    def buttons(self) -> list[Button]:
        """Every button of the message, in order."""
        return [button for part in flat(self.parts) if isinstance(part, Buttons) for button in part.buttons]


class Channel(Protocol):
    """One channel of one platform. Raises LookupError, with words for a person, for what is not there."""

    name: str
    title: str
    room: str
    door: str
    """What a request begins with: `/codetask`, or a mention where there are no slash commands."""
    menu: Mapping[str, str]
    """What a person may do with somebody's message: the name for `picks` -> the label. Empty where there is no menu."""
    settings: Mapping[str, Any]
    """The settings that connect the bot to this platform."""

    def shown(self, language: Language = "en") -> list[Shown]:
        """Everything there is to see, oldest first. `language`: whose texts, where a message holds several."""
        ...

    def says(self, person: str, text: str, thread: str = "") -> None:
        """Types a message or a slash command, at the top level or in the thread of the message `thread`."""
        ...

    def presses(self, person: str, message: str, press: str) -> None: ...

    def reacts(self, person: str, message: str, emoji: str, on: bool) -> None: ...

    def picks(self, person: str, message: str, name: str) -> None:
        """Uses an entry of `menu` on a message."""
        ...

    def forms(self) -> list[Form]:
        """The forms that are open, oldest first."""
        ...

    def submits(self, person: str, form: str, values: Mapping[str, str]) -> None:
        """Sends a form, filled by the names of its fields."""
        ...

    def closes(self, person: str, form: str) -> None:
        """Closes a form without sending it."""
        ...

    def count(self) -> int:
        """A number that changes whenever something happened."""
        ...

    async def wait_for(self, predicate: Callable[[], T], seconds: float) -> T:
        """The first truthy value of `predicate`; TimeoutError, with what was seen instead, after `seconds`."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the bot is connected."""
        ...

    @property
    def surprises(self) -> Sequence[Any]:
        """What the bot sent that the platform does not know."""
        ...


def note(identity: str, at: datetime, who: str, key: str, text: str) -> Shown:
    """A line about what someone did."""
    return Shown(identity, at, who, key, (Line((Word(text),)),), kind="note")


def flat(parts: Sequence[Part]) -> Iterator[Part]:
    """The parts in order, those inside a frame after a line with its title."""
    for part in parts:
        if isinstance(part, Frame):
            if part.title:
                yield Line(part.title, "title")
            yield from flat(part.parts)
        else:
            yield part


def lines_of(parts: Sequence[Part]) -> list[str]:
    """Plain lines. The steps of a plan begin with ✓ ● ○ ✗."""
    found: list[str] = []
    for part in flat(parts):
        match part:
            case Line(words, role):
                before = {"quote": "> ", "bullet": "• "}.get(role, "")
                found += [before + line for line in line_text(words).splitlines()]
            case Code(text):
                found += text.splitlines()
            case Rule():
                found.append("---")
            case Plan(title, steps):
                found += [*([title] if title else []), *(f"  {step_text(step)}" for step in steps)]
            case Buttons(buttons):
                found.append(" ".join(f"[{button.label}]" for button in buttons))
            case Frame():
                pass
    return found


MARKS: Final[Mapping[Mark, str]] = {"done": "✓", "active": "●", "pending": "○", "failed": "✗"}


def step_text(step: Step) -> str:
    """A step in words, with its mark."""
    return f"{MARKS[step.mark]} {step.label}" + (f" · {step.detail}" if step.detail else "")


def line_text(words: Sequence[Word]) -> str:
    """A line with the targets of its links."""
    return "".join(f"{w.text} ({w.href})" if w.style == "link" and w.text != w.href else w.text for w in words)

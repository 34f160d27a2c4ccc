"""`Card` and `Doc` rendered as Discord's components v2. Pure; golden-tested; no SDK.

Only the dialect makes links and only this module makes mentions: every text from outside is escaped, in code too. A
card is one message and loses its body where it is too long, never a button or a link; a long document becomes several
messages. Limits: platforms.md 2.2 (40 components and 4,000 characters of text in all, custom id 100, label 80).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from bot.core.cards import Button, Card, Colour, Content, Doc, Step, StepState
from bot.core.dialect import one_line
from bot.core.hygiene import cut
from bot.core.inbound import Person
from bot.core.splitting import split
from platforms.discord.custom_ids import DISMISS, custom_id
from platforms.discord.dialect import discord_markdown, escape, render_blocks

MAX_TEXT: Final = 3900
"""Characters of all text of one message (Discord: 4,000; ours leaves room for a mention and an ellipsis)."""
MAX_MARKDOWN: Final = 40_000
"""Markdown of one document; it also bounds what rendering hostile text costs (ours)."""
MAX_PAGES: Final = 12
MAX_TITLE: Final = 300
MAX_META: Final = 800
MAX_STEPS: Final = 1000
MAX_FOOT: Final = 400
MAX_LABEL: Final = 80
MAX_BUTTONS: Final = 25
MAX_URL: Final = 512
COMPONENTS_V2: Final = 1 << 15
EPHEMERAL: Final = 1 << 6

ROW, BUTTON, TEXT, SEPARATOR, CONTAINER = 1, 2, 10, 14, 17
PRIMARY, SECONDARY, DANGER, LINK = 1, 2, 4, 5
COLOURS: Final[dict[Colour, int]] = {
    "blue": 0x5865F2,
    "amber": 0xF0B232,
    "green": 0x23A55A,
    "red": 0xF23F43,
    "grey": 0x80848E,
}
_STYLES: Final = {"default": SECONDARY, "primary": PRIMARY, "danger": DANGER}
_MARK: Final[dict[StepState, str]] = {"done": "✅", "active": "⏳", "pending": "⚪", "failed": "❌"}
_LINK: Final = re.compile(r"https?://[^\s<>|\"]+", re.IGNORECASE)
_ID: Final = re.compile(r"\d{15,20}", re.ASCII)
_TOKEN: Final = re.compile(r"\\$|<[^<>\n]*$|\[[^\]\n]*$|\]\([^)\n]*$|[*_~]{1,2}$")

Component = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message: its components and who it may notify."""

    components: list[Component]
    mentions: tuple[str, ...] = ()

    def payload(self, **more: Any) -> dict[str, Any]:
        """The body of a create or edit request."""
        allowed = {"parse": [], "users": list(self.mentions), "replied_user": False}
        flags = COMPONENTS_V2 | int(more.pop("flags", 0))
        return {"components": self.components, "allowed_mentions": allowed, "flags": flags, **more}


def render(content: Content) -> list[Rendered]:
    """Any content as messages, in order: one for a card, one or more for a document."""
    match content:
        case Card():
            return [render_card(content)]
        case Doc():
            return render_doc(content)
        case _:
            assert_never(content)


def render_one(content: Content) -> Rendered:
    """Any content as exactly one message, for an edit: a long document is cut."""
    if isinstance(content, Card):
        return render_card(content)
    return render_doc(content, pages=1)[0]


def render_card(card: Card) -> Rendered:
    """The living message of a code task."""
    head = f"**{escape(cut(one_line(card.title), MAX_TITLE))}**"
    if meta := fit(discord_markdown(cut(card.meta, MAX_MARKDOWN)), MAX_META).strip():
        head += "\n" + meta
    foot = fit(discord_markdown(cut(card.foot, MAX_MARKDOWN)), MAX_FOOT).replace("\n", " ").strip()
    steps = step_lines(card.steps)
    room = MAX_TEXT - len(head) - len(steps) - len(foot) - 16
    parts = [_text(fit(head, 1800))]
    if steps:
        parts += [_separator(), _text(steps)]
    if body := fit(discord_markdown(cut(card.body, MAX_MARKDOWN)), room).strip():
        parts += [_separator(), _text(body)]
    parts += _rows(card.buttons)
    if foot:
        parts.append(_text(f"-# {foot}"))
    return Rendered([{"type": CONTAINER, "accent_color": COLOURS[card.colour], "components": parts}])


def render_doc(doc: Doc, pages: int = MAX_PAGES) -> list[Rendered]:
    """A reply or whisper: the one mention first, then the text, then the buttons."""
    mention = mention_of(doc.mention) if doc.mention else ""
    texts = _pages(doc.text, MAX_TEXT - len(mention) - 1, pages)
    first = " ".join(part for part in (mention, texts[0] if texts else "") if part)
    shown = [text for text in [first, *texts[1:]] if text] or ["…"]
    live = (doc.mention.id,) if doc.mention and mention.startswith("<@") else ()
    made = [Rendered([_text(text)], live if at == 0 else ()) for at, text in enumerate(shown)]
    if rows := _rows(doc.buttons):
        made[-1] = Rendered([*made[-1].components, *rows], made[-1].mentions)
    return made


def mention_of(person: Person) -> str:
    """A live mention. A person without a real Discord id is only named."""
    if person.platform == "discord" and _ID.fullmatch(person.id):
        return f"<@{person.id}>"
    return escape(cut(one_line(person.name or person.id), 100))


def thread_name(content: Content, fallback: str) -> str:
    """What to call the thread that content is the first of: at most 100 characters, one line."""
    said = content.title if isinstance(content, Card) else content.topic or content.text
    return cut(one_line(said), 100) or fallback


def question(text: str, yes: str, no: str, value: str) -> Rendered:
    """ "Cancel CT-42?" with two buttons; stateless, the answer carries all that is needed."""
    buttons = [
        {"type": BUTTON, "style": DANGER, "label": _label(yes), "custom_id": value},
        {"type": BUTTON, "style": SECONDARY, "label": _label(no), "custom_id": DISMISS},
    ]
    return Rendered([_text(fit(escape(one_line(text)), 1000) or "…"), {"type": ROW, "components": buttons}])


def line(text: str) -> Rendered:
    """One short line of our own."""
    return Rendered([_text(fit(discord_markdown(text), 1000) or "…")])


# --- Texts ------------------------------------------------------------------------------------------------------------


def fit(rendered: str, limit: int) -> str:
    """Rendered text shortened to `limit` characters, with an ellipsis; links, escapes and fences stay whole."""
    if len(rendered) <= limit:
        return rendered
    if limit < 8:
        return ""
    head = rendered[: limit - 5]
    while found := _TOKEN.search(head):
        head = head[: found.start()]
    head = head.rstrip()
    if head.count("```") % 2:
        return head.rstrip("`") + "…\n```"
    return _even(head) + "…"


def _even(head: str) -> str:
    """The text without a last `code` mark that nothing closes any more."""
    outside = re.sub(r"```.*?```", lambda found: "x" * len(found[0]), head, flags=re.DOTALL)
    ticks = [found.start() for found in re.finditer(r"(?<!\\)`", outside)]
    return head[: ticks[-1]] if len(ticks) % 2 else head


def step_lines(steps: Sequence[Step]) -> str:
    """The progress as lines of emoji and words."""

    def shown(step: Step) -> str:
        label = escape(cut(one_line(step.label), MAX_TITLE))
        label = f"**{label}**" if step.state == "active" else label
        return f"{_MARK[step.state]} {label}" + (f" — {escape(cut(one_line(step.detail), 200))}" if step.detail else "")

    return fit("\n".join(shown(step) for step in steps), MAX_STEPS)


def _pages(markdown: str, limit: int, most: int) -> list[str]:
    said = cut(markdown, MAX_MARKDOWN)
    measure: Callable[..., int] = lambda piece: len(render_blocks(piece))  # noqa: E731
    pieces = [render_blocks(piece) for piece in split(said, limit, measure)]
    pieces = [piece for piece in pieces if piece.strip()]
    if len(pieces) > most:
        pieces = [*pieces[: most - 1], fit(pieces[most - 1] + "\n…", limit)]
    return [fit(piece, limit) for piece in pieces]


# --- Components -------------------------------------------------------------------------------------------------------


def _text(rendered: str) -> Component:
    return {"type": TEXT, "content": rendered}


def _separator() -> Component:
    return {"type": SEPARATOR, "divider": False, "spacing": 1}


def _rows(buttons: Sequence[Button]) -> list[Component]:
    shown = _shown(buttons)
    elements = [_button(button, number) for number, button in enumerate(shown[:MAX_BUTTONS])]
    return [{"type": ROW, "components": elements[at : at + 5]} for at in range(0, len(elements), 5)]


def _shown(buttons: Sequence[Button]) -> list[Button]:
    """Buttons that do something: one with a value, or one that links to the web."""
    return [
        button for button in buttons if button.value or (_LINK.fullmatch(button.url) and len(button.url) <= MAX_URL)
    ]


def _label(text: str) -> str:
    return cut(one_line(text), MAX_LABEL) or "…"


def _button(button: Button, number: int) -> Component:
    if not button.value:
        return {"type": BUTTON, "style": LINK, "label": _label(button.label), "url": button.url}
    return {
        "type": BUTTON,
        "style": _STYLES[button.style],
        "label": _label(button.label),
        "custom_id": custom_id(button.value, number, bool(button.confirm)),
    }

"""`Card` and `Doc` rendered as Lark cards (JSON 2.0), in every language at once. Pure; golden-tested.

An unknown attribute or a card over 30 KB is refused whole, so only documented attributes are used and what is too long
loses its body, never a button or a link. Shapes: https://open.larksuite.com/document/feishu-cards/card-json-v2-structure.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Final, Generic, TypeVar, assert_never

from bot.core import markup
from bot.core.cards import Button, Card, Colour, Content, Doc, Step, StepState
from bot.core.dialect import one_line
from bot.core.hygiene import cut
from bot.core.inbound import Person
from bot.core.splitting import split
from platforms.lark.inbound import ROOT, VALUE
from platforms.lark.markdown import defuse, escape, fit, markdown, render_blocks

C = TypeVar("C", Card, Doc)

MAX_CARD: Final = 30 * 1024 - 512
"""Bytes of a card as it stands in a request: Lark's limit, less a reserve for the rest of the request (ours)."""
MAX_ELEMENT: Final = 4000
"""Characters of one markdown element (ours): a client lays out shorter ones faster."""
MAX_BUTTONS: Final = 10
MAX_TITLE: Final = 150
MAX_SUMMARY: Final = 200
MAX_LABEL: Final = 40
MAX_CONFIRM: Final = 150
MAX_TOAST: Final = 200
"""Characters of a toast (ours): it is gone after a few seconds."""
MAX_URL: Final = 2000
MAX_TEXT: Final = 26_000
"""Characters read of a text: more never fit a card."""

LOCALES: Final[Mapping[str, str]] = {"en": "en_us", "zh": "zh_cn"}
"""Our languages -> Lark's locales."""
TEMPLATES: Final[Mapping[Colour, str]] = {
    "blue": "blue",
    "amber": "orange",
    "green": "green",
    "red": "red",
    "grey": "grey",
}
_MARK: Final[dict[StepState, str]] = {"done": "✅", "active": "⏳", "pending": "○", "failed": "❌"}
_OPEN_ID: Final = re.compile(r"ou_[A-Za-z0-9]{8,64}")
_NOTHING: Final = "\u200b"
_LINK: Final = re.compile(r"https?://[^\s<>|\"]+", re.IGNORECASE)

Element = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Room:
    """Characters for each part of a card, in one language."""

    body: int
    meta: int = 1000
    steps: int = 2000
    foot: int = 600
    short: int = MAX_TITLE


ROOMS: Final = (
    *(_Room(body) for body in (MAX_TEXT, 20_000, 14_000, 9_000, 6_000, 3_000, 1_000)),
    _Room(400, 300, 800, 200, 60),
    _Room(0, 100, 300, 60, 30),
    _Room(0, 0, 0, 0, 12),
)
"""Tried in turn until the card is small enough; the last one holds ten buttons of the worst characters."""


@dataclass(frozen=True, slots=True)
class _Tongues(Generic[C]):
    """One content in all its languages; the first is the one for everybody else."""

    by_locale: dict[str, C]
    main: C

    @classmethod
    def of(cls, content: C) -> "_Tongues[C]":
        found = {LOCALES[language]: other for language, other in content.translations.items() if language in LOCALES}
        own = LOCALES.get(content.language)
        return cls({own: content, **found} if found and own else {}, content)


def render(content: Content, root: str | None = None) -> str:
    """Any content as the JSON of a card. `root`: the thread it stands in, which its buttons have to remember."""
    shown = ""
    for room in ROOMS:
        shown = json.dumps(render_card(content, root, room), ensure_ascii=False, separators=(",", ":"))
        shown = shown.encode("utf-8", "replace").decode()  # an address may hold half a character
        if size(shown) <= MAX_CARD:
            break
    return shown


def size(card: str) -> int:
    """Bytes of a card in a request, where it is a string within JSON: quotes and line ends count twice."""
    return len(json.dumps(card, ensure_ascii=False).encode())


def render_card(content: Content, root: str | None = None, room: _Room = ROOMS[0]) -> dict[str, Any]:
    """The card with as much text as there is room for."""
    match content:
        case Card():
            tongues = _Tongues.of(content)
            header = {
                "title": _plain(tongues, lambda card: card.title.strip() or card.key, room.short),
                "template": TEMPLATES[content.colour],
            }
            return {**_frame(tongues, _summary(tongues)), "header": header, "body": _body(_parts(tongues, root, room))}
        case Doc():
            told = _Tongues.of(content)
            return {**_frame(told, _glance(told)), "body": _body(_doc_parts(told, root, room))}
        case _:
            assert_never(content)


def _frame(tongues: "_Tongues[Any]", summary: Element) -> dict[str, Any]:
    config: dict[str, Any] = {"update_multi": True, "summary": summary}
    if tongues.by_locale:
        config["locales"] = list(tongues.by_locale)
    return {"schema": "2.0", "config": config}


def _body(elements: Iterator[Element]) -> Element:
    return {"elements": list(elements) or [{"tag": "markdown", "content": "…"}]}


def _summary(tongues: _Tongues[Card]) -> Element:
    return _texts(tongues, lambda card: _label(card.summary, MAX_SUMMARY))


def _glance(tongues: _Tongues[Doc]) -> Element:
    return _texts(
        tongues, lambda doc: cut(defuse(one_line(markup.plain(markup.parse(cut(doc.text, 2000))))), 120) or "…"
    )


# --- Parts ------------------------------------------------------------------------------------------------------------


def _parts(tongues: _Tongues[Card], root: str | None, room: _Room) -> Iterator[Element]:
    yield from _markdown(tongues, lambda card: [fit(_short(card.meta), room.meta)])
    if tongues.main.steps:
        yield from _markdown(tongues, lambda card: [fit(_step_lines(card.steps), room.steps)])
    yield from _markdown(tongues, lambda card: _pieces(card.body, room.body))
    yield from _buttons(tongues, root, room)
    foot = list(_markdown(tongues, lambda card: [fit(_short(card.foot), room.foot)]))
    yield from ({**element, "text_size": "notation"} for element in foot)


def _doc_parts(tongues: _Tongues[Doc], root: str | None, room: _Room) -> Iterator[Element]:
    def said(doc: Doc) -> list[str]:
        pieces = _pieces(doc.text, room.body)
        named = mention_of(doc.mention) if doc.mention else ""
        first = " ".join(part for part in (named, pieces[0] if pieces else "") if part)
        return [first, *pieces[1:]]

    yield from _markdown(tongues, said)
    yield from _buttons(tongues, root, room)


def mention_of(person: Person) -> str:
    """A live mention. A person without a real open id is only named."""
    if person.platform == "lark" and _OPEN_ID.fullmatch(person.id):
        return f"<at id={person.id}></at>"
    return escape(cut(one_line(person.name or person.id), 100))


def _pieces(text: str, room: int) -> list[str]:
    """The text in pieces that each fit an element; what there is no room for is left out, with an ellipsis."""
    found: list[str] = []
    left = room
    for shown in _split(cut(text, MAX_TEXT)):
        if len(shown) > left:
            found += [rest] if (rest := fit(shown, left)) else []
            break
        found.append(shown)
        left -= len(shown)
    return found


@lru_cache(maxsize=32)
def _split(text: str) -> tuple[str, ...]:
    """Remembered: a card is rendered with less and less room until it fits, and again with each of its edits."""
    pieces = split(text, MAX_ELEMENT, lambda blocks: len(render_blocks(blocks)))
    return tuple(shown for piece in pieces if (shown := render_blocks(piece)).strip())


@lru_cache(maxsize=32)
def _short(text: str) -> str:
    return markdown(cut(text, 2000))


def _step_lines(steps: Sequence[Step]) -> str:
    def shown(step: Step) -> str:
        label = escape(cut(one_line(step.label[:1000]), MAX_TITLE))
        name = f"**{label}**" if step.state == "active" and label else label
        return f"{_MARK[step.state]} {name}" + (
            f" — {escape(cut(one_line(step.detail[:1000]), 100))}" if step.detail else ""
        )

    return "\n".join(shown(step) for step in steps)


def _markdown(tongues: "_Tongues[C]", say: Callable[[C], list[str]]) -> Iterator[Element]:
    """One element per piece, each with all languages. A language with fewer pieces shows nothing there."""
    if not tongues.by_locale:
        yield from ({"tag": "markdown", "content": piece} for piece in say(tongues.main) if piece)
        return
    pieces = [[piece for piece in say(content) if piece] for content in tongues.by_locale.values()]
    for row in zip_longest(*pieces, fillvalue=_NOTHING):
        yield {"tag": "markdown", "content": row[0], "i18n_content": dict(zip(tongues.by_locale, row, strict=True))}


def _texts(tongues: "_Tongues[C]", say: Callable[[C], str]) -> Element:
    shown: Element = {"content": say(tongues.main)}
    if tongues.by_locale:
        shown["i18n_content"] = {locale: say(content) for locale, content in tongues.by_locale.items()}
    return shown


def _plain(tongues: "_Tongues[C]", say: Callable[[C], str], limit: int) -> Element:
    return {"tag": "plain_text", **_texts(tongues, lambda content: _label(say(content), limit))}


def _label(text: str, limit: int) -> str:
    """One line without markdown; characters far behind the limit are not even looked at."""
    return cut(defuse(one_line(text[: 4 * limit + 40])), limit) or "…"


# --- Buttons ----------------------------------------------------------------------------------------------------------


def _buttons(tongues: "_Tongues[C]", root: str | None, room: _Room) -> Iterator[Element]:
    columns = [
        {"tag": "column", "width": "auto", "elements": [element]}
        for number, button in enumerate(tongues.main.buttons)
        if (element := _button(_numbered(tongues, number), button, root, room))
    ]
    kept = [*columns[: MAX_BUTTONS - 1], columns[-1]] if len(columns) > MAX_BUTTONS else columns
    if kept:
        yield {"tag": "column_set", "flex_mode": "flow", "columns": kept}


def _numbered(tongues: "_Tongues[C]", number: int) -> dict[str, Button]:
    """One button in every language that has it."""
    return {
        locale: content.buttons[number]
        for locale, content in tongues.by_locale.items()
        if number < len(content.buttons)
    }


def _button(others: Mapping[str, Button], button: Button, root: str | None, room: _Room) -> Element | None:
    def text(say: Callable[[Button], str], limit: int) -> Element:
        shown: Element = {"tag": "plain_text", "content": _label(say(button), limit)}
        if others:
            texts = {locale: _label(say(one), limit) for locale, one in others.items()}
            shown["i18n_content"] = texts
        return shown

    behaviors: list[Element] = []
    if button.value:
        kept = {VALUE: button.value, **({ROOT: root} if root else {})}
        behaviors.append({"type": "callback", "value": kept})
    if _LINK.fullmatch(button.url) and len(button.url) <= MAX_URL:
        behaviors.append({"type": "open_url", "default_url": button.url})
    if not behaviors:
        return None
    short = min(MAX_LABEL, room.short)
    element: Element = {
        "tag": "button",
        "text": text(lambda one: one.label, short),
        "type": button.style,
        "behaviors": behaviors,
    }
    if button.name and button.name != button.label:
        element["hover_tips"] = text(lambda one: one.name, short)
    if button.confirm:
        element["confirm"] = {
            "title": text(lambda one: one.name, short),
            "text": text(lambda one: one.confirm, min(MAX_CONFIRM, room.short)),
        }
    return element


# --- Toasts -----------------------------------------------------------------------------------------------------------


def toast(doc: Doc) -> dict[str, Any] | None:
    """The text as a toast for the one who pressed; None when it does not fit (long, buttons, a link)."""
    if doc.buttons:
        return None
    tongues = _Tongues.of(doc)
    texts = {locale: _spoken(one) for locale, one in tongues.by_locale.items()}
    said = _spoken(tongues.main)
    if any(text is None for text in (said, *texts.values())):
        return None
    shown: dict[str, Any] = {"type": "info", "content": said}
    return shown | ({"i18n": texts} if texts else {})


def _spoken(doc: Doc) -> str | None:
    if len(doc.text) > 4 * MAX_TOAST:
        return None
    document = markup.parse(doc.text)
    plain = len(document) == 1 and isinstance(document[0], markup.Paragraph)
    text = one_line(markup.plain(document))
    return text if plain and "](" not in doc.text and 0 < len(text) <= MAX_TOAST else None

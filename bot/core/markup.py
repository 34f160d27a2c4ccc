"""Hostile markdown to a small tree, for renderers of any chat dialect (platforms.md 7).

Text is cleaned, parsed once, and comes out as values that hold only text: no HTML, no images, no tables, links only to
http(s). A renderer escapes the text of each leaf and adds its own marks; it never sees the source.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, assert_never
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.core.hygiene import clean
from bot.core.quoting import is_web

NESTING: Final = 60
"""Deeper nesting is not read; the parser leaves out what is inside."""

_INFO: Final = re.compile(r"[A-Za-z0-9_+#.-]{1,32}")
_HOST: Final = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}(?![\w-])", re.IGNORECASE)
_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False, "maxNesting": NESTING}).enable(["table", "strikethrough"])


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    text: str


@dataclass(frozen=True, slots=True)
class Break:
    """A line end inside a paragraph."""


@dataclass(frozen=True, slots=True)
class Bold:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Italic:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Strike:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Link:
    """A link to an http(s) address. A label that names another host already says the target in its children."""

    url: str
    children: "tuple[Inline, ...]"


Inline = Text | Code | Break | Bold | Italic | Strike | Link


@dataclass(frozen=True, slots=True)
class Paragraph:
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    children: tuple[Inline, ...]
    level: int = 1


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code, without its last line end. `language` is one plain word or empty."""

    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list. `start` is the first number of an ordered list, None for a plain one."""

    items: "tuple[Document, ...]"
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    blocks: "Document"


@dataclass(frozen=True, slots=True)
class Rule:
    pass


Block = Paragraph | Heading | Fence | Bullets | Quote | Rule
Document = tuple[Block, ...]


def parse(text: str) -> Document:
    """The tree of a text. Whatever the text, nothing in it is live."""
    tokens = iter(_MARKDOWN.parse(clean(text)))
    return _blocks(tokens)


def plain(document: Document) -> str:
    """The text alone, blocks apart by an empty line."""
    return "\n\n".join(part for part in (_plain_block(block) for block in document) if part)


def plain_inline(children: Sequence[Inline]) -> str:
    """The text alone of a paragraph's children."""
    parts: list[str] = []
    for child in children:
        match child:
            case Text(text) | Code(text):
                parts.append(text)
            case Break():
                parts.append("\n")
            case Bold(inner) | Italic(inner) | Strike(inner) | Link(_, inner):
                parts.append(plain_inline(inner))
            case _:
                assert_never(child)
    return "".join(parts)


def _plain_block(block: Block) -> str:
    match block:
        case Paragraph(children) | Heading(children):
            return plain_inline(children)
        case Fence(text):
            return text
        case Bullets(items):
            return "\n".join(plain(item) for item in items)
        case Quote(blocks):
            return plain(blocks)
        case Rule():
            return ""
        case _:
            assert_never(block)


def _blocks(tokens: Iterator[Token]) -> Document:
    """Blocks up to the end, or to the token that closes the surrounding block."""
    blocks: list[Block] = []
    for token in tokens:
        if token.nesting < 0:
            break
        block = _block(token, tokens)
        if block is not None:
            blocks.append(block)
    return tuple(blocks)


def _block(token: Token, tokens: Iterator[Token]) -> Block | None:
    match token.type:
        case "paragraph_open":
            children = _content(tokens)
            return Paragraph(children) if children else None
        case "heading_open":
            return Heading(_content(tokens), int(token.tag[1:]))
        case "bullet_list_open":
            return Bullets(_items(tokens))
        case "ordered_list_open":
            start = token.attrs.get("start", 1)
            return Bullets(_items(tokens), int(start))
        case "blockquote_open":
            return Quote(_blocks(tokens))
        case "table_open":
            return Fence(_table(tokens))
        case "fence" | "code_block":
            return _fence(token)
        case "hr":
            return Rule()
        case _:  # an unknown block is shown as text
            return Paragraph((Text(clean(token.content)),)) if token.content else None


def _content(tokens: Iterator[Token]) -> tuple[Inline, ...]:
    """The inline content of a paragraph or heading; takes its closing token too."""
    children: tuple[Inline, ...] = ()
    for token in tokens:
        if token.nesting < 0:
            break
        children += _inlines(iter(token.children or ()))
    return children


def _items(tokens: Iterator[Token]) -> tuple[Document, ...]:
    items: list[Document] = []
    for token in tokens:
        if token.nesting < 0:
            break
        items.append(_blocks(tokens))
    return tuple(items)


def _fence(token: Token) -> Fence:
    words = token.info.split()
    language = words[0] if words and _INFO.fullmatch(words[0]) else ""
    return Fence(clean(token.content).removesuffix("\n"), language)


def _table(tokens: Iterator[Token]) -> str:
    """A table as lines of text with cells apart by bars."""
    rows: list[list[str]] = []
    for token in tokens:
        match token.type:
            case "table_close":
                break
            case "tr_open":
                rows.append([])
            case "inline":
                rows[-1].append(plain_inline(_inlines(iter(token.children or ()))).replace("\n", " "))
            case _:
                pass
    return "\n".join(" | ".join(row) for row in rows)


def _inlines(tokens: Iterator[Token]) -> tuple[Inline, ...]:
    """Inline content up to the end, or to the token that closes the surrounding mark."""
    children: list[Inline] = []
    for token in tokens:
        if token.nesting < 0:
            break
        children += _inline(token, tokens)
    return _merged(children)


def _inline(token: Token, tokens: Iterator[Token]) -> tuple[Inline, ...]:
    match token.type:
        case "strong_open":
            inner = _inlines(tokens)
            return (Bold(inner),) if inner else ()
        case "em_open":
            inner = _inlines(tokens)
            return (Italic(inner),) if inner else ()
        case "s_open":
            inner = _inlines(tokens)
            return (Strike(inner),) if inner else ()
        case "link_open":
            return _link(str(token.attrs.get("href", "")), _inlines(tokens))
        case "image":
            return _link(str(token.attrs.get("src", "")), (Text(clean(token.content)),) if token.content else ())
        case "softbreak" | "hardbreak":
            return (Break(),)
        case "code_inline":
            return (Code(" ".join(clean(token.content).split("\n"))),)
        case _:
            # Entities are decoded only now, so what they stand for is cleaned again.
            text = clean(token.content)
            return (Text(text),) if text else ()


def _link(url: str, label: tuple[Inline, ...]) -> tuple[Inline, ...]:
    """A link, or its text when the target is no plain web address."""
    said = plain_inline(label).strip()
    if not is_web(url) or "@" in urlsplit_netloc(url):
        return (*label, Text(f" ({clean(url)})")) if url and clean(url) != said else label
    if not said:
        return (Link(url, (Text(url),)),)
    return (Link(url, (*label, Text(f" ({url})")) if _names_other_host(said, url) else label),)


def _names_other_host(label: str, url: str) -> bool:
    if label == url:
        return False
    host = (urlsplit_netloc(url).split(":")[0]).casefold().removeprefix("www.")
    named = [found.group().casefold().removeprefix("www.") for found in _HOST.finditer(label)]
    return any(name != host for name in named) or ("://" in label and not named)


def urlsplit_netloc(url: str) -> str:
    """The host part of an address; the whole address when it has none that can be read."""
    try:
        return urlsplit(url).netloc or url
    except ValueError:
        return url


def _merged(children: Sequence[Inline]) -> tuple[Inline, ...]:
    """Neighbouring texts as one."""
    merged: list[Inline] = []
    for child in children:
        last = merged[-1] if merged else None
        if isinstance(child, Text) and isinstance(last, Text):
            merged[-1] = Text(last.text + child.text)
        else:
            merged.append(child)
    return tuple(merged)

"""Cuts a document into pieces that each fit a platform's limit, as that platform counts.

Cut at a block where possible, else at an item, a line, a word or the end of a Chinese clause, and only then inside a
word, never inside a grapheme.
Fences, quotes, lists and marks are closed in one piece and opened again in the next. The tree is cut, not the rendered
text, so nothing is ever cut inside an entity or a link.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from bot.core.graphemes import border, graphemes
from bot.core.markup import (
    Block,
    Bold,
    Break,
    Bullets,
    Code,
    Document,
    Fence,
    Heading,
    Inline,
    Italic,
    Link,
    Paragraph,
    Quote,
    Strike,
    Text,
    parse,
)

LEAST: Final = 40
"""Below this limit a mark and one character may not fit."""

Measure = Callable[[Document], int]
_Mark = Bold | Italic | Strike | Link
_Atom = tuple[tuple[_Mark, ...], Text | Code | Break]
# A word, or in a language without spaces a part of a sentence with the marks that end it.
_WORDS: Final = re.compile(r"\s*(?:[^\s，。、；：！？…）」』】》〉”’]*[，。、；：！？…）」』】》〉”’]+|\S+)|\s+")


def split(content: str | Document, limit: int, measure: Measure) -> list[Document]:
    """Pieces in order, each of at most `limit` by `measure` (which renders and counts). `limit` is at least 40."""
    if limit < LEAST:
        raise ValueError(f"a limit of {limit} is below {LEAST}")
    document = parse(content) if isinstance(content, str) else content
    pieces: list[Document] = []
    here: Document = ()
    for block in document:
        if measure((*here, block)) <= limit:
            here = (*here, block)
            continue
        if here:
            pieces.append(here)
        *full, here = _cut(block, limit, measure)
        pieces += full
    return [*pieces, here] if here else pieces


def _cut(block: Block, limit: int, measure: Measure) -> list[Document]:
    """One block as pieces; at least one."""
    if measure((block,)) <= limit:
        return [(block,)]
    match block:
        case Fence():
            return _cut_fence(block, limit, measure)
        case Quote(blocks):
            return [(Quote(piece),) for piece in split(blocks, limit, lambda inner: measure((Quote(inner),)))]
        case Bullets():
            return _cut_list(block, limit, measure)
        case Paragraph(children) | Heading(children):
            return _cut_inline(block, children, limit, measure)
        case _:
            return [(block,)]


def _cut_fence(block: Fence, limit: int, measure: Measure) -> list[Document]:
    def room(rest: str) -> int:
        """How many of the first characters fit; a character counts for at least one."""
        return _longest(min(len(rest), limit), lambda end: measure((replace(block, text=rest[:end]),)) <= limit)

    pieces: list[str] = []
    rest = block.text
    while (at := room(rest)) < len(rest):
        line = at if rest[at] == "\n" else rest.rfind("\n", 0, at)
        end = line if line > 0 else border(rest, at)
        pieces.append(rest[:end])
        rest = rest[end + 1 :] if line > 0 else rest[end:]
    return [(replace(block, text=piece),) for piece in (*pieces, rest)]


def _longest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest length up to `most` that fits, at least 1: what is measured only grows."""
    low, high = min(1, most), most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _cut_list(block: Bullets, limit: int, measure: Measure) -> list[Document]:
    """Cut between items; an item that is too long goes on as plain blocks."""
    pieces: list[Document] = []
    here: tuple[Document, ...] = ()
    first = 0

    def bullets(items: tuple[Document, ...]) -> Bullets:
        return Bullets(items, None if block.start is None else block.start + first)

    for number, item in enumerate(block.items):
        if measure((bullets((*here, item)),)) <= limit:
            here = (*here, item)
            continue
        if here:
            pieces.append((bullets(here),))
        here, first = (), number
        if measure((bullets((item,)),)) <= limit:
            here = (item,)
            continue
        pieces += _cut_item(item, limit, measure, bullets)
        first = number + 1
    return [*pieces, (bullets(here),)] if here else pieces


def _cut_item(
    item: Document, limit: int, measure: Measure, bullets: Callable[[tuple[Document, ...]], Bullets]
) -> list[Document]:
    head, *more = split(item, limit, lambda inner: measure((bullets((inner,)),))) or [()]
    return [(bullets((head,)),), *more]


def _cut_inline(block: Paragraph | Heading, children: Sequence[Inline], limit: int, measure: Measure) -> list[Document]:
    def fits(some: Sequence[_Atom]) -> bool:
        return measure((replace(block, children=_rebuilt(some)),)) <= limit

    def room(some: Sequence[_Atom]) -> int:
        return _longest(min(len(some), limit), lambda end: fits(some[:end]))

    pieces: list[Document] = []
    atoms = list(_atoms(children, ()))
    while atoms:
        count = room(atoms)
        if count == 1 and not fits(atoms[:1]):
            smaller = _smaller(atoms, fits)
            if smaller != atoms:
                atoms = smaller
                continue
        pieces.append((replace(block, children=_rebuilt(atoms[:count])),))
        atoms = _trimmed(atoms[count:])
    return pieces


def _atoms(children: Sequence[Inline], marks: tuple[_Mark, ...]) -> Iterator[_Atom]:
    """Words with the marks around them."""
    for child in children:
        match child:
            case Text(text):
                for word in _words(text):
                    yield marks, Text(word)
            case Code() | Break():
                yield marks, child
            case Bold(inner) | Italic(inner) | Strike(inner) | Link(_, inner):
                yield from _atoms(inner, (*marks, replace(child, children=())))


def _words(text: str) -> Iterator[str]:
    """Words, each with the marks that belong to its last character."""
    whole = ""
    for word in _WORDS.findall(text):
        if whole and len(list(graphemes(whole[-1] + word[0]))) == 2:
            yield whole
            whole = ""
        whole += word
    if whole:
        yield whole


def _smaller(atoms: list[_Atom], fits: Callable[[Sequence[_Atom]], bool]) -> list[_Atom]:
    """The same with a first word that is more likely to fit: marks that leave no room go, then the word is halved."""
    marks, leaf = atoms[0]
    if marks and not fits([(marks, Text("x"))]):
        links = [mark for mark in marks if isinstance(mark, Link)]
        return _unlinked(atoms, links[-1]) if links else [((), leaf), *atoms[1:]]
    if isinstance(leaf, Break) or len(leaf.text) < 2:
        return atoms
    clusters = list(graphemes(leaf.text))
    parts = clusters if len(clusters) > 1 else list(leaf.text)
    middle = len(parts) // 2
    halves = ("".join(parts[:middle]), "".join(parts[middle:]))
    return [*((marks, replace(leaf, text=half)) for half in halves), *atoms[1:]]


def _unlinked(atoms: list[_Atom], link: Link) -> list[_Atom]:
    """A link whose address is too long for one piece: its label, then the address as text."""
    end = next((at for at, (marks, _) in enumerate(atoms) if link not in marks), len(atoms))
    label = [(tuple(mark for mark in marks if mark != link), leaf) for marks, leaf in atoms[:end]]
    return [*label, ((), Text(f" ({link.url})")), *atoms[end:]]


def _trimmed(atoms: list[_Atom]) -> list[_Atom]:
    """What follows a cut does not start with space."""
    while atoms:
        marks, leaf = atoms[0]
        if isinstance(leaf, Text):
            text = leaf.text.lstrip()
            if text:
                return [(marks, Text(text)), *atoms[1:]]
        elif not isinstance(leaf, Break):
            return atoms
        atoms = atoms[1:]
    return atoms


def _rebuilt(atoms: Sequence[_Atom], depth: int = 0) -> tuple[Inline, ...]:
    """Inline content of words: neighbours with the same mark share it."""
    children: list[Inline] = []
    at = 0
    while at < len(atoms):
        marks, leaf = atoms[at]
        mark = marks[depth] if len(marks) > depth else None
        end = at + 1
        if mark is None:
            last = children[-1] if children else None
            if isinstance(leaf, Text) and isinstance(last, Text):
                children[-1] = Text(last.text + leaf.text)
            elif isinstance(leaf, Code) and isinstance(last, Code):
                children[-1] = Code(last.text + leaf.text)
            else:
                children.append(leaf)
        else:
            while end < len(atoms) and atoms[end][0][depth : depth + 1] == (mark,):
                end += 1
            children.append(replace(mark, children=_rebuilt(atoms[at:end], depth + 1)))
        at = end
    return tuple(children)

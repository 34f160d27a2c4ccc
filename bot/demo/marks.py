"""Reads the inline marks of a chat platform's texts into `Word`s, and its lines into parts.

The texts are hostile. Nothing here makes markup: what is no known mark stays text, and a link leads to http(s) only.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from bot.demo.channel import Code, Line, LineRole, Mark, Part, Plan, Rule, Step, Word

Say = Callable[[re.Match[str]], tuple[Word, ...] | None]
"""Turns one found mark into words; None leaves it as text."""
_WEB: Final = re.compile(r"https?://[^\s<>\"']+", re.I)
_FENCE: Final = re.compile(r"```[^\S\n]*(?:[\w+-]{1,20}\n|\n)?(.*?)```", re.S)


def is_web(url: str) -> bool:
    """Whether a link may be followed from the page."""
    return _WEB.fullmatch(url) is not None


def link(label: str, url: str) -> tuple[Word, ...]:
    """A link, or its words alone when it leads anywhere but to the web."""
    return (Word(label or url, "link", href=url),) if is_web(url) else (Word(label or url),)


def read_inline(text: str, marks: re.Pattern[str], say: Say, plain: Callable[[str], str]) -> tuple[Word, ...]:
    """The words of one line. `plain` undoes the platform's escapes in what is no mark."""
    found: list[Word] = []
    at = 0
    for match in marks.finditer(text):
        words = say(match)
        if words is None:
            continue
        if match.start() > at:
            found.append(Word(plain(text[at : match.start()])))
        found += words
        at = match.end()
    if at < len(text):
        found.append(Word(plain(text[at:])))
    return tuple(word for word in found if word.text)


def styled(words: tuple[Word, ...], style: Any) -> tuple[Word, ...]:
    """Plain words in a style; links, code and mentions keep their own."""
    return tuple(Word(word.text, style) if word.style == "plain" else word for word in words)


def read_lines(
    text: str,
    inline: Callable[[str], tuple[Word, ...]],
    plain: Callable[[str], str],
    starts: Mapping[str, LineRole],
) -> Iterator[Part]:
    """Code fences, and lines by what they start with. Empty lines between paragraphs are dropped."""
    at = 0
    for fence in _FENCE.finditer(text):
        yield from _plain_lines(text[at : fence.start()], inline, starts)
        yield Code(plain(fence[1].strip("\n")))
        at = fence.end()
    yield from _plain_lines(text[at:], inline, starts)


def _plain_lines(
    text: str, inline: Callable[[str], tuple[Word, ...]], starts: Mapping[str, LineRole]
) -> Iterator[Part]:
    for line in text.split("\n"):
        if not line.strip():
            continue
        if line.strip() in ("---", "———"):
            yield Rule()
            continue
        start = next((start for start in starts if line.startswith(start)), "")
        words = inline(line[len(start) :])
        if words:
            yield Line(words, starts.get(start, "text"))


_SIGNS: Final[Mapping[str, Mark]] = {"✅": "done", "⏳": "active", "⚪": "pending", "○": "pending", "❌": "failed"}


def gather_steps(parts: Iterator[Part]) -> Iterator[Part]:
    """Two or more lines in a row that begin with the sign of a step, as one plan."""
    waiting: list[tuple[Line, Step]] = []
    for part in parts:
        step = _step(part) if isinstance(part, Line) else None
        if step is not None and isinstance(part, Line):
            waiting.append((part, step))
            continue
        yield from _released(waiting)
        waiting = []
        yield part
    yield from _released(waiting)


def _released(waiting: list[tuple[Line, Step]]) -> Iterator[Part]:
    if len(waiting) > 1:
        yield Plan("", tuple(step for _, step in waiting))
    else:
        yield from (line for line, _ in waiting)


def _step(line: Line) -> Step | None:
    text = "".join(word.text for word in line.words)
    sign, space, rest = text.partition(" ")
    if sign not in _SIGNS or not space:
        return None
    label, _, detail = rest.partition(" — ")
    return Step(_SIGNS[sign], label, detail, sign)

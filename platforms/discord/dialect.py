"""Markdown in Discord's dialect. Pure. Only what this module writes is live: links to http(s), never a mention.

Everything of a text that Discord would read as a mark is escaped; `@everyone`, `@here` and the start of every mention
carry a zero-width space, in code too, because the server looks for mentions there as well.
"""

import re
from collections.abc import Sequence
from typing import Final, assert_never

from bot.core import markup
from bot.core.hygiene import clean

ZWSP: Final = "\u200b"
_MARKS: Final = re.compile(r"[\\*_~`|\[\]<]")
_LINE_START: Final = re.compile(r"^(\s*)(#{1,3}|-#|>{1,3}|[-+])(?=\s)", re.MULTILINE)
_NUMBERED: Final = re.compile(r"^(\s*\d{1,9})\.(?=\s)", re.MULTILINE)
_MASS: Final = re.compile(r"@(?=everyone|here)", re.IGNORECASE)
_MENTION: Final = re.compile(r"<(?=@|#|:|a:|/|t:|id:)", re.IGNORECASE)
_SCHEME: Final = re.compile(r"(https?|steam|discord)(?=:/)", re.IGNORECASE)


def discord_markdown(markdown: str) -> str:
    """A text as Discord shows it."""
    return render_blocks(markup.parse(markdown))


def escape(text: str) -> str:
    """Text that Discord shows as it is: no mark, no mention, no link can come of it."""
    text = _MARKS.sub(r"\\\g<0>", text)
    text = _LINE_START.sub(lambda found: f"{found[1]}\\{found[2]}", text)
    text = _NUMBERED.sub(r"\1\\.", text)
    return defuse(_SCHEME.sub(rf"\1{ZWSP}", text))


def defuse(text: str) -> str:
    """No mention in it reaches anyone; for code, where marks need no escaping."""
    return _MENTION.sub(f"<{ZWSP}", _MASS.sub(f"@{ZWSP}", text))


def one_line(text: str) -> str:
    """Cleaned, on one line."""
    return " ".join(clean(text).split())


def render_blocks(blocks: markup.Document, between: str = "\n\n") -> str:
    """A whole document, or a piece of one."""
    return between.join(shown for block in blocks if (shown := _block(block)))


def _block(block: markup.Block) -> str:
    match block:
        case markup.Paragraph(children):
            return _inlines(children)
        case markup.Heading(children):
            return _inlines((markup.Bold(children),))
        case markup.Fence(text, language):
            return f"```{language}\n{defuse(_no_ticks(text))}\n```"
        case markup.Quote(blocks):
            return "\n".join(f"> {line}" for line in render_blocks(blocks).split("\n"))
        case markup.Bullets(items, start):
            marks = ["-" if start is None else f"{start + at}." for at in range(len(items))]
            return "\n".join(_item(mark, item) for mark, item in zip(marks, items, strict=True))
        case markup.Rule():
            return "———"
        case _:
            assert_never(block)


def _item(mark: str, item: markup.Document) -> str:
    return f"{mark} " + render_blocks(item, "\n").replace("\n", "\n  ")


def _no_ticks(text: str) -> str:
    """Backticks apart by a zero-width space: three of them would open or close code."""
    return text.replace("``", f"`{ZWSP}`{ZWSP}")


def _inlines(children: Sequence[markup.Inline]) -> str:
    return "".join(_inline(child) for child in children)


def _inline(child: markup.Inline) -> str:
    match child:
        case markup.Text(text):
            return escape(text)
        case markup.Code(text):
            return f"`{defuse(text.replace('`', 'ˋ'))}`" if text.strip() else ""
        case markup.Break():
            return "\n"
        case markup.Bold(children):
            return _marked("**", children)
        case markup.Italic(children):
            return _marked("*", children)
        case markup.Strike(children):
            return _marked("~~", children)
        case markup.Link(url, children):
            return _link(url, one_line(markup.plain_inline(children)))
        case _:
            assert_never(child)


def _marked(mark: str, children: Sequence[markup.Inline]) -> str:
    inner = _inlines(children)
    return f"{mark}{inner}{mark}" if inner.strip() else inner


def _link(url: str, label: str) -> str:
    """A live link without a preview. Discord shows a label that is itself an address as plain text: it gets a space."""
    target = url.replace("<", "%3C").replace(">", "%3E").replace("(", "%28").replace(")", "%29").replace("\\", "%5C")
    target = _MASS.sub("%40", target)
    if label == url:
        return f"<{target}>"
    return f"[{escape(label) or 'link'}](<{target}>)"

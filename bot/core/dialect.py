"""The walk over a markdown tree that all chat dialects share. Pure. A dialect says how its marks and texts look."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, assert_never

from bot.core import markup
from bot.core.hygiene import clean

ZWSP: Final = "\u200b"


class Dialect(ABC):
    """One platform's markdown. Only what a dialect writes is live: `text`, `code` and `fence` have to defuse all else.

    `bullet` starts an item of a plain list, `indent` its further lines; the others are the marks of the styles."""

    bullet: str = "-"
    indent: str = "    "
    bold: str = "**"
    italic: str = "*"
    strike: str = "~~"

    @abstractmethod
    def text(self, text: str) -> str:
        """Text that shows as it is: no mark, no mention, no link can come of it."""

    @abstractmethod
    def code(self, text: str) -> str:
        """A piece of code in a line; backticks in it are already harmless."""

    @abstractmethod
    def fence(self, text: str, language: str) -> str:
        """A block of code; backticks in it are already harmless."""

    @abstractmethod
    def link(self, url: str, label: str) -> str:
        """A live link. `markup` lets only web addresses through and shows a target that its label denies."""

    def paragraph(self, children: Sequence[markup.Inline]) -> str:
        """Lines of text."""
        return self.inlines(children)

    def marked(self, mark: str, children: Sequence[markup.Inline]) -> str:
        """Text in a style; none for what shows nothing."""
        inner = self.inlines(children)
        return f"{mark}{inner}{mark}" if inner.strip() else inner

    def render(self, markdown: str) -> str:
        """A text in this dialect."""
        return self.blocks(markup.parse(markdown))

    def blocks(self, blocks: markup.Document, between: str = "\n\n") -> str:
        """A whole document, or a piece of one."""
        return between.join(shown for block in blocks if (shown := self._block(block)))

    def inlines(self, children: Sequence[markup.Inline]) -> str:
        return "".join(self._inline(child) for child in children)

    def _block(self, block: markup.Block) -> str:
        match block:
            case markup.Paragraph(children):
                return self.paragraph(children)
            case markup.Heading(children):
                return self.paragraph((markup.Bold(children),))
            case markup.Fence(text, language):
                return self.fence(no_ticks(text), language)
            case markup.Quote(blocks):
                return "\n".join(f"> {line}" for line in self.blocks(blocks).split("\n"))
            case markup.Bullets(items, start):
                marks = [self.bullet if start is None else f"{start + at}." for at in range(len(items))]
                return "\n".join(self._item(mark, item) for mark, item in zip(marks, items, strict=True))
            case markup.Rule():
                return "———"
            case _:
                assert_never(block)

    def _item(self, mark: str, item: markup.Document) -> str:
        return f"{mark} " + self.blocks(item, "\n").replace("\n", f"\n{self.indent}")

    def _inline(self, child: markup.Inline) -> str:
        match child:
            case markup.Text(text):
                return self.text(text)
            case markup.Code(text):
                return self.code(text.replace("`", "ˋ"))
            case markup.Break():
                return "\n"
            case markup.Bold(children):
                return self.marked(self.bold, children)
            case markup.Italic(children):
                return self.marked(self.italic, children)
            case markup.Strike(children):
                return self.marked(self.strike, children)
            case markup.Link(url, children):
                return self.link(url, one_line(markup.plain_inline(children)))
            case _:
                assert_never(child)


def no_ticks(text: str) -> str:
    """Backticks apart by a zero-width space: three of them would open or close code."""
    return text.replace("``", f"`{ZWSP}`{ZWSP}")


def one_line(text: str) -> str:
    """Cleaned, on one line."""
    return " ".join(clean(text).split())

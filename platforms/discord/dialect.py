"""Markdown in Discord's dialect. Pure. Only what this module writes is live: links to http(s), never a mention.

Everything of a text that Discord would read as a mark is escaped; `@everyone`, `@here` and the start of every mention
carry a zero-width space, in code too, because the server looks for mentions there as well.
"""

import re
from typing import Final

from bot.core.dialect import ZWSP, Dialect

_MARKS: Final = re.compile(r"[\\*_~`|\[\]<]")
_LINE_START: Final = re.compile(r"^(\s*)(#{1,3}|-#|>{1,3}|[-+])(?=\s)", re.MULTILINE)
_NUMBERED: Final = re.compile(r"^(\s*\d{1,9})\.(?=\s)", re.MULTILINE)
_MASS: Final = re.compile(r"@(?=everyone|here)", re.IGNORECASE)
_MENTION: Final = re.compile(r"<(?=@|#|:|a:|/|t:|id:)", re.IGNORECASE)
_SCHEME: Final = re.compile(r"(https?|steam|discord)(?=:/)", re.IGNORECASE)


def escape(text: str) -> str:
    """Text that Discord shows as it is: no mark, no mention, no link can come of it."""
    text = _MARKS.sub(r"\\\g<0>", text)
    text = _LINE_START.sub(lambda found: f"{found[1]}\\{found[2]}", text)
    text = _NUMBERED.sub(r"\1\\.", text)
    return defuse(_SCHEME.sub(rf"\1{ZWSP}", text))


def defuse(text: str) -> str:
    """No mention in it reaches anyone; for code, where marks need no escaping."""
    return _MENTION.sub(f"<{ZWSP}", _MASS.sub(f"@{ZWSP}", text))


class _Discord(Dialect):
    indent = "  "

    def text(self, text: str) -> str:
        return escape(text)

    def code(self, text: str) -> str:
        return f"`{defuse(text)}`" if text.strip() else ""

    def fence(self, text: str, language: str) -> str:
        return f"```{language}\n{defuse(text)}\n```"

    def link(self, url: str, label: str) -> str:
        """A link without a preview. Discord shows a label that is itself an address as plain text: it gets a space."""
        target = (
            url.replace("<", "%3C").replace(">", "%3E").replace("(", "%28").replace(")", "%29").replace("\\", "%5C")
        )
        target = _MASS.sub("%40", target)
        if label == url:
            return f"<{target}>"
        return f"[{escape(label) or 'link'}](<{target}>)"


_DISCORD: Final = _Discord()
discord_markdown: Final = _DISCORD.render
"""A text as Discord shows it."""
render_blocks: Final = _DISCORD.blocks
"""A whole document, or a piece of one."""

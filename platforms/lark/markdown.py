"""The markdown tree in Lark's dialect, for cards. Pure.

Only this module makes marks and links. In text every character that Lark could read is written as an entity, as its
page on rich text asks; in code, where entities are not read, a zero-width space takes a tag apart.
"""

import re
from collections.abc import Sequence
from typing import Final

from bot.core import markup
from bot.core.dialect import ZWSP, Dialect

_SPECIAL: Final = re.compile(r"[&<>*_~`\[\]\\|$]")
_LINE_START: Final = re.compile(r"^([ \t]*)([#+=-]|\d{1,9}(?=[.)](?:\s|$)))", re.MULTILINE)
_TAG: Final = re.compile(r"<(?=\s*/?\s*(?:at|person|a|link|font|text_tag|number_tag)\b)", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"(?<=:)(?=//)|(?<=\bwww)(?=\.)", re.IGNORECASE)
_EMOJI: Final = re.compile(r":(?=[A-Za-z0-9_]{1,40}:)")
_FENCE_LINE: Final = re.compile(r"^\s*(?:>\s*|[-•]\s*|\d+\.\s*)*```", re.MULTILINE)
_CODE: Final = re.compile(r"`[^`]*`")


def escape(text: str) -> str:
    """Text for a markdown element that shows as it is: no mention, no mark, no link can come of it."""
    said = _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", _ADDRESS.sub(ZWSP, text))
    return _EMOJI.sub("&#58;", said)


def defuse(text: str) -> str:
    """Text for a place without markdown, or code: tags come apart."""
    return _TAG.sub("<" + ZWSP, text)


def fit(rendered: str, limit: int) -> str:
    """Rendered text shortened to `limit` characters, with an ellipsis; entities, links and fences stay whole."""
    if len(rendered) <= limit:
        return rendered
    if limit < 8:
        return ""
    head = re.sub(r"&(?:#\d*)?\Z", "", rendered[: limit - 6])
    if len(_FENCE_LINE.findall(head)) % 2:
        return head.rstrip() + "…\n```"
    before, newline, last = head.rpartition("\n")
    return f"{before}{newline}{_closed(last)}".rstrip() + "…"


def _closed(line: str) -> str:
    """A rendered line without the code or the link that a cut left open: what was code would come to life."""
    if _FENCE_LINE.match(line):
        return line
    if line.count("`") % 2:
        line = line[: line.rfind("`")]
    words = _CODE.sub(lambda found: " " * len(found[0]), line)
    link = words.rfind("[")
    return line if link < 0 or re.search(r"\]\([^()\s]*\)", words[link:]) else line[:link]


class _Lark(Dialect):
    def text(self, text: str) -> str:
        return escape(text)

    def code(self, text: str) -> str:
        return f"`{defuse(text)}`" if text.strip() else ""

    def fence(self, text: str, language: str) -> str:
        return f"```{language}\n{defuse(text)}\n```"

    def link(self, url: str, label: str) -> str:
        target = url
        for character in "()<>[]* _~`\\\"'|$":
            target = target.replace(character, f"%{ord(character):02X}")
        return f"[{escape(label) or 'link'}]({target})"

    def paragraph(self, children: Sequence[markup.Inline]) -> str:
        """What would start a list, a heading or a rule in one of its lines only shows."""
        shown = "\n".join(one.lstrip(" \t") for one in self.inlines(children).split("\n"))
        return _LINE_START.sub(lambda found: found[1] + _plain_start(found[2]), shown)

    def marked(self, mark: str, children: Sequence[markup.Inline]) -> str:
        """Marks hug the text; a space between them would show the marks."""
        inner = self.inlines(children)
        core = inner.strip()
        if not core:
            return inner
        before, after = inner[: len(inner) - len(inner.lstrip())], inner[len(inner.rstrip()) :]
        return f"{before}{mark}{core}{mark}{after}"


def _plain_start(mark: str) -> str:
    return f"{mark[:-1]}&#{ord(mark[-1])};"


_LARK: Final = _Lark()
markdown: Final = _LARK.render
"""Markdown in Lark's dialect. Only what this module writes is live: links to http(s), never a mention."""
render_blocks: Final = _LARK.blocks
"""A parsed document in Lark's dialect."""

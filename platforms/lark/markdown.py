"""The markdown tree in Lark's dialect, for cards. Pure.

Only this module makes marks and links. In text every character that Lark could read is written as an entity, as its
page on rich text asks; in code, where entities are not read, a zero-width space takes a tag apart.
"""

import re
from collections.abc import Sequence
from typing import Final, assert_never

from bot.core import markup
from bot.core.hygiene import clean

_SPECIAL: Final = re.compile(r"[&<>*_~`\[\]\\|$]")
_LINE_START: Final = re.compile(r"^([ \t]*)([#+=-]|\d{1,9}(?=[.)](?:\s|$)))", re.MULTILINE)
_TAG: Final = re.compile(r"<(?=\s*/?\s*(?:at|person|a|link|font|text_tag|number_tag)\b)", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"(?<=:)(?=//)|(?<=\bwww)(?=\.)", re.IGNORECASE)
_EMOJI: Final = re.compile(r":(?=[A-Za-z0-9_]{1,40}:)")
_FENCE_LINE: Final = re.compile(r"^\s*(?:>\s*|[-•]\s*|\d+\.\s*)*```", re.MULTILINE)
_CODE: Final = re.compile(r"`[^`]*`")
_NOTHING: Final = "\u200b"


def markdown(text: str) -> str:
    """Markdown in Lark's dialect. Only what this module writes is live: links to http(s), never a mention."""
    return render_blocks(markup.parse(text))


def render_blocks(blocks: markup.Document, between: str = "\n\n") -> str:
    """A parsed document in Lark's dialect."""
    return between.join(shown for block in blocks if (shown := _block(block)))


def escape(text: str) -> str:
    """Text for a markdown element that shows as it is: no mention, no mark, no link can come of it."""
    said = _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", _ADDRESS.sub(_NOTHING, text))
    return _EMOJI.sub("&#58;", said)


def defuse(text: str) -> str:
    """Text for a place without markdown, or code: tags come apart."""
    return _TAG.sub("<" + _NOTHING, text)


def line(text: str) -> str:
    """One clean line."""
    return " ".join(clean(text).split())


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


def _block(block: markup.Block) -> str:
    match block:
        case markup.Paragraph(children):
            return _lines(children)
        case markup.Heading(children):
            return _lines((markup.Bold(children),))
        case markup.Fence(text, language):
            return f"```{language}\n{defuse(_no_ticks(text))}\n```"
        case markup.Quote(blocks):
            return "\n".join(f"> {one}" for one in render_blocks(blocks).split("\n"))
        case markup.Bullets(items, start):
            marks = ["-" if start is None else f"{start + at}." for at in range(len(items))]
            return "\n".join(_item(mark, item) for mark, item in zip(marks, items, strict=True))
        case markup.Rule():
            return "———"
        case _:
            assert_never(block)


def _item(mark: str, item: markup.Document) -> str:
    return f"{mark} " + render_blocks(item, "\n").replace("\n", "\n    ")


def _lines(children: Sequence[markup.Inline]) -> str:
    """A paragraph: what would start a list, a heading or a rule in one of its lines only shows."""
    shown = "\n".join(one.lstrip(" \t") for one in _inlines(children).split("\n"))
    return _LINE_START.sub(lambda found: found[1] + _plain_start(found[2]), shown)


def _plain_start(mark: str) -> str:
    return f"{mark[:-1]}&#{ord(mark[-1])};"


def _no_ticks(text: str) -> str:
    return text.replace("``", f"`{_NOTHING}`{_NOTHING}")


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
            return _link(url, line(markup.plain_inline(children)))
        case _:
            assert_never(child)


def _marked(mark: str, children: Sequence[markup.Inline]) -> str:
    """Marks hug the text; a space between them would show the marks."""
    inner = _inlines(children)
    core = inner.strip()
    if not core:
        return inner
    before, after = inner[: len(inner) - len(inner.lstrip())], inner[len(inner.rstrip()) :]
    return f"{before}{mark}{core}{mark}{after}"


def _link(url: str, label: str) -> str:
    """A live link. `markup` lets only web addresses through and shows a target that its label denies."""
    target = url
    for character in "()<>[]* _~`\\\"'|$":
        target = target.replace(character, f"%{ord(character):02X}")
    return f"[{escape(label) or 'link'}]({target})"

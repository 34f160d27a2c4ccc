"""What must never be in a text: terminal escapes, control characters and characters that nobody can see.

Applied to every description on entry and to every string of users, agents, repositories and logs on its way out
(security rule 8): strip what is invisible, strip ANSI and OSC sequences, strip C0/C1 controls but newline and tab, NFC.
"""

import re
import unicodedata
from typing import Final

from bot.core.graphemes import border

_INVISIBLE: Final = re.compile(
    "["
    "\u00ad\u034f\u061c"  # soft hyphen, grapheme joiner, Arabic letter mark
    "\u115f\u1160\u3164\uffa0"  # Hangul fillers: letters that show as nothing
    "\u17b4\u17b5\u180b-\u180f"  # Khmer inherent vowels, Mongolian selectors
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f"  # zero width, bidi embeddings, overrides and isolates
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb"  # variation selectors, BOM, interlinear marks
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # musical controls, tags, selectors supplement
    "\ud800-\udfff\ufffe\uffff"  # lone surrogates and noncharacters: no encoder takes them
    "]+"
)
_ANSI: Final = re.compile(
    r"\x1b\][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, ended by BEL or ST
    r"|\x1b[PX^_][^\x1b\x9c\n]*(?:\x1b\\|\x9c)?"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    r"|\x1b[ -/]*[0-~]?"  # two-character escapes
)
_LINE_ENDS: Final = re.compile("\r\n?|[\u0085\u2028\u2029]")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")


def clean(text: str) -> str:
    """The text without invisible characters, terminal escapes and controls, in NFC, lines ended by a newline.

    Cleaning twice changes nothing.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text  # most texts: several times faster than to look for everything
    text = _LINE_ENDS.sub("\n", _INVISIBLE.sub("", text))
    return unicodedata.normalize("NFC", _CONTROLS.sub("", _ANSI.sub("", text)))


def count_hidden(text: str) -> int:
    """How many code points `clean` takes out (a line end counts as kept, however it was written)."""
    visible = _LINE_ENDS.sub("\n", _INVISIBLE.sub("", text))
    hidden = len(_LINE_ENDS.sub("\n", text)) - len(visible)
    return hidden + len(visible) - len(_CONTROLS.sub("", _ANSI.sub("", visible)))


def is_blank(text: str) -> bool:
    """Whether a reader would see nothing."""
    return not clean(text).strip()


def cut(text: str, limit: int) -> str:
    """At most `limit` code points, cut at a word where one is near and never inside a character, then an ellipsis."""
    if len(text) <= limit:
        return text
    head = text[: border(text, max(limit - 1, 0))]
    at_word = head.rsplit(None, 1)[0] if len(head.split(None, 1)) > 1 else head
    return (at_word if len(at_word) * 2 > len(head) else head).rstrip() + "…"

"""A message as the scorer reads it: without code, quotes, links and names, in lower case, of bounded length."""

import re
import unicodedata
from typing import Final

READ_MAX: Final = 500
"""How many characters of a message are read: its head and, where it is longer, its tail."""
_TAIL: Final = 150

_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{1,200}`", re.DOTALL)
_QUOTED: Final = re.compile(r"^[ \t]*(?:>|&gt;).*$", re.MULTILINE)
_LINK: Final = re.compile(r"<?https?://[^\s<>]+>?|\[link\]", re.IGNORECASE)
_ISSUE: Final = re.compile(r"(?<![\w/])(?:[\w.-]{1,40}/[\w.-]{1,40})?#\d{1,6}\b|\b[A-Z]{2,6}-\d{1,6}\b|\[issue\]")
_MAIL: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}\.[\w.]{2,20}|\[email\]")
_PERSON: Final = re.compile(r"<@!?[\w|.-]{1,64}>|(?<![\w.])@[\w.-]{1,64}")
_ADDRESSED: Final = re.compile(r"^\s*(?:personword\s*[:：,，]?\s*)+")
_REPEATED: Final = re.compile(r"(.)\1{3,}", re.DOTALL)
_APOSTROPHES: Final = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u00b4": "'"})


def read(text: str) -> str:
    """The text with code, links, issue numbers, addresses and people each put as one made-up word, in lower case."""
    if len(text) > 2 * READ_MAX:
        text = text[: 2 * READ_MAX - _TAIL] + "\n" + text[-_TAIL:]
    text = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)[: 2 * READ_MAX]
    text = text.replace("[code]", " codeword ")
    text = _CODE.sub(" codeword ", _QUOTED.sub("", text))
    text = _MAIL.sub(" mailword ", _LINK.sub(" linkword ", text))
    text = _PERSON.sub(" personword ", _ISSUE.sub(" issueword ", text))
    text = _REPEATED.sub(r"\1\1\1", text).lower()
    if len(text) > READ_MAX:
        text = text[: READ_MAX - _TAIL] + "\n" + text[-_TAIL:]
    return text


def without_code(text: str) -> str:
    """The text without quoted lines and code, for what looks at its own words only."""
    return _CODE.sub(" ", _QUOTED.sub("", text[: 4 * READ_MAX]))


def split_address(plain: str) -> tuple[bool, str]:
    """Whether it opens with the name of a person it speaks to, and the rest."""
    found = _ADDRESSED.match(plain)
    return (True, plain[found.end() :]) if found else (False, plain)

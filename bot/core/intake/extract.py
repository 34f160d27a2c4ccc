"""What a suggestion says without a model: the title is the first sentence, the problem is the text."""

import re
from dataclasses import dataclass
from typing import Final

from bot.core.hygiene import clean, cut
from bot.core.intake.language import language_of
from bot.core.intake.markers import find_marker
from bot.core.tasks import DESCRIPTION_MAX, TITLE_MAX

_ENDS: Final = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])|\n+")
_GREETING: Final = re.compile(
    r"^(?:(?:hi|hey|hello|good morning|morning)\b[ ]?(?:all|team|folks|everyone|guys|there)?|大家好|各位好|各位|你好)"
    r"[\s,，!！.。:：~]+",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(r"<[@#!][^<>\s]{1,80}>|(?<!\w)@[\w.-]{1,40}[:：]?")
_LINKED: Final = re.compile(r"<?https?://[^\s<>]+>?")
_FEWEST: Final = 8
"""Characters (Chinese: half of it) that a first sentence needs to be a title by itself; else the next joins it."""


@dataclass(frozen=True, slots=True)
class Extract:
    """What a code task would say."""

    title: str
    """At most 80 characters on one line, without mentions and links; empty when nothing else was said."""
    problem: str
    """The text, cleaned of what nobody can see."""
    language: str
    """`en` or `zh`."""


def extract(text: str) -> Extract:
    """Title, problem and language of a message. Never raises."""
    problem = clean(text[: 4 * DESCRIPTION_MAX]).strip()[:DESCRIPTION_MAX]
    marker = find_marker(problem)
    return Extract(_title(marker.rest if marker else problem), problem, language_of(problem))


def _title(text: str) -> str:
    plain = " ".join(_LINKED.sub(" ", _NAMED.sub(" ", text[:1_000])).split(" "))
    plain = _GREETING.sub("", plain.strip()) or plain.strip()
    title = ""
    for sentence in _ENDS.split(plain):
        title = f"{title} {' '.join(sentence.split())}".strip()
        if len(title) >= (_FEWEST // 2 if language_of(title) == "zh" else _FEWEST):
            break
    return cut(title, TITLE_MAX)

"""Explicit markers: words by which a message says itself that it is a feature request or a bug report."""

import re
from dataclasses import dataclass
from typing import Final

from bot.core.intake.kinds import Kind

_FEATURE: Final = (
    r"feature[ -]?requests?|feature[ -]?req|feat(?:ure)?|fr|rfe|enhancement(?: request)?|new feature|"
    r"功能(?:需求|请求|建议)|新功能(?:需求|请求|建议)?|新需求|需求|特性请求|改进建议|优化建议"
)
_BUG: Final = (
    r"bug(?:[ -]?report)?s?|defect|(?:错误|故障|缺陷|问题|bug)(?:报告|反馈|上报)|缺陷|"
    r"[报提](?:个|一个)?[ ]?bug"
)
_GREETED: Final = r"(?:<?@[\w.|:-]+>?|hi|hey|hello|大家好|各位)[ \t,:，：]*(?:all|team|folks|everyone)?[ \t,:，：!.]*"
_LEAD: Final = rf"(?:^|\n)[ \t]*(?:{_GREETED})?"
_ENDED: Final = r"[*_`~]{0,3}[ \t]*(?:[:：][*_`~]{0,3}|[ \t]--?[ \t]|[ \t]?[—–])"
_MARKER: Final = re.compile(
    rf"{_LEAD}(?:"
    rf"[*_`~]{{0,3}}(?:(?P<feature>{_FEATURE})|(?P<bug>{_BUG})){_ENDED}"
    rf"|[\[【(（#][ \t]*(?:(?P<feature_tag>{_FEATURE})|(?P<bug_tag>{_BUG}))(?:[ \t]*[\]】)）][ \t]*[:：]?|(?=[ \t]))"
    rf")[ \t]*(?P<rest>\S[\s\S]*)",
    re.IGNORECASE,
)
_INSIDE: Final = re.compile(
    r"[.!?。！？，, ][ \t]*(?:(?P<feature>feature[ -]?request|功能需求|功能请求)|(?P<bug>bug report))[ \t]?[:：]"
    r"[ \t]*(?P<rest>\S[\s\S]*)",
    re.IGNORECASE,
)
_REST_LETTERS: Final = 2


@dataclass(frozen=True, slots=True)
class Marker:
    """What a message says of itself, and what is left without those words."""

    kind: Kind
    rest: str


def find_marker(text: str) -> Marker | None:
    """The marker at the start of a line ("FR: ...", "[bug] ...", "功能需求：..."), or a full name inside a sentence.

    A marker with nothing behind it is none. `text` is searched as it is: take quotes and code out first.
    """
    for pattern in (_MARKER, _INSIDE):
        found = pattern.search(text)
        if found is None:
            continue
        rest = found["rest"].strip()
        if sum(map(str.isalnum, rest)) < _REST_LETTERS:
            continue
        named = found.groupdict()
        wish = named.get("feature") or named.get("feature_tag")
        return Marker(Kind.FEATURE_REQUEST if wish else Kind.BUG_REPORT, rest)
    return None

"""The pieces at the start of a text, in the order in which they stand."""

import re
from dataclasses import dataclass
from typing import Final

from bot.core.when import chinese, english, lengths, machine
from bot.core.when.items import MANY, Clock, Date, DayPart, Exact, Item, SameTime, Shift, Stop, Weekday
from bot.core.when.numbers import NUMBER_WORD
from bot.core.when.rules import longest
from bot.core.when.zones import Zone, in_brackets, read_zone

LIMIT: Final = 200
"""Letters of a text that are looked at; no time is longer."""
MOST_PIECES: Final = 10

_RULES: Final = (*machine.RULES, *english.RULES, *chinese.RULES)
_FILLER: Final = re.compile(
    r"(?:at|on|around|about|approximately|approx\.?|exactly|the)(?![a-z0-9_'])|[@~]|在|于|的|左右|大约|大概|约|准时|定在|定"
)
_TAIL: Final = re.compile(
    r"(?:\s*[,，]?\s*(?:sharp|exactly|on\s+the\s+dot|please|pls|plz|thanks|thx|or\s+so)(?![a-z0-9_'])|左右|准时|吧|整)+"
)
_RANGE: Final = re.compile(
    r"\s*(?:-|~|(?:to|til|till|until|through|thru|or|and)(?![a-z])|&|/|到|至|或者?|和|、|还是)\s*"
)
_UNTIL: Final = re.compile(r"\s*-\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?!\d)")
_WEAK_ZONE: Final = frozenset(["et", "ct", "mt", "pt", "z", "central", "eastern", "mountain", "pacific"])
_WORDS_TOO: Final = frozenset(["wet", "west"])
"""Abbreviations that are words: zones only where nothing follows."""
_DAY_NAME: Final = r"(?:mon|tues?|wed|wednes|thu|thurs?|fri|sat|satur|sun)(?:day)?(?![a-z])"
_EVENT: Final = (
    r"(?:上班|下班|上学|放学|起床|睡觉?|开会|散会|会议|吃饭|[早午晚][饭餐]|午[休睡]"
    r"|[开收]盘|上线|发布|发版|部署|天黑|日出|日落)"
)
_MORE_TIME: Final = re.compile(
    r"\s*[,;、]?\s*(?:(?:at|@|around|about|approx\.?|circa|~)\s*-?\d|\d{1,2}\s?(?::\d\d|[ap]\.?m(?![a-z])|[apm]{1,2}(?![a-z])|-?ish(?![a-z])|点)"
    r"|(?:am|pm|a\.m|p\.m)(?![a-z])|[零一二两三四五六七八九十]{1,4}\s*[点号]"
    r"|(?P<span>\d{1,2}\s*-\s*\d{1,2}(?![a-z0-9:-])|(?:to|through|thru)\s+\d{1,2}(?![a-z0-9:%]))"
    rf"|(?P<list>(?<=[,、])\s*(?:and\s+)?(?:{_DAY_NAME}|(?:周|星期|礼拜)[一二三四五六日天]|\d{{1,2}}[日号]))"
    rf"|(?P<again>(?:and\s+then|and|then|&)\s+(?:every|each|daily|hourly|weekly|monthly|nightly)(?![a-z])|(?:起|开始)\s*,?\s*(?:每|天天))"
    rf"|in\s+(?:(?:an?\s+)?couple\s+(?:of\s+)?|an?\s+|\d+\s*|{NUMBER_WORD}\s+)"
    r"(?:minute|min|hour|hr|day|week|wk|fortnight|month|year)s?(?![a-z-])"
    rf"|half\s+(?:\d|{NUMBER_WORD})|(?:no|not)\s+(?:later|earlier|sooner|before|after|until)\b"
    r"|at\s+the\s+(?:latest|earliest)\b|(?:latest|earliest)\s+\d"
    rf"|on\s+{_DAY_NAME}(?!')"
    r"|(?:(?<=hour )|(?<=hours )|(?<=hr )|(?<=hrs )|(?<=\dh )|(?<=小时))[0-5][05](?![a-z0-9:%/-])"
    r"|and\s+(?:an?\s+)?(?:half|quarter)(?![a-z])"
    r"|(?:to|past)\s+(?:noon|midnight)|(?:late|early)\s+(?:morning|afternoon|evening|night)(?![a-z])"
    r"|by\s+(?:eod|cob|end\s+of)|from\s+(?:tomorrow|today)(?![a-z])|(?:[01]\d|2[0-3])[0-5]\d(?![a-z0-9:%/-])"
    r"|(?P<or>or|-)\s*(?:\d|(?:one|two|three|four|five|six|seven|eight|nine|ten)\b)"
    rf"|(?:before|after|until|till)\b|(?:by|from|since|between)\s+(?:\d|noon|midnight)|[之以]?[前后]|[之以]?内|[早晚](?:点|些|一点)|{_EVENT}[之以]?[前后](?![端台天日续面者门置继]))"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Items that were read as one, and where they end in the text."""

    items: tuple[Item, ...]
    end: int


def scan(text: str) -> list[Piece]:
    """The pieces from the start of a plain text, up to the first word that is no part of a time."""
    text = text[: 2 * LIMIT]  # a run of spaces would be gone over again and again
    pieces: list[Piece] = []
    position, limit = 0, min(len(text), LIMIT)
    while len(pieces) < MOST_PIECES and position < limit:
        found = _next(text, position, pieces)
        if found is None:
            break
        items, end = found
        pieces.append(Piece(items, end))
        position = end
        if _is_span(items[-1], text, position) or _in_a_row(pieces) > 2:
            pieces.append(Piece((MANY,), position))
            break
        zone_next = read_zone(text, position + _spaces(text, position))
        after = None if zone_next else _RANGE.match(text, position)
        other = _read(text, after.end(), pieces) if after else None
        if after and other and _same_kind(_told(pieces), other[0][0], after[0].strip()):
            pieces.append(Piece((MANY,), other[1]))
            break
        if after and other and after[0].strip() in ("-", "/"):
            position = after.end()
    tail = _TAIL.match(text, position) if pieces else None
    if tail:
        pieces[-1] = Piece(pieces[-1].items, tail.end())
    return pieces


def _told(pieces: list[Piece]) -> Item:
    """What was said last: of `2026-03-10T09:00` the date, of `9am ET` the time of day."""
    items = pieces[-1].items
    if isinstance(items[-1], Zone) and len(pieces) > 1:
        return pieces[-2].items[-1]
    return items[0] if isinstance(items[0], Date) else items[-1]


def _in_a_row(pieces: list[Piece]) -> int:
    """How many weekdays were named one behind the other at the end."""
    count = 0
    while count < len(pieces) and isinstance(pieces[-1 - count].items[0], Weekday):
        count += 1
    return count


def several_weekdays(pieces: list[Piece]) -> bool:
    """`mon wed check`."""
    return any(_in_a_row(pieces[:count]) > 1 for count in range(2, len(pieces) + 1))


def _is_span(item: Item, text: str, at: int) -> bool:
    """Whether `-10:00` behind `09:00` is where it ends, not an offset of the world."""
    found = _UNTIL.match(text, at)
    if found is None or not isinstance(item, Clock):
        return False
    return machine.is_end((item.hour, item.minute), (int(found["hour"]), int(found["minute"])))


def _next(text: str, at: int, before: list[Piece]) -> tuple[tuple[Item, ...], int] | None:
    """The next items, behind at most four words such as `at` and `on the`."""
    for _ in range(5):
        at += _spaces(text, at)
        found = _read(text, at, before)
        filler = None if found else _FILLER.match(text, at)
        if filler is None:
            return found
        at = filler.end()
    return None


def _spaces(text: str, at: int) -> int:
    return len(text) - at - len(text[at:].lstrip(" ,;()"))


def _same_kind(first: Item, second: Item, between: str) -> bool:
    """`monday to friday`, `2h or 3h`; not `monday - 9am`, and not `tomorrow and 2 more`."""
    if isinstance(first, Clock | DayPart):
        return isinstance(second, Clock | DayPart)
    if isinstance(first, Exact):
        return isinstance(second, Exact | Date) or (isinstance(second, Clock) and not second.loose)
    if isinstance(first, Date) and isinstance(second, Exact):
        return True
    if isinstance(first, Shift):
        return isinstance(second, Shift) or (isinstance(second, Clock) and second.loose)
    if isinstance(second, Clock | Shift | Exact | Zone | Stop):
        return between in ("or", "或", "或者", "还是") and not (isinstance(second, Clock) and second.loose)
    return not isinstance(second, DayPart | SameTime)


def _read(text: str, at: int, before: list[Piece]) -> tuple[tuple[Item, ...], int] | None:
    best = longest(_RULES, text, at)
    for read in (lengths.read_length, chinese.read_length):
        found = read(text, at)
        if found is not None and (
            best is None or found[1] > best[1] or (found[1] == best[1] and isinstance(best[0][0], Clock))
        ):
            best = found
    zone = read_zone(text, at)
    if zone is not None and (best is None or zone[1] > best[1]) and _is_zone(text, at, zone, before):
        best = (zone[0],), zone[1]
    return best


def _is_zone(text: str, at: int, zone: tuple[Zone, int], before: list[Piece]) -> bool:
    """`et` and `central` are zones behind a time of day or at the end, else words."""
    named = text[at : zone[1]].strip("() ")
    last = before[-1].items[-1] if before else None
    if in_brackets(text, at):
        return isinstance(last, Clock | DayPart)
    if named in _WORDS_TOO:
        return not text[zone[1] :].strip()
    return named not in _WEAK_ZONE or isinstance(last, Clock | DayPart) or not text[zone[1] :].strip()


def goes_on(text: str, at: int) -> bool:
    """Whether a whole text goes on with another time: `in an hour or two`, `tomorrow, then every hour`."""
    found = _MORE_TIME.match(text[: at + LIMIT], at)
    return found is not None and bool(found["or"] or found["again"])


def more_time(text: str, at: int) -> Stop | None:
    """Why what follows a time cannot be its text: it goes on about the time, in a way that was not understood."""
    found = _MORE_TIME.match(text[: at + LIMIT], at)
    if found is None:
        return None
    return MANY if found["or"] or found["span"] or found["list"] or found["again"] else Stop("when.unclear")

"""Lengths of time in English: `in 2h`, `1h 30m`, `an hour and a half from now`, `+90min`, `2 weeks ago`."""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from bot.core.when.items import MANY, PAST, UNCLEAR, Item, Shift
from bot.core.when.numbers import NUMBER_WORD, english_number

MOST: Final = 10**9
"""More seconds than this are beyond every horizon; it keeps the sums small."""
MOST_DAYS: Final = 10**6

_UNITS: Final = {
    "seconds": ("s", "sec", "secs", "second", "seconds"),
    "minutes": ("m", "min", "mins", "minute", "minutes"),
    "hours": ("h", "hr", "hrs", "hour", "hours"),
    "days": ("d", "day", "days"),
    "weeks": ("w", "wk", "wks", "week", "weeks"),
    "fortnights": ("fortnight", "fortnights"),
    "months": ("mo", "mos", "mth", "mths", "month", "months"),
    "years": ("y", "yr", "yrs", "year", "years"),
    "workdays": ("working day", "working days", "business day", "business days", "workday", "workdays"),
}
_WORKING: Final = ("work", "business")
_UNIT_OF: Final = {word: unit for unit, words in _UNITS.items() for word in words}
_UNIT: Final = "|".join(sorted((word.replace(" ", r"\s+") for word in _UNIT_OF), key=len, reverse=True))
SIZES: Final = {
    unit: size
    for size, unit in enumerate(
        ("seconds", "minutes", "hours", "workdays", "days", "weeks", "fortnights", "months", "years")
    )
}
"""The units of one length come from the largest down: `1h 30m`, not `2h and 3h`."""
LARGEST: Final = len(SIZES)
_THOUSANDS: Final = r"\d{1,3}(?:,\d{3})+(?![\d.,])"
_NUMBER: Final = rf"(?:{_THOUSANDS}|(?!0\d)\d{{1,18}}(?:[.,]\d{{1,6}})?|{NUMBER_WORD})"
_AMOUNT: Final = rf"""(?:
    (?P<quarters>(?:an?\s+|three\s+|1\s+|3\s+)?quarters?(?:\s+of\s+an?)?)
  | (?P<half>half\s+(?:of\s+)?an?|an?\s+half|half|1/2|½)
  | (?P<fourth>¼|1/4|¾|3/4)(?:\s+of\s+an?)?
  | (?P<couple>(?:an?\s+)?couple(?:\s+of)?)
  | (?P<number>{_NUMBER})(?P<more>\s*½|\s+1/2|\s+and\s+a\s+half|\s+and\s+1/2)?
  | (?P<one>an?|another)
)"""
_PIECE: Final = re.compile(
    rf"{_AMOUNT}(?P<gap>\s*-?\s*)(?P<unit>{_UNIT})(?![a-z_])(?!'(?!s\s+time)[a-z])(?P<half_more>\s+and\s+a\s+half(?![a-z]))?",
    re.VERBOSE,
)
_HOUR_AND_MINUTES: Final = re.compile(
    rf"(\d{{1,2}})\s?(?P<word>hours?|hrs?|h)(?P<gap>\s?)([0-5]\d)(?![\w:])(?!\s*(?:{_UNIT})(?![a-z_])|[.,]\d|\s*½)"
)
_JOIN: Final = re.compile(r"(?:\s*,)?\s*(?:and\s+|&\s*)?")
_BEFORE: Final = re.compile(
    r"(?P<in>in|after|\+)\s*(?:about\s+|around\s+|approx\.?\s+|~\s*|exactly\s+)?(?P<minus>-)?|(?P<less>-)"
)
_AFTER: Final = re.compile(
    r"(?:'s?)?\s*(?:(?P<on>(?:from\s+now|from\s+today|hence|later|time)\b|(?:之后|以后|过后|后))|(?P<back>(?:ago|back|earlier)\b|前|之前|以前))"
)
_RANGE: Final = re.compile(rf"(?:in\s+)?{_NUMBER}\s*(?:-|to|or|~|到|至)\s*{_NUMBER}\s*(?:{_UNIT})(?![a-z'_])")
_DOTTED: Final = re.compile(r"(?P<hour>\d{1,2})\.(?P<minute>[0-5]\d)\s?(?:h|hrs?|hours?)(?![a-z_])")
_MILITARY: Final = re.compile(r"[0-2]\d[0-5]\d\s?(?:h|hrs|hours)\b")
_WITHIN: Final = re.compile(r"\s*[之以]?内")


@dataclass(frozen=True, slots=True)
class _Length:
    shift: Shift
    end: int
    article: bool
    """Said with an article only (`an hour`), which without `in` is too common a phrase to be a time."""
    several: bool = False
    """More than one length: `2h and 3h`, or one that comes again: `2 hours a day`."""
    loose: bool = False
    """`1 hour 20`, where the last number can be the start of the text."""


def read_length(text: str, at: int) -> tuple[tuple[Item, ...], int] | None:
    """The length of time at a position of the plain text, as a shift from now; a range or the past is a refusal."""
    several, before = _RANGE.match(text, at), _BEFORE.match(text, at)
    start = before.end() if before else at
    dotted = _dotted(text, start, alone=before is None)
    if dotted is not None:
        return dotted or None
    length = _length(text, start)
    if several and (length is None or length.end < several.end()):
        return (MANY,), several.end()
    if length is None or _WITHIN.match(text, length.end):
        return None
    if length.several:
        return (MANY,), length.end
    after = _AFTER.match(text, length.end)
    end = after.end() if after else length.end
    if (before and (before["minus"] or before["less"])) or (after and after["back"]):
        return (PAST,), end
    bare = before is None and after is None
    if bare and _MILITARY.match(text, at):
        return None
    return (replace(length.shift, loose=length.loose or (bare and length.article)),), end


def _dotted(text: str, at: int, *, alone: bool) -> tuple[tuple[Item, ...], int] | tuple[()] | None:
    """`16.30 hrs` is a time of day (empty: not read here), `5.30 hrs` may be one, `2.25 hours` is a length (None)."""
    found = _DOTTED.match(text, at)
    if found is None or int(found["hour"]) > 24:
        return None
    quarter, long = found["minute"] in ("00", "25", "50"), len(found["hour"]) == 2
    if not alone or not long:
        half_hour = found["minute"] in ("15", "30", "45")
        return None if quarter or (not alone and not half_hour) else ((UNCLEAR,), found.end())
    return ((UNCLEAR,), found.end()) if found["minute"] in ("25", "50") and found["hour"][0] != "0" else ()


def _length(text: str, at: int) -> _Length | None:
    total, end, article, pieces, last = Shift(), at, True, 0, LARGEST
    while True:
        start = _JOIN.match(text, end) if pieces else None
        position = start.end() if start else end
        clock_like = _HOUR_AND_MINUTES.match(text, position)
        if clock_like:
            minutes = int(clock_like[1]) * 60 + int(clock_like[4])
            open_end = bool(clock_like["gap"]) and clock_like["word"] != "h"
            return _Length(added(total, "minutes", Fraction(minutes)), clock_like.end(), False, loose=open_end)
        piece = _PIECE.match(text, position)
        amount = _amount(piece) if piece else None
        if piece is None or amount is None or (piece["unit"].startswith(_WORKING) and amount % 1):
            return _Length(total, end, article) if pieces else None
        unit = _UNIT_OF[re.sub(r"\s+", " ", piece["unit"])]
        if SIZES[unit] >= last:
            return _Length(total, piece.end(), article, several=True)
        total, last = added(total, unit, amount), SIZES[unit]
        article = article and bool(piece["one"])
        end, pieces = piece.end(), pieces + 1


def _amount(piece: re.Match[str]) -> Fraction | None:
    extra = Fraction(1, 2) if piece["half_more"] or piece["more"] else Fraction(0)
    if piece["one"] and len(piece["unit"]) < 3 and piece["unit"] not in ("hr", "wk", "yr"):
        return None  # `in a mo` is a moment
    worded = piece["quarters"] or piece["couple"] or piece["one"] or (piece["half"] or "")[-1:].isalpha()
    if worded and not piece["gap"]:
        return None
    if piece["quarters"]:
        return Fraction(3 if piece["quarters"][0] in "t3" else 1, 4)
    if piece["half"]:
        return Fraction(1, 2)
    if piece["fourth"]:
        return Fraction(3 if piece["fourth"][0] in "¾3" else 1, 4)
    if piece["couple"]:
        return Fraction(2)
    if piece["one"]:
        return 1 + extra
    number = piece["number"]
    if not number[0].isdigit() and not piece["gap"]:
        return None
    if re.fullmatch(_THOUSANDS, number):
        number = number.replace(",", "")
    value = Fraction(number.replace(",", ".")) if number[0].isdigit() else Fraction(english_number(number))
    return value + extra


def added(shift: Shift, unit: str, amount: Fraction) -> Shift:
    """A shift that is longer by so many of a unit. Halves of a month are 15 days, of a year 6 months."""
    amount = min(amount, Fraction(MOST))
    match unit:
        case "seconds" | "minutes" | "hours":
            factor = {"seconds": 1, "minutes": 60, "hours": 3600}[unit]
            return replace(shift, seconds=shift.seconds + amount * factor)
        case "days" | "weeks" | "fortnights":
            factor = {"days": 1, "weeks": 7, "fortnights": 14}[unit]
            return replace(shift, days=min(shift.days + amount * factor, Fraction(MOST_DAYS)))
        case "workdays":
            return replace(shift, workdays=min(shift.workdays + int(amount), 1000))
        case _:
            months = amount * (12 if unit == "years" else 1)
            whole = min(int(months), 12_000)
            return replace(shift, months=shift.months + whole, days=shift.days + (months % 1) * 30)

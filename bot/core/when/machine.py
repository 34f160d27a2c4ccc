"""Dates and instants in digits: ISO 8601, and what people write with slashes and dots."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from bot.core.when.items import MANY, NO_SUCH_DATE, NO_SUCH_TIME, Clock, Date, Exact, Half, Slashed, Stop
from bot.core.when.rules import Made, Rule, clock, rule

_ZONE: Final = (
    r"(?:\s?(?P<zone>z|(?P<sign>[+-])(?P<zh>\d{2}):?(?P<zm>\d{2})?)(?![a-z0-9_:])(?:\[[a-z0-9_+/-]{1,40}\])?)?"
)
_SECONDS: Final = r"(?::?(?P<second>\d{2})(?:[.,]\d{1,9})?)?"
_COUNTED: Final = re.compile(r"(?:s|secs?|seconds?|ms|m|mins?|minutes?)\b|[个秒分毫]", re.IGNORECASE)
_EPOCH: Final = re.compile(r"\s*(?:<[tT]:)?(?P<whole>\d{9,19})(?:\.(?P<part>\d{1,9}))?(?:(?::[tdfrTDFR])?>)?\s*")


def read_epoch(text: str) -> Exact | Stop | None:
    """A text that is one number of nine digits or more, bare or as Discord's `<t:1772900000:R>`: below 1e12 seconds
    since 1970, else milliseconds (P36)."""
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    number, part = int(found["whole"]), float(f"0.{found['part'] or 0}")
    milliseconds = number if number >= 10**12 else number * 1000 + round(part * 1000)
    try:
        return Exact(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds))
    except OverflowError:
        return Stop("when.too_far")


def split_epoch(text: str) -> tuple[Exact | Stop, int] | None:
    """The same at the start of a text with words behind it, and where it ends."""
    found = _EPOCH.match(text)
    if found is None or found.end() == len(text) or not found[0][-1].isspace() or _COUNTED.match(text, found.end()):
        return None
    epoch = read_epoch(found[0])
    return None if epoch is None else (epoch, found.end())


def is_end(start: tuple[int, int], end: tuple[int, int]) -> bool:
    """Whether `-10:00` behind `09:00` is where it ends, not an offset of the world."""
    return end > start or not (2, 30) <= end <= (10, 0)


def _iso(found: re.Match[str]) -> Made:
    date = Date(int(found["month"]), int(found["day"]), int(found["year"]))
    time = clock(int(found["hour"]), int(found["minute"] or 0), int(found["second"] or 0), Half.FULL)
    if isinstance(time, Stop):
        return (NO_SUCH_TIME,)
    if not found["zone"]:
        return (date, time)
    if found["zh"] and found["zm"] and found["sign"] == "-" and found["gap"].isspace() and not found["second"]:
        assert isinstance(time, Clock)
        if is_end((time.hour, time.minute), (int(found["zh"]), int(found["zm"]))):
            return (MANY,)
    return (_instant(date, time, found),)


def _instant(date: Date, time: object, found: re.Match[str]) -> Exact | Stop:
    assert isinstance(time, Clock) and date.year is not None
    ahead = timedelta(hours=int(found["zh"] or 0), minutes=int(found["zm"] or 0))
    if ahead >= timedelta(hours=24):
        return NO_SUCH_TIME
    fraction = re.search(r"[.,](\d{1,9})", found[0][10:])
    micros = int(fraction[1][:6].ljust(6, "0")) if fraction else 0
    try:
        midnight = datetime(date.year, date.month, date.day, tzinfo=timezone(-ahead if found["sign"] == "-" else ahead))
        told = timedelta(hours=time.hour, minutes=time.minute, seconds=time.second, microseconds=micros)
        return Exact((midnight + told).astimezone(UTC))
    except (ValueError, OverflowError):
        return NO_SUCH_DATE


def _year_first(found: re.Match[str]) -> Made:
    return (Date(int(found["month"]), int(found["day"]), int(found["year"])),)


def _slashed(found: re.Match[str]) -> Made:
    year = found["year"]
    full = None if year is None else int(year) + (2000 if len(year) == 2 else 0)
    first, second = int(found["first"]), int(found["second"])
    if first > 31 or second > 31 or not first or not second or (first > 12 and second > 12):
        return (NO_SUCH_DATE,)
    if first > 12:
        return (Date(second, first, full),)
    if second > 12 or first == second:
        return (Date(first, second, full),)
    return (Slashed(first, second, full, found[0].strip(" .")),)


_DATE: Final = r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
RULES: Final[tuple[Rule, ...]] = (
    rule(r"24/7(?![\w/])", MANY),
    rule(
        rf"{_DATE}(?P<gap>t|\s+)(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}}){_SECONDS}(?![\d:])(?!\s*[ap]\.?m\b){_ZONE}",
        _iso,
    ),
    rule(rf"{_DATE}(?P<gap>t)(?P<hour>\d{{2}})(?P<minute>\d{{2}})?{_SECONDS}(?![\d:]){_ZONE}", _iso),
    rule(rf"{_DATE}\s+(?P<hour>\d{{2}})(?P<minute>)(?P<second>)(?P<zone>)(?P<sign>)(?P<zh>)(?P<zm>)$", _iso),
    rule(
        rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}})(?P<gap>t)(?P<hour>\d{{2}})(?P<minute>\d{{2}}){_SECONDS}(?![\d:]){_ZONE}",
        _iso,
    ),
    rule(r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})(?![a-z0-9_/-])(?!\.\d)", _year_first),
    rule(
        r"(?P<first>\d{1,2})(?:/(?P<second>\d{1,2})(?:/(?P<year>\d{4}|\d{2}))?)(?![a-z0-9_/])(?!\.\d)(?!\s+(?:of|an?|hours?|days?)(?![a-z]))",
        _slashed,
    ),
    rule(r"(?P<first>\d{1,2})([.-])(?P<second>\d{1,2})\2(?P<year>\d{4}|\d{2})(?![\w/])(?!\.\d)", _slashed),
    rule(r"(?P<first>\d{1,2})\.(?P<second>\d{1,2})\.(?P<year>)(?!\S)", lambda found: _dotted(found)),
)


def _dotted(found: re.Match[str]) -> Made:
    """`10.3.` without a year."""
    first, second = int(found["first"]), int(found["second"])
    if second > 12:
        return None
    if first == second or first > 12:
        return (Date(second, first),)
    return (Slashed(first, second, None, found[0].strip()),)

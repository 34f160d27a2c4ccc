"""Days, times of day and parts of the day in English."""

import re
from calendar import monthrange
from dataclasses import replace
from fractions import Fraction
from typing import Final

from bot.core.when.items import (
    MANY,
    PAST,
    UNCLEAR,
    Clock,
    Date,
    DayPart,
    Exact,
    Half,
    HourLetter,
    Mode,
    Month,
    MonthDay,
    Part,
    Relative,
    SameTime,
    Shift,
    Week,
    Weekday,
    Weekend,
)
from bot.core.when.lengths import added
from bot.core.when.numbers import NUMBER_WORD, ORDINALS, SMALL_WORD, english_number
from bot.core.when.rules import Made, Rule, clock, rule

END: Final = r"(?![a-z0-9_])(?!'[a-z])(?!\.\d)"
"""A word ends here, in Latin letters; Chinese may follow at once."""

_DAYS: Final = {
    name: day
    for day, names in enumerate(
        ("monday mon", "tuesday tues tue", "wednesday weds wed", "thursday thurs thur thu", "friday fri",
         "saturday sat", "sunday sun")
    )
    for name in names.split()
}  # fmt: skip
_MONTHS: Final = {
    name: month
    for month, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
         "september sept sep", "october oct", "november nov", "december dec"), start=1
    )
    for name in names.split()
}  # fmt: skip
_DAY: Final = rf"(?P<day>{'|'.join(sorted(_DAYS, key=len, reverse=True))})(?:(?<![a-z]{{6}})\.(?!\d))?"
_MONTH: Final = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
_ORDINAL: Final = rf"(?:(?P<number>\d{{1,2}})(?P<suffix>st|nd|rd|th)|(?P<word>{'|'.join(ORDINALS)})(?![a-z]))"
_HALF: Final = r"(?P<half>[ap]\.?\s?m(?![a-z0-9_])\.?)"
_AT: Final = r"(?P<at>(?:at\s+|@\s*))"


def _half(said: str | None) -> Half:
    return Half.UNSAID if said is None else Half.AM if said[0] == "a" else Half.PM


def _weekday(found: re.Match[str]) -> Made:
    mode = (found["mode"] or "").split()
    if "last" in mode or "past" in mode:
        return (PAST,)
    weeks = 1 if found["week"] else 0
    if "next" in mode:
        return (Weekday(_DAYS[found["day"]], Mode.NEXT, weeks),)
    return (Weekday(_DAYS[found["day"]], Mode.THIS if "this" in mode else Mode.PLAIN, weeks),)


def _ordinal(found: re.Match[str]) -> int:
    return int(found["number"]) if found["number"] else ORDINALS.index(found["word"]) + 1


def _month_first(found: re.Match[str]) -> Made:
    day = ORDINALS.index(found["word"]) + 1 if found["word"] else int(found["number"])
    return (Date(_MONTHS[found["month"]], day, int(found["year"]) if found["year"] else None),)


_THAT_MONTH: Final = r"(?:\s+(?:of|in)\s+(?P<which>the|this|next)\s+month)?"


def _the_day(found: re.Match[str]) -> Made:
    months = {"the": None, "this": 0, "next": 1}.get(found["which"] or "the")
    return (MonthDay(_ordinal(found), months),)


def _end_of(found: re.Match[str]) -> Made:
    close = Clock(17, half=Half.FULL)
    match found["unit"]:
        case "week":
            return (Week(1), Weekday(4), close) if found["next"] else (Weekday(4, Mode.CALENDAR), close)
        case "month":
            return (MonthDay(-1, 1 if found["next"] else 0), close)
        case "year":
            return None if found["next"] else (Date(12, 31), close)
        case _:
            return None if found["next"] else (close,)


def _close(found: re.Match[str]) -> Made:
    close = Clock(17, half=Half.FULL)
    return {
        "eow": (Weekday(4, Mode.CALENDAR), close),
        "eom": (MonthDay(-1, 0), close),
        "eoy": (Date(12, 31), close),
    }.get(found[0], (close,))


_PARTS: Final = {
    "morning": Part.MORNING, "noon": Part.NOON, "midday": Part.NOON, "lunch": Part.NOON, "lunchtime": Part.NOON,
    "afternoon": Part.AFTERNOON, "evening": Part.EVENING, "night": Part.NIGHT, "midnight": Part.MIDNIGHT,
}  # fmt: skip


_PART: Final = "|".join(sorted(_PARTS, key=len, reverse=True))


def _part(found: re.Match[str]) -> Made:
    part = _PARTS[found["part"]]
    here = (found["lead"] or "").strip()
    said = part in (Part.NOON, Part.MIDNIGHT) or bool(here)
    return (Relative(0), DayPart(part)) if here == "this" else (DayPart(part, loose=not said),)


def _numeric(found: re.Match[str]) -> Made:
    half, hour = _half(found["half"]), found["hour"]
    dotted = found["dot"] == "." and half is Half.UNSAID and not found["at"]
    if half is Half.UNSAID and len(hour) == 2:
        half = Half.FULL
    read = clock(int(hour), int(found["minute"]), int(found["second"] or 0), half)
    if not dotted or (found["unit"] and len(hour) == 2):
        return (read,)
    return (replace(read, dotted=True),) if isinstance(read, Clock) and not found["unit"] else None


def _bare(found: re.Match[str]) -> Made:
    hour, loose = int(found["hour"]), not (found["at"] or found["oclock"])
    if loose and hour > 24:
        return (MonthDay(hour, loose=True),) if hour <= 31 else None
    return (clock(hour, loose=loose),)


def _military(found: re.Match[str]) -> Made:
    digits = found["digits"]
    if not (found["at"] or found["unit"] or digits[0] == "0"):
        return (clock(int(digits[:2]), int(digits[2:]), half=Half.FULL, loose=True),)
    return (clock(int(digits[:2]), int(digits[2:]), half=Half.FULL),)


def _hour_letter(found: re.Match[str]) -> Made:
    hour, minute = int(found["hour"]), int(found["minute"] or 0)
    read = clock(hour, minute, half=Half.UNSAID if 1 <= hour <= 6 else Half.FULL)
    if found["at"] or not isinstance(read, Clock):
        return (read,) if found["at"] else None
    length_only = hour < 7 or (hour < 13 and not found["minute"])
    return (HourLetter(read, Shift(Fraction(hour * 3600 + minute * 60)), length_only),)


def _in_words(found: re.Match[str]) -> Made:
    half = _half(found["half"])
    if half is Half.UNSAID and not (found["at"] or found["minute"] or found["oclock"]):
        return None
    minute = english_number(found["minute"].removeprefix("oh").strip()) if found["minute"] else 0
    return (clock(english_number(found["hour"]), minute, half=half),)


def _past_or_to(found: re.Match[str]) -> Made:
    """`half past nine`, `quarter to 5 pm`, `ten past nine`."""
    said, hour = found["minutes"], found["hour"]
    minutes = {"half": 30, "a quarter": 15, "quarter": 15}.get(said)
    if minutes is None:
        minutes = int(said) if said[0].isdigit() else english_number(said)
    value = int(hour) if hour[0].isdigit() else english_number(hour)
    half = _half(found["half"])
    bare = said[0].isdigit() and "min" not in found[0]
    if bare and minutes <= 12 and hour[0].isdigit() and found["way"] in ("to", "til", "till"):
        return (MANY,)
    if bare and minutes % 5:
        return None
    if not 1 <= value <= 12 or minutes > 59 or (said == "half" and found["way"] not in ("past", "after")):
        return None
    if found["way"] in ("past", "after"):
        return (clock(value, minutes, half=half),)
    if value == 12 and half is not Half.UNSAID:
        half = Half.AM if half is Half.PM else Half.PM
    return (clock((value - 2) % 12 + 1, 60 - minutes, half=half),)


def _after_day(found: re.Match[str]) -> Made:
    """`a week from monday`, `2 weeks from tomorrow`, `a week on tuesday`, `a fortnight today`."""
    said = found["many"]
    if not said and not found["link"]:
        return None
    weeks = _many(said) * (2 if found["unit"] == "fortnight" else 1)
    match found["word"]:
        case None:
            return (Weekday(_DAYS[found["day"]], weeks=weeks),)
        case "today":
            return None if found["link"] else (Shift(days=Fraction(7 * weeks)),)
        case _:
            return (Relative(1 + 7 * weeks),)


def _many(said: str) -> int:
    return 1 if said in ("a", "an", "") else int(said) if said[0].isdigit() else english_number(said)


def _month_end(found: re.Match[str]) -> Made:
    """`end of august`, `last day of march`. Which day ends february depends on the year."""
    month = _MONTHS[found["month"]]
    if month == 2:
        return None
    last = Date(month, monthrange(2026, month)[1])
    return (last,) if found["day"] else (last, Clock(17, half=Half.FULL))


def _short_year(found: re.Match[str]) -> Made:
    return (Date(_MONTHS[found["month"]], int(found["number"]), 2000 + int(found["year"])),)


_HOUR: Final = r"(?P<hour>\d{1,2})"
_SPAN: Final = r"\d{1,2}(?::\d\d)?\s*(?:[ap]\.?m\.?)?\s*(?:-|to(?![a-z])|til|till|until|and)\s*\d{1,2}(?::\d\d)?"
_NEVER_A_DATE: Final = r"(?!\s*[ap]\.?m(?![a-z0-9_]))(?!:\d)(?![-/]\d)"

RULES: Final[tuple[Rule, ...]] = (
    rule(rf"(?:right\s+now|now|right\s+away|immediately){END}", Exact(None)),
    rule(rf"(?:today|tdy){END}", Relative(0)),
    rule(rf"(?:tomorrow|tmrw|tmr|tmw|2moro|2morrow){END}", Relative(1)),
    rule(rf"(?:the\s+)?day\s+after\s+(?:tomorrow|tmrw|tmr|tmw){END}", Relative(2)),
    rule(rf"(?:tonight|tonite|2night){END}", (Relative(0), DayPart(Part.NIGHT))),
    rule(rf"(?:(?:the\s+)?day\s+before\s+)?yesterday{END}", PAST),
    rule(rf"(?:last|past|previous)\s+(?:night|evening|week|weekend|month|year|hour){END}", PAST),
    rule(rf"(?P<mode>(?:this\s+coming|this|the\s+coming|coming|next|last|past)\s+)?{_DAY}{END}(?P<week>\s+week{END})?",
         _weekday),
    rule(rf"(?P<many>an?|\d{{1,2}}|{NUMBER_WORD}|)\s*(?P<unit>week|fortnight)s?\s+(?P<link>from|on|after)?\s*"
         rf"(?:(?P<word>today|tomorrow)|{_DAY}){END}", lambda found: _after_day(found)),
    rule(rf"(?P<many>an?|\d{{1,3}}|{NUMBER_WORD})\s+days?\s+(?:from|after)\s+tomorrow{END}",
         lambda found: (Relative(1 + _many(found["many"])),)),
    rule(rf"(?:tomorrow|tmrw|tmr|tmw)\s+week{END}", Relative(8)),
    rule(rf"today\s+week{END}", Shift(days=Fraction(7))),
    rule(rf"(?:(?:the\s+)?(?:start|beginning)\s+of\s+)?next\s+(?:week|wk){END}", Week(1)),
    rule(rf"(?:the\s+)?(?:start|beginning)\s+of\s+next\s+month{END}", MonthDay(1, 1)),
    rule(rf"(?:the\s+)?(?:(?P<day>last\s+day)|end)\s+of\s+{_MONTH}{END}", _month_end),
    rule(rf"month[\s-]+end{END}", (MonthDay(-1, 0), Clock(17, half=Half.FULL))),
    rule(rf"(?P<number>\d{{1,2}})-{_MONTH}-(?P<year>\d\d)(?!-){END}", _short_year),
    rule(rf"(?P<number>\d{{1,2}})\s+{_MONTH},?\s+'?(?P<year>2[5-9])"
         r"(?=\s*$|\s*,|\s+at\s|\s+\d{1,2}(?::\d|\s?[ap]m))", _short_year),
    rule(rf"(?P<unit>hour|day|week|month|year)\s+from\s+now{END}",
         lambda found: (added(Shift(), f"{found['unit']}s", Fraction(1)),)),
    rule(rf"this\s+week{END}", Week(0)),
    rule(rf"(?:the\s+)?week\s+after\s+next{END}", Week(2)),
    rule(rf"(?:(?:this|the|on\s+the|at\s+the)\s+)?weekend{END}", Weekend(0)),
    rule(rf"next\s+weekend{END}", Weekend(1, vague=True)),
    rule(rf"next\s+month{END}", Month(1)),
    rule(rf"{_MONTH}[\s-]*(?:the\s+)?(?:(?P<number>\d{{1,2}})(?:st|nd|rd|th)?|(?P<word>{'|'.join(ORDINALS)})){END}{_NEVER_A_DATE}"
         rf"(?:(?:\s*,[\s-]*|[\s-]+)(?P<year>20\d\d){END}(?!:\d))?", _month_first),
    rule(rf"(?:the\s+)?(?:(?P<number>\d{{1,2}})(?:st|nd|rd|th|\.)?|(?P<word>{'|'.join(ORDINALS)}))[\s-]*(?:of\s+)?{_MONTH}(?![a-z])"
         rf"(?:(?:\s*,)?[\s-]*(?P<year>20\d\d){END}(?!:\d))?{END}", _month_first),
    rule(rf"(?:the\s+)?(?:first|second|third|fourth|fifth|[1-5](?:st|nd|rd|th))\s+{_DAY}{END}", UNCLEAR),
    rule(rf"(?:the\s+)?last\s+{_DAY}\s+(?:of|in)\s+(?:{_MONTH}|(?:the|this|next)\s+(?:month|year)){END}", UNCLEAR),
    rule(rf"the\s+{_ORDINAL}{END}{_THAT_MONTH}", _the_day),
    rule(rf"{_ORDINAL}\s+(?:of|in)\s+(?P<which>the|this|next)\s+month{END}", _the_day),
    rule(rf"(?P<number>\d{{1,2}})(?:st|nd|rd|th){END}", lambda found: (MonthDay(int(found["number"]), loose=True),)),
    rule(rf"(?:the\s+)?last\s+day\s+of\s+(?:the|this)\s+month{END}", MonthDay(-1, 0)),
    rule(rf"(?:the\s+)?last\s+day\s+of\s+next\s+month{END}", MonthDay(-1, 1)),
    rule(rf"(?:at\s+)?(?:the\s+)?end\s+of\s+(?:(?:the|this|business|working|work)\s+)*(?P<next>next\s+)?(?P<unit>day|week|month|year){END}",
         _end_of),
    rule(rf"end\s+of\s+(?:today|(?P<next>tomorrow)){END}", lambda found: (
        Relative(1 if found["next"] else 0), Clock(17, half=Half.FULL))),
    rule(rf"(?:eod|cob|eob|eow|eom|eoy|close\s+of\s+business){END}", _close),
    rule(rf"(?:at\s+)?(?:the\s+|this\s+)?same\s+time{END}", SameTime()),
    rule(rf"(?:at\s+)?this\s+time{END}", SameTime()),
    rule(rf"first\s+thing(?:\s+in\s+the\s+morning)?{END}", DayPart(Part.MORNING)),
    rule(rf"(?P<lead>(?:in\s+the|at|this|@|around|by\s+the)\s+)?(?:12\s+(?=noon|mid))?(?P<part>{_PART}){END}",
         _part),
    rule(rf"{_AT}?{_HOUR}(?P<dot>[:.])(?P<minute>\d{{2}})(?::(?P<second>\d{{2}})(?:\.\d+)?)?(?:\s*{_HALF})?"
         rf"(?P<unit>\s*(?:h|hrs?|hours|o'?clock){END})?(?:{END}|(?=z(?![a-z0-9_])))(?!:\d)"
         r"(?!\s*(?:[%€$£]|percent|million|usd|eur))", _numeric),
    rule(rf"{_AT}?{_HOUR}\s*{_HALF}{END}", lambda found: (clock(int(found["hour"]), half=_half(found["half"])),)),
    rule(rf"{_AT}?{_HOUR}(?P<half>[ap]){END}", lambda found: (clock(int(found["hour"]), half=_half(found["half"])),)),
    rule(rf"{_AT}?{_HOUR}\s*o'?\s?clock(?:\s*{_HALF})?{END}",
         lambda found: (clock(int(found["hour"]), half=_half(found["half"])),)),
    rule(rf"{_AT}?(?P<hour>\d{{1,2}})(?P<minute>\d{{2}})\s*{_HALF}{END}",
         lambda found: (clock(int(found["hour"]), int(found["minute"]), half=_half(found["half"])),)),
    rule(rf"{_AT}?{_HOUR}(?P<oclock>\s*sharp)?{END}(?![-/:.,]\d)", _bare),
    rule(rf"{_AT}?(?P<digits>\d{{4}})(?P<unit>\s?(?:h|hrs|hours){END})?{END}(?![-/:.]\d)", _military),
    rule(rf"{_AT}?{_HOUR}\s?h\s?(?P<minute>\d{{2}})?{END}", _hour_letter),
    rule(rf"{_AT}?(?P<hour>0\d|1\d|2[0-3])\s?hrs(?P<minute>){END}(?!\s+of)", _hour_letter),
    rule(rf"{_AT}?(?P<hour>{SMALL_WORD})(?P<oclock>\s+o'?\s?clock)?(?:\s+(?P<minute>oh\s+{SMALL_WORD}|{NUMBER_WORD}))?(?:\s+{_HALF})?{END}",
         _in_words),
    rule(rf"{_AT}?(?P<minutes>half|a\s+quarter|quarter|\d{{1,2}}|{NUMBER_WORD})(?:\s+min(?:ute)?s?)?\s+(?P<way>past|after|to|before|til|till)\s+"
         rf"(?P<hour>\d{{1,2}}|{SMALL_WORD})(?:\s*o'?\s?clock)?(?:\s*{_HALF})?{END}", _past_or_to),
    rule(rf"(?:every|each)\s+(?:(?:other|single|few|\d+|{NUMBER_WORD})\s+)?(?:week)?(?:second|minute|min|hour|day|morning|"
         rf"afternoon|evening|night|noon|week|month|quarter|year|end|{'|'.join(_DAYS)})s?{END}", MANY),
    rule(rf"(?:on\s+)?(?:{'|'.join(name for name in _DAYS if len(name) > 5)})s{END}", MANY),
    rule(rf"(?:(?:bi)?weekly|daily|hourly|monthly|nightly|yearly|annually|weekdays?){END}", MANY),
    rule(rf"(?:once|twice)\s+(?:an?|per)\s+\w+{END}", MANY),
    rule(rf"(?:(?:from|between)\s+)?{_AT}?{_SPAN}\s*[ap]\.?m\.?{END}", MANY),
    rule(rf"(?:from|between)\s+{_SPAN}{END}", MANY),
)  # fmt: skip

"""Which dates a named day can be, seen from a date."""

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import assert_never

from bot.core.when.items import (
    Date,
    Day,
    Mode,
    Month,
    MonthDay,
    Relative,
    Shift,
    Slashed,
    Week,
    Weekday,
    Weekend,
)


@dataclass(frozen=True, slots=True)
class Line:
    """Dates for one reading of a day, earliest first: the first whose time is still ahead is meant. `said`: the day
    itself was said, so that nothing else is taken when it has passed; `offer` days later is offered then."""

    dates: tuple[date, ...]
    said: bool = False
    offer: int = 1


@dataclass(frozen=True, slots=True)
class Days:
    """Every reading of a day; more than one is a question, `key` its text. No line: there is no such date."""

    lines: tuple[Line, ...]
    key: str = ""
    values: dict[str, object] = field(default_factory=dict[str, object])


def days(item: Day, today: date) -> Days:
    """The dates that a day can be."""
    match item:
        case Relative():
            return _one(_ahead(today, item.days), said=item.days == 0)
        case Weekday():
            return _weekday(item, today)
        case Week():
            return _one(_monday(today, item.weeks))
        case Weekend():
            return _weekend(item, today)
        case Date():
            return Days(_dates(item, today))
        case Slashed():
            readings = (Date(item.second, item.first, item.year), Date(item.first, item.second, item.year))
            lines = tuple(line for reading in readings for line in _either_year(reading, today))
            return Days(lines, "when.which_date", {"text": item.text})
        case MonthDay():
            return _month_day(item, today)
        case Month():
            both = (_in_month(today, item.months, 1), shifted(today, Shift(months=item.months)))
            return Days(tuple(Line((day,)) for day in both if day), "when.which_day")
        case _:
            assert_never(item)


def _one(day: date, *, said: bool = False) -> Days:
    return Days((Line((day,), said),))


def _ahead(today: date, days: int) -> date:
    return today + timedelta(days=days)


def _monday(today: date, weeks: int) -> date:
    return today + timedelta(days=7 * weeks - today.weekday())


def _weekday(item: Weekday, today: date) -> Days:
    near = (item.day - today.weekday()) % 7
    if item.mode is Mode.CALENDAR:
        return Days((Line((_ahead(today, item.day - today.weekday()),), said=True, offer=7),))
    if item.mode is Mode.NEXT:
        return _one(_ahead(today, (near or 7) + 7 * item.weeks))
    if item.mode is Mode.THIS and near == 0:
        return Days((Line((today,), said=True, offer=7),))
    return Days((Line(tuple(_ahead(today, near + 7 * weeks) for weeks in (item.weeks, item.weeks + 1))),))


def _weekend(item: Weekend, today: date) -> Days:
    saturday = _monday(today, item.weeks) + timedelta(days=5)
    if item.vague and today.weekday() < 5:
        near = _monday(today, 0) + timedelta(days=5)
        return Days((Line((near,)), Line((saturday,))), "when.which_day")
    if item.weeks:
        return _one(saturday)
    return Days((Line((saturday, saturday + timedelta(days=1), saturday + timedelta(days=7))),))


def _dates(item: Date, today: date) -> tuple[Line, ...]:
    """One line, or none when there is no such date in the next eight years."""
    year = item.year if item.ahead is None else today.year + item.ahead
    if year is not None:
        found = _date(year, item.month, item.day)
        return (Line((found,), said=True, offer=0),) if found else ()
    years = (_date(today.year + ahead, item.month, item.day) for ahead in range(9))
    coming = [day for day in years if day and day >= today]
    return (Line((coming[0],), said=coming[0] == today),) if coming else ()


def _either_year(item: Date, today: date) -> tuple[Line, ...]:
    """The date, also next year's when none was said: it may be today, and over."""
    lines = _dates(item, today)
    following = _date(today.year + 1, item.month, item.day)
    if item.year is not None or following is None or not any(line.said for line in lines):
        return lines
    return (Line((*lines[0].dates, following)),)


def _month_day(item: MonthDay, today: date) -> Days:
    if item.months is not None:
        day = _in_month(today, item.months, item.day)
        return Days((Line((day,), said=True, offer=0),) if day else ())
    coming = [day for ahead in range(4) if (day := _in_month(today, ahead, item.day)) and day >= today]
    return Days((Line(tuple(coming[:2])),) if coming else ())


def _in_month(today: date, months: int, day: int) -> date | None:
    year, month = divmod(today.year * 12 + today.month - 1 + months, 12)
    return _date(year, month + 1, monthrange(year, month + 1)[1] if day == -1 else day)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def shifted(today: date, shift: Shift) -> date | None:
    """A date so many months, whole days and working days (Monday to Friday) later; the 31st becomes the last day of a
    shorter month. None when that is beyond the calendar."""
    year, month = divmod(today.year * 12 + today.month - 1 + shift.months, 12)
    try:
        day = date(year, month + 1, min(today.day, monthrange(year, month + 1)[1])) + timedelta(days=int(shift.days))
        for _ in range(shift.workdays):
            day += timedelta(days=1 if day.weekday() < 4 or day.weekday() == 6 else 7 - day.weekday())
    except (ValueError, OverflowError):
        return None
    return day

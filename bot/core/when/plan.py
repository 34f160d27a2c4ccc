"""How the pieces of a text fit together: at most one day, one time of day, one zone; or one length; or one instant."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import assert_never

from bot.core.when.items import (
    UNCLEAR,
    Clock,
    Date,
    Day,
    DayPart,
    Exact,
    Half,
    HourLetter,
    Item,
    Month,
    MonthDay,
    Part,
    Relative,
    SameTime,
    Shift,
    Slashed,
    Stop,
    Week,
    Weekday,
    Weekend,
)
from bot.core.when.parts import hours
from bot.core.when.zones import Zone


@dataclass(slots=True)
class Plan:
    """What the pieces say together."""

    days: list[Day]
    clock: Clock | None = None
    part: DayPart | None = None
    same_time: bool = False
    shift: Shift | None = None
    exact: Exact | None = None
    zone: Zone | None = None
    stop: Stop | None = None
    letter: HourLetter | None = None
    night: bool = False
    """`tonight at midnight`: the midnight that ends the night."""


def plan(items: Sequence[Item], *, whole: bool) -> Plan | None:
    """The pieces as one time, or None when they do not make one. `whole`: nothing follows them, so that a bare `9`
    behind a day, or a bare `morning`, can only be meant as a time."""
    made = Plan([])
    for item in items:
        if not _add(made, item):
            return None
    if made.stop is not None:
        return made
    return made if _fits(made, whole, whole or items[-1] is not made.clock) else None


def _add(made: Plan, item: Item) -> bool:
    match item:
        case Stop():
            made.stop = made.stop or item
            return True
        case Exact():
            free, made.exact = made.exact is None, item
        case Shift():
            free, made.shift = made.shift is None, item
        case Clock():
            free, made.clock = made.clock is None, item
        case HourLetter():
            free, made.letter = made.letter is None, item
        case DayPart():
            return _add_part(made, item)
        case SameTime():
            free, made.same_time = not made.same_time, True
        case Zone():
            free, made.zone = made.zone is None, item
        case Relative() | Weekday() | Week() | Weekend() | Date() | Slashed() | MonthDay() | Month():
            free = item not in made.days or isinstance(item, Relative)
            if item not in made.days:
                made.days.append(item)
        case _:
            assert_never(item)
    return free


def _add_part(made: Plan, item: DayPart) -> bool:
    parts = {item.part, *((made.part.part,) if made.part else ())}
    if parts == {Part.NIGHT, Part.MIDNIGHT}:
        made.part, made.night = DayPart(Part.MIDNIGHT), True
        return True
    made.part = item
    return len(parts) == 1


def _fits(made: Plan, whole: bool, closed: bool) -> bool:
    """`closed`: no bare number stands at the end, where it can be the start of the text."""
    if made.letter is not None and not _fit_letter(made, whole):
        return False
    _fit_same_time(made)
    timed = made.clock is not None or made.part is not None or made.same_time
    if made.exact is not None:
        return not (timed or made.days or made.shift)
    if made.shift is not None:
        return (
            (whole or not made.shift.loose)
            and not made.days
            and not (timed and made.shift.seconds)
            and not (made.clock and made.clock.loose and not (closed and made.part))
        )
    if made.same_time and (made.clock or made.part or not made.days):
        return False
    if not made.days:
        return _clock_alone(made, whole)
    if not _fit_days(made, whole):
        return False
    if made.clock is not None and made.clock.loose:
        return _fit_loose(made, made.clock, whole, closed)
    return len(made.days) > 1 or made.days[0] != Week(0)


def _fit_loose(made: Plan, clock: Clock, whole: bool, closed: bool) -> bool:
    """A bare number behind a day. In `tomorrow evening 7 check` it can be an hour or belong to the text."""
    part = part_of(made)
    if part is None:
        return whole and not isinstance(made.days[0], Date | Slashed | MonthDay)
    if not closed and hours(clock, part, on_a_day=True) is None:
        return False
    if not closed:
        made.stop = UNCLEAR
    return True


def _fit_same_time(made: Plan) -> None:
    """`this time next week` is a week from now, not the time of its Monday."""
    match made.days:
        case [Week(weeks)] if made.same_time and weeks:
            made.shift = Shift(days=Fraction(7 * weeks))
        case [Month(months)] if made.same_time:
            made.shift = Shift(months=months)
        case _:
            return
    made.days, made.same_time = [], False


def _fit_letter(made: Plan, whole: bool) -> bool:
    """`21h` behind a day is a time of day; alone it stays what it is, a length when it is short."""
    assert made.letter is not None
    if made.clock is not None or made.shift is not None or made.exact is not None:
        return False
    if made.days or made.part:
        made.clock, length_only, made.letter = made.letter.clock, made.letter.length_only, None
        return whole or not length_only
    if made.letter.length_only:
        made.shift, made.letter = made.letter.shift, None
    return True


def _clock_alone(made: Plan, whole: bool) -> bool:
    if made.letter is not None:
        return True
    if made.clock is None:
        return made.part is not None and (whole or not made.part.loose)
    return made.part is not None or not (made.clock.loose or made.clock.dotted)


def _fit_days(made: Plan, whole: bool) -> bool:
    """One day is left in front: `next week` + `monday`, `next month` + `the 3rd` become one; a weekday may stand
    behind a date, which is then checked."""
    made.days.sort(key=_order)
    match made.days:
        case [MonthDay(loose=True)]:
            return whole and made.clock is not None and not made.clock.loose
        case [Week(weeks), Weekday(day, weeks=0)]:
            made.days = [Week(weeks), Weekday(day)]
            return True
        case [Month(months), MonthDay(day)]:
            made.days = [MonthDay(day, months)]
            return True
        case [Date() | Slashed() | MonthDay(), Weekday()] | [_]:
            return True
        case _:
            return False


def _order(day: Day) -> int:
    return 2 if isinstance(day, Weekday) else 1 if isinstance(day, MonthDay) else 0


def part_of(made: Plan) -> Part | None:
    """The part of the day that was said."""
    return made.part.part if made.part else None


def is_midnight(made: Plan) -> bool:
    """`midnight` in words, which of a named day is the start to some and the end to others."""
    return part_of(made) is Part.MIDNIGHT and (made.clock is None or made.clock.half is not Half.FULL)

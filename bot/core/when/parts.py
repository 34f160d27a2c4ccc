"""Which hours a time of day can mean, and what a part of the day stands for without an hour (ux.md 4)."""

from dataclasses import dataclass
from datetime import time
from typing import Final

from bot.core.when.items import Clock, Half, Part

DEFAULT: Final = time(9)
USUAL: Final = {
    Part.MORNING: time(9),
    Part.NOON: time(12),
    Part.AFTERNOON: time(14),
    Part.EVENING: time(18),
    Part.NIGHT: time(20),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of day, on the named day or `days` later."""

    time: time
    days: int = 0


@dataclass(frozen=True, slots=True)
class Hours:
    """What a time of day can mean: one moment, or several to ask about. `late_too` is the same hour in the afternoon,
    meant when the one in the morning has passed and the day was said."""

    moments: tuple[Moment, ...]
    assumed: str = ""
    late_too: Moment | None = None


def hours(clock: Clock, part: Part | None, *, on_a_day: bool) -> Hours | None:
    """The moments of a clock time, None when the part of the day contradicts it (`13:00 in the morning`)."""
    if part is not None:
        return _in_part(clock, part, on_a_day)
    if clock.half is not Half.UNSAID or clock.hour == 0:
        return Hours((_moment(clock, clock.hour),))
    if clock.hour <= 6:
        return Hours((_moment(clock, clock.hour), _moment(clock, clock.hour + 12)))
    late = None if clock.hour == 12 else _moment(clock, clock.hour + 12)
    return Hours((_moment(clock, clock.hour),), "hour", late)


def _moment(clock: Clock, hour: int) -> Moment:
    return Moment(time(hour % 24, clock.minute, clock.second), hour // 24)


def _in_part(clock: Clock, part: Part, on_a_day: bool) -> Hours | None:
    if part is Part.MIDNIGHT:
        return Hours((_moment(clock, 24 if on_a_day else 0),)) if clock.hour % 12 == 0 and not clock.minute else None
    if part is Part.NIGHT and clock.hour <= 4 and clock.half is not Half.PM:
        return _small_hours(clock, on_a_day)
    if part is Part.MORNING and clock.hour == 12 and clock.half is not Half.PM:
        return Hours((_moment(clock, 0), _moment(clock, 12)))
    early = clock.hour <= 12 and clock.half in (Half.UNSAID, Half.FULL)
    hour = _shifted(clock.hour, part) if early else clock.hour
    if not _SPAN[part][0] <= hour <= _SPAN[part][1]:
        return None
    return Hours((_moment(clock, hour),))


def _small_hours(clock: Clock, on_a_day: bool) -> Hours:
    """`tonight at 1`: after midnight, which by the calendar is the next day; with `am` there is no doubt."""
    after = Moment(_moment(clock, clock.hour).time, 1 if on_a_day else 0)
    if clock.half is not Half.UNSAID or clock.hour == 0 or not on_a_day:
        return Hours((after,))
    return Hours((_moment(clock, clock.hour + 12), after))


def _shifted(hour: int, part: Part) -> int:
    """The hour on a 24-hour clock, 24 for the midnight that ends the day."""
    match part:
        case Part.DAWN:
            return hour % 12
        case Part.NOON:
            return hour if hour >= 10 else hour + 12
        case Part.AFTERNOON:
            return hour if hour == 12 else hour + 12
        case Part.EVENING | Part.NIGHT:
            return hour + 12
        case _:
            return hour


_SPAN: Final = {
    Part.DAWN: (0, 7),
    Part.MORNING: (0, 12),
    Part.NOON: (10, 14),
    Part.AFTERNOON: (12, 19),
    Part.EVENING: (16, 24),
    Part.NIGHT: (17, 24),
}

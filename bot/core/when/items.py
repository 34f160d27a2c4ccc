"""The pieces that a text about a time is made of. Both languages read into these."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from bot.core.when.zones import Zone


class Half(StrEnum):
    """Which half of the day an hour belongs to."""

    UNSAID = "unsaid"
    AM = "am"
    PM = "pm"
    FULL = "full"
    """A 24-hour clock: `09:30`, `17:45`."""


class Part(StrEnum):
    """A part of the day; with an hour it says which half is meant, alone it stands for `parts.USUAL`."""

    DAWN = "dawn"
    MORNING = "morning"
    NOON = "noon"
    AFTERNOON = "afternoon"
    EVENING = "evening"
    NIGHT = "night"
    MIDNIGHT = "midnight"


class Mode(StrEnum):
    """How a weekday was named."""

    PLAIN = "plain"
    THIS = "this"
    CALENDAR = "calendar"
    """The weekday of the current week, even when it has passed: `本周五`."""
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class Exact:
    """An instant by itself: ISO with an offset, or an epoch. None is now."""

    at: datetime | None


@dataclass(frozen=True, slots=True)
class Shift:
    """A length from now: `seconds` elapse, the rest is wall clock. `loose`: `an hour` without `in`, too common a
    phrase to be a time when a text follows."""

    seconds: Fraction = Fraction(0)
    days: Fraction = Fraction(0)
    months: int = 0
    workdays: int = 0
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Relative:
    """So many days after today."""

    days: int


@dataclass(frozen=True, slots=True)
class Weekday:
    """0 is Monday; `weeks` more after the one that is meant."""

    day: int
    mode: Mode = Mode.PLAIN
    weeks: int = 0


@dataclass(frozen=True, slots=True)
class Week:
    """So many weeks after this one, from Monday."""

    weeks: int


@dataclass(frozen=True, slots=True)
class Weekend:
    """The Saturday of the week that is so many weeks ahead; `vague` when people differ on which one is meant."""

    weeks: int
    vague: bool = False


@dataclass(frozen=True, slots=True)
class Date:
    """A date, without a year when none was said. It may not exist."""

    month: int
    day: int
    year: int | None = None
    ahead: int | None = None
    """So many years after this one, instead of `year`."""


@dataclass(frozen=True, slots=True)
class Slashed:
    """`3/10`: either number may be the month."""

    first: int
    second: int
    year: int | None
    text: str


@dataclass(frozen=True, slots=True)
class MonthDay:
    """A day of a month, `months` after this one (None: the next that comes). -1 is the last day. `loose`: a bare
    `7th`, which is a date only beside a weekday or a month."""

    day: int
    months: int | None = None
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Month:
    """So many months after this one, no day named."""

    months: int


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day. `hour` may be 24. `loose`: a number without `at`, an hour only beside a date."""

    hour: int
    minute: int = 0
    second: int = 0
    half: Half = Half.UNSAID
    loose: bool = False
    dotted: bool = False
    """`9.30`: a time of day only beside a day or a part of it."""


@dataclass(frozen=True, slots=True)
class HourLetter:
    """`21h`, `9h30`: a time of day beside a day; alone a length, a time of day, or either."""

    clock: Clock
    shift: Shift
    length_only: bool
    """Short enough that alone it can only be a length: `2h`, `1h30`."""


@dataclass(frozen=True, slots=True)
class DayPart:
    """A part of the day. `loose`: a bare `morning`, a time only beside a date or alone."""

    part: Part
    loose: bool = False


@dataclass(frozen=True, slots=True)
class SameTime:
    """The time of day that it is now."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Something that settles the answer: `key` is the text of the refusal."""

    key: str


Day = Relative | Weekday | Week | Weekend | Date | Slashed | MonthDay | Month
Item = Exact | Shift | Day | Clock | HourLetter | DayPart | SameTime | Stop | Zone

PAST = Stop("when.past_only")
UNCLEAR = Stop("when.unclear")
MANY = Stop("when.one_time")
NO_SUCH_TIME = Stop("when.no_such_time")
NO_SUCH_DATE = Stop("when.no_such_date")

"""From the pieces to the instants that they can mean."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from bot.core.when.days import Days, Line, days, shifted
from bot.core.when.items import MonthDay, Part, Relative, Shift, Week, Weekday
from bot.core.when.local import Local, instants
from bot.core.when.parts import DEFAULT, USUAL, Hours, Moment, hours
from bot.core.when.plan import Plan, is_midnight, part_of
from bot.core.when.values import GRACE, HORIZON, Ask, Choice, Reading, Refused, When


@dataclass(frozen=True, slots=True)
class Frame:
    """From where a time is seen: `now` in UTC, the zone that it is said in, the person's own, and what was read."""

    now: datetime
    zone: tzinfo
    home: tzinfo
    used: str

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def refused(self, key: str, choices: tuple[Choice, ...] = (), **values: object) -> Refused:
        return Refused(key, self.home, self.used, {"text": self.used, **values}, choices)

    def passed(self, at: datetime) -> bool:
        return at < self.now - GRACE


@dataclass(slots=True)
class Found:
    """Instants gathered for the readings of a text, the reason to ask, and the first that has passed."""

    choices: list[Choice] = field(default_factory=list[Choice])
    key: str = ""
    values: dict[str, object] = field(default_factory=dict[str, object])
    passed: tuple[datetime, tuple[Choice, ...]] | None = None


def resolve(made: Plan, frame: Frame, *, today: date | None = None) -> Reading:
    """The instant, the question, or the refusal. `today`: the date from which `tomorrow` and the like are counted."""
    if made.stop is not None:
        return frame.refused(made.stop.key)
    if made.exact is not None:
        return _settled(Found([Choice(made.exact.at or frame.now)]), frame)
    if made.letter is not None:
        length = _shifted(made, made.letter.shift, frame)
        return _both(length, resolve(Plan([], made.letter.clock), frame, today=today), frame)
    if made.shift is not None:
        return _shifted(made, made.shift, frame)
    return _of_day(made, frame, today or frame.today)


def _shifted(made: Plan, shift: Shift, frame: Frame) -> Reading:
    """Months, days and working days keep the clock on the wall; what is left elapses."""
    local = frame.now.astimezone(frame.zone).replace(tzinfo=None)
    day = shifted(local.date(), shift)
    if day is None:
        return frame.refused("when.too_far")
    if made.clock or made.part or made.same_time:
        return _on(made, Days((Line((day,), said=True),)), frame)
    if not (shift.days or shift.months or shift.workdays):
        return _settled(Found([Choice(_after(frame.now, shift))]), frame)
    rest = timedelta(days=float(shift.days % 1))
    wall = datetime.combine(day, local.time()) + rest
    read = instants(wall, frame.zone)
    if shift.seconds or len({choice.at.replace(second=0) for choice in read.choices}) == 1:
        return _settled(Found([Choice(_after(read.choices[0].at, shift))]), frame)
    return _settled(Found(list(read.choices), read.key, _told(read, frame) if read.key else {}), frame)


def _both(first: Reading, second: Reading, frame: Frame, key: str = "when.which_hour") -> Reading:
    """What two readings of one text come to: the same, or a question with the instants of both."""
    if isinstance(first, Refused) or first == second:
        return second
    if isinstance(second, Refused) or (isinstance(first, When) and isinstance(second, When) and first.at == second.at):
        return first
    offered = [Choice(one.at) if isinstance(one, When) else one.choices for one in (first, second)]
    found = Found(key=key)
    for one in offered:
        found.choices.extend((one,) if isinstance(one, Choice) else one)
    return _settled(found, frame)


def _after(at: datetime, shift: Shift) -> datetime:
    try:
        return at + timedelta(seconds=float(shift.seconds))
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _of_day(made: Plan, frame: Frame, today: date) -> Reading:
    if not made.days:
        return _on(made, Days((Line((today, today + timedelta(days=1), today + timedelta(days=2))),)), frame, bare=True)
    first, *more = made.days
    if isinstance(first, Week) and more and isinstance(more[0], Weekday):
        monday = today + timedelta(days=7 * first.weeks - today.weekday())
        return _on(made, Days((Line((monday + timedelta(days=more[0].day),), said=True, offer=7),)), frame)
    found = days(first, today)
    if not found.lines:
        return frame.refused("when.no_such_date")
    if more and isinstance(more[0], Weekday):
        found = _checked(first, more[0], found, today)
    read = _on(made, found, frame)
    if isinstance(first, Weekday) and made.clock is not None and made.clock.loose and made.part is None:
        return _or_day_of_month(read, made.clock.hour, first, frame, today)
    return read


def _checked(first: object, weekday: Weekday, found: Days, today: date) -> Days:
    """A date beside a weekday: the date when it falls on that weekday, else both are offered."""
    agreeing = tuple(line for line in found.lines if line.dates[0].weekday() == weekday.day)
    if agreeing:
        return Days(agreeing, "" if len(agreeing) == 1 else found.key, found.values)
    if isinstance(first, MonthDay) and first.months is None:
        later = days(MonthDay(first.day, None), today)
        on = [day for line in later.lines for day in line.dates if day.weekday() == weekday.day]
        if on:
            return Days((Line((on[0],)),))
    near = days(Weekday(weekday.day), today)
    return Days((*found.lines, *near.lines), "when.which_day")


def _or_day_of_month(read: Reading, number: int, weekday: Weekday, frame: Frame, today: date) -> Reading:
    """`mon 16` is Monday the 16th to some: asked when there is one in the coming two months."""
    line = days(MonthDay(number), today).lines
    day = next((day for one in line for day in one.dates if day.weekday() == weekday.day), None)
    if day is None:
        return read
    other = _on(Plan([weekday]), Days((Line((day,)),)), frame)
    return _both(read, other, frame, "when.which_day")


def _on(made: Plan, picked: Days, frame: Frame, *, bare: bool = False) -> Reading:
    """Every reading of the day at every reading of the time of day."""
    told = _hours(made, frame, picked, bare=bare)
    if told is None:
        return frame.refused("when.unclear")
    found = Found(key=picked.key, values=dict(picked.values))
    for line in picked.lines:
        _gather(found, line, told, frame)
    if len(found.choices) > 1 and not found.key:
        found.key = "when.which_hour"
    said = made.clock is not None or made.part is not None or made.same_time
    return _settled(found, frame, told.assumed if said else "time")


def _hours(made: Plan, frame: Frame, picked: Days, *, bare: bool) -> Hours | None:
    if made.same_time:
        return Hours((Moment(frame.now.astimezone(frame.zone).time()),))
    if is_midnight(made) and made.clock is None:
        return Hours(_midnight(made, bare=bare))
    part = part_of(made)
    if made.clock is not None:
        told = hours(made.clock, part, on_a_day=not bare)
        if told and part is Part.NIGHT and Relative(0) in made.days and _is_small_hour(frame):
            return replace(
                told,
                moments=tuple(dict.fromkeys(Moment(one.time, day) for one in told.moments for day in (0, one.days))),
            )
        return told
    if part is None:
        return Hours((Moment(DEFAULT),))
    return Hours((Moment(USUAL[part]),)) if part in USUAL else None


def _is_small_hour(frame: Frame) -> bool:
    """After midnight, when `tonight at 3` can mean this night or the next."""
    return frame.now.astimezone(frame.zone).hour < 5


def _midnight(made: Plan, *, bare: bool) -> tuple[Moment, ...]:
    start, end = Moment(time(0)), Moment(time(0), 1)
    if bare:
        return (start,)
    return (end,) if made.night or Relative(0) in made.days else (start, end)


def _gather(found: Found, line: Line, told: Hours, frame: Frame) -> None:
    """Adds the instants of one line of dates, for each moment the first date on which it is still ahead. Of an hour
    that can be two, one of which has passed, the next one is offered."""
    for moment in told.moments:
        if _taken(found, line, moment, frame):
            continue
        offered = _offered(line, moment, frame)
        if len(told.moments) > 1:
            found.choices.extend(offered)
            found.key = found.key or "when.which_hour"
        elif told.late_too is not None and line.said:
            late = Found()
            _taken(late, line, told.late_too, frame)
            offered = (*late.choices, *offered)
        wall = _wall(line.dates[-1], moment)
        if wall is not None and found.passed is None:
            found.passed = instants(wall, frame.zone).choices[0].at, offered


def _taken(found: Found, line: Line, moment: Moment, frame: Frame) -> bool:
    """Takes the instants of the first date of the line on which the moment is still ahead; whether there was one."""
    for day in line.dates:
        wall = _wall(day, moment)
        read = instants(wall, frame.zone) if wall else None
        ahead = [choice for choice in read.choices if not frame.passed(choice.at)] if read else []
        if read is None or not ahead:
            continue
        found.choices.extend(ahead)
        if read.key and (read.key == "when.gap" or len(ahead) > 1):
            found.key, found.values = read.key, _told(read, frame)
        return True
    return False


def _told(read: Local, frame: Frame) -> dict[str, object]:
    """What the sentence about an hour that comes twice or never is filled with."""
    names = tuple(choice.name for choice in read.choices)
    return {"at": read.wall, "names": names, **({"zone": frame.zone} if frame.zone != frame.home else {})}


def _offered(line: Line, moment: Moment, frame: Frame) -> tuple[Choice, ...]:
    later = _wall(line.dates[-1] + timedelta(days=line.offer), moment) if line.offer else None
    return tuple(one for one in instants(later, frame.zone).choices if not frame.passed(one.at)) if later else ()


def _wall(day: date, moment: Moment) -> datetime | None:
    try:
        return datetime.combine(day + timedelta(days=moment.days), moment.time)
    except OverflowError:
        return None


def _settled(found: Found, frame: Frame, assumed: str = "") -> Reading:
    """One instant, a question about several, or why there is none."""
    ahead = {choice.at: choice for choice in found.choices if not frame.passed(choice.at)}
    near = tuple(ahead[at] for at in sorted(ahead) if at <= frame.now + HORIZON)
    if not near:
        if ahead:
            return frame.refused("when.too_far")
        at = found.passed[0] if found.passed else found.choices[0].at if found.choices else None
        offered = found.passed[1] if found.passed else ()
        return frame.refused("when.past" if offered else "when.past_only", offered, **({"at": at} if at else {}))
    several = len({choice.at for choice in found.choices}) > 1
    if len(near) == 1 and not (found.key and several) and found.key != "when.which_date":
        return When(max(near[0].at, frame.now), frame.home, frame.used, (assumed,) if assumed else ())
    key = "when.which_hour" if found.key == "when.twice" and len(near) > 2 else found.key
    return Ask(key or "when.which_hour", near[:4], frame.home, frame.used, {"text": frame.used, **found.values})

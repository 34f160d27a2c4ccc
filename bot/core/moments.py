"""Instants and durations in words. Shared posts always name the zone; nothing here ticks."""

from datetime import UTC, date, datetime, timedelta, tzinfo

from bot.core.texts import Texts
from bot.core.when.zones import zone_name


def clock(at: datetime, now: datetime, texts: Texts) -> str:
    """`14:04 UTC`, with the day (`Fri 6 Mar 14:04 UTC`, `3月6日(周五) 14:04 UTC`) when it is not the day of `now`."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    shown = f"{at:%H:%M} UTC"
    if at.date() == now.date():
        return shown
    return texts.say(
        "date.day",
        weekday=texts.say("date.weekdays").split()[at.weekday()],
        day=at.day,
        month=texts.say("date.months").split()[at.month - 1],
        clock=shown,
    )


def local(at: datetime, now: datetime, zone: tzinfo, texts: Texts) -> str:
    """`Sat 7 Mar 09:00`, `3月7日(周六) 09:00` in a zone, with the year when it is not this one."""
    here = at.astimezone(zone)
    return on_day(here.date(), f"{here:%H:%M}", now.astimezone(zone).year, texts)


def on_day(day: date, shown: str, this_year: int, texts: Texts) -> str:
    """A date, with what is shown behind it: `Sat 7 Mar 09:00`."""
    key = "date.day" if day.year == this_year else "date.day_of_year"
    weekday = texts.say("date.weekdays").split()[day.weekday()]
    month = texts.say("date.months").split()[day.month - 1]
    given = {"weekday": weekday, "day": day.day, "month": month, "clock": shown}
    return texts.say(key, **given, **({} if key == "date.day" else {"year": day.year})).strip()


def nearby(at: datetime, now: datetime, zone: tzinfo, texts: Texts) -> str:
    """`Today 09:00`, `Tomorrow 09:00`, else as `local`."""
    here, today = at.astimezone(zone), now.astimezone(zone).date()
    match (here.date() - today).days:
        case 0:
            return texts.say("when.today", clock=f"{here:%H:%M}")
        case 1:
            return texts.say("when.tomorrow", clock=f"{here:%H:%M}")
        case _:
            return local(at, now, zone, texts)


def ahead(at: datetime, now: datetime, texts: Texts) -> str:
    """`in 17 h 30 min`, `17 小时 30 分钟后`; `now` when it is due."""
    if at <= now:
        return texts.say("when.due")
    return texts.say("when.ahead", span=elapsed(at - now, texts))


def moment(at: datetime, now: datetime, zone: tzinfo, texts: Texts) -> str:
    """`Sat 7 Mar 09:00 (New York, in 17 h 30 min)`, `3月7日(周六) 09:00（纽约，17 小时 30 分钟后）`."""
    return texts.say(
        "when.echo",
        time=local(at, now, zone, texts),
        zone=zone_name(zone, texts.language),
        ahead=ahead(at, now, texts),
    )


def elapsed(length: timedelta, texts: Texts) -> str:
    """`45 s`, `2 min`, `1 h 5 min`, `3 d 4 h`: at most two units, the smaller one left out when zero."""
    seconds = max(int(length.total_seconds()), 0)
    if seconds < 60:
        return texts.say("duration.seconds", n=seconds)
    minutes = (seconds + 30) // 60
    if minutes < 60:
        return texts.say("duration.minutes", n=minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return _pair(texts.say("duration.hours", n=hours), minutes, "duration.minutes", texts)
    days, hours = divmod(hours, 24)
    return _pair(texts.say("duration.days", n=days), hours, "duration.hours", texts)


def _pair(first: str, rest: int, key: str, texts: Texts) -> str:
    return f"{first} {texts.say(key, n=rest)}" if rest else first


def ago(at: datetime, now: datetime, texts: Texts) -> str:
    """`just now`, `12m ago`, `3h ago`, `3d ago`."""
    minutes = int((now - at).total_seconds() // 60)
    if minutes < 1:
        return texts.say("ago.now")
    if minutes < 60:
        return texts.say("ago.minutes", n=minutes)
    if minutes < 24 * 60:
        return texts.say("ago.hours", n=minutes // 60)
    return texts.say("ago.days", n=minutes // (24 * 60))

"""Instants and durations in words. Shared posts always name the zone; nothing here ticks."""

from datetime import UTC, datetime, timedelta

from bot.core.texts import Texts


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

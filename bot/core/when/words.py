"""What a reading is called: the sentence for a person, and the label of each choice."""

from datetime import datetime, tzinfo
from typing import cast

from bot.core.moments import local, moment, nearby, on_day
from bot.core.texts import Texts, Word
from bot.core.when.values import Ask, Choice, Reading, Refused, When
from bot.core.when.zones import zone_name


def sentence(reading: Reading, now: datetime, texts: Texts) -> Word:
    """The text that answers a reading, with strings and tuples of strings as its values. An instant is echoed with
    zone and distance; a question names its choices."""
    if isinstance(reading, When):
        return Word("when.instant", {"time": moment(reading.at, now, reading.zone, texts)})
    match reading.key:
        case "when.unclear" | "when.empty" as key:
            examples = tuple(texts.say("when.examples").split("|"))
            return Word(key, {"text": reading.values.get("text", ""), "examples": examples})
        case "when.one_time" | "when.too_far" as key:
            return Word(key)
        case "when.twice" if len(cast("tuple[str, ...]", reading.values.get("names", ()))) == 2:
            return _twice(reading, texts)
        case "when.gap":
            return _gap(reading, now, texts)
        case "when.which_date":
            return _which_date(reading, texts)
        case "when.past":
            at = cast("datetime", reading.values["at"])
            return Word(
                "when.past", {"time": nearby(at, now, reading.zone, texts), "choices": _choices(reading, now, texts)}
            )
        case "when.twice" | "when.which_hour" | "when.which_day" as key:
            return Word(key, {"choices": _choices(reading, now, texts)})
        case key:
            return Word(key, {"text": reading.values.get("text", "")})


def label(choice: Choice, reading: Ask | Refused, now: datetime, texts: Texts) -> str:
    """What a button for a choice says: `Tomorrow 09:00`, `Sun 1 Nov 01:30 EST`."""
    return f"{nearby(choice.at, now, reading.zone, texts)} {choice.name}".strip()


def _choices(reading: Ask | Refused, now: datetime, texts: Texts) -> str:
    return _either([label(choice, reading, now, texts) for choice in reading.choices], texts)


def _either(parts: list[str], texts: Texts) -> str:
    *first, last = parts
    return texts.say("when.or", first=texts.listed(first), second=last) if first else last


def _twice(reading: Ask | Refused, texts: Texts) -> Word:
    first, second = cast("tuple[str, str]", reading.values["names"])
    return Word("when.twice", {"clock": _clock(reading, texts), "first": first, "second": second})


def _clock(reading: Ask | Refused, texts: Texts) -> str:
    """The time on the wall, with whose wall it is when that is not the person's own."""
    wall = cast("datetime", reading.values["at"])
    zone = cast("tzinfo | None", reading.values.get("zone"))
    shown = f"{wall:%H:%M}"
    return texts.say("when.there", clock=shown, zone=zone_name(zone, texts.language)) if zone else shown


def _gap(reading: Ask | Refused, now: datetime, texts: Texts) -> Word:
    wall = cast("datetime", reading.values["at"])
    here = [choice.at.astimezone(reading.zone) for choice in reading.choices]
    same_day = all(one.date() == wall.date() for one in here)
    shown = [f"{one:%H:%M}" if same_day else local(one, now, reading.zone, texts) for one in here]
    day = on_day(wall.date(), "", now.astimezone(reading.zone).year, texts)
    return Word("when.gap", {"clock": _clock(reading, texts), "day": day, "choices": _either(shown, texts)})


def _which_date(reading: Ask | Refused, texts: Texts) -> Word:
    """The dates of the choices, without the time of day; with the year where they differ in it. One that is left
    because the other has passed or is too far is spelled in full."""
    dates = list(dict.fromkeys(choice.at.astimezone(reading.zone).date() for choice in reading.choices))
    months = texts.say("date.months").split()
    if len(dates) > 1 and len({one.year for one in dates}) == 1:
        shown = [texts.say("date.plain", day=one.day, month=months[one.month - 1]) for one in dates]
    else:
        shown = [on_day(one, "", 0, texts) for one in dates]
    key = "when.which_date" if len(dates) > 1 else "when.date_meant"
    return Word(key, {"text": reading.values["text"], "choices": _either(shown, texts)})

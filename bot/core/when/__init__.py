"""Reading one instant from what a person or a machine wrote, in English and Chinese (ux.md 4).

`read_when` reads a whole text, `split_later` the longest time at the start of one. Both are pure: now and the zone are
given, the process's own zone plays no part. Whatever is not surely one instant is a question or a refusal.
"""

from datetime import UTC, datetime, tzinfo
from typing import Final

from bot.core.when.anywhere import read_anywhere
from bot.core.when.items import Item, Stop
from bot.core.when.machine import read_epoch, split_epoch
from bot.core.when.plan import Plan, plan
from bot.core.when.resolve import Frame, resolve
from bot.core.when.scan import Piece, goes_on, more_time, scan, several_weekdays
from bot.core.when.spelling import plain
from bot.core.when.values import GRACE, HORIZON, Ask, Choice, Reading, Refused, When
from bot.core.when.zones import zone_named

__all__ = [
    "GRACE", "HORIZON", "Ask", "Choice", "Reading", "Refused", "When", "read_anywhere", "read_when", "split_later",
    "zone_named",
]  # fmt: skip

_AROUND: Final = " \t\r\n.,;:!?。，；：！？、-–—"
_BEFORE: Final = " \t\r\n.,;:!?。，；：！？、"
_QUOTED: Final = 40


def read_when(text: str, *, now: datetime, zone: tzinfo | str) -> Reading:
    """The one instant that the whole text says, seen from `now` (aware) by a person in `zone` (an IANA name or a
    `tzinfo`; an unknown name raises `ValueError`)."""
    home = _zone(zone)
    now = now.astimezone(UTC)
    shown = _shortened(text)
    epoch = read_epoch(text)
    if epoch is not None:
        return _resolved([epoch], text.strip(), now, home) or Refused("when.unclear", home, shown, {"text": shown})
    spelled = plain(text)
    if not spelled.strip(_AROUND):
        return Refused("when.empty", home, "")
    lead = len(spelled) - len(spelled.lstrip(_BEFORE))
    body = spelled[lead:]
    pieces = scan(body)
    rest = body[pieces[-1].end :].strip(_AROUND + ")") if pieces else body
    items = _items(pieces)
    if rest and not _stopped(items):
        several = bool(pieces) and goes_on(body, pieces[-1].end)
        return Refused("when.one_time" if several else "when.unclear", home, shown, {"text": shown})
    return _resolved(items, shown, now, home) or Refused("when.unclear", home, shown, {"text": shown})


def split_later(text: str, *, now: datetime, zone: tzinfo | str) -> tuple[Reading, str]:
    """The longest time at the start of a text, and the text behind it: `tomorrow 9am check the deploy`. Without one
    the answer is a refusal and the whole text."""
    home = _zone(zone)
    now = now.astimezone(UTC)
    spelled = plain(text)
    lead = len(spelled) - len(spelled.lstrip(_BEFORE))
    epoch = split_epoch(text)
    if epoch is not None:
        item, end = epoch
        unclear = Refused("when.unclear", home, _shortened(text), {"text": _shortened(text)})
        return _resolved([item], text[:end].strip(), now, home) or unclear, text[end:].lstrip()
    body = spelled[lead:]
    pieces = scan(body)
    if not pieces or not body[pieces[-1].end :].strip(_AROUND + ")"):
        return read_when(text, now=now, zone=home), "" if pieces else text
    return _longest(text, body, lead, pieces, now, home)


def _longest(text: str, body: str, lead: int, pieces: list[Piece], now: datetime, home: tzinfo) -> tuple[Reading, str]:
    shown = _shortened(text)
    unclear = Refused("when.unclear", home, shown, {"text": shown})
    if several_weekdays(pieces):
        return Refused("when.one_time", home, shown, {"text": shown}), text
    for count in range(len(pieces), 0, -1):
        end = pieces[count - 1].end
        read = _resolved(_items(pieces[:count]), text[lead : lead + end].strip(), now, home, whole=False)
        if read is None:
            continue
        stop = more_time(body, end)
        if stop is not None and not isinstance(read, Refused):
            return Refused(stop.key, home, shown, {"text": shown}), text
        return read, text[lead + end :].lstrip(_AROUND + ")")
    return unclear, text


def _items(pieces: list[Piece]) -> list[Item]:
    return [item for piece in pieces for item in piece.items]


def _stopped(items: list[Item]) -> bool:
    return any(isinstance(item, Stop) for item in items)


def _resolved(items: list[Item], used: str, now: datetime, home: tzinfo, *, whole: bool = True) -> Reading | None:
    made = plan(items, whole=whole) if items else None
    if made is None:
        return None
    zone = made.zone.zone if made.zone else home
    here = Frame(now, zone, home, used)
    read = resolve(made, here)
    if made.zone is None or not made.days or made.stop:
        return read
    return _either(read, made, here)


def _either(there: Reading, made: Plan, frame: Frame) -> Reading:
    """`tomorrow 9am JST` when it is already tomorrow in Japan: whose tomorrow is asked."""
    today = frame.now.astimezone(frame.home).date()
    if today == frame.today:
        return there
    here = resolve(made, frame, today=today)
    if not isinstance(there, When) or not isinstance(here, When) or here.at == there.at:
        return here
    choices = tuple(Choice(at) for at in sorted({here.at, there.at}))
    return Ask("when.which_day", choices, frame.home, frame.used, {"text": frame.used})


def _zone(zone: tzinfo | str) -> tzinfo:
    if not isinstance(zone, str):
        return zone
    found = zone_named(zone)
    if found is None:
        raise ValueError(f"unknown zone {zone!r}")
    return found


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"

"""Reading a time of somebody whose zone nobody knows."""

from collections.abc import Callable
from typing import Final

from bot.core.when.values import Reading, Refused, When

ANYWHERE: Final = ("Etc/GMT+12", "Pacific/Kiritimati", "America/New_York", "Europe/Berlin", "Australia/Sydney")
"""Zones of other days and other clock changes: what is the same instant in all of them needs no zone (ours)."""


def read_anywhere(read: Callable[[str], Reading]) -> Reading | None:
    """What `read` says of a text in the zone that it is given, where that is the same everywhere, shown in UTC; None
    where it depends on the zone, so that the zone has to be asked."""
    first, *others = (read(name) for name in ANYWHERE)
    return read("UTC") if all(_same(first, other) for other in others) else None


def _same(one: Reading, other: Reading) -> bool:
    match one, other:
        case When(at=first), When(at=second):
            return first == second
        case Refused(key=first, choices=()), Refused(key=second, choices=()):
            return first == second
        case _:
            return False

"""A rule: a pattern, and the pieces that it stands for."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.core.when.items import NO_SUCH_TIME, Clock, Half, Item

Made = tuple[Item, ...] | None


@dataclass(frozen=True, slots=True)
class Rule:
    pattern: re.Pattern[str]
    make: Callable[[re.Match[str]], Made]


def rule(pattern: str, make: Callable[[re.Match[str]], Made] | Item | tuple[Item, ...]) -> Rule:
    """A rule that always makes the same pieces, or asks `make` (None: this is not one after all)."""
    if callable(make):
        return Rule(re.compile(pattern), make)
    fixed = make if isinstance(make, tuple) else (make,)
    return Rule(re.compile(pattern), lambda _: fixed)


def longest(rules: Sequence[Rule], text: str, at: int) -> tuple[tuple[Item, ...], int] | None:
    """What the rule that reads farthest makes of the text at a position, and where it ends."""
    best: tuple[tuple[Item, ...], int] | None = None
    for one in rules:
        found = one.pattern.match(text, at)
        if found is None or (best is not None and found.end() <= best[1]):
            continue
        made = one.make(found)
        if made is not None:
            best = made, found.end()
    return best


def clock(hour: int, minute: int = 0, second: int = 0, half: Half = Half.UNSAID, *, loose: bool = False) -> Item:
    """A time of day, or the refusal of one that no clock shows."""
    if minute > 59 or second > 59 or hour > 24 or (hour == 24 and (minute or second)):
        return NO_SUCH_TIME
    if half in (Half.AM, Half.PM):
        if not 1 <= hour <= 12 and not (hour == 0 and half is Half.AM and minute):
            return NO_SUCH_TIME
        return Clock(hour % 12 + (12 if half is Half.PM else 0), minute, second, half)
    return Clock(hour, minute, second, Half.FULL if hour > 12 or hour == 0 else half, loose)

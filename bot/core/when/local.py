"""A wall clock reading in a zone: the instant, both instants of an hour that comes twice, or the neighbours of one
that does not exist."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from bot.core.when.values import Choice


@dataclass(frozen=True, slots=True)
class Local:
    """`key` is empty when the reading is one instant, else the text of the question."""

    wall: datetime
    choices: tuple[Choice, ...]
    key: str = ""


def instants(wall: datetime, zone: tzinfo) -> Local:
    """What a naive wall clock reading means there."""
    early, late = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    before, after = early.utcoffset(), late.utcoffset()
    if before == after or before is None or after is None:
        return Local(wall, (Choice(early.astimezone(UTC)),))
    if before > after:
        twice = tuple(Choice(one.astimezone(UTC), one.tzname() or "") for one in (early, late))
        return Local(wall, twice, "when.twice")
    gap = after - before
    neighbours = tuple((wall + shift).replace(tzinfo=zone).astimezone(UTC) for shift in (-gap, gap))
    return Local(wall, tuple(Choice(at) for at in neighbours), "when.gap")

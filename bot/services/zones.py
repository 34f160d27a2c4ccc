"""In which time zone a person's times are read (UX rules 4): their own, their channel's, the default, or none."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from bot.core.inbound import Person, ThreadRef
from bot.core.when import zone_named
from bot.store import Transaction

OWN: Final = "tz"
"""A person's preference."""
SHARED: Final = "timezone"
"""A channel's setting."""
OFFERED: Final = ("America/Los_Angeles", "America/New_York", "Europe/London", "Europe/Berlin", "Asia/Shanghai")
"""Zones on the buttons under the question; every other one is typed."""


@dataclass(frozen=True, slots=True)
class Zones:
    """Decides. `default` is DEFAULT_TIMEZONE."""

    default: str = ""

    def of(self, tx: Transaction, person: Person, place: ThreadRef) -> tzinfo | None:
        """The zone that a person writes times in, seen from a channel; None when nothing tells, and then nobody may
        guess one."""
        for name in self._names(tx, person, place):
            zone = zone_named(name) if name else None
            if zone is not None:
                return zone
        return None

    def _names(self, tx: Transaction, person: Person, place: ThreadRef) -> Iterator[str | None]:
        yield tx.people.preference(person, OWN)
        yield person.timezone
        known = tx.people.find(person.platform, person.workspace_id, person.id)
        yield known.timezone if known is not None else None
        yield tx.people.setting(place, SHARED)
        yield self.default


def zone_key(zone: tzinfo | None) -> str:
    """The name a zone is stored by; `zone_named` reads it back. Empty for none."""
    if zone is None:
        return ""
    return str(getattr(zone, "key", "") or zone.tzname(None) or "UTC")


def read_zone(text: str) -> tzinfo | None:
    """The zone that a person named: `Europe/Berlin`, `berlin`, `New York`, `CET`, `UTC+2`; None for anything else."""
    name = " ".join(text.split()).strip(" .,;:!?。，；：！？")
    return next((zone for one in (name, f"{name} time", f"{name}时间") if (zone := zone_named(one)) is not None), None)

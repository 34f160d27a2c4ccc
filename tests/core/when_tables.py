"""How the tables of times write what a text was read as."""

from datetime import datetime
from zoneinfo import ZoneInfo

from bot.core.when import Ask, Reading, Refused, When


def shown(reading: Reading, zone: ZoneInfo) -> str:
    """As the tables write it: this year and full minutes are left out."""

    def local(at: datetime) -> str:
        said = at.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")
        return said.removeprefix("2026-").removesuffix(":00") if said.count(":") == 2 else said

    match reading:
        case When(at=at):
            return local(at)
        case Ask(choices=choices):
            return "? " + ", ".join(local(choice.at) for choice in choices)
        case Refused(key=key):
            return "! " + key.removeprefix("when.")

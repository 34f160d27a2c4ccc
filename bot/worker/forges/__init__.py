"""Where branches go and pull requests live.

Adding a forge: one file with `create(settings, clock)`, one line here. What it needs to be set goes into settings.py.
"""

from importlib import import_module
from typing import Final, cast

from bot.ports import Clock, Forge
from bot.worker.forges.settings import ForgeMisconfigured, ForgeSettings, GitHubSettings, LocalSettings

__all__ = ["FORGES", "ForgeMisconfigured", "ForgeSettings", "GitHubSettings", "LocalSettings", "create_forge"]

FORGES: Final[dict[str, str]] = {
    "github": "bot.worker.forges.github",
    "local": "bot.worker.forges.local",
    "none": "bot.worker.forges.none",
}
"""Name -> module; a module is imported when its forge is first created."""


def create_forge(name: str, settings: ForgeSettings, clock: Clock) -> Forge:
    """The forge of that name. Raises `ForgeMisconfigured` for an unknown name or settings that cannot work."""
    if name not in FORGES:
        raise ForgeMisconfigured(f"Unknown forge {name!r}; known are {', '.join(sorted(FORGES))}.")
    return cast("Forge", import_module(FORGES[name]).create(settings, clock))

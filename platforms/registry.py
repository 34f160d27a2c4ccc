"""Which platforms exist: name -> lazy factories for the adapter and the simulator.

An SDK is imported only when its platform is asked for. Adding a platform is one folder and one row of `PLATFORMS`.
"""

from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from bot.ports import Clock, Platform


class Simulator(Protocol):
    """A platform's server side on loopback. The full set of verbs and readers is each simulator's own."""

    def start(self) -> None:
        """Serves on 127.0.0.1 from a thread and loop of its own; returns when ready."""
        ...

    def stop(self) -> None:
        """Ends the server, its connections and its thread."""
        ...

    def advance(self, duration: timedelta) -> None:
        """Moves the simulated clock; redeliveries and expiries that fall due happen."""
        ...

    def fail_next(self, method: str, **fault: Any) -> None:
        """Makes the next call of `method` fail: status, retry_after, error, drop_after_commit."""
        ...

    @property
    def surprises(self) -> list[Any]:
        """What the code under test sent that the platform does not know."""
        ...


class UnknownPlatform(ValueError):
    """There is no such platform. The known ones are in `PLATFORMS`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no platform {name!r}; known: {', '.join(sorted(PLATFORMS))}")


class MissingExtra(ImportError):
    """The platform's SDK is not installed. The message names the command that installs it."""

    def __init__(self, name: str, missing: str) -> None:
        super().__init__(f"{missing} is not installed; run: pip install codetask[{PLATFORMS[name].extra}]")
        self.platform = name


@dataclass(frozen=True, slots=True)
class _Entry:
    adapter: str
    simulator: str
    extra: str
    sdk: tuple[str, ...]


PLATFORMS: dict[str, _Entry] = {
    "slack": _Entry("platforms.slack.adapter", "platforms.slack.simulator", "slack", ("slack_bolt", "slack_sdk")),
}


def create_platform(name: str, settings: Any, clock: Clock) -> Platform:
    """The adapter of a platform, not yet connected. Raises `UnknownPlatform` or `MissingExtra`."""
    return _load(name, _entry(name).adapter).create(settings, clock)


def create_simulator(name: str, **options: Any) -> Simulator:
    """The simulator of a platform, not yet started. Raises `UnknownPlatform` or `MissingExtra`."""
    return _load(name, _entry(name).simulator).create(**options)


def _entry(name: str) -> _Entry:
    if name not in PLATFORMS:
        raise UnknownPlatform(name)
    return PLATFORMS[name]


def _load(name: str, module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in PLATFORMS[name].sdk:
            raise MissingExtra(name, missing) from error
        raise

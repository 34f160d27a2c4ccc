"""Which platforms exist: name -> lazy factories for settings, adapter, simulator and setup.

An SDK is imported only when its platform is asked for. Adding a platform is one folder and one row of `PLATFORMS`
(platforms/README.md).
"""

from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from bot.ports import Clock, Platform
from bot.settings import PlatformSettings, Settings, join_settings


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
    def settings(self) -> dict[str, str]:
        """The settings with which the product reaches it, over the transport that needs no public address."""
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
class Entry:
    """One platform: the package that holds its modules, the extra that installs its SDK, the SDK's modules.

    The package has `settings.py` with `SETTINGS`, `adapter.py` and `simulator` with `create`, `setup.py` (README.md).
    """

    package: str
    extra: str
    sdk: tuple[str, ...]


PLATFORMS: dict[str, Entry] = {
    "slack": Entry("platforms.slack", "slack", ("slack_bolt", "slack_sdk")),
    "discord": Entry("platforms.discord", "discord", ("discord",)),
    "lark": Entry("platforms.lark", "lark", ("lark_oapi",)),
}


def load_settings(**values: Any) -> Settings:
    """The settings of this process; `values` go before environment and files. Raises `bot.settings.SettingsError`."""
    return join_settings({name: _load(name, "settings").SETTINGS for name in PLATFORMS}, values)


def configured_platforms(settings: Settings) -> list[str]:
    """Names of the chat platforms whose credentials are set."""
    return [name for name, own in settings.chat.items() if own.configured]


def create_platform(name: str, settings: PlatformSettings, clock: Clock) -> Platform:
    """The adapter of a platform, not yet connected. Raises `UnknownPlatform` or `MissingExtra`."""
    return _load(name, "adapter").create(settings, clock)


def create_simulator(name: str, **options: Any) -> Simulator:
    """The simulator of a platform, not yet started. Raises `UnknownPlatform` or `MissingExtra`."""
    return _load(name, "simulator").create(**options)


def platform_setup(name: str) -> ModuleType:
    """The module with a platform's setup steps and manifest. Raises `UnknownPlatform`."""
    return _load(name, "setup")


def _load(name: str, module: str) -> ModuleType:
    if name not in PLATFORMS:
        raise UnknownPlatform(name)
    try:
        return import_module(f"{PLATFORMS[name].package}.{module}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in PLATFORMS[name].sdk:
            raise MissingExtra(name, missing) from error
        raise

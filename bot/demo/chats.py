"""The chats of the demo: one row per platform. A platform whose SDK is not installed is left out."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from bot.demo.channel import Channel
from platforms.registry import PLATFORMS

CHATS: Final[Mapping[str, str]] = {
    "slack": "bot.demo.slack_view:open_slack",
    "discord": "bot.demo.discord_view:open_discord",
    "lark": "bot.demo.lark_view:open_lark",
}
"""Platform -> the function that starts its simulator and fits it to `Channel`."""


def open_channels(stack: AsyncExitStack) -> list[Channel]:
    """Every channel whose SDK is installed, each on a simulator of its own that runs until the stack is closed."""
    chats = stack.enter_context(ExitStack())
    return [_load(place)(chats) for name, place in CHATS.items() if has_sdk(name)]


def has_sdk(name: str) -> bool:
    """Whether a platform's SDK is installed (not imported for it)."""
    return all(find_spec(module) is not None for module in PLATFORMS[name].sdk)


def _load(place: str) -> Callable[[ExitStack], Channel]:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)

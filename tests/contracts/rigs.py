"""The rigs that the suite runs on. A platform joins with one row."""

from collections.abc import Callable
from pathlib import Path

from tests.contracts.rig import Rig
from tests.contracts.rig_discord import DiscordRig
from tests.contracts.rig_lark import LarkRig
from tests.contracts.rig_slack import SlackRig

RIGS: dict[str, Callable[[Path], Rig]] = {
    "slack-socket": lambda data: SlackRig(data, "socket"),
    "slack-http": lambda data: SlackRig(data, "http"),
    "lark-long": lambda data: LarkRig(data, "long"),
    "lark-webhook": lambda data: LarkRig(data, "webhook"),
    "discord": DiscordRig,
}

SECOND_TRANSPORTS = frozenset({"slack-http", "lark-webhook"})
"""Rigs of a platform that has another rig: they differ in how events come in, not in what is sent. What is not about
that runs on them with `make faults`."""

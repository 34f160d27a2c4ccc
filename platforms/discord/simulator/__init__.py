"""Discord's server side on loopback, at wire level, for the demo and the tests. Needs the extra `codetask[discord]`."""

from platforms.discord.simulator.api import Call
from platforms.discord.simulator.catalog import INVITE_PERMISSIONS, Intent, Permission
from platforms.discord.simulator.gateway import Connection
from platforms.discord.simulator.interactions import Interaction
from platforms.discord.simulator.render import ButtonSeen, buttons, plain_text, render_text
from platforms.discord.simulator.server import DiscordSimulator, create
from platforms.discord.simulator.state import Channel, Edit, Form, Happening, Reacted, StoredMessage, User, Whisper

__all__ = [
    "INVITE_PERMISSIONS",
    "ButtonSeen",
    "Call",
    "Channel",
    "Connection",
    "DiscordSimulator",
    "Edit",
    "Form",
    "Happening",
    "Intent",
    "Interaction",
    "Permission",
    "Reacted",
    "StoredMessage",
    "User",
    "Whisper",
    "buttons",
    "create",
    "plain_text",
    "render_text",
]

"""Lark's (Feishu's) server side on loopback, at wire level, for the demo and the tests. Imports nothing of its SDK."""

from platforms.lark.simulator.api import Call
from platforms.lark.simulator.catalog import BOTS_SCOPE, MANIFEST_EVENTS, MANIFEST_SCOPES, NOISE, SENSITIVE_SCOPE
from platforms.lark.simulator.delivery import Attempt, Delivery
from platforms.lark.simulator.kit import card_problem
from platforms.lark.simulator.render import ButtonSeen, buttons, render_text, summary
from platforms.lark.simulator.sender import encrypted_body, signed_headers
from platforms.lark.simulator.server import LarkSimulator, create
from platforms.lark.simulator.state import Chat, Edit, Happening, Reacted, StoredMessage, User, Whisper

__all__ = [
    "BOTS_SCOPE",
    "MANIFEST_EVENTS",
    "MANIFEST_SCOPES",
    "NOISE",
    "SENSITIVE_SCOPE",
    "Attempt",
    "ButtonSeen",
    "Call",
    "Chat",
    "Delivery",
    "Edit",
    "Happening",
    "LarkSimulator",
    "Reacted",
    "StoredMessage",
    "User",
    "Whisper",
    "buttons",
    "card_problem",
    "create",
    "encrypted_body",
    "render_text",
    "signed_headers",
    "summary",
]

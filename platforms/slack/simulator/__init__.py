"""Slack's server side on loopback, at wire level, for the demo and the tests. Needs the extra `codetask[slack]`."""

from platforms.slack.simulator.delivery import Attempt, Delivery
from platforms.slack.simulator.render import ButtonSeen, buttons, plain_text, render_text
from platforms.slack.simulator.sender import signed_headers
from platforms.slack.simulator.server import SlackSimulator, create
from platforms.slack.simulator.state import Channel, Edit, Happening, Reacted, StoredMessage, User, View, Whisper
from platforms.slack.simulator.webapi import Call

__all__ = [
    "Attempt",
    "ButtonSeen",
    "Call",
    "Channel",
    "Delivery",
    "Edit",
    "Happening",
    "Reacted",
    "SlackSimulator",
    "StoredMessage",
    "User",
    "View",
    "Whisper",
    "buttons",
    "create",
    "plain_text",
    "render_text",
    "signed_headers",
]

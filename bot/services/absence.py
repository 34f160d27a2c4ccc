"""Channels that the bot was taken out of, remembered so that no agent works for an answer nobody would see.

Told by the platform, or learnt from a post that it refused. Being added again, or a post that gets through, ends it.
"""

from typing import Final

from bot.core.inbound import ThreadRef
from bot.services.languages import WHOLE_WORKSPACE
from bot.store import Transaction

AWAY: Final = "away"
"""The channel setting that says so; `tx.followups.due` looks at it."""


def leave(tx: Transaction, place: ThreadRef) -> None:
    """The bot is not in this channel any more. A place named like its workspace (a Discord server) is all of it."""
    whole = place.channel_id == place.workspace_id
    tx.people.set_setting(_whole(place) if whole else place, AWAY, "yes")


def come_back(tx: Transaction, place: ThreadRef) -> None:
    """The bot is in this channel, and so in its workspace."""
    for where in (place, _whole(place)):
        if tx.people.setting(where, AWAY) is not None:
            tx.people.set_setting(where, AWAY, None)


def _whole(place: ThreadRef) -> ThreadRef:
    return place.model_copy(update={"channel_id": WHOLE_WORKSPACE})

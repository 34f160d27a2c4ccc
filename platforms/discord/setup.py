"""What the Discord application needs, and how to set it up: intents, permissions, commands, the steps of `setup`.

`manifest/discord-commands.json` is generated from here and from the table of `bot.core.verbs`; a test keeps them equal.
The numbers are tested against the SDK's own flags.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from platforms.discord.localised import localised_commands

INTENTS: Final[Mapping[str, int]] = {
    "guilds": 1 << 0,
    "guild_messages": 1 << 9,
    "guild_reactions": 1 << 10,
    "dm_messages": 1 << 12,
    "dm_reactions": 1 << 13,
    "message_content": 1 << 15,
}
"""What the gateway is asked for, by the SDK's names."""
ALL_INTENTS: Final = sum(INTENTS.values())
MESSAGE_CONTENT: Final = INTENTS["message_content"]
MESSAGE_CONTENT_FLAGS: Final = (1 << 18) | (1 << 19)
"""Flags of an application that has the message content intent: verified, or in fewer than 100 servers."""
PERMISSIONS: Final[Mapping[str, int]] = {
    "add_reactions": 1 << 6,
    "view_channel": 1 << 10,
    "send_messages": 1 << 11,
    "read_message_history": 1 << 16,
    "create_public_threads": 1 << 35,
    "send_messages_in_threads": 1 << 38,
}
"""What the bot is invited with, by the SDK's names."""
INVITE_PERMISSIONS: Final = sum(PERMISSIONS.values())
SCOPES: Final = ("bot", "applications.commands")
CONTENT_FIX: Final = (
    "Enable the Message Content Intent on the application's page Bot, if you want suggestions or !codetask. Without it "
    "Codetask reads only mentions, direct messages, its commands and its menu."
)
ENDPOINT_FIX: Final = (
    "Remove the Interactions Endpoint URL on the application's page General Information: commands sent there never "
    "reach Codetask."
)
_KEPT: Final = (
    *("type", "name", "description", "options", "choices", "value", "required", "autocomplete", "min_length"),
    *("max_length", "default_member_permissions", "contexts", "integration_types", "nsfw"),
    *("name_localizations", "description_localizations", "zh-CN", "zh-TW"),
)


def build_manifest(request_url: str = "") -> list[dict[str, Any]]:
    """The commands as Discord takes them. Discord needs no public address: `request_url` is not used."""
    return localised_commands()


def render_manifest(manifest: Any) -> str:
    """The manifest as JSON, as it is stored in `manifest/discord-commands.json`."""
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def invite_link(application_id: str) -> str:
    """The link that invites the bot to a server with exactly the rights it uses."""
    asked = {"client_id": application_id, "permissions": INVITE_PERMISSIONS, "scope": " ".join(SCOPES)}
    return f"https://discord.com/oauth2/authorize?{urlencode(asked)}"


def setup_steps(request_url: str = "", application_id: str = "APPLICATION_ID") -> tuple[str, ...]:
    """What `setup discord` walks a person through, one sentence each, in order."""
    return (
        "Open https://discord.com/developers/applications and create an application.",
        "Bot: reset the token and set DISCORD_TOKEN to it.",
        f"Bot (only for suggestions and !codetask): {CONTENT_FIX[0].lower()}{CONTENT_FIX[1:]}",
        "General Information: leave the Interactions Endpoint URL empty.",
        f"Invite the bot, with the Application ID in place: {invite_link(application_id)}",
        "Check it: codetask doctor",
    )


def intents_for(flags: object) -> int:
    """The intents an application with these flags may ask for: all, or all but the content of messages."""
    allowed = isinstance(flags, int) and bool(flags & MESSAGE_CONTENT_FLAGS)
    return ALL_INTENTS if allowed else ALL_INTENTS & ~MESSAGE_CONTENT


def granted_by(intents: int) -> frozenset[str]:
    """The names of intents, for `Identity.granted`."""
    return frozenset(name for name, bit in INTENTS.items() if intents & bit)


def missing_intents(granted: frozenset[str]) -> tuple[str, ...]:
    """Intents the application lacks. Codetask runs without `message_content`, in a degraded mode: `CONTENT_FIX`."""
    return tuple(name for name in INTENTS if name not in granted)


def fingerprint(commands: Any) -> str:
    """A hash of what commands say to people, whichever defaults and ids Discord has added to them."""
    kept = sorted((_kept(command) for command in commands), key=lambda one: (one.get("type", 1), one["name"]))
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _kept(value: Any) -> Any:
    if isinstance(value, Mapping):
        told = {name: _kept(item) for name, item in value.items() if name in _KEPT}
        return {name: item for name, item in told.items() if item not in (None, False, [], "")}
    if isinstance(value, list):
        found = [_kept(item) for item in value]
        return sorted(found) if all(isinstance(item, int) for item in found) else found
    return value

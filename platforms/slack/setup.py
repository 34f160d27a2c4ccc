"""What the Slack app needs, and how to set it up: scopes, events, manifest, the steps of `setup slack`.

`manifest/slack.yaml` is generated from here and from the table of `bot.core.verbs`; a test keeps them equal. Limits:
https://docs.slack.dev/reference/app-manifest (50 commands, 10 shortcuts, shortcut name 24, app name 35, description
140, long description 175-4,000).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from bot.core.verbs import FLAGS, VERBS

HISTORY: Final = ("channels:history", "groups:history", "im:history", "mpim:history")
METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "apps.connections.open": ("connections:write",),
    "auth.test": (),
    "bots.info": ("users:read",),
    "chat.getPermalink": (),
    "chat.postEphemeral": ("chat:write",),
    "chat.postMessage": ("chat:write",),
    "chat.update": ("chat:write",),
    "conversations.history": HISTORY,
    "conversations.info": ("channels:read", "groups:read", "im:read"),
    "conversations.list": ("channels:read", "groups:read"),
    "conversations.open": ("im:write",),
    "conversations.replies": HISTORY,
    "reactions.add": ("reactions:write",),
    "reactions.remove": ("reactions:write",),
    "usergroups.list": ("usergroups:read",),
    "users.info": ("users:read",),
    "views.open": (),
}
"""Every Web API method the adapter calls, with the scopes it needs (`connections:write` is the app token's)."""

EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "app_home_opened": (),
    "app_mention": ("app_mentions:read",),
    "app_uninstalled": (),
    "channel_archive": ("channels:read",),
    "member_joined_channel": ("channels:read", "groups:read"),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "message.mpim": ("mpim:history",),
    "reaction_added": ("reactions:read",),
    "tokens_revoked": (),
}
"""Every event subscribed to, with the scopes it needs."""

FEATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "slash commands and shortcuts": ("commands",),
    "direct messages with the bot": ("im:read",),
}
"""Scopes that no method or event of ours asks for by itself."""

APP_SCOPES: Final = ("connections:write",)
BOT_SCOPES: Final = tuple(
    sorted(
        {scope for table in (METHODS, EVENTS, FEATURES) for scopes in table.values() for scope in scopes}
        - set(APP_SCOPES)
    )
)

NAME: Final = "Codetask"
DESCRIPTION: Final = "Say what you need; a pull request comes back in the same thread."
LONG_DESCRIPTION: Final = (
    "Codetask turns a message into a code change. Type /codetask and what you need, mention the bot in a thread, "
    "or use the message shortcut. A coding agent writes the change in a sandbox, the tests run, and the pull request "
    "arrives in the same thread. One card shows every stage; buttons cancel, retry and open the details. It runs on "
    "your own machine and only reads channels it was invited to."
)


def usage_hint() -> str:
    """The hint behind `/codetask`, made from the verbs and options that this version answers."""
    flags = " ".join(f"[--{flag.name} {flag.hint}]" for flag in FLAGS[:2] if flag.offered)
    shapes = ("filter", "target", "retry", "send", "verb")
    verbs = [verb.hint for verb in VERBS if verb.offered and verb.shape in shapes and verb.name != "run"]
    return " | ".join([f"{flags} what to change".strip(), *verbs])


def follow_up_hint() -> str:
    """The hint behind `/followup`, likewise."""
    wanted = ("show", "cancel", "stop", "run", "retry")
    verbs = [f"{verb.name} FU-7" for verb in VERBS if verb.offered and verb.name in wanted]
    return " | ".join(["WHEN what to do", "list", *verbs, "change FU-7 WHEN"])


def build_manifest(request_url: str = "") -> dict[str, Any]:
    """The app manifest for Socket Mode, or for HTTP when the public address of `/webhooks/slack` is given."""
    at = {"url": request_url} if request_url else {}
    endpoint = {"request_url": request_url} if request_url else {}
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": NAME,
            "description": DESCRIPTION,
            "long_description": LONG_DESCRIPTION,
            "background_color": "#1f2937",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "codetask", "always_online": True},
            "shortcuts": [
                _shortcut("File as code task", "codetask_file", "Turn this message into a code change"),
                _shortcut("Follow up later", "codetask_later", "Come back to this message at a time you choose"),
            ],
            "slash_commands": [
                _slash("/codetask", "Describe a change; a pull request comes back", usage_hint(), at),
                _slash("/followup", "Run a prompt or get a reminder later", follow_up_hint(), at),
            ],
        },
        "oauth_config": {"scopes": {"bot": list(BOT_SCOPES)}},
        "settings": {
            "event_subscriptions": {**endpoint, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **endpoint},
            "org_deploy_enabled": False,
            "socket_mode_enabled": not request_url,
            "token_rotation_enabled": False,
        },
    }


def _shortcut(name: str, callback_id: str, description: str) -> dict[str, Any]:
    return {"name": name, "type": "message", "callback_id": callback_id, "description": description}


def _slash(command: str, description: str, hint: str, at: Mapping[str, str]) -> dict[str, Any]:
    return {"command": command, **at, "description": description, "usage_hint": hint, "should_escape": True}


def render_manifest(manifest: Mapping[str, Any]) -> str:
    """The manifest as YAML, as it is stored in `manifest/slack.yaml`."""
    head = "# Generated from bot/core/verbs.py and platforms/slack/setup.py: `codetask manifest print slack`.\n"
    return head + "\n".join(_yaml(manifest, 0)) + "\n"


def _yaml(value: object, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, Mapping | list):
                yield f"{pad}{key}:"
                yield from _yaml(item, depth + 1)
            else:
                yield f"{pad}{key}: {json.dumps(item, ensure_ascii=False)}"
    elif isinstance(value, list):
        for item in value:
            lines = list(_yaml(item, depth + 1)) if isinstance(item, Mapping) else [f"{pad}  {json.dumps(item)}"]
            yield f"{pad}- {lines[0].lstrip()}"
            yield from lines[1:]


def manifest_link(manifest: Mapping[str, Any]) -> str:
    """A link that opens Slack's "create an app" page with everything filled in."""
    packed = json.dumps(manifest, separators=(",", ":"), ensure_ascii=False)
    return f"https://api.slack.com/apps?new_app=1&manifest_json={quote(packed, safe='')}"


def setup_steps(request_url: str = "") -> tuple[str, ...]:
    """What `setup slack` walks a person through, one sentence each, in order."""
    created = f"Open this link, choose your workspace and create the app: {manifest_link(build_manifest(request_url))}"
    installed = "Install App: install it, and set SLACK_BOT_TOKEN to the Bot User OAuth Token (xoxb-…)."
    if request_url:
        key = "Basic Information: set SLACK_SIGNING_SECRET to the signing secret, and CODETASK_SLACK_TRANSPORT=http."
    else:
        key = "Basic Information, App-Level Tokens: create one with connections:write; set SLACK_APP_TOKEN (xapp-…)."
    return (created, installed, key, "Invite the bot to a channel: /invite @codetask", "Check it: codetask doctor")


def missing_scopes(granted: frozenset[str]) -> tuple[str, ...]:
    """Scopes the installed app lacks. Slack grants new ones only when the app is installed again."""
    return tuple(scope for scope in BOT_SCOPES if scope not in granted)

"""What the simulated platform offers and to whom: methods with their arguments, scopes and rates; events; the manifest.

Source: the method pages of docs.slack.dev and the signatures of slack_sdk 3.47.
"""

from dataclasses import dataclass
from datetime import timedelta

MANIFEST_SCOPES = frozenset(
    {
        "app_mentions:read",
        "channels:history",
        "groups:history",
        "im:history",
        "mpim:history",
        "channels:read",
        "groups:read",
        "im:read",
        "im:write",
        "chat:write",
        "commands",
        "reactions:read",
        "reactions:write",
        "usergroups:read",
        "users:read",
    }
)
"""What the default app was granted at installation: exactly the scopes of `manifest/slack.yaml`."""

MANIFEST_EVENTS = frozenset(
    {
        "app_mention",
        "message.channels",
        "message.groups",
        "message.im",
        "message.mpim",
        "reaction_added",
        "member_joined_channel",
        "channel_archive",
        "app_home_opened",
        "tokens_revoked",
        "app_uninstalled",
    }
)
"""What the default app subscribed to."""

SLASH_COMMANDS = ("/codetask", "/followup")
SHORTCUTS = ("codetask_file", "codetask_later")
"""Callback ids of the message shortcuts "File as code task" and "Follow up later"."""

EVENT_SCOPES: dict[str, str] = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "message.mpim": "mpim:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "member_joined_channel": "channels:read",
    "member_left_channel": "channels:read",
    "channel_archive": "channels:read",
}
"""The scope without which an event is not delivered. Events that are not here need none."""

HISTORY_SCOPES = {
    "public": "channels:history",
    "private": "groups:history",
    "im": "im:history",
    "mpim": "mpim:history",
}
READ_SCOPES = {"public": "channels:read", "private": "groups:read", "im": "im:read", "mpim": "mpim:read"}

ACK_WINDOW = timedelta(seconds=3)
RETRY_DELAYS = (timedelta(0), timedelta(minutes=1), timedelta(minutes=5))
"""Events are sent again at once, after 1 minute and after 5 minutes; interactions never."""

MAX_CONNECTIONS = 10


@dataclass(frozen=True)
class Method:
    """One web API method. `tier` is calls per minute; None: the special rate of posts, 1/s per channel."""

    arguments: frozenset[str]
    scope: str | None = None
    required: tuple[str, ...] = ()
    tier: int | None = 50
    app_level: bool = False


def _method(
    arguments: str,
    scope: str | None = None,
    required: str = "",
    tier: int | None = 50,
    *,
    app_level: bool = False,
) -> Method:
    return Method(frozenset(arguments.split()), scope, tuple(required.split()), tier, app_level)


_CONTENT = "text blocks attachments markdown_text as_user icon_emoji icon_url link_names parse username"

METHODS: dict[str, Method] = {
    "auth.test": _method("", tier=600),
    "apps.connections.open": _method("", "connections:write", tier=1200, app_level=True),
    "chat.postMessage": _method(
        f"channel thread_ts reply_broadcast unfurl_links unfurl_media mrkdwn metadata container_id {_CONTENT}",
        "chat:write",
        "channel",
        None,
    ),
    "chat.update": _method(
        "channel ts text blocks attachments as_user file_ids link_names parse reply_broadcast metadata markdown_text",
        "chat:write",
        "channel ts",
    ),
    "chat.delete": _method("channel ts as_user", "chat:write", "channel ts"),
    "chat.postEphemeral": _method(f"channel user thread_ts {_CONTENT}", "chat:write", "channel user", 100),
    "chat.getPermalink": _method("channel message_ts", None, "channel message_ts", 600),
    "conversations.info": _method("channel include_locale include_num_members", None, "channel"),
    "conversations.list": _method("cursor exclude_archived limit team_id types", tier=20),
    "conversations.history": _method(
        "channel cursor inclusive include_all_metadata latest limit oldest", None, "channel"
    ),
    "conversations.replies": _method(
        "channel ts cursor inclusive include_all_metadata latest limit oldest", None, "channel ts"
    ),
    "conversations.open": _method("channel return_im users prevent_creation", "im:write"),
    "reactions.add": _method("channel name timestamp", "reactions:write", "name"),
    "reactions.remove": _method("channel name timestamp file file_comment", "reactions:write", "name"),
    "bots.info": _method("bot team_id", "users:read"),
    "usergroups.list": _method("include_count include_disabled include_users team_id", "usergroups:read", "", 20),
    "users.info": _method("user include_locale", "users:read", "user", 100),
    "views.open": _method("trigger_id interactivity_pointer view", None, "view", 100),
    "views.update": _method("view view_id external_id hash", None, "view", 100),
    "views.publish": _method("user_id view hash", None, "user_id view", 100),
    "assistant.threads.setStatus": _method(
        "channel_id thread_ts status loading_messages icon_emoji icon_url username",
        "chat:write",
        "channel_id thread_ts status",
        100,
    ),
}

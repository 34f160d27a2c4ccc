"""Discord's numbers: limits, intents, permissions, error codes and the operations of its REST API.

Sources: docs.discord.com and Discord's OpenAPI description; operations carry its operation ids.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import IntFlag
from typing import Final


class Permission(IntFlag):
    """Bits of a permission set."""

    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    CREATE_PRIVATE_THREADS = 1 << 36
    SEND_MESSAGES_IN_THREADS = 1 << 38


class Intent(IntFlag):
    """What a gateway session wants to hear."""

    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_MESSAGE_REACTIONS = 1 << 10
    DIRECT_MESSAGES = 1 << 12
    DIRECT_MESSAGE_REACTIONS = 1 << 13
    MESSAGE_CONTENT = 1 << 15


ALL_PERMISSIONS: Final = (1 << 53) - 1
KNOWN_INTENTS: Final = (1 << 26) - 1
PRIVILEGED: Final = Intent.GUILD_MEMBERS | Intent.GUILD_PRESENCES | Intent.MESSAGE_CONTENT
INVITE_PERMISSIONS: Final = 309237713984
"""What the bot is invited with: View, Send, Read History, Add Reactions, Create Public Threads, Send in Threads."""

EVERYONE: Final = Permission.VIEW_CHANNEL | Permission.READ_MESSAGE_HISTORY | Permission.USE_APPLICATION_COMMANDS
GUEST: Final = Permission.SEND_MESSAGES | Permission.SEND_MESSAGES_IN_THREADS
MEMBER: Final = GUEST | Permission.ADD_REACTIONS | Permission.CREATE_PUBLIC_THREADS | Permission.EMBED_LINKS

MAX_CONTENT: Final = 2000
"""For bots; the OpenAPI description says 4,000."""
MAX_SHOWN: Final = 4000
"""Characters of all text displays of a components v2 message together."""
MAX_COMPONENTS: Final = 40
MAX_NONCE: Final = 25
MAX_REACTIONS: Final = 20
MAX_THREAD_NAME: Final = 100
AUTO_ARCHIVE: Final = (60, 1440, 4320, 10080)
THREAD_TYPES: Final = (10, 11, 12)

IS_COMPONENTS_V2: Final = 1 << 15
EPHEMERAL: Final = 1 << 6
LOADING: Final = 1 << 7
HAS_THREAD: Final = 1 << 5
SUPPRESS_EMBEDS: Final = 1 << 2
SUPPRESS_NOTIFICATIONS: Final = 1 << 12
IS_GUEST: Final = 1 << 4
"""Flag of a member."""

INTERACTION_WINDOW: Final = timedelta(seconds=3)
TOKEN_LIFE: Final = timedelta(minutes=15)
NONCE_WINDOW: Final = timedelta(minutes=5)
"""How long `enforce_nonce` looks back. Discord says "the past few minutes"."""
RESUME_WINDOW: Final = timedelta(minutes=3)
"""How long a session can be resumed after its connection was lost (not verified)."""
OLD_MESSAGE: Final = timedelta(hours=1)
OLD_EDITS: Final = 3
"""Edits that a message over an hour old takes within an hour. Discord publishes no number."""
IDENTIFY_BUDGET: Final = 1000

UNAUTHORIZED: Final = (401, 0, "401: Unauthorized")
NOT_FOUND: Final = (404, 0, "404: Not Found")

ERRORS: Final[dict[int, tuple[int, str]]] = {
    10002: (404, "Unknown Application"),
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10014: (400, "Unknown Emoji"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    10063: (404, "Unknown application command"),
    20012: (403, "You are not authorized to perform this action on this application"),
    30010: (400, "Maximum number of reactions reached (20)"),
    30046: (429, "Maximum number of edits to messages older than 1 hour reached. Try again later"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50013: (403, "Missing Permissions"),
    50024: (400, "Cannot execute action on this channel type"),
    50027: (401, "Invalid Webhook Token"),
    50035: (400, "Invalid Form Body"),
    50083: (400, "Thread is archived"),
    50109: (400, "The request body contains invalid JSON."),
    160004: (400, "A thread has already been created for this message"),
}
"""Code -> HTTP status and message."""

CLOSE_REASONS: Final[dict[int, str]] = {
    4000: "Unknown error.",
    4001: "Unknown opcode.",
    4002: "Error while decoding payload.",
    4003: "Not authenticated.",
    4004: "Authentication failed.",
    4005: "Already authenticated.",
    4007: "Invalid seq.",
    4008: "Rate limited.",
    4009: "Session timed out.",
    4010: "Invalid shard.",
    4011: "Sharding required.",
    4012: "Invalid API version.",
    4013: "Invalid intent(s).",
    4014: "Disallowed intent(s).",
}


@dataclass(frozen=True)
class Operation:
    """One operation of the REST API. `rate` is (calls, seconds) per bucket; `fields` are the known body fields."""

    name: str
    verb: str
    path: str
    fields: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()
    rate: tuple[int, float] = (50, 1.0)
    by_token: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path))


def _op(name: str, route: str, fields: str = "", query: str = "", rate: tuple[int, float] = (50, 1.0)) -> Operation:
    verb, path = route.split(" ")
    by_token = path.startswith(("/webhooks/", "/interactions/"))
    return Operation(name, verb, path, frozenset(fields.split()), frozenset(query.split()), rate, by_token)


_MESSAGE = "content embeds allowed_mentions components flags attachments tts"
_EDIT = f"{_MESSAGE} nonce enforce_nonce"
"""`tts` (discord.py) and the nonce (discord.js) come along with edits too; Discord ignores them there."""
_POST = f"{_MESSAGE} nonce enforce_nonce message_reference sticker_ids poll"
_HOOK = "/webhooks/{application_id}/{token}"
_WAIT = "wait thread_id with_components"
_CHANNEL = (
    "name archived locked auto_archive_duration rate_limit_per_user invitable topic nsfw position parent_id flags"
    " applied_tags type permission_overwrites"
)
_COMMANDS = "/applications/{application_id}/commands"
_REACTION = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}"
_MESSAGES = "/channels/{channel_id}/messages"

OPERATIONS: Final[tuple[Operation, ...]] = (
    _op("get_my_user", "GET /users/@me"),
    _op("list_my_guilds", "GET /users/@me/guilds", "", "before after limit with_counts"),
    _op("create_dm", "POST /users/@me/channels", "recipient_id recipients"),
    _op("get_user", "GET /users/{user_id}"),
    _op("get_my_oauth2_application", "GET /oauth2/applications/@me"),
    _op("get_my_application", "GET /applications/@me"),
    _op("get_gateway", "GET /gateway"),
    _op("get_bot_gateway", "GET /gateway/bot"),
    _op("get_guild", "GET /guilds/{guild_id}", "", "with_counts"),
    _op("list_guild_channels", "GET /guilds/{guild_id}/channels"),
    _op("list_guild_roles", "GET /guilds/{guild_id}/roles"),
    _op("get_active_guild_threads", "GET /guilds/{guild_id}/threads/active"),
    _op("get_guild_member", "GET /guilds/{guild_id}/members/{user_id}"),
    _op("get_channel", "GET /channels/{channel_id}"),
    _op("update_channel", "PATCH /channels/{channel_id}", _CHANNEL, rate=(5, 5.0)),
    _op("delete_channel", "DELETE /channels/{channel_id}"),
    _op("trigger_typing_indicator", "POST /channels/{channel_id}/typing"),
    _op("list_messages", f"GET {_MESSAGES}", "", "around before after limit"),
    _op("create_message", f"POST {_MESSAGES}", _POST, rate=(5, 5.0)),
    _op("get_message", f"GET {_MESSAGES}/{{message_id}}"),
    _op("update_message", f"PATCH {_MESSAGES}/{{message_id}}", _EDIT, rate=(5, 5.0)),
    _op("delete_message", f"DELETE {_MESSAGES}/{{message_id}}", rate=(5, 1.0)),
    _op("list_message_reactions_by_emoji", f"GET {_REACTION}", "", "after limit type"),
    _op("add_my_message_reaction", f"PUT {_REACTION}/@me", "", "location type burst", rate=(1, 0.25)),
    _op("delete_my_message_reaction", f"DELETE {_REACTION}/@me", "", "location burst", rate=(1, 0.25)),
    _op(
        "create_thread_from_message",
        f"POST {_MESSAGES}/{{message_id}}/threads",
        "name auto_archive_duration rate_limit_per_user type",
    ),
    _op(
        "create_thread",
        "POST /channels/{channel_id}/threads",
        "name auto_archive_duration rate_limit_per_user type invitable",
    ),
    _op("list_thread_members", "GET /channels/{channel_id}/thread-members", "", "with_member limit after"),
    _op("get_thread_member", "GET /channels/{channel_id}/thread-members/{user_id}", "", "with_member"),
    _op("join_thread", "PUT /channels/{channel_id}/thread-members/@me"),
    _op("leave_thread", "DELETE /channels/{channel_id}/thread-members/@me"),
    _op("add_thread_member", "PUT /channels/{channel_id}/thread-members/{user_id}"),
    _op(
        "list_public_archived_threads",
        "GET /channels/{channel_id}/threads/archived/public",
        "",
        "before limit",
    ),
    _op("list_application_commands", f"GET {_COMMANDS}", "", "with_localizations"),
    _op("bulk_set_application_commands", f"PUT {_COMMANDS}"),
    _op(
        "create_interaction_response",
        "POST /interactions/{interaction_id}/{token}/callback",
        "type data",
        "with_response",
    ),
    _op("execute_webhook", f"POST {_HOOK}", f"{_MESSAGE} poll", _WAIT),
    _op("get_original_webhook_message", f"GET {_HOOK}/messages/@original", "", "thread_id"),
    _op("update_original_webhook_message", f"PATCH {_HOOK}/messages/@original", _EDIT, _WAIT),
    _op("delete_original_webhook_message", f"DELETE {_HOOK}/messages/@original", "", "thread_id"),
    _op("get_webhook_message", f"GET {_HOOK}/messages/{{message_id}}", "", "thread_id"),
    _op("update_webhook_message", f"PATCH {_HOOK}/messages/{{message_id}}", _EDIT, _WAIT),
    _op("delete_webhook_message", f"DELETE {_HOOK}/messages/{{message_id}}", "", "thread_id"),
)
"""In order of precedence: fixed names before placeholders."""

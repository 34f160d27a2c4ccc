"""What the simulated platform offers and to whom: endpoints with their fields and scopes, events, limits, the manifest.

Source: the API pages of open.larksuite.com and the request models of lark-oapi 1.7.5.
"""

from dataclasses import dataclass
from datetime import timedelta

SENSITIVE_SCOPE = "im:message.group_msg"
"""Lets the app see and list every message of its groups. Needs an administrator's approval, so it is off at first."""

BOTS_SCOPE = "im:message.group_msg.include_bot:read"
"""Lets the app see what other bots say in its groups. Off at first, so that bots do not answer each other for ever."""

MANIFEST_SCOPES = frozenset(
    {
        "im:message:send_as_bot",
        "im:message:readonly",
        "im:message.group_at_msg:readonly",
        "im:message.p2p_msg:readonly",
        "im:message.reactions:read",
        "im:message.reactions:write_only",
        "im:chat:readonly",
        "contact:user.base:readonly",
    }
)
"""What the default app was granted: the scopes of `manifest/lark.yaml` without the sensitive one."""

_ANY_MESSAGE = ("im:message", "im:message:readonly")
_SEND = ("im:message", "im:message:send_as_bot", "im:message:send")
_CHAT = ("im:chat", "im:chat:readonly", "im:chat:read")
_GROUP = (SENSITIVE_SCOPE, "im:message.group_at_msg", "im:message.group_at_msg:readonly")
_DIRECT = ("im:message.p2p_msg", "im:message.p2p_msg:readonly")
_REACTIONS = ("im:message", "im:message.reactions:read")
_MARKING = ("im:message", "im:message.reactions:write_only")

EVENT_SCOPES: dict[str, tuple[str, ...]] = {
    "im.message.receive_v1": (*_GROUP, *_DIRECT, "im:message"),
    "im.message.recalled_v1": (*_ANY_MESSAGE, *_GROUP, *_DIRECT),
    "im.message.reaction.created_v1": _REACTIONS,
    "im.message.reaction.deleted_v1": _REACTIONS,
    "im.chat.member.bot.added_v1": (*_CHAT, "im:chat.members:bot_access"),
    "im.chat.member.bot.deleted_v1": (*_CHAT, "im:chat.members:bot_access"),
    "application.bot.menu_v6": (),
    "card.action.trigger": (),
    "im.message.message_read_v1": _ANY_MESSAGE,
    "im.chat.updated_v1": _CHAT,
    "im.chat.disbanded_v1": _CHAT,
    "im.chat.member.user.added_v1": _CHAT,
    "im.chat.access_event.bot_p2p_chat_entered_v1": (),
}
"""Event -> scopes of which one must be granted; empty: none is needed. Which ones a recall needs is not verified."""

MANIFEST_EVENTS = frozenset(list(EVENT_SCOPES)[:8])
"""What the default app subscribed to."""

NOISE = tuple(list(EVENT_SCOPES)[8:])
"""Events that apps often get without having a use for them."""

DIRECT_SCOPES = frozenset((*_DIRECT, "im:message"))
GROUP_MENTION_SCOPES = frozenset((*_GROUP, "im:message"))

ACK_WINDOW = timedelta(seconds=3)
RETRY_DELAYS = (timedelta(seconds=15), timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6))
MAX_CONNECTIONS = 50
TOKEN_LIFE = timedelta(hours=2)
TOKEN_RENEWAL = timedelta(minutes=30)
"""A token with less than this left is replaced when asked for; before, the same one is given out again."""
UUID_LIFE = timedelta(hours=1)
EDIT_WINDOW = timedelta(days=14)
CALLBACK_LIFE = timedelta(minutes=30)
MAX_TEXT_BYTES = 150 * 1024
MAX_CARD_BYTES = 30 * 1024
MAX_UUID = 50

CLIENT_CONFIG = {"ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30, "PingInterval": 120}
"""What the platform tells a client: seconds between tries, jitter before the first, -1 tries: for ever."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of the API. One of `scopes` is needed; `token`: whether a tenant access token is."""

    name: str
    verb: str
    path: str
    scopes: tuple[str, ...] = ()
    query: frozenset[str] = frozenset()
    body: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()
    token: bool = True


_IM = "/open-apis/im/v1"
_PAGE = frozenset({"page_size", "page_token"})
_IDS = frozenset({"user_id_type"})

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "token",
        "POST",
        "/open-apis/auth/v3/tenant_access_token/internal",
        body=frozenset({"app_id", "app_secret"}),
        token=False,
    ),
    Endpoint(
        "endpoint",
        "POST",
        "/callback/ws/endpoint",
        body=frozenset({"AppID", "AppSecret", "ClientAssertion"}),
        token=False,
    ),
    Endpoint("bot.info", "GET", "/open-apis/bot/v3/info"),
    Endpoint("bot.info", "GET", "/open-apis/bot/v3/info/"),
    Endpoint("scope.list", "GET", "/open-apis/application/v6/scopes"),
    Endpoint(
        "message.create",
        "POST",
        f"{_IM}/messages",
        _SEND,
        frozenset({"receive_id_type"}),
        frozenset({"receive_id", "msg_type", "content", "uuid"}),
        ("receive_id_type", "receive_id", "msg_type", "content"),
    ),
    Endpoint(
        "message.reply",
        "POST",
        f"{_IM}/messages/{{message_id}}/reply",
        _SEND,
        body=frozenset({"msg_type", "content", "uuid", "reply_in_thread"}),
        required=("msg_type", "content"),
    ),
    Endpoint(
        "message.patch",
        "PATCH",
        f"{_IM}/messages/{{message_id}}",
        (*_SEND, "im:message:update"),
        body=frozenset({"content"}),
        required=("content",),
    ),
    Endpoint("message.delete", "DELETE", f"{_IM}/messages/{{message_id}}", (*_SEND, "im:message:recall")),
    Endpoint(
        "message.get",
        "GET",
        f"{_IM}/messages/{{message_id}}",
        _ANY_MESSAGE,
        _IDS | {"card_msg_content_type"},
    ),
    Endpoint(
        "message.list",
        "GET",
        f"{_IM}/messages",
        _ANY_MESSAGE,
        _PAGE
        | {"container_id_type", "container_id", "start_time", "end_time", "sort_type"}
        | {"card_msg_content_type", "only_thread_root_messages"},
        required=("container_id_type", "container_id"),
    ),
    Endpoint(
        "reaction.create",
        "POST",
        f"{_IM}/messages/{{message_id}}/reactions",
        _MARKING,
        body=frozenset({"reaction_type"}),
        required=("reaction_type",),
    ),
    Endpoint(
        "reaction.list",
        "GET",
        f"{_IM}/messages/{{message_id}}/reactions",
        (*_REACTIONS, "im:message:readonly"),
        _PAGE | _IDS | {"reaction_type"},
    ),
    Endpoint("reaction.delete", "DELETE", f"{_IM}/messages/{{message_id}}/reactions/{{reaction_id}}", _MARKING),
    Endpoint("chat.list", "GET", f"{_IM}/chats", _CHAT, _PAGE | _IDS | {"sort_type"}),
    Endpoint("chat.get", "GET", f"{_IM}/chats/{{chat_id}}", _CHAT, _IDS),
    Endpoint(
        "chat.members",
        "GET",
        f"{_IM}/chats/{{chat_id}}/members",
        (*_CHAT, "im:chat.members:read"),
        _PAGE | {"member_id_type"},
    ),
    Endpoint("chat.is_in", "GET", f"{_IM}/chats/{{chat_id}}/members/is_in_chat", _CHAT),
    Endpoint(
        "user.get",
        "GET",
        "/open-apis/contact/v3/users/{user_id}",
        ("contact:user.base:readonly", "contact:contact.base:readonly", "contact:contact:readonly_as_app"),
        _IDS | {"department_id_type"},
    ),
)
"""Every endpoint that is served; anything else is HTTP 404, as on the platform, and a surprise."""

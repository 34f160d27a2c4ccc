"""What the Lark (Feishu) app needs, and how to set it up: scopes, events, callback, menu, the steps of `setup lark`.

Lark documents no manifest that it imports, so `manifest/lark.yaml` is a checklist, generated from here; a test keeps
them equal. Scopes and events: platforms.md 2.3 and the API pages of open.larksuite.com.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from platforms.lark.inbound import CALLBACK, MENU
from platforms.lark.rest import LOOPBACK
from platforms.lark.settings import LarkSettings

SENSITIVE_SCOPE: Final = "im:message.group_msg"
"""Sees every message of the bot's groups, not only mentions: for `!codetask`, reading back and suggestions."""

SENSITIVE_FIX: Final = (
    f"Add {SENSITIVE_SCOPE} (Permissions & Scopes; an admin must approve it) and publish a version. Without it "
    "Codetask hears only mentions in groups: it suggests nothing there, misses !codetask, and cannot "
    "read back what it missed."
)

SEND: Final = ("im:message:send_as_bot", "im:message")
READ: Final = ("im:message:readonly", "im:message")
REACT: Final = ("im:message.reactions:write_only", "im:message")
REACTIONS: Final = ("im:message.reactions:read", "im:message")
CHATS: Final = ("im:chat:readonly", "im:chat", "im:chat:read")
MENTIONS: Final = ("im:message.group_at_msg:readonly", "im:message.group_at_msg", SENSITIVE_SCOPE)
DIRECT: Final = ("im:message.p2p_msg:readonly", "im:message.p2p_msg")
NAMES: Final = ("contact:user.base:readonly",)

METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "POST /open-apis/auth/v3/tenant_access_token/internal": (),
    "POST /callback/ws/endpoint": (),
    "GET /open-apis/bot/v3/info": (),
    "GET /open-apis/application/v6/scopes": (),
    "POST /open-apis/im/v1/messages": SEND,
    "POST /open-apis/im/v1/messages/:id/reply": SEND,
    "PATCH /open-apis/im/v1/messages/:id": SEND,
    "GET /open-apis/im/v1/messages/:id": READ,
    "GET /open-apis/im/v1/messages": READ,
    "POST /open-apis/im/v1/messages/:id/reactions": REACT,
    "GET /open-apis/im/v1/messages/:id/reactions": REACTIONS,
    "DELETE /open-apis/im/v1/messages/:id/reactions/:id": REACT,
    "GET /open-apis/im/v1/chats": CHATS,
    "GET /open-apis/im/v1/chats/:id/members": CHATS,
    "GET /open-apis/im/v1/chats/:id": CHATS,
    "GET /open-apis/contact/v3/users/:id": NAMES,
}
"""Every endpoint the adapter calls, with the scopes of which one is needed; the first is the one we ask for."""

EVENTS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "im.message.receive_v1": (MENTIONS, DIRECT),
    "im.message.recalled_v1": (READ,),
    "im.message.reaction.created_v1": (REACTIONS,),
    "im.message.reaction.deleted_v1": (REACTIONS,),
    "im.chat.member.bot.added_v1": (CHATS,),
    "im.chat.member.bot.deleted_v1": (CHATS,),
    "application.bot.menu_v6": (),
}
"""Every event subscribed to, with the scopes it needs: one of each group."""

CALLBACKS: Final = (CALLBACK,)
OPTIONAL: Final = frozenset(NAMES)
"""Scopes without which the bot works, with less: people are then shown by their ids."""

NEEDS: Final = tuple(
    dict.fromkeys(
        [scopes for scopes in METHODS.values() if scopes] + [scopes for groups in EVENTS.values() for scopes in groups]
    )
)
SCOPES: Final = tuple(sorted({scopes[0] for scopes in NEEDS}))
"""The scopes to ask for, without the sensitive one."""

NAME: Final = "Codetask"
DESCRIPTION: Final = "Say what you need; a pull request comes back in the same thread."
MENU_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "list": ("My code tasks", "我的任务"),
    "followups": ("My follow-ups", "我的跟进"),
    "status": ("Status", "状态"),
    "help": ("Help", "帮助"),
}
DOMAINS: Final[Mapping[str, str]] = {"lark": "https://open.larksuite.com", "feishu": "https://open.feishu.cn"}


ADDONS: Final[Mapping[str, Any]] = {
    "scopes": {"tenant": list(SCOPES)},
    "events": {"items": {"tenant": list(EVENTS)}},
    "callbacks": {"items": list(CALLBACKS)},
}
"""What an app made by a link asks for beyond Lark's own template."""
_REFUSED: Final = {
    "access_denied": "The app was not approved.",
    "expired_token": "The link was not used in time.",
}


def build_manifest(request_url: str = "") -> dict[str, Any]:
    """The checklist for the long connection, or for webhooks when the public address of `/webhooks/lark` is given."""
    transport: dict[str, Any] = {"mode": "webhook", "request_url": request_url} if request_url else {"mode": "long"}
    return {
        "app": {"name": NAME, "description": DESCRIPTION, "type": "custom app", "features": ["bot"]},
        "domains": dict(DOMAINS),
        "transport": transport,
        "scopes": [{"name": scope, "optional": scope in OPTIONAL} for scope in SCOPES],
        "sensitive_scopes": [
            {
                "name": SENSITIVE_SCOPE,
                "optional": True,
                "why": "For suggestions and !codetask. An admin must approve it. Without it the bot hears only "
                "mentions and cannot read groups back.",
            }
        ],
        "events": list(EVENTS),
        "callbacks": list(CALLBACKS),
        "bot_menu": [
            {"name": {"en_us": MENU_NAMES[said][0], "zh_cn": MENU_NAMES[said][1]}, "action": "event", "event_key": key}
            for key, said in MENU.items()
        ],
    }


def render_manifest(manifest: Mapping[str, Any]) -> str:
    """The checklist as YAML, as it is stored in `manifest/lark.yaml`."""
    head = "# Generated from platforms/lark/setup.py: `codetask manifest print lark`. Lark imports no file.\n"
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


def setup_steps(request_url: str = "") -> tuple[str, ...]:
    """What `setup lark` walks a person through, one sentence each, in order."""
    if request_url:
        transport = (
            f"Events & Callbacks: send both to {request_url}; set LARK_ENCRYPT_KEY and LARK_VERIFICATION_TOKEN "
            "to the values shown under Encryption Strategy, and CODETASK_LARK_TRANSPORT=webhook."
        )
    else:
        transport = "Events & Callbacks: choose the persistent (long) connection for both; no address is needed."
    keys = (
        "Credentials & Basic Info: set LARK_APP_ID and LARK_APP_SECRET; "
        f"for Feishu also CODETASK_LARK_API_URL={DOMAINS['feishu']}."
    )
    sensitive = (
        "Only for suggestions, for !codetask without a mention, and to read back what was missed: add "
        f"{SENSITIVE_SCOPE}, which sees every message of the bot's groups; an admin must approve it."
    )
    return (
        f"Open {DOMAINS['lark']}/app (Feishu: {DOMAINS['feishu']}/app), create a custom app and add the Bot feature.",
        keys,
        f"Permissions & Scopes: add {', '.join(SCOPES)}.",
        sensitive,
        transport,
        f"Subscribe to the events {', '.join(EVENTS)} and to the callback {', '.join(CALLBACKS)}.",
        f"Bot, Custom menu: add entries with the event keys {', '.join(MENU)}.",
        "Version Management & Release: create a version and publish it, again after each change.",
        "Add the bot to a group: Settings, Bots, Add Bot.",
        "Check it: codetask doctor",
    )


def missing_scopes(granted: frozenset[str]) -> tuple[str, ...]:
    """Scopes the app lacks, each as the one to ask for. New ones count once a version is published."""
    lacking = {scopes[0] for scopes in NEEDS if not granted & set(scopes)}
    return tuple(sorted(lacking - OPTIONAL))


def register(show: Callable[[str], None], own: LarkSettings) -> dict[str, str] | str:
    """Makes an app by a link, given to `show`, that a person opens; the settings to keep, by their names.

    A sentence instead when nothing came of it. Blocks until the person is done, ten minutes at most. Loads all of the
    SDK, which takes seconds. An address on this machine (a simulator) stands for Lark's accounts server too."""
    from platforms.lark.connection import load_client, require_sdk

    try:
        require_sdk()
        load_client()  # first: by itself the import below would leave an event loop behind
        from lark_oapi.scene.registration import RegisterAppError, register_app
        from requests import RequestException
    except ModuleNotFoundError:
        return "Making an app needs Lark's SDK; run: pip install codetask[lark]"
    known = own.codetask_lark_api_url.rstrip("/")
    here = {"domain": known, "lark_domain": known} if urlsplit(known).hostname in LOOPBACK else {}
    try:
        made = register_app(
            on_qr_code=lambda told: show(str(told["url"])), source="codetask", addons=ADDONS, create_only=True, **here
        )
        brand = (made.get("user_info") or {}).get("tenant_brand")
        return {
            "LARK_APP_ID": str(made["client_id"]),
            "LARK_APP_SECRET": str(made["client_secret"]),
            "CODETASK_LARK_API_URL": known if here else DOMAINS["lark" if brand == "lark" else "feishu"],
        }
    except RegisterAppError as error:
        return _REFUSED.get(str(error.code), "Lark did not make the app.")
    except (RequestException, ValueError, KeyError, TypeError, AttributeError):
        return "Lark's accounts server could not be reached, or said nothing that can be read."

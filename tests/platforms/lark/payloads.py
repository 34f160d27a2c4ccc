"""Lark payloads in the shape that Lark documents, as plain dicts to build on."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from platforms.lark.inbound import Me

APP: Final = "cli_a1b2c3d4e5f60000"
TENANT: Final = "736588c9260f175e"
BOT: Final = "ou_b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"
ANA: Final = "ou_a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0"
BO: Final = "ou_c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0"
CHAT: Final = "oc_d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0"
OM: Final = "om_10101010101010101010101010101010"
ROOT: Final = "om_20202020202020202020202020202020"
THREAD: Final = "omt_3030303030303030"
EVENT: Final = "5e3702a84e847582be8db7fb73283c02"
ME: Final = Me(app_id=APP, workspace_id=TENANT, bot_user_id=BOT)
NOW: Final = datetime(2026, 3, 6, 14, 2, tzinfo=UTC)
AT: Final = "1772805720100"


def envelope(kind: str, event: Any, event_id: str = EVENT, **header: Any) -> dict[str, Any]:
    told = {"event_id": event_id, "token": "verification-token", "create_time": AT, "event_type": kind}
    return {"schema": "2.0", "header": {**told, "tenant_key": TENANT, "app_id": APP, **header}, "event": event}


def ids(open_id: str) -> dict[str, Any]:
    return {"union_id": open_id.replace("ou_", "on_"), "user_id": None, "open_id": open_id}


def mention(open_id: str = BOT, key: str = "@_user_1", name: str = "Codetask") -> dict[str, Any]:
    return {"key": key, "id": ids(open_id), "name": name, "tenant_key": TENANT}


def message(
    text: str = "hello",
    *,
    sender: str = ANA,
    tenant: str = TENANT,
    sender_type: str = "user",
    content: Any = None,
    mentions: Any = None,
    **more: Any,
) -> dict[str, Any]:
    said = {
        "message_id": OM,
        "create_time": AT,
        "update_time": AT,
        "chat_id": CHAT,
        "chat_type": "group",
        "message_type": "text",
        "content": json.dumps({"text": text}) if content is None else content,
    }
    if mentions is not None:
        said["mentions"] = mentions
    person = {"sender_id": ids(sender), "sender_type": sender_type, "tenant_key": tenant}
    return {"sender": person, "message": {**said, **more}}


def received(text: str = "hello", **more: Any) -> dict[str, Any]:
    return envelope("im.message.receive_v1", message(text, **more))


def mentioned(text: str = "@_user_1 fix it", **more: Any) -> dict[str, Any]:
    return received(text, mentions=[mention()], **more)


def recalled(**more: Any) -> dict[str, Any]:
    body = {"message_id": OM, "chat_id": CHAT, "recall_time": AT, "recall_type": "message_owner"}
    return envelope("im.message.recalled_v1", {**body, **more})


def reaction(change: str = "created", **more: Any) -> dict[str, Any]:
    body = {"message_id": OM, "reaction_type": {"emoji_type": "THUMBSUP"}, "operator_type": "user"}
    return envelope(f"im.message.reaction.{change}_v1", {**body, "user_id": ids(ANA), "action_time": AT, **more})


def moved(change: str = "added") -> dict[str, Any]:
    body = {"chat_id": CHAT, "operator_id": ids(ANA), "external": False, "operator_tenant_key": TENANT, "name": "dev"}
    return envelope(f"im.chat.member.bot.{change}_v1", body)


def menu(key: str = "codetask_list") -> dict[str, Any]:
    operator = {"operator_name": "Ana", "operator_id": ids(ANA)}
    return envelope("application.bot.menu_v6", {"operator": operator, "event_key": key, "timestamp": 1772805720100})


def press(value: Any = "codetask:cancel:CT-42", root: str | None = ROOT, **action: Any) -> dict[str, Any]:
    kept = {"codetask": value} | ({"root": root} if root else {}) if isinstance(value, str) else value
    body = {
        "operator": {"tenant_key": TENANT, **ids(ANA)},
        "token": "c-0123456789abcdef",
        "action": {"value": kept, "tag": "button", "timezone": "Europe/Berlin", **action},
        "host": "im_message",
        "context": {"open_message_id": OM, "open_chat_id": CHAT},
    }
    return envelope("card.action.trigger", body)


def form() -> dict[str, Any]:
    return press("codetask:retry:CT-42", form_value={"note": "use the other table", "count": 3})


EVERY_KIND: Final = (
    received(),
    mentioned(),
    received("!codetask fix it", root_id=ROOT, parent_id=ROOT, thread_id=THREAD),
    recalled(),
    reaction(),
    moved("added"),
    moved("deleted"),
    menu(),
    press(),
    form(),
)
KINDS: Final = (
    *("message", "command", "command", "message_deleted", "reaction", "bot_added", "bot_removed", "command"),
    *("button_press", "form_sent"),
)

"""Slack payloads in the shape that Slack documents, as plain dicts to build on."""

from datetime import UTC, datetime
from typing import Any, Final

from platforms.slack.inbound import Me

ME: Final = Me(app_id="A0CODETASK", workspace_id="T0ACME", bot_user_id="U0BOT", bot_id="B0BOT")
NOW: Final = datetime(2026, 3, 6, 14, 2, tzinfo=UTC)
TS: Final = "1772805720.000100"
LATER: Final = "1772805780.000200"


def envelope(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "token": "verification-token",
        "type": "event_callback",
        "team_id": "T0ACME",
        "api_app_id": "A0CODETASK",
        "event_id": "Ev0001",
        "event_time": 1772805720,
        "authorizations": [{"team_id": "T0ACME", "user_id": "U0BOT", "is_bot": True}],
        "is_ext_shared_channel": False,
        "event": event,
        **more,
    }


def message(text: str = "hello", **more: Any) -> dict[str, Any]:
    said = {"type": "message", "channel": "C0DEV", "channel_type": "channel", "user": "U0ANA", "ts": TS, "text": text}
    return {**said, "event_ts": TS, "team": "T0ACME", **more}


def edited(text: str, before: str, **more: Any) -> dict[str, Any]:
    told = {"type": "message", "user": "U0ANA", "ts": TS, "text": text, "edited": {"user": "U0ANA", "ts": LATER}}
    return {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "channel": "C0DEV",
        "channel_type": "channel",
        "ts": LATER,
        "event_ts": LATER,
        "message": {**told, **more},
        "previous_message": {"type": "message", "user": "U0ANA", "ts": TS, "text": before},
    }


def deleted(**before: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "subtype": "message_deleted",
        "channel": "C0DEV",
        "ts": LATER,
        "event_ts": LATER,
        "deleted_ts": TS,
        "previous_message": {"type": "message", "user": "U0ANA", "ts": TS, "text": "x", **before},
    }


def reaction(type: str = "reaction_added", **more: Any) -> dict[str, Any]:
    item = {"type": "message", "channel": "C0DEV", "ts": TS}
    return {"type": type, "user": "U0ANA", "reaction": "memo", "item": item, "event_ts": LATER, **more}


def slash(text: str = "add a CSV export", **more: Any) -> dict[str, Any]:
    return {
        "token": "verification-token",
        "team_id": "T0ACME",
        "team_domain": "acme",
        "channel_id": "C0DEV",
        "channel_name": "dev",
        "user_id": "U0ANA",
        "user_name": "ana",
        "command": "/codetask",
        "text": text,
        "api_app_id": "A0CODETASK",
        "response_url": "https://hooks.slack.com/commands/T0ACME/1/abc",
        "trigger_id": "13345224609.738474920.8088930838d88f008e0",
        **more,
    }


def press(value: str | None = "codetask:cancel:CT-42", **more: Any) -> dict[str, Any]:
    action = {"type": "button", "action_id": f"{value}#0", "block_id": "k-2", "action_ts": LATER}
    return {
        "type": "block_actions",
        "user": {"id": "U0ANA", "username": "ana", "team_id": "T0ACME"},
        "api_app_id": "A0CODETASK",
        "token": "verification-token",
        "container": {"type": "message", "message_ts": LATER, "channel_id": "C0DEV", "thread_ts": TS},
        "trigger_id": "12466734323.1395872398",
        "team": {"id": "T0ACME", "domain": "acme"},
        "channel": {"id": "C0DEV", "name": "dev"},
        "message": {"type": "message", "ts": LATER, "thread_ts": TS, "bot_id": "B0BOT"},
        "response_url": "https://hooks.slack.com/actions/T0ACME/1/xyz",
        "actions": [action if value is None else {**action, "value": value}],
        **more,
    }


def shortcut(callback_id: str = "codetask_file", text: str = "The export is broken", **more: Any) -> dict[str, Any]:
    return {
        "type": "message_action",
        "callback_id": callback_id,
        "trigger_id": "13345224609.8534564800",
        "message_ts": TS,
        "action_ts": LATER,
        "response_url": "https://hooks.slack.com/app/T0ACME/1/def",
        "api_app_id": "A0CODETASK",
        "team": {"id": "T0ACME", "domain": "acme"},
        "channel": {"id": "C0DEV", "name": "dev"},
        "user": {"id": "U0ANA", "name": "ana", "team_id": "T0ACME"},
        "message": {"type": "message", "user": "U0BO", "ts": TS, "text": text},
        **more,
    }


def form(**more: Any) -> dict[str, Any]:
    note = {"note": {"type": "plain_text_input", "value": "use the other table"}}
    repo = {"repo": {"type": "external_select", "selected_option": {"value": "acme/web"}}}
    view = {
        "id": "V01",
        "type": "modal",
        "callback_id": "codetask:retry:CT-42",
        "private_metadata": '{"channel_id": "C0DEV", "root": "1772805720.000100"}',
        "state": {"values": {"b1": note, "b2": repo}},
    }
    return {
        "type": "view_submission",
        "team": {"id": "T0ACME", "domain": "acme"},
        "user": {"id": "U0ANA", "name": "ana", "team_id": "T0ACME"},
        "api_app_id": "A0CODETASK",
        "trigger_id": "12466734323.77",
        "view": {**view, **more},
    }


EVERY_KIND: Final = (
    envelope(message()),
    envelope(message("<@U0BOT> fix it")),
    envelope({**message("<@U0BOT> fix it"), "type": "app_mention"}),
    envelope(edited("b", "a")),
    envelope(deleted()),
    envelope(reaction()),
    envelope({"type": "member_joined_channel", "user": "U0BOT", "channel": "C0DEV", "team": "T0ACME"}),
    envelope({"type": "channel_archive", "user": "U0ANA", "channel": "C0DEV"}),
    slash(),
    press(),
    shortcut(),
    form(),
)

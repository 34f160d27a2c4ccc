"""Discord payloads in the shape that Discord documents, as plain dicts to build on: envelopes of gateway events."""

from datetime import UTC, datetime
from typing import Any, Final

from platforms.discord.inbound import Me

APP: Final = "1300000000000000001"
GUILD: Final = "1300000000000000002"
DEV: Final = "1300000000000000003"
ANA: Final = "1300000000000000004"
BO: Final = "1300000000000000005"
MESSAGE: Final = "1300000000000000010"
OTHER: Final = "1300000000000000011"
INTERACTION: Final = "1300000000000000012"
THREAD: Final = "1300000000000000013"
DM: Final = "1300000000000000014"
TOKEN: Final = "aW50ZXJhY3Rpb246secret"
ME: Final = Me(app_id=APP, bot_user_id=APP)
NOW: Final = datetime(2026, 3, 6, 14, 2, tzinfo=UTC)
LATER: Final = "2026-03-06T14:03:00.000000+00:00"
IN_THREAD: Final = {"type": 11, "parent_id": DEV}
MENTION: Final = f"<@{APP}>"


def event(name: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"t": name, "d": data, "place": {"type": 0, "parent_id": None}, **more}


def user(id: str = ANA, name: str = "ana", **more: Any) -> dict[str, Any]:
    return {"id": id, "username": name, "global_name": name.capitalize(), "discriminator": "0", "avatar": None, **more}


def member(id: str = ANA, name: str = "ana", **more: Any) -> dict[str, Any]:
    return {"user": user(id, name), "roles": [], "nick": None, "flags": 0, "permissions": "2147483647", **more}


def message(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {
        "id": MESSAGE,
        "channel_id": DEV,
        "guild_id": GUILD,
        "author": user(),
        "member": {"roles": [], "nick": None, "flags": 0},
        "content": text,
        "timestamp": "2026-03-06T14:01:00.000000+00:00",
        "edited_timestamp": None,
        "mentions": [],
        "mention_roles": [],
        "mention_everyone": False,
        "type": 0,
        "flags": 0,
        **more,
    }


def said(text: str = "hello", **more: Any) -> dict[str, Any]:
    return event("MESSAGE_CREATE", message(text, **more))


def edited(text: str, **more: Any) -> dict[str, Any]:
    return event("MESSAGE_UPDATE", message(text, **{"edited_timestamp": LATER, **more}))


def reaction(**more: Any) -> dict[str, Any]:
    told = {"user_id": ANA, "message_id": MESSAGE, "channel_id": DEV, "guild_id": GUILD, "member": member()}
    return {**told, "emoji": {"id": None, "name": "👀"}, "type": 0, **more}


def interaction(kind: int, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = {"id": INTERACTION, "application_id": APP, "type": kind, "token": TOKEN, "version": 1, "data": data}
    where = {"channel_id": DEV, "guild_id": GUILD, "channel": {"id": DEV, "type": 0}, "member": member()}
    return event("INTERACTION_CREATE", {**told, **where, "locale": "en-US", "context": 0, **more})


def subcommand(name: str, **values: Any) -> dict[str, Any]:
    options = [{"type": 5 if isinstance(one, bool) else 3, "name": key, "value": one} for key, one in values.items()]
    return {"id": OTHER, "type": 1, "name": "codetask", "options": [{"type": 1, "name": name, "options": options}]}


def menu(name: str = "File as code task", text: str = "The export is broken") -> dict[str, Any]:
    target = message(text, author=user(BO, "bo"))
    resolved = {"messages": {MESSAGE: {key: one for key, one in target.items() if key not in ("guild_id", "member")}}}
    return {"id": OTHER, "type": 3, "name": name, "target_id": MESSAGE, "resolved": resolved}


def pressed(custom_id: str = "codetask:details:CT-1#1", flags: int = 32768, **more: Any) -> dict[str, Any]:
    card = message("", author=user(APP, "codetask", bot=True), flags=flags, components=[])
    return interaction(3, {"component_type": 2, "custom_id": custom_id}, message={**card, "webhook_id": None}, **more)


def form(**fields: str) -> dict[str, Any]:
    rows = [{"type": 1, "components": [{"type": 4, "custom_id": key, "value": one}]} for key, one in fields.items()]
    return interaction(5, {"custom_id": "codetask:retry:CT-1", "components": rows})


EVERY_KIND: Final[tuple[tuple[dict[str, Any], str | None], ...]] = (
    (said("hello"), "message"),
    (said(f"{MENTION} fix the login of the page", id=OTHER), "command"),
    ({**said("!codetask status", id=THREAD, channel_id=THREAD), "place": IN_THREAD}, "command"),
    (edited("hello you"), "message_edited"),
    (edited("a preview came", edited_timestamp=None), None),
    (event("MESSAGE_DELETE", {"id": MESSAGE, "channel_id": DEV, "guild_id": GUILD}), "message_deleted"),
    (event("MESSAGE_REACTION_ADD", reaction()), "reaction"),
    (event("MESSAGE_REACTION_REMOVE", reaction()), "reaction"),
    (event("CHANNEL_UPDATE", {"id": DEV, "guild_id": GUILD}, joined=DEV), "bot_added"),
    (event("CHANNEL_DELETE", {"id": DEV, "guild_id": GUILD, "type": 0}), "bot_removed"),
    (event("GUILD_DELETE", {"id": GUILD}), "bot_removed"),
    (event("GUILD_DELETE", {"id": GUILD, "unavailable": True}), None),
    (interaction(2, subcommand("new", text="Add a CSV export to the report")), "command"),
    (interaction(2, subcommand("status", id="CT-1")), "command"),
    (interaction(2, menu()), "command"),
    (pressed(), "button_press"),
    (form(note="use the other table"), "form_sent"),
    (event("TYPING_START", {"channel_id": DEV, "user_id": ANA, "guild_id": GUILD}), None),
)
"""One payload of every kind with the kind of event it becomes."""

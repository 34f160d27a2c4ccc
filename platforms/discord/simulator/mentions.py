"""Who a message really notifies, by its text and `allowed_mentions`."""

import re
from typing import Any

from platforms.discord.simulator.catalog import IS_COMPONENTS_V2, SUPPRESS_NOTIFICATIONS, Permission
from platforms.discord.simulator.kit import shown_text
from platforms.discord.simulator.permissions import may, permissions_of
from platforms.discord.simulator.refusals import Problem
from platforms.discord.simulator.state import Channel, StoredMessage, User, World

Json = dict[str, Any]
_USER = re.compile(r"<@!?(\d+)>")
_ROLE = re.compile(r"<@&(\d+)>")
_EVERYONE = re.compile(r"@(?:everyone|here)\b")


def allowed_problems(allowed: Any) -> list[Problem]:
    """What Discord would complain about in `allowed_mentions`."""
    if not isinstance(allowed, dict):
        return [("allowed_mentions", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")]
    parse = allowed.get("parse") or []
    problems = [
        (f"allowed_mentions/parse/{i}", "BASE_TYPE_CHOICES", "Value must be one of {'everyone', 'roles', 'users'}.")
        for i, name in enumerate(parse)
        if name not in ("everyone", "roles", "users")
    ]
    for name in ("users", "roles"):
        if allowed.get(name) and name in parse:
            sentence = f'parse:["{name}"] and {name}: [ids...] are mutually exclusive.'
            problems.append(("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", sentence))
    return problems


def settle(world: World, message: StoredMessage, channel: Channel, allowed: Json | None, author: User) -> None:
    """Fills `mentions` and, for a new message, who it notifies. Call it when the text is there."""
    chosen = {name: {str(i) for i in (allowed or {}).get(name) or ()} for name in ("users", "roles")}
    text = shown_text(message.components) if message.flags & IS_COMPONENTS_V2 else message.text
    rights = permissions_of(world, author, channel)
    parse = set((allowed or {}).get("parse") or ()) if allowed is not None else {"users", "roles", "everyone"}
    named = [user for user in dict.fromkeys(_USER.findall(text)) if user in world.users]
    message.mentions = [u for u in named if "users" in parse or u in chosen["users"]]
    loud = bool(rights & Permission.MENTION_EVERYONE)
    message.mention_everyone = "everyone" in parse and loud and _EVERYONE.search(text) is not None
    roles = [role for role in dict.fromkeys(_ROLE.findall(text)) if role in world.roles]
    message.mention_roles = [r for r in roles if loud and ("roles" in parse or r in chosen["roles"])]
    _settle_reply(world, message, allowed)
    message.pinged = _reached(world, message, channel)


def _settle_reply(world: World, message: StoredMessage, allowed: Json | None) -> None:
    target = world.messages.get((message.reference or {}).get("message_id", ""))
    wanted = True if allowed is None else bool(allowed.get("replied_user"))
    if target is not None and wanted and target.user not in message.mentions:
        message.mentions.append(target.user)


def _reached(world: World, message: StoredMessage, channel: Channel) -> frozenset[str]:
    if message.flags & SUPPRESS_NOTIFICATIONS:
        return frozenset()
    found = set(message.mentions)
    for user in world.users.values():
        if message.mention_everyone or set(user.roles) & set(message.mention_roles):
            found.add(user.id)
    if channel.is_direct:
        found |= channel.members
    seeing = (world.users[u] for u in found if u != message.user)
    return frozenset(u.id for u in seeing if may(world, u, channel, Permission.VIEW_CHANNEL) and not u.bot)

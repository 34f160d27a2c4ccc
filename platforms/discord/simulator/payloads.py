"""The JSON shapes Discord sends: users, members, channels, messages, the guild."""

import copy
from datetime import datetime
from typing import Any

from platforms.discord.simulator.catalog import HAS_THREAD
from platforms.discord.simulator.permissions import permissions_of
from platforms.discord.simulator.state import Channel, Role, StoredMessage, User, World

Json = dict[str, Any]


def stamp(instant: datetime) -> str:
    """ISO 8601 with microseconds, as Discord writes instants."""
    return instant.isoformat(timespec="microseconds")


def user_json(user: User) -> Json:
    return {
        "id": user.id,
        "username": user.name,
        "discriminator": "0",
        "global_name": None if user.bot else user.global_name,
        "avatar": None,
        "avatar_decoration_data": None,
        "banner": None,
        "accent_color": None,
        "bot": user.bot,
        "system": False,
        "public_flags": 0,
        "flags": 0,
        "primary_guild": None,
        "clan": None,
        "collectibles": None,
    }


def member_json(user: User, *, with_user: bool = True) -> Json:
    member: Json = {
        "roles": list(user.roles),
        "joined_at": stamp(user.joined_at),
        "premium_since": None,
        "nick": None,
        "avatar": None,
        "banner": None,
        "communication_disabled_until": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": user.member_flags,
    }
    return {**member, "user": user_json(user)} if with_user else member


def role_json(world: World, role: Role) -> Json:
    shown: Json = {
        "id": role.id,
        "name": role.name,
        "description": None,
        "permissions": str(int(role.permissions)),
        "position": list(world.roles).index(role.id),
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": role.managed,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }
    return {**shown, "tags": {"bot_id": world.bot.id}} if role.managed else shown


def channel_json(world: World, channel: Channel) -> Json:
    """A channel, a thread or a direct message."""
    shown: Json = {"id": channel.id, "type": channel.type, "last_message_id": channel.last_message_id, "flags": 0}
    if channel.is_direct:
        others = [user_json(world.users[u]) for u in sorted(channel.members) if u != world.bot.id]
        return {**shown, "recipients": others}
    shown |= {"guild_id": world.guild_id, "name": channel.name, "parent_id": channel.parent_id}
    shown |= {"rate_limit_per_user": 0}
    if not channel.is_thread:
        overwrites = [
            {"id": target, "type": o.kind, "allow": str(int(o.allow)), "deny": str(int(o.deny))}
            for target, o in channel.overwrites.items()
        ]
        return {
            **shown,
            "topic": None,
            "position": channel.position,
            "permission_overwrites": overwrites,
            "nsfw": False,
            "default_auto_archive_duration": 4320,
        }
    metadata = {
        "archived": channel.archived,
        "archive_timestamp": stamp(channel.archive_at),
        "auto_archive_duration": channel.auto_archive_duration,
        "locked": channel.locked,
        "create_timestamp": stamp(channel.created_at),
    }
    counts = {
        "message_count": channel.message_count,
        "total_message_sent": channel.message_count,
        "member_count": len(channel.members),
    }
    return {**shown, **counts, "owner_id": channel.owner_id, "thread_metadata": metadata}


def thread_member_json(channel: Channel, user: User) -> Json:
    return {"id": channel.id, "user_id": user.id, "join_timestamp": stamp(channel.created_at), "flags": 1}


def message_json(world: World, message: StoredMessage, *, content: bool = True, nested: bool = True) -> Json:
    """A message as the REST API shows it; without `content` as an app without the privileged intent sees it."""
    author = world.users[message.user]
    shown: Json = {
        "id": message.id,
        "channel_id": message.channel,
        "author": user_json(author),
        "content": message.text if content else "",
        "timestamp": stamp(message.at),
        "edited_timestamp": None if message.edited_at is None else stamp(message.edited_at),
        "tts": False,
        "mention_everyone": message.mention_everyone,
        "mentions": [user_json(world.users[u]) for u in message.mentions],
        "mention_roles": list(message.mention_roles),
        "attachments": [],
        "embeds": copy.deepcopy(message.embeds) if content else [],
        "components": copy.deepcopy(message.components) if content else [],
        "pinned": False,
        "type": message.type,
        "flags": message.flags | (HAS_THREAD if message.thread else 0),
    }
    if message.nonce is not None:
        shown["nonce"] = message.nonce
    if message.reactions:
        shown["reactions"] = [_reaction_json(world, name, who) for name, who in message.reactions.items()]
    if message.interaction is not None:
        shown |= {"interaction_metadata": message.interaction, "application_id": world.app_id}
        shown |= {"webhook_id": world.app_id}
    if message.reference is not None:
        shown["message_reference"] = message.reference
        target = world.messages.get(message.reference["message_id"])
        if nested and target is not None:
            gone = target.deleted
            shown["referenced_message"] = None if gone else message_json(world, target, content=content, nested=False)
    thread = world.channel(message.thread) if message.thread else None
    if thread is not None:
        shown["thread"] = channel_json(world, thread)
    return shown


def _reaction_json(world: World, name: str, who: list[str]) -> Json:
    return {
        "emoji": {"id": None, "name": name},
        "count": len(who),
        "count_details": {"burst": 0, "normal": len(who)},
        "burst_colors": [],
        "me": world.bot.id in who,
        "me_burst": False,
    }


def guild_json(world: World) -> Json:
    """The guild as `GET /guilds/{id}` shows it."""
    return {
        "id": world.guild_id,
        "name": world.guild_name,
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "description": None,
        "owner_id": world.owner_id,
        "region": "deprecated",
        "afk_channel_id": None,
        "afk_timeout": 300,
        "verification_level": 1,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "roles": [role_json(world, role) for role in world.roles.values()],
        "emojis": [],
        "stickers": [],
        "features": [],
        "mfa_level": 0,
        "application_id": None,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "max_members": 500_000,
        "max_presences": None,
        "vanity_url_code": None,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "premium_progress_bar_enabled": False,
        "preferred_locale": "en-US",
        "nsfw_level": 0,
        "nsfw": False,
        "widget_enabled": False,
        "widget_channel_id": None,
        "incidents_data": None,
        "home_header": None,
        "max_video_channel_users": 25,
        "max_stage_video_channel_users": 50,
    }


def guild_create_json(world: World) -> Json:
    """The guild as the gateway sends it: with channels, active threads and the bot as member."""
    here = [c for c in world.channels.values() if not c.deleted and not c.is_direct]
    active = [c for c in here if c.is_thread and not c.archived and permissions_of(world, world.bot, c)]
    return {
        **guild_json(world),
        "joined_at": stamp(world.bot.joined_at),
        "large": False,
        "unavailable": False,
        "member_count": sum(1 for u in world.users.values() if not u.stranger),
        "voice_states": [],
        "members": [member_json(world.bot)],
        "channels": [channel_json(world, c) for c in here if not c.is_thread],
        "threads": [channel_json(world, c) for c in active],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }

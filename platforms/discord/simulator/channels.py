"""Users, the guild, channels, threads, the application's commands: the operations that are not messages."""

from datetime import timedelta
from typing import Any

from platforms.discord.simulator import catalog
from platforms.discord.simulator.api import Call
from platforms.discord.simulator.catalog import Permission
from platforms.discord.simulator.messages import Messages, snowflake
from platforms.discord.simulator.payloads import (
    channel_json,
    guild_json,
    member_json,
    role_json,
    thread_member_json,
    user_json,
)
from platforms.discord.simulator.permissions import may, need, permissions_of
from platforms.discord.simulator.refusals import Problem, bad_length, invalid, refuse, required, wrong_choice
from platforms.discord.simulator.state import Channel, StoredMessage, User, World

Json = dict[str, Any]


class Channels:
    """Handlers; `messages` finds places and writes system messages."""

    def __init__(self, world: World, messages: Messages) -> None:
        self.world = world
        self.messages = messages
        self.events = messages.events

    # --- The guild ----------------------------------------------------------------------------------------------------

    def get_me(self, call: Call) -> Json:
        return {**user_json(self.world.bot), "email": None, "verified": True, "locale": "en-US", "mfa_enabled": True}

    def list_my_guilds(self, call: Call) -> list[Json]:
        if not self.world.in_guild:
            return []
        bits = permissions_of(self.world, self.world.bot)
        shown = {"id": self.world.guild_id, "name": self.world.guild_name, "icon": None, "banner": None}
        return [{**shown, "owner": False, "permissions": str(bits), "features": []}]

    def get_user(self, call: Call) -> Json:
        user = self.world.users.get(snowflake(call.params["user_id"], "user_id"))
        if user is None:
            raise refuse(10013)
        return user_json(user)

    def get_guild(self, call: Call) -> Json:
        self._guild(call)
        return guild_json(self.world)

    def list_channels(self, call: Call) -> list[Json]:
        self._guild(call)
        here = [c for c in self.world.channels.values() if not c.deleted and not c.is_direct and not c.is_thread]
        return [channel_json(self.world, c) for c in here]

    def list_roles(self, call: Call) -> list[Json]:
        self._guild(call)
        return [role_json(self.world, role) for role in self.world.roles.values()]

    def get_member(self, call: Call) -> Json:
        self._guild(call)
        user_id = snowflake(call.params["user_id"], "user_id")
        user = self.world.users.get(user_id)
        if user is None:
            raise refuse(10013)
        if user.stranger:
            raise refuse(10007)
        return member_json(user)

    def _guild(self, call: Call) -> None:
        if snowflake(call.params["guild_id"], "guild_id") != self.world.guild_id:
            raise refuse(10004)
        if not self.world.in_guild:
            raise refuse(50001)

    # --- Channels -----------------------------------------------------------------------------------------------------

    def get_channel(self, call: Call) -> Json:
        return channel_json(self.world, self.messages.place(call))

    def create_dm(self, call: Call) -> Json:
        body = call.body if isinstance(call.body, dict) else {}
        if not body.get("recipient_id"):
            raise invalid(required("recipient_id"))
        user = self.world.users.get(snowflake(body["recipient_id"], "recipient_id"))
        if user is None:
            raise refuse(10013)
        if user is self.world.bot:
            raise refuse(50007)
        return channel_json(self.world, self.world.direct_channel(user.id))

    def update_channel(self, call: Call) -> Json:
        channel = self.messages.place(call)
        if channel.is_direct:
            raise refuse(50024)
        body = call.body if isinstance(call.body, dict) else {}
        problems = _thread_problems(body, new=False)
        if problems:
            raise invalid(*problems)
        if not channel.is_thread:
            need(self.world, channel, Permission.MANAGE_CHANNELS)
            channel.name = body.get("name", channel.name)
            self.events.channel("CHANNEL_UPDATE", channel)
            return channel_json(self.world, channel)
        self._may_change(channel, body)
        if channel.archived and body.get("archived", True):
            raise refuse(50083)
        if "archived" in body and body["archived"] != channel.archived:
            channel.archived, channel.archive_at = bool(body["archived"]), self.world.clock.now()
        for name in ("name", "locked", "auto_archive_duration"):
            setattr(channel, name, body.get(name, getattr(channel, name)))
        self.events.thread_changed(channel)
        self.world.changed()
        return channel_json(self.world, channel)

    def _may_change(self, thread: Channel, body: Json) -> None:
        if may(self.world, self.world.bot, thread, Permission.MANAGE_THREADS):
            return
        only_reopens = set(body) <= {"archived"} and body.get("archived") is False
        if "locked" in body or thread.locked or (thread.owner_id != self.world.bot.id and not only_reopens):
            raise refuse(50013)
        need(self.world, thread, Permission.SEND_MESSAGES_IN_THREADS)

    def archive_idle(self) -> None:
        """Archives the threads in which nobody has said anything for their `auto_archive_duration`."""
        now = self.world.clock.now()
        for thread in [c for c in self.world.channels.values() if c.is_thread and not c.archived and not c.deleted]:
            said = self.world.messages.get(thread.last_message_id or "")
            since = max(thread.created_at, thread.archive_at, said.at if said is not None else thread.created_at)
            if now - since >= timedelta(minutes=thread.auto_archive_duration):
                thread.archived, thread.archive_at = True, now
                self.events.thread_changed(thread)

    def delete_channel(self, call: Call) -> Json:
        channel = self.messages.place(call)
        need(self.world, channel, Permission.MANAGE_THREADS if channel.is_thread else Permission.MANAGE_CHANNELS)
        self.delete(channel)
        return channel_json(self.world, channel)

    def delete(self, channel: Channel) -> None:
        """The channel or thread, its messages and its threads are gone."""
        if channel.is_thread:
            self.events.thread_deleted(channel)
        channel.deleted = True
        for message in self.world.messages.values():
            message.deleted = message.deleted or message.channel == channel.id
        if not channel.is_thread:
            for thread in [c for c in self.world.channels.values() if c.parent_id == channel.id]:
                thread.deleted = True
            self.events.channel("CHANNEL_DELETE", channel)
        self.world.changed()

    def typing(self, call: Call) -> None:
        self.messages.place(call)

    # --- Threads ------------------------------------------------------------------------------------------------------

    def thread_from_message(self, call: Call) -> tuple[int, Json]:
        channel = self.messages.place(call)
        message = self.messages.message(call, channel)
        self._may_start(channel, call)
        if message.thread is not None or self.world.channel(message.id) is not None:
            raise refuse(160004)
        return 201, channel_json(self.world, self.start(channel, call.body, self.world.bot, message))

    def thread(self, call: Call) -> tuple[int, Json]:
        channel = self.messages.place(call)
        self._may_start(channel, call)
        return 201, channel_json(self.world, self.start(channel, call.body, self.world.bot, None))

    def _may_start(self, channel: Channel, call: Call) -> None:
        if channel.type not in (0, 5):
            raise refuse(50024)
        body = call.body if isinstance(call.body, dict) else {}
        private = call.method == "create_thread" and body.get("type", 12) == 12
        needed = Permission.CREATE_PRIVATE_THREADS if private else Permission.CREATE_PUBLIC_THREADS
        need(self.world, channel, needed | Permission.READ_MESSAGE_HISTORY)
        problems = _thread_problems(body, new=True)
        if problems:
            raise invalid(*problems)

    def start(self, channel: Channel, body: Json, owner: User, message: StoredMessage | None) -> Channel:
        """A new thread, with the system messages and events that Discord makes of it."""
        thread = self.world.add_channel(
            str(body["name"]).strip(),
            11 if message is not None else body.get("type") or 12,
            id=message.id if message is not None else self.world.ids.snowflake(),
            parent_id=channel.id,
            owner_id=owner.id,
            members={owner.id},
            auto_archive_duration=body.get("auto_archive_duration") or 4320,
        )
        if message is not None:
            message.thread = thread.id
        self.events.thread_created(thread)
        if message is not None:
            self.events.changed(message)
            self._notice(thread, 21, "", owner, channel, message.id)
        elif thread.type == 11:
            self._notice(channel, 18, thread.name, owner, thread, None)
        self.world.changed()
        return thread

    def _notice(self, place: Channel, kind: int, text: str, owner: User, other: Channel, target: str | None) -> None:
        reference = {"type": 0, "channel_id": other.id, "guild_id": self.world.guild_id}
        notice = StoredMessage(self.world.ids.snowflake(), place.id, owner.id, text, self.world.clock.now(), kind)
        notice.reference = {**reference, "message_id": target} if target else None
        notice.remember(notice.at)
        self.world.messages[notice.id] = notice
        self.events.posted(notice)

    def active_threads(self, call: Call) -> Json:
        self._guild(call)
        found = [c for c in self.world.channels.values() if c.is_thread and not c.deleted and not c.archived]
        seen = [c for c in found if permissions_of(self.world, self.world.bot, c)]
        return {**self._threads(seen), "has_more": False}

    def archived_threads(self, call: Call) -> Json:
        channel = self.messages.place(call)
        need(self.world, channel, Permission.READ_MESSAGE_HISTORY)
        found = [c for c in self.world.channels.values() if c.parent_id == channel.id and c.archived and not c.deleted]
        public = sorted((c for c in found if c.type != 12), key=lambda c: c.archive_at, reverse=True)
        limit = int(call.query.get("limit", 50))
        return {**self._threads(public[:limit]), "has_more": len(public) > limit}

    def _threads(self, threads: list[Channel]) -> Json:
        bot = self.world.bot
        members = [thread_member_json(c, bot) for c in threads if bot.id in c.members]
        return {"threads": [channel_json(self.world, c) for c in threads], "members": members}

    def thread_members(self, call: Call) -> list[Json]:
        thread = self._thread(call)
        return [thread_member_json(thread, self.world.users[u]) for u in sorted(thread.members)]

    def thread_member(self, call: Call) -> Json:
        thread = self._thread(call)
        user_id = self.world.bot.id if call.params["user_id"] == "@me" else call.params["user_id"]
        if user_id not in thread.members:
            raise refuse(10007)
        return thread_member_json(thread, self.world.users[user_id])

    def join_thread(self, call: Call) -> None:
        thread = self._thread(call)
        if thread.archived:
            raise refuse(50083)
        user_id = call.params.get("user_id", self.world.bot.id)
        if user_id not in self.world.users:
            raise refuse(10013)
        thread.members.add(user_id)
        self.world.changed()

    def leave_thread(self, call: Call) -> None:
        thread = self._thread(call)
        if thread.archived:
            raise refuse(50083)
        thread.members.discard(self.world.bot.id)
        self.world.changed()

    def _thread(self, call: Call) -> Channel:
        channel = self.messages.place(call)
        if not channel.is_thread:
            raise refuse(50024)
        return channel


def _thread_problems(body: Json, *, new: bool) -> list[Problem]:
    problems: list[Problem] = []
    name, duration = body.get("name"), body.get("auto_archive_duration")
    if new and not name:
        problems.append(required("name"))
    elif name is not None and not 1 <= len(str(name).strip()) <= catalog.MAX_THREAD_NAME:
        problems.append(bad_length("name", 1, catalog.MAX_THREAD_NAME))
    if duration is not None and duration not in catalog.AUTO_ARCHIVE:
        problems.append(wrong_choice("auto_archive_duration", catalog.AUTO_ARCHIVE))
    if new and body.get("type") is not None and body["type"] not in (10, 11, 12):
        problems.append(wrong_choice("type", (10, 11, 12)))
    return problems

"""Which gateway event tells whom of what. Only what the bot may see is sent; content only where the intent allows."""

from typing import Any

from platforms.discord.simulator.app import Application
from platforms.discord.simulator.catalog import Intent, Permission
from platforms.discord.simulator.gateway import Gateway, Session
from platforms.discord.simulator.payloads import channel_json, member_json, message_json, thread_member_json, user_json
from platforms.discord.simulator.permissions import may
from platforms.discord.simulator.state import Channel, StoredMessage, User, Whisper, World

Json = dict[str, Any]


def readable(world: World, message: StoredMessage, allowed: bool) -> bool:
    """Whether the app sees the content: with the intent, its own, mentions of it, direct messages."""
    if allowed or message.user == world.bot.id or world.bot.id in message.mentions:
        return True
    return world.channels[message.channel].is_direct


class Events:
    """Turns happenings into dispatches."""

    def __init__(self, world: World, app: Application, gateway: Gateway) -> None:
        self.world = world
        self.app = app
        self.gateway = gateway

    def posted(self, message: StoredMessage) -> None:
        self._message("MESSAGE_CREATE", message)

    def changed(self, message: StoredMessage) -> None:
        self._message("MESSAGE_UPDATE", message)

    def deleted(self, message: StoredMessage) -> None:
        channel = self.world.channels[message.channel]
        payload = self._in_guild(channel, {"id": message.id, "channel_id": message.channel})
        self._send("MESSAGE_DELETE", channel, Intent.GUILD_MESSAGES, Intent.DIRECT_MESSAGES, payload)

    def reacted(self, message: StoredMessage, user: User, emoji: str, added: bool) -> None:
        channel = self.world.channels[message.channel]
        payload: Json = {"user_id": user.id, "type": 0, "message_id": message.id, "channel_id": message.channel}
        payload |= {"emoji": {"id": None, "name": emoji}, "burst": False}
        if added:
            payload |= {"message_author_id": message.user, "burst_colors": []}
            if not channel.is_direct:
                payload["member"] = member_json(user)
        event = "MESSAGE_REACTION_ADD" if added else "MESSAGE_REACTION_REMOVE"
        intents = Intent.GUILD_MESSAGE_REACTIONS, Intent.DIRECT_MESSAGE_REACTIONS
        self._send(event, channel, *intents, self._in_guild(channel, payload))

    def channel(self, event: str, channel: Channel) -> None:
        """CHANNEL_CREATE, CHANNEL_UPDATE, CHANNEL_DELETE: sent also for channels the bot does not see."""
        payload = {**channel_json(self.world, channel), "guild_id": self.world.guild_id}
        self.gateway.dispatch(event, Intent.GUILDS, lambda _: payload if self.world.in_guild else None)

    def thread_created(self, thread: Channel) -> None:
        payload = {**channel_json(self.world, thread), "newly_created": True}
        if self.world.bot.id in thread.members:
            payload["member"] = thread_member_json(thread, self.world.bot)
        self._send("THREAD_CREATE", thread, Intent.GUILDS, Intent.GUILDS, payload)

    def thread_changed(self, thread: Channel) -> None:
        self._send("THREAD_UPDATE", thread, Intent.GUILDS, Intent.GUILDS, channel_json(self.world, thread))

    def thread_deleted(self, thread: Channel) -> None:
        payload = {"id": thread.id, "guild_id": self.world.guild_id, "parent_id": thread.parent_id}
        self._send("THREAD_DELETE", thread, Intent.GUILDS, Intent.GUILDS, {**payload, "type": thread.type})

    def member(self, event: str, user: User) -> None:
        """GUILD_MEMBER_ADD and GUILD_MEMBER_REMOVE, for sessions with the privileged intent."""
        payload = {"guild_id": self.world.guild_id}
        payload |= {"user": user_json(user)} if event == "GUILD_MEMBER_REMOVE" else member_json(user)
        self.gateway.dispatch(event, Intent.GUILD_MEMBERS, lambda _: payload)

    def everyone(self, event: str, payload: Json) -> None:
        """An event that needs no intent beside `guilds`."""
        self.gateway.dispatch(event, Intent.GUILDS, lambda _: payload)

    def _message(self, event: str, message: StoredMessage) -> None:
        if isinstance(message, Whisper):
            return
        channel = self.world.channels[message.channel]
        if not may(self.world, self.world.bot, channel, Permission.VIEW_CHANNEL):
            return
        intent = Intent.DIRECT_MESSAGES if channel.is_direct else Intent.GUILD_MESSAGES
        extra: Json = {"channel_type": channel.type}
        author = self.world.users[message.user]
        if not channel.is_direct:
            extra |= {"guild_id": self.world.guild_id, "member": member_json(author, with_user=False)}

        def payload(session: Session) -> Json:
            allowed = self.app.reads_content and bool(session.intents & Intent.MESSAGE_CONTENT)
            shown = message_json(self.world, message, content=readable(self.world, message, allowed))
            if not channel.is_direct:
                for mention in shown["mentions"]:
                    mention["member"] = member_json(self.world.users[mention["id"]], with_user=False)
            return {**shown, **extra}

        self.gateway.dispatch(event, intent, payload)

    def _send(self, event: str, channel: Channel, in_guild: int, direct: int, payload: Json) -> None:
        if may(self.world, self.world.bot, channel, Permission.VIEW_CHANNEL):
            self.gateway.dispatch(event, direct if channel.is_direct else in_guild, lambda _: payload)

    def _in_guild(self, channel: Channel, payload: Json) -> Json:
        return payload if channel.is_direct else {**payload, "guild_id": self.world.guild_id}

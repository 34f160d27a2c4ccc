"""Messages: writing, reading, editing, deleting, reacting."""

import copy
from datetime import timedelta
from typing import Any

from platforms.discord.simulator import catalog
from platforms.discord.simulator.api import Call
from platforms.discord.simulator.app import Application
from platforms.discord.simulator.catalog import Permission
from platforms.discord.simulator.events import Events, readable
from platforms.discord.simulator.kit import component_problems, number
from platforms.discord.simulator.mentions import allowed_problems, settle
from platforms.discord.simulator.payloads import message_json, user_json
from platforms.discord.simulator.permissions import need, sending
from platforms.discord.simulator.refusals import ApiError, Problem, invalid, refuse, too_long
from platforms.discord.simulator.state import Channel, Edit, Reacted, StoredMessage, User, Whisper, World

Json = dict[str, Any]
SETTABLE = catalog.IS_COMPONENTS_V2 | catalog.SUPPRESS_EMBEDS | catalog.SUPPRESS_NOTIFICATIONS


def snowflake(value: Any, path: str) -> str:
    """An id as given in a path or body. Raises 50035 for what is none."""
    if not str(value).isdecimal() or not 0 < int(value) < 2**63:
        raise invalid((path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.'))
    return str(value)


def content_problems(body: Json, *, v2: bool) -> list[Problem]:
    """What Discord would complain about in the content of a message."""
    problems: list[Problem] = []
    text, embeds, components = body.get("content"), body.get("embeds"), body.get("components")
    if text is not None and not isinstance(text, str):
        problems.append(("content", "STRING_TYPE_CONVERT", "Could not interpret value as string."))
    elif text and len(text) > catalog.MAX_CONTENT:
        problems.append(too_long("content", catalog.MAX_CONTENT))
    if embeds and len(embeds) > 10:
        problems.append(too_long("embeds", 10))
    for name in ("content", "embeds", "poll", "sticker_ids"):
        if v2 and body.get(name):
            sentence = f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            problems.append((name, "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", sentence))
    if components is not None:
        problems += component_problems(components, v2=v2)
    if body.get("allowed_mentions") is not None:
        problems += allowed_problems(body["allowed_mentions"])
    return problems


class Messages:
    """Handlers of the message operations, and what others need to write messages."""

    def __init__(self, world: World, app: Application, events: Events) -> None:
        self.world = world
        self.app = app
        self.events = events
        self.old_edits = catalog.OLD_EDITS

    # --- Shared -------------------------------------------------------------------------------------------------------

    def place(self, call: Call) -> Channel:
        """The channel of the call that the bot can see."""
        channel = self.world.channel(snowflake(call.params["channel_id"], "channel_id"))
        if channel is None:
            raise refuse(10003)
        need(self.world, channel, Permission.VIEW_CHANNEL)
        return channel

    def message(self, call: Call, channel: Channel) -> StoredMessage:
        message = self.world.message(channel.id, snowflake(call.params["message_id"], "message_id"))
        if message is None:
            raise refuse(10008)
        return message

    def shown(self, message: StoredMessage) -> Json:
        """A message as the app may read it."""
        return message_json(self.world, message, content=readable(self.world, message, self.app.reads_content))

    def fill(self, message: StoredMessage, body: Json, *, author: User) -> None:
        """Puts content that was checked into a message and settles whom it mentions."""
        message.text = (body.get("content") or "").strip()
        message.embeds = copy.deepcopy(body.get("embeds") or [])
        message.components = number(copy.deepcopy(body.get("components") or []))
        settle(self.world, message, self.world.channels[message.channel], body.get("allowed_mentions"), author)

    def check_new(self, body: Any) -> Json:
        """The body of a new message. Raises 50035 or 50006."""
        if not isinstance(body, dict):
            raise refuse(50006)
        v2 = bool((body.get("flags") or 0) & catalog.IS_COMPONENTS_V2)
        problems = content_problems(body, v2=v2)
        nonce = body.get("nonce")
        if nonce is not None and len(str(nonce)) > catalog.MAX_NONCE:
            problems.append(too_long("nonce", catalog.MAX_NONCE))
        if body.get("enforce_nonce") and nonce is None:
            problems.append(("nonce", "BASE_TYPE_REQUIRED", "This field is required"))
        if problems:
            raise invalid(*problems)
        if not (body.get("content") or "").strip() and not body.get("embeds") and not body.get("components"):
            raise refuse(50006)
        return body

    def revise(self, message: StoredMessage, body: Any) -> None:
        """Carries out an edit by the bot. Raises 50035, 50006."""
        body = body if isinstance(body, dict) else {}
        was_v2 = bool(message.flags & catalog.IS_COMPONENTS_V2)
        flags = body.get("flags")
        v2 = was_v2 or bool((flags or 0) & catalog.IS_COMPONENTS_V2)
        after = {"content": message.text, "embeds": message.embeds, "components": message.components}
        after |= {name: body[name] for name in ("content", "embeds", "components") if name in body}
        problems = content_problems({**body, **after} if v2 and not was_v2 else body, v2=v2)
        if problems:
            raise invalid(*problems)
        if not any(after.values()):
            raise refuse(50006)
        if flags is not None:
            kept = message.flags & ~SETTABLE | (message.flags & catalog.IS_COMPONENTS_V2)
            message.flags = kept | (flags & SETTABLE)
        pinged = message.pinged
        self.fill(message, {**after, "allowed_mentions": body.get("allowed_mentions")}, author=self.world.bot)
        message.pinged = pinged
        now = self.world.clock.now()
        message.edited_at = now
        message.remember(now)
        self.world.edits.append(Edit(now, message, message.text, copy.deepcopy(message.components)))
        self.world.tell("edited", message.channel, message.user, message.text, message)
        self.events.changed(message)

    def remove(self, message: StoredMessage) -> None:
        message.deleted = True
        self.world.tell("deleted", message.channel, message.user, message.text, message)
        if not isinstance(message, Whisper):
            self.events.deleted(message)

    def mark(self, message: StoredMessage, user: User, emoji: str, on: bool) -> None:
        """Adds or takes away a reaction; nothing when it is so already."""
        who = message.reactions.setdefault(emoji, [])
        if on != (user.id in who):
            who.append(user.id) if on else who.remove(user.id)
            now = self.world.clock.now()
            self.world.reactions.append(Reacted(now, message.channel, message.id, user.id, emoji, on))
            if on:
                self.world.tell("reacted", message.channel, user.id, emoji, message)
            self.events.reacted(message, user, emoji, on)
            self.world.changed()
        if not who:
            message.reactions.pop(emoji, None)

    # --- Operations ---------------------------------------------------------------------------------------------------

    def create_message(self, call: Call) -> Json:
        channel = self.place(call)
        self._may_write(channel)
        body = self.check_new(call.body)
        again = self._same_nonce(body)
        if again is not None:
            return self.shown(again)
        reference = self._reference(channel, body.get("message_reference"))
        if channel.archived:
            channel.archived, channel.archive_at = False, self.world.clock.now()
            self.events.thread_changed(channel)
        flags = (body.get("flags") or 0) & SETTABLE
        now = self.world.clock.now()
        message = StoredMessage(
            self.world.ids.snowflake(), channel.id, self.world.bot.id, "", now, 19 if reference else 0, flags=flags
        )
        message.nonce, message.reference, message.request = body.get("nonce"), reference, body
        self.fill(message, body, author=self.world.bot)
        self.world.store(message)
        self.events.posted(message)
        return self.shown(message)

    def _may_write(self, channel: Channel) -> None:
        if channel.is_direct:
            other = next((self.world.users[u] for u in channel.members if u != self.world.bot.id), None)
            if other is None or not other.accepts_messages or not self.world.in_guild or other.stranger:
                raise refuse(50007)
            return
        if channel.type not in (0, 5, *catalog.THREAD_TYPES):
            raise refuse(50024)
        need(self.world, channel, sending(channel))
        if channel.archived and channel.locked:
            raise refuse(50083)

    def _same_nonce(self, body: Json) -> StoredMessage | None:
        if not body.get("enforce_nonce"):
            return None
        since = self.world.clock.now() - catalog.NONCE_WINDOW
        for message in reversed(list(self.world.messages.values())):
            if message.at < since:
                break
            if message.user == self.world.bot.id and message.nonce == body["nonce"]:
                return None if message.deleted else message
        return None

    def _reference(self, channel: Channel, reference: Json | None) -> Json | None:
        if reference is None:
            return None
        need(self.world, channel, Permission.READ_MESSAGE_HISTORY)
        target = self.world.message(channel.id, snowflake(reference.get("message_id"), "message_reference/message_id"))
        if target is None:
            if reference.get("fail_if_not_exists", True):
                raise invalid(("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message"))
            return None
        shown: Json = {"type": 0, "channel_id": channel.id, "message_id": target.id}
        return shown if channel.is_direct else {**shown, "guild_id": self.world.guild_id}

    def get_message(self, call: Call) -> Json:
        channel = self.place(call)
        need(self.world, channel, Permission.READ_MESSAGE_HISTORY)
        return self.shown(self.message(call, channel))

    def list_messages(self, call: Call) -> list[Json]:
        """A page, newest first."""
        channel = self.place(call)
        limit = int(call.query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise invalid(("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100."))
        if not self._reads_history(channel):
            return []
        found = self.world.in_channel(channel.id)
        before, after, around = (call.query.get(name) for name in ("before", "after", "around"))
        if around is not None:
            middle = int(snowflake(around, "around"))
            older = [m for m in found if int(m.id) < middle][-(limit // 2) :]
            newer = [m for m in found if int(m.id) >= middle][: limit - limit // 2]
            found = older + newer
        elif after is not None:
            found = [m for m in found if int(m.id) > int(after)][:limit]
        elif before is not None:
            found = [m for m in found if int(m.id) < int(before)][-limit:]
        return [self.shown(m) for m in reversed(found[-limit:])]

    def _reads_history(self, channel: Channel) -> bool:
        try:
            need(self.world, channel, Permission.READ_MESSAGE_HISTORY)
        except ApiError:
            return False
        return True

    def update_message(self, call: Call) -> Json:
        channel = self.place(call)
        message = self.message(call, channel)
        if message.user != self.world.bot.id:
            raise refuse(50005)
        if channel.archived:
            raise refuse(50083)
        self._old_enough(message)
        self.revise(message, call.body)
        return self.shown(message)

    def _old_enough(self, message: StoredMessage) -> None:
        now = self.world.clock.now()
        if now - message.at <= catalog.OLD_MESSAGE:
            return
        recent = [e for e in self.world.edits if e.message is message and now - e.at <= timedelta(hours=1)]
        late = [e for e in recent if e.at - message.at > catalog.OLD_MESSAGE]
        if len(late) >= self.old_edits:
            raise refuse(30046)

    def delete_message(self, call: Call) -> None:
        channel = self.place(call)
        message = self.message(call, channel)
        if message.user != self.world.bot.id:
            need(self.world, channel, Permission.MANAGE_MESSAGES)
        if channel.archived:
            raise refuse(50083)
        self.remove(message)

    def add_reaction(self, call: Call) -> None:
        channel = self.place(call)
        message = self.message(call, channel)
        emoji = _emoji(call)
        if channel.archived:
            raise refuse(50083)
        need(self.world, channel, Permission.READ_MESSAGE_HISTORY)
        if emoji not in message.reactions:
            need(self.world, channel, Permission.ADD_REACTIONS)
            if len(message.reactions) >= catalog.MAX_REACTIONS:
                raise refuse(30010)
        self.mark(message, self.world.bot, emoji, True)

    def remove_reaction(self, call: Call) -> None:
        channel = self.place(call)
        message = self.message(call, channel)
        emoji = _emoji(call)
        if channel.archived:
            raise refuse(50083)
        if self.world.bot.id not in message.reactions.get(emoji, ()):
            raise refuse(10014) if emoji not in message.reactions else refuse(10008)
        self.mark(message, self.world.bot, emoji, False)

    def list_reactions(self, call: Call) -> list[Json]:
        channel = self.place(call)
        need(self.world, channel, Permission.READ_MESSAGE_HISTORY)
        who = self.message(call, channel).reactions.get(_emoji(call), [])
        after = int(call.query.get("after", 0))
        chosen = sorted((u for u in who if int(u) > after), key=int)[: int(call.query.get("limit", 25))]
        return [user_json(self.world.users[u]) for u in chosen]


def _emoji(call: Call) -> str:
    """The Unicode emoji of the path; custom ones (`name:id`) and plain words are unknown here."""
    emoji = str(call.params["emoji"])
    if not emoji or ":" in emoji or emoji.isascii():
        raise refuse(10014)
    return emoji

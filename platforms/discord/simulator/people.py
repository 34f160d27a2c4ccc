"""The verbs: what people and administrators of the guild do. All run on the simulator's loop."""

import re
from collections.abc import Mapping
from typing import Any

from platforms.discord.simulator import catalog
from platforms.discord.simulator.catalog import Permission
from platforms.discord.simulator.channels import Channels
from platforms.discord.simulator.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL, Interaction, Interactions
from platforms.discord.simulator.kit import walk
from platforms.discord.simulator.mentions import settle
from platforms.discord.simulator.messages import Messages
from platforms.discord.simulator.options import read_options
from platforms.discord.simulator.payloads import guild_create_json, message_json
from platforms.discord.simulator.permissions import may, permissions_of, sending
from platforms.discord.simulator.registered import Registered
from platforms.discord.simulator.state import Channel, Form, Overwrite, StoredMessage, User, Whisper, World

Json = dict[str, Any]
Where = str | Channel | StoredMessage
_NAME = re.compile(r"(?<![\w@<])@([\w.-]*\w)")


class People:
    """Everyone who is not the app."""

    def __init__(
        self, world: World, messages: Messages, channels: Channels, interactions: Interactions, registered: Registered
    ) -> None:
        self.world = world
        self.messages = messages
        self.channels = channels
        self.interactions = interactions
        self.registered = registered
        self.events = messages.events

    # --- Talking ------------------------------------------------------------------------------------------------------

    def place(self, where: Where) -> Channel:
        """A channel or thread; for a message, the thread started from it or else the channel it is in."""
        if isinstance(where, StoredMessage):
            return self.world.channel(where.thread or "") or self.world.channels[where.channel]
        return self.world.find_channel(where)

    def says(self, who: str | User, text: str, where: Where, reply_to: StoredMessage | None) -> StoredMessage:
        user, channel = self.world.find_user(who), self.place(where)
        if channel.deleted or not (user.bot or may(self.world, user, channel, sending(channel))):
            raise LookupError(f"{user.name} cannot write in {channel.name or channel.id}")
        if channel.archived and channel.locked:
            raise LookupError(f"the thread {channel.name} is locked")
        if channel.archived:
            self.reopens(channel)
        if channel.is_thread:
            channel.members.add(user.id)
        now = self.world.clock.now()
        message = StoredMessage(self.world.ids.snowflake(), channel.id, user.id, "", now)
        if reply_to is not None:
            message.type = 19
            message.reference = {"type": 0, "channel_id": channel.id, "message_id": reply_to.id}
            if not channel.is_direct:
                message.reference["guild_id"] = self.world.guild_id
        self._write(message, text)
        if not user.bot:
            message.nonce = self.world.ids.snowflake()
        self.world.store(message)
        self.events.posted(message)
        return message

    def edits(self, message: StoredMessage, text: str) -> None:
        pinged = message.pinged
        self._write(message, text)
        message.pinged = pinged
        message.edited_at = self.world.clock.now()
        message.remember(message.edited_at)
        self.world.tell("edited", message.channel, message.user, message.text, message)
        self.events.changed(message)

    def unfurl(self, message: StoredMessage, url: str, title: str) -> None:
        """Discord adds a preview to a message: MESSAGE_UPDATE without an `edited_timestamp`."""
        embed = {"type": "link", "url": url, "title": title, "content_scan_version": 0}
        message.embeds = [*message.embeds, embed]
        self.world.changed()
        self.events.changed(message)

    def reacts(self, who: str | User, message: StoredMessage, emoji: str, on: bool) -> None:
        self.messages.mark(message, self.world.find_user(who), emoji, on)

    def starts_thread(self, who: str | User, on: StoredMessage | Where, name: str) -> Channel:
        user = self.world.find_user(who)
        body = {"name": name, "auto_archive_duration": 4320, "type": 11}
        if not isinstance(on, StoredMessage):
            return self.channels.start(self.world.find_channel(on), body, user, None)
        if on.thread is not None:
            raise LookupError("the message has a thread already")
        return self.channels.start(self.world.channels[on.channel], body, user, on)

    # --- Commands, buttons, forms -------------------------------------------------------------------------------------

    def runs_command(self, who: str | User, line: str, options: Mapping[str, Any], where: Where) -> Interaction:
        user, channel = self.world.find_user(who), self.place(where)
        data = self._command_data(user, channel, line, options, None)
        self.world.tell("command", channel.id, user.id, " ".join([line, *(f"{k}:{v}" for k, v in options.items())]))
        return self.interactions.start(COMMAND, line, user, channel, data)

    def types_choice(
        self, who: str | User, line: str, option: str, text: str, options: Mapping[str, Any], where: Where
    ) -> Interaction:
        user, channel = self.world.find_user(who), self.place(where)
        data = self._command_data(user, channel, line, {**options, option: text}, option)
        return self.interactions.start(AUTOCOMPLETE, f"{line} {option}", user, channel, data)

    def _command_data(
        self, user: User, channel: Channel, line: str, options: Mapping[str, Any], typing: str | None
    ) -> Json:
        name, *path = line.lstrip("/").split()
        command = self.registered.find(name)
        self._usable(user, channel, command)
        given, resolved = read_options(self.world, command, path, options, typing)
        data: Json = {"id": command["id"], "name": command["name"], "type": 1, "options": given}
        return data | ({"resolved": resolved} if resolved else {})

    def _usable(self, user: User, channel: Channel, command: Json) -> None:
        contexts = command.get("contexts")
        if contexts is not None and (1 if channel.is_direct else 0) not in contexts:
            raise LookupError(f"{command['name']} is not offered here")
        if channel.is_direct:
            return
        needed = int(command.get("default_member_permissions") or 0) | Permission.USE_APPLICATION_COMMANDS
        if permissions_of(self.world, user, channel) & needed != needed:
            raise LookupError(f"{command['name']} is not offered to {user.name} in {channel.name}")

    def uses_menu(self, who: str | User, message: StoredMessage, name: str) -> Interaction:
        user, channel = self.world.find_user(who), self.world.channels[message.channel]
        command = self.registered.find(name, 3)
        self._usable(user, channel, command)
        shown = {"messages": {message.id: message_json(self.world, message)}}
        data: Json = {"id": command["id"], "name": name, "type": 3, "target_id": message.id, "resolved": shown}
        self.world.tell("clicked", message.channel, user.id, name, message)
        return self.interactions.start(COMMAND, name, user, channel, data)

    def clicks(self, who: str | User, message: StoredMessage, button: str) -> Interaction:
        user, channel = self.world.find_user(who), self.world.channels[message.channel]
        if isinstance(message, Whisper) and message.to != user.id:
            raise LookupError(f"{user.name} does not see that message")
        if message.deleted:
            raise LookupError("the message is gone")
        found = find_button(message, button)
        if found.get("disabled"):
            raise LookupError(f"the button {button!r} is disabled")
        data = {"custom_id": found["custom_id"], "component_type": 2, "id": found["id"]}
        self.world.tell("clicked", message.channel, user.id, str(found.get("label", "")))
        return self.interactions.start(COMPONENT, found["custom_id"], user, channel, data, message)

    def submits_form(self, who: str | User, form: Form, values: Mapping[str, Any]) -> Interaction:
        if not form.open:
            raise LookupError("the form is closed")
        user = self.world.find_user(who)
        data = {"custom_id": form.custom_id, "components": _form_values(form, values)}
        form.open = False
        channel = self.world.channels[form.channel]
        return self.interactions.start(MODAL, form.custom_id, user, channel, data, form.message)

    # --- Administration -----------------------------------------------------------------------------------------------

    def adds_bot(self, where: Where | None) -> None:
        if where is None:
            if not self.world.in_guild:
                self.world.in_guild = True
                self.world.bot.joined_at = self.world.clock.now()
                self.events.everyone("GUILD_CREATE", guild_create_json(self.world))
            return
        channel = self.place(where)
        channel.overwrites.pop(self.world.bot.id, None)
        if not may(self.world, self.world.bot, channel, Permission.VIEW_CHANNEL):
            rights = Permission(catalog.INVITE_PERMISSIONS)
            channel.overwrites[self.world.bot.id] = Overwrite(1, allow=rights)
        self.events.channel("CHANNEL_UPDATE", channel)
        self.world.changed()

    def removes_bot(self, where: Where | None) -> None:
        if where is None:
            self.world.in_guild = False
            self.events.everyone("GUILD_DELETE", {"id": self.world.guild_id})
            self.world.changed()
            return
        self.denies(Permission.VIEW_CHANNEL, where)

    def denies(self, permission: Permission, where: Where | None) -> None:
        """Takes a permission from the bot, in one channel or everywhere."""
        if where is None:
            self.world.denied |= permission
        else:
            channel = self.place(where)
            own = channel.overwrites.setdefault(self.world.bot.id, Overwrite(1))
            own.allow, own.deny = own.allow & ~permission, own.deny | permission
            self.events.channel("CHANNEL_UPDATE", channel)
        self.world.changed()

    def grants(self, permission: Permission, where: Where | None) -> None:
        if where is None:
            self.world.denied &= ~permission
        else:
            channel = self.place(where)
            own = channel.overwrites.setdefault(self.world.bot.id, Overwrite(1))
            own.allow, own.deny = own.allow | permission, own.deny & ~permission
            self.events.channel("CHANNEL_UPDATE", channel)
        self.world.changed()

    def archives_thread(self, where: Where, locked: bool) -> None:
        thread = self._thread(where)
        thread.archived, thread.locked, thread.archive_at = True, locked, self.world.clock.now()
        self.events.thread_changed(thread)
        self.world.changed()

    def reopens(self, where: Where) -> None:
        thread = self._thread(where)
        thread.archived, thread.locked, thread.archive_at = False, False, self.world.clock.now()
        self.events.thread_changed(thread)
        self.world.changed()

    def deletes_thread(self, where: Where) -> None:
        self.channels.delete(self._thread(where))

    def _thread(self, where: Where) -> Channel:
        thread = self.place(where)
        if not thread.is_thread:
            raise LookupError(f"{thread.name or thread.id} is not a thread")
        return thread

    # --- Words --------------------------------------------------------------------------------------------------------

    def _write(self, message: StoredMessage, text: str) -> None:
        names = {user.name: user.id for user in self.world.users.values()}
        known = lambda m: f"<@{names[m[1]]}>" if m[1] in names else m[0]  # noqa: E731
        message.text = _NAME.sub(known, text)
        settle(self.world, message, self.world.channels[message.channel], None, self.world.users[message.user])


def find_button(message: StoredMessage, wanted: str) -> Json:
    """The button with this label or custom id. Raises LookupError."""
    seen: list[str] = []
    for component in walk(message.components):
        if component["type"] == 2 and component.get("custom_id"):
            if wanted in (component.get("label"), component["custom_id"]):
                return component
            seen.append(str(component.get("label")))
    raise LookupError(f"no button {wanted!r}; there are: {', '.join(seen) or 'none'}")


def _form_values(form: Form, given: Mapping[str, Any]) -> list[Json]:
    """The filled modal; `given` by custom id or label."""
    left = dict(given)
    filled: list[Json] = []
    for outer in form.body["components"]:
        if outer["type"] == 10:
            filled.append({"type": 10, "id": outer.get("id", 0)})
            continue
        inner = outer["component"] if outer["type"] == 18 else outer["components"][0]
        names = (inner["custom_id"], outer.get("label"), inner.get("label"))
        answer = next((left.pop(name) for name in names if name in left), None)
        value: Json = {"type": inner["type"], "custom_id": inner["custom_id"], "id": inner.get("id", 0)}
        if inner["type"] == 3:
            chosen = [answer] if isinstance(answer, str) else list(answer or [])
            value["values"] = chosen or [o["value"] for o in inner["options"] if o.get("default")]
        else:
            value["value"] = str(answer if answer is not None else inner.get("value") or "")
            _fits(inner, value["value"])
        wrapper: Json = {"type": outer["type"], "id": outer.get("id", 0)}
        filled.append({**wrapper, "component": value} if outer["type"] == 18 else {**wrapper, "components": [value]})
    if left:
        raise LookupError(f"the form has no field {', '.join(sorted(left))}")
    return filled


def _fits(field: Json, text: str) -> None:
    """The person's client does not send what is too short or too long."""
    least = field.get("min_length") or (1 if field.get("required", True) else 0)
    if len(text) > (field.get("max_length") or 4000) or ((text or field.get("required", True)) and len(text) < least):
        raise LookupError(f"the form does not take that text for {field['custom_id']}")

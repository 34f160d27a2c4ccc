"""The verbs: what people and administrators do. All run on the simulator's loop."""

import json
import re
from typing import Any

from platforms.lark.simulator.answers import Answers
from platforms.lark.simulator.catalog import NOISE
from platforms.lark.simulator.delivery import Courier, Delivery
from platforms.lark.simulator.directory import Directory
from platforms.lark.simulator.emojis import EMOJIS
from platforms.lark.simulator.events import Events, user_ids
from platforms.lark.simulator.messages import Messages, mention
from platforms.lark.simulator.render import buttons
from platforms.lark.simulator.state import Chat, StoredMessage, User, World, milliseconds

Json = dict[str, Any]
_NAME = re.compile(r"(?<![\w@])@(\w[\w.-]*\w|\w)")


class People:
    """Everyone who is not the app."""

    def __init__(
        self,
        world: World,
        courier: Courier,
        events: Events,
        messages: Messages,
        directory: Directory,
        answers: Answers,
    ) -> None:
        self.world = world
        self.courier = courier
        self.events = events
        self.messages = messages
        self.directory = directory
        self.answers = answers

    # --- Talking ------------------------------------------------------------------------------------------------------

    def says(
        self,
        who: str | User,
        text: str,
        where: str | Chat,
        thread: StoredMessage | None,
        reply_to: StoredMessage | None,
        post: bool,
    ) -> StoredMessage:
        user = self.world.find_user(who)
        parent = thread or reply_to
        chat = self.world.chats[parent.chat] if parent else self.world.find_chat(where)
        if user.id not in chat.members or chat.is_dissolved:
            raise LookupError(f"{user.name} cannot write in {chat.name or chat.id}")
        ids, now = self.world.ids, self.world.clock.now()
        message = StoredMessage(ids.new("om_"), chat.id, user.id, "post" if post else "text", "", now)
        self.messages.place(message, chat, parent, in_thread=thread is not None)
        self._write(message, text)
        self.world.store(message, text)
        self.events.posted(message)
        return message

    def edits(self, message: StoredMessage, text: str) -> None:
        """There is no event for it."""
        message.mentions = []
        self._write(message, text)
        message.updated_at = self.world.clock.now()
        message.remember(message.updated_at)
        self.world.tell("edited", message.chat, message.user, text, message)

    def deletes(self, message: StoredMessage) -> None:
        self.messages.recall(message, message.user)

    def reacts(self, who: str | User, message: StoredMessage, emoji: str, on: bool) -> None:
        if emoji not in EMOJIS:
            raise LookupError(f"Lark has no emoji type {emoji!r}")
        self.directory.mark(message, self.world.find_user(who), emoji, on)

    # --- Cards and menus ----------------------------------------------------------------------------------------------

    def clicks(self, who: str | User, message: StoredMessage, button: str) -> Delivery | None:
        """Presses a button, found by its label or tip in either language or by a value in its callback."""
        user = self.world.find_user(who)
        if user.id not in self.world.chats[message.chat].members:
            raise LookupError(f"{user.name} does not see this card")
        seen = self._find(user, message, button)
        self.world.tell("clicked", message.chat, user.id, seen.label, message)
        if seen.value is None:
            return None
        delivery = self.events.pressed(user, message, {"tag": "button", "value": seen.value})
        delivery.message_id = message.id
        self.answers.expect(delivery)
        if "card.action.trigger" not in self.events.events:
            delivery.state, delivery.error = "refused", "the app has no callback for card.action.trigger"
            self.courier.deliveries.append(delivery)
            self.answers.give_up(delivery)
            return delivery
        return self.courier.dispatch(delivery)

    def uses_menu(self, who: str | User, key: str) -> Delivery | None:
        user = self.world.find_user(who)
        self.world.tell("menu", self.world.direct_chat(user.id).id, user.id, key)
        return self.events.menu(user, key)

    def _find(self, user: User, message: StoredMessage, wanted: str) -> Any:
        for language in (user.language, "en", "zh"):
            for seen in buttons(message, language):
                values = list(seen.value.values()) if isinstance(seen.value, dict) else [seen.value]
                if wanted in (seen.label, seen.tip or None, *values):
                    if seen.disabled:
                        raise LookupError(f"the button {wanted!r} is disabled")
                    return seen
        labels = [seen.label for seen in buttons(message, user.language)]
        raise LookupError(f"no button {wanted!r}; there are {labels}")

    # --- Administration -----------------------------------------------------------------------------------------------

    def adds_bot(self, where: str | Chat, by: str | User) -> None:
        chat = self.world.find_chat(where)
        if self.world.bot.id not in chat.members:
            chat.members.add(self.world.bot.id)
            self.events.bot_moved(chat, self.world.find_user(by), True)
            self.world.changed()

    def removes_bot(self, where: str | Chat, by: str | User) -> None:
        chat = self.world.find_chat(where)
        if self.world.bot.id in chat.members:
            chat.members.discard(self.world.bot.id)
            self.events.bot_moved(chat, self.world.find_user(by), False)
            self.world.changed()

    def archives(self, where: str | Chat, by: str | User) -> None:
        """Dissolves a group: for good."""
        chat = self.world.find_chat(where)
        chat.is_dissolved = True
        self.events.emit("im.chat.disbanded_v1", self.events.about_chat(chat, self.world.find_user(by)), chat)
        self.world.changed()

    def noise(self, name: str, where: str | Chat, who: str | User) -> Delivery:
        """An event that nobody needs, also when the app did not subscribe to it."""
        if name not in NOISE:
            raise LookupError(f"{name!r} is no noise; there are {', '.join(NOISE)}")
        chat, user = self.world.find_chat(where), self.world.find_user(who)
        body: Json = self.events.about_chat(chat, user)
        if name == "im.chat.updated_v1":
            del body["name"], body["i18n_names"]
            body |= {"before_change": {"name": chat.name}, "after_change": {"name": f"{chat.name} 2"}}
        elif name == "im.chat.access_event.bot_p2p_chat_entered_v1":
            body = {"chat_id": chat.id, "operator_id": user_ids(user)}
        elif name == "im.message.message_read_v1":
            own = [m.id for m in self.world.messages.values() if m.user == self.world.bot.id and m.chat == chat.id]
            reader = {"reader_id": user_ids(user), "read_time": milliseconds(self.world.clock.now())}
            body = {"reader": reader | {"tenant_key": user.tenant_key}, "message_id_list": own}
        delivery = self.events.emit(name, body, chat, always=True)
        assert delivery is not None
        return delivery

    # --- Words --------------------------------------------------------------------------------------------------------

    def _write(self, message: StoredMessage, text: str) -> None:
        message.content = self._post(message, text) if message.msg_type == "post" else self._text(message, text)

    def _text(self, message: StoredMessage, text: str) -> str:
        def replace(match: re.Match[str]) -> str:
            return self._key(message, match[1]) or match[0]

        return json.dumps({"text": _NAME.sub(replace, text)}, ensure_ascii=False)

    def _post(self, message: StoredMessage, text: str) -> str:
        """Rich text as the editor makes it: a list of lines, mentions as own parts."""
        lines = [self._line(message, line) for line in text.split("\n")]
        return json.dumps({"title": "", "content": lines}, ensure_ascii=False)

    def _line(self, message: StoredMessage, line: str) -> list[Json]:
        parts: list[Json] = []
        at = 0
        for match in _NAME.finditer(line):
            key = self._key(message, match[1])
            if key is None:
                continue
            parts += [{"tag": "text", "text": line[at : match.start()], "style": []}] if match.start() > at else []
            name = self.world.find_user(match[1]).real_name if key != "@_all" else "Everyone"
            parts.append({"tag": "at", "user_id": key, "user_name": name, "style": []})
            at = match.end()
        return parts + ([{"tag": "text", "text": line[at:], "style": []}] if line[at:] else [])

    def _key(self, message: StoredMessage, name: str) -> str | None:
        """The placeholder of a mention, noted in the message; None when nobody is called that."""
        if name == "all":
            return "@_all"
        user = next((u for u in self.world.users.values() if u.name == name), None)
        if user is None:
            return None
        known = next((m["key"] for m in message.mentions if m["id"] == user.id), None)
        if known is None:
            known = f"@_user_{len(message.mentions) + 1}"
            message.mentions.append(mention(user.id, known, user.real_name, user.tenant_key))
        return known

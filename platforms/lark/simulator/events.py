"""The events and callbacks as they arrive at the app: schema 2.0, one header, one body."""

import json
from collections.abc import Callable

from platforms.lark.simulator.catalog import (
    BOTS_SCOPE,
    DIRECT_SCOPES,
    EVENT_SCOPES,
    GROUP_MENTION_SCOPES,
    SENSITIVE_SCOPE,
)
from platforms.lark.simulator.delivery import Courier, Delivery, Kind
from platforms.lark.simulator.state import Chat, Json, StoredMessage, User, World, milliseconds


def user_ids(user: User) -> Json:
    """Someone in an event. `user_id` stays empty: it needs a scope the app does not have."""
    return {"union_id": user.union_id, "user_id": None, "open_id": user.id}


class Events:
    """Tells the app what happened, as far as it subscribed, was granted and is there to see it."""

    def __init__(self, world: World, courier: Courier, scopes: set[str], events: set[str], token: str) -> None:
        self.world = world
        self.courier = courier
        self.scopes = scopes
        self.events = events
        self.token = token

    def posted(self, message: StoredMessage) -> Delivery | None:
        """`im.message.receive_v1`: in groups only with a mention, unless all may be seen; of other bots by a scope."""
        chat = self.world.chats[message.chat]
        if self.world.users[message.user].is_bot and BOTS_SCOPE not in self.scopes:
            return None
        if message.user == self.world.bot.id or not self._hears(chat, message):
            return None
        return self.emit("im.message.receive_v1", self._received(chat, message), chat, message)

    def recalled(self, message: StoredMessage, by: str) -> None:
        body = {
            "message_id": message.id,
            "chat_id": message.chat,
            "recall_time": milliseconds(self.world.clock.now()),
            "recall_type": "message_owner" if by == message.user else "group_owner",
        }
        self.emit("im.message.recalled_v1", body, self.world.chats[message.chat])

    def reacted(self, message: StoredMessage, user: User, emoji: str, on: bool) -> None:
        by_app = user.id == self.world.bot.id
        body: Json = {"message_id": message.id, "reaction_type": {"emoji_type": emoji}}
        body |= {"operator_type": "app", "app_id": self.world.app_id} if by_app else {"operator_type": "user"}
        body |= {} if by_app else {"user_id": user_ids(user)}
        body["action_time"] = milliseconds(self.world.clock.now())
        name = f"im.message.reaction.{'created' if on else 'deleted'}_v1"
        self.emit(name, body, self.world.chats[message.chat])

    def bot_moved(self, chat: Chat, by: User, added: bool) -> None:
        name = f"im.chat.member.bot.{'added' if added else 'deleted'}_v1"
        self.emit(name, self.about_chat(chat, by), None)

    def menu(self, user: User, key: str) -> Delivery | None:
        operator = {"operator_name": user.real_name, "operator_id": user_ids(user)}
        stamp = int(self.world.clock.now().timestamp() * 1000)
        return self.emit("application.bot.menu_v6", {"operator": operator, "event_key": key, "timestamp": stamp}, None)

    def pressed(self, user: User, message: StoredMessage, action: Json) -> Delivery:
        """`card.action.trigger`, a callback: the app's answer is shown, it is never sent again."""
        operator = {"tenant_key": user.tenant_key, "user_id": None, "open_id": user.id, "union_id": user.union_id}
        body = {
            "operator": operator,
            "token": f"c-{self.world.ids.hexadecimal(40)}",
            "action": action | {"timezone": "Asia/Shanghai" if user.language == "zh" else "Europe/Berlin"},
            "host": "im_message",
            "context": {"open_message_id": message.id, "open_chat_id": message.chat},
        }
        return self._delivery("callback", "card.action.trigger", body, user.id, message.chat)

    def about_chat(self, chat: Chat, by: User) -> Json:
        """What the events about a chat say."""
        return {
            "chat_id": chat.id,
            "operator_id": user_ids(by),
            "external": chat.is_external,
            "operator_tenant_key": by.tenant_key,
            "name": chat.name,
            "i18n_names": {"zh_cn": chat.name, "en_us": chat.name, "ja_jp": chat.name},
        }

    def emit(
        self, name: str, body: Json, chat: Chat | None, message: StoredMessage | None = None, *, always: bool = False
    ) -> Delivery | None:
        """Sends one event if the app subscribed to it, has a scope for it and is in the chat; `always`: regardless."""
        scopes = EVENT_SCOPES[name]
        if not always and (name not in self.events or not self.world.bot_is_on):
            return None
        if not always and ((scopes and not self.scopes & set(scopes)) or not self._inside(chat)):
            return None
        delivery = self._delivery("event", name, body, message.user if message else "", chat.id if chat else "")
        delivery.message_id = message.id if message else ""
        return self.courier.dispatch(delivery)

    def header(self, name: str) -> Json:
        return {
            "event_id": self.world.ids.hexadecimal(32),
            "token": self.token,
            "create_time": milliseconds(self.world.clock.now()),
            "event_type": name,
            "tenant_key": self.world.tenant_key,
            "app_id": self.world.app_id,
        }

    def _delivery(self, kind: Kind, name: str, body: Json, user: str, chat: str) -> Delivery:
        payload = {"schema": "2.0", "header": self.header(name), "event": body}
        return Delivery(kind, payload, name, user, chat)

    def _inside(self, chat: Chat | None) -> bool:
        return chat is None or self.world.bot.id in chat.members

    def _hears(self, chat: Chat, message: StoredMessage) -> bool:
        if chat.kind == "p2p":
            return bool(self.scopes & DIRECT_SCOPES)
        if SENSITIVE_SCOPE in self.scopes:
            return True
        mentioned = any(mention["id"] == self.world.bot.id for mention in message.mentions)
        return mentioned and bool(self.scopes & GROUP_MENTION_SCOPES)

    def _received(self, chat: Chat, message: StoredMessage) -> Json:
        sender = self.world.users[message.user]
        shown: Json = {"message_id": message.id}
        shown |= {"root_id": message.root_id, "parent_id": message.parent_id} if message.is_reply else {}
        shown |= {"thread_id": message.thread_id} if message.thread_id else {}
        shown |= {
            "create_time": milliseconds(message.at),
            "update_time": milliseconds(message.updated_at or message.at),
            "chat_id": chat.id,
            "chat_type": chat.event_type,
            "message_type": message.msg_type,
            "content": message.content,
        }
        if message.mentions:
            shown["mentions"] = [self._mention(mention) for mention in message.mentions]
        kind = "app" if sender.is_bot else "user"
        person = {"sender_id": user_ids(sender), "sender_type": kind, "tenant_key": sender.tenant_key}
        return {"sender": person, "message": shown}

    def _mention(self, mention: Json) -> Json:
        user = self.world.users[mention["id"]]
        kind = {"mentioned_type": "bot" if user.is_bot else "user"}
        return {**mention, "id": user_ids(user), **kind}


def message_json(world: World, message: StoredMessage, content: Callable[[StoredMessage], str]) -> Json:
    """A message as the API shows it. `content` says how a card is shown."""
    own = message.user == world.bot.id
    person = world.users[message.user]
    app_id = world.app_id if own else f"cli_{person.id[3:19]}"
    sender: Json = {"id": app_id, "id_type": "app_id", "sender_type": "app"}
    sender = sender if person.is_bot else {"id": person.id, "id_type": "open_id", "sender_type": "user"}
    shown: Json = {"message_id": message.id}
    shown |= {"root_id": message.root_id, "parent_id": message.parent_id} if message.is_reply else {}
    shown |= {"thread_id": message.thread_id} if message.thread_id else {}
    shown |= {
        "msg_type": message.msg_type,
        "create_time": milliseconds(message.at),
        "update_time": milliseconds(message.updated_at or message.at),
        "deleted": message.deleted,
        "updated": message.updated_at is not None,
        "chat_id": message.chat,
        "sender": sender | {"tenant_key": person.tenant_key},
        "body": {"content": json.dumps({"text": "This message was recalled"}) if message.deleted else content(message)},
    }
    if message.mentions:
        shown["mentions"] = [{**m, "id_type": "open_id"} for m in message.mentions]
    return shown

"""`im/v1/messages`: sending, answering in threads, changing cards, recalling, reading."""

import json
import re
from typing import Any

from platforms.lark.simulator.api import Access, ApiError, invalid
from platforms.lark.simulator.catalog import (
    EDIT_WINDOW,
    MAX_CARD_BYTES,
    MAX_TEXT_BYTES,
    MAX_UUID,
    SENSITIVE_SCOPE,
    UUID_LIFE,
)
from platforms.lark.simulator.events import Events, message_json
from platforms.lark.simulator.kit import card_problem
from platforms.lark.simulator.render import degraded, render_text
from platforms.lark.simulator.state import Chat, Edit, StoredMessage, Whisper, World

Json = dict[str, Any]
_AT = re.compile(r"<at\s+user_id\s*=\s*\"([^\"]*)\"\s*>(.*?)</at>", re.DOTALL)
_RECEIVERS = ("open_id", "union_id", "user_id", "chat_id", "email")


class Messages:
    """The message endpoints over one world."""

    def __init__(self, world: World, events: Events, access: Access) -> None:
        self.world = world
        self.events = events
        self.access = access
        self.edit_window = EDIT_WINDOW
        self.pending_presses: dict[str, int] = {}
        self.patched_early: dict[str, str] = {}
        """Message id -> the content to go back to: a card that was patched while a button press awaits its answer."""

    # --- Sending ------------------------------------------------------------------------------------------------------

    def create(self, arguments: Json) -> Json:
        chat = self._receiver(str(arguments["receive_id_type"]), str(arguments["receive_id"]))
        self._writable(chat)
        return self._send(chat, None, arguments)

    def reply(self, arguments: Json) -> Json:
        parent = self.message(arguments)
        self._writable(self.world.chats[parent.chat])
        if parent.deleted:
            raise withdrawn()
        if not isinstance(arguments.get("reply_in_thread", False), bool):
            raise invalid("reply_in_thread is not a bool")
        return self._send(self.world.chats[parent.chat], parent, arguments)

    def chat_of(self, arguments: Json) -> str:
        """The chat a post goes to; empty when there is none."""
        parent = self.world.messages.get(str(arguments.get("message_id", "")))
        return parent.chat if parent is not None else str(arguments.get("receive_id", ""))

    def open_thread(self, message: StoredMessage) -> str:
        """The thread of a message, opened at its root when there is none yet."""
        root = self.world.messages.get(message.root) or message
        thread = message.thread_id or root.thread_id or self.world.ids.new("omt_")
        root.thread_id = message.thread_id = thread
        return thread

    def _send(self, chat: Chat, parent: StoredMessage | None, arguments: Json) -> Json:
        uuid = arguments.get("uuid") or ""
        if not isinstance(uuid, str) or len(uuid) > MAX_UUID:
            raise invalid(f"uuid is longer than {MAX_UUID}")
        content = self._content(str(arguments["msg_type"]), arguments["content"])
        earlier = self._earlier(uuid)
        if earlier is not None:
            return self.shown(earlier)
        message = StoredMessage(
            self.world.ids.new("om_"),
            chat.id,
            self.world.bot.id,
            str(arguments["msg_type"]),
            content,
            self.world.clock.now(),
            uuid=uuid,
            request=dict(arguments),
        )
        self.place(message, chat, parent, in_thread=bool(arguments.get("reply_in_thread")))
        if message.msg_type == "text":
            self._read_mentions(message)
        self.world.store(message, render_text(message))
        self._whispered(chat, message)
        return self.shown(message)

    def place(self, message: StoredMessage, chat: Chat, parent: StoredMessage | None, *, in_thread: bool) -> None:
        """Puts a message in its thread. An answer in a thread stays there; a root in a topic chat opens one."""
        if parent is not None:
            message.root_id, message.parent_id = parent.root, parent.id
            if in_thread or parent.thread_id:
                message.thread_id = self.open_thread(parent)
        elif chat.kind == "topic":
            message.thread_id = self.world.ids.new("omt_")

    def _whispered(self, chat: Chat, message: StoredMessage) -> None:
        if chat.kind != "p2p":
            return
        (person,) = chat.members - {self.world.bot.id}
        text = render_text(message, self.world.users[person].language)
        self.world.whispers.append(Whisper(message.at, person, text, "direct", message=message))
        self.world.changed()

    def _earlier(self, uuid: str) -> StoredMessage | None:
        """The message already sent with this uuid within the last hour."""
        found = self.world.sent_with.get(uuid)
        return None if found is None or self.world.clock.now() - found.at >= UUID_LIFE else found

    def _receiver(self, kind: str, receive_id: str) -> Chat:
        if kind not in _RECEIVERS:
            raise invalid("invalid receive_id_type")
        if kind == "chat_id":
            if receive_id not in self.world.chats:
                raise invalid("invalid receive_id")
            return self.world.chats[receive_id]
        field = {"open_id": "id", "union_id": "union_id", "user_id": "user_id"}.get(kind, "id")
        user = next((u for u in self.world.users.values() if getattr(u, field) == receive_id and not u.is_bot), None)
        if user is None:
            raise invalid("invalid receive_id")
        if not user.available:
            raise ApiError(230013, "Bot has NO availability to this user.")
        return self.world.direct_chat(user.id)

    def _writable(self, chat: Chat) -> None:
        self.ability()
        if chat.is_dissolved:
            raise ApiError(232009, "Your request specifies a chat which has already been dissolved.")
        if self.world.bot.id not in chat.members:
            raise ApiError(230002, "Bot/User can NOT be out of the chat.")

    def ability(self) -> None:
        """Refuses when the app's bot is switched off."""
        if not self.world.bot_is_on:
            raise ApiError(230006, "Bot ability is not activated.")

    # --- Content ------------------------------------------------------------------------------------------------------

    def _content(self, kind: str, content: Any) -> str:
        """The content of a message to be. Raises `ApiError` as Lark refuses."""
        if not isinstance(content, str):
            raise invalid("content is not a string")
        if kind not in ("text", "post", "interactive"):
            self.world.surprise("message", f"msg_type {kind} is not simulated")
            raise invalid("invalid msg_type")
        if len(content.encode()) > (MAX_TEXT_BYTES if kind == "text" else MAX_CARD_BYTES):
            raise ApiError(230025, "The length of the message content reaches its limit.")
        try:
            body = json.loads(content)
        except ValueError:
            raise invalid("content is not a string in json format") from None
        if kind == "interactive":
            problem = card_problem(body)
            if problem is not None:
                raise ApiError(230099, problem)
        elif not isinstance(body, dict) or (kind == "text" and not str(body.get("text") or "").strip()):
            raise invalid("message content is empty")
        return content

    def _read_mentions(self, message: StoredMessage) -> None:
        """`<at user_id="ou_...">` in a text becomes `@_user_1` and an entry in the mentions."""

        def replace(match: re.Match[str]) -> str:
            if match[1] == "all":
                return "@_all"
            user = self.world.users.get(match[1])
            if user is None:
                return match[2]
            key = f"@_user_{len(message.mentions) + 1}"
            message.mentions.append(mention(user.id, key, user.real_name, user.tenant_key))
            return key

        body = message.body
        body["text"] = _AT.sub(replace, str(body["text"]))
        message.content = json.dumps(body, ensure_ascii=False)

    # --- Changing -----------------------------------------------------------------------------------------------------

    def patch(self, arguments: Json) -> Json:
        message = self.message(arguments)
        self.ability()
        if message.user != self.world.bot.id:
            raise ApiError(230017, "Bot is NOT the owner of the resource.")
        self._writable(self.world.chats[message.chat])
        if message.deleted:
            raise withdrawn()
        if message.msg_type != "interactive":
            raise ApiError(230054, "This operation is NOT supported for this message type.")
        if self.world.clock.now() - message.at > self.edit_window:
            raise ApiError(230031, "The message exceeding 14 days can NOT be updated.")
        content = self._content("interactive", arguments["content"])
        if self.pending_presses.get(message.id):
            self.patched_early.setdefault(message.id, message.content)
        self.revise(message, content, "patch")
        return {}

    def revise(self, message: StoredMessage, content: str, via: Any) -> None:
        """Gives a card a new content."""
        now = self.world.clock.now()
        message.content, message.updated_at = content, now
        message.remember(now)
        self.world.edits.append(Edit(now, message, content, via))
        self.world.tell("edited", message.chat, message.user, render_text(message), message)

    def delete(self, arguments: Json) -> Json:
        message = self.message(arguments)
        self.ability()
        if message.deleted:
            raise withdrawn()
        if message.user != self.world.bot.id:
            raise ApiError(230026, "No permission to recall this message.")
        self.recall(message, self.world.bot.id)
        return {}

    def recall(self, message: StoredMessage, by: str) -> None:
        text = render_text(message)
        message.deleted = True
        self.world.tell("deleted", message.chat, by, text, message)
        self.events.recalled(message, by)

    # --- Reading ------------------------------------------------------------------------------------------------------

    def get(self, arguments: Json) -> Json:
        message = self.message(arguments)
        self.ability()
        self._readable(self.world.chats[message.chat])
        return {"items": [self.shown(message, arguments)]}

    def search(self, arguments: Json) -> Json:
        """The messages of a chat or a thread, by time; `start_time` and `end_time` in seconds, both included."""
        self.ability()
        chat, found = self._container(str(arguments["container_id_type"]), str(arguments["container_id"]))
        self._readable(chat)
        if chat.kind != "p2p" and SENSITIVE_SCOPE not in self.access.credentials.scopes:
            raise ApiError(230027, f"Lack of necessary permissions, ext=need scope: {SENSITIVE_SCOPE}.")
        times = [_seconds(arguments, name) for name in ("start_time", "end_time")]
        if times != [None, None] and arguments["container_id_type"] == "thread":
            raise invalid("start_time and end_time are not supported for a thread")
        found = [m for m in found if _within(m, *times)]
        order = str(arguments.get("sort_type") or "ByCreateTimeAsc")
        if order not in ("ByCreateTimeAsc", "ByCreateTimeDesc"):
            raise invalid("invalid sort_type")
        found.sort(key=lambda message: message.at, reverse=order.endswith("Desc"))
        shown, rest = page(found, arguments, 20, 50)
        return {**rest, "items": [self.shown(m, arguments) for m in shown]}

    def shown(self, message: StoredMessage, arguments: Json | None = None) -> Json:
        """A message as an answer. A card reads back as its title and a hint, unless asked for as it was sent."""
        raw = (arguments or {}).get("card_msg_content_type") in ("raw_card_content", "user_card_content")

        def content(of: StoredMessage) -> str:
            return degraded(of.content) if of.msg_type == "interactive" and not raw else of.content

        return message_json(self.world, message, content)

    def message(self, arguments: Json) -> StoredMessage:
        """The message an endpoint names, also a recalled one."""
        message = self.world.messages.get(str(arguments["message_id"]))
        if message is None:
            raise invalid("invalid message_id")
        return message

    def _readable(self, chat: Chat) -> None:
        if self.world.bot.id not in chat.members:
            raise ApiError(230002, "Bot/User can NOT be out of the chat.")

    def _container(self, kind: str, container_id: str) -> tuple[Chat, list[StoredMessage]]:
        everything = list(self.world.messages.values())
        if kind == "chat":
            chat = self.world.chats.get(container_id)
            if chat is None:
                raise invalid("invalid container_id")
            return chat, [m for m in everything if m.chat == container_id and (not m.thread_id or not m.is_reply)]
        if kind == "thread":
            found = [m for m in everything if m.thread_id == container_id]
            if not found:
                raise invalid("invalid container_id")
            return self.world.chats[found[0].chat], found
        raise invalid("invalid container_id_type")


def mention(open_id: str, key: str, name: str, tenant_key: str) -> Json:
    """An entry of a message's mentions, as it is stored."""
    return {"key": key, "id": open_id, "name": name, "tenant_key": tenant_key}


def withdrawn() -> ApiError:
    return ApiError(230011, "The message was withdrawn.")


def page(found: list[Any], arguments: Json, default: int, most: int) -> tuple[list[Any], Json]:
    """One page of a list, and `has_more` with the token of the next."""
    size, start = str(arguments.get("page_size") or default), str(arguments.get("page_token") or "p0")
    if not size.isdecimal() or not 1 <= int(size) <= most or not re.fullmatch(r"p\d{1,9}", start):
        raise invalid("invalid page_size or page_token")
    begin, end = int(start[1:]), int(start[1:]) + int(size)
    more = end < len(found)
    return found[begin:end], {"has_more": more, "page_token": f"p{end}" if more else ""}


def _seconds(arguments: Json, name: str) -> int | None:
    value = arguments.get(name)
    if value in (None, ""):
        return None
    if not str(value).isdecimal() or len(str(value)) > 10:
        raise invalid(f"{name} is not in seconds")
    return int(str(value))


def _within(message: StoredMessage, start: int | None, end: int | None) -> bool:
    at = int(message.at.timestamp())
    return (start is None or at >= start) and (end is None or at <= end)

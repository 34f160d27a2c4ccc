"""Everything else that the API offers: reactions, chats, members, people, the bot itself, granted scopes."""

from typing import Any

from platforms.lark.simulator.api import Access, ApiError
from platforms.lark.simulator.catalog import MANIFEST_SCOPES, SENSITIVE_SCOPE
from platforms.lark.simulator.emojis import EMOJIS
from platforms.lark.simulator.events import Events
from platforms.lark.simulator.messages import Messages, page
from platforms.lark.simulator.state import Chat, Reacted, StoredMessage, User, World, milliseconds

Json = dict[str, Any]


class Directory:
    """The endpoints beside messages, over one world."""

    def __init__(self, world: World, messages: Messages, events: Events, access: Access) -> None:
        self.world = world
        self.messages = messages
        self.events = events
        self.access = access

    # --- Reactions ----------------------------------------------------------------------------------------------------

    def add_reaction(self, arguments: Json) -> Json:
        message = self._reactable(arguments)
        kind = arguments["reaction_type"]
        emoji = kind.get("emoji_type") if isinstance(kind, dict) else None
        if emoji not in EMOJIS:
            raise ApiError(231001, "reaction type is invalid.")
        self.mark(message, self.world.bot, str(emoji), True)
        return self._reaction_json(message, self.world.bot, str(emoji))

    def remove_reaction(self, arguments: Json) -> Json:
        message = self._reactable(arguments)
        found = self.world.reaction_ids.get(str(arguments["reaction_id"]))
        if found is None or found[0] != message.id or found[1] not in message.reactions.get(found[2], []):
            raise ApiError(231011, "The reaction does not exist.")
        if found[1] != self.world.bot.id:
            raise ApiError(231007, "The operator has no permission to delete the reaction.")
        answer = self._reaction_json(message, self.world.bot, found[2])
        self.mark(message, self.world.bot, found[2], False)
        return answer

    def list_reactions(self, arguments: Json) -> Json:
        message = self._reactable(arguments)
        wanted = arguments.get("reaction_type")
        pairs = [(emoji, who) for emoji, people in message.reactions.items() for who in people]
        pairs = [pair for pair in pairs if wanted in (None, pair[0])]
        shown, rest = page(pairs, arguments, 50, 50)
        return {**rest, "items": [self._reaction_json(message, self.world.users[who], emoji) for emoji, who in shown]}

    def mark(self, message: StoredMessage, user: User, emoji: str, on: bool) -> None:
        """Adds or takes away a reaction and tells the app. What is already so stays."""
        people = message.reactions.setdefault(emoji, [])
        if (user.id in people) == on:
            return
        if on:
            people.append(user.id)
        else:
            people.remove(user.id)
            if not people:
                del message.reactions[emoji]
        self.world.reactions.append(Reacted(self.world.clock.now(), message.chat, message.id, user.id, emoji, on))
        self.world.tell("reacted", message.chat, user.id, f"{emoji} {'on' if on else 'off'}", message)
        self.events.reacted(message, user, emoji, on)

    def _reactable(self, arguments: Json) -> StoredMessage:
        self.messages.ability()
        message = self.world.messages.get(str(arguments["message_id"]))
        if message is None or message.deleted:
            raise ApiError(231003, "The message is not found, or has been deleted.")
        if self.world.bot.id not in self.world.chats[message.chat].members:
            raise ApiError(231002, "The operator has no permission to react on the specific message.")
        return message

    def _reaction_json(self, message: StoredMessage, user: User, emoji: str) -> Json:
        key = (message.id, user.id, emoji)
        found = next((i for i, known in self.world.reaction_ids.items() if known == key), None)
        if found is None:
            found = self.world.ids.secret(80)
            self.world.reaction_ids[found] = key
        app = user.id == self.world.bot.id
        operator = {"operator_id": self.world.app_id if app else user.id, "operator_type": "app" if app else "user"}
        stamp = milliseconds(self.world.clock.now())
        return {
            "reaction_id": found,
            "operator": operator,
            "action_time": stamp,
            "reaction_type": {"emoji_type": emoji},
        }

    # --- Chats and people ---------------------------------------------------------------------------------------------

    def list_chats(self, arguments: Json) -> Json:
        """The groups the bot is in; chats with one person are not listed."""
        self.messages.ability()
        bot = self.world.bot.id
        found = [c for c in self.world.chats.values() if c.kind != "p2p" and bot in c.members and not c.is_dissolved]
        shown, rest = page(found, arguments, 20, 100)
        return {**rest, "items": [self._chat_json(chat) | {"chat_id": chat.id} for chat in shown]}

    def get_chat(self, arguments: Json) -> Json:
        chat = self._chat(arguments)
        people = [self.world.users[member] for member in chat.members]
        counts = {
            "user_count": str(sum(not user.is_bot for user in people)),
            "bot_count": str(sum(user.is_bot for user in people)),
        }
        group = {"chat_type": "private", "group_message_type": "thread" if chat.kind == "topic" else "chat"}
        return self._chat_json(chat) | counts | (group if chat.kind != "p2p" else {})

    def chat_members(self, arguments: Json) -> Json:
        chat = self._chat(arguments)
        self._inside(chat)
        people = sorted((self.world.users[m] for m in chat.members if m != self.world.bot.id), key=lambda u: u.id)
        shown, rest = page(people, arguments, 20, 100)
        items = [
            {"member_id_type": "open_id", "member_id": u.id, "name": u.real_name, "tenant_key": u.tenant_key}
            for u in shown
        ]
        return {**rest, "items": items, "member_total": len(people)}

    def is_in_chat(self, arguments: Json) -> Json:
        return {"is_in_chat": self.world.bot.id in self._chat(arguments).members}

    def get_user(self, arguments: Json) -> Json:
        """One person's name. The language of their client is not told."""
        kind, wanted = str(arguments.get("user_id_type") or "open_id"), str(arguments["user_id"])
        field = {"open_id": "id", "union_id": "union_id", "user_id": "user_id"}.get(kind)
        if field is None:
            raise ApiError(40004, "invalid user_id_type")
        user = next((u for u in self.world.users.values() if getattr(u, field) == wanted and not u.is_bot), None)
        if user is None:
            raise ApiError(99992351, "not a valid {open_id} value, invalid ids: [" + wanted[:40] + "]")
        if user.is_external or not user.available:
            raise ApiError(41050, "no user authority error")
        shown: Json = {"union_id": user.union_id, "open_id": user.id, "name": user.real_name, "en_name": user.name}
        return {"user": shown}

    def bot_info(self, arguments: Json) -> Json:
        if not self.world.bot_is_on:
            raise ApiError(11205, "app do not have bot")
        bot = self.world.bot
        return {"bot": {"activate_status": 2, "app_name": bot.real_name, "ip_white_list": [], "open_id": bot.id}}

    def list_scopes(self, arguments: Json) -> Json:
        """`grant_status` 1: granted; 2: asked for, not granted."""
        granted = self.access.credentials.scopes
        names = sorted(granted | MANIFEST_SCOPES | {SENSITIVE_SCOPE})
        return {
            "scopes": [
                {"scope_name": name, "grant_status": 1 if name in granted else 2, "scope_type": "tenant"}
                for name in names
            ]
        }

    def _chat(self, arguments: Json) -> Chat:
        self.messages.ability()
        chat = self.world.chats.get(str(arguments["chat_id"]))
        if chat is None:
            raise ApiError(232006, "Your request specifies a chat_id that is invalid.")
        if chat.is_dissolved:
            raise ApiError(232009, "Your request specifies a chat which has already been dissolved.")
        return chat

    def _inside(self, chat: Chat) -> None:
        if self.world.bot.id not in chat.members:
            raise ApiError(232011, "Operator can NOT be out of the chat.")

    def _chat_json(self, chat: Chat) -> Json:
        shown: Json = {
            "avatar": "https://example.com/avatar.png",
            "name": chat.name,
            "description": "",
            "external": chat.is_external,
            "tenant_key": self.world.tenant_key,
            "chat_mode": chat.kind,
            "chat_status": "normal",
        }
        return shown | ({"owner_id": chat.owner, "owner_id_type": "open_id"} if chat.owner else {})

"""The simulated tenant: people, chats, messages, ids. Plain state; the API and the verbs change it."""

import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from platforms.simulation import SimulatedClock, Surprise

Json = dict[str, Any]
ChatKind = Literal["group", "topic", "p2p"]
Language = Literal["en", "zh"]


@dataclass
class User:
    """Someone who uses Lark. `language`: of their client; `available`: whether the app is offered to them."""

    id: str
    name: str
    real_name: str
    union_id: str = ""
    user_id: str = ""
    language: Language = "en"
    tenant_key: str = ""
    is_external: bool = False
    is_bot: bool = False
    available: bool = True


@dataclass
class Chat:
    """A conversation. `members` are open ids; the bot counts like anyone else."""

    id: str
    name: str
    kind: ChatKind = "group"
    members: set[str] = field(default_factory=set)
    owner: str = ""
    is_external: bool = False
    is_dissolved: bool = False

    @property
    def event_type(self) -> str:
        """The `chat_type` of message events."""
        return {"group": "group", "topic": "topic_group", "p2p": "p2p"}[self.kind]


@dataclass(frozen=True)
class Version:
    """What a message showed from `at` on."""

    at: datetime
    content: str


@dataclass
class StoredMessage:
    """One message as the platform keeps it. `content` is the JSON text on the wire; `history` holds every version."""

    id: str
    chat: str
    user: str
    msg_type: str
    content: str
    at: datetime
    root_id: str | None = None
    parent_id: str | None = None
    thread_id: str | None = None
    mentions: list[Json] = field(default_factory=list)
    updated_at: datetime | None = None
    deleted: bool = False
    uuid: str = ""
    request: Json = field(default_factory=dict)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    history: list[Version] = field(default_factory=list)

    @property
    def is_reply(self) -> bool:
        return self.root_id is not None

    @property
    def root(self) -> str:
        """The id of the message that this one answers, over all steps, or its own."""
        return self.root_id or self.id

    @property
    def body(self) -> Json:
        """The content, read."""
        return json.loads(self.content)

    @property
    def card(self) -> Json | None:
        """The card, if it is one."""
        return self.body if self.msg_type == "interactive" else None

    def remember(self, at: datetime) -> None:
        """Adds the present state to the history."""
        self.history.append(Version(at, self.content))


@dataclass(frozen=True)
class Whisper:
    """Something only one person sees: a toast after a button press, or a message in the chat with the bot.

    `text` is in the language of that person; `texts` has every language that the app sent (a toast only).
    """

    at: datetime
    user: str
    text: str
    via: Literal["toast", "direct"]
    style: str = ""
    texts: dict[str, str] = field(default_factory=dict)
    message: StoredMessage | None = None


@dataclass(frozen=True)
class Reacted:
    """One reaction being added or taken away."""

    at: datetime
    chat: str
    message_id: str
    user: str
    emoji: str
    added: bool


@dataclass(frozen=True)
class Edit:
    """One change of a card. `via`: the app's PATCH, the answer to a button press, or the platform undoing a PATCH."""

    at: datetime
    message: StoredMessage
    content: str
    via: Literal["patch", "callback", "reverted"]


@dataclass(frozen=True)
class Happening:
    """One line of the story, for the demo: who did what, where."""

    at: datetime
    kind: Literal["said", "edited", "deleted", "whispered", "reacted", "clicked", "refused", "menu"]
    chat: str
    user: str
    text: str
    message: StoredMessage | None = None


class Ids:
    """Ids of the shapes Lark uses, random but repeatable with a seed."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)

    def hexadecimal(self, length: int = 32) -> str:
        return f"{self._random.getrandbits(4 * length):0{length}x}"

    def digits(self, length: int) -> str:
        return str(self._random.randint(10 ** (length - 1), 10**length - 1))

    def secret(self, length: int = 32) -> str:
        return "".join(self._random.choices(string.ascii_letters + string.digits, k=length))

    def new(self, prefix: str) -> str:
        """`om_`, `omt_`, `oc_`, `ou_` or `on_` and 32 hexadecimal digits."""
        return prefix + self.hexadecimal()

    def app(self) -> str:
        return "cli_a" + self.hexadecimal(15)

    def uuid(self) -> str:
        raw = self.hexadecimal(32)
        return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"


class World:
    """Everything the platform knows. Changed only on the simulator's loop; read from anywhere."""

    def __init__(self, clock: SimulatedClock, seed: int | None, changed: Callable[[], None]) -> None:
        self.clock = clock
        self.ids = Ids(seed)
        self.changed = changed
        self.tenant_key = self.ids.hexadecimal(15)
        self.app_id = self.ids.app()
        self.users: dict[str, User] = {}
        self.chats: dict[str, Chat] = {}
        self.messages: dict[str, StoredMessage] = {}
        self.sent_with: dict[str, StoredMessage] = {}
        """The newest message sent with each uuid."""
        self.whispers: list[Whisper] = []
        self.reactions: list[Reacted] = []
        self.reaction_ids: dict[str, tuple[str, str, str]] = {}
        self.edits: list[Edit] = []
        self.happenings: list[Happening] = []
        self.surprises: list[Surprise] = []
        self.bot_is_on = True
        self.bot = self.add_user("codetask", real_name="Codetask", is_bot=True)

    def add_user(self, name: str, **fields: Any) -> User:
        """Adds a person; `fields` are those of `User`."""
        real_name = fields.pop("real_name", name.capitalize())
        ids = {"union_id": self.ids.new("on_"), "user_id": self.ids.hexadecimal(8), "tenant_key": self.tenant_key}
        user = User(self.ids.new("ou_"), name, real_name, **{**ids, **fields})
        self.users[user.id] = user
        return user

    def add_chat(self, name: str, kind: ChatKind, members: set[str], owner: str = "") -> Chat:
        chat = Chat(self.ids.new("oc_"), name, kind, members, owner)
        chat.is_external = any(self.users[member].is_external for member in members)
        self.chats[chat.id] = chat
        return chat

    def direct_chat(self, user_id: str) -> Chat:
        """The chat of a person with the bot, opened when needed."""
        pair = {user_id, self.bot.id}
        for chat in self.chats.values():
            if chat.kind == "p2p" and chat.members == pair:
                return chat
        return self.add_chat("", "p2p", pair)

    def find_user(self, who: str | User) -> User:
        """By id or name. Raises LookupError: a test named someone who does not exist."""
        if isinstance(who, User):
            return who
        for user in self.users.values():
            if who.lstrip("@") in (user.id, user.name, user.union_id):
                return user
        raise LookupError(f"no user {who!r}; known: {', '.join(u.name for u in self.users.values())}")

    def find_chat(self, where: str | Chat) -> Chat:
        """By id or name. Raises LookupError."""
        if isinstance(where, Chat):
            return where
        for chat in self.chats.values():
            if where in (chat.id, chat.name, f"#{chat.name}"):
                return chat
        raise LookupError(f"no chat {where!r}; known: {', '.join(c.name or c.id for c in self.chats.values())}")

    def chain(self, root: str) -> list[StoredMessage]:
        """The replies to a message, over all steps, oldest first, without it and without recalled ones."""
        return [m for m in list(self.messages.values()) if m.root_id == root and not m.deleted]

    def store(self, message: StoredMessage, text: str) -> StoredMessage:
        """Keeps a new message; `text` is what the story says of it."""
        message.remember(message.at)
        self.messages[message.id] = message
        if message.uuid:
            self.sent_with[message.uuid] = message
        self.tell("said", message.chat, message.user, text, message)
        return message

    def tell(self, kind: Any, chat: str, user: str, text: str, message: StoredMessage | None = None) -> None:
        """Adds a line to the story and wakes waiting readers."""
        self.happenings.append(Happening(self.clock.now(), kind, chat, user, text, message))
        self.changed()

    def surprise(self, where: str, what: str) -> None:
        self.surprises.append(Surprise(where, what))
        self.changed()


def milliseconds(at: datetime) -> str:
    """An instant as Lark writes it: milliseconds since 1970, as a string."""
    return str(int(at.timestamp() * 1000))

"""The simulated guild: people, roles, channels, messages, ids. Plain state; the REST API and the verbs change it."""

import copy
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from platforms.discord.simulator.catalog import THREAD_TYPES
from platforms.simulation import SimulatedClock, Surprise

Json = dict[str, Any]

EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
"""Discord's epoch: snowflakes count milliseconds from here."""


@dataclass
class User:
    """Someone Discord knows. `roles` are role ids in the guild; `stranger` is not in it."""

    id: str
    name: str
    global_name: str
    bot: bool = False
    locale: str = "en-US"
    roles: list[str] = field(default_factory=list)
    member_flags: int = 0
    stranger: bool = False
    accepts_messages: bool = True
    joined_at: datetime = EPOCH


@dataclass
class Role:
    """A role of the guild. The role everyone has carries the guild's id."""

    id: str
    name: str
    permissions: int
    managed: bool = False


@dataclass
class Overwrite:
    """What a channel grants or takes from a role (kind 0) or member (kind 1)."""

    kind: int
    allow: int = 0
    deny: int = 0


@dataclass
class Channel:
    """A channel, a thread (a channel with a parent) or a direct message. `members` counts for threads and DMs."""

    id: str
    name: str
    type: int = 0
    parent_id: str | None = None
    owner_id: str | None = None
    members: set[str] = field(default_factory=set)
    overwrites: dict[str, Overwrite] = field(default_factory=dict)
    archived: bool = False
    locked: bool = False
    auto_archive_duration: int = 4320
    archive_at: datetime = EPOCH
    created_at: datetime = EPOCH
    last_message_id: str | None = None
    message_count: int = 0
    deleted: bool = False
    position: int = 0

    @property
    def is_thread(self) -> bool:
        return self.type in THREAD_TYPES

    @property
    def is_direct(self) -> bool:
        return self.type == 1


@dataclass(frozen=True)
class Version:
    """What a message showed from `at` on."""

    at: datetime
    text: str
    components: list[Json]


@dataclass
class StoredMessage:
    """One message as the platform keeps it. `history` holds every version, the newest last.

    `pinged` are the ids of the people it really notified; `thread` is the id of the thread started from it.
    """

    id: str
    channel: str
    user: str
    text: str
    at: datetime
    type: int = 0
    components: list[Json] = field(default_factory=list)
    embeds: list[Json] = field(default_factory=list)
    flags: int = 0
    nonce: str | int | None = None
    reference: Json | None = None
    edited_at: datetime | None = None
    deleted: bool = False
    mentions: list[str] = field(default_factory=list)
    mention_everyone: bool = False
    mention_roles: list[str] = field(default_factory=list)
    pinged: frozenset[str] = frozenset()
    interaction: Json | None = None
    thread: str | None = None
    request: Json = field(default_factory=dict)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    history: list[Version] = field(default_factory=list)

    @property
    def content(self) -> str:
        return self.text

    def remember(self, at: datetime) -> None:
        """Adds the present state to the history."""
        self.history.append(Version(at, self.text, copy.deepcopy(self.components)))


@dataclass
class Whisper(StoredMessage):
    """An ephemeral answer, seen by `to` (a user id) only. `via` is how it came."""

    to: str = ""
    via: Literal["answer", "follow_up"] = "answer"


@dataclass(frozen=True)
class Reacted:
    """One reaction being added or taken away."""

    at: datetime
    channel: str
    message: str
    user: str
    name: str
    added: bool


@dataclass(frozen=True)
class Edit:
    """One change of a message by the bot."""

    at: datetime
    message: StoredMessage
    text: str
    components: list[Json]


@dataclass
class Form:
    """A modal shown to a person."""

    user: str
    body: Json
    channel: str
    message: StoredMessage | None = None
    open: bool = True

    @property
    def title(self) -> str:
        return str(self.body["title"])

    @property
    def custom_id(self) -> str:
        return str(self.body["custom_id"])


@dataclass(frozen=True)
class Happening:
    """One line of the story, for the demo: who did what, where."""

    at: datetime
    kind: Literal["said", "edited", "deleted", "whispered", "reacted", "command", "clicked", "refused"]
    channel: str
    user: str
    text: str
    message: StoredMessage | None = None


class Ids:
    """Ids of the shapes Discord uses; snowflakes are unique and rising."""

    def __init__(self, clock: SimulatedClock, seed: int | None) -> None:
        self._random = random.Random(seed)
        self._clock = clock
        self._last = 0

    def snowflake(self) -> str:
        self._last = max(snowflake_at(self._clock.now()), self._last + 1)
        return str(self._last)

    def secret(self, length: int = 24) -> str:
        return "".join(self._random.choices(string.ascii_letters + string.digits, k=length))

    def hexadecimal(self, length: int = 32) -> str:
        return f"{self._random.getrandbits(4 * length):0{length}x}"


def snowflake_at(instant: datetime) -> int:
    """The smallest snowflake of an instant."""
    return int((instant - EPOCH) / timedelta(milliseconds=1)) << 22


class World:
    """Everything the platform knows. Changed only on the simulator's loop; read from anywhere."""

    def __init__(self, clock: SimulatedClock, seed: int | None, changed: Callable[[], None]) -> None:
        self.clock = clock
        self.ids = Ids(clock, seed)
        self.changed = changed
        self.guild_id = self.ids.snowflake()
        self.guild_name = "Tidepool"
        self.in_guild = True
        self.owner_id = ""
        self.users: dict[str, User] = {}
        self.roles: dict[str, Role] = {}
        self.channels: dict[str, Channel] = {}
        self.messages: dict[str, StoredMessage] = {}
        self.reactions: list[Reacted] = []
        self.edits: list[Edit] = []
        self.forms: list[Form] = []
        self.commands: list[Json] = []
        self.happenings: list[Happening] = []
        self.surprises: list[Surprise] = []
        self.denied = 0
        """Permission bits taken from the bot everywhere."""
        self.bot = self.add_user("codetask", global_name="Codetask", bot=True)
        self.app_id = self.bot.id

    def add_user(self, name: str, **fields: Any) -> User:
        """Adds a person; `fields` are those of `User`."""
        global_name = fields.pop("global_name", name.capitalize())
        user = User(self.ids.snowflake(), name, global_name, **{"joined_at": self.clock.now(), **fields})
        self.users[user.id] = user
        return user

    def add_role(self, name: str, permissions: int, *, id: str | None = None, managed: bool = False) -> Role:
        role = Role(id or self.ids.snowflake(), name, permissions, managed)
        self.roles[role.id] = role
        return role

    def add_channel(self, name: str, type: int = 0, **fields: Any) -> Channel:
        now = self.clock.now()
        fields = {"created_at": now, "archive_at": now, "position": len(self.channels), **fields}
        channel = Channel(self.ids.snowflake() if "id" not in fields else fields.pop("id"), name, type, **fields)
        self.channels[channel.id] = channel
        return channel

    def direct_channel(self, user_id: str) -> Channel:
        """The direct message between the bot and a person, opened when needed."""
        pair = {user_id, self.bot.id}
        for channel in self.channels.values():
            if channel.is_direct and channel.members == pair:
                return channel
        return self.add_channel("", 1, members=pair)

    def find_user(self, who: str | User) -> User:
        """By id or name. Raises LookupError: a test named someone who does not exist."""
        if isinstance(who, User):
            return who
        for user in self.users.values():
            if who.lstrip("@") in (user.id, user.name):
                return user
        raise LookupError(f"no user {who!r}; known: {', '.join(u.name for u in self.users.values())}")

    def find_channel(self, where: str | Channel) -> Channel:
        """By id or name (`general` or `#general`); threads too. Raises LookupError."""
        if isinstance(where, Channel):
            return where
        for channel in self.channels.values():
            if where in (channel.id, channel.name, f"#{channel.name}") and not channel.deleted:
                return channel
        raise LookupError(f"no channel {where!r}; known: {', '.join(c.name or c.id for c in self.channels.values())}")

    def channel(self, channel_id: str) -> Channel | None:
        """A channel that is still there."""
        found = self.channels.get(channel_id)
        return None if found is None or found.deleted else found

    def message(self, channel_id: str, message_id: str) -> StoredMessage | None:
        """A message that is still there and that everyone can see."""
        found = self.messages.get(message_id)
        if found is None or found.deleted or found.channel != channel_id or isinstance(found, Whisper):
            return None
        return found

    def in_channel(self, channel_id: str) -> list[StoredMessage]:
        """The messages of a channel or thread, oldest first."""
        found = [m for m in list(self.messages.values()) if m.channel == channel_id and not m.deleted]
        return sorted((m for m in found if not isinstance(m, Whisper)), key=lambda m: int(m.id))

    def store(self, message: StoredMessage) -> StoredMessage:
        message.remember(message.at)
        self.messages[message.id] = message
        channel = self.channels[message.channel]
        if not isinstance(message, Whisper):
            channel.last_message_id = message.id
            channel.message_count += 1
        kind: Any = "whispered" if isinstance(message, Whisper) else "said"
        self.tell(kind, message.channel, message.user, message.text, message)
        return message

    def tell(self, kind: Any, channel: str, user: str, text: str, message: StoredMessage | None = None) -> None:
        """Adds a line to the story and wakes waiting readers."""
        self.happenings.append(Happening(self.clock.now(), kind, channel, user, text, message))
        self.changed()

    def surprise(self, where: str, what: str) -> None:
        self.surprises.append(Surprise(where, what))
        self.changed()

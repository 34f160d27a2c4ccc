"""The simulated workspace: people, channels, messages, ids. Plain state; the web API and the verbs change it."""

import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from platforms.simulation import SimulatedClock, Surprise

Json = dict[str, Any]
ChannelKind = Literal["public", "private", "im", "mpim"]

TS_STEP = timedelta(microseconds=100)


@dataclass
class User:
    """Someone of the workspace. `tz_offset` is seconds east of UTC."""

    id: str
    name: str
    real_name: str
    is_admin: bool = False
    is_owner: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_bot: bool = False
    is_stranger: bool = False
    deleted: bool = False
    team_id: str = ""
    tz: str = "Europe/Berlin"
    tz_label: str = "Central European Time"
    tz_offset: int = 3600
    locale: str = "en-US"
    bot_id: str = ""


@dataclass
class Channel:
    """A conversation. `members` are user ids; the bot counts like anyone else."""

    id: str
    name: str
    kind: ChannelKind = "public"
    members: set[str] = field(default_factory=set)
    is_archived: bool = False
    is_general: bool = False
    creator: str = ""
    created: int = 0

    @property
    def event_type(self) -> str:
        """The `channel_type` of message events."""
        return {"public": "channel", "private": "group", "im": "im", "mpim": "mpim"}[self.kind]


@dataclass(frozen=True)
class Version:
    """What a message showed from `at` on."""

    at: datetime
    text: str
    blocks: list[Json]
    metadata: Json | None


@dataclass
class StoredMessage:
    """One message as the platform keeps it. `history` holds every version, the newest last."""

    channel: str
    ts: str
    user: str
    text: str
    at: datetime
    thread_ts: str | None = None
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    bot_id: str | None = None
    subtype: str | None = None
    client_msg_id: str | None = None
    edited: Json | None = None
    deleted: bool = False
    broadcast: bool = False
    request: Json = field(default_factory=dict)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    history: list[Version] = field(default_factory=list)

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def root(self) -> str:
        """The `ts` of the thread this message is in or would start."""
        return self.thread_ts or self.ts

    def remember(self, at: datetime) -> None:
        """Adds the present state to the history."""
        self.history.append(Version(at, self.text, self.blocks, self.metadata))


@dataclass(frozen=True)
class Whisper:
    """Something shown to one person only. `shown` is False where Slack accepts it but no client displays it."""

    at: datetime
    channel: str
    user: str
    ts: str
    text: str
    blocks: list[Json]
    thread_ts: str | None
    shown: bool
    via: Literal["chat.postEphemeral", "response_url", "ack", "slackbot"]


@dataclass(frozen=True)
class Reacted:
    """One reaction being added or taken away."""

    at: datetime
    channel: str
    ts: str
    user: str
    name: str
    added: bool


@dataclass(frozen=True)
class Edit:
    """One change of a message by the bot."""

    at: datetime
    message: StoredMessage
    text: str
    blocks: list[Json]


@dataclass(frozen=True)
class Activity:
    """A status line under a thread ("is working..."); empty text clears it."""

    at: datetime
    channel: str
    thread_ts: str
    status: str
    loading_messages: list[str]


@dataclass
class View:
    """A modal or a home tab."""

    id: str
    user: str
    body: Json
    hash: str
    open: bool = True


@dataclass
class Trigger:
    """The right to open one modal within three seconds."""

    user: str
    expires_at: datetime
    used: bool = False


@dataclass
class ResponseUrl:
    """The right to answer one interaction five times within thirty minutes."""

    token: str
    channel: str
    user: str
    expires_at: datetime
    uses_left: int = 5
    original: str | None = None


@dataclass(frozen=True)
class Happening:
    """One line of the story, for the demo's terminal: who did what, where."""

    at: datetime
    kind: Literal["said", "edited", "deleted", "whispered", "reacted", "command", "clicked", "refused"]
    channel: str
    user: str
    text: str
    message: StoredMessage | None = None


class Ids:
    """Ids of the shapes Slack uses, random but repeatable with a seed."""

    def __init__(self, clock: SimulatedClock, seed: int | None) -> None:
        self._random = random.Random(seed)
        self._clock = clock
        self._last_ts = datetime.fromtimestamp(0, UTC)

    def new(self, prefix: str, length: int = 9) -> str:
        """`prefix` and 0, then capitals and digits: `C07K2M4Q9XA`."""
        return prefix + "0" + "".join(self._random.choices(string.ascii_uppercase + string.digits, k=length))

    def digits(self, length: int) -> str:
        return str(self._random.randint(10 ** (length - 1), 10**length - 1))

    def secret(self, length: int = 24) -> str:
        return "".join(self._random.choices(string.ascii_letters + string.digits, k=length))

    def hexadecimal(self, length: int = 32) -> str:
        return f"{self._random.getrandbits(4 * length):0{length}x}"

    def uuid(self) -> str:
        raw = self.hexadecimal(32)
        return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"

    def ts(self) -> str:
        """A message timestamp: seconds, a dot, six decimals; unique and rising."""
        now = max(self._clock.now(), self._last_ts + TS_STEP)
        self._last_ts = now.replace(microsecond=now.microsecond // 100 * 100 + (19 if now.microsecond % 100 else 9))
        return f"{int(self._last_ts.timestamp())}.{self._last_ts.microsecond:06d}"


class World:
    """Everything the platform knows. Changed only on the simulator's loop; read from anywhere."""

    def __init__(self, clock: SimulatedClock, seed: int | None, changed: Callable[[], None]) -> None:
        self.clock = clock
        self.ids = Ids(clock, seed)
        self.changed = changed
        self.team_id = self.ids.new("T")
        self.team_domain = "tidepool"
        self.team_name = "Tidepool"
        self.app_id = self.ids.new("A")
        self.users: dict[str, User] = {}
        self.usergroups: dict[str, tuple[str, list[str]]] = {}
        self.channels: dict[str, Channel] = {}
        self.messages: dict[tuple[str, str], StoredMessage] = {}
        self.whispers: list[Whisper] = []
        self.reactions: list[Reacted] = []
        self.edits: list[Edit] = []
        self.activities: list[Activity] = []
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.happenings: list[Happening] = []
        self.surprises: list[Surprise] = []
        self.edit_window: timedelta | None = None
        self.bot = self.add_user("codetask", real_name="Codetask", is_bot=True)

    def usergroup(self, handle: str, members: list[str]) -> str:
        """Makes a user group, or gives the one with that handle other members; its id."""
        known = next((id for id, (name, _) in self.usergroups.items() if name == handle), None)
        id = known or self.ids.new("S")
        self.usergroups[id] = (handle, members)
        return id

    def add_user(self, name: str, **fields: Any) -> User:
        """Adds a person; `fields` are those of `User`."""
        real_name = fields.pop("real_name", name.capitalize())
        user = User(self.ids.new("U"), name, real_name, **{"team_id": self.team_id, **fields})
        if user.is_bot:
            user.bot_id = self.ids.new("B")
        self.users[user.id] = user
        return user

    def add_channel(self, name: str, kind: ChannelKind, members: set[str], *, is_general: bool = False) -> Channel:
        prefix = {"public": "C", "private": "C", "mpim": "G", "im": "D"}[kind]
        created = int(self.clock.now().timestamp()) - 86_400
        channel = Channel(self.ids.new(prefix), name, kind, members, is_general=is_general, created=created)
        self.channels[channel.id] = channel
        return channel

    def direct_channel(self, user_id: str) -> Channel:
        """The direct message between the bot and a person, opened when needed."""
        pair = {user_id, self.bot.id}
        for channel in self.channels.values():
            if channel.kind == "im" and channel.members == pair:
                return channel
        return self.add_channel("", "im", pair)

    def find_user(self, who: str | User) -> User:
        """By id or name. Raises LookupError: a test named someone who does not exist."""
        if isinstance(who, User):
            return who
        for user in self.users.values():
            if who.lstrip("@") in (user.id, user.name):
                return user
        raise LookupError(f"no user {who!r}; known: {', '.join(u.name for u in self.users.values())}")

    def find_channel(self, where: str | Channel) -> Channel:
        """By id or name (`general` or `#general`). Raises LookupError."""
        if isinstance(where, Channel):
            return where
        for channel in self.channels.values():
            if where in (channel.id, channel.name, f"#{channel.name}"):
                return channel
        raise LookupError(f"no channel {where!r}; known: {', '.join(c.name or c.id for c in self.channels.values())}")

    def message(self, channel: str, ts: str) -> StoredMessage | None:
        """A message that is still there."""
        found = self.messages.get((channel, ts))
        return None if found is None or found.deleted else found

    def replies(self, channel: str, root: str) -> list[StoredMessage]:
        """The replies of a thread, oldest first, without its root."""
        return [
            m
            for (c, _), m in list(self.messages.items())
            if c == channel and m.is_reply and m.thread_ts == root and not m.deleted
        ]

    def has_left_answers(self, message: StoredMessage) -> bool:
        """Whether a message was deleted while answers hang on it: then a tombstone stays in its place."""
        return message.deleted and not message.is_reply and bool(self.replies(message.channel, message.ts))

    def store(self, message: StoredMessage) -> StoredMessage:
        message.remember(message.at)
        self.messages[(message.channel, message.ts)] = message
        self.tell("said", message.channel, message.user, message.text, message)
        return message

    def tell(self, kind: Any, channel: str, user: str, text: str, message: StoredMessage | None = None) -> None:
        """Adds a line to the story and wakes waiting readers."""
        self.happenings.append(Happening(self.clock.now(), kind, channel, user, text, message))
        self.changed()

    def surprise(self, where: str, what: str) -> None:
        self.surprises.append(Surprise(where, what))
        self.changed()

    def new_trigger(self, user: str) -> str:
        """A trigger id that opens one modal within 3 s."""
        trigger = f"{self.ids.digits(13)}.{self.ids.digits(12)}.{self.ids.hexadecimal(32)}"
        self.triggers[trigger] = Trigger(user, self.clock.now() + timedelta(seconds=3))
        return trigger

    def new_response_url(self, kind: str, channel: str, user: str, original: str | None = None) -> str:
        """The path of a response URL: 5 uses, 30 minutes."""
        token = f"{kind}/{self.team_id}/{self.ids.digits(13)}/{self.ids.secret(24)}"
        expires_at = self.clock.now() + timedelta(minutes=30)
        self.response_urls[token] = ResponseUrl(token, channel, user, expires_at, original=original)
        return token

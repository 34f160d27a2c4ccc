"""Chat platforms: what the core asks of one, and the values they exchange.

Implementations: `platforms/*/adapter.py`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from bot.core.cards import Content, Doc
from bot.core.inbound import Command, Event, Message, MessageRef, Person, ReplyToken, ThreadRef


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is on a platform, and what it was granted."""

    platform: str
    app_id: str
    workspace_id: str
    bot_user_id: str
    name: str
    granted: frozenset[str] = frozenset()
    degraded: str = ""
    """What it does without, and how to change that; empty when nothing is missing."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `after`. `maybe_done`: the call may have taken effect; read back before repeating a post."""

    after: timedelta
    maybe_done: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """The target no longer exists. `what` is `message`, `thread` or `channel`; `why` is the platform's code."""

    what: Literal["message", "thread", "channel"]
    why: str = ""


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """The bot lacks a right. `fix` tells a person what to do; `why` is the platform's code."""

    fix: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class AuthFailed:
    """The credentials are refused. `fix` tells a person what to do."""

    fix: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Unsendable:
    """The platform refused the content itself: a bug of ours. The delivery is parked, a plain text goes out."""

    why: str


@dataclass(frozen=True, slots=True)
class Fatal:
    """The adapter cannot go on; the process should end non-zero. `why` is for the log, `fix` for a person."""

    why: str
    fix: str = ""


Trouble = Retry | Gone | NotAllowed | AuthFailed | Unsendable


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an accepted event. `ref` is the inbox row's short reference."""

    status: Literal["new", "duplicate"]
    ref: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One autocompletion entry."""

    label: str
    value: str


class Inbox(Protocol):
    """Where adapters put what they read. An adapter never touches storage."""

    async def accept(self, event: Event) -> Receipt:
        """Stores the event durably before returning (budget 2 s). Raises `InboxDown` when it could not be stored."""
        ...

    async def choices(self, name: str, text: str, person: Person, place: ThreadRef | None = None) -> list[Choice]:
        """At most 25 completions for an option, empty when slow. `place` is the channel it is typed in, where the
        platform tells.

        Name `form`: what the fields of the form with the key `text` open with, one choice per field: `label` is the
        field's name, `value` all of its text. Empty where nothing is known, or the person may not see it."""
        ...

    async def hold(self, name: str, owner: str, ttl: timedelta) -> bool:
        """Takes or renews the lease `name` for `ttl` by the database's clock; False while another owner has it.

        Raises `InboxDown` when nobody can tell."""
        ...

    async def release(self, name: str, owner: str) -> None:
        """Gives a lease back, so that another process may take it at once; without effect for any other owner."""
        ...


class InboxDown(Exception):
    """The event could not be stored. Do not ack it: the platform redelivers; tell the person where it never does."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"the inbox could not store an event (ref {ref})")
        self.ref = ref


@dataclass(frozen=True, slots=True)
class Health:
    """How an adapter is doing."""

    state: Literal["starting", "ready", "standby", "reconnecting", "deaf", "failed"]
    last_inbound_at: datetime | None = None
    last_error: str = ""
    reconnects: int = 0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a platform can do. The core branches on these, never on platform names."""

    slash: bool
    slash_in_thread: bool
    forms: bool
    whisper: bool
    activity: bool
    sees_all_messages: bool
    max_text: int
    max_buttons: int
    edit_window: timedelta | None
    idempotent_post: bool
    exclusive_ingress: bool
    """Every process gets every event, so only the holder of a lease listens."""
    every_language: bool
    """One message can hold every language; each viewer sees their own."""
    post_interval: timedelta
    """The least time between two posts in one channel."""
    tells_edits: bool = True
    """Whether it says when a message was changed; where not, a message is read again before its text is confirmed."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The answer to a webhook request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Posted:
    """One message read back from a platform's history."""

    message: Message
    own: bool
    delivery_key: str | None = None
    """The delivery key stored with an own message, where the platform keeps one (Slack: message metadata)."""
    event: Message | Command | None = None
    """What the live transport would have delivered, for `Inbox.accept`; None for what it ignores (own messages)."""


class Platform(Protocol):
    """One chat platform. `key` arguments make a call repeatable: 24 characters of `[a-z2-7]`."""

    name: str
    capabilities: Capabilities

    async def preflight(self) -> Identity | AuthFailed | NotAllowed:
        """Checks token, scopes and transport within 10 s."""
        ...

    async def run(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        """Connects and supervises until `stop` is set (then ends within 5 s) or it cannot go on."""
        ...

    def health(self) -> Health: ...

    async def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Handles one webhook request (HTTP transports)."""
        ...

    async def post(self, to: ThreadRef, content: Content, key: str) -> MessageRef | Trouble:
        """Posts into a thread, or into the channel when `to.root` is None: then the message becomes the root.

        Where threads have to be opened first, this opens the one of `to.root`, named by the content; the answer's
        thread then has its `native` id."""
        ...

    async def edit(self, message: MessageRef, content: Content, key: str) -> MessageRef | Trouble:
        """Shows the full new state of a message."""
        ...

    async def react(self, message: MessageRef, mark: str, on: bool, key: str) -> MessageRef | Trouble:
        """Adds or removes a mark (`seen`, `done`, `idea`); "already so" is success."""
        ...

    async def whisper(
        self, person: Person, to: ThreadRef, doc: Doc, reply_token: ReplyToken | None, key: str
    ) -> MessageRef | Trouble:
        """Shows something to one person only."""
        ...

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> Sequence[Posted] | Trouble:
        """Messages of a thread, or of a channel when `scope.root` is None, oldest first."""
        ...

    async def read(self, message: MessageRef) -> Posted | Trouble:
        """One message as it is now, with its text and its author's id; `Gone` when it was deleted or is not there.

        `message.thread` may lack the root: then the message is looked for in the channel, and where a platform keeps
        replies apart, `Gone` does not prove that it is gone."""
        ...

    async def channels(self) -> Sequence[ThreadRef] | Trouble:
        """The channels the bot is in, for reading back what it missed there."""
        ...

    async def permalink(self, message: MessageRef) -> str | None: ...

    async def channel_name(self, thread: ThreadRef) -> str:
        """What the channel is called now, without any mark; empty where it has no name (a direct message) or the
        platform cannot tell. Cached."""
        ...

    async def resolve(self, person: Person) -> Person | Retry:
        """The person with name, roles (`owner`, `admin`, `member`), kind, zone and locale filled in from the platform.

        Cached; never called before an event is acked. Returns the person as given where the platform never can tell,
        and `Retry` when it cannot tell now and never told: then nothing is known about the person's roles."""
        ...

    async def aclose(self) -> None:
        """Closes the HTTP sessions used for sending."""
        ...

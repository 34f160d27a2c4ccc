"""What any chat event becomes before the rest of the product sees it.

Every adapter reads its platform's payload into one of these values. They are frozen, carry everything needed to handle
the event later, and survive a round trip through JSON, so the inbox stores them and a restart replays them.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bot.core.intake.filter import is_short

Door = Literal["slash", "mention", "bang", "shortcut", "menu"]
"""How a person addressed the bot. Every door leads to the same `Command`."""

PersonKind = Literal["human", "bot", "webhook", "guest", "external"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ThreadRef(_Value):
    """One conversation thread of a platform.

    `root` is the platform's id of the message that the thread hangs on, or None while there is none yet (a slash
    command in a channel: the first card becomes the root). `native` is the platform's own thread id where it differs
    from the root. Ids are opaque strings; a Slack `ts` is never a number.
    """

    platform: str
    workspace_id: str
    channel_id: str
    root: str | None = None
    native: str | None = None

    @property
    def canonical(self) -> str:
        """`platform:workspace:channel:root`, the key that agent sessions hang on."""
        return f"{self.platform}:{self.workspace_id}:{self.channel_id}:{self.root or ''}"


class MessageRef(_Value):
    """One message on a platform: where it is and its id."""

    thread: ThreadRef
    message_id: str


class Person(_Value):
    """Someone on a platform. `roles` are the platform's own (`owner`, `admin`, `member`, group or role ids).

    `also` are the same person's accounts elsewhere, as an admin linked them: no adapter tells of them, services fill
    them in where something is decided."""

    platform: str
    workspace_id: str
    id: str
    name: str = ""
    kind: PersonKind = "human"
    roles: frozenset[str] = frozenset()
    locale: str | None = None
    timezone: str | None = None
    also: tuple["Person", ...] = ()

    @property
    def account(self) -> str:
        """`platform:workspace:id`, which names one account."""
        return f"{self.platform}:{self.workspace_id}:{self.id}"


class ReplyToken(_Value):
    """A short-lived right to answer one interaction privately. The value is a secret: mask it in logs."""

    value: str = Field(repr=False)
    expires_at: datetime
    uses_left: int


class _Event(_Value):
    """Fields of every inbound event.

    `key` is the natural key: the same for every delivery of the same happening, starting with the app's id and a
    kind letter (`A1:m:C1:171234.000100`). `event_id` is the transport's id, for logs only.
    """

    platform: str
    app_id: str
    workspace_id: str
    key: str
    event_id: str = ""
    sent_at: datetime
    received_at: datetime
    workspace_locale: str | None = None
    """The language of the whole workspace where the platform tells it (Discord: the guild's locale)."""
    direct: bool | None = None
    """Whether it happened in a talk with the bot alone; None where the payload does not tell (Lark's buttons)."""
    raw: dict[str, Any] = Field(default_factory=dict, repr=False)


class Message(_Event):
    """An ordinary message that did not address the bot. It is stored without its words: `withhold`."""

    kind: Literal["message"] = "message"
    thread: ThreadRef
    person: Person
    message_id: str
    text: str
    in_thread: bool = False
    mentions_others: bool = False
    withheld: bool = False
    """Whether `text` and `raw` were left out: then the text is to be asked for, and an empty one means nothing."""
    heard_by: str = ""
    """The process that has the text of a withheld one in memory; empty where none does."""
    is_short: bool | None = None
    """Whether the text of a withheld one is too short to be judged by itself; None where nobody has looked."""


class MessageEdited(_Event):
    kind: Literal["message_edited"] = "message_edited"
    thread: ThreadRef
    person: Person
    message_id: str
    text: str
    withheld: bool = False
    """As in `Message`."""
    heard_by: str = ""
    """As in `Message`."""


class MessageDeleted(_Event):
    kind: Literal["message_deleted"] = "message_deleted"
    thread: ThreadRef
    message_id: str


class Command(_Event):
    """Someone addressed the bot. `text` is raw: `services/commands.py` parses it with `core.commands`.

    `message_id` is the message that carried or was targeted by the command (None for a slash command). `in_thread` says
    whether the command was given inside an existing thread. For doors `shortcut` and `menu`, `text` is the text of the
    targeted message and is taken as a description, never parsed for verbs.
    """

    kind: Literal["command"] = "command"
    thread: ThreadRef
    person: Person
    door: Door
    text: str
    command: Literal["codetask", "followup"] = "codetask"
    message_id: str | None = None
    in_thread: bool = False
    author: Person | None = None
    reply_token: ReplyToken | None = None


class ButtonPress(_Event):
    """A button of ours was pressed. `value` is `codetask:<verb>:<id>`."""

    kind: Literal["button_press"] = "button_press"
    thread: ThreadRef
    person: Person
    value: str
    message_id: str
    reply_token: ReplyToken | None = None


class FormSent(_Event):
    """A form of ours was submitted. `form` is the `codetask:<verb>:<id>` it was opened for."""

    kind: Literal["form_sent"] = "form_sent"
    thread: ThreadRef
    person: Person
    form: str
    fields: dict[str, str]
    reply_token: ReplyToken | None = None


class Reaction(_Event):
    """A reaction was added to or taken from a message. Carries no text: `Platform.read` tells it.

    `emoji` is the name that `bot.core.emoji.emoji_name` gives it, the same on every platform. Where the platform does
    not say which thread or channel the message is in, `thread.root` is the message itself and `thread.channel_id` may
    be empty (Lark): the message that `read` answers stands where it belongs."""

    kind: Literal["reaction"] = "reaction"
    thread: ThreadRef
    person: Person
    message_id: str
    emoji: str
    added: bool


class BotAdded(_Event):
    kind: Literal["bot_added"] = "bot_added"
    thread: ThreadRef


class BotRemoved(_Event):
    kind: Literal["bot_removed"] = "bot_removed"
    thread: ThreadRef


class Gap(_Event):
    """Events of this channel may have been missed since `since`; the backfill reads the channel again."""

    kind: Literal["gap"] = "gap"
    channel_id: str | None = None
    since: datetime


class Unreadable(_Event):
    """A payload that could not be read. Kept so that nothing is lost; `ref` is also in the log."""

    kind: Literal["unreadable"] = "unreadable"
    ref: str
    why: str


Event = Annotated[
    Message
    | MessageEdited
    | MessageDeleted
    | Command
    | ButtonPress
    | FormSent
    | Reaction
    | BotAdded
    | BotRemoved
    | Gap
    | Unreadable,
    Field(discriminator="kind"),
]

Ordinary = Message | MessageEdited | MessageDeleted
"""What people say to each other, and what becomes of it."""


def withhold(event: Ordinary, heard_by: str = "") -> Ordinary:
    """The event without a word of what was said: this is what is stored. `heard_by` is the process that keeps the
    words."""
    if isinstance(event, MessageDeleted):
        return event.model_copy(update={"raw": {}})
    told: dict[str, Any] = {"text": "", "raw": {}, "withheld": True}
    if not event.withheld:
        told["heard_by"] = heard_by
    if isinstance(event, Message) and not event.withheld:
        told["is_short"] = is_short(event.text)
    return event.model_copy(update=told)


def hush(event: Unreadable) -> Unreadable:
    """What could not be read, without what people may have said in it: of every string that is not certainly an id, a
    type or a time only its length is left, so that its shape can still be looked into."""
    raw = {_name(name): _hushed(name, value, name.lower() in _WORDS) for name, value in event.raw.items()}
    return event.model_copy(update={"raw": raw, "why": event.why.split(", input_value=")[0]})


_WORDS: Final = frozenset(
    {
        *("text", "content", "name", "title", "fallback", "value", "description", "topic", "purpose", "label", "query"),
        *("question", "answer", "placeholder", "caption", "comment", "alt_text", "url", "nick", "username"),
        *("display_name", "real_name", "global_name"),
    }
)
"""Under these names people's words stand, be it a single one, and so in all that is inside."""
_WHOLE: Final = frozenset({"body", "raw", "payload", "message"})
"""Under these stand words, or an object of many things."""
_SHAPES: Final = frozenset({"type", "tag"})
"""These tell even inside of words only what there is."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/+=-]{1,64}")


def _hushed(name: str, value: Any, are_words: bool) -> Any:
    match value:
        case str() if (name not in _SHAPES and (are_words or name.lower() in _WHOLE)) or not _PLAIN.fullmatch(value):
            return f"({len(value)} characters)"
        case dict():
            named = cast("dict[str, Any]", value).items()
            return {_name(key): _hushed(key, one, are_words or key.lower() in _WORDS) for key, one in named}
        case list():
            return [_hushed(name, one, are_words) for one in cast("list[Any]", value)]
        case _:
            return value


def _name(key: str) -> str:
    """A key of an object, which somebody may have made up as well."""
    return key if _PLAIN.fullmatch(key) else f"({len(key)} characters)"


EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads and writes any event as JSON: `EVENT.validate_json(row.payload)`, `EVENT.dump_json(event)`."""

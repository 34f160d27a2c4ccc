"""Lark payloads read into `bot.core.inbound` values. Pure: no I/O, no SDK, no clock; never raises on what Lark sends.

`read` takes any event or callback of schema 2.0, `read_past` a message of the history; `verify_signature`, `decrypt`
and `is_genuine` check a webhook request. Rules and keys: platforms.md 1.2-1.5 and 2.3.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from bot.core.emoji import emoji_name
from bot.core.inbound import (
    BotAdded,
    BotRemoved,
    ButtonPress,
    Command,
    Event,
    FormSent,
    Message,
    MessageDeleted,
    Person,
    PersonKind,
    Reaction,
    ReplyToken,
    ThreadRef,
    Unreadable,
)
from bot.ports import Posted
from platforms import reading
from platforms.lark.content import Mention, door_of, plain, raw_text, read_mentions
from platforms.reading import (
    UNREADABLE,
    Json,
    Malformed,
    dict_in,
    keep_unreadable,
    optional_in,
    string,
    text_in,
    why_of,
)

MAX_BODY: Final = 1024 * 1024
"""Bytes of a webhook request (ours)."""
MAX_SKEW: Final = timedelta(seconds=300)
"""How far a request's timestamp may be from now (ours; Lark only recommends to check it)."""
CALLBACK: Final = "card.action.trigger"
CALLBACK_LIFE: Final = timedelta(seconds=3)
"""How long the answer to a button press can carry a toast."""
VALUE: Final = "codetask"
"""Where a button of ours keeps its value."""
ROOT: Final = "root"
"""Where a button of ours keeps the root of its thread: a press does not tell it."""
MENU: Final[Mapping[str, str]] = {
    "codetask_list": "list",
    "codetask_followups": "followups",
    "codetask_status": "status",
    "codetask_help": "help",
}
"""Event key of an entry of the bot's menu -> what it says."""
_SECRETS: Final = frozenset({"token", "verification_token", "encrypt_key"})
_MILLISECONDS: Final = re.compile(r"\d{10,16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Me:
    """The bot as Lark knows it. `workspace_id` may be empty until a chat or the first event tells the tenant."""

    app_id: str
    workspace_id: str
    bot_user_id: str


# --- Reading ----------------------------------------------------------------------------------------------------------


def read(payload: Json, me: Me, now: datetime) -> Event | None:
    """The event of one payload; None when there is nothing to keep (own doing, noise, a type we do not use).

    What cannot be read becomes `Unreadable`, so that nothing is lost without a trace.
    """
    try:
        return _Reader(tidy(payload), me, now).event()
    except UNREADABLE as error:
        return unreadable(payload, why_of(error), me, now)


def read_past(item: Json, me: Me, now: datetime, direct: bool = False) -> Posted | None:
    """One message of `message.list`, as the live transport would have brought it; None for what is no message.

    `direct`: it was said in the chat with the bot alone."""
    try:
        entry = cast("dict[str, Any]", tidy(item))
        sender = dict_in(entry, "sender")
        own = sender.get("id_type") == "app_id" and sender.get("id") == me.app_id
        reader = _Reader({"header": {"app_id": me.app_id, "tenant_key": me.workspace_id}, "event": entry}, me, now)
        if entry.get("deleted") or entry.get("msg_type") == "system":
            return None
        said = _Said(
            entry,
            str(entry["msg_type"]),
            optional_in(dict_in(entry, "body"), "content"),
            me.bot_user_id if own else text_in(sender, "id"),
            "human" if sender.get("sender_type") == "user" else "bot",
            optional_in(sender, "tenant_key"),
            bool(entry.get("root_id")),
            direct,
        )
        return Posted(message=reader.message(said), own=own, event=None if own else reader.spoken(said))
    except UNREADABLE:
        return None


def unreadable(payload: object, why: str, me: Me, now: datetime) -> Unreadable:
    """A payload that could not be read, under its event id where it has one."""
    kept = tidy(payload)
    given = kept.get("header") if isinstance(kept, dict) else None
    header: Json = given if isinstance(given, dict) else {}
    event_id = string(header.get("event_id"))
    return keep_unreadable(
        kept,
        why,
        now,
        key_app=me.app_id,
        transport_id=event_id,
        platform="lark",
        app_id=me.app_id,
        workspace_id=string(header.get("tenant_key")) or me.workspace_id,
        event_id=event_id,
    )


def is_callback(payload: object) -> bool:
    """Whether somebody waits for the answer: the press of a button."""
    header = payload.get("header") if isinstance(payload, Mapping) else None
    return isinstance(header, Mapping) and header.get("event_type") == CALLBACK


def tidy(value: Any) -> Any:
    """A copy that every store can hold, without tokens and keys."""
    return reading.tidy(value, _SECRETS, 1)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the live event and the history tell of a message, alike."""

    message: Json
    type: str
    content: str
    person: str
    kind: PersonKind
    tenant: str
    in_thread: bool
    direct: bool


class _Reader:
    """Reads one tidied payload. Methods raise `Malformed` and friends; `read` turns that into `Unreadable`."""

    def __init__(self, body: Any, me: Me, now: datetime) -> None:
        if not isinstance(body, dict):
            raise Malformed("not an object")
        self.body = cast("dict[str, Any]", body)
        self.me, self.now = me, now
        self.header = dict_in(body, "header")
        self.app_id = optional_in(self.header, "app_id") or me.app_id
        self.workspace_id = optional_in(self.header, "tenant_key") or me.workspace_id

    def event(self) -> Event | None:
        kind = text_in(self.header, "event_type")
        if kind not in _READERS:
            return None
        return _READERS[kind](self, dict_in(self.body, "event"))

    # Parts that several kinds share

    def _base(self, key: str, sent_at: datetime) -> dict[str, Any]:
        return {
            "platform": "lark",
            "app_id": self.app_id,
            "workspace_id": self.workspace_id,
            "key": f"{self.app_id}:{key}",
            "event_id": string(self.header.get("event_id")),
            "sent_at": sent_at,
            "received_at": self.now,
            "raw": self.body,
        }

    def _thread(self, channel: str, root: str | None, native: str | None = None) -> ThreadRef:
        return ThreadRef(
            platform="lark", workspace_id=self.workspace_id, channel_id=channel, root=root, native=native or None
        )

    def _person(self, id: str, tenant: str = "", kind: PersonKind = "human", name: str = "") -> Person:
        if kind == "human" and tenant and self.workspace_id and tenant != self.workspace_id:
            kind = "external"
        return Person(platform="lark", workspace_id=self.workspace_id, id=id, kind=kind, name=name)

    def _sent_at(self) -> datetime:
        at = self.header.get("create_time")
        return instant(at) if isinstance(at, str) and _MILLISECONDS.fullmatch(at) else self.now

    def _happened(self) -> dict[str, Any]:
        return self._base(f"o:{text_in(self.header, 'event_id')}", self._sent_at())

    # Messages

    def received(self, event: dict[str, Any]) -> Event | None:
        message, sender = dict_in(event, "message"), dict_in(event, "sender")
        human = text_in(sender, "sender_type") == "user"
        person = text_in(dict_in(sender, "sender_id"), "open_id") if human else _bot_id(sender)
        kind = message.get("message_type")
        if kind == "system" or person in (self.me.bot_user_id, self.me.app_id):
            return None
        # The root of a topic chat's thread has a thread id too; a message typed into a thread may lack its root.
        inside = bool(message.get("thread_id")) and message.get("chat_type") != "topic_group"
        return self.spoken(
            _Said(
                message,
                text_in(message, "message_type"),
                optional_in(message, "content"),
                person,
                "human" if human else "bot",
                optional_in(sender, "tenant_key"),
                bool(message.get("root_id")) or inside,
                message.get("chat_type") == "p2p",
            )
        )

    def _told(self, said: _Said) -> dict[str, Any]:
        message, id = said.message, text_in(said.message, "message_id")
        root = optional_in(message, "root_id") or id
        return {
            **self._base(f"m:{id}", _stamp(message, "create_time")),
            "thread": self._thread(text_in(message, "chat_id"), root, optional_in(message, "thread_id")),
            "person": self._person(said.person, said.tenant, said.kind),
            "message_id": id,
            "in_thread": said.in_thread,
            "direct": said.direct,
        }

    def spoken(self, said: _Said) -> Message | Command:
        """A message: a `Command` when it addressed the bot, which its list of mentions tells."""
        raw, mentions = _words(said), read_mentions(said.message.get("mentions"))
        door = door_of(raw, mentions, self.me.bot_user_id, said.direct)
        if door is None:
            return self._message(said, raw, mentions)
        return Command(**self._told(said), door=door[0], text=door[1])

    def message(self, said: _Said) -> Message:
        """The message itself, whether it addressed the bot or not."""
        return self._message(said, _words(said), read_mentions(said.message.get("mentions")))

    def _message(self, said: _Said, raw: str, mentions: tuple[Mention, ...]) -> Message:
        others = any(mention.open_id != self.me.bot_user_id for mention in mentions)
        return Message(**self._told(said), text=plain(raw, mentions), mentions_others=others)

    def recalled(self, event: dict[str, Any]) -> MessageDeleted:
        id = text_in(event, "message_id")
        thread = self._thread(text_in(event, "chat_id"), id)
        return MessageDeleted(**self._base(f"d:{id}", self._sent_at()), thread=thread, message_id=id)

    def reacted(self, event: dict[str, Any]) -> Reaction | None:
        if event.get("operator_type") == "app":
            return None
        id, person = text_in(event, "message_id"), text_in(dict_in(event, "user_id"), "open_id")
        emoji, at = text_in(dict_in(event, "reaction_type"), "emoji_type"), text_in(event, "action_time")
        return Reaction(
            **self._base(f"r:{id}:{person}:{emoji}:{at}", _stamp(event, "action_time")),
            thread=self._thread("", id),  # Lark does not say which chat: the message stands for itself
            person=self._person(person, kind="guest"),  # whose company it is nobody says: `Reader.resolve` finds out
            message_id=id,
            emoji=emoji_name(emoji),
            added=self.header["event_type"] == "im.message.reaction.created_v1",
        )

    # The bot itself

    def added(self, event: dict[str, Any]) -> BotAdded:
        return BotAdded(**self._happened(), thread=self._thread(text_in(event, "chat_id"), None))

    def removed(self, event: dict[str, Any]) -> BotRemoved:
        return BotRemoved(**self._happened(), thread=self._thread(text_in(event, "chat_id"), None))

    def menu(self, event: dict[str, Any]) -> Command | None:
        """An entry of the bot's menu. It names no chat: the person's open id stands for the chat with them.

        It says a verb, as a slash command does; the door `menu` is for messages picked from a menu."""
        operator = dict_in(event, "operator")
        person = text_in(dict_in(operator, "operator_id"), "open_id")
        said = MENU.get(text_in(event, "event_key"))
        if said is None:
            return None
        return Command(
            **self._base(f"c:{text_in(self.header, 'event_id')}", self._sent_at()),
            thread=self._thread(person, None),
            direct=True,
            person=self._person(person, name=optional_in(operator, "operator_name")),
            door="slash",
            text=said,
        )

    # Callbacks: never redelivered by Lark

    def pressed(self, event: dict[str, Any]) -> ButtonPress | FormSent | None:
        action, context, operator = dict_in(event, "action"), dict_in(event, "context"), dict_in(event, "operator")
        given = action.get("value")
        value = given.get(VALUE) if isinstance(given, dict) else given
        if not isinstance(value, str) or not value.startswith("codetask:"):
            return None  # a link, or an element that is not ours
        message_id = text_in(context, "open_message_id")
        root = given.get(ROOT) if isinstance(given, dict) else None
        event_id = text_in(self.header, "event_id")
        told = {
            **self._base(f"c:{event_id}", self._sent_at()),
            "thread": self._thread(text_in(context, "open_chat_id"), string(root) or message_id),
            "person": self._person(text_in(operator, "open_id"), optional_in(operator, "tenant_key")),
            "reply_token": ReplyToken(value=event_id, expires_at=self.now + CALLBACK_LIFE, uses_left=1),
        }
        fields = action.get("form_value")
        if isinstance(fields, dict) and fields:
            kept = {str(name): text for name, text in fields.items() if isinstance(text, str)}
            return FormSent(**told, form=value, fields=kept)
        return ButtonPress(**told, value=value, message_id=message_id)


def _bot_id(sender: Json) -> str:
    """Who a bot is. Lark does not promise it an open id."""
    ids = sender.get("sender_id")
    known = cast("dict[str, Any]", ids) if isinstance(ids, dict) else {}
    return optional_in(known, "open_id") or optional_in(known, "app_id") or "app"


def _words(said: _Said) -> str:
    """The text of a message. It is JSON within JSON, so only now its escapes can bring what no store takes."""
    return str(tidy(raw_text(said.type, said.content)))


_READERS: Final = {
    "im.message.receive_v1": _Reader.received,
    "im.message.recalled_v1": _Reader.recalled,
    "im.message.reaction.created_v1": _Reader.reacted,
    "im.message.reaction.deleted_v1": _Reader.reacted,
    "im.chat.member.bot.added_v1": _Reader.added,
    "im.chat.member.bot.deleted_v1": _Reader.removed,
    "application.bot.menu_v6": _Reader.menu,
    CALLBACK: _Reader.pressed,
}
"""Every event that is read. What is not here is acked and dropped: read receipts, changes of chats."""


def _stamp(holder: Json, name: str) -> datetime:
    value = text_in(holder, name)
    if not _MILLISECONDS.fullmatch(value):
        raise Malformed(f"{name} is not a time in milliseconds")
    return instant(value)


def instant(milliseconds: str) -> datetime:
    """The instant of a Lark time: milliseconds since 1970."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(milliseconds))


# --- Webhook requests -------------------------------------------------------------------------------------------------


def is_unsigned(headers: Mapping[str, str]) -> bool:
    """Whether a request does not even claim a signature: Lark may check a request URL like that, encrypted."""
    return not any(name.lower().startswith("x-lark-signature") for name in headers)


def verify_signature(encrypt_key: str, headers: Mapping[str, str], body: bytes, now: datetime) -> int | None:
    """None when the request is Lark's; else the HTTP status to refuse it with (401, 413). Header case is ignored.

    The signature is a SHA-256 over timestamp, nonce, encrypt key and the raw body
    (https://open.larksuite.com/document/server-docs/event-subscription-guide/event-subscription-configure-/encrypt-key-encryption-configuration-case).
    """
    if len(body) > MAX_BODY:
        return 413
    given = {name.lower(): value for name, value in headers.items()}
    stamp, nonce = given.get("x-lark-request-timestamp", ""), given.get("x-lark-request-nonce", "")
    if not encrypt_key or not re.fullmatch(r"[0-9]{1,12}", stamp):
        return 401
    if abs(now.timestamp() - int(stamp)) > MAX_SKEW.total_seconds():
        return 401
    signed = f"{stamp}{nonce}{encrypt_key}".encode("utf-8", "replace") + body
    expected = hashlib.sha256(signed).hexdigest().encode()
    signature = given.get("x-lark-signature", "").encode("utf-8", "replace")
    return None if hmac.compare_digest(expected, signature) else 401


def decrypt(encrypt_key: str, body: bytes) -> dict[str, Any] | None:
    """The payload of a request: AES-256-CBC, key the SHA-256 of the encrypt key, IV first. None: malformed.

    A body that is not encrypted is malformed: with an encrypt key Lark encrypts everything.
    """
    try:
        sealed = base64.b64decode(str(json.loads(body)["encrypt"]), validate=True)
        if len(sealed) < 32 or len(sealed) % 16:
            return None
        cipher = Cipher(algorithms.AES(hashlib.sha256(encrypt_key.encode()).digest()), modes.CBC(sealed[:16]))
        opened, unpadder = cipher.decryptor(), PKCS7(128).unpadder()
        padded = opened.update(sealed[16:]) + opened.finalize()
        found: Any = json.loads(unpadder.update(padded) + unpadder.finalize())
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) and found else None


def is_genuine(payload: Json, token: str) -> bool:
    """Whether the payload carries the verification token: in its header, or at the top of a URL check."""
    header = payload.get("header")
    given = header.get("token") if isinstance(header, Mapping) else payload.get("token")
    if not token or not isinstance(given, str):
        return False
    return hmac.compare_digest(token.encode(), given.encode("utf-8", "replace"))

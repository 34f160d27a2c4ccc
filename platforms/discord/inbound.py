"""Discord payloads read into `bot.core.inbound` values. Pure: no I/O, no SDK, no clock; never raises on what comes.

A payload is an envelope `{"t": <gateway event>, "d": <its data>, "place": {...}}`: Discord does not say with a message
in which channel its thread is, so `commands.py` adds that as `place` before anything is stored. Rules and keys:
platforms.md 1.2-1.5 and 2.2.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from bot.core.inbound import (
    BotAdded,
    BotRemoved,
    ButtonPress,
    Command,
    Door,
    Event,
    FormSent,
    Message,
    MessageDeleted,
    MessageEdited,
    Person,
    PersonKind,
    Reaction,
    ReplyToken,
    ThreadRef,
    Unreadable,
)
from bot.core.verbs import FLAGS
from bot.ports import Posted
from platforms.discord.slash import MENUS, slash_text

Json = Mapping[str, Any]

MAX_DEPTH: Final = 64
"""Nesting kept of a payload (ours); Discord's components stay far below."""
TOKEN_LIFE: Final = timedelta(minutes=15)
TOKEN_USES: Final = 5
EPOCH: Final = datetime(2015, 1, 1, tzinfo=UTC)
"""Where snowflakes start to count milliseconds."""
THREADS: Final = frozenset({10, 11, 12})
DIRECT: Final = "dm"
"""The workspace of direct messages."""
SPOKEN: Final = frozenset({0, 19})
"""Message types that people write: a message and a reply to one."""
GUEST: Final = 1 << 4
"""Flag of a member who came by a guest invite."""
DISMISS: Final = "codetask-dismiss"

_ID: Final = re.compile(r"\d{15,20}", re.ASCII)
_USER: Final = re.compile(r"<@!?(\d{15,20})>", re.ASCII)
_ENTITY: Final = re.compile(r"<(@&|#|a?:\w+:)(\d{15,20})>|<(https?://[^\s<>]+)>", re.ASCII)
_BANG: Final = re.compile(r"[!！]codetask(?=$|[\s:：,，])[\s:：,，]*", re.IGNORECASE)
_GREETING: Final = re.compile(r"(?:hey|hi|hello|ok|okay|yo|please|thanks|thank you|cc|你好|请)?[\s,，:：!！.]*", re.I)
_DASHED_FLAG: Final = re.compile(rf"(?<!\S)[—–](?=(?:{'|'.join(flag.name for flag in FLAGS)})\b)")
_LEADING_DASH: Final = re.compile(r"\A\s*[—–](?=\s)")
_STRAIGHT: Final = str.maketrans("“”„‟‘’‚‛", "\"\"\"\"''''")


class Malformed(ValueError):
    """A payload lacks what its type promises. Never leaves this module."""


@dataclass(frozen=True, slots=True)
class Me:
    """The bot as Discord knows it."""

    app_id: str
    bot_user_id: str


# --- Texts ------------------------------------------------------------------------------------------------------------


def plain(text: str, names: Mapping[str, str] | None = None) -> str:
    """What the person typed: mentions by name, quotes straight, a phone's `—repo` read as `--repo`."""
    known = names or {}
    text = _USER.sub(lambda found: "@" + known.get(found[1], found[1]), text)
    text = _ENTITY.sub(_entity, text).translate(_STRAIGHT)
    return _DASHED_FLAG.sub("--", _LEADING_DASH.sub("--", text))


def _entity(found: re.Match[str]) -> str:
    if found[3]:
        return found[3]
    if found[1] in ("@&", "#"):
        return found[1][0] + found[2]
    return found[1].removeprefix("a")


def find_door(raw: str, me: Me, direct: bool, names: Mapping[str, str] | None = None) -> tuple[Door, str] | None:
    """The door a message came through and the text behind it; None when it did not address the bot.

    `direct`: in a direct message everything is addressed to the bot.
    """
    mention = re.compile(rf"<@!?{re.escape(me.bot_user_id)}>") if me.bot_user_id else None
    hit = mention.search(raw) if mention else None
    if mention and hit:
        before, after = raw[: hit.start()], raw[hit.end() :]
        rest = after if _GREETING.fullmatch(before) else before + after
        return "mention", _strip_bang(plain(mention.sub("", rest), names).lstrip(" \t\n:：,，"))
    text = plain(raw, names)
    if _BANG.match(text.lstrip()):
        return "bang", _strip_bang(text)
    return ("mention", text.strip()) if direct else None


def _strip_bang(text: str) -> str:
    return _BANG.sub("", text.strip(), count=1) if _BANG.match(text.strip()) else text.strip()


# --- Reading ----------------------------------------------------------------------------------------------------------


def read(payload: Json, me: Me, now: datetime) -> Event | None:
    """The event of one payload; None when there is nothing to keep (own message, preview, a type we do not use).

    What cannot be read becomes `Unreadable`, so that nothing is lost without a trace.
    """
    try:
        return _Reader(payload, me, now).event()
    except _UNREADABLE as error:
        return unreadable(payload, f"{type(error).__name__}: {error}"[:200], me, now)


def read_past(message: Json, place: Json, guild_id: str, me: Me, now: datetime) -> Posted | None:
    """One message of a channel's or thread's history, as the gateway would have brought it."""
    if message.get("type") == 21:  # the first line of a thread: stands for the message that the thread hangs on
        inner = message.get("referenced_message")
        return read_past(inner, {}, guild_id, me, now) if isinstance(inner, Mapping) else None
    body = {**message, **({"guild_id": guild_id} if guild_id else {})}
    try:
        reader = _Reader({"t": "MESSAGE_CREATE", "d": body, "place": place}, me, now)
        if reader.body.get("type") not in (*SPOKEN, 20, 23):
            return None
        own = reader.is_own(reader.body)
        said = reader.message(reader.told())
        event = None if own else reader.spoken()
    except _UNREADABLE:
        return None
    nonce = message.get("nonce")
    return Posted(message=said, own=own, delivery_key=str(nonce) if own and nonce else None, event=event)


_UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)


def unreadable(payload: object, why: str, me: Me, now: datetime) -> Unreadable:
    """A payload kept as it came, under its id or the hash of its bytes; `ref` is for logs and people."""
    kept = tidy(payload)
    known = kept if isinstance(kept, dict) else {}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).digest()
    body = known.get("d")
    event_id = _string(body.get("id")) if isinstance(body, dict) else ""
    guild_id = _string(body.get("guild_id")) if isinstance(body, dict) else ""
    return Unreadable(
        platform="discord",
        app_id=me.app_id,
        workspace_id=guild_id or DIRECT,
        key=f"{me.app_id}:o:{digest.hex()}",
        event_id=event_id,
        sent_at=now,
        received_at=now,
        raw=known or {"payload": kept},
        ref=short_ref(digest),
        why=why.replace("\x00", ""),
    )


def short_ref(digest: bytes) -> str:
    """Four characters that a person can read out and an operator can find in the log."""
    return base64.b32encode(digest)[:4].decode().lower()


def _string(value: object) -> str:
    return value[:255] if isinstance(value, str) else ""


def tidy(value: Any, depth: int = 0) -> Any:
    """A copy that every store can hold: no NUL, no lone surrogate, 64-bit numbers, bounded depth; no token."""
    if depth > MAX_DEPTH:
        return "…"
    match value:
        case str():
            return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
        case Mapping():
            return {tidy(str(key)): tidy(item, depth + 1) for key, item in value.items() if depth > 1 or key != "token"}
        case list() | tuple():
            return [tidy(item, depth + 1) for item in value]
        case float() if not math.isfinite(value):
            return None
        case int() if abs(value) >= 2**63:
            return None
        case int() | float() | None:
            return value
        case _:
            return tidy(str(value), depth)


class _Reader:
    """Reads one envelope. Methods raise `Malformed` and friends; `read` turns that into `Unreadable`."""

    def __init__(self, payload: Json, me: Me, now: datetime) -> None:
        kept = tidy(payload)
        if not isinstance(kept, dict):
            raise Malformed("not an object")
        self.raw = cast("dict[str, Any]", kept)
        self.body = _dict(self.raw, "d")
        self.me, self.now = me, now
        given = payload["d"].get("token")
        self.token = given if isinstance(given, str) else ""
        self.workspace_id = _optional(self.body, "guild_id") or DIRECT

    def event(self) -> Event | None:
        match self.raw.get("t"):
            case "MESSAGE_CREATE":
                spoken = self.body.get("type") in SPOKEN
                return self.spoken() if spoken and not self.is_own(self.body) else None
            case "MESSAGE_UPDATE":
                return self._edited()
            case "MESSAGE_DELETE":
                return self._deleted()
            case "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE" as name:
                return self._reaction(name.endswith("ADD"))
            case "INTERACTION_CREATE":
                return self._interaction()
            case "GUILD_CREATE" | "CHANNEL_UPDATE" | "CHANNEL_CREATE" if self.raw.get("joined"):
                return BotAdded(**self._other(), thread=self._joined())
            case "CHANNEL_DELETE" | "GUILD_DELETE":
                return self._removed()
            case str():
                return None
            case _:
                raise Malformed("no type")

    # Parts that several kinds share

    def _base(self, key: str, sent_at: datetime) -> dict[str, Any]:
        return {
            "platform": "discord",
            "app_id": self.me.app_id,
            "workspace_id": self.workspace_id,
            "key": f"{self.me.app_id}:{key}",
            "event_id": _string(self.body.get("id")),
            "sent_at": sent_at,
            "received_at": self.now,
            "workspace_locale": self._workspace_locale(),
            "raw": self.raw,
        }

    def _workspace_locale(self) -> str | None:
        """The server's language: interactions bring it, `commands.py` adds it to the place of everything else."""
        if self.body.get("guild_locale") is not None:
            return guild_language(self.body.get("guild_locale"), _maybe(self.body, "guild").get("features"))
        return _string(_maybe(self.raw, "place").get("locale")) or None

    def _other(self) -> dict[str, Any]:
        digest = hashlib.sha256(json.dumps(self.raw, sort_keys=True).encode()).hexdigest()
        return self._base(f"o:{digest}", self.now)

    def _place(self) -> tuple[str, str | None]:
        """The channel, and the id of the thread in it where this happened in one."""
        channel = _snowflake(self.body, "channel_id")
        found = self.raw.get("place")
        if not isinstance(found, dict) or found.get("type") not in THREADS:
            return channel, None
        return _snowflake(found, "parent_id"), channel

    def _thread(self, channel: str, root: str | None, native: str | None = None) -> ThreadRef:
        return ThreadRef(
            platform="discord", workspace_id=self.workspace_id, channel_id=channel, root=root, native=native
        )

    def _person(self, user: Json, member: object = None, kind: PersonKind = "human") -> Person:
        """Someone as a payload shows them; `member` is their membership, where the payload has it."""
        flags = member.get("flags") if isinstance(member, dict) else 0
        if kind == "human" and user.get("bot") is True:
            kind = "bot"
        elif kind == "human" and isinstance(flags, int) and flags & GUEST:
            kind = "guest"
        nick = _string(member.get("nick")) if isinstance(member, dict) else ""
        name = nick or _string(user.get("global_name")) or _string(user.get("username"))
        return Person(
            platform="discord", workspace_id=self.workspace_id, id=_snowflake(user, "id"), kind=kind, name=name
        )

    def is_own(self, message: Json) -> bool:
        """Whether the bot itself said it, directly or as the answer to an interaction."""
        author = message.get("author")
        mine = isinstance(author, dict) and author.get("id") == self.me.bot_user_id
        return mine or bool(self.me.app_id and message.get("webhook_id") == self.me.app_id)

    def _names(self, message: Json) -> dict[str, str]:
        listed = message.get("mentions")
        users = listed if isinstance(listed, list) else []
        return {
            _string(user.get("id")): _string(user.get("global_name")) or _string(user.get("username"))
            for user in users
            if isinstance(user, dict)
        }

    # Messages

    def told(self) -> dict[str, Any]:
        """The fields that a message and a command said in a message share."""
        id = _snowflake(self.body, "id")
        channel, thread = self._place()
        return {
            **self._base(f"m:{id}", instant(id)),
            "thread": self._thread(channel, thread or id, thread),
            "person": self._speaker(self.body),
            "message_id": id,
            "in_thread": thread is not None,
        }

    def spoken(self) -> Message | Command:
        """A message: a `Command` when it addressed the bot."""
        fields = self.told()
        raw = _optional(self.body, "content")
        door = find_door(raw, self.me, self.workspace_id == DIRECT, self._names(self.body))
        if door is None:
            return self.message(fields)
        return Command(**fields, door=door[0], text=door[1])

    def message(self, fields: dict[str, Any]) -> Message:
        """The message itself, whether it addressed the bot or not."""
        raw = _optional(self.body, "content")
        others = set(_USER.findall(raw)) - {self.me.bot_user_id}
        return Message(**fields, text=plain(raw, self._names(self.body)), mentions_others=bool(others))

    def _speaker(self, message: Json) -> Person:
        author = _dict(message, "author")
        kind: PersonKind = "webhook" if message.get("webhook_id") else "human"
        return self._person(author, message.get("member"), kind)

    def _edited(self) -> MessageEdited | None:
        at = self.body.get("edited_timestamp")
        if at is None or self.is_own(self.body) or self.body.get("type") not in SPOKEN:
            return None  # a preview was added, or a part that is not the text
        id = _snowflake(self.body, "id")
        channel, thread = self._place()
        raw, names = _optional(self.body, "content"), self._names(self.body)
        door = find_door(raw, self.me, self.workspace_id == DIRECT, names)
        return MessageEdited(
            **self._base(f"e:{id}:{_text(self.body, 'edited_timestamp')}", _moment(at)),
            thread=self._thread(channel, thread or id, thread),
            person=self._speaker(self.body),
            message_id=id,
            text=door[1] if door else plain(raw, names),
        )

    def _deleted(self) -> MessageDeleted:
        id = _snowflake(self.body, "id")
        channel, thread = self._place()
        where = self._thread(channel, thread or id, thread)
        return MessageDeleted(**self._base(f"d:{id}", self.now), thread=where, message_id=id)

    def _reaction(self, added: bool) -> Reaction | None:
        user, id = _snowflake(self.body, "user_id"), _snowflake(self.body, "message_id")
        if user == self.me.bot_user_id:
            return None
        emoji = _dict(self.body, "emoji")
        name = _optional(emoji, "name") or _optional(emoji, "id")
        channel, thread = self._place()
        member = self.body.get("member")
        about = member.get("user") if isinstance(member, dict) else None
        person = self._person(about if isinstance(about, dict) else {"id": user}, member)
        kind = "r" if added else "r-"
        return Reaction(
            **self._base(f"{kind}:{id}:{user}:{name}", self.now),
            thread=self._thread(channel, thread or id, thread),
            person=person,
            message_id=id,
            emoji=name,
            added=added,
        )

    def _joined(self) -> ThreadRef:
        channel = _string(self.raw.get("joined"))
        return self._thread(channel or _snowflake(self.body, "id"), None)

    def _removed(self) -> BotRemoved | None:
        if self.raw["t"] == "GUILD_DELETE":
            self.workspace_id = _snowflake(self.body, "id")
            if self.body.get("unavailable"):
                return None  # an outage, nobody removed the bot
        return BotRemoved(**self._other(), thread=self._thread(_snowflake(self.body, "id"), None))

    # Interactions: never redelivered by Discord

    def _interaction(self) -> Event | None:
        match self.body.get("type"):
            case 2:
                return self._command(_dict(self.body, "data"))
            case 3:
                return self._press(_dict(self.body, "data"))
            case 5:
                return self._form(_dict(self.body, "data"))
            case int():
                return None  # a ping, or a question for completions
            case _:
                raise Malformed("an interaction without a type")

    def _acted(self) -> dict[str, Any]:
        id = _snowflake(self.body, "id")
        return {**self._base(f"c:{id}", instant(id)), "person": self._actor(), "reply_token": self._reply_token(id)}

    def _actor(self) -> Person:
        member = self.body.get("member")
        user = _dict(member, "user") if isinstance(member, dict) else _dict(self.body, "user")
        locale = _string(self.body.get("locale"))
        return self._person(user, member).model_copy(update={"locale": locale or None})

    def _reply_token(self, id: str) -> ReplyToken | None:
        """The right to answer. A press on a card leaves the card alone: it is answered by messages of their own."""
        if not self.token:
            return None
        ours = self.body.get("type") == 3 and not is_private(self.body)
        value = f"{'more' if ours else 'first'}:{id}:{self.token}"
        return ReplyToken(value=value, expires_at=self.now + TOKEN_LIFE, uses_left=TOKEN_USES)

    def _here(self) -> ThreadRef:
        """Where an interaction happened: a channel without a root, or the thread it was used in."""
        channel, thread = self._place()
        return self._thread(channel, thread, thread)

    def _command(self, data: dict[str, Any]) -> Command | None:
        kind, name = data.get("type", 1), _text(data, "name")
        if kind == 3:
            return self._menu(data, name)
        if kind != 1 or name not in ("codetask", "followup"):
            return None
        here = self._here()
        return Command(
            **self._acted(),
            thread=here,
            door="slash",
            text=plain(slash_text(data, here.root is not None), self._resolved_names(data)).strip(),
            command="followup" if name == "followup" else "codetask",
            in_thread=here.root is not None,
        )

    def _resolved_names(self, data: Json) -> dict[str, str]:
        users = _maybe(_maybe(data, "resolved"), "users")
        return {
            id: _string(user.get("global_name")) or _string(user.get("username"))
            for id, user in users.items()
            if isinstance(user, dict)
        }

    def _menu(self, data: dict[str, Any], name: str) -> Command | None:
        command = MENUS.get(name)
        if command is None:
            return None
        id = _snowflake(data, "target_id")
        message = _dict(_maybe(_maybe(data, "resolved"), "messages"), id)
        channel, thread = self._place()
        return Command(
            **self._acted(),
            thread=self._thread(channel, thread or id, thread),
            door="shortcut",
            text=plain(_optional(message, "content"), self._names(message)).strip(),
            command="followup" if command == "followup" else "codetask",
            message_id=id,
            in_thread=thread is not None,
            author=self._speaker(message) if message.get("author") else None,
        )

    def _press(self, data: dict[str, Any]) -> ButtonPress | None:
        custom_id = _text(data, "custom_id")
        if not custom_id.startswith("codetask:") or is_question(custom_id):
            return None
        message = _dict(self.body, "message")
        channel, thread = self._place()
        id = _snowflake(message, "id")
        root = thread or (None if is_private(self.body) else id)
        return ButtonPress(
            **self._acted(),
            thread=self._thread(channel, root, thread),
            value=value_of(custom_id),
            message_id=id,
        )

    def _form(self, data: dict[str, Any]) -> FormSent | None:
        form = _text(data, "custom_id")
        if not form.startswith("codetask:"):
            return None
        components = data.get("components")
        fields = dict(_fields(components if isinstance(components, list) else []))
        return FormSent(**self._acted(), thread=self._here(), form=form, fields=fields)


def guild_language(locale: object, features: object) -> str | None:
    """The locale a server chose. None where it could not: all but community servers have `en-US`, which says nothing
    (docs.discord.com/developers/resources/guild, `preferred_locale`)."""
    chosen = isinstance(features, list) and "COMMUNITY" in features
    return _string(locale) or None if chosen or locale != "en-US" else None


def is_private(interaction: Json) -> bool:
    """Whether the message that was pressed is one that only the person sees."""
    message = interaction.get("message")
    flags = message.get("flags") if isinstance(message, Mapping) else 0
    return isinstance(flags, int) and bool(flags & 64)


def is_question(custom_id: str) -> bool:
    """Whether a press on such a button is first asked back (`Button.confirm`): a `?` in its last place says so."""
    return custom_id.endswith("?")


def value_of(custom_id: str) -> str:
    """The button value in a custom id: without the number that keeps equal buttons of a message apart."""
    return custom_id.partition("#")[0].rstrip("?")


def _fields(components: list[Any]) -> list[tuple[str, str]]:
    """What was typed or chosen in a form, by custom id; rows and labels are looked into."""
    found: list[tuple[str, str]] = []
    for component in components:
        inner = component.get("components") or [component.get("component")]
        found += _fields([one for one in inner if isinstance(one, dict)])
        name, value, chosen = component.get("custom_id"), component.get("value"), component.get("values")
        if isinstance(name, str) and isinstance(value, str):
            found.append((name, value))
        elif isinstance(name, str) and isinstance(chosen, list) and chosen and isinstance(chosen[0], str):
            found.append((name, chosen[0]))
    return found


def _dict(holder: Json, name: str) -> dict[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict):
        raise Malformed(f"{name} is not an object")
    return cast("dict[str, Any]", value)


def _maybe(holder: Json, name: str) -> dict[str, Any]:
    value = holder.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(holder: Json, name: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{name} is missing")
    return value


def _optional(holder: Json, name: str) -> str:
    value = holder.get(name)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"{name} is not a string")
    return value or ""


def _snowflake(holder: Json, name: str) -> str:
    value = _text(holder, name)
    if not _ID.fullmatch(value):
        raise Malformed(f"{name} is not an id")
    return value


def _moment(text: object) -> datetime:
    found = datetime.fromisoformat(text) if isinstance(text, str) else None
    if found is None or found.tzinfo is None:
        raise Malformed("not a time")
    return found.astimezone(UTC)


def instant(id: str) -> datetime:
    """The instant a snowflake was made, to the millisecond."""
    return EPOCH + timedelta(milliseconds=int(id) >> 22)


def snowflake_at(at: datetime) -> int:
    """The smallest snowflake of an instant, to ask for what came after it."""
    return max(int((at - EPOCH) / timedelta(milliseconds=1)), 0) << 22

"""Discord payloads read into `bot.core.inbound` values. Pure: no I/O, no SDK, no clock; never raises on what comes.

A payload is an envelope `{"t": <gateway event>, "d": <its data>, "place": {...}}`: Discord does not say with a message
in which channel its thread is, so `commands.py` adds that as `place` before anything is stored. Rules and keys:
platforms.md 1.2-1.5 and 2.2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from bot.core.emoji import emoji_name
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
from bot.ports import Posted
from platforms import reading
from platforms.discord.custom_ids import home_of, is_question, value_of
from platforms.discord.slash import MENUS, slash_text
from platforms.reading import (
    UNREADABLE,
    Json,
    Malformed,
    dict_in,
    digest_of,
    find_door,
    keep_unreadable,
    optional_in,
    string,
    text_in,
    typed,
    why_of,
)

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

_SECRETS: Final = frozenset({"token"})
_ID: Final = re.compile(r"\d{15,20}", re.ASCII)
_USER: Final = re.compile(r"<@!?(\d{15,20})>", re.ASCII)
_ENTITY: Final = re.compile(r"<(@&|#|a?:\w+:)(\d{15,20})>|<(https?://[^\s<>]+)>", re.ASCII)


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
    return typed(_ENTITY.sub(_entity, text))


def _entity(found: re.Match[str]) -> str:
    if found[3]:
        return found[3]
    if found[1] in ("@&", "#"):
        return found[1][0] + found[2]
    return found[1].removeprefix("a")


def door_of(raw: str, me: Me, direct: bool, names: Mapping[str, str] | None = None) -> tuple[Door, str] | None:
    """The door a message came through and the text behind it, as `reading.find_door`."""
    named = re.compile(rf"<@!?{re.escape(me.bot_user_id)}>") if me.bot_user_id else None
    return find_door(raw, named, lambda text: plain(text, names), direct)


# --- Reading ----------------------------------------------------------------------------------------------------------


def read(payload: Json, me: Me, now: datetime) -> Event | None:
    """The event of one payload; None when there is nothing to keep (own message, preview, a type we do not use).

    What cannot be read becomes `Unreadable`, so that nothing is lost without a trace.
    """
    try:
        return _Reader(payload, me, now).event()
    except UNREADABLE as error:
        return unreadable(payload, why_of(error), me, now)


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
    except UNREADABLE:
        return None
    nonce = message.get("nonce")
    return Posted(message=said, own=own, delivery_key=str(nonce) if own and nonce else None, event=event)


def unreadable(payload: object, why: str, me: Me, now: datetime) -> Unreadable:
    """A payload that could not be read, under the hash of its bytes."""
    kept = tidy(payload)
    given = kept.get("d") if isinstance(kept, dict) else None
    body: Json = given if isinstance(given, dict) else {}
    return keep_unreadable(
        kept,
        why,
        now,
        key_app=me.app_id,
        platform="discord",
        app_id=me.app_id,
        workspace_id=string(body.get("guild_id")) or DIRECT,
        event_id=string(body.get("id")),
    )


def tidy(value: Any) -> Any:
    """A copy that every store can hold, without the token of an interaction."""
    return reading.tidy(value, _SECRETS, 1)


class _Reader:
    """Reads one envelope. Methods raise `Malformed` and friends; `read` turns that into `Unreadable`."""

    def __init__(self, payload: Json, me: Me, now: datetime) -> None:
        kept = tidy(payload)
        if not isinstance(kept, dict):
            raise Malformed("not an object")
        self.raw = cast("dict[str, Any]", kept)
        self.body = dict_in(self.raw, "d")
        self.me, self.now = me, now
        given = payload["d"].get("token")
        self.token = given if isinstance(given, str) else ""
        self.workspace_id = optional_in(self.body, "guild_id") or DIRECT

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
            "event_id": string(self.body.get("id")),
            "sent_at": sent_at,
            "received_at": self.now,
            "workspace_locale": self._workspace_locale(),
            "direct": self.workspace_id == DIRECT,
            "raw": self.raw,
        }

    def _workspace_locale(self) -> str | None:
        """The server's language: interactions bring it, `commands.py` adds it to the place of everything else."""
        if self.body.get("guild_locale") is not None:
            return guild_language(self.body.get("guild_locale"), _maybe(self.body, "guild").get("features"))
        return string(_maybe(self.raw, "place").get("locale")) or None

    def _other(self) -> dict[str, Any]:
        digest = digest_of(self.raw).hex()
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
        nick = string(member.get("nick")) if isinstance(member, dict) else ""
        name = nick or string(user.get("global_name")) or string(user.get("username"))
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
            string(user.get("id")): string(user.get("global_name")) or string(user.get("username"))
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
        raw = optional_in(self.body, "content")
        door = door_of(raw, self.me, self.workspace_id == DIRECT, self._names(self.body))
        if door is None:
            return self.message(fields)
        return Command(**fields, door=door[0], text=door[1])

    def message(self, fields: dict[str, Any]) -> Message:
        """The message itself, whether it addressed the bot or not."""
        raw = optional_in(self.body, "content")
        others = set(_USER.findall(raw)) - {self.me.bot_user_id}
        return Message(**fields, text=plain(raw, self._names(self.body)), mentions_others=bool(others))

    def _speaker(self, message: Json) -> Person:
        author = dict_in(message, "author")
        kind: PersonKind = "webhook" if message.get("webhook_id") else "human"
        return self._person(author, message.get("member"), kind)

    def _edited(self) -> MessageEdited | None:
        at = self.body.get("edited_timestamp")
        if at is None or self.is_own(self.body) or self.body.get("type") not in SPOKEN:
            return None  # a preview was added, or a part that is not the text
        id = _snowflake(self.body, "id")
        channel, thread = self._place()
        raw, names = optional_in(self.body, "content"), self._names(self.body)
        door = door_of(raw, self.me, self.workspace_id == DIRECT, names)
        return MessageEdited(
            **self._base(f"e:{id}:{text_in(self.body, 'edited_timestamp')}", _moment(at)),
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
        emoji = dict_in(self.body, "emoji")
        name = optional_in(emoji, "name") or optional_in(emoji, "id")
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
            emoji=emoji_name(name),
            added=added,
        )

    def _joined(self) -> ThreadRef:
        channel = string(self.raw.get("joined"))
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
                return self._command(dict_in(self.body, "data"))
            case 3:
                return self._press(dict_in(self.body, "data"))
            case 5:
                return self._form(dict_in(self.body, "data"))
            case int():
                return None  # a ping, or a question for completions
            case _:
                raise Malformed("an interaction without a type")

    def _acted(self, custom_id: str = "") -> dict[str, Any]:
        id, person = _snowflake(self.body, "id"), self._actor()
        home = home_of(custom_id) if self.workspace_id == DIRECT else ""
        if home:
            person = person.model_copy(update={"workspace_id": home})
        return {**self._base(f"c:{id}", instant(id)), "person": person, "reply_token": self._reply_token(id)}

    def _actor(self) -> Person:
        member = self.body.get("member")
        user = dict_in(member, "user") if isinstance(member, dict) else dict_in(self.body, "user")
        locale = string(self.body.get("locale"))
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
        kind, name = data.get("type", 1), text_in(data, "name")
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
            id: string(user.get("global_name")) or string(user.get("username"))
            for id, user in users.items()
            if isinstance(user, dict)
        }

    def _menu(self, data: dict[str, Any], name: str) -> Command | None:
        command = MENUS.get(name)
        if command is None:
            return None
        id = _snowflake(data, "target_id")
        message = dict_in(_maybe(_maybe(data, "resolved"), "messages"), id)
        channel, thread = self._place()
        return Command(
            **self._acted(),
            thread=self._thread(channel, thread or id, thread),
            door="shortcut",
            text=plain(optional_in(message, "content"), self._names(message)).strip(),
            command="followup" if command == "followup" else "codetask",
            message_id=id,
            in_thread=thread is not None,
            author=self._speaker(message) if message.get("author") else None,
        )

    def _press(self, data: dict[str, Any]) -> ButtonPress | None:
        custom_id = text_in(data, "custom_id")
        if not custom_id.startswith("codetask:") or is_question(custom_id):
            return None
        message = dict_in(self.body, "message")
        channel, thread = self._place()
        id = _snowflake(message, "id")
        root = thread or (None if is_private(self.body) else id)
        return ButtonPress(
            **self._acted(custom_id),
            thread=self._thread(channel, root, thread),
            value=value_of(custom_id),
            message_id=id,
        )

    def _form(self, data: dict[str, Any]) -> FormSent | None:
        form = text_in(data, "custom_id")
        if not form.startswith("codetask:"):
            return None
        components = data.get("components")
        fields = dict(_fields(components if isinstance(components, list) else []))
        return FormSent(**self._acted(form), thread=self._here(), form=value_of(form), fields=fields)


def guild_language(locale: object, features: object) -> str | None:
    """The locale a server chose. None where it could not: all but community servers have `en-US`, which says nothing
    (docs.discord.com/developers/resources/guild, `preferred_locale`)."""
    chosen = isinstance(features, list) and "COMMUNITY" in features
    return string(locale) or None if chosen or locale != "en-US" else None


def is_private(interaction: Json) -> bool:
    """Whether the message that was pressed is one that only the person sees."""
    message = interaction.get("message")
    flags = message.get("flags") if isinstance(message, Mapping) else 0
    return isinstance(flags, int) and bool(flags & 64)


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


def _maybe(holder: Json, name: str) -> dict[str, Any]:
    value = holder.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _snowflake(holder: Json, name: str) -> str:
    value = text_in(holder, name)
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

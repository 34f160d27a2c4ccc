"""Slack payloads read into `bot.core.inbound` values. Pure: no I/O, no SDK, no clock; never raises on what Slack sends.

`read` takes any payload (Events API, slash command, interaction), `read_past` a message of the history, and
`check_request` the bytes of a webhook request. Rules and keys: platforms.md 1.2-1.5 and 2.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from urllib.parse import parse_qs

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
from platforms.reading import (
    UNREADABLE,
    Json,
    Malformed,
    dict_in,
    find_door,
    keep_unreadable,
    optional_in,
    string,
    text_in,
    typed,
    why_of,
)

MAX_BODY: Final = 1024 * 1024
"""Bytes of a webhook request (ours)."""
MAX_SKEW: Final = timedelta(seconds=300)
"""How far a request's timestamp may be from now (Slack's own advice)."""
RESPONSE_URL_LIFE: Final = timedelta(minutes=30)
RESPONSE_URL_USES: Final = 5
DELIVERY_EVENT: Final = "codetask_delivery"
"""`metadata.event_type` of our own messages; its payload holds the delivery key."""
SHORTCUTS: Final[Mapping[str, str]] = {"codetask_file": "codetask", "codetask_later": "followup"}
"""Message shortcut callback id -> command."""

PICKED: Final = "@"
"""Ends the name of the picker of a field for a time: what was picked is the value of the field before it."""

_SECRETS: Final = frozenset({"token"})
_SPOKEN: Final = frozenset({None, "file_share", "thread_broadcast", "me_message", "bot_message"})
_TS: Final = re.compile(r"\d{1,11}\.\d{1,9}", re.ASCII)
_ENTITY: Final = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True, slots=True)
class Me:
    """The bot as Slack knows it. `app_id` may be empty until the first payload or the app token tells it."""

    app_id: str
    workspace_id: str
    bot_user_id: str
    bot_id: str


# --- Texts ------------------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """What the person typed: Slack's escapes undone, quotes straight, a phone's `—repo` read as `--repo`."""
    text = _ENTITY.sub(lambda match: _entity(match[1]), text)
    return typed(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def _entity(body: str) -> str:
    target, _, label = body.partition("|")
    match target[:1]:
        case "@" | "#":
            return target[0] + (label.lstrip("@#") or target[1:])
        case "!":
            return label or "@" + target[1:].split("^", 1)[0]
        case _ if not label or target.removeprefix("mailto:").endswith(label):
            return label or target
        case _:
            return f"{label} ({target})"


def door_of(raw: str, me: Me, direct: bool) -> tuple[Door, str] | None:
    """The door a message came through and the text behind it, as `reading.find_door`."""
    named = re.compile(rf"<@{re.escape(me.bot_user_id)}(?:\|[^<>]*)?>") if me.bot_user_id else None
    return find_door(raw, named, plain, direct)


# --- Reading ----------------------------------------------------------------------------------------------------------


def read(payload: Json, me: Me, now: datetime) -> Event | None:
    """The event of one payload; None when there is nothing to keep (own message, unfurl, a type we do not use).

    What cannot be read becomes `Unreadable`, so that nothing is lost without a trace.
    """
    return _guarded(payload, me, now, lambda: _Reader(tidy(payload), me, now).event())


def read_past(message: Json, channel: str, me: Me, now: datetime) -> Posted | None:
    """One message of `conversations.history` or `.replies`, as the live transport would have brought it."""
    envelope = {"api_app_id": me.app_id, "team_id": me.workspace_id, "type": "event_callback"}
    body = {**message, "channel": channel, "type": "message"}
    if message.get("type") not in (None, "message") or message.get("subtype") not in _SPOKEN:
        return None
    try:
        reader = _Reader(tidy({**envelope, "event": body}), me, now)
        said = reader.message(reader.told(reader.body["event"]))
        own = reader.is_own(body)
        event = None if own else reader.spoken(reader.body["event"])
    except UNREADABLE:
        return None
    return Posted(message=said, own=own, delivery_key=_delivery_key(message), event=event)


def _delivery_key(message: Json) -> str | None:
    metadata = message.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("event_type") != DELIVERY_EVENT:
        return None
    payload = metadata.get("event_payload")
    key = payload.get("key") if isinstance(payload, Mapping) else None
    return key if isinstance(key, str) else None


def _guarded(payload: Json, me: Me, now: datetime, reading: Callable[[], Event | None]) -> Event | None:
    try:
        event = reading()
    except UNREADABLE as error:
        return unreadable(payload, why_of(error), me, now)
    place = getattr(event, "thread", None)
    if event is None or place is None:
        return event
    return event.model_copy(update={"direct": place.channel_id.startswith("D")})


def unreadable(payload: object, why: str, me: Me, now: datetime) -> Unreadable:
    """A payload that could not be read, under its event id where it has one."""
    kept = tidy(payload)
    known = kept if isinstance(kept, dict) else {}
    event_id = string(known.get("event_id"))
    return keep_unreadable(
        kept,
        why,
        now,
        key_app=me.app_id,
        transport_id=event_id,
        platform="slack",
        app_id=string(known.get("api_app_id")) or me.app_id,
        workspace_id=string(known.get("team_id")) or me.workspace_id,
        event_id=event_id,
    )


def tidy(value: Any) -> Any:
    """A copy that every store can hold, without the shared secret."""
    return reading.tidy(value, _SECRETS, 0)


class _Reader:
    """Reads one tidied payload. Methods raise `Malformed` and friends; `read` turns that into `Unreadable`."""

    def __init__(self, body: Any, me: Me, now: datetime) -> None:
        if not isinstance(body, dict):
            raise Malformed("not an object")
        self.body = cast("dict[str, Any]", body)
        self.me, self.now = me, now
        self.app_id = string(body.get("api_app_id")) or me.app_id
        self.workspace_id = self._workspace()

    def event(self) -> Event | None:
        match self.body.get("type"):
            case "event_callback":
                return self._happening(dict_in(self.body, "event"))
            case "block_actions":
                return self._press()
            case "message_action":
                return self._shortcut()
            case "view_submission":
                return self._form()
            case None if "command" in self.body:
                return self._slash()
            case None:
                raise Malformed("no type")
            case str():
                return None
            case _:
                raise Malformed("type is not a string")

    # Parts that several kinds share

    def _workspace(self) -> str:
        body = self.body
        view, grants, team, user = (body.get(name) for name in ("view", "authorizations", "team", "user"))
        if isinstance(view, dict) and view.get("app_installed_team_id"):
            return text_in(view, "app_installed_team_id")
        if isinstance(grants, list) and grants and isinstance(grants[0], dict) and grants[0].get("team_id"):
            return text_in(grants[0], "team_id")
        for holder, name in ((team, "id"), (body, "team_id"), (user, "team_id")):
            if isinstance(holder, dict) and holder.get(name):
                return text_in(holder, name)
        return self.me.workspace_id

    def _base(self, key: str, sent_at: datetime) -> dict[str, Any]:
        return {
            "platform": "slack",
            "app_id": self.app_id,
            "workspace_id": self.workspace_id,
            "key": f"{self.app_id}:{key}",
            "event_id": string(self.body.get("event_id")),
            "sent_at": sent_at,
            "received_at": self.now,
            "raw": self.body,
        }

    def _thread(self, channel: str, root: str | None) -> ThreadRef:
        return ThreadRef(platform="slack", workspace_id=self.workspace_id, channel_id=channel, root=root)

    def _person(self, id: str, kind: PersonKind = "human", name: str = "") -> Person:
        return Person(platform="slack", workspace_id=self.workspace_id, id=id, kind=kind, name=name)

    def _reply_token(self) -> ReplyToken | None:
        url = self.body.get("response_url")
        if not isinstance(url, str) or not url:
            return None
        return ReplyToken(value=url, expires_at=self.now + RESPONSE_URL_LIFE, uses_left=RESPONSE_URL_USES)

    def is_own(self, event: Json) -> bool:
        """Whether the bot itself said or did it."""
        user, bot = event.get("user"), event.get("bot_id")
        return bool((user and user == self.me.bot_user_id) or (bot and bot == self.me.bot_id))

    # Events API

    def _happening(self, event: dict[str, Any]) -> Event | None:
        match text_in(event, "type"):
            case "app_mention" | "message":
                return self._message_event(event)
            case "reaction_added" | "reaction_removed":
                return self._reaction(event)
            case "member_joined_channel" if event.get("user") == self.me.bot_user_id:
                return BotAdded(**self._other(), thread=self._thread(text_in(event, "channel"), None))
            case "channel_archive" | "group_archive" | "channel_left" | "group_left":
                return BotRemoved(**self._other(), thread=self._thread(text_in(event, "channel"), None))
            case _:
                return None

    def _other(self) -> dict[str, Any]:
        return self._base(f"o:{text_in(self.body, 'event_id')}", self.now)

    def _message_event(self, event: dict[str, Any]) -> Event | None:
        match event.get("subtype"):
            case "message_changed":
                return self._edited(event)
            case "message_deleted":
                return self._deleted(event, text_in(event, "deleted_ts"), event.get("previous_message"))
            case subtype if subtype in _SPOKEN:
                return None if self.is_own(event) else self.spoken(event)
            case _:
                return None

    def told(self, event: dict[str, Any]) -> dict[str, Any]:
        """The fields that a message and a command said in a message share."""
        channel, ts = text_in(event, "channel"), _stamp(event, "ts")
        root = _stamp(event, "thread_ts") if event.get("thread_ts") else ts
        return {
            **self._base(f"m:{channel}:{ts}", instant(ts)),
            "thread": self._thread(channel, root),
            "person": self._speaker(event),
            "message_id": ts,
            "in_thread": root != ts,
        }

    def spoken(self, event: dict[str, Any]) -> Message | Command:
        """A message: a `Command` when it addressed the bot. The event's type does not matter, only its text."""
        fields = self.told(event)
        door = door_of(optional_in(event, "text"), self.me, _is_direct(event))
        if door is None:
            return self.message(fields)
        return Command(**fields, door=door[0], text=door[1])

    def message(self, fields: dict[str, Any]) -> Message:
        """The message itself, whether it addressed the bot or not."""
        text = optional_in(self.body["event"], "text")
        others = set(re.findall(r"<@(\w+)", text)) - {self.me.bot_user_id}
        return Message(**fields, text=plain(text), mentions_others=bool(others))

    def _speaker(self, event: Json) -> Person:
        user, bot = string(event.get("user")), string(event.get("bot_id"))
        if bot or event.get("subtype") == "bot_message":
            return self._person(user or bot or "webhook", "bot" if user or bot else "webhook")
        if not user:
            raise Malformed("a message without a sender")
        home = event.get("user_team") or event.get("source_team")
        profile = event.get("user_profile")
        if isinstance(home, str) and home.startswith("T") and home != self.workspace_id:
            return self._person(user, "external")
        if isinstance(profile, dict) and (profile.get("is_restricted") or profile.get("is_ultra_restricted")):
            return self._person(user, "guest")
        return self._person(user)

    def _edited(self, event: dict[str, Any]) -> Event | None:
        message, before = dict_in(event, "message"), event.get("previous_message")
        channel, ts = text_in(event, "channel"), _stamp(message, "ts")
        if message.get("subtype") == "tombstone":
            return self._deleted(event, ts, before)
        same = isinstance(before, dict) and before.get("text") == message.get("text")
        if same or not message.get("edited") or self.is_own(message):
            return None
        at = _stamp(dict_in(message, "edited"), "ts")
        raw = optional_in(message, "text")
        door = door_of(raw, self.me, _is_direct(event))
        return MessageEdited(
            **self._base(f"e:{channel}:{ts}:{at}", instant(at)),
            thread=self._thread(channel, optional_in(message, "thread_ts") or ts),
            person=self._speaker(message),
            message_id=ts,
            text=door[1] if door else plain(raw),
        )

    def _deleted(self, event: dict[str, Any], ts: str, before: object) -> MessageDeleted:
        if not _TS.fullmatch(ts):
            raise Malformed("deleted_ts is not a timestamp")
        channel = text_in(event, "channel")
        root = optional_in(before, "thread_ts") if isinstance(before, dict) else ""
        at = event.get("event_ts") or event.get("ts")
        sent_at = instant(at) if isinstance(at, str) and _TS.fullmatch(at) else self.now
        thread = self._thread(channel, root or ts)
        return MessageDeleted(**self._base(f"d:{channel}:{ts}", sent_at), thread=thread, message_id=ts)

    def _reaction(self, event: dict[str, Any]) -> Reaction | None:
        item, user = dict_in(event, "item"), text_in(event, "user")
        if item.get("type") != "message" or user == self.me.bot_user_id:
            return None
        channel, ts, name, at = (
            text_in(item, "channel"),
            _stamp(item, "ts"),
            text_in(event, "reaction"),
            event["event_ts"],
        )
        return Reaction(
            **self._base(f"r:{channel}:{ts}:{user}:{name}:{at}", instant(_stamp(event, "event_ts"))),
            thread=self._thread(channel, ts),  # Slack does not say which thread: the message stands for itself
            person=self._person(user),
            message_id=ts,
            emoji=emoji_name(name),
            added=event["type"] == "reaction_added",
        )

    # Interactions: never redelivered by Slack

    def _slash(self) -> Command:
        body = self.body
        return Command(
            **self._base(f"c:{text_in(body, 'trigger_id')}", self.now),
            thread=self._thread(text_in(body, "channel_id"), None),
            person=self._person(text_in(body, "user_id"), name=optional_in(body, "user_name")),
            door="slash",
            text=plain(optional_in(body, "text")).strip(),
            command="followup" if text_in(body, "command").startswith("/followup") else "codetask",
            reply_token=self._reply_token(),
        )

    def _actor(self) -> Person:
        user = dict_in(self.body, "user")
        home = user.get("team_id")
        external = isinstance(home, str) and home.startswith("T") and home != self.workspace_id
        name = optional_in(user, "username") or optional_in(user, "name")
        return self._person(text_in(user, "id"), "external" if external else "human", name)

    def _press(self) -> ButtonPress | None:
        actions = self.body.get("actions")
        action = actions[0] if isinstance(actions, list) and actions else None
        if not isinstance(action, dict):
            raise Malformed("no action")
        value = action.get("value")
        if not isinstance(value, str) or not value.startswith("codetask:"):
            return None  # a link button, or an element that is not ours
        box = dict_in(self.body, "container")
        ts = _stamp(box, "message_ts")
        message = self.body.get("message")
        parent = message.get("thread_ts") if isinstance(message, dict) else None
        root = string(box.get("thread_ts")) or string(parent) or (None if box.get("is_ephemeral") is True else ts)
        return ButtonPress(
            **self._base(f"c:{text_in(self.body, 'trigger_id')}", self._acted_at(action)),
            thread=self._thread(text_in(box, "channel_id"), root),  # nothing hangs on a whisper
            person=self._actor(),
            value=value,
            message_id=ts,
            reply_token=self._reply_token(),
        )

    def _acted_at(self, holder: Json) -> datetime:
        at = holder.get("action_ts")
        return instant(at) if isinstance(at, str) and _TS.fullmatch(at) else self.now

    def _shortcut(self) -> Command | None:
        command = SHORTCUTS.get(text_in(self.body, "callback_id"))
        if command is None:
            return None
        message, channel = dict_in(self.body, "message"), text_in(dict_in(self.body, "channel"), "id")
        ts = _stamp(message, "ts")
        root = optional_in(message, "thread_ts") or ts
        return Command(
            **self._base(f"c:{text_in(self.body, 'trigger_id')}", self._acted_at(self.body)),
            thread=self._thread(channel, root),
            person=self._actor(),
            door="shortcut",
            text=plain(optional_in(message, "text")).strip(),
            command="followup" if command == "followup" else "codetask",
            message_id=ts,
            in_thread=root != ts,
            author=self._speaker(message) if message.get("user") or message.get("bot_id") else None,
            reply_token=self._reply_token(),
        )

    def _form(self) -> FormSent | None:
        view = dict_in(self.body, "view")
        form = text_in(view, "callback_id")
        if not form.startswith("codetask:"):
            return None
        place = json.loads(optional_in(view, "private_metadata") or "{}")
        state = view.get("state")
        values = state.get("values") if isinstance(state, dict) else None
        return FormSent(
            **self._base(f"c:{text_in(self.body, 'trigger_id')}", self.now),
            thread=self._thread(text_in(place, "channel_id"), optional_in(place, "root") or None),
            person=self._actor(),
            form=form,
            fields=_form_fields(values if isinstance(values, dict) else {}),
            reply_token=self._reply_token(),
        )


def _form_fields(values: dict[str, Any]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for block in values.values():
        for name, element in block.items():
            chosen, picked = element.get("selected_option"), element.get("selected_date_time")
            value = chosen.get("value") if isinstance(chosen, dict) else element.get("value")
            if isinstance(picked, int) and not isinstance(picked, bool):
                fields[name.removesuffix(PICKED)] = str(picked)
            elif isinstance(value, str):
                fields[name] = value
    return fields


def _is_direct(event: Json) -> bool:
    return event.get("channel_type") == "im" or optional_in(event, "channel").startswith("D")


def _stamp(holder: Json, name: str) -> str:
    value = text_in(holder, name)
    if not _TS.fullmatch(value):
        raise Malformed(f"{name} is not a timestamp")
    return value


def instant(ts: str) -> datetime:
    """The instant of a Slack `ts`, to the microsecond. The ts itself stays a string: a float would lose digits."""
    seconds, _, fraction = ts.partition(".")
    return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int((fraction + "000000")[:6]))


# --- Webhook requests -------------------------------------------------------------------------------------------------


def verify_signature(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> int | None:
    """None when the request is Slack's; else the HTTP status to refuse it with (401, 413). Header case is ignored.

    The signature is an HMAC-SHA256 of `v0:<timestamp>:<raw body>`
    (https://docs.slack.dev/authentication/verifying-requests-from-slack).
    """
    if len(body) > MAX_BODY:
        return 413
    given = {name.lower(): value for name, value in headers.items()}
    stamp, signature = given.get("x-slack-request-timestamp", ""), given.get("x-slack-signature", "")
    if not secret or not re.fullmatch(r"[0-9]{1,12}", stamp):
        return 401
    if abs(now.timestamp() - int(stamp)) > MAX_SKEW.total_seconds():
        return 401
    expected = (
        b"v0=" + hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest().encode()
    )
    return None if hmac.compare_digest(expected, signature.encode("utf-8", "replace")) else 401


def parse_body(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | None:
    """The payload of a verified request: JSON, a form with `payload`, or a slash command's form. None: malformed."""
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    try:
        text = body.decode("utf-8")
        if kind.split(";")[0].strip().lower() == "application/json" or text.startswith("{"):
            found: Any = json.loads(text)
        else:
            form = parse_qs(text, keep_blank_values=True, strict_parsing=True, max_num_fields=200)
            found = json.loads(form["payload"][-1]) if "payload" in form else {k: v[-1] for k, v in form.items()}
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) and found else None

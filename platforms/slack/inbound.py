"""Slack payloads read into `bot.core.inbound` values. Pure: no I/O, no SDK, no clock; never raises on what Slack sends.

`read` takes any payload (Events API, slash command, interaction), `read_past` a message of the history, and
`check_request` the bytes of a webhook request. Rules and keys: platforms.md 1.2-1.5 and 2.
"""

import base64
import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from urllib.parse import parse_qs

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

Json = Mapping[str, Any]

MAX_BODY: Final = 1024 * 1024
"""Bytes of a webhook request (ours)."""
MAX_SKEW: Final = timedelta(seconds=300)
"""How far a request's timestamp may be from now (Slack's own advice)."""
MAX_DEPTH: Final = 64
"""Nesting kept of a payload (ours); Slack's blocks stay far below."""
RESPONSE_URL_LIFE: Final = timedelta(minutes=30)
RESPONSE_URL_USES: Final = 5
DELIVERY_EVENT: Final = "codetask_delivery"
"""`metadata.event_type` of our own messages; its payload holds the delivery key."""
SHORTCUTS: Final[Mapping[str, str]] = {"codetask_file": "codetask", "codetask_later": "followup"}
"""Message shortcut callback id -> command."""

_SPOKEN: Final = frozenset({None, "file_share", "thread_broadcast", "me_message", "bot_message"})
_TS: Final = re.compile(r"\d{1,11}\.\d{1,9}", re.ASCII)
_ENTITY: Final = re.compile(r"<([^<>]*)>")
_BANG: Final = re.compile(r"[!！]codetask(?=$|[\s:：,，])[\s:：,，]*", re.IGNORECASE)
_GREETING: Final = re.compile(r"(?:hey|hi|hello|ok|okay|yo|please|thanks|thank you|cc|你好|请)?[\s,，:：!！.]*", re.I)
_DASHED_FLAG: Final = re.compile(rf"(?<!\S)[—–](?=(?:{'|'.join(flag.name for flag in FLAGS)})\b)")
_LEADING_DASH: Final = re.compile(r"\A\s*[—–](?=\s)")
_STRAIGHT: Final = str.maketrans("“”„‟‘’‚‛", "\"\"\"\"''''")


class Malformed(ValueError):
    """A payload lacks what its type promises. Never leaves this module."""


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
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").translate(_STRAIGHT)
    return _DASHED_FLAG.sub("--", _LEADING_DASH.sub("--", text))


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


def find_door(raw: str, me: Me, direct: bool) -> tuple[Door, str] | None:
    """The door a message came through and the text behind it; None when it did not address the bot.

    `direct`: in a direct message everything is addressed to the bot.
    """
    mention = re.compile(rf"<@{re.escape(me.bot_user_id)}(?:\|[^<>]*)?>") if me.bot_user_id else None
    hit = mention.search(raw) if mention else None
    if mention and hit:
        before, after = raw[: hit.start()], raw[hit.end() :]
        rest = after if _GREETING.fullmatch(before) else before + after
        return "mention", _strip_bang(plain(mention.sub("", rest)).lstrip(" \t\n:：,，"))
    text = plain(raw)
    if _BANG.match(text.lstrip()):
        return "bang", _strip_bang(text)
    return ("mention", text.strip()) if direct else None


def _strip_bang(text: str) -> str:
    return _BANG.sub("", text.strip(), count=1) if _BANG.match(text.strip()) else text.strip()


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
    except _UNREADABLE:
        return None
    return Posted(message=said, own=own, delivery_key=_delivery_key(message), event=event)


def _delivery_key(message: Json) -> str | None:
    metadata = message.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("event_type") != DELIVERY_EVENT:
        return None
    payload = metadata.get("event_payload")
    key = payload.get("key") if isinstance(payload, Mapping) else None
    return key if isinstance(key, str) else None


_UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)


def _guarded(payload: Json, me: Me, now: datetime, reading: Callable[[], Event | None]) -> Event | None:
    try:
        return reading()
    except _UNREADABLE as error:
        return unreadable(payload, f"{type(error).__name__}: {error}"[:200], me, now)


def unreadable(payload: object, why: str, me: Me, now: datetime) -> Unreadable:
    """A payload kept as it came, under its transport id or the hash of its bytes; `ref` is for logs and people."""
    kept = tidy(payload)
    raw = json.dumps(kept, sort_keys=True)
    digest = hashlib.sha256(raw.encode()).digest()
    known = kept if isinstance(kept, dict) else {}
    event_id = known.get("event_id")
    return Unreadable(
        platform="slack",
        app_id=_string(known.get("api_app_id")) or me.app_id,
        workspace_id=_string(known.get("team_id")) or me.workspace_id,
        key=f"{me.app_id}:o:{_string(event_id) or digest.hex()}",
        event_id=_string(event_id),
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
    """A copy that every store can hold: no NUL, no lone surrogate, 64-bit numbers, bounded depth; no shared secret."""
    if depth > MAX_DEPTH:
        return "…"
    match value:
        case str():
            return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
        case Mapping():
            return {tidy(str(key)): tidy(item, depth + 1) for key, item in value.items() if depth or key != "token"}
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
    """Reads one tidied payload. Methods raise `Malformed` and friends; `read` turns that into `Unreadable`."""

    def __init__(self, body: Any, me: Me, now: datetime) -> None:
        if not isinstance(body, dict):
            raise Malformed("not an object")
        self.body = cast("dict[str, Any]", body)
        self.me, self.now = me, now
        self.app_id = _string(body.get("api_app_id")) or me.app_id
        self.workspace_id = self._workspace()

    def event(self) -> Event | None:
        match self.body.get("type"):
            case "event_callback":
                return self._happening(_dict(self.body, "event"))
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
            return _text(view, "app_installed_team_id")
        if isinstance(grants, list) and grants and isinstance(grants[0], dict) and grants[0].get("team_id"):
            return _text(grants[0], "team_id")
        for holder, name in ((team, "id"), (body, "team_id"), (user, "team_id")):
            if isinstance(holder, dict) and holder.get(name):
                return _text(holder, name)
        return self.me.workspace_id

    def _base(self, key: str, sent_at: datetime) -> dict[str, Any]:
        return {
            "platform": "slack",
            "app_id": self.app_id,
            "workspace_id": self.workspace_id,
            "key": f"{self.app_id}:{key}",
            "event_id": _string(self.body.get("event_id")),
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
        match _text(event, "type"):
            case "app_mention" | "message":
                return self._message_event(event)
            case "reaction_added" | "reaction_removed":
                return self._reaction(event)
            case "member_joined_channel" if event.get("user") == self.me.bot_user_id:
                return BotAdded(**self._other(), thread=self._thread(_text(event, "channel"), None))
            case "channel_archive" | "group_archive" | "channel_left" | "group_left":
                return BotRemoved(**self._other(), thread=self._thread(_text(event, "channel"), None))
            case _:
                return None

    def _other(self) -> dict[str, Any]:
        return self._base(f"o:{_text(self.body, 'event_id')}", self.now)

    def _message_event(self, event: dict[str, Any]) -> Event | None:
        match event.get("subtype"):
            case "message_changed":
                return self._edited(event)
            case "message_deleted":
                return self._deleted(event, _text(event, "deleted_ts"), event.get("previous_message"))
            case subtype if subtype in _SPOKEN:
                return None if self.is_own(event) else self.spoken(event)
            case _:
                return None

    def told(self, event: dict[str, Any]) -> dict[str, Any]:
        """The fields that a message and a command said in a message share."""
        channel, ts = _text(event, "channel"), _stamp(event, "ts")
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
        door = find_door(_optional(event, "text"), self.me, _is_direct(event))
        if door is None:
            return self.message(fields)
        return Command(**fields, door=door[0], text=door[1])

    def message(self, fields: dict[str, Any]) -> Message:
        """The message itself, whether it addressed the bot or not."""
        text = _optional(self.body["event"], "text")
        others = set(re.findall(r"<@(\w+)", text)) - {self.me.bot_user_id}
        return Message(**fields, text=plain(text), mentions_others=bool(others))

    def _speaker(self, event: Json) -> Person:
        user, bot = _string(event.get("user")), _string(event.get("bot_id"))
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
        message, before = _dict(event, "message"), event.get("previous_message")
        channel, ts = _text(event, "channel"), _stamp(message, "ts")
        if message.get("subtype") == "tombstone":
            return self._deleted(event, ts, before)
        same = isinstance(before, dict) and before.get("text") == message.get("text")
        if same or not message.get("edited") or self.is_own(message):
            return None
        at = _stamp(_dict(message, "edited"), "ts")
        raw = _optional(message, "text")
        door = find_door(raw, self.me, _is_direct(event))
        return MessageEdited(
            **self._base(f"e:{channel}:{ts}:{at}", instant(at)),
            thread=self._thread(channel, _optional(message, "thread_ts") or ts),
            person=self._speaker(message),
            message_id=ts,
            text=door[1] if door else plain(raw),
        )

    def _deleted(self, event: dict[str, Any], ts: str, before: object) -> MessageDeleted:
        if not _TS.fullmatch(ts):
            raise Malformed("deleted_ts is not a timestamp")
        channel = _text(event, "channel")
        root = _optional(before, "thread_ts") if isinstance(before, dict) else ""
        at = event.get("event_ts") or event.get("ts")
        sent_at = instant(at) if isinstance(at, str) and _TS.fullmatch(at) else self.now
        thread = self._thread(channel, root or ts)
        return MessageDeleted(**self._base(f"d:{channel}:{ts}", sent_at), thread=thread, message_id=ts)

    def _reaction(self, event: dict[str, Any]) -> Reaction | None:
        item, user = _dict(event, "item"), _text(event, "user")
        if item.get("type") != "message" or user == self.me.bot_user_id:
            return None
        channel, ts, name, at = _text(item, "channel"), _stamp(item, "ts"), _text(event, "reaction"), event["event_ts"]
        return Reaction(
            **self._base(f"r:{channel}:{ts}:{user}:{name}:{at}", instant(_stamp(event, "event_ts"))),
            thread=self._thread(channel, ts),  # Slack does not say which thread: the message stands for itself
            person=self._person(user),
            message_id=ts,
            emoji=name.split("::", 1)[0],
            added=event["type"] == "reaction_added",
        )

    # Interactions: never redelivered by Slack

    def _slash(self) -> Command:
        body = self.body
        return Command(
            **self._base(f"c:{_text(body, 'trigger_id')}", self.now),
            thread=self._thread(_text(body, "channel_id"), None),
            person=self._person(_text(body, "user_id"), name=_optional(body, "user_name")),
            door="slash",
            text=plain(_optional(body, "text")).strip(),
            command="followup" if _text(body, "command").startswith("/followup") else "codetask",
            reply_token=self._reply_token(),
        )

    def _actor(self) -> Person:
        user = _dict(self.body, "user")
        home = user.get("team_id")
        external = isinstance(home, str) and home.startswith("T") and home != self.workspace_id
        name = _optional(user, "username") or _optional(user, "name")
        return self._person(_text(user, "id"), "external" if external else "human", name)

    def _press(self) -> ButtonPress | None:
        actions = self.body.get("actions")
        action = actions[0] if isinstance(actions, list) and actions else None
        if not isinstance(action, dict):
            raise Malformed("no action")
        value = action.get("value")
        if not isinstance(value, str) or not value.startswith("codetask:"):
            return None  # a link button, or an element that is not ours
        box = _dict(self.body, "container")
        ts = _stamp(box, "message_ts")
        message = self.body.get("message")
        parent = message.get("thread_ts") if isinstance(message, dict) else None
        return ButtonPress(
            **self._base(f"c:{_text(self.body, 'trigger_id')}", self._acted_at(action)),
            thread=self._thread(_text(box, "channel_id"), _string(box.get("thread_ts")) or _string(parent) or ts),
            person=self._actor(),
            value=value,
            message_id=ts,
            reply_token=self._reply_token(),
        )

    def _acted_at(self, holder: Json) -> datetime:
        at = holder.get("action_ts")
        return instant(at) if isinstance(at, str) and _TS.fullmatch(at) else self.now

    def _shortcut(self) -> Command | None:
        command = SHORTCUTS.get(_text(self.body, "callback_id"))
        if command is None:
            return None
        message, channel = _dict(self.body, "message"), _text(_dict(self.body, "channel"), "id")
        ts = _stamp(message, "ts")
        root = _optional(message, "thread_ts") or ts
        return Command(
            **self._base(f"c:{_text(self.body, 'trigger_id')}", self._acted_at(self.body)),
            thread=self._thread(channel, root),
            person=self._actor(),
            door="shortcut",
            text=plain(_optional(message, "text")).strip(),
            command="followup" if command == "followup" else "codetask",
            message_id=ts,
            in_thread=root != ts,
            author=self._speaker(message) if message.get("user") or message.get("bot_id") else None,
            reply_token=self._reply_token(),
        )

    def _form(self) -> FormSent | None:
        view = _dict(self.body, "view")
        form = _text(view, "callback_id")
        if not form.startswith("codetask:"):
            return None
        place = json.loads(_optional(view, "private_metadata") or "{}")
        state = view.get("state")
        values = state.get("values") if isinstance(state, dict) else None
        return FormSent(
            **self._base(f"c:{_text(self.body, 'trigger_id')}", self.now),
            thread=self._thread(_text(place, "channel_id"), _optional(place, "root") or None),
            person=self._actor(),
            form=form,
            fields=_form_fields(values if isinstance(values, dict) else {}),
            reply_token=self._reply_token(),
        )


def _form_fields(values: dict[str, Any]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for block in values.values():
        for name, element in block.items():
            chosen = element.get("selected_option")
            value = chosen.get("value") if isinstance(chosen, dict) else element.get("value")
            if isinstance(value, str):
                fields[name] = value
    return fields


def _is_direct(event: Json) -> bool:
    return event.get("channel_type") == "im" or _optional(event, "channel").startswith("D")


def _dict(holder: Json, name: str) -> dict[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict):
        raise Malformed(f"{name} is not an object")
    return cast("dict[str, Any]", value)


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


def _stamp(holder: Json, name: str) -> str:
    value = _text(holder, name)
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

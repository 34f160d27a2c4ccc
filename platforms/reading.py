"""What the readers of all platforms' payloads share. Pure: no I/O, no SDK, no clock.

A reader looks at a tidied payload with the functions below. They raise `Malformed` and friends (`UNREADABLE`); a
platform's `read` turns that into an `Unreadable`, so that nothing is lost without a trace.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, cast

from bot.core.inbound import Door, Unreadable
from bot.core.verbs import FLAGS, FOLLOW_UP_FLAGS

Json = Mapping[str, Any]

MAX_DEPTH: Final = 64
"""Nesting kept of a payload (ours); what platforms send stays far below."""
UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)
"""What reading a payload raises that is not as its type promises."""

_BANG: Final = re.compile(r"[!！]codetask(?=$|[\s:：,，])[\s:：,，]*", re.IGNORECASE)
_GREETING: Final = re.compile(r"(?:hey|hi|hello|ok|okay|yo|please|thanks|thank you|cc|你好|请)?[\s,，:：!！.]*", re.I)
_DASHED_FLAG: Final = re.compile(rf"(?<!\S)[—–](?=(?:{'|'.join(flag.name for flag in (*FLAGS, *FOLLOW_UP_FLAGS))})\b)")
_LEADING_DASH: Final = re.compile(r"\A\s*[—–](?=\s)")
_STRAIGHT: Final = str.maketrans("“”„‟‘’‚‛", "\"\"\"\"''''")


class Malformed(ValueError):
    """A payload lacks what its type promises. Never leaves the modules that read."""


# --- Payloads ---------------------------------------------------------------------------------------------------------


def tidy(value: Any, secrets: frozenset[str], within: int, depth: int = 0) -> Any:
    """A copy that every store can hold: no NUL, no lone surrogate, 64-bit numbers, bounded depth.

    Keys of `secrets` are left out of the payload and of what is at most `within` levels inside it."""
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, str):
        return _tidy_text(value)
    if value is None or value is True or value is False:
        return value
    match value:
        case Mapping():
            return {
                _tidy_text(str(key)): tidy(item, secrets, within, depth + 1)
                for key, item in value.items()
                if depth > within or key not in secrets
            }
        case list() | tuple():
            return [tidy(item, secrets, within, depth + 1) for item in value]
        case float() if not math.isfinite(value):
            return None
        case int() if abs(value) >= 2**63:
            return None
        case int() | float():
            return value
        case _:
            return _tidy_text(str(value))


def _tidy_text(text: str) -> str:
    if text.isascii() and "\x00" not in text:
        return text  # most texts: nothing to look for
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def digest_of(kept: object) -> bytes:
    """The SHA-256 of a tidied payload."""
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).digest()


def short_ref(digest: bytes) -> str:
    """Four characters that a person can read out and an operator can find in the log."""
    return base64.b32encode(digest)[:4].decode().lower()


def keep_unreadable(
    kept: Any, why: str, now: datetime, *, key_app: str, transport_id: str = "", **about: str
) -> Unreadable:
    """A tidied payload kept as it came, under its transport id or its hash; `ref` is for logs and people.

    `about`: platform, app, workspace and event id."""
    digest = digest_of(kept)
    return Unreadable(
        **about,  # type: ignore[arg-type]
        key=f"{key_app}:o:{transport_id or digest.hex()}",
        sent_at=now,
        received_at=now,
        raw=kept if isinstance(kept, dict) and kept else {"payload": kept},
        ref=short_ref(digest),
        why=why.replace("\x00", ""),
    )


def why_of(error: Exception) -> str:
    """One line of the log about what could not be read; never the value itself, which somebody may have said."""
    return f"{type(error).__name__}: {error}".split(", input_value=")[0][:200]


def string(value: object) -> str:
    """A string of what may be one, of at most 255 characters; else an empty one."""
    return value[:255] if isinstance(value, str) else ""


def dict_in(holder: Json, name: str) -> dict[str, Any]:
    """The object under a name; `Malformed` where there is none."""
    value = holder.get(name)
    if not isinstance(value, dict):
        raise Malformed(f"{name} is not an object")
    return cast("dict[str, Any]", value)


def text_in(holder: Json, name: str) -> str:
    """The string under a name; `Malformed` where there is none, or an empty one."""
    value = holder.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{name} is missing")
    return value


def optional_in(holder: Json, name: str) -> str:
    """The string under a name, empty where there is none; `Malformed` where something else is there."""
    value = holder.get(name)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"{name} is not a string")
    return value or ""


# --- Texts ------------------------------------------------------------------------------------------------------------


def typed(text: str) -> str:
    """What the person meant to type: quotes straight, a phone's `—repo` read as `--repo`."""
    return _DASHED_FLAG.sub("--", _LEADING_DASH.sub("--", text.translate(_STRAIGHT)))


def find_door(
    raw: str, named: re.Pattern[str] | None, plain: Callable[[str], str], direct: bool
) -> tuple[Door, str] | None:
    """The door a message came through and the text behind it; None when it did not address the bot.

    `named` finds the bot's mention, `plain` makes the text readable. `direct`: everything is addressed to the bot.
    """
    hit = named.search(raw) if named else None
    if named and hit:
        before, after = raw[: hit.start()], raw[hit.end() :]
        rest = after if _GREETING.fullmatch(before) else before + after
        return "mention", _strip_bang(plain(named.sub("", rest)).lstrip(" \t\n:：,，"))
    text = plain(raw)
    if _BANG.match(text.lstrip()):
        return "bang", _strip_bang(text)
    return ("mention", text.strip()) if direct else None


def _strip_bang(text: str) -> str:
    return _BANG.sub("", text.strip(), count=1) if _BANG.match(text.strip()) else text.strip()

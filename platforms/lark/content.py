"""What a Lark message says: its content as text, who is mentioned, and whether it addressed the bot. Pure.

Lark sends a message as JSON of its type and leaves mentions as keys (`@_user_1`) with a list beside it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot.core.inbound import Door
from bot.core.verbs import FLAGS
from platforms.reading import Malformed, find_door, typed

EVERYONE: Final = "@_all"

_LONG_DASHED_FLAG: Final = re.compile(rf"(?<!\S)[—–]+(?=(?:{'|'.join(flag.name for flag in FLAGS)})\b)")


@dataclass(frozen=True, slots=True)
class Mention:
    """Someone named in a message: the key in its text, their open id (empty when not told) and name."""

    key: str
    open_id: str
    name: str


def read_mentions(value: object) -> tuple[Mention, ...]:
    """The list beside a message. An event nests the ids, the history tells one."""
    found: list[Mention] = []
    for entry in value if isinstance(value, list) else []:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("key"), str) or not entry["key"]:
            continue
        who, name = entry.get("id"), entry.get("name")
        open_id = who.get("open_id") if isinstance(who, Mapping) else who
        found.append(Mention(entry["key"], open_id if isinstance(open_id, str) else "", str(name or "")))
    return tuple(found)


def raw_text(kind: str, content: str) -> str:
    """The text of a message, mentions still as keys; empty for pictures, files and cards. Raises `Malformed`."""
    if kind not in ("text", "post"):
        return ""
    try:
        body = json.loads(content)
    except ValueError as error:
        raise Malformed("the content is no JSON") from error
    if not isinstance(body, dict):
        raise Malformed("the content is no object")
    if kind == "post":
        return _post(body)
    text = body.get("text", "")
    if not isinstance(text, str):
        raise Malformed("the text is no string")
    return text


def _post(body: Mapping[str, Any]) -> str:
    """A rich text, flattened line by line. Some clients wrap it in a language."""
    if "content" not in body:
        body = next((value for value in body.values() if isinstance(value, dict) and "content" in value), {})
    title, lines = body.get("title"), body.get("content")
    shown = ["".join(_parts(line)) for line in lines if isinstance(line, list)] if isinstance(lines, list) else []
    return "\n".join([title, *shown] if isinstance(title, str) and title else shown)


def _parts(line: Sequence[Any]) -> Iterator[str]:
    for part in line:
        if not isinstance(part, Mapping):
            continue
        text = part.get("text")
        said = text if isinstance(text, str) else ""
        match part.get("tag"):
            case "at":
                yield str(part.get("user_id") or "")
            case "a":
                href = part.get("href")
                yield said if not isinstance(href, str) or href.endswith(said or " ") else f"{said} ({href})".strip()
            case "code_block":
                yield f"\n```\n{said}\n```\n"
            case _:
                yield said


def plain(raw: str, mentions: Sequence[Mention]) -> str:
    """What the person typed: mentions as `@name`, quotes straight, a phone's `—repo` read as `--repo`."""
    for mention in mentions:
        raw = re.sub(rf"{re.escape(mention.key)}(?!\d)", lambda _, name=mention.name: f"@{name}", raw)
    return _LONG_DASHED_FLAG.sub("--", typed(raw.replace(EVERYONE, "@all")))


def door_of(raw: str, mentions: Sequence[Mention], bot_id: str, direct: bool) -> tuple[Door, str] | None:
    """The door a message came through and the text behind it, as `reading.find_door`."""
    keys = [re.escape(mention.key) for mention in mentions if bot_id and mention.open_id == bot_id]
    named = re.compile(rf"(?:{'|'.join(keys)})(?!\d)") if keys else None
    return find_door(raw, named, lambda text: plain(text, mentions), direct)

"""What a person would read: messages as plain text, for tests and the demo's terminal."""

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

Json = dict[str, Any]

_TOKEN = re.compile(r"<([^<>]*)>")
_TASK_MARKS = {"complete": "✓", "in_progress": "●", "pending": "○", "error": "✗"}


class Shown(Protocol):
    """Anything with a text and blocks: a message or a whisper."""

    @property
    def text(self) -> str: ...

    @property
    def blocks(self) -> list[Json]: ...


class ButtonSeen(NamedTuple):
    """A button as a person sees it."""

    label: str
    action_id: str
    value: str
    url: str


def render_text(message: Shown, names: Mapping[str, str] | None = None) -> str:
    """The message as a person reads it: blocks where it has them, else the text. Buttons as `[Label]`.

    `names` turns user and channel ids into names.
    """
    known = names or {}
    if not message.blocks:
        return plain_text(message.text, known)
    return "\n".join(line for block in message.blocks for line in _block(block, known) if line)


def buttons(message: Shown) -> list[ButtonSeen]:
    """The buttons of a message in order."""
    found: list[ButtonSeen] = []
    for block in message.blocks:
        for element in [*block.get("elements", []), block.get("accessory") or {}]:
            if isinstance(element, dict) and element.get("type") == "button":
                fields = (str(element.get(name, "")) for name in ("action_id", "value", "url"))
                found.append(ButtonSeen(element["text"]["text"], *fields))
    return found


def plain_text(text: str, names: Mapping[str, str] | None = None) -> str:
    """Slack's mrkdwn with its `<...>` tokens and escapes undone."""
    known = names or {}
    return html.unescape(_TOKEN.sub(lambda token: _say_token(token[1], known), text))


def _say_token(token: str, names: Mapping[str, str]) -> str:
    target, _, label = token.partition("|")
    if target.startswith("@"):
        return "@" + (label or names.get(target[1:], target[1:]))
    if target.startswith("#"):
        return "#" + (label or names.get(target[1:], target[1:]))
    if target.startswith("!date^"):
        return label
    if target.startswith("!"):
        return "@" + (label or target[1:])
    return f"{label} ({target})" if label and label != target else target


def _block(block: Json, names: Mapping[str, str]) -> Iterator[str]:
    match block.get("type"):
        case "section":
            parts = [block.get("text"), *block.get("fields", [])]
            yield "\n".join(_text(part, names) for part in parts if part)
            yield from _buttons_line([block.get("accessory") or {}])
        case "header":
            yield _text(block["text"], names)
        case "markdown":
            yield str(block["text"])
        case "context":
            yield " ".join(_text(e, names) or f"[image: {e.get('alt_text', '')}]" for e in block["elements"])
        case "actions":
            yield from _buttons_line(block["elements"])
        case "divider":
            yield "---"
        case "image":
            yield f"[image: {block['alt_text']}]"
        case "plan":
            yield str(block["title"])
            for task in block.get("tasks", []):
                yield from _task(task, names)
        case "task_card":
            yield from _task(block, names)
        case "rich_text":
            yield rich_text(block, names)
        case "input":
            yield f"{_text(block['label'], names)}: ____"
        case other:
            yield f"[{other}]"


def _buttons_line(elements: list[Json]) -> Iterator[str]:
    labels = [f"[{e['text']['text']}]" for e in elements if e.get("type") == "button"]
    if labels:
        yield " ".join(labels)


def _text(part: Json, names: Mapping[str, str]) -> str:
    text = str(part.get("text", ""))
    return plain_text(text, names) if part.get("type") == "mrkdwn" else text


def _task(task: Json, names: Mapping[str, str]) -> Iterator[str]:
    details = " · ".join(rich_text(task[name], names) for name in ("details", "output") if task.get(name))
    yield f"  {_TASK_MARKS[task['status']]} {task['title']}" + (f" · {details}" if details else "")


def rich_text(block: Json, names: Mapping[str, str]) -> str:
    """The words of a rich_text block."""
    return "\n".join("".join(_inline(section, names)) for section in block["elements"])


def _inline(section: Json, names: Mapping[str, str]) -> Iterator[str]:
    for element in section.get("elements", []):
        match element.get("type"):
            case "text":
                yield element["text"]
            case "link":
                yield f"{element['text']} ({element['url']})" if element.get("text") else element["url"]
            case "user":
                yield "@" + names.get(element["user_id"], element["user_id"])
            case "channel":
                yield "#" + names.get(element["channel_id"], element["channel_id"])
            case "emoji":
                yield f":{element['name']}:"
            case "date":
                yield element.get("fallback", "")
            case "broadcast":
                yield f"@{element['range']}"
            case _:
                yield from _inline(element, names)

"""What a person would read: messages as plain text, for tests and the demo."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from platforms.discord.simulator.kit import walk
from platforms.discord.simulator.state import StoredMessage

Json = dict[str, Any]
_MENTION = re.compile(r"<([@#])[!&]?(\d+)>")
_TIME = re.compile(r"<t:(\d+)(?::[a-zA-Z])?>")
_LINK = re.compile(r"\[([^\]\n]+)\]\(<?(https?://[^)>\s]+)>?\)")


class ButtonSeen(NamedTuple):
    """A button as a person sees it."""

    label: str
    custom_id: str
    url: str
    disabled: bool


def render_text(message: StoredMessage, names: Mapping[str, str] | None = None) -> str:
    """The message as a person reads it: text, embeds and components. Buttons as `[Label]`.

    `names` turns user, role and channel ids into names.
    """
    known = names or {}
    parts = [message.text] if message.text else []
    parts += [str(e[n]) for e in message.embeds for n in ("title", "description") if e.get(n)]
    parts += [line for component in message.components for line in _component(component)]
    return plain_text("\n".join(parts), known)


def plain_text(text: str, names: Mapping[str, str] | None = None) -> str:
    """Discord's tokens resolved: mentions to names, times to UTC, links to `label (address)`."""
    known = names or {}
    text = _MENTION.sub(lambda m: m[1] + known.get(m[2], m[2]), text)
    text = _TIME.sub(lambda m: f"{datetime.fromtimestamp(int(m[1]), UTC):%Y-%m-%d %H:%M} UTC", text)
    return _LINK.sub(lambda m: m[1] if m[1] == m[2] else f"{m[1]} ({m[2]})", text)


def buttons(message: StoredMessage) -> list[ButtonSeen]:
    """The buttons of a message in order."""
    return [
        ButtonSeen(c.get("label") or "", c.get("custom_id") or "", c.get("url") or "", bool(c.get("disabled")))
        for c in walk(message.components)
        if c["type"] == 2
    ]


def _component(component: Json) -> Iterator[str]:
    kind = component["type"]
    if kind == 10:
        yield component["content"]
    elif kind == 2:
        yield f"[{component.get('label') or (component.get('emoji') or {}).get('name', '')}]"
    elif kind == 3:
        yield f"[{component.get('placeholder') or 'Choose'} ▾]"
    elif kind == 1:
        yield " ".join(line for child in component["components"] for line in _component(child))
    elif kind == 14:
        yield ""
    else:
        for child in [*component.get("components", []), *filter(None, [component.get("accessory")])]:
            yield from _component(child)

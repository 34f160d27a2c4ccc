"""The shape of a `rich_text` block, field by field."""

from collections.abc import Iterator
from typing import Any

_STYLES = {"bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink"}

_INLINE: dict[str, tuple[set[str], set[str]]] = {
    "text": ({"text"}, {"style"}),
    "link": ({"url"}, {"text", "unsafe", "style"}),
    "user": ({"user_id"}, {"style"}),
    "channel": ({"channel_id"}, {"style"}),
    "emoji": ({"name"}, {"unicode", "skin_tone", "style"}),
    "date": ({"timestamp", "format"}, {"url", "fallback", "style"}),
    "broadcast": ({"range"}, {"style"}),
}
"""Inline elements: required fields, optional fields."""

_SECTIONS: dict[str, tuple[set[str], set[str]]] = {
    "rich_text_section": ({"elements"}, set()),
    "rich_text_preformatted": ({"elements"}, {"border", "language"}),
    "rich_text_quote": ({"elements"}, {"border"}),
    "rich_text_list": ({"elements", "style"}, {"indent", "offset", "border"}),
}


def check_rich_text(block: Any, where: str, single: bool = False) -> Iterator[str]:
    """Problems of one `rich_text` block. `single`: exactly one section, as in a task card's details and output."""
    if not isinstance(block, dict) or block.get("type") != "rich_text":
        yield f"[ERROR] must be a rich_text block [json-pointer:{where}]"
        return
    yield from _fields(block, where, {"elements"}, {"block_id"})
    elements = block.get("elements")
    if not isinstance(elements, list) or not elements or (single and len(elements) != 1):
        yield f"[ERROR] must have {'exactly one' if single else 'at least one'} element [json-pointer:{where}/elements]"
        return
    for index, section in enumerate(elements):
        yield from _section(section, f"{where}/elements/{index}")


def _section(section: Any, where: str) -> Iterator[str]:
    kind = section.get("type") if isinstance(section, dict) else None
    if kind not in _SECTIONS:
        yield f"[ERROR] unsupported element [json-pointer:{where}/type]"
        return
    yield from _fields(section, where, *_SECTIONS[kind])
    inner = section.get("elements")
    for index, element in enumerate(inner if isinstance(inner, list) else []):
        check = _section if kind == "rich_text_list" else _inline
        yield from check(element, f"{where}/elements/{index}")


def _inline(element: Any, where: str) -> Iterator[str]:
    kind = element.get("type") if isinstance(element, dict) else None
    if kind not in _INLINE:
        yield f"[ERROR] unsupported element [json-pointer:{where}/type]"
        return
    yield from _fields(element, where, *_INLINE[kind])
    style = element.get("style", {})
    if not isinstance(style, dict) or set(style) - _STYLES:
        yield f"[ERROR] invalid style [json-pointer:{where}/style]"
    if kind == "text" and not (isinstance(element.get("text"), str) and element["text"]):
        yield f"[ERROR] must be more than 0 characters [json-pointer:{where}/text]"


def _fields(value: dict[str, Any], where: str, required: set[str], optional: set[str]) -> Iterator[str]:
    for name in required - set(value):
        yield f"[ERROR] missing required field: {name} [json-pointer:{where}]"
    for name in set(value) - required - optional - {"type"}:
        yield f"[ERROR] invalid additional property: {name} [json-pointer:{where}]"

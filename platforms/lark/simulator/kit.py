"""Checks card JSON 2.0 as Lark does: an attribute or a tag that is not in these tables is refused (230099).

Of the inner codes only 200861 (a tag 2.0 no longer has), 11310 (tables) and 200621 (no JSON) are the platform's; 10002
stands for all others and is made up. Source: the card JSON 2.0 pages of open.larksuite.com.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Check = Callable[[Any, str], Iterator["Problem"]]
Problem = tuple[int, str, str]
"""Inner code, message, path."""

MAX_ELEMENTS = 200
MAX_TABLES = 5
"""Tables in one card, those inside markdown counted (reported by several projects)."""
GONE_TAGS = ("note", "action")
TEMPLATES = (
    *("blue", "wathet", "turquoise", "green", "yellow", "orange", "red", "carmine"),
    *("violet", "purple", "indigo", "grey", "default"),
)
LOCALES = (
    *("zh_cn", "en_us", "ja_jp", "zh_hk", "zh_tw", "id_id", "vi_vn", "th_th", "pt_br", "es_es"),
    *("ko_kr", "de_de", "fr_fr", "it_it", "ru_ru", "ms_my"),
)
_TABLE = re.compile(r"^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)+\|?\s*$", re.MULTILINE)
_FENCE = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)


def card_problem(card: Any) -> str | None:
    """What Lark says about a card, as in the `msg` of 230099; None when it is fine."""
    found = next(iter(_problems(card)), None)
    if found is None:
        return None
    code, message, path = found
    where = f"ErrPath: {path}; " if path else ""
    return f"Failed to create card content, ext=ErrCode: {code}; ErrMsg: {message}; {where}"


def _problems(card: Any) -> Iterator[Problem]:
    if not isinstance(card, dict):
        yield 200621, "parse card json err", ""
        return
    if card.get("schema") != "2.0":
        yield 10002, "only schema 2.0 is simulated", "schema"
        return
    yield from _ROOT(card, "")
    elements = [e for e in _walk(card.get("body")) if "tag" in e]
    ids = [e["element_id"] for e in elements if "element_id" in e]
    for name in {i for i in ids if ids.count(i) > 1}:
        yield 10002, f"element_id {name} is duplicate", "body"
    if len(elements) > MAX_ELEMENTS:
        yield 10002, "card element number over limit", "body"
    if _tables(elements) > MAX_TABLES:
        yield 11310, "card table number over limit; ErrorValue: table", ""


def _walk(part: Any) -> Iterator[Json]:
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for child in part:
            yield from _walk(child)


def _tables(elements: list[Json]) -> int:
    """Native tables and those in markdown, whichever language has most."""
    count = sum(e["tag"] == "table" for e in elements)
    for element in elements:
        if element["tag"] == "markdown":
            texts = [element.get("content"), *(element.get("i18n_content") or {}).values()]
            count += max(len(_TABLE.findall(_FENCE.sub("", str(text)))) for text in texts)
    return count


def shape(required: dict[str, Check], optional: dict[str, Check]) -> Check:
    """An object with exactly these fields beside `tag`."""
    known = {**required, **optional}

    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield 10002, "must be an object", where
            return
        for name in required:
            if name not in value:
                yield 10002, f"missing property, property: {name}", where
        for name, content in value.items():
            if name == "tag":
                continue
            path = f"{where} -> {name}" if where else name
            if name not in known:
                yield 10002, f"unknown property, property: {name}", path
            else:
                yield from known[name](content, path)

    return check


def string(value: Any, where: str) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield 10002, "must be a string", where


def flag(value: Any, where: str) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield 10002, "must be a boolean", where


def number(value: Any, where: str) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield 10002, "must be a number", where


def anything(value: Any, where: str) -> Iterator[Problem]:
    yield from ()


def one_of(*allowed: Any) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if value not in allowed:
            yield 10002, f"invalid value {str(value)[:40]!r}", where

    return check


def many(item: Check, most: int = MAX_ELEMENTS) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, list) or len(value) > most:
            yield 10002, f"must be an array of at most {most}", where
            return
        for index, entry in enumerate(value):
            tag = f"(tag: {entry.get('tag')})" if isinstance(entry, dict) else ""
            yield from item(entry, f"{where} -> [{index}]{tag}")

    return check


def by_tag(table: dict[str, Check]) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        tag = value.get("tag") if isinstance(value, dict) else None
        if tag in GONE_TAGS:
            yield 200861, f"cards of schema V2 no longer support this capability; unsupported tag {tag}", where
        elif tag not in table:
            yield 10002, f"not support tag: {tag}", where
        else:
            yield from table[tag](value, where)

    return check


def _locales(value: Any, where: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield 10002, "must be an object", where
        return
    for name, text in value.items():
        if name not in LOCALES:
            yield 10002, f"unknown property, property: {name}", where
        yield from string(text, where)


def _element_id(value: Any, where: str) -> Iterator[Problem]:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]\w{0,19}", value):
        yield 10002, "element_id must begin with a letter and have at most 20 letters, digits and _", where


def _url(value: Any, where: str) -> Iterator[Problem]:
    if not isinstance(value, str) or not re.match(r"(https?|lark|feishu)://", value):
        yield 10002, "invalid url", where


def _elements(value: Any, where: str) -> Iterator[Problem]:
    yield from many(by_tag(ELEMENTS))(value, where)


_STYLE: dict[str, Check] = dict.fromkeys(("text_align", "text_size", "text_color"), string)
_PLAIN = by_tag({"plain_text": shape({"content": string}, {"i18n_content": _locales, "lines": number, **_STYLE})})
_TEXT = by_tag(
    {
        tag: shape({"content": string}, {"i18n_content": _locales, "lines": number, **_STYLE})
        for tag in ("plain_text", "lark_md")
    }
)
_ICON = by_tag(
    {
        "standard_icon": shape({"token": string}, {"color": string, "size": string}),
        "custom_icon": shape({"img_key": string}, {"size": string}),
    }
)
_PLACE: dict[str, Check] = {"element_id": _element_id, "margin": string}
_LAYOUT: dict[str, Check] = dict.fromkeys(
    ("direction", "padding", "horizontal_spacing", "horizontal_align", "vertical_spacing", "vertical_align"), string
)
_URLS: dict[str, Check] = dict.fromkeys(("pc_url", "ios_url", "android_url"), string)


def _behavior(value: Any, where: str) -> Iterator[Problem]:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "callback":
        yield from shape({"type": string, "value": anything}, {})(value, where)
    elif kind == "open_url":
        yield from shape({"type": string, "default_url": _url}, _URLS)(value, where)
    else:
        yield 10002, f"unknown behavior {kind}", where


_BEHAVIORS = many(_behavior)
_CONFIRM = shape({"title": _PLAIN, "text": _PLAIN}, {})
_BUTTON_TYPES = (
    *("default", "primary", "danger", "text", "primary_text", "danger_text"),
    *("primary_filled", "danger_filled", "laser"),
)
_BUTTON = shape(
    {},
    {
        "text": _PLAIN,
        "type": one_of(*_BUTTON_TYPES),
        "size": one_of("tiny", "small", "medium", "large"),
        "width": string,
        "icon": _ICON,
        "hover_tips": _PLAIN,
        "disabled": flag,
        "disabled_tips": _PLAIN,
        "confirm": _CONFIRM,
        "behaviors": _BEHAVIORS,
        "name": string,
        "required": flag,
        "form_action_type": one_of("submit", "reset"),
        **_PLACE,
    },
)
_COLUMN = shape(
    {},
    {
        "elements": _elements,
        "width": string,
        "weight": number,
        "background_style": string,
        "action": anything,
        **_LAYOUT,
        **_PLACE,
    },
)
_PANEL_HEADER = shape(
    {"title": by_tag({**dict.fromkeys(("plain_text", "lark_md"), _TEXT), "markdown": shape({"content": string}, {})})},
    {
        "background_color": string,
        "vertical_align": string,
        "padding": string,
        "position": string,
        "width": string,
        "icon": _ICON,
        "icon_position": one_of("left", "right", "follow_text"),
        "icon_expanded_angle": number,
    },
)
_BORDER = shape({}, {"color": string, "corner_radius": string})
_TABLE_COLUMN = shape(
    {"name": string},
    {
        "display_name": string,
        "i18n_display_name": _locales,
        "data_type": one_of("text", "lark_md", "options", "number", "persons", "date", "markdown"),
        "width": string,
        "horizontal_align": string,
        "vertical_align": string,
        "format": anything,
        "date_format": string,
    },
)

ELEMENTS: dict[str, Check] = {
    "markdown": shape(
        {"content": string},
        {"i18n_content": _locales, "text_align": string, "text_size": string, "icon": _ICON, **_PLACE},
    ),
    "div": shape({}, {"text": _TEXT, "icon": _ICON, "width": string, **_PLACE}),
    "hr": shape({}, _PLACE),
    "button": _BUTTON,
    "column_set": shape(
        {"columns": many(by_tag({"column": _COLUMN}))},
        {
            "flex_mode": one_of("none", "stretch", "flow", "bisect", "trisect"),
            "horizontal_spacing": string,
            "horizontal_align": string,
            "background_style": string,
            "action": anything,
            **_PLACE,
        },
    ),
    "collapsible_panel": shape(
        {"header": _PANEL_HEADER, "elements": _elements},
        {"expanded": flag, "background_color": string, "border": _BORDER, **_LAYOUT, **_PLACE},
    ),
    "interactive_container": shape(
        {"elements": _elements},
        {
            "behaviors": _BEHAVIORS,
            "width": string,
            "height": string,
            "background_style": string,
            "has_border": flag,
            "border_color": string,
            "corner_radius": string,
            "hover_tips": _PLAIN,
            "disabled": flag,
            "confirm": _CONFIRM,
            **_LAYOUT,
            **_PLACE,
        },
    ),
    "table": shape(
        {"columns": many(_TABLE_COLUMN, 50), "rows": many(anything, 10_000)},
        {
            "page_size": one_of(*range(1, 11)),
            "row_height": string,
            "row_max_height": string,
            "freeze_first_column": flag,
            "header_style": anything,
            **_PLACE,
        },
    ),
    "img": shape(
        {"img_key": string, "alt": _PLAIN},
        {
            "title": _PLAIN,
            "corner_radius": string,
            "scale_type": one_of("crop_center", "fit_horizontal", "crop_top"),
            "size": string,
            "transparent": flag,
            "preview": flag,
            **_PLACE,
        },
    ),
}
_CONFIG = shape(
    {},
    {
        "update_multi": one_of(True),
        "summary": shape({}, {"content": string, "i18n_content": _locales}),
        "locales": many(one_of(*LOCALES)),
        "width_mode": one_of("default", "fill", "compact"),
        **dict.fromkeys(
            ("streaming_mode", "enable_forward", "use_custom_translation", "enable_forward_interaction"), flag
        ),
        "streaming_config": anything,
        "style": anything,
    },
)
_TAGS = many(by_tag({"text_tag": shape({"text": _PLAIN}, {"color": string, "element_id": _element_id})}), 3)
_HEADER = shape(
    {"title": _TEXT},
    {
        "subtitle": _TEXT,
        "template": one_of(*TEMPLATES),
        "text_tag_list": _TAGS,
        "i18n_text_tag_list": anything,
        "icon": _ICON,
        "padding": string,
    },
)
_ROOT = shape(
    {"schema": one_of("2.0")},
    {
        "config": _CONFIG,
        "card_link": shape({}, {"url": _url, **_URLS}),
        "header": _HEADER,
        "body": shape({}, {"elements": _elements, **_LAYOUT}),
    },
)

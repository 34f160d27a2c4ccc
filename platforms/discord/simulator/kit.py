"""Checks message components, embeds and modals as Discord does: a strict allow-list of types, fields and lengths.

A component type or a field that is not in these tables is refused, also where Discord might know it.
Limits: docs.discord.com/developers/components/reference.
"""

from collections.abc import Callable, Iterator
from typing import Any

from platforms.discord.simulator.catalog import MAX_COMPONENTS, MAX_SHOWN
from platforms.discord.simulator.refusals import Problem, bad_length, required, too_long, wrong_choice

Json = dict[str, Any]
Check = Callable[[Any, str], Iterator[Problem]]

ROW, BUTTON, SELECT, INPUT, SECTION, TEXT, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER, LABEL = (
    1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 17, 18
)  # fmt: skip


def component_problems(components: Any, *, v2: bool) -> list[Problem]:
    """What Discord would complain about in the components of a message; empty when they are fine."""
    if not isinstance(components, list):
        return [("components", "BASE_TYPE_LIST", "Only list types may be converted to a list.")]
    most = MAX_COMPONENTS if v2 else 5
    if len(components) > most:
        return [bad_length("components", 0 if not v2 else 1, most)]
    top = _TOP_V2 if v2 else _TOP
    problems = [p for i, c in enumerate(components) for p in _one_of(top)(c, f"components/{i}")]
    return problems or [*_together(components, v2)]


def modal_problems(body: Json) -> list[Problem]:
    """The same for a modal (`data` of callback type 9)."""
    problems = [*_text(45)(body.get("title"), "data/title"), *_text(100)(body.get("custom_id"), "data/custom_id")]
    components = body.get("components")
    if not isinstance(components, list) or not 1 <= len(components) <= 5:
        return [*problems, bad_length("data/components", 1, 5)]
    for index, component in enumerate(components):
        problems += _one_of(_TOP_MODAL)(component, f"data/components/{index}")
    return problems or [*_duplicates(components)]


def walk(components: list[Json]) -> Iterator[Json]:
    """Every component, outer ones first, in the order shown."""
    for component in components:
        yield component
        yield from walk(component.get("components") or [])
        for name in ("accessory", "component"):
            if component.get(name):
                yield from walk([component[name]])


def number(components: list[Json]) -> list[Json]:
    """Gives each component without an `id` one, as Discord does."""
    taken = {component["id"] for component in walk(components) if component.get("id")}
    following = 1
    for component in walk(components):
        if not component.get("id"):
            while following in taken:
                following += 1
            component["id"] = following
            taken.add(following)
    return components


def shown_text(components: list[Json]) -> str:
    """The text of all text displays together."""
    return "\n".join(component["content"] for component in walk(components) if component["type"] == TEXT)


def _together(components: list[Json], v2: bool) -> Iterator[Problem]:
    yield from _duplicates(components)
    if not v2:
        return
    if sum(1 for _ in walk(components)) > MAX_COMPONENTS:
        yield "components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", "The maximum number of total components is 40"
    if sum(len(c["content"]) for c in walk(components) if c["type"] == TEXT) > MAX_SHOWN:
        sentence = "The total displayable text size exceeds the maximum size of 4000"
        yield "components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", sentence


def _duplicates(components: list[Json]) -> Iterator[Problem]:
    seen: set[str] = set()
    for component in walk(components):
        custom_id = component.get("custom_id")
        if custom_id is not None and custom_id in seen:
            sentence = "Component custom id cannot be duplicated"
            yield "components", "COMPONENT_CUSTOM_ID_DUPLICATED", sentence
        seen.add(custom_id or "")


def _one_of(table: dict[int, Check]) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        kind = value.get("type") if isinstance(value, dict) else None
        found = table.get(kind) if isinstance(kind, int) else None
        if found is None:
            yield f"{where}/type", "UNION_TYPE_CHOICES", f'Value of field "type" must be one of {tuple(table)}.'
        else:
            yield from found(value, where)

    return check


def _shape(needed: dict[str, Check], optional: dict[str, Check], *rules: Check) -> Check:
    """An object with these fields beside `type` and `id`; null counts as not given."""
    known = {**needed, **optional, "type": _any, "id": _whole(0, 2**31 - 1)}

    def check(value: Any, where: str) -> Iterator[Problem]:
        yield from (required(f"{where}/{name}") for name in needed if value.get(name) is None)
        for name, content in value.items():
            if name not in known:
                yield f"{where}/{name}", "SIMULATOR_UNKNOWN_FIELD", f"The simulator knows no field {name} here."
            elif content is not None:
                yield from known[name](content, f"{where}/{name}")
        for rule in rules:
            yield from rule(value, where)

    return check


def _any(value: Any, where: str) -> Iterator[Problem]:
    return iter(())


def _text(most: int, least: int = 1) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if value is None:
            yield required(where)
        elif not isinstance(value, str):
            yield where, "STRING_TYPE_CONVERT", "Could not interpret value as string."
        elif not least <= len(value) <= most:
            yield bad_length(where, least, most) if least else too_long(where, most)

    return check


def _whole(least: int, most: int) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, int) or isinstance(value, bool):
            yield where, "NUMBER_TYPE_COERCE", "Could not interpret value as number."
        elif not least <= value <= most:
            yield where, "NUMBER_TYPE_MAX", f"int value should be between {least} and {most}."

    return check


def _flag(value: Any, where: str) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield where, "BOOLEAN_TYPE_CONVERT", "Must be either true or false."


def _choice(*allowed: Any) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if value not in allowed:
            yield wrong_choice(where, allowed)

    return check


def _many(item: Check, least: int, most: int) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            yield bad_length(where, least, most)
        else:
            for index, entry in enumerate(value):
                yield from item(entry, f"{where}/{index}")

    return check


def _button_rules(value: Json, where: str) -> Iterator[Problem]:
    link, custom_id = value.get("url"), value.get("custom_id")
    if value.get("style") == 5:
        if link is None:
            yield required(f"{where}/url")
        elif not str(link).startswith(("http://", "https://", "discord://")):
            yield f"{where}/url", "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('discord', 'http', 'https')."
        if custom_id is not None:
            yield where, "COMPONENT_CUSTOM_ID_AND_URL", "A custom id and url cannot both be specified"
    elif custom_id is None:
        yield f"{where}/custom_id", "COMPONENT_CUSTOM_ID_REQUIRED", "A custom id is required"
    elif link is not None:
        yield where, "COMPONENT_CUSTOM_ID_AND_URL", "A custom id and url cannot both be specified"
    if not value.get("label") and not value.get("emoji"):
        yield f"{where}/label", "BUTTON_COMPONENT_INVALID_LABEL", "Either label or emoji must be set"


def _row_rules(value: Json, where: str) -> Iterator[Problem]:
    kinds = [c.get("type") for c in value.get("components", []) if isinstance(c, dict)]
    if any(kind != BUTTON for kind in kinds) and len(kinds) > 1:
        sentence = "The specified component exceeds the maximum width"
        yield f"{where}/components/1", "COMPONENT_LAYOUT_WIDTH_EXCEEDED", sentence


def _labelled(value: Json, where: str) -> Iterator[Problem]:
    for index, component in enumerate(value.get("components", [])):
        if isinstance(component, dict) and not component.get("label"):
            yield required(f"{where}/components/{index}/label")


_ID = _text(100)
_EMOJI = _shape({}, {"name": _any, "animated": _any})
_MEDIA = _shape({"url": _text(2048)}, {})
_OPTION = _shape(
    {"label": _text(100), "value": _text(100)}, {"description": _text(100), "emoji": _EMOJI, "default": _flag}
)
_BUTTON = _shape(
    {"style": _choice(1, 2, 3, 4, 5)},
    {"label": _text(80, 0), "custom_id": _ID, "url": _text(512), "emoji": _EMOJI, "disabled": _flag},
    _button_rules,
)
_SELECT = _shape(
    {"custom_id": _ID, "options": _many(_OPTION, 1, 25)},
    {
        "placeholder": _text(150, 0),
        "min_values": _whole(0, 25),
        "max_values": _whole(1, 25),
        "disabled": _flag,
        "required": _flag,
    },
)
_INPUT = _shape(
    {"custom_id": _ID, "style": _choice(1, 2)},
    {
        "label": _text(45),
        "placeholder": _text(100, 0),
        "value": _text(4000, 0),
        "required": _flag,
        "min_length": _whole(0, 4000),
        "max_length": _whole(1, 4000),
    },
)
_TEXT = _shape({"content": _text(MAX_SHOWN)}, {})
_SECTION = _shape(
    {
        "components": _many(_one_of({TEXT: _TEXT}), 1, 3),
        "accessory": _one_of(
            {BUTTON: _BUTTON, THUMBNAIL: _shape({"media": _MEDIA}, {"description": _text(1024), "spoiler": _flag})}
        ),
    },
    {},
)
_GALLERY = _shape(
    {"items": _many(_shape({"media": _MEDIA}, {"description": _text(1024), "spoiler": _flag}), 1, 10)}, {}
)
_MESSAGE_ROW = _shape({"components": _many(_one_of({BUTTON: _BUTTON, SELECT: _SELECT}), 1, 5)}, {}, _row_rules)
_INNER: dict[int, Check] = {
    ROW: _MESSAGE_ROW,
    SECTION: _SECTION,
    TEXT: _TEXT,
    GALLERY: _GALLERY,
    FILE: _shape({"file": _MEDIA}, {"spoiler": _flag}),
    SEPARATOR: _shape({}, {"divider": _flag, "spacing": _choice(1, 2)}),
}
_CONTAINER = _shape(
    {"components": _many(_one_of(_INNER), 1, MAX_COMPONENTS)},
    {"accent_color": _whole(0, 0xFFFFFF), "spoiler": _flag},
)
_TOP: dict[int, Check] = {ROW: _MESSAGE_ROW}
_TOP_V2: dict[int, Check] = {**_INNER, CONTAINER: _CONTAINER}
_TOP_MODAL: dict[int, Check] = {
    ROW: _shape({"components": _many(_one_of({INPUT: _INPUT}), 1, 1)}, {}, _labelled),
    LABEL: _shape(
        {"label": _text(45), "component": _one_of({INPUT: _INPUT, SELECT: _SELECT})}, {"description": _text(100)}
    ),
    TEXT: _TEXT,
}

"""Checks Block Kit as Slack does: an own strict allow-list of types, fields and lengths, then slack_sdk's validators.

A block type or a field that is not in these tables is refused (`invalid_blocks`), also where Slack might know it.
Limits: docs.slack.dev/reference/block-kit.
"""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from platforms.slack.simulator.richtext import check_rich_text

Json = dict[str, Any]
Problem = str
Check = Callable[[Any, str], Iterator[Problem]]

MAX_TEXT = 40_000
MAX_MARKDOWN = 12_000
MAX_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_METADATA = 16_384
"""Bytes of a message's metadata as JSON (not verified)."""


def block_problems(blocks: Any, *, limit: int = MAX_BLOCKS, in_view: bool = False) -> list[Problem]:
    """What Slack would complain about, as in `response_metadata.messages`; empty when the blocks are fine."""
    if not isinstance(blocks, list):
        return ["[ERROR] must provide an array [json-pointer:/blocks]"]
    if len(blocks) > limit:
        return [f"[ERROR] no more than {limit} items allowed [json-pointer:/blocks]"]
    problems: list[Problem] = []
    for index, block in enumerate(blocks):
        found = list(_check_block(block, f"/blocks/{index}", in_view=in_view))
        problems += found or list(_check_by_sdk(block, f"/blocks/{index}"))
    if not problems:
        problems += _check_together(blocks)
    return problems


def metadata_problem(metadata: Any) -> str | None:
    """The error code for a message's metadata, None when it is fine."""
    if not isinstance(metadata, dict):
        return "invalid_metadata_format"
    if not metadata:
        return None
    if set(metadata) - {"event_type", "event_payload", "entities"}:
        return "invalid_metadata_schema"
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        return "invalid_metadata_schema"
    return "metadata_too_large" if len(json.dumps(metadata).encode()) > MAX_METADATA else None


def _check_together(blocks: list[Json]) -> list[Problem]:
    types = [block["type"] for block in blocks]
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    problems: list[Problem] = []
    if "plan" in types and "task_card" in types:
        problems.append("[ERROR] plan and task_card blocks cannot be used together [json-pointer:/blocks]")
    problems += [f"[ERROR] block_id `{i}` already exists [json-pointer:/blocks]" for i in set(ids) if ids.count(i) > 1]
    if sum(len(b["text"]) for b in blocks if b["type"] == "markdown") > MAX_MARKDOWN:
        problems.append(f"[ERROR] markdown text exceeds {MAX_MARKDOWN} characters [json-pointer:/blocks]")
    return problems


def _check_block(block: Any, where: str, *, in_view: bool) -> Iterator[Problem]:
    if not isinstance(block, dict):
        yield f"[ERROR] must be an object [json-pointer:{where}]"
        return
    shape = BLOCKS.get(str(block.get("type")))
    if shape is None or (block["type"] in _MESSAGE_ONLY and in_view):
        yield f"[ERROR] unsupported type: {block.get('type')} [json-pointer:{where}/type]"
        return
    yield from shape(block, where)


def _check_by_sdk(block: Json, where: str) -> Iterator[Problem]:
    try:
        parsed = Block.parse(copy.deepcopy(block))
        if parsed is None:
            yield f"[ERROR] unsupported type: {block['type']} [json-pointer:{where}/type]"
        else:
            parsed.to_dict()
    except (SlackObjectFormationError, TypeError, ValueError) as error:
        yield f"[ERROR] {error} [json-pointer:{where}]"


def shape(required: dict[str, Check], optional: dict[str, Check], *rules: Check) -> Check:
    """An object with exactly these fields beside `type` (and rules over the whole)."""
    known = {**required, **optional}

    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield f"[ERROR] must be an object [json-pointer:{where}]"
            return
        yield from (f"[ERROR] missing required field: {f} [json-pointer:{where}]" for f in required if f not in value)
        for name, content in value.items():
            if name == "type":
                continue
            if name not in known:
                yield f"[ERROR] invalid additional property: {name} [json-pointer:{where}]"
            else:
                yield from known[name](content, f"{where}/{name}")
        for rule in rules:
            yield from rule(value, where)

    return check


def text_up_to(limit: int, least: int = 1) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield f"[ERROR] must be a string [json-pointer:{where}]"
        elif len(value) > limit:
            yield f"[ERROR] must be less than {limit + 1} characters [json-pointer:{where}]"
        elif len(value) < least:
            yield f"[ERROR] must be more than {least - 1} characters [json-pointer:{where}]"

    return check


def one_of(*allowed: Any) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if value not in allowed:
            yield f"[ERROR] must be a valid enum value [json-pointer:{where}]"

    return check


def boolean(value: Any, where: str) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield f"[ERROR] must be a boolean [json-pointer:{where}]"


def many(item: Check, most: int, least: int = 1) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield f"[ERROR] must provide an array [json-pointer:{where}]"
        elif not least <= len(value) <= most:
            yield f"[ERROR] must have {least} to {most} items [json-pointer:{where}]"
        else:
            for index, entry in enumerate(value):
                yield from item(entry, f"{where}/{index}")

    return check


def by_type(table: dict[str, Check]) -> Check:
    def check(value: Any, where: str) -> Iterator[Problem]:
        found = table.get(str(value.get("type"))) if isinstance(value, dict) else None
        if found is None:
            yield f"[ERROR] unsupported element [json-pointer:{where}/type]"
        else:
            yield from found(value, where)

    return check


def plain(limit: int) -> Check:
    return by_type({"plain_text": shape({"text": text_up_to(limit)}, {"emoji": boolean})})


def any_text(limit: int) -> Check:
    mrkdwn = shape({"text": text_up_to(limit)}, {"verbatim": boolean})
    return by_type({"plain_text": shape({"text": text_up_to(limit)}, {"emoji": boolean}), "mrkdwn": mrkdwn})


def _unique_actions(value: Json, where: str) -> Iterator[Problem]:
    elements = value.get("elements")
    ids = [e.get("action_id") for e in elements if isinstance(e, dict)] if isinstance(elements, list) else []
    for name in {i for i in ids if i is not None and ids.count(i) > 1}:
        yield f"[ERROR] action_id `{name}` already exists [json-pointer:{where}/elements]"


def _text_or_fields(value: Json, where: str) -> Iterator[Problem]:
    if "text" not in value and "fields" not in value:
        yield f"[ERROR] missing required field: text or fields [json-pointer:{where}]"


_ACTION_ID = text_up_to(255)
_URL = text_up_to(3000)
_STYLE = one_of("primary", "danger")
_CONFIRM = shape(
    {"title": plain(100), "text": any_text(300), "confirm": plain(30), "deny": plain(30)}, {"style": _STYLE}
)
_OPTION = shape({"text": any_text(75), "value": text_up_to(150)}, {"description": any_text(75), "url": _URL})
_OPTIONS: dict[str, Check] = {
    "options": many(_OPTION, 100),
    "action_id": _ACTION_ID,
    "initial_option": _OPTION,
    "placeholder": plain(150),
    "confirm": _CONFIRM,
    "focus_on_load": boolean,
}
_BUTTON = shape(
    {"text": plain(75)},
    {
        "action_id": _ACTION_ID,
        "url": _URL,
        "value": text_up_to(2000),
        "style": _STYLE,
        "confirm": _CONFIRM,
        "accessibility_label": text_up_to(75),
    },
)
_IMAGE = shape({"alt_text": text_up_to(2000)}, {"image_url": _URL})
_ELEMENTS: dict[str, Check] = {
    "button": _BUTTON,
    "static_select": shape({}, _OPTIONS),
    "overflow": shape({"options": many(_OPTION, 5)}, {"action_id": _ACTION_ID, "confirm": _CONFIRM}),
}


def _seconds(value: Any, where: str) -> Iterator[Problem]:
    if not isinstance(value, int) or isinstance(value, bool) or len(str(value)) != 10:
        yield f"[ERROR] must be a UNIX timestamp of 10 digits [json-pointer:{where}]"


_INPUTS: dict[str, Check] = {
    "static_select": _ELEMENTS["static_select"],
    "plain_text_input": shape(
        {},
        {
            "action_id": _ACTION_ID,
            "initial_value": text_up_to(3000, 0),
            "multiline": boolean,
            "min_length": lambda value, where: iter(()),
            "max_length": lambda value, where: iter(()),
            "placeholder": plain(150),
            "focus_on_load": boolean,
        },
    ),
    "datetimepicker": shape(
        {},
        {
            "action_id": _ACTION_ID,
            "initial_date_time": _seconds,
            "confirm": _CONFIRM,
            "focus_on_load": boolean,
        },
    ),
}
_BLOCK_ID: dict[str, Check] = {"block_id": text_up_to(255)}
_SOURCE = by_type({"url": shape({"url": _URL, "text": text_up_to(3000)}, {})})
_TASK_CARD = shape(
    {
        "task_id": text_up_to(255),
        "title": text_up_to(3000),
        "status": one_of("pending", "in_progress", "complete", "error"),
    },
    {
        "details": lambda value, where: check_rich_text(value, where, single=True),
        "output": lambda value, where: check_rich_text(value, where, single=True),
        "sources": many(_SOURCE, 50, 0),
        **_BLOCK_ID,
    },
)

BLOCKS: dict[str, Check] = {
    "section": shape(
        {},
        {
            "text": any_text(3000),
            "fields": many(any_text(2000), 10),
            "accessory": by_type({**_ELEMENTS, "image": _IMAGE}),
            "expand": boolean,
            **_BLOCK_ID,
        },
        _text_or_fields,
    ),
    "divider": shape({}, _BLOCK_ID),
    "header": shape({"text": plain(150)}, _BLOCK_ID),
    "image": shape({"alt_text": text_up_to(2000), "image_url": _URL}, {"title": plain(2000), **_BLOCK_ID}),
    "actions": shape({"elements": many(by_type(_ELEMENTS), 25)}, _BLOCK_ID, _unique_actions),
    "context": shape(
        {"elements": many(by_type({"image": _IMAGE, "plain_text": any_text(3000), "mrkdwn": any_text(3000)}), 10)},
        _BLOCK_ID,
    ),
    "markdown": shape({"text": text_up_to(MAX_MARKDOWN)}, _BLOCK_ID),
    "rich_text": check_rich_text,
    "plan": shape({"title": text_up_to(3000)}, {"tasks": many(by_type({"task_card": _TASK_CARD}), 50, 0), **_BLOCK_ID}),
    "task_card": _TASK_CARD,
    "input": shape(
        {"label": plain(2000), "element": by_type(_INPUTS)},
        {"hint": plain(2000), "optional": boolean, "dispatch_action": boolean, **_BLOCK_ID},
    ),
}
_MESSAGE_ONLY = {"plan", "task_card", "markdown"}

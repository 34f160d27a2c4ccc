"""Requests and answers of the REST API held against Discord's own OpenAPI description.

The description is in `tests/fixtures/discord/openapi-excerpt.json`, written by `tools/discord_openapi_excerpt.py`.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from platforms.discord.simulator import Call

EXCERPT = Path(__file__).parents[2] / "fixtures" / "discord" / "openapi-excerpt.json"


@cache
def excerpt() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(EXCERPT.read_text("utf-8"))
    return found


@cache
def _validator(names: tuple[str, ...]) -> jsonschema.Draft202012Validator:
    choices = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    schema = choices[0] if len(choices) == 1 else {"anyOf": choices}
    return jsonschema.Draft202012Validator({**schema, "components": excerpt()["components"]})


def problems(names: tuple[str, ...], value: Any, where: str) -> list[str]:
    """What does not fit any of the named schemas; empty when one fits."""
    errors = sorted(_validator(names).iter_errors(value), key=lambda error: list(map(str, error.path)))
    found = [jsonschema.exceptions.best_match([error]) for error in errors]
    return [f"{where}/{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in found if e is not None]


def body_problems(call: Call) -> list[str]:
    """What Discord's description would complain about in the body of a call; empty for calls without one."""
    names = excerpt()["requests"].get(call.method)
    if names is None:
        return [] if call.body is None else [f"{call.method}: the description is not kept for this body"]
    bodies = call.body if isinstance(call.body, list) else [call.body]
    return [p for body in bodies for p in problems(tuple(names), body, call.method)]


def answer_problems(call: Call) -> list[str]:
    """What Discord's description would complain about in the simulator's answer."""
    if call.status == 204:
        return []
    name = "rate_limited" if call.status == 429 else "error" if call.status >= 400 else call.method
    names = excerpt()["answers"].get(name)
    if names is None or call.answer is None:
        return []
    answers = call.answer if isinstance(call.answer, list) else [call.answer]
    return [p for answer in answers for p in problems(tuple(names), answer, f"{call.method} answer")]

"""Checks requests and answers against GitHub's published OpenAPI description (the excerpt in tests/fixtures/github)."""

import copy
import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

EXCERPT: Final = Path(__file__).parents[2] / "fixtures" / "github" / "openapi-excerpt.json"
UNDOCUMENTED: Final = frozenset({401, 403, 404, 429})
"""Statuses every operation may answer with, documented or not."""


@functools.cache
def description() -> dict[str, Any]:
    return json.loads(EXCERPT.read_text())


@functools.cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(schema), "components": description()["components"]})


def problems(schema: Mapping[str, Any], value: Any) -> list[str]:
    """Where a value differs from a schema."""
    found = _validator(json.dumps(schema, sort_keys=True)).iter_errors(value)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def resolve(node: Any) -> Any:
    """Follows a `$ref` into the components."""
    while isinstance(node, dict) and "$ref" in node:
        _, _, kind, name = node["$ref"].split("/")
        node = description()["components"][kind][name]
    return node


def example(name: str) -> dict[str, Any]:
    """A copy of one of GitHub's own example answers."""
    return copy.deepcopy(description()["components"]["examples"][name]["value"])


def operation(method: str, path: str) -> Mapping[str, Any] | None:
    """The described operation of a request path."""
    for template, verbs in description()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in verbs:
            return verbs[method.lower()]
    return None


def request_problems(method: str, path: str, query: Mapping[str, str], body: object) -> list[str]:
    """What is wrong with a request: unknown operation, query parameter or field, wrong types, missing fields."""
    described = operation(method, path)
    if described is None:
        return [f"{method} {path} is not in the description"]
    parameters = {row["name"]: row for row in map(resolve, described.get("parameters", [])) if row["in"] == "query"}
    found = [f"unknown query parameter {name}" for name in query if name not in parameters]
    for name, value in query.items():
        schema = resolve(parameters.get(name, {}).get("schema", {}))
        typed: object = int(value) if schema.get("type") == "integer" and value.isdigit() else value
        found += problems(schema, typed)
    if "requestBody" not in described:
        return found + (["a body where none is described"] if body is not None else [])
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    if isinstance(body, dict):
        found += [f"unknown field {name}" for name in body if name not in resolve(schema).get("properties", {})]
    return found + problems(schema, body)


def answer_problems(method: str, path: str, status: int, body: object) -> list[str]:
    """What is wrong with an answer of the simulator."""
    described = operation(method, path)
    if described is None or status >= 500:
        return []
    answer = resolve(described["responses"].get(str(status)))
    if answer is None:
        return [] if status in UNDOCUMENTED else [f"{method} {path} never answers {status}"]
    content = answer.get("content", {}).get("application/json")
    return problems(content["schema"], body) if content and status < 300 else []


def webhook_problems(name: str, payload: object) -> list[str]:
    """What is wrong with a webhook payload; `name` is for example `pull-request-closed`."""
    described = description()["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return problems(described, payload)

"""The API called by its own description with what fits and what does not: never a 5xx, always our error body."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.house import House, open_house, settings_for

EXAMPLES = 250
TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "CT-1",
            "1",
            "#1",
            "FU-1",
            "in 2h",
            "Europe/Berlin",
            "add-a-csv",
            "ana/add-a-csv",
            "",
            "..",
            "\x00",
            "%",
            "me",
            "a:b:c",
            "a" * 5000,
        ]
    ),
    st.text(alphabet=st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF), min_size=1, max_size=3),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def operations(described: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(method, path, description) of every operation of the OpenAPI document."""
    return [
        (method, path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def from_schema(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that mostly fit a JSON schema, and sometimes do not."""
    return st.one_of(_fitting(schema, parts), _fitting(schema, parts), _fitting(schema, parts), ANYTHING)


def _fitting(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _fitting(parts[schema["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in schema:
        return st.one_of(*(_fitting(one, parts) for one in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object":
            known = {name: from_schema(inner, parts) for name, inner in schema.get("properties", {}).items()}
            needed = {name: known.pop(name) for name in schema.get("required", ()) if name in known}
            return st.fixed_dictionaries(needed, optional=known)
        case "array":
            return st.lists(_fitting(schema["items"], parts), max_size=3)
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case _:
            long = st.sampled_from(["Add a CSV export to the report", "x" * 9000, "2020-01-01T00:00:00Z"])
            return TEXTS | long


@st.composite
def requests(draw: st.DrawFn, described: Mapping[str, Any]) -> dict[str, Any]:
    method, path, operation = draw(st.sampled_from(operations(described)))
    parts = described["components"]["schemas"]
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    for parameter in operation.get("parameters", ()):
        value = draw(from_schema(parameter["schema"], parts))
        text = value if isinstance(value, str) else json.dumps(value)
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(text.encode("utf-8", "surrogatepass"), safe=""))
        elif parameter["in"] == "query" and draw(st.booleans()):
            query[parameter["name"]] = text.encode("utf-8", "replace").decode()
        elif parameter["in"] == "header":
            headers[parameter["name"]] = "".join(c for c in text if " " <= c <= "~")[:300]
    request: dict[str, Any] = {"method": method.upper(), "url": path, "params": query, "headers": headers}
    body = operation.get("requestBody")
    if body:
        value = draw(from_schema(body["content"]["application/json"]["schema"], parts))
        request["content"] = draw(st.just(json.dumps(value).encode()) | st.binary(max_size=20))
        headers["content-type"] = draw(st.sampled_from(["application/json", "application/json", "text/plain", ""]))
    return request


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


def test_nothing_that_can_be_sent_breaks_the_api(database_url: str, tmp_path: Path, runner: asyncio.Runner) -> None:
    stack = AsyncExitStack()
    house: House = runner.run(stack.enter_async_context(open_house(settings_for(database_url, tmp_path))))
    client = runner.run(house.client("admin"))
    described = house.web.openapi()
    runner.run(client.file())
    runner.run(client.later())
    seen: set[int] = set()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests(described))
    def call(request: dict[str, Any]) -> None:
        try:
            answer = runner.run(client.request(**request))
        except httpx.InvalidURL:
            return
        seen.add(answer.status_code)
        assert answer.status_code < 500, (request, answer.text)
        if answer.status_code >= 400:
            assert set(answer.json()) - {"choices"} == {"code", "message", "hint", "ref"}

    try:
        call()
    finally:
        runner.run(stack.aclose())
    assert {200, 404, 422} <= seen

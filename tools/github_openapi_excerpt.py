"""Writes tests/fixtures/github/openapi-excerpt.json: the part of GitHub's OpenAPI description that our code touches.

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
    python tools/github_openapi_excerpt.py package

The description is GitHub's (MIT licence, https://github.com/octokit/openapi); the excerpt keeps its notice. Prose is
dropped, and OpenAPI 3.0's `nullable` becomes the JSON Schema it means, so that `jsonschema` can read the result.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

Node = dict[str, Any]

OPERATIONS: Final[dict[str, tuple[str, ...]]] = {
    "/repos/{owner}/{repo}": ("get",),
    "/repos/{owner}/{repo}/pulls": ("get", "post"),
    "/repos/{owner}/{repo}/pulls/{pull_number}": ("get", "patch"),
    "/repos/{owner}/{repo}/installation": ("get",),
    "/app/installations/{installation_id}/access_tokens": ("post",),
    "/rate_limit": ("get",),
    "/user": ("get",),
}
WEBHOOKS: Final = ("pull-request-closed", "pull-request-reopened")
PROSE: Final = frozenset(
    {"description", "title", "summary", "externalDocs", "x-github", "tags", "example", "x-octokit"}
)
TARGET: Final = Path(__file__).parent.parent / "tests" / "fixtures" / "github" / "openapi-excerpt.json"


def plain(node: Any, inside_properties: bool = False) -> Any:
    """A copy without prose, with `nullable` written as JSON Schema. Property names are kept whatever they are."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: plain(value, inside_properties=key == "properties" and not inside_properties)
        for key, value in node.items()
        if inside_properties or key not in PROSE
    }
    return kept if inside_properties else _nullable(kept)


def _nullable(schema: Node) -> Node:
    if schema.pop("nullable", False) is not True:
        return schema
    if "enum" in schema and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        return schema
    return {"anyOf": [schema, {"type": "null"}]}


def references(node: Any, found: set[str], whole: Node) -> None:
    """Collects every `$ref` that can be reached from `node`."""
    if isinstance(node, list):
        for item in node:
            references(item, found, whole)
    elif isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str) and target not in found:
            found.add(target)
            references(lookup(whole, target), found, whole)
        for value in node.values():
            references(value, found, whole)


def lookup(whole: Node, reference: str) -> Any:
    node: Any = whole
    for part in reference.removeprefix("#/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def excerpt(whole: Node, version: str, notice: str) -> Node:
    """The paths, webhooks and everything they refer to."""
    paths = {path: {verb: whole["paths"][path][verb] for verb in verbs} for path, verbs in OPERATIONS.items()}
    hooks = {name: whole["x-webhooks" if "x-webhooks" in whole else "webhooks"][name] for name in WEBHOOKS}
    found: set[str] = set()
    references([paths, hooks], found, whole)
    components: Node = {}
    for reference in sorted(found):
        _, kind, name = reference.removeprefix("#/").split("/")
        value = lookup(whole, reference)
        components.setdefault(kind, {})[name] = value if kind == "examples" else plain(value)
    return {
        "source": f"npm package @octokit/openapi {version}, generated/api.github.com.json, reduced",
        "licence": notice,
        "paths": plain(paths),
        "webhooks": plain(hooks),
        "components": components,
    }


def render(reduced: Node) -> str:
    """One line per path and per component, so that a new version gives a readable difference."""
    compact = json.dumps
    lines = [f" {compact(key)}: {compact(reduced[key])}" for key in ("source", "licence")]
    for section in ("paths", "webhooks"):
        rows = ",\n".join(f"  {compact(name)}: {compact(value)}" for name, value in reduced[section].items())
        lines.append(f' "{section}": {{\n{rows}\n }}')
    kinds: list[str] = []
    for kind, entries in reduced["components"].items():
        rows = ",\n".join(f"   {compact(name)}: {compact(value)}" for name, value in entries.items())
        kinds.append(f"  {compact(kind)}: {{\n{rows}\n  }}")
    lines.append(' "components": {\n' + ",\n".join(kinds) + "\n }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Exit code 0 when written, 2 without the folder of the unpacked package."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    package = Path(arguments[0])
    whole = json.loads((package / "generated" / "api.github.com.json").read_text())
    version = json.loads((package / "package.json").read_text())["version"]
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(render(excerpt(whole, version, (package / "LICENSE").read_text().strip())))
    print(f"wrote {TARGET} ({TARGET.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Writes tests/fixtures/discord/openapi-excerpt.json: the part of Discord's OpenAPI description that our code touches.

    npm install --prefix FOLDER discord-api-spec@10.0.266135 zod@4.6.7
    python tools/discord_openapi_excerpt.py FOLDER

The package (MIT licence) carries Discord's description as Zod schemas; Zod writes them as JSON Schema. The excerpt
keeps the package's notice. One thing is widened: ids may be numbers, as discord.py sends them and Discord takes them.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

Node = dict[str, Any]

REQUESTS: Final[dict[str, tuple[str, ...]]] = {
    "create_message": ("MessageCreateRequest",),
    "update_message": ("MessageEditRequestPartial",),
    "create_thread_from_message": ("CreateTextThreadWithMessageRequest",),
    "create_thread": ("CreateTextThreadWithoutMessageRequest",),
    "create_dm": ("CreatePrivateChannelRequest",),
    "update_channel": ("UpdateThreadRequestPartial", "UpdateGuildChannelRequestPartial"),
    "bulk_set_application_commands": ("ApplicationCommandUpdateRequest",),
    "create_interaction_response": (
        "ApplicationCommandAutocompleteCallbackRequest",
        "CreateMessageInteractionCallbackRequest",
        "ModalInteractionCallbackRequest",
        "UpdateMessageInteractionCallbackRequest",
    ),
    "execute_webhook": ("IncomingWebhookRequestPartial", "IncomingWebhookUpdateRequestPartial"),
    "update_original_webhook_message": ("IncomingWebhookUpdateRequestPartial",),
    "update_webhook_message": ("IncomingWebhookUpdateRequestPartial",),
}
"""Operation id -> the schemas of which a body must fit one."""

ANSWERS: Final[dict[str, tuple[str, ...]]] = {
    "create_message": ("MessageResponse",),
    "get_message": ("MessageResponse",),
    "list_messages": ("MessageResponse",),
    "update_message": ("MessageResponse",),
    "execute_webhook": ("MessageResponse",),
    "update_original_webhook_message": ("MessageResponse",),
    "create_interaction_response": ("InteractionCallbackResponse",),
    "create_thread_from_message": ("ThreadResponse",),
    "create_thread": ("ThreadResponse",),
    "get_channel": ("GuildChannelResponse", "PrivateChannelResponse", "ThreadResponse"),
    "update_channel": ("GuildChannelResponse", "ThreadResponse"),
    "create_dm": ("PrivateChannelResponse",),
    "list_guild_channels": ("GuildChannelResponse",),
    "list_guild_roles": ("GuildRoleResponse",),
    "get_active_guild_threads": ("ThreadsResponse",),
    "list_public_archived_threads": ("ThreadsResponse",),
    "list_thread_members": ("ThreadMemberResponse",),
    "get_guild": ("GuildWithCountsResponse",),
    "get_guild_member": ("GuildMemberResponse",),
    "get_user": ("UserResponse",),
    "get_my_user": ("UserPIIResponse",),
    "get_bot_gateway": ("GatewayBotResponse",),
    "get_my_application": ("PrivateApplicationResponse",),
    "list_application_commands": ("ApplicationCommandResponse",),
    "bulk_set_application_commands": ("ApplicationCommandResponse",),
    "list_message_reactions_by_emoji": ("UserResponse",),
    "error": ("ErrorResponse",),
    "rate_limited": ("RatelimitedResponse",),
}
"""Operation id -> the schemas of which an answer, or each item of one, must fit one."""

TARGET: Final = Path(__file__).parent.parent / "tests" / "fixtures" / "discord" / "openapi-excerpt.json"
WHERE: Final = "#/components/schemas/"
SCRIPT: Final = """
import * as z from "zod";
const spec = await import("discord-api-spec/zod");
const registry = z.registry();
for (const [name, schema] of Object.entries(spec)) {
  if (name.endsWith("Schema") && schema?._zod) registry.add(schema, { id: name.slice(0, -"Schema".length) });
}
const uri = (id) => `#/components/schemas/${id}`;
console.log(JSON.stringify(z.toJSONSchema(registry, { io: "input", unrepresentable: "any", uri }).schemas));
"""


def schemas(folder: Path) -> dict[str, Node]:
    """Every schema of the package, by name."""
    command = ["node", "--no-warnings", "--input-type=module", "-e", SCRIPT]
    written = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    found: dict[str, Node] = json.loads(written.stdout)
    return {
        name: plain({k: v for k, v in schema.items() if k not in ("$schema", "$id")}) for name, schema in found.items()
    }


def plain(node: Any) -> Any:
    """A copy without Zod's own pattern for instants, which knows no offset; the description only says `date-time`."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    dated = node.get("format") == "date-time"
    return {key: plain(value) for key, value in node.items() if not (dated and key == "pattern")}


def references(node: Any) -> set[str]:
    """The names of the schemas that a schema refers to itself."""
    if isinstance(node, list):
        return set().union(*(references(item) for item in node))
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"].removeprefix(WHERE)} if isinstance(node.get("$ref"), str) else set()
    return own.union(*(references(value) for value in node.values()))


def reachable(whole: dict[str, Node], roots: set[str]) -> dict[str, Node]:
    """The roots and everything they refer to."""
    found: dict[str, Node] = {}
    left = set(roots)
    while left:
        name = left.pop()
        found[name] = whole[name]
        left |= references(whole[name]) - found.keys()
    return dict(sorted(found.items()))


def render(reduced: Node) -> str:
    """One line per operation and per schema, so that a new version gives a readable difference."""
    lines = [f" {json.dumps(key)}: {json.dumps(reduced[key])}" for key in ("source", "licence")]
    for section in ("requests", "answers"):
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in reduced[section].items())
        lines.append(f' "{section}": {{\n{rows}\n }}')
    kept = reduced["components"]["schemas"]
    rows = ",\n".join(f"   {json.dumps(name)}: {json.dumps(value)}" for name, value in kept.items())
    lines.append(f' "components": {{\n  "schemas": {{\n{rows}\n  }}\n }}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Exit code 0 when written, 2 without the folder of the installed packages."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    package = Path(arguments[0]) / "node_modules" / "discord-api-spec"
    whole = schemas(Path(arguments[0]))
    whole["SnowflakeType"] = {"anyOf": [whole["SnowflakeType"], {"type": "integer"}]}
    roots = {name for names in (*REQUESTS.values(), *ANSWERS.values()) for name in names}
    version = json.loads((package / "package.json").read_text())["version"]
    reduced = {
        "source": f"npm package discord-api-spec {version}, generated from Discord's OpenAPI description, reduced",
        "licence": (package / "LICENSE").read_text().strip(),
        "requests": REQUESTS,
        "answers": ANSWERS,
        "components": {"schemas": reachable(whole, roots)},
    }
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(render(reduced))
    print(f"wrote {TARGET} ({TARGET.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

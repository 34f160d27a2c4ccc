"""What a person's client makes of a slash command's options: typed values, nested subcommands, resolved objects."""

from collections.abc import Mapping
from typing import Any

from platforms.discord.simulator.payloads import channel_json, member_json, user_json
from platforms.discord.simulator.permissions import permissions_of
from platforms.discord.simulator.registered import SUB_COMMAND, SUB_GROUP
from platforms.discord.simulator.state import World

Json = dict[str, Any]
STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, NUMBER = 3, 4, 5, 6, 7, 8, 10


def read_options(
    world: World, command: Json, path: list[str], given: Mapping[str, Any], typing: str | None
) -> tuple[list[Json], Json]:
    """`data.options` and `data.resolved`. Raises LookupError for what the client would not let a person send.

    `typing` names the option being typed, for autocompletion; then nothing is required.
    """
    declared, chain = list(command.get("options") or []), []
    for name in path:
        step = next((o for o in declared if o["name"] == name and o["type"] in (SUB_COMMAND, SUB_GROUP)), None)
        if step is None:
            raise LookupError(f"/{command['name']} has no subcommand {name!r}; {_names(declared)}")
        chain.append(step)
        declared = list(step.get("options") or [])
    if any(o["type"] in (SUB_COMMAND, SUB_GROUP) for o in declared):
        raise LookupError(f"/{command['name']} needs a subcommand; {_names(declared)}")
    resolved: Json = {}
    values = _values(world, declared, given, typing, resolved)
    for step in reversed(chain):
        values = [{"name": step["name"], "type": step["type"], "options": values}]
    return values, resolved


def _values(
    world: World, declared: list[Json], given: Mapping[str, Any], typing: str | None, resolved: Json
) -> list[Json]:
    unknown = set(given) - {o["name"] for o in declared}
    if unknown:
        raise LookupError(f"no option {', '.join(sorted(unknown))}; {_names(declared)}")
    values: list[Json] = []
    for option in declared:
        name = option["name"]
        if name not in given:
            if option.get("required") and typing is None:
                raise LookupError(f"the option {name} is required")
            continue
        value: Json = {"name": name, "type": option["type"]}
        if name == typing:
            if not option.get("autocomplete"):
                raise LookupError(f"the option {name} has no autocompletion")
            values.append({**value, "value": given[name], "focused": True})
        else:
            values.append({**value, "value": _value(world, option, given[name], resolved)})
    return values


def _value(world: World, option: Json, value: Any, resolved: Json) -> Any:
    kind, name = option["type"], option["name"]
    if kind == STRING:
        return _chosen(option, _text(option, value))
    if kind in (INTEGER, NUMBER):
        fits = isinstance(value, int if kind == INTEGER else int | float) and not isinstance(value, bool)
        low, high = option.get("min_value", value), option.get("max_value", value)
        if not fits or not low <= value <= high:
            raise LookupError(f"the option {name} does not take {value!r}")
        return _chosen(option, value)
    if kind == BOOLEAN:
        if not isinstance(value, bool):
            raise LookupError(f"the option {name} takes True or False")
        return value
    if kind == USER:
        user = world.find_user(value)
        resolved.setdefault("users", {})[user.id] = user_json(user)
        member = member_json(user, with_user=False) | {"permissions": str(permissions_of(world, user))}
        resolved.setdefault("members", {})[user.id] = member
        return user.id
    if kind == CHANNEL:
        channel = world.find_channel(value)
        resolved.setdefault("channels", {})[channel.id] = channel_json(world, channel) | {"permissions": "0"}
        return channel.id
    raise LookupError(f"the simulator's people cannot fill an option of type {kind}")


def _text(option: Json, value: Any) -> str:
    text = str(value)
    if not option.get("min_length", 0) <= len(text) <= option.get("max_length", 6000):
        raise LookupError(f"the option {option['name']} does not take a text of {len(text)} characters")
    return text


def _chosen(option: Json, value: Any) -> Any:
    """With choices, only one of them (by name or value)."""
    choices = option.get("choices")
    if not choices:
        return value
    for choice in choices:
        if value in (choice["value"], choice["name"]):
            return choice["value"]
    raise LookupError(f"{option['name']} has no choice {value!r}; there are: {', '.join(c['name'] for c in choices)}")


def _names(declared: list[Json]) -> str:
    return "there are: " + (", ".join(o["name"] for o in declared) or "none")

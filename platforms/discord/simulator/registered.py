"""The application's commands as registered: reading, and the bulk PUT with Discord's checks."""

import copy
import re
from collections.abc import Iterator
from typing import Any

from platforms.discord.simulator.api import Call
from platforms.discord.simulator.refusals import Problem, bad_length, invalid, refuse, required, too_long, wrong_choice
from platforms.discord.simulator.state import World

Json = dict[str, Any]
SUB_COMMAND, SUB_GROUP = 1, 2
_NAME = re.compile(r"[-_'\w]{1,32}")
_MOST_CHARACTERS = 8000
_FIELDS = {
    "id", "name", "name_localizations", "description", "description_localizations", "options",
    "default_member_permissions", "dm_permission", "default_permission", "integration_types", "contexts", "type",
    "nsfw", "handler",
}  # fmt: skip
_OPTION_FIELDS = {
    "type", "name", "name_localizations", "description", "description_localizations", "required", "choices", "options",
    "channel_types", "min_value", "max_value", "min_length", "max_length", "autocomplete",
}  # fmt: skip


class Registered:
    """Handlers of `/applications/{id}/commands`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def read(self, call: Call) -> list[Json]:
        self._own(call)
        return copy.deepcopy(self.world.commands)

    def replace(self, call: Call) -> list[Json]:
        self._own(call)
        if not isinstance(call.body, list):
            raise refuse(50109)
        self.register(call.body)
        return copy.deepcopy(self.world.commands)

    def register(self, commands: list[Json]) -> None:
        """Replaces all commands; those that stay keep their id. Raises 50035."""
        problems = [*_counts(commands)]
        for index, command in enumerate(commands):
            problems += _command_problems(command, str(index))
            for name in sorted(set(command) - _FIELDS):
                self.world.surprise("bulk_set_application_commands", f"unknown field: {name}")
        if problems:
            raise invalid(*problems)
        ids = {(c["type"], c["name"]): c["id"] for c in self.world.commands}
        self.world.commands = [self._stored(command, ids) for command in commands]
        self.world.changed()

    def find(self, name: str, kind: int = 1) -> Json:
        """A registered command. Raises LookupError."""
        for command in self.world.commands:
            if (command["type"], command["name"]) == (kind, name):
                return command
        known = ", ".join(c["name"] for c in self.world.commands) or "none"
        raise LookupError(f"no command {name!r} of type {kind}; registered: {known}")

    def _own(self, call: Call) -> None:
        if call.params["application_id"] != self.world.app_id:
            raise refuse(20012)

    def _stored(self, command: Json, ids: dict[tuple[int, str], str]) -> Json:
        kind = command.get("type", 1)
        stored: Json = {
            "id": ids.get((kind, command["name"])) or self.world.ids.snowflake(),
            "application_id": self.world.app_id,
            "version": self.world.ids.snowflake(),
            "default_member_permissions": None,
            "dm_permission": True,
            "nsfw": False,
            "name_localizations": None,
            "description": "",
            "description_localizations": None,
            "integration_types": [0],
            "contexts": None,
        }
        return {**stored, **copy.deepcopy({k: v for k, v in command.items() if k != "id"}), "type": kind}


def _counts(commands: list[Json]) -> Iterator[Problem]:
    kinds = [c.get("type", 1) for c in commands]
    for kind, most in ((1, 100), (2, 15), (3, 15)):
        if kinds.count(kind) > most:
            sentence = f"Maximum number of application commands of type {kind} reached ({most})."
            yield "", "APPLICATION_COMMANDS_MAX", sentence
    seen: set[tuple[int, Any]] = set()
    for index, command in enumerate(commands):
        key = command.get("type", 1), command.get("name")
        if key in seen:
            sentence = "Application command names must be unique"
            yield f"{index}/name", "APPLICATION_COMMANDS_DUPLICATE_NAME", sentence
        seen.add(key)


def _command_problems(command: Json, where: str) -> Iterator[Problem]:
    kind = command.get("type", 1)
    if kind not in (1, 2, 3):
        yield wrong_choice(f"{where}/type", (1, 2, 3))
        return
    for name in ("contexts", "integration_types"):
        if name in command and not isinstance(command[name], list):
            yield required(f"{where}/{name}")
        elif any(value not in (0, 1, 2) for value in command.get(name) or ()):
            yield wrong_choice(f"{where}/{name}", (0, 1, 2))
    if kind != 1:
        if not 1 <= len(str(command.get("name") or "")) <= 32:
            yield bad_length(f"{where}/name", 1, 32)
        if command.get("description"):
            sentence = "Context menu commands cannot have description"
            yield f"{where}/description", "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION_CANNOT_BE_SET", sentence
        if command.get("options"):
            sentence = "Context menu commands cannot have options"
            yield f"{where}/options", "APPLICATION_COMMAND_CONTEXT_MENU_OPTIONS_CANNOT_BE_SET", sentence
        return
    yield from _named(command, where)
    yield from _options_problems(command.get("options") or [], where, depth=0)
    if _length(command) > _MOST_CHARACTERS:
        yield where, "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)"


def _named(thing: Json, where: str) -> Iterator[Problem]:
    name = str(thing.get("name") or "")
    if not _NAME.fullmatch(name) or name != name.lower():
        yield f"{where}/name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid"
    if not 1 <= len(str(thing.get("description") or "")) <= 100:
        yield bad_length(f"{where}/description", 1, 100)
    for field in ("name_localizations", "description_localizations"):
        for locale, text in (thing.get(field) or {}).items():
            most = 32 if field == "name_localizations" else 100
            if not 1 <= len(text) <= most:
                yield bad_length(f"{where}/{field}/{locale}", 1, most)


def _options_problems(options: list[Json], where: str, *, depth: int) -> Iterator[Problem]:
    if len(options) > 25:
        yield too_long(f"{where}/options", 25)
    optional_seen = False
    names = [o.get("name") for o in options]
    for index, option in enumerate(options):
        here = f"{where}/options/{index}"
        kind = option.get("type")
        if kind not in range(1, 12) or (kind == SUB_GROUP and depth) or (kind == SUB_COMMAND and depth > 1):
            yield wrong_choice(f"{here}/type", tuple(range(1, 12)))
            continue
        yield from _named(option, here)
        if names.count(option.get("name")) > 1:
            yield f"{here}/name", "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", "Option name must be unique"
        for name in sorted(set(option) - _OPTION_FIELDS):
            yield f"{here}/{name}", "SIMULATOR_UNKNOWN_FIELD", f"The simulator knows no field {name} here."
        if kind in (SUB_COMMAND, SUB_GROUP):
            yield from _options_problems(option.get("options") or [], here, depth=depth + 1)
            continue
        yield from _value_problems(option, here)
        if option.get("required") and optional_seen:
            sentence = "Required options must be placed before non-required options"
            yield here, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", sentence
        optional_seen = optional_seen or not option.get("required")


def _value_problems(option: Json, where: str) -> Iterator[Problem]:
    choices = option.get("choices") or []
    if len(choices) > 25:
        yield too_long(f"{where}/choices", 25)
    if choices and option.get("autocomplete"):
        sentence = "Choices cannot be set when autocomplete is true"
        yield where, "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_CHOICES", sentence
    for index, choice in enumerate(choices):
        yield from choice_problems(choice, f"{where}/choices/{index}", option["type"])


def choice_problems(choice: Json, where: str, kind: int) -> Iterator[Problem]:
    """What Discord would complain about in a choice, registered or offered while typing."""
    if not 1 <= len(str(choice.get("name") or "")) <= 100:
        yield bad_length(f"{where}/name", 1, 100)
    value = choice.get("value")
    if kind == 3 and (not isinstance(value, str) or not 1 <= len(value) <= 100):
        yield bad_length(f"{where}/value", 1, 100)
    elif kind == 4 and (not isinstance(value, int) or isinstance(value, bool)):
        yield f"{where}/value", "NUMBER_TYPE_COERCE", "Could not interpret value as number."


def _length(thing: Json) -> int:
    own = len(str(thing.get("name") or "")) + len(str(thing.get("description") or ""))
    choices = sum(len(str(c.get("name"))) + len(str(c.get("value"))) for c in thing.get("choices") or [])
    return own + choices + sum(_length(option) for option in thing.get("options") or [])

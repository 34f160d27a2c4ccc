"""A slash command typed as one line, as Discord's client takes it: a subcommand and its named options.

Discord's own client builds the line with the person. Here it is typed, so that the demo is as easy there as in Slack:
what is no subcommand files (`new`), and words without a name fill the option that takes text.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_NAMED: Final = re.compile(r"(?:^|(?<=\s))(?:--)?(\w+)[:=](\"[^\"]*\"|\S+)")
_SUB_COMMAND: Final = 1
_BOOLEAN: Final = 5
_STRING: Final = 3
_FILING: Final = "new"


def read_slash(line: str, commands: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """`/codetask show 1` -> `/codetask show` and `{"id": "1"}`. Raises LookupError for an unknown command."""
    name, _, rest = line[1:].strip().partition(" ")
    command = next((found for found in commands if found["name"] == name and found.get("type", 1) == 1), None)
    if command is None:
        known = ", ".join(f"/{found['name']}" for found in commands if found.get("type", 1) == 1)
        raise LookupError(f"There is no command /{name} here. There are: {known}")
    declared: Sequence[Mapping[str, Any]] = command.get("options") or []
    subs = {found["name"]: found for found in declared if found["type"] == _SUB_COMMAND}
    if not subs:
        return f"/{name}", _options(rest, declared)
    word, _, after = rest.strip().partition(" ")
    if word not in subs:
        word, after = ("help", "") if not rest.strip() and "help" in subs else (_FILING, rest)
    return f"/{name} {word}", _options(after, subs[word].get("options") or [])


def _options(text: str, declared: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    known = {option["name"]: option for option in declared}
    given: dict[str, Any] = {}

    def take(match: re.Match[str]) -> str:
        if match[1] not in known:
            return match[0]
        value = match[2].strip('"')
        given[match[1]] = value.lower() != "false" if known[match[1]]["type"] == _BOOLEAN else value
        return ""

    left = " ".join(_NAMED.sub(take, text).split(" ")).strip()
    free = [option for option in declared if option["name"] not in given and option["type"] == _STRING]
    free.sort(key=lambda option: not option.get("required"))
    while left and free:
        option = free.pop(0)
        takes_all = option["name"] in ("text", "with") or not free
        value, _, left = (left, "", "") if takes_all else left.partition(" ")
        given[option["name"]] = value
    return given

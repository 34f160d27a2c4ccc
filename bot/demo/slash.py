"""A slash command typed as one line, as Discord's client takes it: a subcommand and its named options.

Discord's own client builds the line with the person. Here it is typed, so that the demo is as easy there as in Slack:
what is no subcommand files (`new`), and words without a name fill the option that takes text.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from bot.core.when import split_later

_NAMED: Final = re.compile(r"(?:^|(?<=\s))(?:--)?(\w[\w-]*)[:=](\"[^\"]*\"|\S+)")
_SWITCH: Final = re.compile(r"(?:^|(?<=\s))--(\w[\w-]*)(?=\s|$)")
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

    def turn_on(match: re.Match[str]) -> str:
        if match[1] not in known or known[match[1]]["type"] != _BOOLEAN:
            return match[0]
        given[match[1]] = True
        return ""

    left = " ".join(_SWITCH.sub(turn_on, _NAMED.sub(take, text)).split(" ")).strip()
    free = [option for option in declared if option["name"] not in given and option["type"] == _STRING]
    free.sort(key=lambda option: not option.get("required"))
    while left and free:
        name = free.pop(0)["name"]
        if name == "when" and any(option["name"] == "text" for option in free):
            given[name], left = _time_and_text(left)
        else:
            takes_all = name in ("text", "with", "when") or not free
            given[name], _, left = (left, "", "") if takes_all else left.partition(" ")
        left = left.strip()
    return given


def _time_and_text(words: str) -> tuple[str, str]:
    """`in 5s check the deploy` -> `in 5s` and `check the deploy`; all of it where no time can be read."""
    rest = split_later(words, now=datetime.now(UTC), zone="UTC")[1]
    time = words.removesuffix(rest).rstrip(" -")
    return (time, rest) if time else (words, "")

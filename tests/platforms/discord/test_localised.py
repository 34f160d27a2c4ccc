"""The application commands in Chinese: complete, within Discord's limits, and stored as built."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from platforms.discord.localised import LOCALES, localised_commands
from platforms.discord.setup import build_manifest, fingerprint, render_manifest
from platforms.discord.slash import CHAT_INPUT, build_commands

STORED = Path(__file__).parents[3] / "manifest" / "discord-commands.json"
COMMANDS = localised_commands()
NAME = re.compile(r"[-_'\w]{1,32}")


def things(commands: list[dict[str, Any]], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for thing in commands:
        here = f"{path}/{thing['name']}"
        yield here, thing
        yield from things(thing.get("options") or [], here)


ALL = dict(things(COMMANDS))


@pytest.mark.parametrize("path", ALL)
def test_everything_but_the_commands_own_names_is_said_in_chinese(path: str) -> None:
    thing, own_name = ALL[path], path in ("/codetask", "/followup")
    assert ("name_localizations" in thing) != own_name
    if "description" in thing:
        shown = thing["description_localizations"]
        assert set(shown) == set(LOCALES["zh"])
        assert all(1 <= len(text) <= 100 and re.search(r"[\u4e00-\u9fff]", text) for text in shown.values())
    for choice in thing.get("choices") or ():
        assert 1 <= len(choice["name_localizations"]["zh-CN"]) <= 100
    for name in thing.get("name_localizations", {}).values():
        assert NAME.fullmatch(name)
        assert name == name.lower()


def test_names_beside_each_other_differ() -> None:
    for thing in ALL.values():
        names = [option["name_localizations"]["zh-CN"] for option in thing.get("options") or ()]
        assert len(names) == len(set(names))
        choices = [choice["name_localizations"]["zh-CN"] for choice in thing.get("choices") or ()]
        assert len(choices) == len(set(choices))


def test_a_command_stays_below_the_limit_with_its_longest_words() -> None:
    def length(thing: dict[str, Any]) -> int:
        own = sum(
            max(len(text) for text in (thing.get(field, ""), *thing.get(f"{field}_localizations", {}).values()))
            for field in ("name", "description")
        )
        values = sum(len(str(choice["value"])) + len(choice["name"]) for choice in thing.get("choices") or ())
        return own + values + sum(length(option) for option in thing.get("options") or ())

    assert all(length(command) < 8000 for command in COMMANDS if command["type"] == CHAT_INPUT)


def test_a_change_of_a_translation_is_registered_anew() -> None:
    assert fingerprint(COMMANDS) == fingerprint(localised_commands())
    assert fingerprint(COMMANDS) != fingerprint(build_commands())


def test_the_stored_commands_are_those_of_the_code() -> None:
    assert STORED.read_text("utf-8") == render_manifest(build_manifest()), (
        "run: codetask manifest print discord > manifest/discord-commands.json"
    )

"""The commands are what the code says, within Discord's limits, and read back to what a person would have typed."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import discord
import pytest

from bot.core.commands import CancelTask, FileTask, Help, ListTasks, LogsOf, Options, RetryTask, TaskId, WhoAmI, parse
from bot.core.verbs import FLAGS, VERBS
from platforms.discord.setup import (
    ALL_INTENTS,
    CONTENT_FIX,
    INTENTS,
    INVITE_PERMISSIONS,
    PERMISSIONS,
    build_manifest,
    fingerprint,
    granted_by,
    intents_for,
    invite_link,
    missing_intents,
    render_manifest,
    setup_steps,
)
from platforms.discord.simulator import DiscordSimulator
from platforms.discord.slash import slash_text
from tests.platforms.discord.payloads import subcommand

STORED = Path(__file__).parents[3] / "manifest" / "discord-commands.json"


def test_the_stored_manifest_is_the_generated_one() -> None:
    assert STORED.read_text("utf-8") == render_manifest(build_manifest())


def test_the_simulated_bulk_put_takes_it() -> None:
    with DiscordSimulator(seed=1) as simulator:
        simulator.register_commands(build_manifest())
        assert fingerprint(simulator.commands) == fingerprint(build_manifest())
        assert simulator.surprises == []


def options_of(holder: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(holder.get("options", []))
    return found + [inner for option in found for inner in options_of(option)]


def said_by(command: dict[str, Any]) -> list[int]:
    """The lengths that Discord adds up for one command: names, descriptions and the values of choices."""
    found = [command, *options_of(command)]
    choices = [choice for option in found for choice in option.get("choices", [])]
    return [len(str(one.get(name, ""))) for one in (*found, *choices) for name in ("name", "description", "value")]


def test_limits() -> None:
    manifest = build_manifest()
    assert [command["name"] for command in manifest] == ["codetask", "followup", "File as code task", "Follow up later"]
    for command in manifest:
        assert command["contexts"]
        assert command["integration_types"]
        for option in options_of(command):
            assert 1 <= len(option["name"]) <= 32
            assert option["name"] == option["name"].lower()
            assert 1 <= len(option["description"]) <= 100
            assert len(option.get("choices", [])) <= 25
            assert len(option.get("options", [])) <= 25
            assert not (option.get("choices") and option.get("autocomplete"))
        required = [option.get("required", False) for option in command.get("options", [])]
        assert required == sorted(required, reverse=True)
        assert sum(said_by(command)) <= 8000


def test_every_offered_verb_and_option_is_there() -> None:
    (codetask, *_) = build_manifest()
    names = [option["name"] for option in codetask["options"]]
    assert set(names) == {"new", *(verb.name for verb in VERBS if verb.offered)}
    new = [option["name"] for option in codetask["options"][0]["options"]]
    assert new == ["text", *(flag.name for flag in FLAGS if flag.offered)]


def test_only_what_people_see_counts_for_the_hash() -> None:
    ours = build_manifest()
    theirs = [{**command, "id": "1", "version": "2", "application_id": "3", "dm_permission": True} for command in ours]
    assert fingerprint(reversed(theirs)) == fingerprint(ours)
    theirs[0] = {**theirs[0], "description": "Something else"}
    assert fingerprint(theirs) != fingerprint(ours)


WISH = "Add a CSV export to the report"


@pytest.mark.parametrize(
    ("data", "text", "meant"),
    [
        (subcommand("new", text=WISH), WISH, FileTask(WISH)),
        (subcommand("new", text="cancel 42"), "-- cancel 42", FileTask("cancel 42")),
        (subcommand("retry", **{"with": "the other table"}), "help retry", Help("retry")),
        (subcommand("cancel", id="the big one now"), "help cancel", Help("cancel")),
        (
            subcommand("new", text=WISH, repo="web", draft=True, priority="high"),
            f"--repo=web --draft --priority=high -- {WISH}",
            FileTask(WISH, Options(repo="web", draft=True, priority="high")),
        ),
        (subcommand("new", text=WISH, draft=False), WISH, FileTask(WISH)),
        (subcommand("cancel", id="CT-42"), "cancel CT-42", CancelTask(TaskId("CT", 42))),
        (subcommand("logs", id="42"), "logs 42", LogsOf(TaskId("CT", 42))),
        (subcommand("retry", **{"with": "the other table", "id": "CT-1"}), "retry CT-1 with the other table", None),
        (subcommand("list", which="mine"), "list mine", ListTasks("mine")),
        (subcommand("list"), "list", ListTasks()),
        (subcommand("help", verb="cancel"), "help cancel", Help("cancel")),
        (subcommand("whoami"), "whoami", WhoAmI()),
    ],
)
def test_options_read_back_to_a_command(data: dict[str, Any], text: str, meant: object) -> None:
    assert slash_text(data) == text
    expected = meant or RetryTask(TaskId("CT", 1), "the other table")
    assert parse(text, door="slash", in_task_thread=False) == expected


@pytest.mark.parametrize("text", [WISH, "cancel 42", "-- fix it", "--repo is not read", "任务"])
def test_new_is_a_new_code_task_also_in_the_thread_of_one(text: str) -> None:
    said = slash_text(subcommand("new", text=text), in_thread=True)
    for in_task_thread in (True, False):
        assert parse(said, door="slash", in_task_thread=in_task_thread) == FileTask(text)


def test_a_verb_chosen_in_a_thread_is_no_message_to_its_agent() -> None:
    assert slash_text(subcommand("cancel", id="the big one now"), in_thread=True) == "help cancel"
    assert (
        slash_text(subcommand("retry", **{"with": "the other table"}), in_thread=True) == "retry with the other table"
    )


def test_followup_reads_back_as_time_and_text() -> None:
    options = [{"type": 3, "name": "text", "value": "look again"}, {"type": 3, "name": "when", "value": "tomorrow 9am"}]
    assert slash_text({"type": 1, "name": "followup", "options": options}) == "tomorrow 9am -- look again"


def test_intents_and_permissions_are_the_sdks() -> None:
    assert ALL_INTENTS == 46593
    names = {"dm_messages": "dm_messages", "dm_reactions": "dm_reactions"}
    wanted = discord.Intents.none()
    for name in INTENTS:
        setattr(wanted, names.get(name, name), True)
    assert wanted.value == ALL_INTENTS
    assert INVITE_PERMISSIONS == 309237713984 == discord.Permissions(**dict.fromkeys(PERMISSIONS, True)).value


def test_the_invite_asks_for_exactly_that() -> None:
    asked = parse_qs(urlsplit(invite_link("42")).query)
    assert asked == {"client_id": ["42"], "permissions": ["309237713984"], "scope": ["bot applications.commands"]}


def test_without_the_content_intent_it_is_left_out_and_named() -> None:
    assert intents_for(1 << 18) == intents_for((1 << 19) | 1) == ALL_INTENTS
    assert intents_for(0) == intents_for(None) == ALL_INTENTS - 32768
    assert missing_intents(granted_by(intents_for(0))) == ("message_content",)
    assert missing_intents(granted_by(ALL_INTENTS)) == ()
    assert "Message Content Intent" in CONTENT_FIX


def test_the_steps_name_what_to_set() -> None:
    told = " ".join(setup_steps())
    for word in ("DISCORD_TOKEN", "Message Content Intent", "Interactions Endpoint", "309237713984", "doctor"):
        assert word in told

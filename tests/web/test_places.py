"""Where a follow-up or a card goes when a request names a channel, against a simulated Slack."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.web.filing import split_channel
from platforms.discord.simulator import DiscordSimulator
from platforms.lark.simulator import LarkSimulator
from platforms.slack.simulator import SlackSimulator, StoredMessage
from tests.web.house import WISH, House, open_house, settings_for


@pytest.fixture
def slack() -> Iterator[SlackSimulator]:
    with SlackSimulator(seed=5) as running:
        yield running
        assert running.surprises == []


@pytest.fixture
async def house(sqlite_template: Path, tmp_path: Path, slack: SlackSimulator) -> AsyncIterator[House]:
    """On SQLite alone: the stores have no part in this."""
    url = f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / 'codetask.db')}"
    async with open_house(settings_for(url, tmp_path, **slack.settings)) as opened:
        yield opened


@pytest.mark.parametrize("form", ["{channel}", "{team}::{channel}", "slack:{team}:{channel}"])
async def test_p37_a_channel_is_named_in_three_ways(house: House, slack: SlackSimulator, form: str) -> None:
    ana = await house.client()
    ids = {"team": slack.team_id, "channel": slack.channel("dev").id}
    made = await ana.later(channel=form.format(**ids))
    assert made["channel"] == {
        "platform": "slack", "workspace_id": ids["team"], "channel_id": ids["channel"], "name": "dev",
    }  # fmt: skip
    assert (made["thread"], made["anchored"], made["notes"]) == (None, False, [])
    for asked in (form.format(**ids), ids["channel"]):
        found = await ana.ask("GET", "follow-ups", 200, params={"channel": asked})
        assert [one["id"] for one in found["items"]] == ["FU-1"]


@pytest.mark.parametrize(
    "wish",
    [
        {"channel": "C0NOSUCH"},
        {"channel": "T0OTHER::{channel}"},
        {"channel": "discord:{team}:{channel}"},
        {"channel": "::"},
        {"channel": "a b"},
        {"channel": "\x00"},
        {"channel": "{channel}", "thread": "1.2"},
        {"thread": {"platform": "lark", "channel_id": "{channel}"}},
    ],
)
async def test_p37_what_no_platform_knows_is_refused(house: House, slack: SlackSimulator, wish: dict[str, Any]) -> None:
    ids = {"team": slack.team_id, "channel": slack.channel("dev").id}
    filled = {name: value.format(**ids) if isinstance(value, str) else value for name, value in wish.items()}
    refusal = await (await house.client()).later(400, **filled)
    assert (refusal["code"], refusal["message"]) == ("unknown_channel", "Channel not found in configured workspaces")


async def test_a_channel_without_the_bot_says_how_to_invite_it(house: House, slack: SlackSimulator) -> None:
    refusal = await (await house.client()).later(400, channel=slack.channel("lounge").id)
    assert refusal["code"] == "not_in_channel"
    assert "/invite" in refusal["hint"]


async def test_p26_with_a_thread_it_is_anchored_there(house: House, slack: SlackSimulator) -> None:
    ana, dev = await house.client(), slack.channel("dev").id
    root = slack.user_says("ana", "The deploy is running", "dev").ts
    made = await ana.later(channel=dev, thread=root, message="")
    assert (made["anchored"], made["thread"]["thread_id"], made["thread"]["channel_id"]) == (True, root, dev)
    assert made["message"] == "Follow up on this thread"
    whole = {"platform": "slack", "workspace_id": slack.team_id, "channel_id": dev, "thread_id": root}
    again = await ana.later(thread=whole)
    assert again["thread"] == made["thread"]
    found = await ana.ask("GET", "follow-ups", 200, params={"channel": dev, "thread": root})
    assert [one["id"] for one in found["items"]] == ["FU-1", "FU-2"]
    assert (await ana.ask("GET", "follow-ups", 200, params={"channel": dev, "thread": "9.9"}))["items"] == []


async def test_a_card_goes_to_the_same_places(house: House, slack: SlackSimulator) -> None:
    ana, dev = await house.client(), slack.channel("dev").id
    root = slack.user_says("ana", "Please", "dev").ts
    task = await ana.ask("POST", "code-tasks", 201, json=WISH | {"channel": f"{slack.team_id}::{dev}", "thread": root})
    assert (task["thread"]["workspace_id"], task["thread"]["thread_id"]) == (slack.team_id, root)
    refusal = await ana.ask("POST", "code-tasks", 400, json=WISH | {"channel": f"T0OTHER::{dev}"})
    assert refusal["code"] == "unknown_channel"


async def test_the_quota_of_a_thread_is_a_conflict(house: House, slack: SlackSimulator) -> None:
    ana, dev = await house.client(), slack.channel("dev").id
    root = slack.user_says("ana", "The deploy is running", "dev").ts
    for _ in range(20):
        await ana.later(channel=dev, thread=root)
    assert (await ana.later(409, channel=dev, thread=root))["code"] == "thread_full"
    await ana.later(channel=dev)


async def test_p26_p37_beside_others_each_platform_finds_its_own(sqlite_template: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / 'codetask.db')}"
    with SlackSimulator(seed=1) as slack, DiscordSimulator(seed=1) as discord, LarkSimulator(seed=1) as lark:
        known = slack.settings | discord.settings | lark.settings
        async with open_house(settings_for(url, tmp_path, **known)) as house:
            ana = await house.client()
            for simulator, name in ((slack, "slack"), (discord, "discord"), (lark, "lark")):
                channel = simulator.channel("dev").id
                made = await ana.later(channel=channel)
                assert (made["channel"]["platform"], made["channel"]["channel_id"]) == (name, channel)
                workspace = made["channel"]["workspace_id"]
                again = await ana.later(channel=f"{workspace}::{channel}")
                assert again["channel"] == made["channel"]
                assert (await ana.later(400, channel=f"T0OTHER::{channel}"))["code"] == "unknown_channel"
                anchored = await ana.later(channel=channel, thread=_says(simulator))
                assert anchored["thread"]["platform"] == name
            assert (await ana.later(400, channel="C0NOSUCH"))["code"] == "unknown_channel"
    assert slack.surprises == discord.surprises == lark.surprises == []


def _says(simulator: SlackSimulator | DiscordSimulator | LarkSimulator) -> str:
    """A message of a person; its id."""
    said = simulator.user_says("ana", "The deploy is running", "dev")
    return said.ts if isinstance(said, StoredMessage) else said.id


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("C1", ("", "", "C1")),
        ("T1::C1", ("", "T1", "C1")),
        ("slack:T1:C1", ("slack", "T1", "C1")),
        ("::C1", ("", "", "C1")),
        ("a:b", ("", "", "a:b")),
    ],
)
def test_how_a_channel_is_split(text: str, parts: tuple[str, str, str]) -> None:
    assert split_channel(text) == parts

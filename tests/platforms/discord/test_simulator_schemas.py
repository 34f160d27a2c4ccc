"""What the simulator takes and gives, held against Discord's OpenAPI description and discord.py's own types."""

import copy
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import discord
import pytest

from platforms.discord.simulator import Call, DiscordSimulator
from tests.platforms.discord.schemas import answer_problems, body_problems, excerpt, problems
from tests.platforms.discord.simulator_rig import Bot, connected, refusal, use_simulator

HERE: dict[str, Any] = {"contexts": [0, 1], "integration_types": [0]}


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordSimulator]:
    with DiscordSimulator(seed=5) as simulator:
        use_simulator(monkeypatch, simulator)
        yield simulator
        assert simulator.surprises == []


@pytest.fixture
async def bot(sim: DiscordSimulator) -> AsyncIterator[Bot]:
    async with connected(sim) as client:
        yield client


class Ask(discord.ui.Modal, title="File"):
    words = discord.ui.Label(text="What to do", component=discord.ui.TextInput(custom_id="description"))


class Card(discord.ui.LayoutView):
    def __init__(self) -> None:
        super().__init__(timeout=None)
        row: discord.ui.ActionRow[Card] = discord.ui.ActionRow(discord.ui.Button(label="Cancel", custom_id="cancel"))
        body: discord.ui.Container[Card] = discord.ui.Container(
            discord.ui.TextDisplay("One"), discord.ui.Separator(), row, accent_color=255
        )
        self.add_item(body)


async def look_around(sim: DiscordSimulator, bot: Bot) -> None:
    guild = await bot.fetch_guild(int(sim.guild_id))
    await guild.fetch_member(int(sim.user("gus").id))
    await guild.fetch_channels()
    await guild.fetch_roles()
    await bot.fetch_channel(int(sim.channel("dev").id))
    await bot.http.get_bot_gateway()
    await bot.http.request(discord.http.Route("GET", "/applications/@me"))
    assert await refusal(bot.fetch_channel(1))


async def write(sim: DiscordSimulator, bot: Bot) -> None:
    one = discord.AllowedMentions(users=[discord.Object(int(sim.user("bo").id))], everyone=False, roles=False)
    sent = await bot.place("dev").send(view=Card(), nonce="abc", allowed_mentions=one)
    await sent.edit(view=Card())
    await sent.add_reaction("👀")
    await bot.http.get_reaction_users(sent.channel.id, sent.id, "👀", 10)
    await bot.http.start_thread_with_message(sent.channel.id, sent.id, name="Details", auto_archive_duration=1440)
    thread = bot.get_partial_messageable(sent.id)
    await thread.send("inside", reference=None)
    await thread.send(
        "a reply", reference=discord.MessageReference(message_id=sent.id, channel_id=sent.id, fail_if_not_exists=False)
    )
    assert len([m async for m in thread.history()]) == 3
    await bot.http.get_active_threads(int(sim.guild_id))
    sim.archives_thread(str(sent.id))
    await bot.http.get_public_archived_threads(int(sim.channel("dev").id))
    await bot.http.edit_channel(sent.id, archived=False)
    await bot.http.get_thread_members(sent.id)
    user = await bot.fetch_user(int(sim.user("cy").id))
    await user.send("psst")


async def interact(sim: DiscordSimulator, bot: Bot) -> None:
    option = {"type": 3, "name": "description", "description": "What", "required": True, "autocomplete": True}
    status = {"type": 1, "name": "new", "description": "File", "options": [option]}
    commands = [
        {"name": "codetask", "description": "Code tasks", "type": 1, "options": [status], **HERE},
        {"name": "File as code task", "type": 3, **HERE},
    ]
    assert bot.application_id is not None
    await bot.http.bulk_upsert_global_commands(bot.application_id, commands)
    registered: Any = await bot.http.get_global_commands(bot.application_id)
    assert [command["name"] for command in registered] == ["codetask", "File as code task"]
    sim.types_choice("ana", "/codetask new", "description", "d")
    await (await bot.next("interaction")).response.autocomplete([discord.app_commands.Choice(name="a", value="b")])
    sim.runs_command("ana", "/codetask new", {"description": "dark mode"}, "dev")
    heard: discord.Interaction[Any] = await bot.next("interaction")
    await heard.response.send_message(view=Card(), ephemeral=True)
    await heard.edit_original_response(view=Card())
    await heard.followup.send("more", ephemeral=True)
    sim.uses_menu("bo", sim.user_says("ana", "please", "dev"), "File as code task")
    await (await bot.next("interaction")).response.send_modal(Ask())
    sim.clicks("ana", sim.whispers[0], "Cancel")
    await (await bot.next("interaction")).response.edit_message(view=Card())
    sim.runs_command("ana", "/codetask new", {"description": "dark mode"}, "dev")
    heard = await bot.next("interaction")
    await heard.response.defer(ephemeral=True)
    await heard.edit_original_response(content="filled")


async def test_requests_and_answers_fit_discords_description(sim: DiscordSimulator, bot: Bot) -> None:
    await look_around(sim, bot)
    await write(sim, bot)
    await interact(sim, bot)
    calls = sim.calls()
    assert [p for call in calls for p in body_problems(call)] == []
    assert [p for call in calls for p in answer_problems(call)] == []
    assert {c.method for c in calls} >= excerpt()["requests"].keys() - {"create_thread", "update_webhook_message"}


async def test_gateway_messages_fit_discords_description(sim: DiscordSimulator, bot: Bot) -> None:
    said = sim.user_says("ana", "hello @bo", "dev")
    sim.user_edits(said, "hello")
    sim.starts_thread("ana", said)
    sim.user_says("bo", "a reply", "dev", reply_to=said)
    messages = [*sim.events("MESSAGE_CREATE"), *sim.events("MESSAGE_UPDATE")]
    assert len(messages) == 5
    assert [p for m in messages for p in problems(("MessageResponse",), m, "gateway")] == []
    assert [p for t in sim.events("THREAD_CREATE") for p in problems(("ThreadResponse",), t, "gateway")] == []


def call(method: str, body: Any) -> Call:
    return Call(method, "POST", "/", DiscordSimulator().clock.now(), body=body)


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("create_message", {"content": "x" * 4001}),
        ("create_message", {"nonce": "n" * 26}),
        ("create_message", {"components": [{"type": 99}]}),
        ("create_message", {"components": [{"type": 1, "components": []}]}),
        ("create_thread_from_message", {}),
        ("bulk_set_application_commands", [{"name": "x" * 33, "type": 1}]),
        ("bulk_set_application_commands", [{"name": "x", "contexts": "all"}]),
        ("create_interaction_response", {"type": 99}),
        ("get_channel", {"unexpected": True}),
    ],
)
def test_the_description_refuses_what_does_not_fit(method: str, body: Any) -> None:
    assert body_problems(call(method, body)) != []


COMMAND: dict[str, Any] = {"name": "codetask", "description": "Code tasks", "type": 1, **HERE}
OPTION: dict[str, Any] = {"type": 3, "name": "repo", "description": "Where"}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Codetask"},
        {"name": "code task"},
        {"name": "x" * 33},
        {"description": ""},
        {"description": "x" * 101},
        {"contexts": None},
        {"integration_types": None},
        {"contexts": [7]},
        {"type": 9},
        {"type": 3, "description": "menus have none"},
        {"options": [{**OPTION, "name": f"o{n}"} for n in range(26)]},
        {"options": [OPTION, OPTION]},
        {"options": [OPTION, {**OPTION, "name": "must", "required": True}]},
        {"options": [{**OPTION, "choices": [{"name": str(n), "value": str(n)} for n in range(26)]}]},
        {"options": [{**OPTION, "choices": [{"name": "n" * 101, "value": "v"}]}]},
        {"options": [{**OPTION, "autocomplete": True, "choices": [{"name": "n", "value": "v"}]}]},
        {"options": [{**OPTION, "type": 99}]},
        {"options": [{**OPTION, "colour": "red"}]},
    ],
)
async def test_commands_that_discord_refuses(sim: DiscordSimulator, bot: Bot, change: dict[str, Any]) -> None:
    assert bot.application_id is not None
    wrong = {**copy.deepcopy(COMMAND), **change}
    refused = await refusal(bot.http.bulk_upsert_global_commands(bot.application_id, [wrong]))
    assert refused.code == 50035
    assert sim.commands == []


async def test_commands_keep_their_ids(sim: DiscordSimulator, bot: Bot) -> None:
    assert bot.application_id is not None
    one: Any = await bot.http.bulk_upsert_global_commands(bot.application_id, [COMMAND])
    sim.advance(timedelta(hours=1))
    two: Any = await bot.http.bulk_upsert_global_commands(bot.application_id, [{**COMMAND, "description": "New"}])
    assert (one[0]["id"], two[0]["description"]) == (two[0]["id"], "New")
    assert one[0]["version"] != two[0]["version"]
    twice = bot.http.bulk_upsert_global_commands(bot.application_id, [COMMAND, COMMAND])
    assert (await refusal(twice)).code == 50035
    other = bot.http.bulk_upsert_global_commands(1, [COMMAND])
    assert (await refusal(other)).code == 20012

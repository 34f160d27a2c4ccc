"""Slash commands, menus, buttons, forms and autocompletion on the Discord simulator, with the real discord.py."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import discord
import pytest

from platforms.discord.simulator import DiscordSimulator, Interaction
from tests.platforms.discord.simulator_rig import Bot, connected, refusal, use_simulator

HERE: dict[str, Any] = {"contexts": [0, 1], "integration_types": [0]}
COMMANDS: list[dict[str, Any]] = [
    {
        "name": "codetask",
        "description": "File and follow code tasks",
        "type": 1,
        "options": [
            {
                "type": 1,
                "name": "new",
                "description": "File a code task",
                "options": [
                    {"type": 3, "name": "description", "description": "What to do", "required": True},
                    {"type": 3, "name": "repo", "description": "Where", "autocomplete": True},
                    {"type": 5, "name": "draft", "description": "As a draft"},
                    {"type": 4, "name": "minutes", "description": "At most", "min_value": 1},
                    {"type": 6, "name": "for", "description": "For whom"},
                    {
                        "type": 3,
                        "name": "agent",
                        "description": "Which agent",
                        "choices": [{"name": "OpenCode", "value": "opencode"}],
                    },
                ],
            },
            {"type": 1, "name": "status", "description": "What is going on"},
        ],
        **HERE,
    },
    {"name": "File as code task", "type": 3, **HERE},
]


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordSimulator]:
    with DiscordSimulator(seed=5) as simulator:
        use_simulator(monkeypatch, simulator)
        simulator.register_commands(COMMANDS)
        yield simulator
        assert simulator.surprises == []


@pytest.fixture
async def bot(sim: DiscordSimulator) -> AsyncIterator[Bot]:
    async with connected(sim) as client:
        yield client


class Buttons(discord.ui.View):
    def __init__(self) -> None:
        super().__init__(timeout=None)
        self.add_item(discord.ui.Button(label="Cancel CT-42", custom_id="codetask:cancel:CT-42"))


async def test_a_slash_command_arrives_with_typed_options(sim: DiscordSimulator, bot: Bot) -> None:
    given = {"description": "dark mode", "draft": True, "minutes": 5, "for": "bo", "agent": "OpenCode"}
    asked = sim.runs_command("ana", "/codetask new", given, "dev")
    heard: discord.Interaction[Any] = await bot.next("interaction")
    assert (heard.type, str(heard.id), heard.data["name"]) == (
        discord.InteractionType.application_command,
        asked.id,
        "codetask",
    )
    (sub,) = heard.data["options"]
    assert {o["name"]: (o["type"], o["value"]) for o in sub["options"]} == {
        "description": (3, "dark mode"),
        "draft": (5, True),
        "minutes": (4, 5),
        "for": (6, sim.user("bo").id),
        "agent": (3, "opencode"),
    }
    assert list(heard.data["resolved"]["users"]) == [sim.user("bo").id]
    assert (heard.permissions.administrator, heard.app_permissions.send_messages) == (True, True)
    await heard.response.send_message("Filed CT-42.", ephemeral=True)
    assert asked.acked
    assert asked.latency_ms is not None
    assert asked.acked_at is not None
    (whisper,) = sim.whispers
    assert (whisper.text, whisper.to) == ("Filed CT-42.", sim.user("ana").id)
    assert asked.whisper is whisper
    assert sim.sent == []


@pytest.mark.parametrize(
    ("command", "options", "why"),
    [
        ("/codetask", {}, "needs a subcommand"),
        ("/codetask fly", {}, "no subcommand"),
        ("/codetask new", {}, "description is required"),
        ("/codetask new", {"description": "x", "colour": "red"}, "no option colour"),
        ("/codetask new", {"description": "x", "minutes": 0}, "does not take 0"),
        ("/codetask new", {"description": "x", "draft": "yes"}, "True or False"),
        ("/codetask new", {"description": "x", "agent": "other"}, "no choice"),
        ("/followup", {}, "no command"),
    ],
)
def test_the_client_sends_only_what_is_declared(
    sim: DiscordSimulator, command: str, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(LookupError, match=why):
        sim.runs_command("ana", command, options)
    assert sim.interactions == []


async def test_a_command_in_a_thread_and_in_a_direct_message(sim: DiscordSimulator, bot: Bot) -> None:
    thread = sim.starts_thread("ana", sim.user_says("ana", "please", "dev"))
    sim.runs_command("bo", "/codetask status", channel=thread)
    heard = await bot.next("interaction")
    assert (str(heard.channel_id), heard.guild_locale) == (thread.id, discord.Locale.american_english)
    sim.runs_command("cy", "/codetask status", channel=sim.direct("cy"))
    heard = await bot.next("interaction")
    assert (heard.guild_id, heard.locale, heard.user.name) == (None, discord.Locale.chinese, "cy")
    assert sim.sent == []


async def test_a_deferred_answer_is_filled_in_later(sim: DiscordSimulator, bot: Bot) -> None:
    asked = sim.runs_command("ana", "/codetask status")
    heard: discord.Interaction[Any] = await bot.next("interaction")
    await heard.response.defer(ephemeral=True, thinking=True)
    assert asked.acked
    assert sim.whispers == []
    await heard.edit_original_response(content="Nothing is running.")
    assert [w.text for w in sim.whispers] == ["Nothing is running."]
    await heard.edit_original_response(content="One is running.")
    assert [v.text for v in sim.whispers[0].history] == ["Nothing is running.", "One is running."]
    more = await heard.followup.send("And a word to all.", wait=True)
    assert [m.text for m in sim.sent] == ["And a word to all."]
    assert sim.pings(sim.sent[0]) == set()
    await heard.followup.delete_message(more.id)
    await heard.delete_original_response()
    assert [w.deleted for w in sim.whispers] == [True]


async def test_a_message_menu_carries_its_message(sim: DiscordSimulator, bot: Bot) -> None:
    sim.revoke_intent()
    said = sim.user_says("ana", "could we have dark mode?", "dev")
    sim.uses_menu("bo", said, "File as code task")
    heard: discord.Interaction[Any] = await bot.next("interaction")
    assert (heard.data["type"], heard.data["target_id"]) == (3, said.id)
    assert heard.data["resolved"]["messages"][said.id]["content"] == "could we have dark mode?"


async def test_a_button_and_its_answers(sim: DiscordSimulator, bot: Bot) -> None:
    await bot.place("dev").send("Running.", view=Buttons())
    (card,) = sim.sent
    pressed = sim.clicks("bo", card, "Cancel CT-42")
    heard: discord.Interaction[Any] = await bot.next("interaction")
    assert (heard.data["custom_id"], heard.message and str(heard.message.id)) == ("codetask:cancel:CT-42", card.id)
    await heard.response.edit_message(content="Cancelled.", view=None)
    assert (pressed.state, card.text, card.components) == ("acked", "Cancelled.", [])
    with pytest.raises(LookupError, match="no button"):
        sim.clicks("bo", card, "Cancel CT-42")


async def test_a_button_of_a_whisper_is_the_persons_own(sim: DiscordSimulator, bot: Bot) -> None:
    sim.runs_command("ana", "/codetask status")
    await (await bot.next("interaction")).response.send_message("Sure?", view=Buttons(), ephemeral=True)
    with pytest.raises(LookupError, match="does not see"):
        sim.clicks("bo", sim.whispers[0], "Cancel CT-42")
    pressed = sim.clicks("ana", sim.whispers[0], "codetask:cancel:CT-42")
    await (await bot.next("interaction")).response.defer()
    assert pressed.acked


async def test_a_form_is_shown_and_sent(sim: DiscordSimulator, bot: Bot) -> None:
    class Ask(discord.ui.Modal, title="File as code task"):
        words = discord.ui.Label(
            text="What to do", component=discord.ui.TextInput(custom_id="description", default="dark mode")
        )

    asked = sim.uses_shortcut("ana", sim.user_says("ana", "please", "dev"), "File as code task")
    heard: discord.Interaction[Any] = await bot.next("interaction")
    await heard.response.send_modal(Ask(custom_id="codetask:file:1"))
    assert asked.form is not None
    assert (asked.form.title, asked.form.custom_id) == ("File as code task", "codetask:file:1")
    with pytest.raises(LookupError, match="no field colour"):
        sim.submits_form("ana", asked.form, {"colour": "red"})
    sent = sim.submits_form("ana", asked.form, {"What to do": "a dark mode"})
    heard = await bot.next("interaction")
    assert heard.type is discord.InteractionType.modal_submit
    assert heard.data["components"][0]["component"]["value"] == "a dark mode"
    await heard.response.send_message("Filed.", ephemeral=True)
    assert sent.acked
    with pytest.raises(LookupError, match="closed"):
        sim.submits_form("ana", asked.form, {})


async def test_autocompletion(sim: DiscordSimulator, bot: Bot) -> None:
    typed = sim.types_choice("ana", "/codetask new", "repo", "ap", "dev")
    heard: discord.Interaction[Any] = await bot.next("interaction")
    (sub,) = heard.data["options"]
    assert sub["options"] == [{"name": "repo", "type": 3, "value": "ap", "focused": True}]
    await heard.response.autocomplete([discord.app_commands.Choice(name="app", value="acme/app")])
    assert typed.choices == [{"name": "app", "value": "acme/app"}]
    with pytest.raises(LookupError, match="no autocompletion"):
        sim.types_choice("ana", "/codetask new", "description", "x")


async def answered(sim: DiscordSimulator, bot: Bot) -> tuple[Interaction, discord.Interaction[Any]]:
    asked = sim.runs_command("ana", "/codetask status")
    heard: discord.Interaction[Any] = await bot.next("interaction")
    await heard.response.send_message("Here.", ephemeral=True)
    return asked, heard


async def test_an_answer_after_three_seconds_is_refused(sim: DiscordSimulator, bot: Bot) -> None:
    asked = sim.runs_command("ana", "/codetask status")
    heard: discord.Interaction[Any] = await bot.next("interaction")
    sim.advance(timedelta(seconds=3.1))
    assert (asked.state, asked.error) == ("lost", "The application did not respond")
    assert (await refusal(heard.response.send_message("late"))).code == 10062
    assert (await refusal(heard.followup.send("late"))).code == 10015


async def test_a_second_answer_is_refused(sim: DiscordSimulator, bot: Bot) -> None:
    asked, heard = await answered(sim, bot)
    route = discord.http.Route("POST", f"/interactions/{asked.id}/{asked.token}/callback")
    assert (await refusal(bot.http.request(route, json={"type": 4, "data": {"content": "again"}}))).code == 40060
    route = discord.http.Route("POST", "/interactions/1/unknown/callback")
    assert (await refusal(bot.http.request(route, json={"type": 5}))).code == 10062
    del heard


async def test_a_token_lives_for_fifteen_minutes(sim: DiscordSimulator, bot: Bot) -> None:
    _, heard = await answered(sim, bot)
    sim.advance(timedelta(minutes=14))
    await heard.edit_original_response(content="Still here.")
    sim.advance(timedelta(minutes=1, seconds=1))
    refused = await refusal(heard.edit_original_response(content="Gone."))
    assert (refused.status, refused.code) == (401, 50027)


async def test_what_was_deleted_or_never_there_cannot_be_edited(sim: DiscordSimulator, bot: Bot) -> None:
    _, heard = await answered(sim, bot)
    await heard.delete_original_response()
    assert (await refusal(heard.edit_original_response(content="x"))).code == 10008
    route = discord.http.Route("POST", f"/webhooks/{sim.app_id}/no-such-token")
    assert (await refusal(bot.http.request(route, json={"content": "x"}))).code == 10015


@pytest.mark.parametrize("with_response", [True, False])
async def test_the_callback_answers_with_a_body_when_asked(
    sim: DiscordSimulator, bot: Bot, with_response: bool
) -> None:
    asked = sim.runs_command("ana", "/codetask status", channel="dev")
    await bot.next("interaction")
    route = discord.http.Route("POST", f"/interactions/{asked.id}/{asked.token}/callback")
    params = {"with_response": "1"} if with_response else {}
    body: Any = await bot.http.request(route, json={"type": 4, "data": {"content": "To all."}}, params=params)
    (said,) = sim.sent
    if with_response:
        assert body["resource"]["message"]["id"] == body["interaction"]["response_message_id"] == said.id
        assert body["resource"]["message"]["interaction_metadata"]["id"] == asked.id
    else:
        assert body == ""
        assert sim.calls("create_interaction_response")[0].status == 204


async def test_a_deaf_session_swallows_a_command(sim: DiscordSimulator, bot: Bot) -> None:
    sim.go_deaf()
    asked = sim.runs_command("ana", "/codetask status")
    assert asked.state == "swallowed"
    sim.advance(timedelta(seconds=4))
    assert asked.state == "lost"


async def test_wrong_answers_are_refused(sim: DiscordSimulator, bot: Bot) -> None:
    asked = sim.runs_command("ana", "/codetask status")
    await bot.next("interaction")
    route = discord.http.Route("POST", f"/interactions/{asked.id}/{asked.token}/callback")
    wrong: list[dict[str, Any]] = [
        {"type": 8, "data": {"choices": []}},
        {"type": 7, "data": {"content": "x"}},
        {"type": 9, "data": {"title": "x" * 46, "custom_id": "c", "components": []}},
        {"type": 4, "data": {"content": "x" * 2001}},
    ]
    for body in wrong:
        refused = await refusal(bot.http.request(route, json=body))
        assert refused.code == 50035, json.dumps(body)
    assert asked.state == "pending"

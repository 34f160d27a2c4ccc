"""The Discord simulator's gateway, with the real discord.py."""

from collections.abc import Iterator
from typing import Any, Literal

import discord
import pytest

from platforms.discord.simulator import DiscordSimulator
from tests.platforms.discord.simulator_rig import connected, use_simulator


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordSimulator]:
    with DiscordSimulator(seed=3) as simulator:
        use_simulator(monkeypatch, simulator)
        yield simulator
        assert simulator.surprises == []


async def test_a_client_hears_what_people_do(sim: DiscordSimulator) -> None:
    async with connected(sim) as bot:
        said = sim.user_mentions("ana", "hello @bo", "dev")
        heard: discord.Message = await bot.next("message")
        assert (str(heard.id), heard.content) == (said.id, f"<@{sim.bot_user_id}> hello <@{sim.user('bo').id}>")
        assert bot.user in heard.mentions
        assert heard.guild is not None
        assert heard.author.display_name == "Ana Pires"
        sim.user_edits(said, "hello")
        assert (await bot.next("edit")).data["content"] == "hello"
        sim.unfurl(said)
        unfurled = await bot.next("edit")
        assert unfurled.data["embeds"][0]["url"] == "https://example.com/"
        sim.reacts("bo", said, "🎫")
        reaction = await bot.next("reaction")
        assert (str(reaction.user_id), reaction.emoji.name) == (sim.user("bo").id, "🎫")
        sim.reacts("bo", said, "🎫", on=False)
        assert str((await bot.next("unreaction")).message_id) == said.id
        thread = sim.starts_thread("ana", said, "Details")
        assert thread.id == said.id
        assert (await bot.next("thread")).parent_id == int(sim.channel("dev").id)
        sim.user_says("bo", "in the thread", thread)
        inside = await bot.next("message")
        while inside.type is not discord.MessageType.default:
            inside = await bot.next("message")
        assert (inside.content, inside.channel.parent.name) == ("in the thread", "dev")
        sim.user_deletes(said)
        assert str((await bot.next("delete")).message_id) == said.id
        direct = sim.user_says("cy", "psst", sim.direct("cy"))
        assert str((await bot.next("message")).id) == direct.id


async def test_what_the_bot_may_not_see_is_not_sent(sim: DiscordSimulator) -> None:
    async with connected(sim) as bot:
        sim.user_says("ana", "secret", "lounge")
        seen = sim.user_says("ana", "open", "dev")
        assert str((await bot.next("message")).id) == seen.id
        sim.adds_bot("lounge")
        now = sim.user_says("ana", "hello", "lounge")
        assert str((await bot.next("message")).id) == now.id


@pytest.mark.parametrize("how", ["clean", "abort"])
async def test_a_lost_connection_is_resumed_with_replay(sim: DiscordSimulator, how: Literal["clean", "abort"]) -> None:
    async with connected(sim) as bot:
        sim.drop_connection(how)
        missed = sim.user_says("ana", "while you were away", "dev")
        assert str((await bot.next("message")).id) == missed.id
        await bot.next("resumed")
        assert (sim.identifies, sim.resumes, sim.connections_opened) == (1, 1, 2)


async def test_the_server_asks_for_a_reconnect(sim: DiscordSimulator) -> None:
    async with connected(sim) as bot:
        sim.server_says_reconnect()
        await bot.next("resumed")
        said = sim.user_says("ana", "still there?", "dev")
        assert str((await bot.next("message")).id) == said.id


async def test_every_session_hears_every_event(sim: DiscordSimulator) -> None:
    async with connected(sim) as one, connected(sim) as two:
        said = sim.user_says("ana", "both of you", "dev")
        heard: list[Any] = [await one.next("message"), await two.next("message")]
        assert [str(message.id) for message in heard] == [said.id, said.id]

"""The Discord simulator's gateway, with the real discord.py."""

import asyncio
import importlib.util
import json
import sys
import zlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

import aiohttp
import discord
import pytest

from platforms.discord.simulator import DiscordSimulator
from tests.platforms.discord.simulator_rig import Bot, connected, use_simulator


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


async def test_an_invalid_session_starts_anew_and_misses_what_was_said(
    sim: DiscordSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(sim) as bot:
        monkeypatch.setattr(bot, "before_identify_hook", nothing)
        sim.invalidate_session()
        sim.user_says("ana", "into the gap", "dev")
        await bot.next("ready")
        after = sim.user_says("ana", "after", "dev")
        assert str((await bot.next("message")).id) == after.id
        assert (sim.identifies, sim.resumes) == (2, 0)


async def nothing(*_: Any, **__: Any) -> None:
    """Instead of discord.py's five seconds before a second IDENTIFY."""


async def test_a_session_that_is_too_old_cannot_be_resumed(sim: DiscordSimulator) -> None:
    async with Socket(sim) as first:
        ready = await first.identify()
        sim.drop_connection("abort")
        await sim.wait_for(lambda: not sim.connections)
    sim.advance(timedelta(minutes=4))
    async with Socket(sim) as second:
        await second.say(6, {"token": sim.bot_token, "session_id": ready["session_id"], "seq": 1})
        assert await second.hear(9) is False


async def test_a_session_that_its_client_ended_cannot_be_resumed(sim: DiscordSimulator) -> None:
    async with Socket(sim) as first:
        ready = await first.identify()
    await sim.wait_for(lambda: not sim.connections)
    async with Socket(sim) as second:
        await second.say(6, {"token": sim.bot_token, "session_id": ready["session_id"], "seq": 1})
        assert await second.hear(9) is False


async def test_a_black_hole_is_noticed_by_the_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    with DiscordSimulator(heartbeat=timedelta(milliseconds=50)) as sim:
        use_simulator(monkeypatch, sim)
        async with connected(sim, heartbeat_timeout=0.3) as bot:
            sim.drop_connection("blackhole")
            missed = sim.user_says("ana", "hello?", "dev")
            assert str((await bot.next("message")).id) == missed.id
            assert sim.resumes == 1


async def test_a_deaf_connection_answers_heartbeats_and_tells_nothing(sim: DiscordSimulator) -> None:
    async with Socket(sim) as socket:
        ready = await socket.identify()
        sim.go_deaf()
        missed = sim.user_says("ana", "hello?", "dev")
        await socket.say(1, None)
        await socket.hear(11)
        sim.drop_connection("abort")
    async with Socket(sim) as again:
        await again.say(6, {"token": sim.bot_token, "session_id": ready["session_id"], "seq": 2})
        assert (await again.event("MESSAGE_CREATE"))["id"] == missed.id
        await again.event("RESUMED")


IDENTIFY: dict[str, Any] = {"properties": {"os": "linux"}, "intents": 46593}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("no json", 4002),
        ({"d": 1}, 4002),
        ({"op": 2, "d": {}}, 4002),
        ({"op": 99, "d": {}}, 4001),
        ({"op": 8, "d": {}}, 4003),
        ({"op": 2, "d": {**IDENTIFY, "token": "wrong"}}, 4004),
        ({"op": 2, "d": {**IDENTIFY, "intents": 1 << 40}}, 4013),
        ({"op": 2, "d": {**IDENTIFY, "intents": 46593 | 1 << 1}}, 4014),
        ({"op": 2, "d": {**IDENTIFY, "shard": [1, 1]}}, 4010),
        ({"op": 6, "d": {"session_id": "x", "seq": 1, "token": "wrong"}}, 4004),
    ],
)
async def test_close_codes(sim: DiscordSimulator, frame: Any, code: int) -> None:
    async with Socket(sim) as socket:
        if isinstance(frame, dict) and isinstance(frame.get("d"), dict) and frame["d"]:
            frame["d"].setdefault("token", sim.bot_token)
        await socket.send(frame)
        assert await socket.closed() == code
    assert sim.close_codes == [code]


async def test_more_close_codes(sim: DiscordSimulator) -> None:
    async with Socket(sim) as socket:
        await socket.identify()
        await socket.say(2, {**IDENTIFY, "token": sim.bot_token})
        assert await socket.closed() == 4005
    async with Socket(sim) as socket:
        await socket.identify()
        await socket.say(1, 99)
        assert await socket.closed() == 4007
    async with Socket(sim) as socket:
        for _ in range(121):
            await socket.say(1, None)
        assert await socket.closed() == 4008
    async with Socket(sim, v="6") as socket:
        assert await socket.closed() == 4012
    async with Socket(sim) as socket:
        await socket.identify()
        sim.drop_connection("clean", code=4009)
        assert await socket.closed() == 4009


async def test_a_revoked_token_ends_the_client(sim: DiscordSimulator) -> None:
    async with connected(sim) as bot:
        sim.revoke_token()
        assert bot.running is not None
        with pytest.raises(discord.ConnectionClosed) as caught:
            await bot.running
        assert caught.value.code == 4004


async def test_a_missing_privileged_intent_ends_the_client(sim: DiscordSimulator) -> None:
    sim.revoke_intent("message_content")
    bot = Bot(sim)
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await bot.start(sim.bot_token)
    await bot.close()
    async with connected(sim, intents=discord.Intents(guilds=True, guild_messages=True)) as plain:
        sim.user_says("ana", "hidden", "dev")
        assert (await plain.next("message")).content == ""


async def test_the_identify_budget(sim: DiscordSimulator) -> None:
    sim.spend_identifies(left=1)
    async with connected(sim) as bot:
        gateway: Any = await bot.http.get_bot_gateway()
        assert (gateway[2]["total"], gateway[2]["remaining"]) == (1000, 0)
    async with Socket(sim) as socket:
        await socket.say(2, {**IDENTIFY, "token": sim.bot_token})
        assert await socket.closed() == 4004
    sim.restore_token()
    sim.advance(timedelta(days=1, seconds=1))
    async with Socket(sim) as socket:
        await socket.identify()


@pytest.mark.parametrize("compress", ["", "zlib-stream"])
async def test_ready_and_the_guild(sim: DiscordSimulator, compress: str) -> None:
    async with Socket(sim, compress=compress) as socket:
        ready = await socket.identify()
        assert {"v", "user", "guilds", "session_id", "resume_gateway_url", "application"} <= ready.keys()
        assert ready["guilds"] == [{"id": sim.guild_id, "unavailable": True}]
        guild = await socket.event("GUILD_CREATE")
        assert [channel["name"] for channel in guild["channels"]] == ["general", "dev", "lounge"]
        assert [member["user"]["id"] for member in guild["members"]] == [sim.bot_user_id]


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop_before_commit": True}])
async def test_a_gateway_that_turns_clients_away(sim: DiscordSimulator, fault: dict[str, Any]) -> None:
    sim.fail_next("gateway", **fault, times=None)
    bot = Bot(sim)
    with pytest.raises(aiohttp.ClientError):
        async with asyncio.timeout(5):
            await bot.start(sim.bot_token, reconnect=False)
    await bot.close()
    assert sim.connections_opened == 0
    sim.heal()
    async with Socket(sim) as socket:
        await socket.identify()


async def test_a_message_can_come_twice(sim: DiscordSimulator) -> None:
    async with Socket(sim) as socket:
        await socket.identify()
        said = sim.user_says("ana", "once", "dev")
        sim.redeliver(said, times=2)
        assert [(await socket.event("MESSAGE_CREATE"))["id"] for _ in range(3)] == [said.id] * 3
        assert len(sim.events("MESSAGE_CREATE")) == 3


async def test_zstd_is_used_where_there_is_a_module_for_it() -> None:
    with DiscordSimulator() as sim:
        async with Socket(sim, compress="zstd-stream") as socket:
            first = await socket.socket.receive(timeout=5)
        packed = first.type is aiohttp.WSMsgType.BINARY
        assert packed == (importlib.util.find_spec("zstandard") is not None or sys.version_info >= (3, 14))
        assert [s.what for s in sim.surprises] == ([] if packed else ["unknown compression zstd-stream"])


async def test_no_members_intent_no_member_events(sim: DiscordSimulator) -> None:
    sim.grant_intent("guild_members")
    async with Socket(sim) as without, Socket(sim) as with_them:
        await without.identify()
        await with_them.identify(intents=46593 | 1 << 1)
        dee = sim.add_user("dee")
        assert (await with_them.event("GUILD_MEMBER_ADD"))["user"]["id"] == dee.id
        sim.user_says("dee", "hello", "dev")
        assert (await without.next_event())["t"] == "MESSAGE_CREATE"


class Socket:
    """The gateway without an SDK."""

    def __init__(self, sim: DiscordSimulator, **query: str) -> None:
        self.sim = sim
        self.url = sim.gateway_url.with_query({"v": "10", "encoding": "json", **{k: q for k, q in query.items() if q}})
        self.inflate = zlib.decompressobj()

    async def __aenter__(self) -> "Socket":
        self.session = aiohttp.ClientSession()
        self.socket = await self.session.ws_connect(self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()
        await self.session.close()

    async def send(self, frame: Any) -> None:
        await self.socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))

    async def say(self, op: int, data: Any) -> None:
        await self.send({"op": op, "d": data})

    async def frame(self) -> dict[str, Any]:
        message = await self.socket.receive(timeout=5)
        raw = self.inflate.decompress(message.data) if message.type is aiohttp.WSMsgType.BINARY else message.data
        assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
        found: dict[str, Any] = json.loads(raw)
        return found

    async def hear(self, op: int) -> Any:
        while (frame := await self.frame())["op"] != op:
            continue
        return frame["d"]

    async def next_event(self) -> dict[str, Any]:
        while (frame := await self.frame())["t"] in (None, "GUILD_CREATE", "READY"):
            continue
        return frame

    async def event(self, name: str) -> Any:
        while (frame := await self.frame())["t"] != name:
            continue
        return frame["d"]

    async def identify(self, **fields: Any) -> Any:
        await self.say(2, {**IDENTIFY, "token": self.sim.bot_token, **fields})
        return await self.event("READY")

    async def closed(self) -> int | None:
        while (await self.socket.receive(timeout=5)).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            continue
        return self.socket.close_code

"""The real discord.py on the simulator, for the tests of the simulator itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import discord
import discord.http
import pytest
from discord.gateway import DiscordWebSocket

from platforms.discord.simulator import DiscordSimulator

INTENTS = discord.Intents(
    guilds=True,
    guild_messages=True,
    dm_messages=True,
    message_content=True,
    guild_reactions=True,
    dm_reactions=True,
)


class Bot(discord.Client):
    """Keeps what it heard."""

    def __init__(self, sim: DiscordSimulator, **options: Any) -> None:
        super().__init__(
            **{
                "intents": INTENTS,
                "allowed_mentions": discord.AllowedMentions.none(),
                "max_ratelimit_timeout": 30,
                "guild_ready_timeout": 0.01,
                **options,
            }
        )
        self.sim = sim
        self.heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.running: asyncio.Task[None] | None = None

    async def on_message(self, message: discord.Message) -> None:
        self.heard.put_nowait(("message", message))

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        self.heard.put_nowait(("edit", event))

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        self.heard.put_nowait(("delete", event))

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        self.heard.put_nowait(("reaction", event))

    async def on_raw_reaction_remove(self, event: discord.RawReactionActionEvent) -> None:
        self.heard.put_nowait(("unreaction", event))

    async def on_thread_create(self, thread: discord.Thread) -> None:
        self.heard.put_nowait(("thread", thread))

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        self.heard.put_nowait(("interaction", interaction))

    async def on_resumed(self) -> None:
        self.heard.put_nowait(("resumed", None))

    async def on_ready(self) -> None:
        self.heard.put_nowait(("ready", None))

    async def next(self, kind: str) -> Any:
        """The next thing heard of one kind; what comes before is dropped."""
        async with asyncio.timeout(5):
            while True:
                found, what = await self.heard.get()
                if found == kind:
                    return what

    def place(self, name: str) -> discord.PartialMessageable:
        """A channel or thread by name, without the cache."""
        return self.get_partial_messageable(int(self.sim.channel(name).id))


def use_simulator(monkeypatch: pytest.MonkeyPatch, sim: DiscordSimulator) -> None:
    """Points the process's discord.py to the simulator until the test ends."""
    monkeypatch.setattr(discord.http.Route, "BASE", sim.api_url)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", sim.gateway_url)


@asynccontextmanager
async def logged_in(sim: DiscordSimulator) -> AsyncIterator[Bot]:
    """A client that only speaks REST."""
    bot = Bot(sim)
    await bot.login(sim.bot_token)
    try:
        yield bot
    finally:
        await bot.close()


@asynccontextmanager
async def connected(sim: DiscordSimulator, **options: Any) -> AsyncIterator[Bot]:
    """A client with an open gateway session."""
    bot = Bot(sim, **options)
    bot.running = asyncio.ensure_future(bot.start(sim.bot_token))
    try:
        await bot.next("ready")
        yield bot
    finally:
        await bot.close()
        await asyncio.gather(bot.running, return_exceptions=True)


async def refusal(work: Any) -> discord.HTTPException:
    """The refusal that `work` must end in."""
    with pytest.raises(discord.HTTPException) as caught:
        await work
    return caught.value

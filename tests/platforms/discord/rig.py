"""The real adapter on the Discord simulator, with an inbox that remembers and leases that can be taken away."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from bot.core.inbound import Event, MessageRef, Person, ThreadRef
from bot.ports import Fatal, InboxDown
from platforms.discord.adapter import DiscordPlatform
from platforms.discord.settings import DiscordSettings
from platforms.discord.simulator import DiscordSimulator, Interaction, StoredMessage
from platforms.discord.supervision import Timings
from tests.platforms.slack.rig import ListInbox as _ListInbox

HEARTBEAT = timedelta(seconds=0.2)
QUICK = Timings(
    heartbeat=timedelta(seconds=2.5),
    first_backoff=timedelta(seconds=0.05),
    longest_backoff=timedelta(seconds=0.2),
    tick=timedelta(seconds=0.1),
    drain=timedelta(seconds=1),
    renew=timedelta(seconds=0.2),
    unrenewed=timedelta(seconds=0.6),
    standby=timedelta(seconds=0.05),
    identify_pause=timedelta(0),
    identifies=1000,
)


class Leases:
    """Who holds what, for any number of inboxes. No time: a lease lasts until it is released or taken away."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.down = False


class ListInbox(_ListInbox):
    """The inbox of the Slack tests with leases."""

    def __init__(self, leases: Leases | None = None) -> None:
        super().__init__()
        self.leases = leases or Leases()

    async def hold(self, name: str, owner: str, ttl: timedelta) -> bool:
        self._changed.set()
        if self.leases.down:
            raise InboxDown("k7f2")
        return self.leases.owners.setdefault(name, owner) == owner

    async def release(self, name: str, owner: str) -> None:
        if self.leases.owners.get(name) == owner:
            del self.leases.owners[name]


def settings_for(simulator: DiscordSimulator, **changes: Any) -> DiscordSettings:
    known = {
        "discord_token": SecretStr(simulator.bot_token),
        "codetask_discord_api_url": simulator.api_url,
        "codetask_discord_gateway_url": str(simulator.gateway_url),
    }
    return DiscordSettings(**{**known, **changes})


@dataclass
class Rig:
    simulator: DiscordSimulator
    platform: DiscordPlatform
    inbox: ListInbox
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[Fatal | None] | None" = None

    async def start(self) -> None:
        """Runs the adapter until it is ready."""
        self.stop.clear()
        before = len(self.inbox.gaps)
        self.task = asyncio.create_task(self.platform.run(self.inbox, self.stop))
        ready = asyncio.create_task(self.inbox.until(lambda: len(self.inbox.gaps) > before))
        await asyncio.wait({self.task, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    async def end(self) -> Fatal | None:
        """Stops the adapter within the 5 s it is allowed."""
        self.stop.set()
        assert self.task is not None
        return await asyncio.wait_for(self.task, 5)

    async def seen(self, count: int = 1) -> list[Event]:
        return await self.inbox.until(lambda: self.inbox.said if len(self.inbox.said) >= count else None) or []

    def place(self, where: str = "dev", root: str | None = None, native: str | None = None) -> ThreadRef:
        channel = self.simulator.channel(where).id
        guild = self.simulator.guild_id
        return ThreadRef(platform="discord", workspace_id=guild, channel_id=channel, root=root, native=native)

    def person(self, who: str = "ana") -> Person:
        user = self.simulator.user(who)
        return Person(platform="discord", workspace_id=self.simulator.guild_id, id=user.id, name=user.name)

    def command(self, who: str, text: str, where: Any = "dev", options: Mapping[str, Any] | None = None) -> Interaction:
        """`/codetask new` with a text."""
        return self.simulator.runs_command(who, "/codetask new", {"text": text, **(options or {})}, where)

    def shown(self, message: StoredMessage) -> str:
        return self.simulator.render_text(message)


@asynccontextmanager
async def rigged(
    simulator: DiscordSimulator, timings: Timings = QUICK, start: bool = True, **changes: Any
) -> AsyncIterator[Rig]:
    """The adapter on a running simulator; everything of it is closed at the end and nothing was strange to Discord."""
    platform = DiscordPlatform(settings_for(simulator), simulator.clock, replace(timings, **changes))
    rig = Rig(simulator, platform, ListInbox())
    try:
        if start:
            await rig.start()
        yield rig
    finally:
        rig.inbox.gate.set()
        if rig.task is not None and not rig.task.done():
            await rig.end()
        await platform.aclose()
    assert simulator.surprises == []


def posted(sent: object) -> MessageRef:
    assert isinstance(sent, MessageRef), sent
    return sent

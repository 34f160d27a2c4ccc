"""The real adapter on the Slack simulator, over Socket Mode or HTTP, with an inbox that remembers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeVar

from aiohttp import web
from pydantic import SecretStr

from bot.core.inbound import Event, Gap, Person, ThreadRef
from bot.ports import Choice, Fatal, InboxDown, Receipt
from platforms.slack.adapter import SlackPlatform, Timings
from platforms.slack.simulator import SlackSimulator

T = TypeVar("T")
Transport = Literal["socket", "http"]
QUICK = Timings(
    ping=timedelta(seconds=1),  # no pong in half of it is a loss: a busy machine is none
    first_backoff=timedelta(seconds=0.05),
    longest_backoff=timedelta(seconds=0.2),
    tick=timedelta(seconds=0.1),
    drain=timedelta(seconds=1),
)


class ListInbox:
    """An `Inbox` that keeps events in memory, knows duplicates by key, and can be down or slow."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.duplicates = 0
        self.down = False
        self.broken: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self._changed = asyncio.Event()

    async def accept(self, event: Event) -> Receipt:
        self.waiting += 1
        self._changed.set()
        await self.gate.wait()
        self.waiting -= 1
        if self.broken:
            raise self.broken
        if self.down:
            raise InboxDown("k7f2")
        known = any(kept.key == event.key for kept in self.events)
        if known:
            self.duplicates += 1
        else:
            self.events.append(event)
        self._changed.set()
        return Receipt("duplicate" if known else "new", "aaaa")

    async def choices(self, name: str, text: str, person: Person, place: ThreadRef | None = None) -> list[Choice]:
        return [Choice(f"{name} {text} {number}", str(number)) for number in range(40)]

    @property
    def said(self) -> list[Event]:
        """Everything but gaps."""
        return [event for event in self.events if not isinstance(event, Gap)]

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.events if isinstance(event, Gap)]

    async def until(self, found: Callable[[], T], timeout: float = 8.0) -> T:
        """The first truthy value of `found`, looked at again after every event."""
        async with asyncio.timeout(timeout):
            while not (value := found()):
                self._changed.clear()
                await self._changed.wait()
        return value


@dataclass(frozen=True)
class Settings:
    """What the adapter reads of `bot.settings.Settings`."""

    slack_bot_token: SecretStr | None
    slack_app_token: SecretStr | None
    slack_signing_secret: SecretStr | None
    codetask_slack_api_url: str
    codetask_slack_transport: Transport = "socket"


def settings_for(simulator: SlackSimulator, transport: Transport = "socket") -> Settings:
    return Settings(
        SecretStr(simulator.bot_token),
        SecretStr(simulator.app_token) if transport == "socket" else None,
        SecretStr(simulator.signing_secret),
        simulator.api_url,
        transport,
    )


@dataclass
class Rig:
    simulator: SlackSimulator
    platform: SlackPlatform
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


@asynccontextmanager
async def rigged(
    simulator: SlackSimulator, transport: Transport = "socket", timings: Timings = QUICK, start: bool = True
) -> AsyncIterator[Rig]:
    """A rig; with `start`, connected and ready. Ends everything afterwards and checks that nothing surprised Slack."""
    platform = SlackPlatform(settings_for(simulator, transport), simulator.clock, timings)
    rig = Rig(simulator, platform, ListInbox())
    runner = await _serve(rig) if transport == "http" else None
    try:
        if start:
            await rig.start()
        yield rig
    finally:
        rig.inbox.gate.set()
        if rig.task is not None and not rig.task.done():
            await rig.end()
        await platform.aclose()
        if runner is not None:
            await runner.cleanup()
    assert simulator.surprises == []


async def _serve(rig: Rig) -> web.AppRunner:
    async def receive(request: web.Request) -> web.Response:
        answer = await rig.platform.receive(request.path, dict(request.headers), await request.read())
        return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))

    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.router.add_post("/webhooks/slack", receive)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    rig.simulator.use_http(f"http://127.0.0.1:{port}/webhooks/slack")
    return runner

"""Events that cannot be handled: tried five times, then told to the person, and never tried for ever."""

import asyncio
from datetime import timedelta
from typing import Any

from bot.core.inbound import Gap, Person, ThreadRef
from bot.ports import Choice
from bot.services.inbox import TRIES, InboxService
from bot.services.intake.originals import Originals
from bot.store import Pending
from storage.engine import Database
from tests.clock import FakeClock


class Broken:
    """A handler with a bug, whose apology has a bug too."""

    def __init__(self, *, apology: bool) -> None:
        self.apology = apology
        self.tried: list[int] = []
        self.gave_up: list[str] = []

    async def handle(self, item: Pending) -> None:
        self.tried.append(item.attempts)
        raise RuntimeError("a bug of ours")

    async def give_up(self, item: Pending, ref: str) -> None:
        self.gave_up.append(ref)
        if not self.apology:
            raise RuntimeError("another bug of ours")

    async def choices(self, name: str, text: str, person: Person, place: ThreadRef | None = None) -> list[Choice]:
        return []


async def handled(store: Database, clock: FakeClock, handler: Any) -> None:
    service = InboxService(store, handler, Originals({}), lambda tx, events: [True] * len(events))
    now = clock.now()
    event = Gap(platform="slack", workspace_id="T1", app_id="A1", key="gap", sent_at=now, received_at=now, since=now)
    await service.accept(event)
    for _ in range(TRIES + 3):
        await asyncio.wait_for(service.drain(), 20)
        clock.advance(timedelta(minutes=1))


async def test_gives_up_after_five_tries(store: Database, clock: FakeClock) -> None:
    handler = Broken(apology=True)
    await handled(store, clock, handler)
    assert handler.tried == list(range(TRIES)) and len(handler.gave_up) == 1
    assert store.run_sync(lambda tx: tx.figures.unhandled()) == 0


async def test_an_apology_that_fails_ends_it_too(store: Database, clock: FakeClock) -> None:
    handler = Broken(apology=False)
    await handled(store, clock, handler)
    assert len(handler.tried) == TRIES and len(handler.gave_up) == 1
    assert store.run_sync(lambda tx: tx.figures.unhandled()) == 0

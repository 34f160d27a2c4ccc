"""The inbox: events are stored inside the ack window, and handled from their rows.

`accept` is all that happens before an ack. `InboxService.run` hands each stored event to the command service, in order
per conversation; a crash at any point leaves the row `new`, and it is handled again: handling marks the row done in the
same transaction that writes its effects, so the effects happen once.

Ordinary messages are stored without their words, many in one transaction, and not at all where nothing listens: what
people say to each other must not be on disk, and must not keep a command waiting.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from bot.core.inbound import Event, MessageDeleted, MessageRef, Ordinary, Person, ThreadRef, Unreadable, hush, withhold
from bot.failpoints import failpoint
from bot.ports import Choice, InboxDown, Receipt
from bot.services.batches import Batches
from bot.services.intake.originals import Originals
from bot.services.later import Later
from bot.services.loops import short_ref, work_from_rows
from bot.store import Damaged, Pending, Store, StoreDown, Transaction

log = structlog.get_logger(__name__)

ACCEPT_SECONDS: Final = 2.0
"""Budget of storing one event; the platforms allow 3 s until the ack."""
BATCH: Final = 64
TRIES: Final = 5
GATHER_SECONDS: Final = 0.02
"""How long an ordinary message, whose ack nobody waits for, waits for others to share its commit (ours)."""
LONGEST_WAIT: Final = timedelta(minutes=5)
"""The longest pause between two tries at an event, unless a platform asks for a longer one."""
IDLE_SECONDS: Final = 10.0
HEARD_EVERY: Final = timedelta(minutes=1)
UNWANTED: Final = -1
"""In place of a row's number: nothing was stored, as nothing listens there."""

Wanted = Callable[[Transaction, Sequence[Ordinary]], Sequence[bool]]


class Handler(Protocol):
    """Handles stored events."""

    async def handle(self, item: Pending) -> None: ...

    async def give_up(self, item: Pending, ref: str) -> None:
        """Tells the person that an event could not be handled, and marks it done."""
        ...

    async def choices(self, name: str, text: str, person: Person, place: ThreadRef | None = None) -> list[Choice]:
        """Completions of an option."""
        ...


class InboxService:
    """The `Inbox` that adapters are given, and the loop that handles what they put in.

    `wanted` says which of some ordinary messages are stored, `originals` keeps their words in memory."""

    def __init__(self, store: Store, handler: Handler, originals: Originals, wanted: Wanted) -> None:
        self._store = store
        self._handler = handler
        self._originals = originals
        self._wanted = wanted
        self._heard: dict[str, datetime] = {}
        self._ordinary: Batches[Ordinary, int | None] = Batches(self._insert, gather=GATHER_SECONDS)
        self._in_flight: dict[int, asyncio.Task[None]] = {}
        self._lanes: dict[str, asyncio.Task[None]] = {}

    async def accept(self, event: Event) -> Receipt:
        ref = short_ref()
        failpoint("inbox.before_insert")
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                inbound_id = await self._keep(event)
        except (StoreDown, TimeoutError) as error:
            log.error("inbox_down", ref=ref, kind=event.kind, platform=event.platform, error=type(error).__name__)
            raise InboxDown(ref) from error
        failpoint("inbox.inserted_unacked")
        if inbound_id is None:
            return Receipt("duplicate", ref)
        if inbound_id == UNWANTED:
            return Receipt("new", ref)
        told = log.debug if isinstance(event, Ordinary) else log.info
        told("accepted", inbound=inbound_id, kind=event.kind, platform=event.platform, event_id=event.event_id)
        return Receipt("new", str(inbound_id))

    async def _keep(self, event: Event) -> int | None:
        """Stores an event: its row's number, None when it is known, UNWANTED when it is not to be stored."""
        if not isinstance(event, Ordinary):
            kept = hush(event) if isinstance(event, Unreadable) else event
            return await self._store.run(_insertion(kept), urgent=True)
        if not isinstance(event, MessageDeleted):
            self._originals.keep(event)  # before it can be handled
        found = await self._ordinary.add(event)
        if found == UNWANTED:
            self._originals.drop(MessageRef(thread=event.thread, message_id=event.message_id))
        return found

    async def _insert(self, events: Sequence[Ordinary]) -> Sequence[int | None]:
        late = {event.platform: event.received_at for event in events if self._is_news(event)}

        withheld = [withhold(event, self._originals.owner) for event in events]

        def unit(tx: Transaction) -> list[int | None]:
            wanted = self._wanted(tx, withheld)
            numbers = iter(tx.inbox.add_all([kept for kept, fits in zip(withheld, wanted, strict=True) if fits]))
            found = [next(numbers) if fits else UNWANTED for fits in wanted]
            for platform, at in late.items() if UNWANTED in found else ():
                tx.inbox.heard(platform, at)
            return found

        found = await self._store.run(unit, urgent=True)
        if UNWANTED in found:
            self._heard.update(late)
        return found

    def _is_news(self, event: Ordinary) -> bool:
        """Whether it is worth noting that the platform was heard then: after a gap it is read again from there."""
        last = self._heard.get(event.platform)
        return last is None or event.received_at - last >= HEARD_EVERY

    async def choices(self, name: str, text: str, person: Person, place: ThreadRef | None = None) -> list[Choice]:
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                return (await self._handler.choices(name, text, person, place))[:25]
        except (StoreDown, TimeoutError):
            return []

    async def hold(self, name: str, owner: str, ttl: timedelta) -> bool:
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                return await self._store.run(lambda tx: tx.leases.hold(name, owner, ttl))
        except (StoreDown, TimeoutError) as error:
            raise InboxDown(short_ref()) from error

    async def release(self, name: str, owner: str) -> None:
        with suppress(StoreDown):
            await self._store.run(lambda tx: tx.leases.release(name, owner))

    async def run(self, stop: asyncio.Event) -> None:
        """Handles events until `stop`; then lets those under way finish."""

        async def step() -> float | None:
            return None if await self._step() else IDLE_SECONDS

        try:
            await work_from_rows(self._store, "inbound", step, stop)
        finally:
            if self._in_flight:
                await asyncio.wait(self._in_flight.values(), timeout=10)

    async def drain(self) -> None:
        """Handles what is stored now (for the tests)."""
        while await self._step() or self._in_flight:
            if self._in_flight:
                await asyncio.wait(self._in_flight.values())

    async def _step(self) -> bool:
        """Starts handling stored events; True when there was anything new."""
        limit = BATCH + len(self._in_flight)
        if len(self._in_flight) >= BATCH:
            await asyncio.wait(self._in_flight.values(), return_when=asyncio.FIRST_COMPLETED)
            return True
        try:
            pending = await self._store.run(lambda tx: tx.inbox.pending(limit), read=True)
        except StoreDown:
            return False
        fresh = [item for item in pending if item.id not in self._in_flight]
        begun = 0
        for item in fresh:
            if isinstance(item, Pending):
                self._start(item)
                begun += 1
            else:
                begun += await self._park(item)
        return begun > 0

    async def _park(self, item: Damaged) -> bool:
        """Gives up an event that cannot be read; False when the database is away."""
        ref = short_ref()
        log.error("event_unreadable", inbound=item.id, key=item.key, error=item.why, ref=ref)

        def unit(tx: Transaction) -> None:
            tx.inbox.failed(item.id, f"unreadable: {item.why} (ref {ref})", None)
            tx.people.audit("inbox", "unreadable", item.key, {"why": item.why, "ref": ref})

        try:
            await self._store.run(unit)
        except StoreDown:
            return False
        return True

    def _start(self, item: Pending) -> None:
        lane = _lane(item.event)
        task = asyncio.create_task(self._handle(item, self._lanes.get(lane)))
        self._in_flight[item.id] = self._lanes[lane] = task

        def ended(done: asyncio.Task[None]) -> None:
            self._in_flight.pop(item.id, None)
            if self._lanes.get(lane) is done:
                del self._lanes[lane]

        task.add_done_callback(ended)

    async def _handle(self, item: Pending, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        try:
            await self._handler.handle(item)
        except StoreDown:
            log.warning("handling_postponed", inbound=item.id)
            await asyncio.sleep(1)
        except Later as later:
            ref = short_ref()
            log.warning("handling_waits", inbound=item.id, kind=item.event.kind, why=later.why, ref=ref)
            await self._put_off(item, ref, later.why, later.tries, later.after)
        except Exception:
            ref = short_ref()
            log.exception("handling_failed", inbound=item.id, kind=item.event.kind, ref=ref)
            await self._put_off(item, ref, "unexpected", TRIES)

    async def _put_off(self, item: Pending, ref: str, why: str, tries: int, least: timedelta = timedelta(0)) -> None:
        """Tries again after 1 s doubling to 5 min, never before `least`; after the last try the person is told."""
        last = item.attempts + 1 >= tries
        wait = max(least, min(timedelta(seconds=2 ** min(item.attempts, 10)), LONGEST_WAIT))
        try:
            if last:
                await self._give_up(item, ref)
            retry_after = None if last else wait
            await self._store.run(lambda tx: tx.inbox.failed(item.id, f"{why} (ref {ref})", retry_after))
        except StoreDown:
            log.warning("handling_postponed", inbound=item.id)

    async def _give_up(self, item: Pending, ref: str) -> None:
        """Tells the person. An event that cannot even be answered must not come back for ever."""
        try:
            await self._handler.give_up(item, ref)
        except StoreDown:
            raise
        except Exception:
            log.exception("giving_up_failed", inbound=item.id, ref=ref)


def _insertion(event: Event) -> Callable[[Transaction], int | None]:
    """Stores the event, unless that comes too late: by then the person was told that nothing was saved."""
    deadline = time.monotonic() + ACCEPT_SECONDS

    def unit(tx: Transaction) -> int | None:
        inbound_id = tx.inbox.add(event)
        if time.monotonic() > deadline:
            raise StoreDown("too late")
        return inbound_id

    return unit


def _lane(event: Event) -> str:
    """Events of one conversation are handled one after the other; commands without a thread, per person."""
    thread = getattr(event, "thread", None)
    person = getattr(event, "person", None)
    if thread is None:
        return event.platform
    if thread.root is None and person is not None:
        return f"{thread.canonical}:{person.id}"
    return thread.canonical

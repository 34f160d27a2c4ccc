"""A platform in memory and a time that jumps, to watch the supervision without waiting."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from bot.core.inbound import Event, Gap, Message, Person, ThreadRef
from bot.ports import (
    Choice,
    Fatal,
    Health,
    Identity,
    InboxDown,
    Posted,
    Receipt,
    Trouble,
)
from platforms.intake import Keeper
from platforms.line import Checked, Ended, Line, Live, Timings
from platforms.supervision import Supervision, noted

T = TypeVar("T")
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WHO = Checked(Identity("wire", "A1", "T1", "U1", "Codetask"))
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its time stands still while there is something to do, then jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            assert self._scheduled, "nothing would ever happen again"  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class LoopClock:
    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())


@dataclass(frozen=True)
class Me:
    app_id: str = "A1"
    workspace_id: str = "T1"


class Inbox:
    """Keeps what it is given; can be down. Leases last until they are released or taken away."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.down = self.leases_down = False
        self.owners: dict[str, str] = {}
        self.held: list[timedelta] = []

    async def accept(self, event: Event) -> Receipt:
        if self.down:
            raise InboxDown("k7f2")
        self.events.append(event)
        return Receipt("new", "aaaa")

    async def choices(self, name: str, text: str, person: Person, place: ThreadRef | None = None) -> list[Choice]:
        return []

    async def hold(self, name: str, owner: str, ttl: timedelta) -> bool:
        if self.leases_down:
            raise InboxDown("k7f2")
        self.held.append(ttl)
        return self.owners.setdefault(name, owner) == owner

    async def release(self, name: str, owner: str) -> None:
        if self.owners.get(name) == owner:
            del self.owners[name]

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.events if isinstance(event, Gap)]


class Wire:
    """One connection: `cut` ends it."""

    def __init__(self) -> None:
        self._cut = asyncio.Event()

    def cut(self) -> None:
        self._cut.set()

    async def lost_within(self, limit: timedelta) -> bool:
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await self._cut.wait()
        except TimeoutError:
            return False
        return True


class Standing(Live):
    """A connection under which events can be missed, or that ends for a reason."""

    def __init__(self, wire: Wire | None, line: "MemoryLine") -> None:
        super().__init__(wire)
        self._line = line

    def missed_since(self, heard_at: datetime) -> datetime | None:
        missed, self._line.missed = self._line.missed, None
        return missed

    def ending(self) -> str | Fatal:
        return self._line.last_words or super().ending()


class MemoryLine(Line[Checked]):
    """A platform in memory. What it answers next stands in `checks`, `opens` and `told`; the last answer stays."""

    name, title, auth_fix, deaf_fix = "wire", "Wire", "Set WIRE_TOKEN.", "Look around."

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(Keeper[Me](clock), self, self._check)
        self.intake.me = Me()
        self.clock, self.exclusive, self.webhook = clock, "", False
        self.checks: list[Checked | Trouble] = [WHO]
        self.opens: list[Ended | Fatal | Exception | None] = [None]
        self.told: list[object] = ["the bot"]
        self.posted: list[Posted] = []
        self.checked_at: list[float] = []
        self.opened_at: list[float] = []
        self.closed_at: list[float] = []
        self.asked_at: list[float] = []
        self.read_after: list[datetime | None] = []
        self.wire = Wire()
        self.missed: datetime | None = None
        self.last_words: str | Fatal = ""
        self.never: set[str] = set()
        """Which of check, open, ask and read are never answered."""

    async def _answer(self, what: str, times: list[float], answers: list[T]) -> T:
        times.append(asyncio.get_running_loop().time())
        if what in self.never:
            await asyncio.Event().wait()
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def _check(self) -> Checked | Trouble:
        return await self._answer("check", self.checked_at, self.checks)

    @asynccontextmanager
    async def connect(self, checked: Checked, stop: asyncio.Event) -> AsyncIterator[Live | Ended | Fatal]:
        opening = asyncio.ensure_future(self._answer("open", self.opened_at, self.opens))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({opening, stopped}, return_when=asyncio.FIRST_COMPLETED)
            found = opening.result() if opening.done() else Ended("stopped")
            if isinstance(found, Exception):
                raise found
            self.wire = Wire()
            yield found or Standing(None if self.webhook else self.wire, self)
        finally:
            for left in (opening, stopped):
                left.cancel()
            self.closed_at.append(asyncio.get_running_loop().time())

    async def ask(self) -> object:
        return await self._answer("ask", self.asked_at, self.told)

    def meaning(self, error: Exception) -> Ended | None:
        return Ended("refused") if isinstance(error, ConnectionError) else None

    def lease(self, checked: Checked) -> str | None:
        return self.exclusive or None

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> Sequence[Posted]:
        self.read_after.append(after)
        return await self._answer("read", [], [self.posted])

    async def channels(self) -> Sequence[ThreadRef]:
        return [ThreadRef(platform="wire", workspace_id="T1", channel_id=f"C{number}") for number in range(40)]

    def hear(self) -> None:
        self.intake.last_inbound_at = self.clock.now()

    def say(self) -> None:
        """Someone writes, and it never arrives."""
        now = self.clock.now()
        person = Person(platform="wire", workspace_id="T1", id="U2", kind="human", name="Ana")
        place = ThreadRef(platform="wire", workspace_id="T1", channel_id="C0", root="1")
        said = Message(
            platform="wire",
            app_id="A1",
            workspace_id="T1",
            key=f"A1:m:{len(self.posted)}",
            sent_at=now,
            received_at=now,
            thread=place,
            person=person,
            message_id=str(len(self.posted)),
            text="is anybody there",
        )
        self.posted.append(Posted(message=said, own=False, event=said))


@dataclass
class Bench:
    """The supervision at work."""

    line: MemoryLine
    inbox: Inbox = field(default_factory=Inbox)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    health: Health = field(default_factory=lambda: Health("starting"))
    states: list[str] = field(default_factory=list)
    running: "asyncio.Task[Fatal | None] | None" = None

    def note(self, *told: Any, **more: Any) -> None:
        self.health = noted(self.health, *told, **more)
        self.states.append(self.health.state)

    def start(self, timings: Timings | None = None) -> None:
        supervision = Supervision(self.line, self.line.clock, timings or Timings(), self.note)
        self.running = asyncio.create_task(supervision.run(self.inbox, self.stop))

    async def end(self) -> Fatal | None:
        """Stops it. What it says when it had ended by itself."""
        assert self.running is not None
        self.stop.set()
        return await self.running

    async def ended(self, within: timedelta) -> Fatal | None:
        assert self.running is not None
        async with asyncio.timeout(within.total_seconds()):
            return await asyncio.shield(self.running)


async def passes(time: timedelta) -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(time.total_seconds(), done.set)
    await done.wait()


def play(scene: Callable[[Bench], Coroutine[Any, Any, T]]) -> T:
    """Runs a scene in jumping time. No task is left afterwards."""

    async def whole() -> T:
        bench = Bench(MemoryLine(LoopClock()))
        try:
            return await scene(bench)
        finally:
            if bench.running is not None and not bench.running.done():
                await bench.end()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(whole())


Scene = Callable[[Bench], Awaitable[None]]

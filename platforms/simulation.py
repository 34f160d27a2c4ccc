"""Pieces shared by the platform simulators: a clock, timers, a server thread, planned faults, awaitable readers.

A simulator lives in its own thread and event loop, so that a blocking SDK call in the caller's loop cannot deadlock it.
Its verbs are plain methods: they run on the simulator's loop and return at once.
"""

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

ANY = "*"
"""In a fault plan: any method."""


class SimulatedClock:
    """Runs on like real time and can be moved forward. It is a `bot.ports.Clock`: share it with the code under test."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime.now(UTC)
        self._began = time.monotonic()
        self._skipped = timedelta(0)

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._began) + self._skipped

    def advance(self, duration: timedelta) -> None:
        """Moves the clock forward. Time never goes back: a negative duration raises ValueError."""
        if duration < timedelta(0):
            raise ValueError("a simulated clock only moves forward")
        self._skipped += duration


class Timer:
    """One pending action; `cancel` before it is due to drop it."""

    def __init__(self, due_at: datetime, action: Callable[[], None]) -> None:
        self.due_at = due_at
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Timers:
    """Actions at instants of a simulated clock. They run on one loop, as time passes and when the clock is moved."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._heap: list[tuple[datetime, int, Timer]] = []
        self._order = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakeup: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """From now on due actions run on the running loop; before, nothing runs."""
        self._loop = asyncio.get_running_loop()
        self._arm()

    def after(self, delay: timedelta, action: Callable[[], None]) -> Timer:
        timer = Timer(self._clock.now() + delay, action)
        heapq.heappush(self._heap, (timer.due_at, next(self._order), timer))
        self._arm()
        return timer

    def run_due(self) -> None:
        """Runs what is due by now, oldest first."""
        while self._heap and self._heap[0][0] <= self._clock.now():
            _, _, timer = heapq.heappop(self._heap)
            action, timer.action = timer.action, None
            if action is not None:
                action()
        self._arm()

    def close(self) -> None:
        self._heap.clear()
        self._arm()
        self._loop = None

    def _arm(self) -> None:
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        if self._heap and self._loop is not None:
            wait = (self._heap[0][0] - self._clock.now()).total_seconds()
            self._wakeup = self._loop.call_later(max(0.0, wait), self.run_due)


class LoopThread:
    """A thread with its own event loop. `call` runs a plain function there and waits for its (quick) result."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def running(self) -> bool:
        return self._loop is not None

    def start(self, opening: Callable[[], Awaitable[None]], timeout: float = 10.0) -> None:
        """Starts the thread and runs `opening` in it. What `opening` raises is raised here."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(opening, ready), name=self._name, daemon=True)
        self._thread.start()
        try:
            ready.result(timeout)
        except BaseException:
            self._thread.join(timeout)
            self._loop = self._thread = None
            raise

    def stop(self, closing: Callable[[], Awaitable[None]], timeout: float = 10.0) -> None:
        """Runs `closing`, cancels what is left, ends the thread. Stopping twice is fine."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._finish(closing), loop).result(timeout)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout)
        self._loop = self._thread = None

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `function` on the loop and returns its result; directly when already there or not started."""
        loop = self._loop
        if loop is None or threading.current_thread() is self._thread:
            return function(*args, **kwargs)
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(function(*args, **kwargs))
            except Exception as error:
                done.set_exception(error)

        loop.call_soon_threadsafe(run)
        return done.result(10)

    def spawn(self, work: Awaitable[Any]) -> None:
        """Starts a coroutine on the loop; call it there only."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """Runs a coroutine on this thread's loop and awaits it from another loop."""
        if self._loop is None:
            raise RuntimeError(f"{self._name} is not started")

        async def run() -> T:
            return await work()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), self._loop))

    def _run(self, opening: Callable[[], Awaitable[None]], ready: "Future[None]") -> None:
        loop = asyncio.new_event_loop()
        try:
            try:
                loop.run_until_complete(opening())
            except BaseException as error:
                ready.set_exception(error)
                return
            self._loop = loop
            loop.call_soon(ready.set_result, None)
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _finish(self, closing: Callable[[], Awaitable[None]]) -> None:
        await closing()
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


class Changes:
    """Tells waiting readers, in any loop, that something happened."""

    def __init__(self) -> None:
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._lock = threading.Lock()

    def notify(self) -> None:
        with self._lock:
            waiters = list(self._waiters)
        for loop, event in waiters:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def wait_for(self, predicate: Callable[[], T], timeout: float, what: Callable[[], str]) -> T:
        """The first truthy value of `predicate`, asked again after each happening and every 50 ms.

        Raises TimeoutError after `timeout` real seconds; `what` then says what was there instead.
        """
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._waiters.add(waiter)
        deadline = time.monotonic() + timeout
        try:
            while True:
                waiter[1].clear()
                value = predicate()
                if value:
                    return value
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"not seen within {timeout} s; {what()}")
                try:
                    await asyncio.wait_for(waiter[1].wait(), min(left, 0.05))
                except TimeoutError:
                    continue
        finally:
            with self._lock:
                self._waiters.discard(waiter)


@dataclass(frozen=True, slots=True)
class Fault:
    """What one call shall suffer instead of, or after, being carried out."""

    status: int | None = None
    retry_after: float | None = None
    error: str | None = None
    drop_before_commit: bool = False
    drop_after_commit: bool = False


class FaultPlan:
    """Faults waiting for the next calls of a method (or of any method: `*`)."""

    def __init__(self) -> None:
        self._planned: list[tuple[str, Fault, int | None]] = []

    def add(self, method: str, fault: Fault, times: int | None = 1) -> None:
        """`times` None means until `clear`."""
        self._planned.append((method, fault, times))

    def clear(self) -> None:
        self._planned.clear()

    def take(self, method: str) -> Fault | None:
        """The fault for this call, used up by asking."""
        for index, (name, fault, times) in enumerate(self._planned):
            if name in (method, ANY):
                if times is not None and times <= 1:
                    del self._planned[index]
                elif times is not None:
                    self._planned[index] = (name, fault, times - 1)
                return fault
        return None


@dataclass(frozen=True, slots=True)
class Surprise:
    """Something the code under test sent that the simulator does not know. Tests assert that there is none."""

    where: str
    what: str

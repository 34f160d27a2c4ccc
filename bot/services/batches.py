"""Many small writes as few transactions: what is asked for while one is under way is done by the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from bot.store import StoreDown

A = TypeVar("A")
R = TypeVar("R")

MOST: Final = 64


class Batches(Generic[A, R]):
    """Calls `do` with up to `most` things at once, in the order in which they came, one call after the other.

    `do` answers one result for each. When it fails on something, each is done by itself, so that only the one at fault
    fails; when the database is away, all of them do. `gather` is how many seconds it waits for more before each call.
    """

    def __init__(
        self, do: Callable[[Sequence[A]], Awaitable[Sequence[R]]], most: int = MOST, gather: float = 0.0
    ) -> None:
        self._do = do
        self._most = most
        self._gather = gather
        self._waiting: deque[tuple[A, asyncio.Future[R]]] = deque()
        self._under_way: Sequence[tuple[A, asyncio.Future[R]]] = ()
        self._work: asyncio.Task[None] | None = None

    async def add(self, one: A) -> R:
        """Does one thing together with others; its result, or what it raised."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, done))
        if self._work is None:
            self._begin()
        return await done

    def _begin(self) -> None:
        self._work = asyncio.create_task(self._all())
        self._work.add_done_callback(self._ended)

    async def _all(self) -> None:
        while self._waiting:
            if self._gather and len(self._waiting) < self._most:
                await asyncio.sleep(self._gather)
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self._under_way = [(one, done) for one, done in batch if not done.done()]
            await self._some(self._under_way)

    def _ended(self, work: "asyncio.Task[None]") -> None:
        """Nobody waits for ever: not who came right before the end, and not when the work was cut off."""
        self._work = None
        error = None if work.cancelled() else work.exception()
        if error is None and not work.cancelled():
            if self._waiting:
                self._begin()
            return
        left = [done for _, done in (*self._under_way, *self._waiting) if not done.done()]
        self._waiting.clear()
        for done in left:
            if error is None:
                done.cancel()
            else:
                done.set_exception(error)

    async def _some(self, batch: Sequence[tuple[A, "asyncio.Future[R]"]]) -> None:
        if not batch:
            return
        try:
            results = await self._do([one for one, _ in batch])
        except StoreDown as error:
            _fail(batch, error)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch, error)
            else:
                for one in batch:
                    await self._some([one])
        else:
            for (_, done), result in zip(batch, results, strict=True):
                if not done.done():
                    done.set_result(result)


def _fail(batch: Sequence[tuple[A, "asyncio.Future[R]"]], error: Exception) -> None:
    for _, done in batch:
        if not done.done():
            done.set_exception(error)

"""Many small writes as few: everything is done once, in order, and one that cannot be done fails alone."""

import asyncio
from collections.abc import Sequence

import pytest

from bot.services.batches import Batches
from bot.store import StoreDown


class Cut(BaseException):
    """The process ends."""


class Work:
    """What is done with a batch: doubles numbers, chokes on some."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.go.set()
        self.broken: dict[int, BaseException] = {}

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.begun.set()
        await self.go.wait()
        for number in numbers:
            if number in self.broken:
                raise self.broken[number]
        return [2 * number for number in numbers]


async def test_what_comes_meanwhile_is_done_together_in_order() -> None:
    work = Work()
    work.go.clear()
    batches = Batches(work, most=4)
    adding = [asyncio.create_task(batches.add(number)) for number in range(3)]
    await work.begun.wait()
    adding += [asyncio.create_task(batches.add(number)) for number in range(3, 10)]
    work.go.set()
    assert await asyncio.gather(*adding) == [2 * number for number in range(10)]
    assert work.batches == [[0, 1, 2], [3, 4, 5, 6], [7, 8, 9]]


async def test_who_comes_right_at_the_end_is_not_forgotten() -> None:
    batches = Batches(Work())
    assert [await batches.add(number) for number in range(5)] == [0, 2, 4, 6, 8]


async def test_one_that_cannot_be_done_fails_alone() -> None:
    work = Work()
    work.broken[1] = ValueError("unfit")
    batches = Batches(work)
    found = await asyncio.gather(*(batches.add(number) for number in range(3)), return_exceptions=True)
    assert found[0] == 0 and isinstance(found[1], ValueError) and found[2] == 4
    assert work.batches == [[0, 1, 2], [0], [1], [2]]


async def test_without_a_database_all_of_them_fail_at_once() -> None:
    work = Work()
    work.broken[1] = StoreDown("away")
    batches = Batches(work)
    found = await asyncio.gather(*(batches.add(number) for number in range(3)), return_exceptions=True)
    assert all(isinstance(one, StoreDown) for one in found)
    assert work.batches == [[0, 1, 2]]


async def test_who_gives_up_waiting_does_not_stop_the_others() -> None:
    work = Work()
    work.go.clear()
    batches = Batches(work)
    first, second = asyncio.create_task(batches.add(1)), asyncio.create_task(batches.add(2))
    await work.begun.wait()
    first.cancel()
    work.go.set()
    assert await second == 4
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_nobody_waits_for_ever_when_the_work_is_cut_off() -> None:
    work = Work()
    work.broken[0] = Cut()
    batches = Batches(work)
    found = await asyncio.gather(*(batches.add(number) for number in range(2)), return_exceptions=True)
    assert all(isinstance(one, Cut) for one in found)
    assert await batches.add(3) == 6

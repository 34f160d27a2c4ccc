"""Stored before acked: items 1, 2, 4, 19, 28."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from typing import Final

from bot.core.inbound import Command, Gap, Unreadable
from tests.contracts.items.register import item
from tests.contracts.process import Process
from tests.contracts.rig import Rig, Sent

WISH: Final = "Add a CSV export to the report"
FLOOD, FLOOD_LONG = 256, 10_000
"""Deliveries of one event, from 16 connections (F4)."""
ACKED: Final = 0.95
"""This share is acked at least: what is on its way to a connection that is replaced at that moment comes again."""


async def _commands(rig: Rig) -> list[Command]:
    return [event for event in await rig.app.events() if isinstance(event, Command)]


async def _wait_until(moment: float) -> None:
    """Waits for a point of the monotonic clock: the fault itself is a length of time."""
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_later(moment - time.monotonic(), reached.set)
    await reached.wait()


@item(1)
async def acks_only_what_is_stored(rig: Rig) -> None:
    app = await rig.start()
    async with app.locked():
        slash = rig.command("ana", WISH)
        said = rig.file("bo", "Fix the login of the report page")
        heard = rig.deliveries(said)
        await rig.until(lambda: rig.in_flight)
        await app.wait_for_change(0.3)
        assert not slash.acked
        assert not any(one.acked for one in heard)
        released = time.monotonic()
    await rig.acked(slash, *heard)
    assert min(one.acked_at or 0 for one in [slash, *heard]) >= released
    assert len(await _commands(rig)) == 2


@item(1)
async def a_crash_after_the_ack_loses_nothing(rig: Rig) -> None:
    app = await rig.start()
    app.app.inbox._handler = Never()  # type: ignore[assignment]
    slash = rig.command("ana", WISH)
    await rig.acked(slash)
    await rig.crash()
    await rig.start()
    await rig.settle()
    assert len(await rig.app.tasks()) == 1
    await rig.restart()
    await rig.settle()
    assert len(await rig.app.tasks()) == 1
    assert len(rig.posts) == 1


@item(1)
async def a_killed_process_handles_it_once_after_restart(rig: Rig) -> None:
    """`kill -9` of a real process at the moment the row is stored and the ack is not yet out."""
    async with Process(rig, failpoint="inbox.inserted_unacked:kill:2") as process:
        await process.ready()
        said = rig.file("ana", WISH)
        assert await process.died() == -9
    await rig.start()
    for one in rig.redeliver(said):
        await rig.acked(one)
    await rig.settle()
    (task,) = await rig.app.tasks()
    assert task.description == WISH
    assert len(rig.posts) == 1


@item(2)
async def events_that_cannot_be_stored_come_again(rig: Rig) -> None:
    app = await rig.start()
    await rig.settle()
    began = time.monotonic()
    async with app.locked():
        said = rig.file("ana", WISH)
        heard = rig.deliveries(said)
        await _wait_until(began + 2.6)
        assert not any(one.acked for one in heard)
    await rig.advance(timedelta(seconds=4))
    await rig.until(lambda: not rig.in_flight)
    for _ in range(3):
        await rig.advance(timedelta(minutes=6))
        await rig.until(lambda: not rig.in_flight)
    await rig.acked(*heard)
    await rig.settle()
    assert [task.description for task in await app.tasks()] == [WISH]


@item(2)
async def a_person_is_told_at_once_when_nothing_was_saved(rig: Rig) -> None:
    app = await rig.start()
    said = rig.file("ana", WISH)
    await rig.settle()
    card = await rig.card("CT-1")
    async with app.locked():
        sent = {"ana": rig.press("ana", card, "Cancel")}
        if "slash" in rig.doors:
            sent["bo"] = rig.command("bo", "Fix the login of the report page")
        told = await rig.until(lambda: rig.whispers if len(rig.whispers) == len(sent) else None)
        assert {one.to for one in told} == set(sent)
        for one in told:
            assert "couldn't save that (ref" in one.text
            assert "Nothing was filed" in one.text
    await rig.acked(*sent.values())
    await rig.settle()
    assert [task.stage for task in await app.tasks()] == ["queued"], "what was said not to be filed was not filed"
    assert said.id


@item(4)
async def what_nobody_knows_is_acked(rig: Rig) -> None:
    app = await rig.start()
    await rig.settle()
    unknown, unreadable = rig.raw(rig.unknown_event()), rig.raw(rig.unreadable_event())
    await rig.acked(unknown, unreadable)
    await rig.settle()
    kept = [event for event in await app.events() if not isinstance(event, Gap)]
    assert [type(event) for event in kept] == [Unreadable]
    assert isinstance(kept[0], Unreadable)
    assert len(kept[0].ref) >= 4
    assert kept[0].raw
    assert rig.posts == []
    said = rig.file("ana", WISH)
    await rig.acked(*rig.deliveries(said))


@item(19)
async def a_slow_store_stays_inside_the_window(rig: Rig) -> None:
    app = await rig.start()
    await rig.settle()
    began = time.monotonic()
    async with app.locked():
        sent: list[Sent] = [rig.command("ana", f"{WISH} number {n}", ("general", "dev")[n % 2]) for n in range(5)]
        await _wait_until(began + 1.5)
    await rig.acked(*sent)
    assert all(max(one.latencies) < 3.0 for one in sent)
    assert all(max(one.latencies) >= 1.0 for one in sent), "the store was slow"
    await rig.settle()
    assert len(await app.tasks()) == 5


async def _flood(rig: Rig, times: int, processes: int) -> list[float]:
    """Delivers one event that often, to so many processes where several may listen; the seconds until each ack,
    sorted."""
    await rig.start()
    most = 1 if rig.webhook or rig.app.platform.capabilities.exclusive_ingress else processes
    for _ in range(most - 1):
        await rig.start()
    await rig.until(lambda: rig.webhook or rig.connections == most)
    said = rig.file("ana", WISH)
    heard = rig.deliveries(said)
    await rig.acked(*heard)

    def unanswered() -> int:
        return sum(one.attempts - len(one.latencies) for one in heard)

    lost = 0
    for _ in range(times // (16 * len(heard))):
        rig.redeliver(said, 16)
        with suppress(TimeoutError):  # then the share decides
            await rig.until(lambda known=lost: unanswered() <= known, 10)  # type: ignore[misc]
        lost = unanswered()  # no later wave waits for these
    latencies = sorted(seconds for one in heard for seconds in one.latencies)
    assert len(latencies) >= times * ACKED
    await rig.settle(60)
    assert len(await rig.app.tasks()) == 1
    assert len(await _commands(rig)) == 1
    assert len(rig.posts) == 1
    return latencies


@item(28)
async def one_event_hundreds_of_times(rig: Rig) -> None:
    await _flood(rig, FLOOD, 4)


@item(28, long=True)
async def one_event_ten_thousand_times(rig: Rig) -> None:
    latencies = await _flood(rig, FLOOD_LONG, 16)
    assert latencies[int(len(latencies) * 0.99)] < 1.0


class Never:
    """Handling that never gets to anything: the process will be gone first."""

    async def handle(self, item: object) -> None:
        await asyncio.Event().wait()

    async def give_up(self, item: object, ref: str) -> None:
        raise AssertionError

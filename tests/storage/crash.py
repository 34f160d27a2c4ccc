"""I10 as a function: play a story, crash it at every commit in turn, restart, and compare how it ends."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.core.buttons import suggestion_value
from bot.core.inbound import ButtonPress, Event, Message, ThreadRef
from bot.core.runs import LEASE
from bot.core.suggestions import TOGETHER, UNDO
from bot.services.followups import FollowUpSet, Wish
from storage.engine import Database
from storage.transaction import Tx
from tests.clock import START, FakeClock
from tests.storage.world import ANN, CHANNEL, Died, World, wipe

Story = Callable[[World], Awaitable[None]]
DUE_AT = START + timedelta(hours=2)
FILE = "Add a page that lists the users"


async def merged(world: World) -> None:
    """A code task from the command to the merge."""
    await _say(world, FILE)
    await world.settle()
    world.work()
    await world.settle()
    world.merge()
    await world.settle()


async def cancelled(world: World) -> None:
    """A code task that is cancelled in its thread while a worker holds it."""
    await _say(world, FILE)
    await world.settle()
    world.claim()
    await world.settle()
    thread = CHANNEL.model_copy(update={"root": "1.0"})
    await _say(world, "cancel", key="A1:c:2", thread=thread, door="bang", in_thread=True, message_id="5.5")
    await world.settle()


async def two_in_one_channel(world: World) -> None:
    """Two commands, two threads, two pull requests."""
    await _say(world, FILE)
    await _say(world, "Remove the page that lists users", key="A1:c:2")
    await world.settle()
    while world.work():
        await world.settle()


async def followed_up(world: World) -> None:
    """A prompt, one more in its thread, and two reminders, one of them in no thread yet: set, fired, answered."""
    thread = CHANNEL.model_copy(update={"root": "1700000000.000100"})
    for number, (place, remind) in enumerate(((thread, False), (thread, False), (thread, True), (CHANNEL, True))):
        _set(world, number, place, remind)
    world.clock.set(max(DUE_AT, world.clock.now()))
    world.fire()
    while world.work_follow_up():
        world.fire()
    await world.settle()


async def followed_up_by_another_worker(world: World) -> None:
    """A prompt whose first worker is never heard of again: its run is lost, it fires once more and is answered."""
    _set(world, 0, CHANNEL.model_copy(update={"root": "1700000000.000100"}), remind=False)
    world.clock.set(max(DUE_AT, world.clock.now()))
    world.fire()
    in_time = world.clock.now() - DUE_AT < timedelta(minutes=5)  # else one more lost run makes it missed
    if in_time and world.rows("SELECT crashes FROM follow_up") == [(0,)]:
        world.mind.run_sync(lambda tx: world.app.followup_runs.claim(tx, "lost", "host"))
        world.clock.advance(LEASE + timedelta(seconds=1))
        await world.reap()
        world.fire()
    world.work_follow_up(elsewhere=True)  # a second worker that dies would end it: F2 has that
    await world.settle()


async def suggested(world: World) -> None:
    """A message that asks for something: one suggestion, which a person files."""
    world.mind.run_sync(lambda tx: tx.people.set_setting(CHANNEL, "intake", "suggest"))
    await _write(world, "70.5", "Could we get a CSV export on the invoices page?")
    await world.settle()
    world.clock.advance(TOGETHER)
    await world.judge()
    await world.settle()
    shown = world.rows("SELECT id, text_hash FROM suggestion WHERE state = 'open'")
    for number, text_hash in shown:
        await _press(world, suggestion_value("file", number, text_hash[:12]))
    await world.settle()
    world.work()
    await world.settle()


async def filed_by_itself(world: World) -> None:
    """A marked request where intake files by itself."""
    world.mind.run_sync(lambda tx: tx.people.set_setting(CHANNEL, "intake", "auto"))
    await _write(world, "70.5", "Feature request: add a CSV export to the invoices page, please.")
    await world.settle()
    world.clock.advance(TOGETHER)
    await world.judge()
    await world.settle()
    world.clock.advance(UNDO)
    world.work()
    await world.settle()


async def _write(world: World, id: str, text: str) -> None:
    """Ann writes to nobody in particular."""
    if id not in world.chat.heard:
        now = world.clock.now()
        place = CHANNEL.model_copy(update={"root": id})
        told: dict[str, Any] = {"platform": "slack", "app_id": "A1", "workspace_id": "T1", "sent_at": now}
        told |= {"received_at": now, "key": f"A1:m:C1:{id}", "thread": place, "person": ANN, "message_id": id}
        world.chat.heard[id] = Message(**told, text=text)
    await _tell(world, world.chat.heard[id])


async def _press(world: World, value: str) -> None:
    now, place = world.clock.now(), CHANNEL.model_copy(update={"root": "70.5"})
    told: dict[str, Any] = {"platform": "slack", "app_id": "A1", "workspace_id": "T1", "sent_at": now}
    told |= {"received_at": now, "key": f"A1:b:{value}", "thread": place, "person": ANN, "message_id": "1.0"}
    await _tell(world, ButtonPress(**told, value=value))


def _set(world: World, number: int, place: ThreadRef, remind: bool) -> None:
    wish = Wish(
        text=f"Look at {'abcd'[number]}",
        at=DUE_AT,
        person=ANN,
        place=place,
        zone="Europe/Berlin",
        remind=remind,
        dedup_key=f"m:{number}",
    )

    def unit(tx: Tx) -> None:
        assert isinstance(world.app.followups.set(tx, wish), FollowUpSet)

    world.mind.run_sync(unit)


async def recover(world: World) -> None:
    """What a restart and time do: the platform redelivers, leases run out, retries come due."""
    world.start(0)
    for event in world.redeliver:
        assert await world.say(event)
    world.redeliver.clear()
    for _ in range(3):
        world.fire()
        await world.judge()
        await world.settle()
        world.clock.advance(LEASE + timedelta(seconds=1))
        await world.reap()
        world.clock.advance(timedelta(minutes=6))


async def first_difference(story: Story, store: Database, clock: FakeClock, folder: Path, before: bool) -> str:
    """What the first crash that changes the end changes, in words; empty when none does."""
    calm = World(store, clock, folder)
    await story(calm)
    commits = calm.mind.commits
    await recover(calm)
    expected = calm.outcome()
    if unfinished := {name for name in ("unsent", "unhandled", "open runs") if expected[name]}:
        return f"without a crash: {unfinished}"
    for k in range(1, commits + 1):
        wipe(store)
        clock.set(START)
        world = World(store, clock, folder)
        world.start(k, before)
        try:
            await story(world)
        except Died:
            pass
        else:
            return f"the story has no commit {k} the second time"
        await recover(world)
        await story(world)
        await recover(world)
        found = world.outcome()
        if found != expected:
            changed = {name: (expected[name], found[name]) for name in expected if expected[name] != found[name]}
            return f"crash at commit {k} of {commits}: {changed}"
    return ""


async def _say(world: World, text: str, **values: Any) -> None:
    """The platform delivers; what is not acked it will deliver again."""
    await _tell(world, world.command(text, **values))


async def _tell(world: World, event: Event) -> None:
    if not await world.say(event):
        world.redeliver.append(event)
        raise Died

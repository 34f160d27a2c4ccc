"""What follow-ups hear in their own threads: it is stored without its words, so after a restart they are asked for."""

from datetime import timedelta

from bot.core.followups import FollowUp, FollowUpState
from bot.core.inbound import Message
from bot.ports import NotAllowed, Retry
from bot.services.attempts import Cost
from bot.services.followup_runs import Answer
from bot.services.followups import FollowUpSet, Wish
from bot.store import FollowUpFilter
from tests.services.room import ANA, CHANNEL, Room, make_room, room
from tests.stores import only_sqlite

__all__ = ["make_room", "room"]
pytestmark = only_sqlite
ROOT = "20.1"


async def opened(room: Room, *, answered: bool = True) -> None:
    """A follow-up of ana that has answered in a thread of its own, or still runs in the one it was set in."""
    now, place = room.clock.now(), CHANNEL if answered else CHANNEL.model_copy(update={"root": ROOT})
    wish = Wish(text="look at the nightly build", at=now, person=ANA, place=place, zone="UTC", run_now=True)
    await room.store.run(lambda tx: tx.people.see(ANA))
    set_up = await room.store.run(lambda tx: room.app.followups.set(tx, wish))
    assert isinstance(set_up, FollowUpSet)
    roles = room.app.firing.roles
    await roles.ask(roles.unasked([ANA]))
    await room.store.run(room.app.firing.fire_due)
    runs = room.app.followup_runs
    claimed = await room.store.run(lambda tx: runs.claim(tx, "w1", "h"))
    assert claimed is not None
    if answered:
        answer = Answer("It is green.", session_ref="ses_1")
        await room.store.run(lambda tx: runs.answer(tx, claimed.lease, answer, Cost()))
        (follow_up,) = await follow_ups(room)
        await room.store.run(lambda tx: tx.threads.rooted(follow_up.thread_id or 0, ROOT))


async def follow_ups(room: Room) -> list[FollowUp]:
    found = await room.store.run(lambda tx: list(tx.followups.list(FollowUpFilter(limit=50))), read=True)
    return sorted(found, key=lambda one: one.id or 0)


async def heard_before_a_restart(room: Room, text: str) -> Message:
    """A reply that is stored, and then the process that heard it is gone."""
    said = room.message(text, root=ROOT)
    await room.app.inbox.accept(said)
    room.restart()
    return said


async def test_a_reply_is_for_its_agent(room: Room) -> None:
    await opened(room)
    await room.says("and why was it slow?", root=ROOT)
    assert [one.body for one in await follow_ups(room)][1:] == ["and why was it slow?"]
    assert room.wall.reads == 0


async def test_a_reply_from_before_a_restart_too(room: Room) -> None:
    await opened(room)
    await heard_before_a_restart(room, "and why was it slow?")
    assert await room.rows("SELECT id FROM inbound WHERE payload LIKE '%slow%'") == []
    await room.app.inbox.drain()
    assert [one.body for one in await follow_ups(room)][1:] == ["and why was it slow?"]
    assert room.wall.reads == 1


async def test_a_reply_waits_for_the_platform(room: Room) -> None:
    await opened(room)
    await heard_before_a_restart(room, "and why was it slow?")
    room.wall.trouble = Retry(timedelta(seconds=20), why="ratelimited")
    await room.app.inbox.drain()
    room.wall.trouble = None
    room.clock.advance(21)
    await room.app.inbox.drain()
    assert len(await follow_ups(room)) == 2


async def test_a_reply_that_cannot_be_read_is_left(room: Room) -> None:
    await opened(room)
    await heard_before_a_restart(room, "and why was it slow?")
    room.wall.trouble = NotAllowed("Invite the bot.", "not_in_channel")
    await room.app.inbox.drain()
    assert len(await follow_ups(room)) == 1
    assert await room.rows("SELECT state FROM inbound") == [("done",)]


async def test_a_stop_from_before_a_restart_stops(room: Room) -> None:
    await opened(room, answered=False)
    await heard_before_a_restart(room, "Stop.")
    await room.app.inbox.drain()
    (follow_up,) = await follow_ups(room)
    assert follow_up.state is not FollowUpState.RUNNING


async def test_other_words_stop_nothing(room: Room) -> None:
    await opened(room, answered=False)
    await heard_before_a_restart(room, "stopping by later")
    await room.app.inbox.drain()
    assert (await follow_ups(room))[0].state is FollowUpState.RUNNING

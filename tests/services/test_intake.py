"""Ordinary messages become suggestions, once each, and nothing of the others is kept."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from bot.core.inbound import MessageRef, Person
from bot.core.suggestions import EXPIRED, FILED, OPEN, REMOVED, SKIPPED, WAITING, Mode, SkipReason
from bot.ports import ModelAway, NotAllowed, Posted, Retry, Trouble
from tests.services.room import ANA, BO, BURST, CHATTER, GUS, MARKED, WISH, Room, Wall, make_room, room
from tests.stores import only_sqlite

__all__ = ["make_room", "room"]
pytestmark = only_sqlite


async def test_a_request_becomes_a_suggestion(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    said = await room.says(WISH)
    item = await room.item()
    assert (item.state, item.message_id, item.text) == (WAITING, said.message_id, "")
    await room.judges(timedelta(seconds=30))
    assert (await room.item()).state is WAITING
    await room.judges()
    item = await room.item()
    assert (item.state, item.text, item.judge, item.mode) == (OPEN, WISH, "rules", Mode.SUGGEST)
    assert item.title == "Could we get a CSV export on the invoices page?"


async def test_chatter_leaves_a_score_and_a_reason(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(CHATTER)
    await room.judges()
    item = await room.item()
    assert (item.state, item.reason, item.text, item.title) == (SKIPPED, SkipReason.BELOW, "", "")
    assert item.score is not None and item.score < 0.5 and item.seen_hash


async def test_a_burst_is_one_item(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says("Could we get a CSV export on the invoices page?")
    room.clock.advance(40)
    await room.says("by month")
    room.clock.advance(40)
    await room.says("I have to copy every line by hand today, which takes hours.")
    await room.judges()
    item = await room.item()
    assert (item.state, item.members) == (OPEN, 3)
    assert item.text.splitlines()[1] == "by month"


async def test_somebody_else_cuts_a_burst(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    await room.says(CHATTER, BO)
    await room.judges(timedelta(seconds=1))
    assert [item.state for item in await room.items()] == [OPEN, WAITING]


async def test_somebody_else_cuts_a_burst_with_a_few_words_too(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    await room.says("not sure", BO)
    assert [item.closed for item in await room.items()] == [True]
    await room.says("by month")
    await room.says("Somebody should note the opening hours on the page.")
    await room.says("the new ones")
    assert [item.members for item in await room.items()] == [1, 2]


async def test_few_words_elsewhere_cut_nothing(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says("hello there", BO)
    await room.says(WISH)
    await room.says("by month")
    await room.judges()
    assert (await room.item()).members == 2


async def test_where_intake_is_off_nothing_is_stored(room: Room) -> None:
    await room.says(WISH)
    await room.says(WISH, root="17.1")
    assert await room.rows("SELECT id FROM inbound WHERE kind <> 'heard'") == []
    assert await room.items() == []


async def test_what_is_not_stored_still_says_since_when_nobody_listened(room: Room) -> None:
    heard = room.clock.now()
    await room.says(WISH)
    room.clock.advance(59)
    await room.says(WISH)
    found = await room.store.run(lambda tx: tx.inbox.last_received_at("slack", tx.now), read=True)
    assert found == heard
    room.clock.advance(1)
    await room.says(WISH)
    found = await room.store.run(lambda tx: tx.inbox.last_received_at("slack", tx.now), read=True)
    assert found == room.clock.now()


async def test_an_unlisted_channel_is_not_listened_to(make_room: Callable[..., Room]) -> None:
    room = make_room(channels="C2")
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    assert await room.items() == [] and await room.rows("SELECT id FROM inbound WHERE kind <> 'heard'") == []


async def test_without_the_feature_nothing_is_collected(make_room: Callable[..., Room]) -> None:
    room = make_room(features="codetasks,followups")
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    assert await room.items() == []


async def test_replies_to_a_code_task_steer_it_and_are_not_judged(room: Room) -> None:
    await room.turn(Mode.AUTO)
    said = await room.says(MARKED)
    await room.judges()
    assert (await room.item()).state is FILED
    await room.says(WISH, BO, root=said.message_id)
    assert len(await room.items()) == 1
    await room.says(WISH, BO, root="99.9")
    assert len(await room.items()) == 2


async def test_machines_and_short_words_are_not_judged(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    for kind in ("bot", "webhook"):
        await room.says(WISH, BO.model_copy(update={"kind": kind}))
    await room.says("ok, thanks")
    assert await room.items() == []


async def test_a_channel_that_is_observed_keeps_scores_only(room: Room) -> None:
    await room.turn(Mode.OBSERVE)
    await room.says(WISH)
    await room.judges()
    item = await room.item()
    assert (item.state, item.reason, item.text, item.title) == (SKIPPED, SkipReason.OBSERVED, "", "")
    assert item.score is not None and item.score > 0.5


async def test_a_channel_that_was_turned_off_meanwhile_is_left_alone(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    await room.turn(Mode.OFF)
    await room.judges()
    assert ((await room.item()).state, (await room.item()).reason) == (SKIPPED, SkipReason.TURNED_OFF)


async def test_one_person_causes_one_suggestion_in_ten_minutes(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    await room.judges()
    await room.says(MARKED)
    await room.judges()
    room.clock.advance(timedelta(minutes=10))
    await room.says(MARKED)
    await room.judges()
    states = [(item.state, item.reason) for item in await room.items()]
    assert [state for state, _ in states] == [OPEN, SKIPPED, OPEN]
    assert states[1][1] == SkipReason.AUTHOR_LIMIT


async def test_the_ten_minutes_begin_when_people_are_asked(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    await room.judges(timedelta(minutes=20))
    await room.says(WISH.replace("CSV", "Excel"))
    await room.judges()
    assert [(item.state, item.reason) for item in await room.items()][1] == (SKIPPED, SkipReason.AUTHOR_LIMIT)


async def test_a_channel_gets_five_suggestions_a_day(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    for number in range(6):
        await room.says(MARKED, ANA.model_copy(update={"id": f"U1{number}"}))
    await room.judges()
    items = await room.items()
    assert [item.state for item in items] == [OPEN] * 5 + [SKIPPED]
    assert items[5].reason == SkipReason.CHANNEL_LIMIT


async def test_after_a_restart_the_text_is_read_again(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    room.restart()
    await room.judges()
    assert (await room.item()).state is OPEN
    assert room.wall.reads == 1


async def test_an_outage_of_the_platform_is_waited_out(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    room.restart()
    room.wall.trouble = Retry(timedelta(seconds=30), why="ratelimited")
    await room.judges()
    assert (await room.item()).state is WAITING
    room.wall.trouble = None
    await room.judges(timedelta(seconds=29))
    assert (await room.item()).state is WAITING
    await room.judges(timedelta(seconds=2))
    assert (await room.item()).state is OPEN


async def test_what_cannot_be_read_any_more_is_skipped(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    room.restart()
    room.wall.trouble = NotAllowed("Invite the bot.", "not_in_channel")
    await room.judges()
    assert ((await room.item()).state, (await room.item()).reason) == (SKIPPED, SkipReason.UNREADABLE)


async def test_what_was_deleted_while_nobody_listened_is_removed(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    said = await room.says(WISH)
    room.restart()
    del room.wall.messages[said.message_id]
    await room.judges()
    assert (await room.item()).state is REMOVED


async def test_redelivered_it_is_one_item(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    said = await room.says(WISH)
    await asyncio.gather(*(room.app.inbox.accept(said) for _ in range(20)))
    await room.app.inbox.drain()
    await room.judges()
    await room.app.inbox.accept(said)
    await room.app.inbox.drain()
    await room.judges()
    assert [item.state for item in await room.items()] == [OPEN]


async def test_outsiders_need_an_admin(room: Room) -> None:
    await room.turn(Mode.AUTO)
    await room.says(MARKED, GUS)
    await room.judges(BURST)
    item = await room.item()
    assert (item.state, item.author_kind) == (OPEN, "guest")


async def test_nothing_is_filed_for_somebody_whose_status_nobody_tells(make_room: Callable[..., Room]) -> None:
    room = make_room(filers="*")
    room.wall = Mute(room.clock)
    room.restart()
    await room.turn(Mode.AUTO)
    await room.says(MARKED)
    await room.judges()
    assert (await room.item()).state is WAITING
    await room.judges(timedelta(minutes=40))
    assert (await room.item()).state is OPEN
    assert await room.rows("SELECT count(*) FROM code_task") == [(0,)]


async def test_a_dangerous_request_needs_an_admin(room: Room) -> None:
    await room.turn(Mode.AUTO)
    await room.says("Feature request: print the AWS secret key and all passwords into the job log")
    await room.judges()
    item = await room.item()
    assert item.state is OPEN and "secrets" in item.guard


async def test_filed_by_itself_it_can_be_undone(room: Room) -> None:
    await room.turn(Mode.AUTO)
    await room.says(MARKED)
    await room.judges()
    item = await room.item()
    assert (item.state, item.decided_by) == (FILED, "auto")
    ((available_at,),) = await room.rows("SELECT available_at FROM run")
    assert str(available_at) > str(room.clock.now() + timedelta(minutes=9))
    assert await room.store.run(lambda tx: room.app.attempts.claim(tx, "w1", "host")) is None
    room.clock.advance(timedelta(minutes=11))
    assert await room.store.run(lambda tx: room.app.attempts.claim(tx, "w1", "host")) is not None


async def test_what_may_not_be_filed_is_asked_about(make_room: Callable[..., Room]) -> None:
    room = make_room(person_daily_tasks=0)
    await room.turn(Mode.AUTO)
    for _ in range(2):
        await room.says(MARKED)
        await room.judges()
    assert [(item.state, item.reason) for item in await room.items()] == [
        (OPEN, "marker"),
        (SKIPPED, SkipReason.AUTHOR_LIMIT),
    ]


async def test_the_daily_cap_holds(make_room: Callable[..., Room]) -> None:
    room = make_room(intake_daily_cap=1)
    await room.turn(Mode.AUTO)
    for number, wish in enumerate(("add a CSV export to invoices", "show the weather on the start page")):
        await room.says(f"Feature request: {wish}, please.", ANA.model_copy(update={"id": f"U1{number}"}))
        await room.judges()
    assert [item.state for item in await room.items()] == [FILED, OPEN]


async def test_a_likely_duplicate_is_asked_about(room: Room) -> None:
    await room.turn(Mode.AUTO)
    await room.says(MARKED)
    await room.judges()
    await room.says(MARKED.replace("please", "thanks"), BO)
    await room.judges()
    first, second = await room.items()
    assert (first.state, second.state, second.likely_same, second.similar_ids) == (FILED, OPEN, True, (1,))
    posts = await room.rows("SELECT body FROM outbox WHERE card_key = 'RQ-2' AND kind = 'post'")
    assert len(posts) == 1 and "same:RQ-2-1" in posts[0][0]


async def test_an_old_request_is_said_and_not_filed(room: Room) -> None:
    await room.turn(Mode.AUTO)
    await room.says(MARKED, sent_at=room.clock.now() - timedelta(hours=25))
    await room.judges()
    assert (await room.item()).state is OPEN


async def test_undecided_ones_expire_and_are_wiped(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    await room.judges()
    expire = room.app.intake.suggestions.expire
    room.clock.advance(timedelta(days=29))
    assert await room.store.run(expire) == 0
    room.clock.advance(timedelta(days=2))
    assert await room.store.run(expire) == 1
    item = await room.item()
    assert (item.state, item.text, item.title) == (EXPIRED, "", "")


class Broken(Wall):
    """A platform whose adapter stumbles over one message, and over one person."""

    async def read(self, message: MessageRef) -> Posted | Trouble:
        if message.message_id == "1.5":
            raise KeyError(WISH)
        return await super().read(message)

    async def resolve(self, person: Person) -> Person:
        if person.id == "U8":
            raise KeyError(WISH)
        return await super().resolve(person)


async def test_an_item_that_fails_keeps_no_other_waiting_and_ends(room: Room) -> None:
    room.wall = Broken(room.clock)
    room.restart()
    await room.turn(Mode.SUGGEST)
    for person in ("U7", "U8", "U9"):
        await room.says(WISH, ANA.model_copy(update={"id": person}))
    room.restart()
    await room.judges()
    assert [item.state for item in await room.items()] == [WAITING, WAITING, OPEN]
    due = [item.due_at - room.clock.now() for item in await room.items()]
    assert due[:2] == [timedelta(minutes=1)] * 2
    await room.judges(timedelta(minutes=40))
    assert [(item.state, item.reason) for item in await room.items()][:2] == [(SKIPPED, SkipReason.UNREADABLE)] * 2


class Mute(Wall):
    """A platform that cannot tell who people are."""

    async def resolve(self, person: Person) -> Retry:
        return Retry(timedelta(minutes=1), why="ratelimited")


class Away:
    """A model that cannot be reached."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, *_: Any) -> ModelAway:
        self.asked += 1
        return ModelAway(timedelta(minutes=2))


async def test_a_model_that_is_away_is_waited_for_and_then_done_without(make_room: Callable[..., Room]) -> None:
    room = make_room(intake_judge="llm", llm_base_url="http://127.0.0.1:9/v1", llm_model="small")
    room.model = Away()
    room.restart()
    await room.turn(Mode.SUGGEST)
    await room.says(WISH)
    await room.judges()
    await room.judges(timedelta(minutes=1))
    assert ((await room.item()).state, room.model.asked) == (WAITING, 1)
    await room.judges(timedelta(minutes=1))
    assert ((await room.item()).state, room.model.asked) == (WAITING, 2)
    await room.judges(timedelta(minutes=30))
    item = await room.item()
    assert (item.state, item.judge) == (OPEN, "rules")

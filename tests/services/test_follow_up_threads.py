"""The thread that a follow-up opened: what is said there goes to its agent; what it changed can be filed."""

from datetime import timedelta

from bot.core.cards import CONTENT, Doc
from bot.core.followups import FollowUp
from bot.services.attempts import Cost
from bot.services.followup_runs import Answer
from tests.services.follow_up_desk import ANA, BO, CHANNEL, CY, GUEST, RUNNING, Desk, desk, make_desk

__all__ = ["desk", "make_desk"]
ROOT = CHANNEL.model_copy(update={"root": "20.1"})


async def answered(desk: Desk, *files: str) -> FollowUp:
    """A follow-up set in the channel that has answered in a thread of its own."""
    await desk.says("in 2h look at the nightly build")
    claimed = await desk.runs()
    answer = Answer("It is green.", session_ref="ses_1", files=files)
    await desk.app.store.run(lambda tx: desk.app.followup_runs.answer(tx, claimed.lease, answer, Cost()))
    follow_up = await desk.one()
    assert follow_up.thread_id is not None
    await desk.app.store.run(lambda tx: tx.threads.rooted(follow_up.thread_id or 0, "20.1"))
    return follow_up


async def seen_marks(desk: Desk) -> int:
    return len(await desk.rows("SELECT id FROM outbox WHERE kind = 'react'"))


async def test_a_reply_with_a_mention_goes_to_its_agent_at_once(desk: Desk) -> None:
    await answered(desk)
    whispered = len(await desk.whispers())
    await desk.says("and the one before?", CY, ROOT, command="codetask", message_id="21.1")
    first, second = await desk.all()
    assert (second.body, second.requester_id, second.thread_id) == ("and the one before?", CY.id, first.thread_id)
    assert second.anchored and second.due_at == desk.clock.now()
    assert await seen_marks(desk) == 1 and len(await desk.whispers()) == whispered
    await desk.fires()
    assert await desk.state(2) is RUNNING
    assert await desk.tasks() == 0


async def test_its_person_needs_no_mention_others_do(desk: Desk) -> None:
    await answered(desk)
    await desk.writes("and why was it slow?", ANA, ROOT)
    await desk.writes("I wonder too", BO, ROOT)
    await desk.writes("bo, do you know?", ANA, ROOT, mentions_others=True)
    assert [one.body for one in await desk.all()][1:] == ["and why was it slow?"]


async def test_the_same_reply_twice_is_one(desk: Desk) -> None:
    await answered(desk)
    for _ in range(2):
        await desk.says("again please", ANA, ROOT, command="codetask", message_id="21.1")
    assert len(await desk.all()) == 2


async def test_who_may_not_set_one_is_told(desk: Desk) -> None:
    await answered(desk)
    told = await desk.says("do something", GUEST, ROOT, command="codetask", message_id="21.1")
    assert "set follow-ups" in told.text
    assert len(await desk.all()) == 1


async def test_other_threads_and_reminders_are_left_alone(desk: Desk) -> None:
    await desk.writes("good morning", ANA, ROOT)
    await desk.says("--remind in 2h stretch")
    await desk.app.store.run(lambda tx: tx.followups.update(1, due_at=tx.now))
    await desk.fires()
    reminder = await desk.one()
    await desk.app.store.run(lambda tx: tx.threads.rooted(reminder.thread_id or 0, "20.1"))
    await desk.writes("thanks", ANA, ROOT)
    assert len(await desk.all()) == 1
    await desk.says("make the stretching longer please", CY, ROOT, command="codetask", message_id="21.1")
    assert await desk.tasks() == 1


async def test_changed_files_can_be_filed_once(desk: Desk) -> None:
    follow_up = await answered(desk, "nightly.yml")
    bodies = await desk.rows("SELECT body FROM outbox WHERE kind = 'post' ORDER BY id")
    doc = CONTENT.validate_json(bodies[-1][0])
    assert isinstance(doc, Doc) and "nightly.yml" in doc.text
    assert [button.value for button in doc.buttons] == ["codetask:file:FU-1"]
    for _ in range(2):
        await desk.presses(doc.buttons[0], CY)
    assert await desk.tasks() == 1
    task = await desk.app.store.run(lambda tx: tx.tasks.get(1))
    assert task is not None
    assert (task.description, task.thread_id, task.requester_id) == (follow_up.body, follow_up.thread_id, CY.id)
    assert "Already filed" in (await desk.last_whisper()).text


async def test_what_was_said_too_long_ago_is_left(desk: Desk) -> None:
    await answered(desk)
    await desk.writes("are you there?", ANA, ROOT, sent_at=desk.clock.now() - timedelta(hours=25))
    assert len(await desk.all()) == 1


async def test_a_mention_that_was_seen_a_day_late_starts_nothing(desk: Desk) -> None:
    await answered(desk)
    old = desk.clock.now() - timedelta(hours=25)
    said = await desk.says("roll it back", CY, ROOT, command="codetask", message_id="21.1", sent_at=old)
    assert len(await desk.all()) == 1 and "day" in said.text

"""`send` in chat: what becomes of words for a code task's agent in every stage, and who may say them."""

from typing import Any

import pytest

from bot.core.cards import Doc
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.services.attempts import Cost
from bot.services.followup_runs import Answer
from tests.services.follow_up_desk import ANA, BO, CHANNEL, CY, GUEST, RUNNING, THREAD, Desk, desk, make_desk

__all__ = ["desk", "make_desk"]
VIEWER = BO.model_copy(update={"roles": frozenset({"nobody"})})


async def filed(desk: Desk, stage: Stage = Stage.QUEUED, **values: Any) -> None:
    """CT-1 of ana's in a thread, in a stage."""
    await desk.says("Please fix the footer", ANA, THREAD, command="codetask", message_id="17.2")
    path = {Stage.QUEUED: [], Stage.RUNNING: [Stage.RUNNING], Stage.REVIEW: [Stage.RUNNING, Stage.REVIEW]}
    path[Stage.MERGED] = [*path[Stage.REVIEW], Stage.MERGED]
    path[Stage.FAILED] = [Stage.RUNNING, Stage.FAILED]
    for step in path[stage]:
        more = values if step is stage else {}
        await desk.app.store.run(lambda tx, step=step, more=more: tx.tasks.move(1, set(Stage), step, actor="t", **more))


async def task(desk: Desk) -> CodeTask:
    found = await desk.app.store.run(lambda tx: tx.tasks.get(1))
    assert found is not None
    return found


async def says(desk: Desk, text: str, person: Any = ANA, **more: Any) -> Doc:
    return await desk.says(text, person, THREAD, command="codetask", **more)


async def test_while_it_is_queued_the_words_are_kept_in_order(desk: Desk) -> None:
    await filed(desk)
    first = await says(desk, "use tabs", message_id="17.3")
    second = await says(desk, "send 1 and no jQuery", BO)
    assert first.text == "Noted (1st). The agent of CT-1 reads it when it starts."
    assert second.text == "Noted (2nd). The agent of CT-1 reads it when it starts."
    kept = await task(desk)
    assert kept.instruction == "ana: use tabs\n\n---\n\nbo: and no jQuery"
    assert kept.description == "Please fix the footer" and await desk.tasks() == 1 and await desk.all() == []
    assert len(await desk.rows("SELECT id FROM outbox WHERE kind = 'react'")) == 1


async def test_in_review_a_new_run_of_the_sender_begins(desk: Desk) -> None:
    await filed(desk, Stage.REVIEW, branch="code-worker/CT-1")
    said = await says(desk, "make it blue", BO)
    assert said.text == "The agent goes on with CT-1 and answers here."
    sent = await desk.one()
    assert (sent.body, sent.requester_id, sent.is_send, sent.agent) == ("make it blue", BO.id, True, "demo")
    queued = await says(desk, "send CT-1 and bold")
    assert queued.text == "Queued (2nd). The agent of CT-1 reads it when it finishes this run."
    await desk.fires()
    assert await desk.state(1) is RUNNING
    claimed = await desk.app.store.run(lambda tx: desk.app.followup_runs.claim(tx, "w", "h"))
    assert claimed is not None and claimed.task is not None and claimed.task.ref == "CT-1"
    assert (await task(desk)).stage is Stage.REVIEW


async def test_asking_for_changes_is_a_send(desk: Desk) -> None:
    await filed(desk, Stage.REVIEW, branch="code-worker/CT-1")
    button = "codetask:ask_changes:CT-1"
    assert (await desk.presses(button, BO)).text == "Reply here and mention me with: `send CT-1 …`"
    said = await desk.sends(button, BO, note="use tabs")
    assert said.text == "The agent goes on with CT-1 and answers here."
    sent = await desk.one()
    assert (sent.body, sent.requester_id, sent.is_send) == ("use tabs", BO.id, True)
    for refused in (await desk.presses(button, GUEST), await desk.sends(button, GUEST, note="use spaces")):
        assert "CT-1" not in refused.text
    assert len(await desk.all()) == 1


async def test_asking_for_changes_is_no_answer_to_a_question(desk: Desk) -> None:
    """Its form may have been open since before the agent asked."""
    await filed(desk, Stage.RUNNING)
    claimed = await desk.app.store.run(lambda tx: tx.runs.of_task(1))
    thread = (await task(desk)).thread_id or 0
    await desk.app.store.run(lambda tx: tx.questions.ask(claimed[-1].id or 0, thread, "Which table?", ()))
    await desk.sends("codetask:ask_changes:CT-1", BO, note="use tabs")
    assert (await desk.one()).body == "use tabs"
    asked = await desk.app.store.run(lambda tx: tx.questions.last_of(claimed[-1].id or 0), read=True)
    assert asked is not None and asked.answered_at is None


async def test_words_go_to_the_code_task_that_they_name(desk: Desk) -> None:
    await filed(desk, Stage.REVIEW, branch="code-worker/CT-1")
    await says(desk, "--priority low Another thing in the same thread", message_id="17.9")
    assert await desk.tasks() == 2
    await says(desk, "send 1 make it blue")
    await desk.fires()
    claimed = await desk.app.store.run(lambda tx: desk.app.followup_runs.claim(tx, "w", "h"))
    assert claimed is not None and claimed.task is not None and claimed.task.ref == "CT-1"


async def test_while_it_works_the_words_wait_for_the_end_of_its_run(desk: Desk) -> None:
    await filed(desk, Stage.RUNNING)
    said = await says(desk, "mind the tests")
    assert said.text == "Queued (1st). The agent of CT-1 reads it when it finishes this run."
    assert (await desk.one()).is_send


async def test_words_that_waited_for_a_run_that_failed_go_to_the_next_attempt(desk: Desk) -> None:
    await filed(desk, Stage.RUNNING)
    await says(desk, "mind the tests", BO)
    await desk.app.store.run(lambda tx: tx.tasks.move(1, {Stage.RUNNING}, Stage.QUEUED, actor="t"))
    await desk.fires()
    assert await desk.app.store.run(lambda tx: desk.app.followup_runs.claim(tx, "w", "h")) is None
    assert (await task(desk)).instruction == "bo: mind the tests"
    assert (await desk.one()).state.value == "success"
    (said,) = await desk.rows("SELECT body FROM outbox WHERE dedup_key = 'FU-1:1:result'")
    assert "CT-1 is tried again, and its agent reads your words then." in said[0]


async def test_stop_ends_only_what_was_sent(desk: Desk) -> None:
    await filed(desk, Stage.REVIEW, branch="code-worker/CT-1")
    nothing = await desk.says("stop 1", ANA, CHANNEL, command="codetask")
    assert "nothing to stop" in nothing.text
    await says(desk, "make it blue")
    await desk.fires()
    await desk.says("stop CT-1", CY, CHANNEL, command="codetask")
    assert (await desk.one()).state.value == "cancelled" and (await task(desk)).stage is Stage.REVIEW


REFUSED = {
    Stage.FAILED: "CT-1 has failed. `retry CT-1 with …` starts it again with your text.",
    Stage.MERGED: "CT-1 is merged. File a new code task for more.",
}


@pytest.mark.parametrize("stage", REFUSED)
async def test_after_its_end_nothing_is_sent(desk: Desk, stage: Stage) -> None:
    more = {"failure_reason": FailureReason.AGENT_FAILED} if stage is Stage.FAILED else {}
    await filed(desk, stage, **more)
    assert (await says(desk, "make it blue")).text == REFUSED[stage]
    assert await desk.all() == []


async def test_too_much_is_refused(desk: Desk) -> None:
    await filed(desk)
    assert "8,000 characters (yours: 8001)" in (await says(desk, "send 1 " + "x" * 8001)).text
    for _ in range(5):
        last = await says(desk, "send 1 " + "y" * 7990)
    assert "as much waiting" in last.text
    assert len((await task(desk)).instruction or "") <= 40_000


@pytest.mark.parametrize("person", [GUEST, VIEWER])
async def test_who_may_not_file_may_not_send(desk: Desk, person: Any) -> None:
    await filed(desk, Stage.REVIEW, branch="code-worker/CT-1")
    await says(desk, "make it blue", person)
    assert await desk.all() == []


async def test_words_for_a_follow_up_that_is_over(desk: Desk) -> None:
    await desk.says("in 2h look at the build", ANA, THREAD)
    waits = await desk.says("send FU-1 and the tests", ANA, THREAD)
    assert waits.text == "FU-1 is pending, so nothing can be sent to it."
    claimed = await desk.runs()
    await desk.app.store.run(lambda tx: desk.app.followup_runs.answer(tx, claimed.lease, Answer("green"), Cost()))
    assert (await desk.says("send FU-1 and the tests", ANA, THREAD)).text.startswith("The agent goes on with FU-1")
    assert [one.body for one in await desk.all()] == ["look at the build", "and the tests"]

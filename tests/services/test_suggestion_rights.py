"""What nobody gets at by way of a suggestion: the code tasks of others, and words that need an admin."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.inbound import Message
from bot.core.suggestions import APPROVAL_WAIT, DISMISSED, EXPIRED, FILED, OPEN, SAME, TOGETHER
from bot.core.tasks import Stage
from tests.services.suggestion_desk import ANA, BO, CY, DI, GUS, OTHER, TEXT, Desk, desk, labels, make_desk

__all__ = ["desk", "make_desk"]


async def test_who_points_at_a_filed_message_may_not_cancel_its_code_task(desk: Desk) -> None:
    message = desk.writes(author=ANA)
    await desk.says(TEXT, ANA, message_id=message.message_id)
    assert await desk.reacts(message, DI) == "Already filed as CT-1."
    found = await desk.suggestion()
    assert (found.state, found.decided_by) == (FILED, "paper:U1")
    assert "You can't cancel CT-1" in await desk.presses("codetask:not_request:RQ-1", DI)
    assert (await desk.task()).stage is Stage.QUEUED
    assert await desk.presses("codetask:not_request:RQ-1", ANA) == "Noted, not a request."
    assert (await desk.task()).is_cancelled


async def test_a_message_whose_code_task_was_deleted_is_filed_again(desk: Desk) -> None:
    await desk.hears()
    value = (await desk.line()).buttons[0].value
    await desk.presses(value)

    async def forgets(number: int) -> None:
        await desk.app.store.run(lambda tx: desk.app.tasks.cancel(tx, number, ANA))
        await desk.app.store.run(lambda tx: desk.app.tasks.delete(tx, number, ANA))
        assert await desk.tasks() == []
        desk.clock.advance(1)

    await forgets(1)
    message = desk.board.said["10.1"]
    assert "Only owners and admins" in await desk.reacts(message, BO)
    assert await desk.presses(value) == ""
    assert ((await desk.suggestion()).code_task_id, (await desk.task()).ref) == (2, "CT-2")
    await forgets(2)
    assert "The text has changed since" in await desk.presses("codetask:file:RQ-1-000000000000")
    assert await desk.reacts(message, DI) == ""
    found = await desk.suggestion()
    assert (found.state, found.code_task_id, found.decided_by) == (FILED, 3, "paper:U5")
    assert (await desk.line()).text == "Filed as CT-3 · queued."


async def test_an_outsiders_message_that_is_pointed_at_needs_an_admin(desk: Desk) -> None:
    desk.board.guests.add(GUS.id)
    message = desk.writes(author=GUS.model_copy(update={"kind": "human"}))  # as messages tell it
    assert await desk.picks(message, ANA) == "Only an admin can allow or refuse RQ-1."
    assert await desk.reacts(message, ANA) == "Only an admin can allow or refuse RQ-1."
    assert labels(await desk.line()) == ["Allow", "Refuse"]
    assert (await desk.suggestion()).author_kind == "guest"
    await desk.clicks("Allow", CY)
    assert (await desk.task()).requester_id == "U3"
    reacted = desk.writes(author=GUS.model_copy(update={"kind": "human"}))
    assert await desk.reacts(reacted, BO) == "Someone who may file code tasks can file it now: RQ-2."
    assert labels(await desk.line(2))[:2] == ["Allow", "Refuse"]


async def test_an_admin_has_72_hours_from_when_they_are_asked(desk: Desk) -> None:
    message = await desk.skips("Please delete the production database and rotate the API keys in the CI secrets.")
    desk.clock.advance(APPROVAL_WAIT * 2)
    await desk.reacts(message, BO)
    expire = desk.app.intake.suggestions.expire
    assert await desk.app.store.run(expire) == 0
    assert (await desk.suggestion()).state is OPEN
    desk.clock.advance(APPROVAL_WAIT)
    assert await desk.app.store.run(expire) == 0
    desk.clock.advance(timedelta(seconds=1))
    assert await desk.app.store.run(expire) == 1
    assert ((await desk.suggestion()).state, (await desk.suggestion()).text) == (EXPIRED, "")


async def joined(desk: Desk) -> Message:
    """A message whose request was joined to CT-1; its item is RQ-1."""
    await desk.says("Export the invoices page as CSV", DI)
    await desk.hears(similar="1")
    await desk.clicks("Same as CT-1")
    return desk.board.said["10.2"]


async def test_a_deleted_message_leaves_no_words_in_what_was_joined_to_a_code_task(desk: Desk) -> None:
    message = await joined(desk)
    await desk.deletes(message)
    found = await desk.suggestion()
    assert (found.state, found.text, found.title) == (SAME, "", "")
    assert (await desk.line()).topic == "RQ-1"
    assert await desk.presses("codetask:different:RQ-1") == "RQ-1 is closed already. Nothing was changed."
    assert len(await desk.tasks()) == 1


async def test_nor_in_what_was_dismissed(desk: Desk) -> None:
    for change in (desk.deletes, desk.edits):
        found = await desk.hears()
        await desk.presses(f"codetask:not_request:{found.ref}")
        await change(desk.board.said[found.message_id])
        now = await desk.suggestion(found.id or 0)
        assert (now.state, now.text, now.title) == (DISMISSED, "", "")


@pytest.mark.parametrize("told", [True, False])
async def test_this_is_different_files_what_the_message_says_now(desk: Desk, told: bool) -> None:
    message = await joined(desk)
    desk.board.capabilities = replace(desk.board.capabilities, tells_edits=told)
    await desk.edits(message, told=told)
    await desk.clicks("This is different")
    assert OTHER in [task.description for task in await desk.tasks()]


async def test_a_link_preview_changes_nothing_of_a_burst_that_was_pointed_at(desk: Desk) -> None:
    await desk.sets("intake", "observe")
    burst = [desk.writes("The invoices page looks quite old.", ANA), desk.writes(author=ANA)]
    for message in burst:
        await desk.app.inbox.accept(message)
    await desk.app.inbox.drain()
    desk.clock.advance(TOGETHER + timedelta(seconds=1))
    await desk.app.intake.judging.drain()
    whole = f"The invoices page looks quite old.\n{TEXT}"
    await desk.picks(burst[1], ANA)
    assert (await desk.task()).description == whole
    await desk.edits(burst[1], TEXT)
    assert (await desk.task()).description == whole
    assert await desk.posts() == []


async def test_words_that_a_person_wrote_are_never_replaced_by_an_edit(desk: Desk) -> None:
    found = await desk.hears(author=ANA)
    await desk.says("edit RQ-1 Add a CSV export to the invoices page, admins only", ANA)
    await desk.clicks("File as code task")
    await desk.edits(desk.board.said[found.message_id])
    assert (await desk.task()).description == "Add a CSV export to the invoices page, admins only"
    assert "keeps the text that was confirmed" in (await desk.posts())[-1]

"""Suggestions as people handle them: shown, filed, joined, dismissed, muted; who may, and that once is once."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from bot.core.suggestions import DISMISSED, EXPIRED, FILED, KEPT, OPEN, SAME, UNDO
from bot.core.tasks import Stage
from tests.services.suggestion_desk import (
    ANA,
    BO,
    CY,
    DI,
    GUS,
    TEXT,
    TITLE,
    Desk,
    desk,
    labels,
    make_desk,
)

__all__ = ["desk", "make_desk"]


async def test_the_line_shows_what_the_agent_would_be_given(desk: Desk) -> None:
    await desk.hears()
    line = await desk.line()
    assert line.text.startswith(f"Looks like a feature request: *{TITLE.rstrip('?')}*.")
    assert TEXT in line.text
    assert labels(line) == ["File as code task", "Edit", "Not a request", "Mute here"]
    assert line.topic == f"RQ-1 {TITLE}"


async def test_a_filer_files_it_and_becomes_its_requester(desk: Desk) -> None:
    await desk.hears()
    assert await desk.clicks("File as code task") == ""
    task = await desk.task()
    assert (task.description, task.requester_id, task.source, task.stage) == (TEXT, "U1", "suggestion", Stage.QUEUED)
    assert task.dedup_key == "m:paper:T1:C1:10.1"
    line = await desk.line()
    assert line.text == "Filed as CT-1 · queued."
    assert labels(line) == ["Cancel", "Not a request"]
    found = await desk.suggestion()
    assert (found.state, found.code_task_id, found.decided_by) == (FILED, 1, "paper:U1")
    assert await desk.audited("file_suggestion") == [("paper:U1", "RQ-1")]
    assert await desk.cards() == 1


async def test_an_author_who_may_file_is_the_requester(desk: Desk) -> None:
    await desk.hears(author=DI)
    await desk.clicks("File as code task", ANA)
    assert (await desk.task()).requester_id == "U5"
    assert await desk.clicks("Not a request", ANA) == "Noted, not a request.", "who confirmed it may take it back"
    assert (await desk.task()).is_cancelled


async def test_an_author_who_may_not_file_is_one_who_asked(desk: Desk) -> None:
    await desk.hears(author=BO)
    await desk.clicks("File as code task", ANA)
    task = await desk.task()
    asked = await desk.app.store.run(lambda tx: [one.id for one in tx.subscriptions.askers(1)], read=True)
    assert (task.requester_id, asked) == ("U1", ["U2"])
    assert "2 people" in await desk.says("top", ANA)


async def test_a_program_whose_wish_is_filed_is_nobody_who_asked(desk: Desk) -> None:
    await desk.hears(author=BO.model_copy(update={"id": "B9", "kind": "bot"}))
    await desk.clicks("Allow", CY)
    assert await desk.app.store.run(lambda tx: list(tx.subscriptions.askers(1)), read=True) == []


async def test_two_presses_file_once(desk: Desk) -> None:
    await desk.hears()
    value = (await desk.line()).buttons[0].value
    await desk.presses(value, ANA)
    assert await desk.presses(value, DI) == "Already filed as CT-1."
    assert len(await desk.tasks()) == 1


async def test_a_text_that_has_changed_needs_a_new_press(desk: Desk) -> None:
    await desk.hears()
    old = (await desk.line()).buttons[0].value
    await desk.says("edit RQ-1 Delete everything that is older than a year", ANA)
    assert "The text has changed since" in await desk.presses(old, ANA)
    assert await desk.tasks() == []
    await desk.clicks("File as code task" if not (await desk.suggestion()).guard else "Allow", CY)
    assert (await desk.task()).description == "Delete everything that is older than a year"


async def test_who_may_not_file_is_refused(desk: Desk) -> None:
    await desk.hears()
    for label in ("File as code task", "Not a request"):
        assert "Only people who may file code tasks" in await desk.clicks(label, BO)
    assert "Only an admin can mute" in await desk.clicks("Mute here", ANA)
    assert (await desk.suggestion()).state is OPEN
    assert await desk.tasks() == []


async def test_a_flagged_text_needs_an_admin(desk: Desk) -> None:
    await desk.hears("Could we print the API key and the admin password into the log of every request?")
    line = await desk.line()
    assert labels(line) == ["Allow", "Refuse"]
    assert "An admin has to allow it before it runs." in line.text
    allow = line.buttons[0].value
    assert await desk.presses(allow, ANA) == "Only an admin can allow or refuse RQ-1."
    assert await desk.presses(allow.replace("allow", "file"), ANA) == "Only an admin can allow or refuse RQ-1."
    await desk.presses(allow, CY)
    assert (await desk.task()).requester_id == "U3"


async def test_an_admin_refuses_it(desk: Desk) -> None:
    await desk.hears(author=GUS)
    line = await desk.line()
    assert "It comes from outside the team." in line.text
    assert await desk.clicks("Refuse", ANA) == "Only an admin can allow or refuse RQ-1."
    await desk.clicks("Refuse", CY)
    found = await desk.suggestion()
    assert (found.state, found.text, found.title) == (EXPIRED, "", "")
    assert (await desk.line()).text == "@cy did not allow this. Nothing was filed."


async def test_nobody_allows_their_own_flagged_request(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(admins="U3,U5", requester_may_approve=False)
    await desk.hears("Could we print the API key and the admin password into the log?", author=CY)
    assert "Another admin has to allow RQ-1" in await desk.clicks("Allow", CY)
    await desk.clicks("Allow", DI)
    assert (await desk.task()).requester_id == "U3"


async def test_not_a_request(desk: Desk) -> None:
    await desk.hears()
    assert await desk.clicks("Not a request") == "Noted, not a request."
    line = await desk.line()
    assert (line.text, line.buttons) == ("Noted, not a request.", ())
    assert (await desk.suggestion()).state is DISMISSED
    assert await desk.audited("dismiss") == [("paper:U1", "RQ-1")]


async def test_three_in_a_row_only_observe_from_then_on(desk: Desk) -> None:
    await desk.sets("intake", "suggest")
    for number in (1, 2, 3):
        assert await desk.setting("intake") == "suggest"
        await desk.hears(f"Could we get export number {number} on the invoices page? It is needed.")
        await desk.clicks("Not a request", number=number)
    assert await desk.setting("intake") == "observe"
    assert [text for text in await desk.posts() if text.startswith("Three in a row were not requests")]
    desk.clock.advance(60)
    await desk.says("settings intake suggest", CY)
    await desk.hears("Could we get one more export on the invoices page? It is needed.")
    await desk.clicks("Not a request", number=4)
    assert await desk.setting("intake") == "suggest", "what was before it was switched on again does not count"


async def test_a_filed_one_between_them_breaks_the_row(desk: Desk) -> None:
    await desk.sets("intake", "suggest")
    for number, label in enumerate(("Not a request", "Not a request", "File as code task", "Not a request"), 1):
        desk.clock.advance(60)
        await desk.hears(f"Could we get export number {number} on the invoices page? It is needed.")
        await desk.clicks(label, number=number)
    assert await desk.setting("intake") == "suggest"


async def test_same_as_subscribes_the_thread(desk: Desk) -> None:
    await desk.says("Export the invoices page as CSV", DI)
    await desk.hears(similar="1", likely_same=True)
    line = await desk.line()
    assert "It is likely the same as: CT-1 Export the invoices page as CSV (Queued)." in line.text
    assert labels(line)[2] == "Same as CT-1"
    await desk.clicks("Same as CT-1")
    line = await desk.line()
    assert line.text == "Already planned as CT-1 (queued). I'll post the pull request here."
    assert labels(line) == ["This is different"]
    assert (await desk.suggestion()).state is SAME
    (asked,) = await desk.app.store.run(lambda tx: list(tx.subscriptions.of_task(1)), read=True)
    assert (asked.person.id, asked.suggestion_id) == ("U2", 1)
    await desk.clicks("This is different")
    assert (await desk.suggestion()).code_task_id == 2
    assert await desk.app.store.run(lambda tx: list(tx.subscriptions.of_task(1)), read=True) == []


async def test_same_as_takes_only_what_was_offered(desk: Desk) -> None:
    await desk.says("Export the invoices page as CSV", DI)
    await desk.hears()
    assert "There is no code task CT-1 here" in await desk.presses("codetask:same:RQ-1-1")
    assert (await desk.suggestion()).state is OPEN


async def test_mute_here(desk: Desk) -> None:
    await desk.sets("intake", "suggest")
    await desk.hears()
    assert await desk.clicks("Mute here", CY) == "Suggestions are muted here."
    assert await desk.setting("intake") == "observe"
    assert (await desk.posts())[-1].startswith("@cy muted suggestions here.")


async def test_what_intake_files_by_itself_waits_and_can_be_undone(desk: Desk) -> None:
    suggestion = await desk.hears(author=ANA)
    file = desk.app.intake.suggestions.file
    await desk.app.store.run(lambda tx: file(tx, suggestion, ANA, by_itself=True))
    line = await desk.line()
    assert line.text == "Filed as CT-1 · starts 14:40 UTC."
    assert labels(line) == ["Undo", "Start now"]
    assert await desk.app.store.run(lambda tx: tx.runs.claim("w", "h", 1, 10, timedelta(minutes=1))) is None
    assert "You can't undo CT-1" in await desk.presses("codetask:undo:CT-1", DI)
    assert await desk.presses("codetask:undo:CT-1", ANA) == "CT-1 is taken back."
    assert (await desk.task()).is_cancelled
    assert (await desk.suggestion()).state is DISMISSED
    assert (await desk.line()).text == "CT-1 is taken back. Noted, not a request."


@pytest.mark.parametrize("how", ["button", "time"])
async def test_it_starts_when_someone_says_so_or_time_is_up(desk: Desk, how: str) -> None:
    suggestion = await desk.hears(author=ANA)
    file = desk.app.intake.suggestions.file
    await desk.app.store.run(lambda tx: file(tx, suggestion, ANA, by_itself=True))
    if how == "button":
        assert await desk.clicks("Start now", CY) == "CT-1 starts as soon as a worker is free."
    else:
        desk.clock.advance(UNDO)
        await desk.app.store.run(desk.app.intake.suggestions.expire)
        assert "was not filed by itself in the last 10 minutes" in await desk.says("undo 1", ANA)
    assert labels(await desk.line()) == ["Cancel", "Not a request"]
    run = await desk.app.store.run(lambda tx: tx.runs.claim("w", "h", 1, 10, timedelta(minutes=1)))
    assert run is not None


async def test_what_nobody_decides_expires(desk: Desk) -> None:
    await desk.hears()
    desk.clock.advance(KEPT + timedelta(seconds=1))
    assert await desk.app.store.run(desk.app.intake.suggestions.expire) == 1
    found = await desk.suggestion()
    assert (found.state, found.text) == (EXPIRED, "")
    assert (await desk.line()).text == "Nobody decided in time, so this suggestion is closed."
    assert await desk.presses("codetask:not_request:RQ-1") == "RQ-1 is closed already. Nothing was changed."


async def test_a_feature_that_is_off_takes_no_press(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    await desk.hears()
    off = make_desk(features="codetasks,web")
    off.count = 500
    assert await off.presses("codetask:not_request:RQ-1") == "Intake is disabled here."
    assert await off.says("suggestions") == "Intake is disabled here."
    assert (await desk.suggestion()).state is OPEN

"""From an ordinary message to a code task, with everything that people see and press on the way."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bot.core.inbound import Message, MessageDeleted, MessageEdited, MessageRef
from bot.core.suggestions import TOGETHER
from tests.services.suggestion_desk import ANA, BO, CY, TEXT, TITLE, Desk, desk, labels, make_desk

__all__ = ["desk", "make_desk"]

MARKED = "Feature request: CSV export on the invoices page, for the accountants."


async def hear(desk: Desk, message: Message | MessageEdited | MessageDeleted) -> None:
    await desk.app.inbox.accept(message)
    await desk.app.inbox.drain()
    desk.clock.advance(TOGETHER)
    await desk.app.intake.judging.drain()


async def test_a_request_is_suggested_changed_and_filed(desk: Desk) -> None:
    await desk.says("settings intake suggest", CY)
    message = desk.writes(TEXT, BO)
    await hear(desk, message)
    line = await desk.line()
    said = f"Looks like a feature request: *{TITLE.rstrip('?')}*. Someone who may file code tasks decides."
    assert line.text.startswith(said)
    old = line.buttons[0].value
    changed = TEXT.replace("CSV", "Excel")
    told = message.model_dump(exclude={"kind", "in_thread", "mentions_others", "is_short", "text", "key", "sent_at"})
    edit = MessageEdited(**told, text=changed, key="A1:e:1", sent_at=desk.clock.now())
    desk.board.said[message.message_id] = message.model_copy(update={"text": changed})
    await hear(desk, edit)
    assert "Excel export" in (await desk.line()).text
    assert "The text has changed since" in await desk.presses(old, ANA)
    await desk.clicks("File as code task", ANA)
    assert (await desk.task()).description == changed
    assert (await desk.line()).text == "Filed as CT-1 · queued."


async def test_a_message_that_is_deleted_takes_its_line_along(desk: Desk) -> None:
    await desk.says("settings intake suggest", CY)
    message = desk.writes(TEXT, BO)
    await hear(desk, message)
    desk.board.said.clear()
    told = message.model_dump(include={"platform", "app_id", "workspace_id", "received_at", "thread", "message_id"})
    await hear(desk, MessageDeleted(**told, key="A1:d:1", sent_at=desk.clock.now()))
    line = await desk.line()
    assert (line.text, line.buttons) == ("The message was deleted, so this suggestion is closed.", ())
    found = await desk.suggestion()
    assert (found.text, found.title) == ("", "")


async def test_a_marked_request_is_filed_by_itself_in_auto(desk: Desk) -> None:
    await desk.says("settings intake auto", CY)
    await hear(desk, desk.writes(MARKED, ANA))
    task = await desk.task()
    assert (task.source, task.requester_id) == ("auto", "U1")
    assert labels(await desk.line()) == ["Undo", "Start now"]
    assert await desk.cards() == 1
    assert await desk.clicks("Undo", ANA) == "CT-1 is taken back."


async def test_in_auto_what_outsiders_mark_is_only_suggested(desk: Desk) -> None:
    await desk.says("settings intake auto", CY)
    await hear(desk, desk.writes(MARKED, BO))
    assert await desk.tasks() == []
    assert labels(await desk.line())[0] == "File as code task"


async def test_a_muted_channel_hears_no_more_suggestions(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    await desk.says("settings intake suggest", CY)
    await hear(desk, desk.writes(TEXT, BO))
    await desk.clicks("Mute here", CY)
    await hear(desk, desk.writes("Could we also get a PDF export on the invoices page, please?", ANA))
    assert (await desk.suggestion(2)).reason == "observed"
    assert (await desk.suggestion(2)).text == ""


async def test_doors_used_at_one_instant_file_once(desk: Desk) -> None:
    suggestion = await desk.hears(author=BO)
    message = desk.board.said[suggestion.message_id]
    reference = MessageRef(thread=message.thread, message_id=message.message_id)
    file = desk.app.intake.suggestions.file

    def press(tx: Any) -> Any:
        return file(tx, suggestion, ANA)

    def react(tx: Any) -> Any:
        return file(tx, tx.suggestions.take(reference, BO, message.sent_at), ANA, text=TEXT, source="reaction")

    outcomes = await asyncio.gather(*(desk.app.store.run(unit) for unit in (press, react) * 6))
    assert sorted(outcome.fresh for outcome in outcomes) == [False] * 11 + [True]
    assert len(await desk.tasks()) == 1
    assert await desk.cards() == 1


async def test_where_edits_are_not_told_the_message_is_read_again_before_it_is_confirmed(desk: Desk) -> None:
    desk.board.capabilities = replace(desk.board.capabilities, tells_edits=False)
    await desk.says("settings intake suggest", CY)
    message = desk.writes(TEXT, BO)
    await hear(desk, message)
    changed = TEXT.replace("CSV", "Excel")
    desk.board.said[message.message_id] = message.model_copy(update={"text": changed})
    assert "The text has changed since" in await desk.clicks("File as code task", ANA)
    assert await desk.tasks() == []
    await desk.clicks("File as code task", ANA)
    assert (await desk.task()).description == changed

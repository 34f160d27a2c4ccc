"""Who sees which suggestion in chat and where there is no channel, and what is filed where nobody tells of edits."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.core.inbound import MessageRef, Person
from bot.core.people import TOKEN, Role
from bot.core.suggestions import DISMISSED, EXPIRED, FILED, OPEN, SAME, SKIPPED, SuggestionState
from bot.ports import NotAllowed, Retry, Trouble
from bot.services.people import remember_talk
from bot.services.visibility import may_see_suggestion
from bot.store import Transaction
from tests.services.suggestion_desk import ANA, BO, CHANNEL, CY, DI, Board, Desk, desk, make_desk
from tests.stores import only_sqlite

__all__ = ["desk", "make_desk"]
ELSEWHERE = CHANNEL.model_copy(update={"channel_id": "C2"})
TALK = CHANNEL.model_copy(update={"channel_id": "D1"})
BOB = Person(platform=TOKEN, workspace_id="", id="bob", roles=frozenset({"filer"}))
"""A token."""


@only_sqlite
@pytest.mark.parametrize(
    ("person", "role", "here", "seen"),
    [
        (CY, Role.ADMIN, None, "open filed same dismissed expired waiting skipped"),
        (BO, Role.VIEWER, None, "open filed same dismissed expired"),
        (BOB.model_copy(update={"also": (BO,)}), Role.FILER, None, "open filed same dismissed expired"),
        (BOB, Role.FILER, None, "filed"),
        (ANA, Role.FILER, ELSEWHERE, "filed"),
        (ANA, Role.FILER, CHANNEL, "open filed same dismissed expired"),
        (ANA, Role.FILER, CHANNEL.model_copy(update={"workspace_id": "T2"}), "filed"),
        (BO, None, CHANNEL, ""),
    ],
    ids=["admin", "author", "linked", "token", "elsewhere", "there", "other-workspace", "no-role"],
)
async def test_the_rule(desk: Desk, person: Person, role: Role | None, here: Any, seen: str) -> None:
    item = await desk.hears()
    await desk.clicks("File as code task", ANA)
    task = await desk.task()

    def look(tx: Transaction) -> list[str]:
        states = [OPEN, FILED, SAME, DISMISSED, EXPIRED, SuggestionState.WAITING, SKIPPED]
        number = task.id if task is not None else None
        given = [item.model_copy(update={"state": one, "code_task_id": number}) for one in states]
        return [one.state.value for one in given if may_see_suggestion(tx, role, person, one, here)]

    assert await desk.app.store.run(look, read=True) == seen.split()


@only_sqlite
async def test_one_filed_in_a_talk_with_the_bot_alone_stays_there(desk: Desk) -> None:
    await desk.app.store.run(lambda tx: remember_talk(tx, TALK, True))
    await desk.hears(thread=TALK)
    await desk.clicks("File as code task", ANA)
    item = await desk.suggestion()
    assert item.state is FILED

    def look(tx: Transaction) -> list[bool]:
        filer = Role.FILER
        return [may_see_suggestion(tx, filer, DI, item, place) for place in (None, CHANNEL, TALK)]

    assert await desk.app.store.run(look, read=True) == [False, False, True]


@only_sqlite
async def test_what_was_never_shown_is_not_there_for_people_of_its_channel(desk: Desk) -> None:
    await desk.skips()
    assert "There is no suggestion" in await desk.says("show RQ-1", ANA)
    assert "There is no suggestion" not in await desk.says("show RQ-1", CY)


@pytest.mark.parametrize(
    "trouble", [Retry(timedelta(seconds=1), why="ratelimited"), NotAllowed("Invite the bot.")], ids=["away", "not-in"]
)
async def test_a_press_waits_until_its_message_can_be_read_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, trouble: Trouble
) -> None:
    await desk.hears()
    desk.board.capabilities = replace(desk.board.capabilities, tells_edits=False)
    with monkeypatch.context() as away:

        async def read(_: Board, __: MessageRef) -> Trouble:
            return trouble

        away.setattr(Board, "read", read)
        assert await desk.clicks("File as code task", ANA) == ""
        assert (await desk.suggestion()).state is OPEN and await desk.tasks() == []
    desk.clock.advance(timedelta(minutes=5))
    await desk.app.inbox.drain()
    assert (await desk.suggestion()).state is FILED


async def test_a_press_is_given_up_when_its_message_cannot_be_read_for_long(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.hears()
    desk.board.capabilities = replace(desk.board.capabilities, tells_edits=False)

    async def read(_: Board, __: MessageRef) -> Trouble:
        return NotAllowed("Invite the bot.")

    monkeypatch.setattr(Board, "read", read)
    await desk.clicks("File as code task", ANA)
    for _ in range(5):
        desk.clock.advance(timedelta(minutes=5))
        await desk.app.inbox.drain()
    assert "Nothing was changed" in (await desk.last_whisper()).text
    assert (await desk.suggestion()).state is OPEN and await desk.tasks() == []

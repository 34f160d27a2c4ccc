"""Who sees which code task and follow-up: one rule, in lists and one by one, in chat and where there is no channel."""

from typing import Any

import pytest

from bot.core.cards import Doc
from bot.core.followups import FollowUp
from bot.core.inbound import Person, ThreadRef
from bot.core.people import TOKEN, Role
from bot.core.tasks import CodeTask
from bot.services.completions import offer_ids
from bot.services.followups import FollowUpSet, Wish
from bot.services.people import remember_talk
from bot.services.tasks import Filed, Filing
from bot.services.visibility import may_see, seen_by
from bot.store import FollowUpFilter, TaskFilter, Transaction
from tests.services.follow_up_desk import ANA, BO, CHANNEL, CY, FRIDAY, Desk, desk, make_desk
from tests.stores import only_sqlite

__all__ = ["desk", "make_desk"]
ELSEWHERE = CHANNEL.model_copy(update={"channel_id": "C2"})
TALK = CHANNEL.model_copy(update={"channel_id": "D1"})
TOKEN_BOB = Person(platform=TOKEN, workspace_id="", id="bob", roles=frozenset({"filer"}))
ROLES = {ANA.id: Role.FILER, BO.id: Role.VIEWER, CY.id: Role.ADMIN, "bob": Role.FILER}


def file(tx: Transaction, desk: Desk, place: ThreadRef | None) -> CodeTask:
    thread = tx.threads.open(place.model_copy(update={"root": "1.0"})) if place else None
    filing = Filing(f"Fix the page of {place}", ANA, thread_id=thread.id if thread else None, channel=place)
    outcome = desk.app.tasks.file(tx, filing)
    assert isinstance(outcome, Filed), outcome
    return outcome.task


def later(tx: Transaction, desk: Desk, place: ThreadRef | None) -> FollowUp:
    outcome = desk.app.followups.set(tx, Wish("look again", FRIDAY, ANA, place, zone="UTC"))
    assert isinstance(outcome, FollowUpSet), outcome
    return outcome.follow_up


def fill(tx: Transaction, desk: Desk) -> tuple[list[CodeTask], list[FollowUp]]:
    """Ana's things: in the channel, in a talk with the bot alone, and without a chat."""
    tx.people.see(ANA)
    remember_talk(tx, TALK, True)
    places = (CHANNEL, TALK, None)
    return [file(tx, desk, place) for place in places], [later(tx, desk, place) for place in places]


@pytest.mark.parametrize(
    ("person", "here", "tasks", "follow_ups"),
    [
        (ANA, None, "CT-1 CT-2 CT-3", "FU-1 FU-2 FU-3"),
        (CY, None, "CT-1 CT-2 CT-3", "FU-1 FU-2 FU-3"),
        (BO, None, "CT-1 CT-3", "FU-3"),
        (BO, ELSEWHERE, "CT-1 CT-3", "FU-3"),
        (BO, CHANNEL, "CT-1 CT-3", "FU-1 FU-3"),
        (BO, CHANNEL.model_copy(update={"workspace_id": "T2"}), "CT-1 CT-3", "FU-3"),
        (BO, TALK, "CT-1 CT-2 CT-3", "FU-2 FU-3"),
        (TOKEN_BOB, None, "CT-1 CT-3", "FU-3"),
        (TOKEN_BOB.model_copy(update={"also": (ANA,)}), None, "CT-1 CT-2 CT-3", "FU-1 FU-2 FU-3"),
    ],
    ids=["own", "admin", "viewer", "elsewhere", "there", "other-workspace", "in-the-talk", "token", "linked"],
)
async def test_the_rule(desk: Desk, person: Person, here: ThreadRef | None, tasks: str, follow_ups: str) -> None:
    filed, waiting = await desk.app.store.run(lambda tx: fill(tx, desk))
    role = ROLES[person.id]

    def look(tx: Transaction) -> tuple[list[str], list[str], list[str], list[str]]:
        seen = seen_by(role, person)
        listed = sorted(task.ref for task in tx.tasks.list(TaskFilter(seen_by=seen)))
        also = sorted(one.ref for one in tx.followups.list(FollowUpFilter(seen_by=seen)))
        return (
            [task.ref for task in filed if may_see(tx, role, person, task, here)],
            [one.ref for one in waiting if may_see(tx, role, person, one, here)],
            listed,
            also,
        )

    shown, waits, listed, also = await desk.app.store.run(look, read=True)
    assert (shown, waits) == (tasks.split(), follow_ups.split())
    if here is None:
        assert (listed, also) == (shown, waits), "lists show what can be seen one by one"


@only_sqlite
async def test_without_a_role_nothing_is_seen(desk: Desk) -> None:
    filed, waiting = await desk.app.store.run(lambda tx: fill(tx, desk))
    seen = [
        await desk.app.store.run(lambda tx, one=one: may_see(tx, None, ANA, one, CHANNEL)) for one in (*filed, *waiting)
    ]
    assert not any(seen)


@only_sqlite
async def test_in_chat_a_code_task_of_a_private_talk_is_not_there_for_others(desk: Desk) -> None:
    await desk.app.store.run(lambda tx: fill(tx, desk))

    async def says(text: str, person: Person) -> str:
        doc: Any = await desk.says(text, person, command="codetask")
        assert isinstance(doc, Doc)
        return doc.text

    for verb in ("show", "status", "logs"):
        assert "CT-2" in await says(f"{verb} CT-2", CY)
        assert "There is no" in await says(f"{verb} CT-2", BO) and "D1" not in await says(f"{verb} CT-2", BO)
    listed = await says("list all", BO)
    assert "CT-1" in listed and "CT-3" in listed and "CT-2" not in listed
    assert "CT-2" in await says("list all", CY)


@only_sqlite
async def test_what_is_not_seen_is_not_offered_either(desk: Desk) -> None:
    await desk.app.store.run(lambda tx: fill(tx, desk))
    texts = desk.app.inbox._handler.announcer.languages  # type: ignore[attr-defined]

    def offered(tx: Transaction, person: Person, text: str) -> list[str]:
        words = texts.personal(tx, person, CHANNEL).texts
        found = offer_ids(tx, text, person, words, str, seen_by(ROLES[person.id], person))
        return sorted(choice.value for choice in found if choice.value.startswith("CT"))

    for text, shown in (("", ["CT-1", "CT-3"]), ("page", ["CT-1", "CT-3"]), ("2", []), ("CT-3", ["CT-3"])):
        assert await desk.app.store.run(lambda tx, t=text: offered(tx, BO, t), read=True) == shown
    assert await desk.app.store.run(lambda tx: offered(tx, ANA, "2"), read=True) == ["CT-2"]

"""Forms and completions in the services: the same rights and answers as the command that a form stands for."""

from collections.abc import Callable
from typing import Any

import pytest

from bot.core.cards import Doc
from bot.core.inbound import FormSent, Person
from bot.core.runs import RunLease
from bot.core.tasks import FailureReason, Stage
from bot.ports import Choice
from bot.store import Pending
from tests.services.test_chat_commands import ANA, BO, CHANNEL, Desk, desk, make_desk

__all__ = ["desk", "make_desk"]

NOTE = "codetask:retry_note:CT-1"


async def sends(desk: Desk, fields: dict[str, str], form: str = NOTE, person: Person = ANA, key: str = "") -> None:
    desk.count += 1
    event = FormSent(
        platform="slack",
        app_id="A1",
        workspace_id="T1",
        key=key or f"A1:c:form-{desk.count}",
        sent_at=desk.app.store.now(),
        received_at=desk.app.store.now(),
        thread=CHANNEL,
        person=person,
        form=form,
        fields=fields,
    )
    await desk.app.store.run(lambda tx: tx.inbox.add(event))
    await desk.app.inbox.drain()


async def fails(desk: Desk, text: str = "Fix the login redirect") -> None:
    """Files CT-1, which then fails."""
    await desk.says(text)

    def unit(tx: Any) -> None:
        tx.runs.cancel(1)
        changes = {"actor": "worker:w", "reason": "agent_failed", "failure_reason": FailureReason.AGENT_FAILED}
        assert tx.tasks.move(1, {Stage.QUEUED}, Stage.FAILED, **changes)

    await desk.app.store.run(unit)


async def waiting_runs(desk: Desk) -> int:
    runs = await desk.app.store.run(lambda tx: list(tx.runs.of_task(1)), read=True)
    return len([run for run in runs if run.state is RunLease.QUEUED])


async def test_a_form_retries_with_the_note(desk: Desk) -> None:
    await fails(desk)
    await sends(desk, {"note": "use the other table"})
    (task,) = await desk.tasks()
    assert (task.stage, task.instruction) == (Stage.QUEUED, "use the other table")
    assert await desk.last_whisper() == "CT-1 is queued again."
    assert await waiting_runs(desk) == 1


async def test_the_same_form_twice_has_one_effect(desk: Desk) -> None:
    await fails(desk)
    await sends(desk, {"note": "use the other table"}, key="A1:c:same")
    await sends(desk, {"note": "use the other table"}, key="A1:c:same")
    assert len(await desk.sent("whisper")) == 1
    await sends(desk, {"note": "and now the first again"})
    assert "can't be retried" in await desk.last_whisper()
    (task,) = await desk.tasks()
    assert task.instruction == "use the other table"
    assert await waiting_runs(desk) == 1


async def test_rights_are_checked_when_the_form_is_sent(desk: Desk) -> None:
    await fails(desk)
    await sends(desk, {"note": "use the other table"}, person=BO)
    assert "You can't retry CT-1" in await desk.last_whisper()
    assert [task.stage for task in await desk.tasks()] == [Stage.FAILED]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"note": " \u200b\n"}, "Write what it should do differently. Nothing was changed."),
        ({}, "Write what it should do differently. Nothing was changed."),
        ({"note": "x" * 2_001}, "A note is limited to 2,000 characters (yours: 2001). Nothing was changed."),
    ],
)
async def test_a_note_that_cannot_be_taken_changes_nothing(desk: Desk, fields: dict[str, str], said: str) -> None:
    await fails(desk)
    await sends(desk, fields)
    assert await desk.last_whisper() == said
    assert [task.stage for task in await desk.tasks()] == [Stage.FAILED]


@pytest.mark.parametrize("form", ["codetask:cancel:CT-1", "codetask:retry:CT-1", "codetask:", "x"])
async def test_forms_that_are_not_ours_do_nothing(desk: Desk, form: str) -> None:
    await fails(desk)
    await sends(desk, {"note": "use the other table"}, form=form)
    assert "I can't read that button any more" in await desk.last_whisper()
    assert [task.stage for task in await desk.tasks()] == [Stage.FAILED]


async def test_a_form_of_a_code_task_that_is_gone(desk: Desk) -> None:
    await sends(desk, {"note": "use the other table"}, form="codetask:retry_note:CT-999")
    assert "There is no code task CT-999 here" in await desk.last_whisper()


async def test_a_feature_that_is_off_takes_no_form(make_desk: Callable[..., Desk]) -> None:
    await fails(make_desk())
    off = make_desk(features="web")
    off.count = 100
    await sends(off, {"note": "use the other table"})
    assert "disabled here" in await off.last_whisper()
    assert [task.stage for task in await off.tasks()] == [Stage.FAILED]


async def test_hostile_fields_are_cleaned_and_only_the_note_is_read(desk: Desk) -> None:
    await fails(desk)
    await sends(desk, {"note": "\x1b[31mcancel CT-1\x1b[0m\u202e <!channel>", "id": "CT-9", "verb": "merged"})
    (task,) = await desk.tasks()
    assert (task.stage, task.instruction) == (Stage.QUEUED, "cancel CT-1 <!channel>")


async def test_giving_up_on_a_form_tells_the_person(desk: Desk) -> None:
    event = FormSent(
        platform="slack",
        app_id="A1",
        workspace_id="T1",
        key="A1:c:poison",
        sent_at=desk.app.store.now(),
        received_at=desk.app.store.now(),
        thread=CHANNEL,
        person=ANA,
        form=NOTE,
        fields={"note": "x"},
    )
    number = await desk.app.store.run(lambda tx: tx.inbox.add(event))
    assert number is not None
    await desk.app.inbox._handler.give_up(Pending(number, event, 5), "k7f2")
    assert "k7f2" in await desk.last_whisper()


async def test_where_no_form_opens_the_press_tells_what_to_type(desk: Desk) -> None:
    await fails(desk)
    await desk.presses(NOTE)
    assert await desk.last_whisper() == "Reply here and mention me with: `retry CT-1 with …`"
    await desk.presses(NOTE, ANA.model_copy(update={"locale": "zh-CN"}))
    told = (await desk.sent("whisper"))[-1]
    assert isinstance(told, Doc) and told.language == "zh"
    assert "`重试 CT-1" in told.text
    assert [task.stage for task in await desk.tasks()] == [Stage.FAILED]


async def test_such_a_press_is_refused_like_the_command(desk: Desk) -> None:
    await fails(desk)
    await desk.presses(NOTE, BO)
    assert "You can't retry CT-1" in await desk.last_whisper()
    await desk.presses("codetask:retry:CT-1")
    await desk.presses(NOTE)
    assert "can't be retried" in await desk.last_whisper()


# --- Completions ------------------------------------------------------------------------------------------------------


async def offered(desk: Desk, text: str, person: Person = ANA) -> list[Choice]:
    return await desk.app.inbox.choices("id", text, person)


async def test_code_tasks_are_completed_by_number_title_and_name(desk: Desk) -> None:
    await desk.says("Fix the login redirect")
    await desk.says("Add a CSV export to the report")
    await desk.says("--name=dark-mode Let the page follow the system's colours")
    await desk.says("cancel 1")
    assert await offered(desk, "") == [
        Choice("CT-3 Let the page follow the system's colours (Queued)", "CT-3"),
        Choice("CT-2 Add a CSV export to the report (Queued)", "CT-2"),
        Choice("CT-1 Fix the login redirect (Cancelled)", "CT-1"),
    ]
    for text in ("1", "#1", "ct-1", "CT-1", "LOGIN", " fix  the "):
        assert [one.value for one in await offered(desk, text)] == ["CT-1"], text
    assert [one.value for one in await offered(desk, "dark-m")] == ["CT-3"]
    assert [one.value for one in await offered(desk, "the")] == ["CT-3", "CT-2", "CT-1"]
    assert [one.value for one in await offered(desk, "ct-")] == ["CT-3", "CT-2", "CT-1"]
    for text in ("nothing like it", "%", "CT-4", "٣", "1" * 30, "9" * 18, "\x00;"):
        assert await offered(desk, text) == [], text


async def test_few_code_tasks_are_offered_and_their_stage_is_never_cut(desk: Desk) -> None:
    for number in range(27):
        await desk.says(f"Repair number {number} of " + "the many things that have to be repaired " * 4)
    found = await offered(desk, "repair")
    assert [one.value for one in found] == [f"CT-{number}" for number in range(27, 2, -1)]
    assert all(len(one.label) <= 100 and one.label.endswith("… (Queued)") for one in found)
    assert [one.value for one in await offered(desk, "2")][:3] == ["CT-27", "CT-26", "CT-25"]
    assert "CT-2" in [one.value for one in await offered(desk, "2")]


async def test_completions_speak_the_language_of_the_person(desk: Desk) -> None:
    await desk.says("Fix the login redirect")
    chinese = ANA.model_copy(update={"locale": "zh-CN"})
    assert await offered(desk, "", chinese) == [Choice("CT-1 Fix the login redirect（已排队）", "CT-1")]


async def test_who_may_see_nothing_is_offered_nothing(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(filers="owner", viewers="owner")
    await desk.says("Fix the login redirect")
    assert len(await offered(desk, "")) == 1
    assert await offered(desk, "", BO) == []
    assert await offered(desk, "1", Person(platform="slack", workspace_id="T1", id="B1", kind="bot")) == []


async def test_old_code_tasks_are_found_by_number_and_by_words(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.services.completions.RECENT", 2)
    for text in ("Fix the login redirect", "Add a CSV export to the report", "Let it be dark at night", "Say hello"):
        await desk.says(f"{text}, please")
    assert [one.value for one in await offered(desk, "1")] == ["CT-1"]
    assert [one.value for one in await offered(desk, "login")] == ["CT-1"]

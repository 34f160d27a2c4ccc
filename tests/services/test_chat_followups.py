"""Follow-ups in chat once they are set: looked at, changed, ended, repeated, by those who may."""

from datetime import timedelta
from typing import Any

import pytest

from bot.core.cards import CONTENT, Doc
from bot.core.followups import FollowUpKind, FollowUpState
from bot.core.runs import LogLine
from bot.services.attempts import Cost
from bot.services.followup_runs import Answer
from tests.services.follow_up_desk import (
    ANA,
    BO,
    CANCELLED,
    CHANNEL,
    CY,
    GUEST,
    NOWHERE,
    PENDING,
    RUNNING,
    THREAD,
    Desk,
    berlin,
    desk,
    labels,
    make_desk,
)

__all__ = ["desk", "make_desk"]


async def test_a_list_shows_ones_own_open_ones(desk: Desk) -> None:
    said = await desk.says("list")
    assert said.text.startswith("You have no pending follow-ups.")
    await desk.says("tomorrow 9am check the deploy")
    await desk.says("in 2h look", thread=THREAD)
    await desk.says("in 3h not yours", BO)
    said = await desk.says("list")
    assert said.text.splitlines() == [
        "**Follow-ups**",
        "",
        "- FU-2 Fri 6 Mar 17:30 (in 2 h) · look · another thread",
        "- FU-1 Sat 7 Mar 09:00 (in 17 h 30 min) · check the deploy · this channel",
    ]
    assert labels(said) == ["Cancel FU-2", "Run FU-2 now", "Cancel FU-1", "Run FU-1 now"]
    assert "this thread" in (await desk.says("followups", thread=THREAD, command="codetask")).text
    assert "not yours" in (await desk.says("list all")).text
    await desk.says("cancel 1")
    assert "FU-1" not in (await desk.says("list")).text
    assert "- FU-1 Cancelled Sat 7 Mar 09:00" in (await desk.says("list cancelled")).text


async def test_what_was_set_elsewhere_is_known_to_its_person_and_to_admins(desk: Desk) -> None:
    private = CHANNEL.model_copy(update={"channel_id": "D1"})
    await desk.says("in 2h call the lawyer", thread=private)
    for text in ("show 1", "status 1", "cancel 1", "stop 1", "run 1", "change 1 in 3h", "delete 1"):
        assert (await desk.says(text, BO)).text.startswith("There is no follow-up FU-1 here.")
    for verb in ("snooze", "done", "cancel", "details"):
        assert (await desk.presses(f"codetask:{verb}:FU-1", BO)).text.startswith("There is no follow-up FU-1 here.")
    assert (await desk.says("cancel 1", BO, command="codetask")).text.startswith("There is no code task CT-1 here.")
    assert "lawyer" not in (await desk.says("list all", BO)).text
    assert "lawyer" not in (await desk.says("list pending", BO)).text
    for person in (ANA, CY):
        assert "lawyer" in (await desk.says("list all" if person is CY else "list", person)).text
        assert "lawyer" in (await desk.says("show 1", person)).text


async def test_a_long_list_says_how_many_more(desk: Desk) -> None:
    for _ in range(13):
        await desk.says("in 2h look")
    said = await desk.says("list")
    assert said.text.count("\n- ") == 10 and "3 more: `codetask followup list`" in said.text
    assert len(said.buttons) == 4


async def test_show_status_and_logs(desk: Desk) -> None:
    await desk.says("tomorrow 9am check the deploy\nand the *logs*")
    said = await desk.says("show 1")
    for part in ("**FU-1 Pending: check the deploy**", "Sat 7 Mar 09:00 (Berlin", "Set by: ana", r"and the \*logs\*"):
        assert part in said.text
    assert labels(said) == ["Run now", "Change", "Cancel"]
    assert "logs" not in (await desk.says("status FU-1", command="codetask")).text
    assert (await desk.says("logs FU-1", command="codetask")).text == "FU-1 has no log yet."
    assert (await desk.says("logs FU-1#2")).text == "FU-1 has no attempt 2."
    assert (await desk.says("show 99")).text.startswith("There is no follow-up FU-99 here.")
    assert (await desk.says("show 1", GUEST)).text.startswith("You can't see")


async def test_logs_of_a_run_are_masked(desk: Desk) -> None:
    await desk.says("in 2h look")
    await desk.runs()
    entry = "token ghp_" + "a1B2" * 9
    (run,) = await desk.app.store.run(lambda tx: tx.runs.of_follow_up(1), read=True)
    await desk.app.store.run(lambda tx: tx.runs.log(run.id or 0, [LogLine(content=entry)]))
    said = await desk.says("logs 1")
    assert "token" in said.text and "ghp_" not in said.text


async def test_change_by_words_by_form_and_by_question(desk: Desk) -> None:
    await desk.says("in 2h look")
    said = await desk.says("change FU-1 tomorrow 9am", command="codetask")
    assert "Sat 7 Mar 09:00" in said.text
    await desk.sends("codetask:change:FU-1", when="monday 10am")
    assert (await desk.one()).due_at == berlin(2026, 3, 9, 10)
    asked = await desk.says("change 1 tomorrow at 3")
    await desk.presses(asked.buttons[0])
    assert (await desk.one()).due_at == berlin(2026, 3, 7, 3)
    asked = await desk.sends("codetask:change:FU-1", when="tomorrow at 4")
    await desk.presses(asked.buttons[1])
    assert (await desk.one()).due_at == berlin(2026, 3, 7, 16)
    assert "`change FU-1 in 2h …`" in (await desk.says("change 1")).text
    assert "I couldn't read a time in “soon”" in (await desk.sends("codetask:change:FU-1", when="soon")).text


async def test_change_of_someone_without_a_zone(desk: Desk) -> None:
    await desk.says("in 2h look", NOWHERE)
    asked = await desk.says("change 1 tomorrow 9am", NOWHERE)
    assert asked.text.startswith("Which time zone")
    await desk.presses(asked.buttons[labels(asked).index("Berlin")], NOWHERE)
    assert (await desk.one()).due_at == berlin(2026, 3, 7, 9)


ACTS = ["cancel", "stop", "run", "retry", "change", "snooze", "tomorrow", "done", "dismiss"]


@pytest.mark.parametrize("verb", ACTS)
async def test_rights_are_checked_at_the_press(desk: Desk, verb: str) -> None:
    await desk.says("in 2h look")
    before = await desk.one()
    said = await desk.presses(f"codetask:{verb}:FU-1", BO)
    assert said.text.startswith("You can't ") and "@ana set it" in said.text
    assert await desk.one() == before


async def test_an_admin_may_cancel_anyones(desk: Desk) -> None:
    await desk.says("in 2h look")
    assert (await desk.says("cancel 1", CY)).text == "FU-1 is cancelled."
    assert await desk.state() is CANCELLED


async def test_p38_cancel_in_every_state(desk: Desk) -> None:
    await desk.says("in 2h look")
    await desk.says("in 2h look")
    assert (await desk.presses("codetask:cancel:FU-1")).text == "FU-1 is cancelled."
    assert (await desk.presses("codetask:cancel:FU-1")).text == "FU-1 is already cancelled."
    await desk.runs(2)
    assert (await desk.says("cancel 2")).text == "FU-2 is running: use `stop FU-2`."
    assert (await desk.says("run 2")).text == "FU-2 is already running."
    assert (await desk.says("delete 2")).text == "FU-2 is running: use `stop FU-2`."
    assert "can't be changed" in (await desk.says("change 1 in 3h")).text
    assert "is no longer pending" in (await desk.says("run 1")).text
    assert "Only a failed follow-up can" in (await desk.says("retry 1")).text
    assert (await desk.says("stop 2")).text == "FU-2 is stopped. Its result will not be posted."
    assert (await desk.says("stop 2")).text == "FU-2 is already cancelled."
    assert (await desk.says("delete 2")).text == "FU-2 is deleted."
    assert (await desk.says("show 2")).text.startswith("There is no follow-up FU-2 here.")


async def test_stop_of_a_pending_one_cancels_it(desk: Desk) -> None:
    await desk.says("in 2h look")
    assert (await desk.says("stop 1")).text == "FU-1 is cancelled."


async def test_run_now_makes_it_due(desk: Desk) -> None:
    await desk.says("in 2h look")
    assert (await desk.presses("codetask:run:FU-1")).text == "FU-1 runs now."
    await desk.fires()
    assert await desk.state() is RUNNING


async def test_a_failed_one_runs_again(desk: Desk) -> None:
    await desk.says("in 2h look")
    desk.clock.advance(timedelta(hours=3))
    await desk.fires()
    assert await desk.state() is FollowUpState.FAILED
    assert (
        "It has not run"
        in CONTENT.validate_json((await desk.rows("SELECT body FROM outbox WHERE kind='post'"))[0][0]).text
    )  # type: ignore[union-attr]
    assert "Leave the text out" in (await desk.says("retry 1 with care")).text
    assert (await desk.presses("codetask:retry:FU-1")).text == "FU-1 runs again now."
    assert await desk.state() is PENDING


async def reminds(desk: Desk) -> None:
    await desk.says("--remind in 1h stretch", thread=THREAD, message_id="17.5")
    desk.clock.advance(timedelta(hours=1))
    await desk.fires()
    assert await desk.state() is FollowUpState.SUCCESS


async def test_snooze_and_tomorrow_set_a_new_one_each_once(desk: Desk) -> None:
    await reminds(desk)
    for _ in range(2):
        said = await desk.presses("codetask:snooze:FU-1")
    assert said.text == "Already set as FU-2."
    assert "Sat 7 Mar 09:00" in (await desk.presses("codetask:tomorrow:FU-1")).text
    first, snoozed, tomorrow = await desk.all()
    assert (snoozed.body, snoozed.kind, snoozed.thread_id) == ("stretch", FollowUpKind.MESSAGE, first.thread_id)
    assert snoozed.due_at == desk.clock.now() + timedelta(hours=1)
    assert tomorrow.due_at == berlin(2026, 3, 7, 9)


async def test_a_reminder_whose_agent_is_gone_can_be_snoozed(desk: Desk) -> None:
    await reminds(desk)
    await desk.app.store.run(lambda tx: tx.column("UPDATE follow_up SET agent = 'gone' RETURNING agent"))
    assert (await desk.one()).agent == "gone"
    assert (await desk.presses("codetask:snooze:FU-1")).text.startswith("I'll post this here")


async def test_done_takes_the_buttons_away(desk: Desk) -> None:
    await reminds(desk)
    for _ in range(2):
        assert (await desk.presses("codetask:done:FU-1", message_id="19.1")).text == "FU-1 is closed."
    ((body, card),) = await desk.rows("SELECT body, card_key FROM outbox WHERE kind = 'edit'")
    edited = CONTENT.validate_json(body)
    assert isinstance(edited, Doc) and edited.buttons == () and "stretch" in edited.text
    assert await desk.app.store.run(lambda tx: tx.outbox.card_message(card), read=True) == "19.1"


async def test_dismiss_takes_the_buttons_off_a_missed_one(desk: Desk) -> None:
    await desk.says("in 1h look", thread=THREAD)
    desk.clock.advance(timedelta(hours=3))
    await desk.fires()
    await desk.presses("codetask:dismiss:FU-1", message_id="19.1")
    ((body,),) = await desk.rows("SELECT body FROM outbox WHERE kind = 'edit'")
    assert CONTENT.validate_json(body).buttons == ()  # type: ignore[union-attr]
    assert await desk.state() is FollowUpState.FAILED


async def test_the_thread_keeps_its_agent_and_the_confirmation_says_so(desk: Desk) -> None:
    await desk.says("--agent demo in 1h look", thread=THREAD)
    claimed = await desk.runs()
    answer = Answer("All green.", session_ref="ses_1", archive=b"packed")
    await desk.app.store.run(lambda tx: desk.app.followup_runs.answer(tx, claimed.lease, answer, Cost()))
    said = await desk.says("--agent opencode in 1h look again", thread=THREAD, message_id="17.9")
    assert said.text.endswith("This thread runs on demo, so I'll use that instead of opencode.")


async def test_a_number_of_the_other_kind_is_offered_never_guessed(desk: Desk) -> None:
    await desk.says("in 2h look")
    asked = await desk.says("cancel 1", command="codetask")
    assert asked.text == "FU-1 is a follow-up. Cancel it?" and labels(asked) == ["Cancel FU-1"]
    assert await desk.state() is PENDING
    await desk.presses(asked.buttons[0])
    assert await desk.state() is CANCELLED
    for verb, label in (("show", "Details of FU-1"), ("stop", "Stop FU-1"), ("retry", "Run FU-1 again")):
        assert labels(await desk.says(f"{verb} 1", command="codetask")) == [label]
    await desk.says("Fix the login redirect", command="codetask")
    await desk.says("delete 1")
    asked = await desk.says("cancel 1")
    assert asked.text == "CT-1 is a code task. Cancel it?" and labels(asked) == ["Cancel CT-1"]
    assert (await desk.says("run CT-1", command="codetask")).text == "`run` is for follow-ups, and CT-1 is a code task."


async def test_a_near_miss_is_done_on_a_press_and_never_filed(desk: Desk) -> None:
    await desk.says("in 2h look")
    asked = await desk.says("cancle 1")
    assert asked.text == "Did you mean `cancel FU-1`?" and labels(asked) == ["Yes"]
    await desk.presses(asked.buttons[0])
    assert await desk.state() is CANCELLED
    asked = await desk.says("latre in 2h look", command="codetask")
    assert labels(asked) == ["Yes", "File it as a code task"]
    await desk.presses(asked.buttons[0])
    assert len(await desk.all()) == 2 and await desk.tasks() == 0


async def test_help(desk: Desk) -> None:
    for text in ("", "help"):
        assert "`/followup tomorrow 9am check the deploy`" in (await desk.says(text)).text
    assert "Gives a follow-up another time." in (await desk.says("help change")).text


async def test_stop_in_its_thread_ends_the_running_one(desk: Desk) -> None:
    await desk.says("in 2h look", thread=THREAD)
    await desk.writes("stop")
    assert await desk.state() is PENDING
    await desk.runs()
    quiet = len(await desk.whispers())
    await desk.writes("stop", BO)
    await desk.writes("please stop")
    await desk.writes("stop", sent_at=desk.clock.now() - timedelta(minutes=1))
    await desk.writes("stop", thread=CHANNEL)
    assert await desk.state() is RUNNING and len(await desk.whispers()) == quiet
    await desk.writes("Stop!")
    assert await desk.state() is CANCELLED
    assert (await desk.last_whisper()).text == "FU-1 is stopped. Its result will not be posted."


async def test_stop_with_a_mention_in_its_thread(desk: Desk) -> None:
    await desk.says("in 2h look", thread=THREAD)
    await desk.runs()
    await desk.says("stop", thread=THREAD, command="codetask")
    assert await desk.state() is CANCELLED


async def test_stop_of_a_code_task(desk: Desk) -> None:
    await desk.says("Fix the login redirect", command="codetask")
    assert (await desk.says("stop 1", command="codetask")).text == "CT-1 is cancelled."


async def test_in_the_thread_that_it_opened_no_id_is_needed(desk: Desk) -> None:
    await desk.says("in 1h look")
    await desk.runs()
    found = await desk.one()
    assert found.thread_id is None

    def answers(tx: Any) -> None:
        number = desk.app.followup_runs.news.open_thread(tx, found)
        tx.threads.rooted(number, "20.1")

    await desk.app.store.run(answers)
    opened = CHANNEL.model_copy(update={"root": "20.1"})
    assert (await desk.says("show", thread=opened, command="codetask")).text.startswith("**FU-1 Running")
    assert (await desk.says("cancel", thread=opened, command="codetask")).text.startswith("FU-1 is running")


async def test_chinese_is_answered_in_chinese(desk: Desk) -> None:
    li = ANA.model_copy(update={"locale": "zh-CN", "timezone": "Asia/Shanghai"})
    said = await desk.says("明天上午9点 检查部署", li)
    assert said.text.startswith("到 3月7日(周六) 09:00（北京，10 小时 30 分钟后），我会在这里运行：*检查部署*。")
    assert labels(said) == ["修改", "取消"]
    assert "`稍后 2小时后 …`" in (await desk.says("稍后 改天 看看", li, command="codetask")).text

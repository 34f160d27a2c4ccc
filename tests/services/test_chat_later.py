"""Setting follow-ups in chat: what is set and refused, what is asked, and in whose zone a time is read."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from bot.core.followups import FollowUpKind
from bot.core.inbound import Person
from tests.services.follow_up_desk import (
    ANA,
    BERLIN,
    BO,
    CY,
    FRIDAY,
    GUEST,
    NEW_YORK,
    NOWHERE,
    PENDING,
    THREAD,
    Desk,
    berlin,
    desk,
    labels,
    make_desk,
)

__all__ = ["desk", "make_desk"]


async def test_a_follow_up_is_confirmed_with_its_time_and_zone(desk: Desk) -> None:
    said = await desk.says("tomorrow 9am check the deploy")
    assert said.text == "I'll run this here Sat 7 Mar 09:00 (Berlin, in 17 h 30 min): *check the deploy*."
    assert [(one.name, one.value) for one in said.buttons] == [
        ("Change FU-1", "codetask:change:FU-1"),
        ("Cancel FU-1", "codetask:cancel:FU-1"),
    ]
    found = await desk.one()
    assert (found.body, found.due_at, found.zone) == ("check the deploy", berlin(2026, 3, 7, 9), BERLIN)
    assert (found.kind, found.state, found.anchored, found.channel_id) == (FollowUpKind.AGENT, PENDING, False, "C1")
    assert await desk.rows("SELECT id FROM outbox WHERE kind = 'post'") == []


async def test_a_reminder_says_that_it_is_posted(desk: Desk) -> None:
    said = await desk.says("--remind in 2h check the deploy")
    assert said.text.startswith("I'll post this here Fri 6 Mar 17:30 (Berlin, in 2 h)")
    found = await desk.one()
    assert (found.kind, found.if_missed) == (FollowUpKind.MESSAGE, "run")


async def test_later_at_the_door_of_code_tasks_is_the_same(desk: Desk) -> None:
    await desk.says("later tomorrow 9am check the deploy", command="codetask")
    await desk.says("稍后 明天上午9点 检查部署", command="codetask")
    first, second = await desk.all()
    assert first.due_at == second.due_at == berlin(2026, 3, 7, 9)
    assert second.body == "检查部署"
    assert await desk.tasks() == 0


async def test_without_an_agent_it_becomes_a_reminder_and_says_so(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(agents=("nothing",))
    said = await desk.says("in 2h check the deploy")
    assert said.text.endswith("No agent is set up here, so I'll post it as a reminder.")
    assert (await desk.one()).kind is FollowUpKind.MESSAGE


async def test_empty_text_follows_up_on_the_thread(desk: Desk) -> None:
    await desk.says("in 2h")
    assert (await desk.one()).body == "Follow up on this thread"


async def test_inside_a_thread_it_is_anchored_there(desk: Desk) -> None:
    await desk.says("in 2h look", thread=THREAD, message_id="17.5")
    found = await desk.one()
    assert (found.anchored, found.message_id) == (True, "17.5")
    assert found.thread_id == await desk.sees_a_thread()


async def test_a_mention_outside_a_thread_belongs_to_the_channel(desk: Desk) -> None:
    await desk.says("later in 2h look", thread=THREAD, command="codetask", in_thread=False)
    assert (await desk.one()).anchored is False


async def test_options_are_kept(desk: Desk) -> None:
    await desk.says('--agent DEMO --if-missed run --if-busy skip --title "Deploy" in 2h look at it')
    found = await desk.one()
    assert (found.agent, found.if_missed, found.if_busy, found.title) == ("demo", "run", "skip", "Deploy")


async def test_p32_an_unknown_agent_is_refused_with_the_known_ones(desk: Desk) -> None:
    said = await desk.says("--agent gpt4 in 2h look")
    assert said.text.startswith("There is no agent gpt4. Available:") and await desk.all() == []


async def test_an_option_that_is_none_sets_nothing(desk: Desk) -> None:
    said = await desk.says("--repo web in 2h look")
    assert "There is no option `--repo`" in said.text and said.text.endswith("Nothing was set.")
    assert await desk.all() == []


async def test_the_same_event_twenty_times_sets_one(desk: Desk) -> None:
    for number in range(20):
        said = await desk.says("in 2h look", thread=THREAD, message_id="17.5", key=f"A1:c:again-{number}")
    assert len(await desk.all()) == 1
    assert said.text == "Already set as FU-1." and labels(said) == ["Change", "Cancel"]


async def test_one_message_may_file_and_be_followed_up(desk: Desk) -> None:
    await desk.says("Fix the login redirect", thread=THREAD, command="codetask", message_id="17.5")
    await desk.says("in 2h look", thread=THREAD, message_id="17.5")
    assert (await desk.tasks(), len(await desk.all())) == (1, 1)


REFUSED = [
    ("soon check", "I couldn't read a time in “soon check”. Try `/followup in 2h …`"),
    ("check the deploy", "I couldn't read a time in “check the deploy”."),
    ("every monday 9am check", "I can only set one time."),
    ("in 2 years check", "That is more than 366 days away."),
    ("2020-01-01 check", "has passed."),
    ("1700000000", "has passed."),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[text for text, _ in REFUSED])
async def test_what_is_no_instant_is_refused(desk: Desk, text: str, said: str) -> None:
    assert said in (await desk.says(text)).text
    assert await desk.all() == []


async def test_too_long_is_refused(desk: Desk) -> None:
    assert "limited to 8,000 characters" in (await desk.says("in 2h " + "x" * 8_001)).text
    assert await desk.all() == []


async def test_the_quota_of_a_person_and_of_a_thread(desk: Desk) -> None:
    for number in range(20):
        await desk.says("in 2h look", thread=THREAD, message_id=f"17.{number + 5}")
    said = await desk.says("in 2h look", thread=THREAD, message_id="17.99")
    assert said.text.startswith("This thread has 20 pending follow-ups.")
    for _ in range(30):
        await desk.says("in 2h look")
    said = await desk.says("in 2h look")
    assert said.text.startswith("You have 50 pending follow-ups. Cancel one first:")
    assert len(await desk.all()) == 50


async def test_who_may_not_set_is_told_before_anything_is_asked(desk: Desk) -> None:
    for text in ("in 2h look", "tomorrow at 3 look"):
        said = await desk.says(text, GUEST)
        assert said.text.startswith("Only owners and admins can set follow-ups.") and said.buttons == ()
    assert await desk.all() == []


async def test_seen_a_day_late_sets_nothing(desk: Desk) -> None:
    said = await desk.says("in 2h look", sent_at=desk.clock.now() - timedelta(hours=25))
    assert said.text.startswith("I saw this late") and "Nothing was set" in said.text
    assert await desk.all() == []


async def test_a_span_counts_from_when_it_was_said(desk: Desk) -> None:
    await desk.says("in 2h look", sent_at=desk.clock.now() - timedelta(minutes=30))
    assert (await desk.one()).due_at == desk.clock.now() + timedelta(minutes=90)
    said = await desk.says("in 5 min look", sent_at=desk.clock.now() - timedelta(minutes=30))
    assert said.text == "That time has passed. Nothing was set."


async def test_switched_off_everything_answers_so(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    await desk.says("tomorrow at 3 look")
    off = make_desk(features="codetasks")
    off.count = 100
    for text in ("in 2h look", "list", "cancel 1", "", "help", "show"):
        assert (await off.says(text)).text == "Follow-ups are disabled here."
    for text in ("later in 2h look", "cancel FU-1", "followups", "run 1"):
        assert (await off.says(text, command="codetask")).text == "Follow-ups are disabled here."
    pressed = [
        "codetask:cancel:FU-1",
        "codetask:at:IN-1-1772852400",
        "codetask:tz:IN-1-UTC",
        "codetask:preset:IN-1-hour",
    ]
    for value in pressed:
        assert (await off.presses(value)).text == "Follow-ups are disabled here."
    assert (await off.sends("codetask:change:FU-1", when="in 2h")).text == "Follow-ups are disabled here."
    said = await off.says("look", door="shortcut", message_id="17.2", thread=THREAD)
    assert said.text == "Follow-ups are disabled here." and await off.all() == []


async def test_without_code_tasks_follow_ups_still_work(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(features="followups")
    await desk.says("later in 2h look", command="codetask")
    assert len(await desk.all()) == 1
    assert (await desk.says("list", command="codetask")).text == "Code tasks are disabled here."


async def test_an_hour_that_can_be_two_is_asked_and_set_once(desk: Desk) -> None:
    asked = await desk.says("tomorrow at 3 look at it")
    assert labels(asked) == ["Tomorrow 03:00", "Tomorrow 15:00"] and await desk.all() == []
    for _ in range(3):
        said = await desk.presses(asked.buttons[1])
    found = await desk.one()
    assert (found.due_at, found.body) == (berlin(2026, 3, 7, 15), "look at it")
    assert said.text == "Already set as FU-1."
    await desk.presses(asked.buttons[0])
    assert len(await desk.all()) == 1


async def test_a_question_is_answered_by_whoever_was_asked(desk: Desk) -> None:
    asked = await desk.says("tomorrow at 3 look")
    said = await desk.presses(asked.buttons[0], BO)
    assert said.text.startswith("I can't read that button any more.") and await desk.all() == []


async def test_a_choice_that_has_passed_is_refused(desk: Desk) -> None:
    asked = await desk.says("tomorrow at 3 look")
    desk.clock.advance(timedelta(days=1))
    said = await desk.presses(asked.buttons[0])
    assert said.text == "That time has passed. Nothing was set."


async def test_a_time_that_passed_today_offers_tomorrow(desk: Desk) -> None:
    asked = await desk.says("today 9am look")
    assert asked.text == "Today 09:00 has passed. Tomorrow 09:00?"
    await desk.presses(asked.buttons[0])
    assert (await desk.one()).due_at == berlin(2026, 3, 7, 9)


async def test_an_hour_that_is_skipped_offers_its_neighbours(desk: Desk) -> None:
    desk.clock.set(datetime(2026, 3, 28, 12, 0, tzinfo=UTC))
    asked = await desk.says("2026-03-29 02:30 look")
    assert "02:30 doesn't exist on Sun 29 Mar" in asked.text and len(asked.buttons) == 2
    await desk.presses(asked.buttons[1])
    assert (await desk.one()).due_at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


async def test_an_hour_that_comes_twice_offers_both(desk: Desk) -> None:
    desk.clock.set(datetime(2026, 10, 24, 12, 0, tzinfo=UTC))
    asked = await desk.says("2026-10-25 02:30 look")
    assert "02:30 happens twice that night" in asked.text
    first, second = asked.buttons
    assert (first.label.rpartition(" ")[2], second.label.rpartition(" ")[2]) == ("CEST", "CET")
    await desk.presses(second)
    assert (await desk.one()).due_at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


async def test_a_date_that_can_be_two_offers_both(desk: Desk) -> None:
    asked = await desk.says("4/5 look")
    assert asked.text.startswith("4/5: ") and len(asked.buttons) == 2


async def test_a_button_of_a_forgotten_command_says_so(desk: Desk) -> None:
    for value in (
        "codetask:at:IN-99-1772852400",
        "codetask:tz:IN-99-UTC",
        "codetask:later:IN-99",
        "codetask:yes:IN-99",
    ):
        assert "I can't read that button any more" in (await desk.presses(value)).text


async def test_who_has_no_zone_is_asked_once_and_gets_what_they_asked_for(desk: Desk) -> None:
    asked = await desk.says("tomorrow 9am look", NOWHERE)
    assert asked.text.startswith("Which time zone are you in?") and await desk.all() == []
    assert "Berlin" in labels(asked)
    said = await desk.presses(asked.buttons[labels(asked).index("Berlin")], NOWHERE)
    assert "Sat 7 Mar 09:00 (Berlin" in said.text
    assert (await desk.one()).due_at == berlin(2026, 3, 7, 9)
    await desk.presses(asked.buttons[0], NOWHERE)
    assert len(await desk.all()) == 1
    said = await desk.says("tomorrow 10am look", NOWHERE)
    assert said.text.startswith("I'll run this here")


async def test_a_question_about_the_time_follows_the_one_about_the_zone(desk: Desk) -> None:
    asked = await desk.says("tomorrow at 3 look", NOWHERE)
    asked = await desk.presses(asked.buttons[labels(asked).index("Berlin")], NOWHERE)
    assert labels(asked) == ["Tomorrow 03:00", "Tomorrow 15:00"]
    await desk.presses(asked.buttons[0], NOWHERE)
    assert (await desk.one()).due_at == berlin(2026, 3, 7, 3)


SURE = [
    ("in 2h look", FRIDAY + timedelta(hours=2)),
    ("2026-03-07T09:00:00Z look", datetime(2026, 3, 7, 9, tzinfo=UTC)),
    ("2026-03-07 09:00+02:00 look", datetime(2026, 3, 7, 7, tzinfo=UTC)),
    ("2026-03-07 9am New York time look", datetime(2026, 3, 7, 14, tzinfo=UTC)),
]


@pytest.mark.parametrize(("text", "at"), SURE, ids=[text for text, _ in SURE])
async def test_what_is_one_instant_everywhere_needs_no_zone(desk: Desk, text: str, at: datetime) -> None:
    said = await desk.says(text, NOWHERE)
    found = await desk.one()
    assert (found.due_at, found.body, found.zone) == (at, "look", "")
    assert "UTC" in said.text


async def test_an_unclear_time_is_said_to_be_so_without_a_zone(desk: Desk) -> None:
    assert (await desk.says("soon look", NOWHERE)).text.startswith("I couldn't read a time")


async def test_the_order_of_zones(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(default_timezone="Asia/Tokyo")

    async def zone(person: Person) -> str:
        await desk.says("tomorrow 9am look", person)
        return (await desk.all())[-1].zone

    assert await zone(NOWHERE) == "Asia/Tokyo"
    await desk.says("settings timezone London", CY, command="codetask")
    assert await zone(NOWHERE) == "Europe/London"
    assert await zone(ANA) == BERLIN
    await desk.says("settings tz New York", ANA, command="codetask")
    assert await zone(ANA) == NEW_YORK
    await desk.says("settings tz off", ANA, command="codetask")
    assert await zone(ANA) == BERLIN


async def test_settings_are_shown_and_checked(desk: Desk) -> None:
    said = await desk.says("settings", NOWHERE, command="codetask")
    assert said.text.splitlines()[:3] == [
        "- `tz`: not set, your own",
        "- `pings`: results, the default",
        "- `timezone`: not set, for this channel",
    ]
    said = await desk.says("settings tz Atlantis", NOWHERE, command="codetask")
    assert said.text.startswith("There is no time zone Atlantis.")
    said = await desk.says("settings timezone UTC", BO, command="codetask")
    assert said.text.startswith("Only an admin can change the settings of a channel.")
    said = await desk.says("settings tz UTC", GUEST, command="codetask")
    assert said.text.startswith("You can't see code tasks or follow-ups here")
    said = await desk.says("settings pings loud", NOWHERE, command="codetask")
    assert said.text == "You are mentioned for one of: results, questions, none. Nothing was changed."
    assert (await desk.says("settings quiet on", CY, command="codetask")).text.startswith("`settings` is not available")
    assert await desk.rows("SELECT 1 FROM audit WHERE action = 'setting'") == []


async def test_everyone_chooses_what_they_are_mentioned_for(desk: Desk) -> None:
    for typed, shown in (
        ("settings pings questions", "- `pings`: questions, your own"),
        ("设置 提及 关闭", "- `pings`: none, your own"),
        ("settings pings default", "- `pings`: results, the default"),
    ):
        assert (await desk.says(typed, BO, command="codetask")).text == shown
    assert len(await desk.rows("SELECT 1 FROM audit WHERE action = 'setting'")) == 3
    await desk.says("settings pings none", BO, command="codetask")
    elsewhere = BO.model_copy(update={"workspace_id": "T2"})
    assert await desk.app.store.run(lambda tx: tx.people.preference(elsewhere, "pings")) == "none"

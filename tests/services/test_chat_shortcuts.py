""" "Follow up later" on a message: the times to choose from, and the form for another one."""

from datetime import timedelta

from bot.core.cards import Doc
from bot.core.inbound import Person
from tests.services.follow_up_desk import (
    ANA,
    BO,
    FRIDAY,
    NOWHERE,
    THREAD,
    Desk,
    berlin,
    desk,
    labels,
    make_desk,
)

__all__ = ["desk", "make_desk"]


async def shortcut(desk: Desk, person: Person = ANA, key: str = "A1:s:1") -> Doc:
    text = "The rollout of 2.4 takes a day"
    return await desk.says(text, person, THREAD, door="shortcut", message_id="17.1", key=key, in_thread=False)


async def test_a_shortcut_asks_when_and_sets_on_the_thread_of_the_message(desk: Desk) -> None:
    asked = await shortcut(desk)
    assert labels(asked) == ["In 1 h", "Tomorrow 09:00", "Next Monday 09:00", "Other…"] and await desk.all() == []
    said = await desk.presses(asked.buttons[2])
    assert "Mon 9 Mar 09:00 (Berlin" in said.text
    found = await desk.one()
    assert (found.body, found.anchored, found.due_at) == ("The rollout of 2.4 takes a day", True, berlin(2026, 3, 9, 9))
    for button in asked.buttons[:3]:
        assert (await desk.presses(button)).text == "Already set as FU-1."
    assert len(await desk.all()) == 1


async def test_two_people_may_follow_up_on_one_message(desk: Desk) -> None:
    for number, person in enumerate((ANA, BO)):
        asked = await shortcut(desk, person, f"A1:s:{number}")
        await desk.presses(asked.buttons[0], person)
    assert [one.requester_id for one in await desk.all()] == ["U1", "U2"]


async def test_a_message_is_never_read_for_verbs_or_times(desk: Desk) -> None:
    await desk.says("cancel FU-1 tomorrow 9am", thread=THREAD, door="menu", message_id="17.1")
    assert labels(await desk.last_whisper())[0] == "In 1 h"
    await desk.presses("codetask:yes:IN-1")
    await desk.presses("codetask:tz:IN-1-UTC")
    assert await desk.all() == []


async def test_a_shortcut_of_someone_without_a_zone(desk: Desk) -> None:
    asked = await shortcut(desk, NOWHERE)
    zone = await desk.presses(asked.buttons[1], NOWHERE)
    assert zone.text.startswith("Which time zone are you in?") and await desk.all() == []
    await desk.presses(zone.buttons[labels(zone).index("Berlin")], NOWHERE)
    assert (await desk.one()).due_at == berlin(2026, 3, 7, 9)


async def test_another_time_by_form(desk: Desk) -> None:
    await shortcut(desk)
    said = await desk.sends("codetask:later:IN-1", when="monday 10am", text="look at the rollout")
    assert "Mon 9 Mar 10:00 (Berlin" in said.text
    found = await desk.one()
    assert (found.body, found.anchored) == ("look at the rollout", True)
    await desk.sends("codetask:later:IN-1", when="monday 11am", text="look again")
    assert len(await desk.all()) == 1


async def test_a_form_without_a_text_takes_the_message(desk: Desk) -> None:
    await shortcut(desk)
    await desk.sends("codetask:later:IN-1", when=str(int((FRIDAY + timedelta(hours=3)).timestamp())), text="")
    found = await desk.one()
    assert (found.body, found.due_at) == ("The rollout of 2.4 takes a day", FRIDAY + timedelta(hours=3))


async def test_a_form_with_a_doubtful_time_asks(desk: Desk) -> None:
    await shortcut(desk)
    asked = await desk.sends("codetask:later:IN-1", when="tomorrow at 3", text="look")
    assert labels(asked) == ["Tomorrow 03:00", "Tomorrow 15:00"]
    await desk.presses(asked.buttons[1])
    found = await desk.one()
    assert (found.body, found.due_at) == ("look", berlin(2026, 3, 7, 15))
    assert "I couldn't read a time" in (await desk.sends("codetask:later:IN-1", when="soon", text="look")).text


async def test_a_form_of_someone_without_a_zone(desk: Desk) -> None:
    await shortcut(desk, NOWHERE)
    asked = await desk.sends("codetask:later:IN-1", NOWHERE, when="tomorrow 9am", text="look")
    await desk.presses(asked.buttons[labels(asked).index("Berlin")], NOWHERE)
    found = await desk.one()
    assert (found.body, found.due_at) == ("look", berlin(2026, 3, 7, 9))


async def test_a_form_of_someone_elses_command_sets_nothing(desk: Desk) -> None:
    await shortcut(desk)
    said = await desk.sends("codetask:later:IN-1", BO, when="in 2h", text="look")
    assert "I can't read that button any more" in said.text and await desk.all() == []


async def test_where_no_form_opens_it_is_said_what_to_type(desk: Desk) -> None:
    asked = await shortcut(desk)
    assert "`later tomorrow 9am check the deploy`" in (await desk.presses(asked.buttons[3])).text
    await desk.presses(asked.buttons[0])
    assert "`change FU-1 monday 9am`" in (await desk.presses("codetask:change:FU-1")).text

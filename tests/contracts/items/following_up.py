"""Follow-ups by every door, with every way of saying when: items 6, 27, 30."""

from datetime import datetime, timedelta
from typing import Any, Final

from bot.core.followups import FollowUp, FollowUpState
from bot.core.inbound import Command
from bot.core.when import zone_named
from tests.contracts.items.register import item
from tests.contracts.replica import Replica
from tests.contracts.rig import Rig, Whispered

LOOK: Final = "Look at the export again"
ON: Final[dict[str, Any]] = {"features": ("codetasks", "followups"), "default_timezone": "Europe/Berlin"}


def told(rig: Rig, who: str = "ana") -> list[Whispered]:
    return [one for one in rig.whispers if one.to == who]


async def only(app: Replica) -> FollowUp:
    (one,) = await app.follow_ups()
    return one


@item(6)
async def a_follow_up_set_at_each_door_is_one(rig: Rig) -> None:
    app = await rig.start(**ON)
    root = rig.say("bo", "The export is broken")
    rig.follow_up("ana", "in 2h", f"{LOOK} one")
    await rig.settle()
    mention = rig.mention("ana", f"later in 3h {LOOK} two", thread=root.root)
    bang = rig.say("ana", f"!codetask later in 4h {LOOK} three", thread=root.root)
    await rig.settle()
    for said in (mention, bang):
        rig.redeliver(said, 2)
    await rig.settle()
    await rig.backfill()
    await rig.settle()
    found = await app.follow_ups()
    assert sorted(one.body for one in found) == sorted(f"{LOOK} {number}" for number in ("one", "two", "three"))
    assert {one.requester_id for one in found} == {rig.person("ana").id}
    # Without slash commands even the first is said in a message, which then is no thread yet.
    assert {one.body: one.anchored for one in found} == {
        f"{LOOK} one": False,
        f"{LOOK} two": True,
        f"{LOOK} three": True,
    }
    assert len({one.thread_id for one in found if one.anchored}) == 1
    commands = [event for event in await app.events() if isinstance(event, Command)]
    slash = [event for event in commands if event.command == "followup"]
    assert (len(commands), len(slash)) == (3, 1 if "slash" in rig.doors else 0)
    assert all(event.message_id is None for event in slash)
    assert (await app.tasks(), rig.posts) == ([], [])
    assert len([one for one in told(rig) if "I'll run this here" in one.text]) == 3


@item(6)
async def tomorrow_is_read_in_the_zone_of_who_says_it(rig: Rig) -> None:
    app = await rig.start(features=("codetasks", "followups"))
    rig.mention("cy", f"later tomorrow 9am {LOOK}")
    await rig.settle()
    if await app.follow_ups() == []:
        rig.press("cy", told(rig, "cy")[-1], "Berlin")
        await rig.settle()
        zone = "Europe/Berlin"
    else:
        zone = "Asia/Shanghai"  # as the profile says
    one = await only(app)
    local = one.due_at.astimezone(zone_named(zone))
    assert (one.zone, local.hour, local.minute) == (zone, 9, 0)
    rig.mention("cy", "later tomorrow 9am again")
    await rig.settle()
    assert [one.zone for one in await app.follow_ups()] == [zone, zone], "nobody is asked twice"


@item(27)
async def the_whole_ladder_of_redeliveries_is_one_follow_up(rig: Rig) -> None:
    app = await rig.start(**ON)
    said = rig.mention("ana", f"later in 48h {LOOK}")
    await rig.settle()
    for wait in (15, 285, 3_300, 21_600, 400):
        await rig.advance(timedelta(seconds=wait))
        for one in rig.redeliver(said):
            await rig.acked(one)
        await rig.settle()
    assert (await only(app)).body == LOOK
    assert len([one for one in told(rig) if "I'll run this here" in one.text]) == 1


@item(6)
async def a_message_is_followed_up_by_its_menu(rig: Rig) -> None:
    if "shortcut" not in rig.doors:
        return
    app = await rig.start(**ON)
    root = rig.say("bo", LOOK)
    rig.later("ana", root)
    await rig.settle()
    assert await app.follow_ups() == []
    rig.press("ana", told(rig)[-1], "In 1 h")
    await rig.settle()
    one = await only(app)
    assert (one.body, one.anchored, one.message_id, one.requester_id) == (LOOK, True, root.id, rig.person("ana").id)
    thread = await app.store.run(lambda tx: tx.threads.find(rig.place("general", root.root)), read=True)
    assert thread is not None
    assert one.thread_id == thread.id


@item(7)
async def a_reminder_lands_in_its_thread_and_its_buttons_count_once(rig: Rig) -> None:
    app = await rig.start(**ON)
    root = rig.say("ana", "The export is broken")
    rig.mention("bo", f"later --remind 2h {LOOK}", thread=root.root)
    await rig.settle()
    await rig.advance(timedelta(hours=2, seconds=1))
    due = await rig.until(lambda: next((post for post in rig.posts if LOOK in post.text), None))
    await rig.settle()
    assert (due.root, rig.pings(due)) == (root.root, {"bo"})
    assert due.buttons == ("Done", "Snooze 1 h", "Tomorrow 09:00")
    rig.press("bo", due, "Snooze 1 h")
    rig.press("bo", due, "Snooze 1 h")
    rig.press("cy", due, "Done")
    await rig.settle()
    first, again = await app.follow_ups()
    assert (first.state, again.state, again.body) == (FollowUpState.SUCCESS, FollowUpState.PENDING, LOOK)
    assert timedelta(minutes=50) < again.due_at - app.store.now() <= timedelta(hours=1)
    assert "你不能结束 FU-1" in told(rig, "cy")[-1].text
    assert len([post for post in rig.posts if LOOK in post.text]) == 1


@item(29)
async def the_buttons_of_a_private_answer_count_for_whom_it_was_for(rig: Rig) -> None:
    app = await rig.start(**ON)
    rig.mention("bo", f"later in 2h {LOOK}")
    await rig.settle()
    answer = told(rig, "bo")[-1]
    app = await rig.restart(**ON)
    form = await rig.open_form("bo", answer, "Change")
    if form is not None:
        await rig.acked(rig.submit_form("bo", form, {"when": "in 9h"}))
        await rig.settle()
        assert (await only(app)).due_at - app.store.now() > timedelta(hours=8)
    rig.press("bo", answer, "Cancel")
    await rig.settle()
    assert (await only(app)).state is FollowUpState.CANCELLED
    assert {one.requester_workspace for one in await app.follow_ups()} == {rig.person("bo").workspace_id}


@item(30)
async def a_time_of_ones_own_is_sent_by_a_form(rig: Rig) -> None:
    if "shortcut" not in rig.doors:
        return
    app = await rig.start(**ON)
    root = rig.say("bo", LOOK)
    rig.later("ana", root)
    await rig.settle()
    form = await rig.open_form("ana", told(rig)[-1], "Other…")
    rows = await app.told()
    await rig.acked(rig.submit_form("ana", form, {"when": "in 5h", "text": "Only on Fridays"}))
    await rig.settle()
    first = await only(app)
    assert (first.body, first.anchored, await app.told() - rows) == ("Only on Fridays", True, 1)
    form = await rig.open_form("ana", told(rig)[-1], "Change")
    await rig.acked(rig.submit_form("ana", form, {"when": "in 9h"}))
    await rig.settle()
    changed = await only(app)
    assert timedelta(hours=3) < changed.due_at - first.due_at < timedelta(hours=5)
    form = await rig.open_form("ana", told(rig)[-1], "Change")
    rig.press("ana", told(rig)[-1], "Cancel")
    await rig.settle()
    await rig.acked(rig.submit_form("ana", form, {"when": "in 1h"}))
    await rig.settle()
    kept = await only(app)
    assert (kept.state, kept.due_at) == (FollowUpState.CANCELLED, changed.due_at)
    assert "can't be changed any more" in told(rig)[-1].text


@item(30)
async def without_a_form_change_says_what_to_type(rig: Rig) -> None:
    app = await rig.start(**ON)
    said = rig.mention("ana", f"later in 2h {LOOK}")
    await rig.settle()
    form = await rig.open_form("ana", told(rig)[-1], "Change")
    if form is not None:
        await rig.acked(rig.close_form("ana", form))
        return
    await rig.settle()
    assert "mention me with: change FU-1" in told(rig)[-1].text
    before = (await only(app)).due_at
    rig.mention("ana", "change FU-1 in 9h", thread=said.root)
    await rig.settle()
    assert (await only(app)).due_at - before > timedelta(hours=6)


@item(30)
async def a_time_is_resolved_while_it_is_typed(rig: Rig) -> None:
    if not rig.completes:
        return
    app = await rig.start(**ON)
    asked = rig.types_choice("ana", "when", "in 26h")
    await rig.acked(asked)
    (choice,) = rig.choices_of(asked) or []
    rig.follow_up("ana", choice, LOOK)
    await rig.settle()
    one = await only(app)
    assert (one.body, one.due_at) == (LOOK, datetime.fromisoformat(choice))
    many = rig.types_choice("ana", "when", "")
    await rig.acked(many)
    assert 1 < len(rig.choices_of(many) or []) <= 25

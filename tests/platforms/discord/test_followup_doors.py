"""Every door for follow-ups in Discord, at wire level: what the core hears, and what is offered while one types."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from bot.core.cards import Button, Doc
from bot.core.commands import parse, parse_follow_up
from bot.core.forms import form_of
from bot.core.inbound import ButtonPress, Command, FormSent, ThreadRef
from bot.core.texts import Texts
from bot.core.verbs import ChangeFollowUp, FollowUpOptions, ListFollowUps, SetFollowUp, TaskId
from bot.ports import Choice
from platforms.discord.buttons import modal
from platforms.discord.simulator import DiscordSimulator
from platforms.discord.simulator.kit import modal_problems
from tests.platforms.discord.rig import Rig, posted, rigged

CHANGE = "codetask:change:FU-7"
ZONE = "codetask:tz:IN-7-America/New_York"
SET = Doc(
    text="I'll run this here Sat 7 Mar 09:00.",
    topic="FU-7",
    buttons=(
        Button(label="Change", name="Change FU-7", value=CHANGE),
        Button(label="New York", name="Your zone: New York", value=ZONE),
    ),
)


@pytest.fixture
def simulator() -> Iterator[DiscordSimulator]:
    with DiscordSimulator(seed=7) as running:
        yield running


@pytest.fixture
async def rig(simulator: DiscordSimulator) -> AsyncIterator[Rig]:
    async with rigged(simulator) as made:
        yield made


@pytest.mark.parametrize(
    ("options", "text", "meant"),
    [
        ({"when": "tomorrow", "text": "9am is when we meet"}, "tomorrow -- 9am is when we meet", None),
        ({"when": "2026-03-07T09:00:00+01:00", "text": "10 things"}, "2026-03-07T09:00:00+01:00 -- 10 things", None),
        ({"when": "in 2h"}, "in 2h", SetFollowUp("in 2h")),
        ({"when": "list"}, "list", ListFollowUps()),
        (
            {"when": "in 2h", "text": "look", "remind": True, "title": 'The "big" one', "if-missed": "run"},
            "--remind --if-missed=run --title=\"The 'big' one\" in 2h -- look",
            SetFollowUp("in 2h -- look", FollowUpOptions(remind=True, if_missed="run", title="The 'big' one")),
        ),
    ],
    ids=["apart", "instant", "alone", "verb", "options"],
)
async def test_the_slash_command_keeps_time_and_text_apart(
    rig: Rig, options: dict[str, Any], text: str, meant: object
) -> None:
    sent = rig.simulator.runs_command("ana", "/followup", options, "dev")
    (event,) = await rig.seen()
    await rig.simulator.wait_for(lambda: sent.acked)
    assert isinstance(event, Command)
    assert (event.command, event.door, event.text, event.thread) == ("followup", "slash", text, rig.place())
    assert event.reply_token is not None
    assert parse_follow_up(event.text) == (meant or SetFollowUp(text))


async def test_in_a_thread_the_slash_command_is_of_the_thread(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    thread = rig.simulator.starts_thread("bo", root)
    rig.simulator.runs_command("ana", "/followup", {"when": "in 2h"}, thread)
    event = next(event for event in await rig.seen(2) if isinstance(event, Command))
    assert (event.in_thread, event.thread) == (True, rig.place("dev", root.id, thread.id))


@pytest.mark.parametrize(
    ("line", "options", "meant"),
    [
        ("later", {"when": "friday", "text": "2 things"}, SetFollowUp("friday -- 2 things")),
        ("followups", {}, ListFollowUps()),
        ("change", {"id": "FU-7", "when": "tomorrow 9am"}, ChangeFollowUp(TaskId("FU", 7), "tomorrow 9am")),
    ],
)
async def test_the_verbs_of_codetask_are_read_as_what_was_chosen(
    rig: Rig, line: str, options: dict[str, Any], meant: object
) -> None:
    rig.simulator.runs_command("ana", f"/codetask {line}", options, "dev")
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    assert event.command == "codetask"
    assert parse(event.text, door=event.door, in_task_thread=False) == meant


async def test_a_mention_and_a_bang_in_a_thread_say_it_once_each(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    thread = rig.simulator.starts_thread("bo", root)
    for verb in (rig.simulator.user_mentions, rig.simulator.user_says):
        bang = "" if verb == rig.simulator.user_mentions else "!codetask "
        verb("ana", f"{bang}later in 2h —remind", thread)
    events = [event for event in await rig.seen(3) if isinstance(event, Command)]
    assert {(event.door, event.text) for event in events} == {
        ("mention", "later in 2h --remind"),
        ("bang", "later in 2h --remind"),
    }
    assert {event.thread.native for event in events} == {thread.id}


async def test_the_menu_entry_is_of_the_message_and_its_thread(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    thread = rig.simulator.starts_thread("bo", root)
    reply = rig.simulator.user_says("cy", "Only on Fridays", thread)
    rig.simulator.uses_menu("ana", root, "Follow up later")
    rig.simulator.uses_menu("ana", reply, "Follow up later")
    found = {event.message_id: event for event in await rig.seen(4) if isinstance(event, Command)}
    first, second = found[root.id], found[reply.id]
    assert [(one.command, one.door) for one in (first, second)] == [("followup", "shortcut")] * 2
    assert (first.text, first.thread.root) == ("The export is broken", root.id)
    assert (second.text, second.thread) == ("Only on Fridays", rig.place("dev", root.id, thread.id))
    assert (second.author and second.author.id) == rig.person("cy").id


@pytest.mark.parametrize("line", ["/followup", "/codetask later", "/codetask change"])
async def test_a_time_is_completed_while_it_is_typed(rig: Rig, line: str) -> None:
    asked: list[tuple[str, str, str, ThreadRef]] = []

    async def choices(name: str, text: str, person: Any, place: ThreadRef) -> list[Choice]:
        asked.append((name, text, person.id, place))
        return [Choice("Sat 7 Mar 09:00 (Berlin, in 17 h 30 min)", "2026-03-07T09:00:00+01:00")]

    rig.inbox.choices = choices  # type: ignore[method-assign]
    typed = rig.simulator.types_choice("ana", line, "when", "tomorrow 9", "dev")
    await rig.simulator.wait_for(lambda: typed.acked)
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    inside = rig.simulator.types_choice("ana", line, "when", "tomorrow 9", rig.simulator.starts_thread("bo", root))
    await rig.simulator.wait_for(lambda: inside.acked)
    assert asked == [("when", "tomorrow 9", rig.person().id, rig.place())] * 2, "a thread is of its channel"
    assert typed.choices == [{"name": "Sat 7 Mar 09:00 (Berlin, in 17 h 30 min)", "value": "2026-03-07T09:00:00+01:00"}]


async def test_change_opens_its_form_and_sends_the_time(rig: Rig) -> None:
    posted(await rig.platform.post(rig.place(), SET, "k1" * 12))
    press = rig.simulator.clicks("ana", rig.simulator.sent[-1], "Change")
    await rig.simulator.wait_for(lambda: press.acked)
    assert press.form is not None
    assert (press.form.custom_id, rig.inbox.said) == (CHANGE, [])
    rig.simulator.submits_form("ana", press.form, {"when": "tomorrow 9am"})
    (event,) = await rig.seen()
    assert isinstance(event, FormSent)
    assert (event.form, event.fields) == (CHANGE, {"when": "tomorrow 9am"})


async def test_a_zone_chosen_by_a_button_arrives_whole(rig: Rig) -> None:
    posted(await rig.platform.post(rig.place(), SET, "k1" * 12))
    rig.simulator.clicks("ana", rig.simulator.sent[-1], "New York")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    assert event.value == ZONE


async def test_who_presses_in_a_direct_message_is_still_the_servers_member(rig: Rig) -> None:
    """A mention is answered in a direct message; there Discord names no server."""
    posted(await rig.platform.whisper(rig.person("ana"), rig.place(), SET, None, "k1" * 12))
    told = rig.simulator.sent[-1]
    press = rig.simulator.clicks("ana", told, "Change")
    await rig.simulator.wait_for(lambda: press.acked)
    assert press.form is not None
    rig.simulator.clicks("ana", told, "New York")
    rig.simulator.submits_form("ana", press.form, {"when": "in 2h"})
    pressed, sent = sorted(await rig.seen(2), key=lambda event: event.kind)
    assert isinstance(pressed, ButtonPress)
    assert isinstance(sent, FormSent)
    assert (pressed.value, sent.form) == (ZONE, CHANGE)
    for event in (pressed, sent):
        assert (event.person.workspace_id, event.person.id) == (rig.simulator.guild_id, rig.person("ana").id)
        assert (event.workspace_id, event.thread.workspace_id) == ("dm", "dm")


async def test_a_server_in_a_button_of_a_server_changes_nothing(rig: Rig) -> None:
    foreign = Doc(text="x", buttons=(Button(label="Go", name="Go", value="codetask:cancel:FU-7@123456789012345678"),))
    posted(await rig.platform.post(rig.place(), foreign, "k1" * 12))
    rig.simulator.clicks("ana", rig.simulator.sent[-1], "Go")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    assert (event.value, event.person.workspace_id) == ("codetask:cancel:FU-7", rig.simulator.guild_id)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("key", [CHANGE, "codetask:later:IN-123456789"])
def test_the_modals_are_ones_that_discord_takes(language: str, key: str) -> None:
    form = form_of(key, Texts.load(language))
    assert form is not None
    made = modal(form)
    assert modal_problems(made) == []
    names = [outer["component"]["custom_id"] for outer in made["components"]]
    assert names == (["when"] if key == CHANGE else ["when", "text"])

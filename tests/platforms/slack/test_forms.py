"""Slack's modals: opened by a button without a row, sent back and stored, closed without a trace."""

import json
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from slack_sdk.models.views import View as SdkView

from bot.core.cards import Button, Doc
from bot.core.forms import form_of
from bot.core.inbound import ButtonPress, FormSent, MessageRef, Person, ThreadRef
from bot.core.texts import Texts
from platforms.slack.buttons import modal
from platforms.slack.simulator import SlackSimulator
from platforms.slack.simulator.kit import block_problems
from platforms.slack.simulator.state import View
from tests.platforms.slack.rig import Rig, rigged

NOTE = "codetask:retry_note:CT-1"
FAILED = Doc(
    text="CT-1 failed.",
    buttons=(
        Button(label="Retry", name="Retry CT-1", value="codetask:retry:CT-1"),
        Button(label="Retry with a note", name="Retry CT-1 with a note", value=NOTE),
    ),
)
LABEL = "What should it do differently?"
CHANGE = "codetask:change:FU-7"
SET = Doc(text="I'll run this here.", buttons=(Button(label="Change", name="Change FU-7", value=CHANGE),))


@pytest.fixture(params=["socket", "http"])
async def rig(request: pytest.FixtureRequest, simulator: SlackSimulator) -> AsyncIterator[Rig]:
    async with rigged(simulator, request.param) as made:
        yield made


@pytest.fixture
def simulator() -> Iterator[SlackSimulator]:
    with SlackSimulator(seed=7) as running:
        yield running


def place(rig: Rig, root: str | None = None) -> ThreadRef:
    return ThreadRef(
        platform="slack",
        workspace_id=rig.simulator.team_id,
        channel_id=rig.simulator.channel("dev").id,
        root=root,
    )


async def presses(rig: Rig, who: str = "ana") -> str:
    """A failed code task is said in a thread; someone presses [Retry with a note]. Returns the thread's root."""
    root = rig.simulator.user_says("ana", "!codetask fix it", "dev")
    assert isinstance(await rig.platform.post(place(rig, root.ts), FAILED, "k1" * 12), MessageRef)
    await rig.seen()
    rig.inbox.events.clear()
    press = rig.simulator.clicks(who, rig.simulator.sent[-1], "Retry with a note")
    await rig.simulator.wait_for(lambda: press.acked)
    return root.ts


def shown(rig: Rig) -> View:
    (view,) = rig.simulator.views
    return view


async def test_a_button_opens_its_form_and_leaves_no_row(rig: Rig) -> None:
    await presses(rig)
    view = shown(rig)
    assert (view.body["callback_id"], view.body["title"]["text"]) == (NOTE, "Retry CT-1")
    assert view.user == rig.simulator.user("ana").id
    (field,) = view.body["blocks"]
    assert (field["label"]["text"], field["optional"], field["element"]["max_length"]) == (LABEL, False, 2_000)
    assert rig.inbox.said == []


async def test_a_sent_form_is_stored_before_it_closes(rig: Rig) -> None:
    root = await presses(rig)
    rig.inbox.gate.clear()
    sent = rig.simulator.submits_form("ana", shown(rig), {LABEL: "use the <other> table & @bo"})
    await rig.inbox.until(lambda: rig.inbox.waiting)
    assert not sent.acked
    rig.inbox.gate.set()
    (event,) = await rig.seen()
    await rig.simulator.wait_for(lambda: sent.acked)
    assert isinstance(event, FormSent)
    assert (event.form, event.fields) == (NOTE, {"note": "use the <other> table & @bo"})
    assert (event.thread, event.person.id) == (place(rig, root), rig.simulator.user("ana").id)
    assert event.reply_token is None


async def test_the_private_answer_to_a_form_is_seen_by_its_sender_in_the_thread(rig: Rig) -> None:
    root = await presses(rig)
    rig.simulator.submits_form("ana", shown(rig), {"note": "use the other table"})
    (event,) = await rig.seen()
    assert isinstance(event, FormSent)
    told = await rig.platform.whisper(event.person, event.thread, Doc(text="CT-1 is queued again."), None, "k2" * 12)
    assert isinstance(told, MessageRef)
    (whisper,) = rig.simulator.whispers
    assert (whisper.user, whisper.thread_ts) == (rig.simulator.user("ana").id, root)
    assert whisper.text == "CT-1 is queued again."


async def test_a_closed_form_leaves_nothing(rig: Rig) -> None:
    await presses(rig)
    assert rig.simulator.user_closes_form("ana", shown(rig)) is None
    assert not shown(rig).open
    assert rig.inbox.said == []


async def test_a_form_that_cannot_be_stored_stays_open_with_what_was_typed(rig: Rig) -> None:
    await presses(rig)
    rig.inbox.down = True
    first = rig.simulator.submits_form("ana", shown(rig), {"note": "use the other table"})
    await rig.simulator.wait_for(lambda: first.acked)
    assert json.loads(first.error)["note"].startswith("I couldn't save that (ref `k7f2`)")
    assert shown(rig).open
    rig.inbox.down = False
    again = rig.simulator.submits_form("ana", shown(rig), {"note": "use the other table"})
    await rig.simulator.wait_for(lambda: again.acked)
    (event,) = await rig.seen()
    assert isinstance(event, FormSent)
    assert not shown(rig).open


async def test_a_form_is_in_the_language_of_the_person(rig: Rig) -> None:
    await presses(rig, "cy")
    assert shown(rig).body["title"]["text"] == "重试 CT-1"


async def test_a_person_nobody_can_look_up_gets_the_form_in_english(rig: Rig) -> None:
    rig.simulator.fail_next("users.info", status=500)
    await presses(rig)
    assert shown(rig).body["title"]["text"] == "Retry CT-1"


REFUSALS: list[Callable[[SlackSimulator], None]] = [
    lambda simulator: simulator.fail_next("views.open", status=500),
    lambda simulator: simulator.fail_next("views.open", error="expired_trigger_id"),
    lambda simulator: simulator.fail_next("views.open", status=429, retry_after=30),
]


@pytest.mark.parametrize("refuse", REFUSALS, ids=["500", "late", "limited"])
async def test_where_no_form_opens_the_press_is_stored(rig: Rig, refuse: Callable[[SlackSimulator], None]) -> None:
    refuse(rig.simulator)
    await presses(rig)
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    assert (event.value, rig.simulator.views) == (NOTE, [])


async def test_other_buttons_open_nothing(rig: Rig) -> None:
    await presses(rig)
    retry = rig.simulator.clicks("ana", rig.simulator.sent[-1], "Retry")
    await rig.simulator.wait_for(lambda: retry.acked)
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    assert (event.value, len(rig.simulator.views)) == ("codetask:retry:CT-1", 1)


async def changes(rig: Rig, who: str = "ana") -> View:
    """A follow-up was set, as a whisper in the channel says; the person presses [Change]."""
    person = Person(platform="slack", workspace_id=rig.simulator.team_id, id=rig.simulator.user(who).id)
    assert isinstance(await rig.platform.whisper(person, place(rig), SET, None, "k3" * 12), MessageRef)
    press = rig.simulator.clicks(who, rig.simulator.whispers[-1], "Change")
    await rig.simulator.wait_for(lambda: press.acked)
    assert rig.inbox.said == []
    return shown(rig)


@pytest.mark.parametrize(
    ("filled", "when"),
    [({"when@": 1_772_870_400}, "1772870400"), ({"when": "tomorrow 9am"}, "tomorrow 9am")],
    ids=["picked", "typed"],
)
async def test_a_time_is_picked_or_typed(rig: Rig, filled: dict[str, object], when: str) -> None:
    view = await changes(rig)
    picker, words = view.body["blocks"]
    assert (picker["element"]["type"], picker["optional"], words["optional"]) == ("datetimepicker", True, True)
    sent = rig.simulator.submits_form("ana", view, filled)
    (event,) = await rig.seen()
    await rig.simulator.wait_for(lambda: sent.acked)
    assert isinstance(event, FormSent)
    assert (event.form, event.fields) == (CHANGE, {"when": when})
    assert (event.thread, view.open) == (place(rig), False)


@pytest.mark.parametrize(
    ("filled", "who", "why"),
    [
        ({}, "ana", "Pick a date and time, or write one."),
        ({"when": "  "}, "ana", "Pick a date and time, or write one."),
        ({"when": "tomorrow 9am", "when@": 1_772_870_400}, "ana", "Pick a time or write one, not both."),
        ({}, "cy", "请选择日期和时间，或写下来。"),
    ],
    ids=["neither", "blank", "both", "zh"],
)
async def test_a_form_without_one_time_stays_open_and_leaves_no_row(
    rig: Rig, filled: dict[str, object], who: str, why: str
) -> None:
    view = await changes(rig, who)
    first = rig.simulator.submits_form(who, view, filled)
    await rig.simulator.wait_for(lambda: first.acked)
    assert json.loads(first.error) == {"when": why}
    assert (view.open, rig.inbox.said) == (True, [])
    rig.simulator.submits_form(who, view, {"when": "in 2h"})
    (event,) = await rig.seen()
    assert isinstance(event, FormSent)
    assert event.fields == {"when": "in 2h"}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("key", [CHANGE, "codetask:later:IN-123456789"])
def test_the_modals_of_follow_ups_are_ones_that_slack_takes(language: str, key: str) -> None:
    texts = Texts.load(language)
    form = form_of(key, texts)
    assert form is not None
    made = modal(form, ThreadRef(platform="slack", workspace_id="T1", channel_id="C1"), texts)
    SdkView(**made).validate_json()
    assert block_problems(made["blocks"], in_view=True) == []
    names = [block["block_id"] for block in made["blocks"]]
    assert names == (["when@", "when"] if key == CHANGE else ["when@", "when", "text"])
    assert (len(made["title"]["text"]) <= 24, len(made["submit"]["text"]) <= 24) == (True, True)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("number", ["4", "9" * 9])
def test_the_modal_is_one_that_slack_takes(language: str, number: str) -> None:
    form = form_of(f"codetask:retry_note:CT-{number}", Texts.load(language))
    assert form is not None
    here = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1", root="1.2")
    made = modal(form, here, Texts.load(language))
    SdkView(**made).validate_json()
    assert len(made["title"]["text"]) <= 24
    assert len(made["private_metadata"]) <= 3_000
    assert json.loads(made["private_metadata"]) == {"channel_id": "C1", "root": "1.2"}

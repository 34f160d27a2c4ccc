"""Follow-ups in chat, from the stored event to the whisper, on both stores: set once, asked where a time is not sure,
changed and ended by those who may."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from bot.app import App, wire
from bot.core.cards import CONTENT, Button, Doc
from bot.core.followups import FollowUp, FollowUpKind, FollowUpState
from bot.core.inbound import ButtonPress, Command, Event, FormSent, Message, Person, ThreadRef
from bot.core.runs import LogLine
from bot.services.attempts import Cost
from bot.services.followup_runs import Answer, ClaimedFollowUp
from bot.store import FollowUpFilter, TaskFilter
from platforms.registry import load_settings
from storage.engine import Database
from tests.clock import FakeClock

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
ANA = Person(platform="slack", workspace_id="T1", id="U1", name="ana", roles=frozenset({"member"}), timezone=BERLIN)
BO = ANA.model_copy(update={"id": "U2", "name": "bo"})
CY = ANA.model_copy(update={"id": "U3", "name": "cy", "roles": frozenset({"owner"})})
GUEST = ANA.model_copy(update={"id": "U4", "name": "gus", "kind": "guest"})
NOWHERE = Person(platform="slack", workspace_id="T1", id="U5", name="dee", roles=frozenset({"member"}))
CHANNEL = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1")
THREAD = CHANNEL.model_copy(update={"root": "17.1"})
PENDING, RUNNING, CANCELLED = FollowUpState.PENDING, FollowUpState.RUNNING, FollowUpState.CANCELLED
FRIDAY = datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
"""15:30 in Berlin, 9:30 in New York."""


@dataclass
class Desk:
    """The chat services over a store, whose clock stands still: hand it events, read what it whispers."""

    app: App
    clock: FakeClock
    count: int = 0
    events: list[Event] = field(default_factory=list[Event])

    async def says(self, text: str, person: Person = ANA, thread: ThreadRef = CHANNEL, **fields: Any) -> Doc:
        """A command; `/followup` unless told otherwise. Answers the last whisper."""
        self.count += 1
        in_thread = thread.root is not None
        told = {"key": f"A1:c:{self.count}", "door": "mention" if in_thread else "slash", "command": "followup"}
        given = {**self._base(person, thread), **told, "in_thread": in_thread, **fields}
        await self.handle(Command(text=text, **given))
        return await self.last_whisper()

    async def presses(self, button: Button | str, person: Person = ANA, message_id: str = "1.1") -> Doc:
        self.count += 1
        value = button if isinstance(button, str) else button.value
        event = ButtonPress(**self._base(person, CHANNEL), key=f"A1:o:{self.count}", value=value, message_id=message_id)
        await self.handle(event)
        return await self.last_whisper()

    async def sends(self, form: str, person: Person = ANA, **fields: str) -> Doc:
        self.count += 1
        event = FormSent(**self._base(person, CHANNEL), key=f"A1:f:{self.count}", form=form, fields=fields)
        await self.handle(event)
        return await self.last_whisper()

    async def writes(self, text: str, person: Person = ANA, thread: ThreadRef = THREAD, **fields: Any) -> None:
        """An ordinary message."""
        self.count += 1
        given = {"in_thread": thread.root is not None, **self._base(person, thread), **fields}
        await self.handle(Message(key=f"A1:m:{self.count}", message_id=f"18.{self.count}", text=text, **given))

    def _base(self, person: Person, thread: ThreadRef) -> dict[str, Any]:
        now = self.clock.now()
        told = {"platform": "slack", "app_id": "A1", "workspace_id": "T1", "person": person, "thread": thread}
        return {**told, "sent_at": now, "received_at": now}

    async def handle(self, event: Event) -> None:
        await self.app.store.run(lambda tx: tx.inbox.add(event))
        await self.app.inbox.drain()

    async def whispers(self) -> list[Doc]:
        rows = await self.rows("SELECT body FROM outbox WHERE kind = 'whisper' ORDER BY id")
        return [CONTENT.validate_json(body) for (body,) in rows]  # type: ignore[misc]

    async def last_whisper(self) -> Doc:
        return (await self.whispers() or [Doc(text="")])[-1]

    async def all(self) -> list[FollowUp]:
        found = await self.app.store.run(lambda tx: list(tx.followups.list(FollowUpFilter(limit=200))), read=True)
        return sorted(found, key=lambda one: one.id or 0)

    async def one(self) -> FollowUp:
        (found,) = await self.all()
        return found

    async def state(self, number: int = 1) -> FollowUpState:
        return (await self.all())[number - 1].state

    async def tasks(self) -> int:
        return len(await self.app.store.run(lambda tx: tx.tasks.list(TaskFilter(limit=50)), read=True))

    async def rows(self, sql: str) -> list[Any]:
        return await self.app.store.run(lambda tx: list(tx.session.execute(sa.text(sql)).all()), read=True)

    async def runs(self, number: int = 1) -> ClaimedFollowUp:
        """Makes a pending one due, and has a worker begin it."""
        await self.app.store.run(lambda tx: tx.followups.update(number, due_at=tx.now))
        await self.app.store.run(self.app.firing.fire_due)
        claimed = await self.app.store.run(lambda tx: self.app.followup_runs.claim(tx, "w1", "h"))
        assert claimed is not None
        return claimed

    async def fires(self) -> None:
        await self.app.store.run(self.app.firing.fire_due)

    async def sees_a_thread(self) -> int:
        return (await self.app.store.run(lambda tx: tx.threads.open(THREAD))).id


@pytest.fixture
async def make_desk(store: Database, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Callable[..., Desk]]:
    clock.set(FRIDAY)

    def make(**settings: Any) -> Desk:
        chosen = {
            "codetask_data": tmp_path,
            "repos": {"web": {"url": "file:///nowhere/web.git", "forge": "none"}},
            "default_agent": "demo",
            "filers": "member",
            **settings,
        }
        return Desk(wire(load_settings(**chosen), store, {}, {}), clock)

    yield make


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


def berlin(*when: int) -> datetime:
    return datetime(*when, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)  # type: ignore[misc]


def labels(doc: Doc) -> list[str]:
    return [button.label for button in doc.buttons]


# --- Setting (product rule 7.1) ---------------------------------------------------------------------------------------


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


# --- Questions --------------------------------------------------------------------------------------------------------


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


# --- Zones ------------------------------------------------------------------------------------------------------------


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
    assert (
        said.text == "- `tz`: not set, not chosen by you\n- `timezone`: not set, for this channel"
        or "not set" in said.text
    )
    said = await desk.says("settings tz Atlantis", NOWHERE, command="codetask")
    assert said.text.startswith("There is no time zone Atlantis.")
    said = await desk.says("settings timezone UTC", BO, command="codetask")
    assert said.text.startswith("Only an admin can change the settings of a channel.")
    said = await desk.says("settings tz UTC", GUEST, command="codetask")
    assert said.text.startswith("You can't see code tasks here")
    assert (await desk.says("settings repo web", CY, command="codetask")).text.startswith("`settings` is not available")
    assert await desk.rows("SELECT 1 FROM audit WHERE action = 'setting'") == []


# --- The message shortcut ---------------------------------------------------------------------------------------------


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


# --- Looking ----------------------------------------------------------------------------------------------------------


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


# --- Changing (product rule 7.4) --------------------------------------------------------------------------------------


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
    assert "has had its time" in (await desk.says("run 1")).text
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


# --- The other kind, near misses, threads -----------------------------------------------------------------------------


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
    assert said.text.startswith("我会在 3月7日(周六) 09:00（北京，10 小时 30 分钟后）在这里运行：*检查部署*。")
    assert labels(said) == ["修改", "取消"]
    assert "`稍后 2小时后 …`" in (await desk.says("稍后 改天 看看", li, command="codetask")).text

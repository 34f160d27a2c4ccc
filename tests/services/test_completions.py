"""What is offered while a person types a time or the id of a follow-up."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.core.inbound import Person
from bot.core.texts import Texts
from bot.core.when import When, read_when, split_later, zone_named
from bot.ports import Choice
from bot.services.completions import offer_times
from bot.services.followups import FollowUpSet, Wish
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import ANN, CHANNEL, World

NOW = datetime(2026, 3, 6, 14, 30, 12, 345, tzinfo=UTC)
EN, ZH = Texts.load("en"), Texts.load("zh")


def offered(text: str, zone: str | None = "Europe/Berlin", texts: Texts = EN) -> list[Choice]:
    return offer_times(text, NOW, zone_named(zone) if zone else None, texts)


@pytest.mark.parametrize(
    ("text", "zone", "labels"),
    [
        ("tomorrow 9am", "Europe/Berlin", ["Sat 7 Mar 09:00 (Berlin, in 17 h 30 min)"]),
        ("明天上午9点", "Europe/Berlin", ["Sat 7 Mar 09:00 (Berlin, in 17 h 30 min)"]),
        ("1772900000", "America/New_York", ["Sat 7 Mar 11:13 (New York, in 1 d 1 h)"]),
        ("today 9am", "Europe/Berlin", ["Sat 7 Mar 09:00 (Berlin, in 17 h 30 min)"]),
        (
            "3/10",
            "Europe/Berlin",
            ["Tue 10 Mar 09:00 (Berlin, in 3 d 17 h)", "Sat 3 Oct 09:00 (Berlin, in 210 d 16 h)"],
        ),
        (
            "nov 1 01:30",
            "America/New_York",
            ["Sun 1 Nov 01:30 (New York, in 239 d 15 h) EDT", "Sun 1 Nov 01:30 (New York, in 239 d 16 h) EST"],
        ),
        (
            "2026-03-08 02:30",
            "America/New_York",
            ["Sun 8 Mar 01:30 (New York, in 1 d 16 h)", "Sun 8 Mar 03:30 (New York, in 1 d 17 h)"],
        ),
        ("tomorrow 9am check it", "Europe/Berlin", ["Sat 7 Mar 09:00 (Berlin, in 17 h 30 min): check it"]),
        ("list", "Europe/Berlin", ["list"]),
        ("cancel FU-7", None, ["cancel FU-7"]),
        ("mond", "Europe/Berlin", ["Mon 9 Mar 09:00 (Berlin, in 2 d 17 h)"]),
    ],
)
def test_every_reading_of_a_time_is_one_choice(text: str, zone: str | None, labels: list[str]) -> None:
    assert [one.label for one in offered(text, zone)] == labels


@pytest.mark.parametrize(
    "text", ["tomorrow 9am", "in 2h", "3/10", "nov 1 01:30", "", "at 3", "next week", "1772900000"]
)
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"])
def test_a_choice_reads_back_as_the_instant_it_shows(text: str, zone: str) -> None:
    for choice in offered(text, zone):
        read = read_when(choice.value, now=NOW, zone="Asia/Tokyo")
        assert isinstance(read, When)
        again = offer_times(choice.value, NOW, zone_named(zone), EN)
        assert choice.label.startswith(again[0].label)
        behind, rest = split_later(f"{choice.value} -- 10 things", now=NOW, zone=zone)
        assert isinstance(behind, When)
        assert (behind.at, rest) == (read.at, "10 things")


def test_labels_are_in_the_language_of_the_person() -> None:
    assert offered("tomorrow 9am", texts=ZH)[0].label == "3月7日(周六) 09:00（柏林，17 小时 30 分钟后）"
    assert len(offered("", texts=ZH)) == 5


@pytest.mark.parametrize("text", ["", "soon", "x" * 5000, "\x00\u202e", "👀" * 50, "tomorrow 9am " + "and " * 60])
@pytest.mark.parametrize("zone", ["Europe/Berlin", None])
def test_whatever_is_typed_a_few_fitting_choices_come(text: str, zone: str | None) -> None:
    found = offered(text, zone)
    assert len(found) == 5
    assert all(0 < len(one.label) <= 100 and 0 < len(one.value) <= 100 for one in found)


def test_without_a_zone_only_what_is_one_instant_everywhere_is_resolved() -> None:
    assert offered("in 2h", None) == [Choice("Fri 6 Mar 16:30 (UTC, in 2 h)", "2026-03-06T16:30:12+00:00")]
    for text in ("tomorrow 9am", "in 2 weeks", "3/10"):
        assert offered(text, None) == [Choice(f"{text} (the exact time is told next)", text)]


# --- Through the application ------------------------------------------------------------------------------------------


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(store, clock, tmp_path)


def put(world: World, text: str, hours: int, person: Person = ANN) -> None:
    at = world.clock.now() + timedelta(hours=hours)
    wish = Wish(text=text, at=at, person=person, place=CHANNEL, zone="UTC")
    world.store.run_sync(lambda tx: tx.people.see(person))
    assert isinstance(world.store.run_sync(lambda tx: world.app.followups.set(tx, wish)), FollowUpSet)


async def ids(world: World, text: str, person: Person = ANN) -> list[str]:
    return [one.value for one in await world.app.inbox.choices("id", text, person)]


async def test_own_follow_ups_are_completed_by_number_and_title(world: World) -> None:
    put(world, "check the deploy", 3)
    put(world, "remind me of the fuel", 1)
    put(world, "somebody else's", 1, ANN.model_copy(update={"id": "U0OTHER", "roles": frozenset({"owner"})}))
    assert await ids(world, "") == ["FU-2", "FU-1"]
    assert [await ids(world, text) for text in ("fu", "FU-1", "1", "DEPLOY", "fuel")] == [
        ["FU-2", "FU-1"],
        ["FU-1"],
        ["FU-1"],
        ["FU-1"],
        ["FU-2"],
    ]
    assert [await ids(world, text) for text in ("ct-1", "FU-3", "else", "nothing like it")] == [[], [], [], []]
    (one,) = await world.app.inbox.choices("id", "FU-1", ANN)
    assert one.label == "FU-1 check the deploy (pending)"


async def test_a_time_is_resolved_in_the_zone_that_the_person_chose(world: World) -> None:
    world.store.run_sync(lambda tx: tx.people.see(ANN))
    world.store.run_sync(lambda tx: tx.people.prefer(ANN, "tz", "Asia/Tokyo"))
    (one,) = await world.app.inbox.choices("when", "tomorrow 9am", ANN)
    assert "(Tokyo, in " in one.label
    assert one.value.endswith("T09:00:00+09:00")


async def test_the_zone_of_the_channel_counts_for_who_chose_none(world: World) -> None:
    world.store.run_sync(lambda tx: tx.people.set_setting(CHANNEL, "timezone", "Asia/Kolkata"))
    (one,) = await world.app.inbox.choices("when", "tomorrow 9am", ANN, CHANNEL)
    assert one.value.endswith("T09:00:00+05:30")
    (unknown,) = await world.app.inbox.choices("when", "tomorrow 9am", ANN)
    assert unknown == Choice("tomorrow 9am (the exact time is told next)", "tomorrow 9am")


async def test_who_may_see_nothing_is_offered_nothing(world: World) -> None:
    stranger = ANN.model_copy(update={"id": "U0STRANGER", "kind": "guest", "roles": frozenset()})
    assert await world.app.inbox.choices("when", "tomorrow 9am", stranger) == []

"""Times in English and Chinese: read, asked about or refused (ux.md 4)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.core.when import Ask, Choice, Refused, When, read_when
from tests.core.when_tables import shown

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "data" / "when_cases.jsonl"
BERLIN, SHANGHAI, NEW_YORK = (ZoneInfo(name) for name in ("Europe/Berlin", "Asia/Shanghai", "America/New_York"))
NOW = {"en": datetime(2026, 5, 13, 10, 20, tzinfo=BERLIN), "zh": datetime(2026, 9, 15, 14, 5, tzinfo=SHANGHAI)}
ZONE = {"en": BERLIN, "zh": SHANGHAI}


def table(language: str) -> Iterator[tuple[str, str, str]]:
    for line in (HERE / "fixtures" / f"when_{language}.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            text, _, expected = line.partition(" => ")
            yield language, text, expected


def in_order(expected: str) -> str:
    """With the choices in the order of the wall clock."""
    return "? " + ", ".join(sorted(expected[2:].split(", "))) if expected.startswith("? ") else expected


@pytest.mark.parametrize(("language", "text", "expected"), [*table("en"), *table("zh")])
def test_times_that_people_write(language: str, text: str, expected: str) -> None:
    read = read_when(text, now=NOW[language], zone=ZONE[language])
    assert in_order(shown(read, ZONE[language])) == in_order(expected)


@pytest.mark.parametrize(("language", "text", "expected"), [*table("en"), *table("zh")])
def test_capitals_and_spaces_change_nothing(language: str, text: str, expected: str) -> None:
    read = read_when(f"  {text.upper()}\u00a0", now=NOW[language], zone=ZONE[language])
    assert in_order(shown(read, ZONE[language])) == in_order(expected)


def shared() -> list[dict[str, str]]:
    return [json.loads(line) for line in SHARED.read_text("utf-8").splitlines()] if SHARED.exists() else []


@pytest.mark.skipif(not SHARED.exists(), reason="the shared cases are not beside this checkout")
@pytest.mark.parametrize("case", shared(), ids=lambda case: case["text"] or "empty")
def test_the_shared_cases(case: dict[str, str]) -> None:
    zone = ZoneInfo(case["tz"])
    read = read_when(case["text"], now=datetime.fromisoformat(case["now"]), zone=zone)
    kind = {When: "instant", Ask: "ask", Refused: "refuse"}[type(read)]
    assert kind == ("instant" if case["kind"] == "day" else case["kind"])
    if isinstance(read, When):
        length = 10 if case["kind"] == "day" else 16
        assert read.at.astimezone(zone).isoformat()[:length] == case["expect"][:length]


def test_what_was_filled_in_is_told() -> None:
    def assumed(text: str) -> tuple[str, ...]:
        read = read_when(text, now=NOW["en"], zone=BERLIN)
        assert isinstance(read, When)
        return read.assumed

    assert [assumed(text) for text in ("tomorrow", "tomorrow at 9", "tomorrow 9am", "in 2h")] == [
        ("time",), ("hour",), (), (),
    ]  # fmt: skip


def test_days_keep_the_clock_and_hours_elapse_over_a_clock_change() -> None:
    now = datetime(2026, 10, 24, 12, 0, tzinfo=BERLIN)
    day, hours = (read_when(text, now=now, zone=BERLIN) for text in ("in 1 day", "in 24 hours"))
    assert shown(day, BERLIN) == "10-25T12:00"
    assert shown(hours, BERLIN) == "10-25T11:00"


def test_an_hour_that_comes_twice_is_asked_with_both_names() -> None:
    read = read_when("2026-11-01 01:15", now=datetime(2026, 10, 30, 8, 0, tzinfo=UTC), zone=NEW_YORK)
    assert isinstance(read, Ask)
    assert read.key == "when.twice"
    assert read.choices == (
        Choice(datetime(2026, 11, 1, 5, 15, tzinfo=UTC), "EDT"),
        Choice(datetime(2026, 11, 1, 6, 15, tzinfo=UTC), "EST"),
    )


def test_of_an_hour_that_comes_twice_only_the_one_ahead_is_left() -> None:
    between = datetime(2026, 11, 1, 5, 40, tzinfo=UTC)
    assert shown(read_when("1:15am", now=between, zone=NEW_YORK), NEW_YORK) == "11-01T01:15"
    read = read_when("1:15am", now=between, zone=NEW_YORK)
    assert isinstance(read, When)
    assert read.at == datetime(2026, 11, 1, 6, 15, tzinfo=UTC)


def test_a_gap_of_half_an_hour_has_its_own_neighbours() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    read = read_when("tomorrow 2:15am", now=datetime(2026, 10, 3, 22, 0, tzinfo=zone), zone=zone)
    assert shown(read, zone) == "? 10-04T01:45, 10-04T02:45"


def test_an_instant_with_an_offset_is_asked_nothing() -> None:
    read = read_when("2026-11-01T01:15:00-05:00", now=datetime(2026, 10, 30, tzinfo=UTC), zone=NEW_YORK)
    assert isinstance(read, When)
    assert read.at == datetime(2026, 11, 1, 6, 15, tzinfo=UTC)


def test_whose_tomorrow_is_asked_when_the_dates_differ() -> None:
    now = datetime(2026, 5, 13, 20, 0, tzinfo=BERLIN)
    read = read_when("tomorrow 9am JST", now=now, zone=BERLIN)
    assert shown(read, BERLIN) == "? 05-14T02:00, 05-15T02:00"
    assert shown(read_when("friday 9am JST", now=now, zone=BERLIN), BERLIN) == "05-15T02:00"


@pytest.mark.parametrize(
    ("text", "offered"),
    [("today at 8am", ["05-14T08:00"]), ("today at 8", ["05-13T20:00", "05-14T08:00"]), ("3 days ago", [])],
)
def test_a_refusal_offers_what_could_be_meant(text: str, offered: list[str]) -> None:
    read = read_when(text, now=NOW["en"], zone=BERLIN)
    assert isinstance(read, Refused)
    assert [shown(When(choice.at, BERLIN, ""), BERLIN) for choice in read.choices] == offered


def test_within_a_minute_the_past_is_now() -> None:
    now = datetime(2026, 5, 13, 10, 20, 45, tzinfo=BERLIN)
    for text in ("10:20", "2026-05-13T10:20", "today 10:20"):
        read = read_when(text, now=now, zone=BERLIN)
        assert isinstance(read, When), text
        assert read.at == now
    assert shown(read_when("10:19", now=now, zone=BERLIN), BERLIN) == "05-14T10:19"


def test_the_horizon_is_366_days() -> None:
    for text, kind in (("in 366 days", When), ("in 367 days", Refused)):
        assert isinstance(read_when(text, now=NOW["en"], zone=BERLIN), kind)


def test_zones_by_name_and_unknown_ones() -> None:
    for name in ("Europe/Berlin", "europe/berlin", "CET", "UTC+2"):
        assert shown(read_when("tomorrow", now=NOW["en"], zone=name), BERLIN) == "05-14T09:00"
    for name in ("Nowhere/Land", "../etc/passwd", "", "Europe", "UTC+99"):
        with pytest.raises(ValueError, match="unknown zone"):
            read_when("tomorrow", now=NOW["en"], zone=name)

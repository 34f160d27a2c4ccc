"""Times that were once answered wrongly, and what is said of a time around a clock change."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.core.texts import Texts
from bot.core.when import Reading, Refused, When, read_when, split_later
from bot.core.when.words import label, sentence
from tests.core.when_tables import shown

TABLE = Path(__file__).parent / "fixtures" / "when_faults.txt"
PLACES = {
    "london": ("Europe/London", "2026-03-06T15:30"),
    "shanghai": ("Asia/Shanghai", "2026-11-19T16:20"),
    "new_york": ("America/New_York", "2026-03-06T15:30"),
}
EN, ZH = Texts.load(), Texts.load("zh")


def table() -> Iterator[tuple[str, str, str, str]]:
    place = kind = ""
    for line in TABLE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            place, kind = line.removeprefix("## ").split()
        elif line and not line.startswith("#"):
            text, _, expected = line.partition(" => ")
            yield place, kind, text, expected


@pytest.mark.parametrize(("place", "kind", "text", "expected"), list(table()))
def test_what_was_once_wrong(place: str, kind: str, text: str, expected: str) -> None:
    name, clock = PLACES.get(place) or place.split("@")
    zone = ZoneInfo(name)
    now = datetime.fromisoformat(clock).replace(tzinfo=zone)
    if kind == "whole":
        assert shown(read_when(text, now=now, zone=zone), zone) == expected
        return
    read, rest = split_later(text, now=now, zone=zone)
    assert (shown(read, zone) + ("" if isinstance(read, Refused) else f" | {rest}")) == expected


TEXTS = """
in 1 day|1w|in 2 weeks|in 1 month|一天后|一周后|一个月后|same time next week|this time tomorrow
明天这个时候|in 1 day 2 hours|tomorrow|tomorrow 1:30|tomorrow 2:30|sunday 1:15|sunday 2:30am
周日两点半|周日凌晨一点半|tomorrow 2:30am PST|sunday 1:30 CET|in 7 days check|下周日凌晨2点15分检查
next sunday 2:15 check|tomorrow midnight|next month|3/4|1h30|2h|tonight at 1|半夜|soon
every day|tomorrow 2:15am Lord_Howe time|in 24 hours|1 week at 01:30|yesterday
in 400 days|25:00|feb 30||6/3 2:15
"""
CHANGES = {
    "America/New_York": ("2026-03-08T02:30", "2026-11-01T01:30"),
    "Europe/London": ("2026-03-29T01:15", "2026-10-25T01:15"),
    "Europe/Berlin": ("2026-03-29T02:15", "2026-10-25T02:15"),
    "Australia/Sydney": ("2026-10-04T02:30", "2026-04-05T02:15"),
    "Australia/Lord_Howe": ("2026-10-04T02:15", "2026-04-05T01:45"),
}


@pytest.mark.parametrize(("name", "wall"), [(name, wall) for name, walls in CHANGES.items() for wall in walls])
def test_around_a_clock_change_every_answer_can_be_said(name: str, wall: str) -> None:
    zone = ZoneInfo(name)
    change = datetime.fromisoformat(wall).replace(tzinfo=zone)
    for back in (0, 1, 7, 14):
        for now in (change - timedelta(days=back), change - timedelta(days=back, hours=2)):
            for text in TEXTS.replace("\n", "|").split("|"):
                for read in (
                    read_when(text, now=now, zone=zone),
                    split_later(f"{text} check", now=now, zone=zone)[0],
                ):
                    _said(read, now)


def _said(read: Reading, now: datetime) -> None:
    for texts in (EN, ZH):
        told = sentence(read, now, texts)
        said = texts.say(told.key, **told.values)
        assert said and "{" not in said
        if not isinstance(read, When):
            assert all(label(choice, read, now, texts) for choice in read.choices)


@pytest.mark.parametrize(
    ("now", "text", "english", "chinese"),
    [
        (
            "2026-10-31T12:00",
            "sunday 1:15",
            "Which time: Tomorrow 01:15 EDT, Tomorrow 01:15 EST or Tomorrow 13:15?",
            "是明天 01:15 EDT，明天 01:15 EST，还是明天 13:15？",
        ),
        (
            "2026-03-07T12:00",
            "tomorrow 2:30am PST",
            "02:30 (Los Angeles) doesn't exist on Sun 8 Mar (clocks move forward). 05:30 or 06:30?",
            "3月8日(周日)没有 02:30（洛杉矶），因为时钟会拨快。改为05:30，还是06:30？",
        ),
    ],
)
def test_whose_clock_changes_is_said(now: str, text: str, english: str, chinese: str) -> None:
    zone = ZoneInfo("America/New_York")
    at = datetime.fromisoformat(now).replace(tzinfo=zone)
    read = read_when(text, now=at, zone=zone)
    for texts, said in ((EN, english), (ZH, chinese)):
        told = sentence(read, at, texts)
        assert texts.say(told.key, **told.values) == said

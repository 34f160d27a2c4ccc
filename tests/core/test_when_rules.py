"""What holds of every reading of a time, whatever the text."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.texts import Texts
from bot.core.when import GRACE, HORIZON, Ask, Reading, Refused, When, read_anywhere, read_when, split_later
from bot.core.when.spelling import plain
from bot.core.when.words import label, sentence

ROOT = Path(__file__).parents[2]
EN, ZH = Texts.load(), Texts.load("zh")
NAMES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Asia/Kathmandu", "Australia/Lord_Howe"]
zones = st.sampled_from([ZoneInfo(name) for name in [*NAMES, "Africa/Cairo", "Pacific/Apia", "America/St_Johns"]])
nows = st.datetimes(datetime(2024, 1, 1), datetime(2035, 12, 31), timezones=st.just(UTC))
WORDS = (Path(__file__).parent / "fixtures" / "when_words.txt").read_text("utf-8").split()
jumbles = st.lists(st.sampled_from(WORDS), max_size=7).flatmap(
    lambda words: st.sampled_from([" ".join(words), "".join(words)])
)
texts = st.one_of(st.text(max_size=60), jumbles)


@given(texts, nows, zones)
@example("9" * 400, datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("UTC"))
@example("in " + "1 day " * 60, datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("UTC"))
@example("明天" * 300, datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("UTC"))
@example("0000-00-00", datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("UTC"))
@example("9999-12-31T24:00", datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("Pacific/Apia"))
@example("0001-01-01T00:00:00+14:00", datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("Pacific/Apia"))
def test_every_text_has_an_answer_that_is_ahead_and_within_the_horizon(
    text: str, now: datetime, zone: ZoneInfo
) -> None:
    read = read_when(text, now=now, zone=zone)
    ahead = [read.at] if isinstance(read, When) else [choice.at for choice in read.choices]
    assert all(at.tzinfo is UTC for at in ahead)
    assert all(now - GRACE <= at <= now + HORIZON for at in ahead) or isinstance(read, Refused)
    assert not isinstance(read, When) or read.at >= now
    assert not isinstance(read, Ask) or 1 <= len(read.choices) <= 4
    assert ahead == sorted(ahead)


@given(texts, nows, zones)
def test_every_answer_can_be_said(text: str, now: datetime, zone: ZoneInfo) -> None:
    read = read_when(text, now=now, zone=zone)
    for spoken in (EN, ZH):
        told = sentence(read, now, spoken)
        assert spoken.say(told.key, **told.values)
        if not isinstance(read, When):
            assert all(label(choice, read, now, spoken) for choice in read.choices)


@given(texts, texts, nows, zones)
def test_a_text_behind_a_time_is_a_piece_of_what_was_written(
    time: str, text: str, now: datetime, zone: ZoneInfo
) -> None:
    written = f"{time} {text}"
    read, rest = split_later(written, now=now, zone=zone)
    assert written.endswith(rest) or written.strip().endswith(rest.strip())
    if isinstance(read, When | Ask) and rest:
        assert read.used in written
        assert len(rest) < len(written)


@given(
    nows,
    st.timedeltas(timedelta(seconds=1), HORIZON),
    st.integers(-14 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters))),
    zones,
)
def test_iso_instants_come_back_as_they_are(now: datetime, ahead: timedelta, offset: timezone, zone: ZoneInfo) -> None:
    at = now + ahead
    for written in (at.isoformat(), at.astimezone(offset).isoformat(), at.isoformat().replace("+00:00", "Z")):
        assert read_when(written, now=now, zone=zone) == When(at, zone, read_when(written, now=now, zone=zone).used)


@given(nows, st.timedeltas(timedelta(seconds=1), HORIZON), zones)
def test_epochs_come_back_in_seconds_and_milliseconds(now: datetime, ahead: timedelta, zone: ZoneInfo) -> None:
    at = (now + ahead).replace(microsecond=0)
    for written in (str(int(at.timestamp())), str(int(at.timestamp()) * 1000)):
        read = read_when(written, now=now, zone=zone)
        assert isinstance(read, When)
        assert read.at == max(at, now)


@given(nows, st.integers(1, 8000), zones)
def test_hours_elapse(now: datetime, hours: int, zone: ZoneInfo) -> None:
    for text in (f"in {hours} hours", f"{hours}小时后", f"{hours * 60} min from now"):
        read = read_when(text, now=now, zone=zone)
        assert isinstance(read, When)
        assert read.at == now + timedelta(hours=hours)


@given(nows, st.integers(1, 360), zones)
def test_days_keep_the_clock_on_the_wall_or_ask(now: datetime, days: int, zone: ZoneInfo) -> None:
    local = now.astimezone(zone)
    for text in (f"in {days} days", f"{days}天后"):
        read = read_when(text, now=now, zone=zone)
        if isinstance(read, When):
            assert read.at.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None) + timedelta(days=days)
        else:
            assert read.key in ("when.gap", "when.twice")


@given(nows, st.integers(0, 23), st.integers(0, 59), zones)
def test_a_clock_time_is_the_next_one(now: datetime, hour: int, minute: int, zone: ZoneInfo) -> None:
    read = read_when(f"{hour:02}:{minute:02}", now=now, zone=zone)
    if isinstance(read, When) and read.at > now:
        here = read.at.astimezone(zone)
        assert (here.hour, here.minute) == (hour, minute)
        assert read.at - now <= timedelta(hours=26)
    else:
        assert isinstance(read, When) or read.key in ("when.gap", "when.twice")


@given(st.text())
def test_one_spelling_is_as_long_as_the_text(text: str) -> None:
    assert len(plain(text)) == len(text)


READ = """
from datetime import UTC, datetime
from bot.core.when import read_when
now = datetime(2026, 3, 6, 20, 30, tzinfo=UTC)
for text in ("tomorrow 9am", "sunday 2:30am", "in 3 days", "2026-11-01 01:30", "明天下午3点半", "2026-03-10 14:00"):
    print(read_when(text, now=now, zone="America/New_York"))
"""


def test_the_process_s_own_zone_plays_no_part() -> None:
    def told(zone: str) -> str:
        env = {"PATH": os.environ["PATH"], "TZ": zone, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, "-c", READ], env=env, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    assert told("Asia/Tokyo") == told("America/Los_Angeles") == told("UTC")
    assert "datetime.datetime(2026, 3, 7, 14, 0" in told("UTC")


@pytest.mark.parametrize(
    "text",
    [
        "1 " * 5000,
        "a week from " * 3000,
        "三" * 20000,
        "9:" * 9000,
        "½" * 9000,
        "(" * 9000,
        "tomorrow" + " " * 9000 + "x",
    ],
)
def test_long_texts_are_refused_and_not_pondered(text: str) -> None:
    read = read_when(text, now=datetime(2026, 3, 6, tzinfo=UTC), zone="UTC")
    assert isinstance(read, Refused)
    assert len(read.used) <= 40


def test_without_a_zone_only_what_is_the_same_everywhere_is_read() -> None:
    """Days are wall clock, so "in 3 days" differs where the clocks change in between; hours are elapsed."""
    before_the_change = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)

    def read(text: str, now: datetime) -> Reading | None:
        return read_anywhere(lambda zone: read_when(text, now=now, zone=zone))

    hours = read("in 72 hours", before_the_change)
    assert isinstance(hours, When) and hours.at == before_the_change + timedelta(hours=72)
    assert read("in 3 days", before_the_change) is None
    assert read("tomorrow 9am", before_the_change) is None
    assert isinstance(read("soon", before_the_change), Refused)

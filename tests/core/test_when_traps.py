"""Times that are easily taken for other ones: what is not surely one instant must not be answered as one."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bot.core.when import Refused, When, read_when, split_later

NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 3, 6, 15, 30, tzinfo=NEW_YORK)
"""A Friday."""

SEVERAL = """
tomorrow 09:00-10:00
09:30-11:45
周一 9:00-12:00
monday 13:00-14:00
22:00-02:00
两三天
过两三天
再过两三个小时
一两天后
一两个小时后
一两个月后
2h and 3h
in 1 hour and 2 hours
10min, 20min
一天两天后
2 days a week
2 hours a day
30 minutes a day
"""


@pytest.mark.parametrize("text", SEVERAL.strip().splitlines())
def test_several_times_are_not_one(text: str) -> None:
    read = read_when(text, now=NOW, zone=NEW_YORK)
    assert isinstance(read, Refused)
    assert read.key == "when.one_time"


UNCLEAR = """
明天两三点
下午一两点
一二号
the first friday
the second saturday
半夜
明天半夜
深夜
in a mo
monday in two weeks check
in two weeks on monday check
in 1 hour 30 check
in an hour and a quarter check
15 minutes to midnight check
2 hours past noon check
tomorrow late afternoon check
tomorrow by eod check
今天晚些时候检查
march 10 to 12 vacation
march 10 through 12 vacation
monday 9-5 training
tomorrow 9-10 sync
明天9-11点开会
monday, tuesday check
周一、周二开会
3月10日、11日开会
tomorrow 1430 check
the first friday of april check
明天两三点开会
"""


@pytest.mark.parametrize("text", UNCLEAR.strip().splitlines())
def test_half_understood_is_not_answered(text: str) -> None:
    read, _ = split_later(text, now=NOW, zone=NEW_YORK)
    assert isinstance(read, Refused)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("09:00-05:00", "03-07T09:00"),
        ("in 1,440 minutes", "03-07T15:30"),
        ("in 1,000 seconds", "03-06T15:46"),
        ("in 1,5 hours", "03-06T17:00"),
        ("1h, 30m", "03-06T17:00"),
        ("两天后", "03-08T15:30"),
        ("二零二六年三月十日", "03-10T09:00"),
        ("周二半夜12点", "03-11T00:00"),
        ("周一凌晨一点", "03-09T01:00"),
        ("this time next week", "03-13T15:30"),
        ("same time next month", "04-06T15:30"),
        ("下周这个时候", "03-13T15:30"),
        ("12/31 at 5pm", "12-31T17:00"),
        ("3/13 at noon", "03-13T12:00"),
        ("3/13 afternoon", "03-13T14:00"),
        ("2026-03-10下午3点", "03-10T15:00"),
        ("3/13下午2点", "03-13T14:00"),
        ("march 10 9 in the morning", "03-10T09:00"),
        ("in 2 days 8 in the morning", "03-08T08:00"),
        ("tomorrow 14:00Z", "03-07T09:00"),
        ("march twenty-first", "03-21T09:00"),
        ("march 10,2026", "03-10T09:00"),
        ("monday 9am Beijing time", "03-08T21:00"),
        ("monday 9am UK time", "03-09T05:00"),
    ],
)
def test_what_looks_odd_is_read_all_the_same(text: str, at: str) -> None:
    read = read_when(text, now=NOW, zone=NEW_YORK)
    assert isinstance(read, When)
    assert f"{read.at.astimezone(NEW_YORK):%m-%dT%H:%M}" == at

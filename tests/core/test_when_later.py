"""`later WHEN TEXT`: the longest time at the start, and the text behind it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bot.core.texts import Texts
from bot.core.when import Ask, Refused, When, read_when, split_later
from bot.core.when.words import label, sentence

NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 10, 29, 16, 45, tzinfo=NEW_YORK)
EN, ZH = Texts.load(), Texts.load("zh")


@pytest.mark.parametrize(
    ("written", "at", "text"),
    [
        ("tomorrow 9am check the deploy", "10-30T09:00", "check the deploy"),
        ("in 90 min: is it green?", "10-29T18:15", "is it green?"),
        ("2h", "10-29T18:45", ""),
        ("saturday, look at the logs", "10-31T09:00", "look at the logs"),
        ("saturday – look at the logs", "10-31T09:00", "look at the logs"),
        ("on saturday the logs", "10-31T09:00", "the logs"),
        ("saturday morning standup notes", "10-31T09:00", "standup notes"),
        ("tomorrow at the office", "10-30T09:00", "at the office"),
        ("tomorrow second review", "10-30T09:00", "second review"),
        ("tomorrow may release", "10-30T09:00", "may release"),
        ("tomorrow 9 tests fail", "10-30T09:00", "9 tests fail"),
        ("tomorrow at 9 tests fail", "10-30T09:00", "tests fail"),
        ("tomorrow 2 hours of load", "10-30T09:00", "2 hours of load"),
        ("tomorrow 3d printing", "10-30T09:00", "3d printing"),
        ("2h monday report", "10-29T18:45", "monday report"),
        ("tomorrow et cetera", "10-30T09:00", "et cetera"),
        ("明天8pm开会", "10-30T20:00", "开会"),
        ("周一9am开会", "11-02T09:00", "开会"),
        ("2026-11-03T14:00Z检查", "11-03T09:00", "检查"),
        ("明天上午9点UTC检查", "10-30T05:00", "检查"),
        ("明天早上检查一下", "10-30T09:00", "检查一下"),
        ("tomorrow west wing", "10-30T09:00", "west wing"),
        ("tomorrow 9am wet lab", "10-30T09:00", "wet lab"),
        ("1793800000 check", "11-04T08:46", "check"),
        ("<t:1793800000:R> check", "11-04T08:46", "check"),
        ("monday 9am 1:1 with bo", "11-02T09:00", "1:1 with bo"),
        ("tomorrow 9am 15 tests fail", "10-30T09:00", "15 tests fail"),
        ("tomorrow check in 2 places", "10-30T09:00", "check in 2 places"),
        ("tomorrow 9am et call bo", "10-30T09:00", "call bo"),
        ("tomorrow 9am UTC call bo", "10-30T05:00", "call bo"),
        ("2026-11-03 14:00 ship 5 things", "11-03T14:00", "ship 5 things"),
        ("2026-11-03T14:00:00Z ship", "11-03T09:00", "ship"),
        ("Nov 3 ship", "11-03T09:00", "ship"),
        ("TOMORROW 9AM Ship It", "10-30T09:00", "Ship It"),
        ("明天上午9点检查部署", "10-30T09:00", "检查部署"),
        ("明天下午三点半 看一下CI", "10-30T15:30", "看一下CI"),
        ("两小时后，检查部署", "10-29T18:45", "检查部署"),
        ("明天检查部署", "10-30T09:00", "检查部署"),
    ],
)
def test_the_longest_time_and_the_rest(written: str, at: str, text: str) -> None:
    read, rest = split_later(written, now=NOW, zone=NEW_YORK)
    assert isinstance(read, When)
    assert read.at.astimezone(NEW_YORK).strftime("%m-%dT%H:%M") == at
    assert rest == text


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("check the deploy", "unclear"),
        ("soon check the deploy", "unclear"),
        ("tomorow 9am check", "unclear"),
        ("morning standup notes", "unclear"),
        ("may release", "unclear"),
        ("an hour of load is too much", "unclear"),
        ("friday's report", "unclear"),
        ("tomorrow 9ma check", "unclear"),
        ("tomorrow 9am 10am check", "unclear"),
        ("tomorrow before 9am check", "unclear"),
        ("tomorrow after the deploy check", "unclear"),
        ("明天前检查", "unclear"),
        ("明天晚点检查", "unclear"),
        ("tomorrow 25:00 check", "no_such_time"),
        ("feb 30 check", "no_such_date"),
        ("today at 9am check", "past"),
        ("yesterday check", "past_only"),
        ("in 2 years check", "too_far"),
        ("every monday check", "one_time"),
        ("monday to friday check", "one_time"),
        ("tomorrow or friday check", "one_time"),
        ("tomorrow 9am - 11am check", "one_time"),
        ("in a day or two check", "one_time"),
        ("每天九点检查", "one_time"),
        ("两三天后检查", "one_time"),
        ("", "empty"),
    ],
)
def test_no_guess_is_made(written: str, key: str) -> None:
    read, _ = split_later(written, now=NOW, zone=NEW_YORK)
    assert isinstance(read, Refused)
    assert read.key == f"when.{key}"


def test_a_question_keeps_the_text() -> None:
    read, rest = split_later("sunday 1:30am check the deploy", now=NOW, zone=NEW_YORK)
    assert isinstance(read, Ask)
    assert rest == "check the deploy"
    assert [label(choice, read, NOW, EN) for choice in read.choices] == ["Sun 1 Nov 01:30 EDT", "Sun 1 Nov 01:30 EST"]


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        (
            "saturday 9am",
            "Sat 31 Oct 09:00 (New York, in 1 d 16 h).",
            "10月31日(周六) 09:00（纽约，1 天 16 小时后）。",
        ),
        (
            "12 jan",
            "Tue 12 Jan 2027 09:00 (New York, in 74 d 17 h).",
            "2027年1月12日(周二) 09:00（纽约，74 天 17 小时后）。",
        ),
        ("now", "Thu 29 Oct 16:45 (New York, now).", "10月29日(周四) 16:45（纽约，现在）。"),
        ("today at 9am", "Today 09:00 has passed. Tomorrow 09:00?", "今天 09:00 已经过去。改为明天 09:00？"),
        (
            "2026-11-01 01:30",
            "01:30 happens twice that night. First (EDT) or second (EST)?",
            "那天夜里 01:30 会出现两次。第一次（EDT）还是第二次（EST）？",
        ),
        (
            "2027-03-14 02:30",
            "02:30 doesn't exist on Sun 14 Mar 2027 (clocks move forward). 01:30 or 03:30?",
            "2027年3月14日(周日)没有 02:30，因为时钟会拨快。改为01:30，还是03:30？",
        ),
        ("3/10", "3/10: 10 Mar or 3 Oct?", "3/10 是3月10日，还是10月3日？"),
        ("tomorrow at 5", "Which time: Tomorrow 05:00 or Tomorrow 17:00?", "是明天 05:00，还是明天 17:00？"),
        ("every day", "I can only set one time.", "我只能设置一个时间。"),
        ("in 400 days", "That is more than 366 days away.", "那是 366 天以后了，太远。"),
    ],
)
def test_what_is_said(text: str, english: str, chinese: str) -> None:
    read = read_when(text, now=NOW, zone=NEW_YORK)
    for texts, said in ((EN, english), (ZH, chinese)):
        told = sentence(read, NOW, texts)
        assert texts.say(told.key, **told.values) == said


def test_an_unreadable_time_is_quoted_short() -> None:
    read = read_when("whenever you feel like it, but not before the release is out", now=NOW, zone=NEW_YORK)
    told = sentence(read, NOW, EN)
    assert EN.say(told.key, **told.values).startswith(
        "I couldn't read a time in “whenever you feel like it, but not befo…”."
    )

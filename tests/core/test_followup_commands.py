"""The grammar of follow-ups: at the doors of code tasks, and at their own. Tables, then properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.commands import (
    OFFERED,
    BadFlag,
    CancelTask,
    ChangeFollowUp,
    Command,
    DeleteFollowUp,
    Empty,
    FileTask,
    FollowUpOptions,
    Help,
    ListFollowUps,
    LogsOf,
    NearMiss,
    Parsed,
    RetryTask,
    RunNow,
    Send,
    SetFollowUp,
    Setting,
    ShowTask,
    StatusOf,
    Stop,
    TaskId,
    ThisThread,
    parse,
    parse_follow_up,
    render,
)
from bot.core.followup_commands import reads_as_time
from bot.core.verbs import FOLLOW_UP_FILTERS, FOLLOW_UP_FLAGS, FOLLOW_UP_VERBS, SHOWN_FOLLOW_UP_FILTERS, VERBS

assert reads_as_time("tomorrow 9am UTC"), "zones are loaded here, so that no example below pays for it"
FU7, CT7, HERE = TaskId("FU", 7), TaskId("CT", 7), ThisThread()


def read(text: str, *, in_task_thread: bool = False) -> Parsed:
    return parse(text, door="mention", in_task_thread=in_task_thread)


AT_EVERY_DOOR = [
    ("later tomorrow 9am check the deploy", SetFollowUp("tomorrow 9am check the deploy")),
    ("later in 2h", SetFollowUp("in 2h")),
    ("Later: in 2h look", SetFollowUp("in 2h look")),
    ("later", SetFollowUp("")),
    ("later soon check the deploy", SetFollowUp("soon check the deploy")),
    ("later every monday 9am check", SetFollowUp("every monday 9am check")),
    ("later 2020-01-01 check", SetFollowUp("2020-01-01 check")),
    ("稍后 明天 检查", SetFollowUp("明天 检查")),
    ("稍后明天上午9点检查部署", SetFollowUp("明天上午9点检查部署")),
    ("请稍后 两小时 检查部署", SetFollowUp("两小时 检查部署")),
    ("followups", ListFollowUps()),
    ("followups all", ListFollowUps("all")),
    ("跟进", ListFollowUps()),
    ("跟进 全部", ListFollowUps("all")),
    ("stop", Stop(HERE)),
    ("Stop.", Stop(HERE)),
    ("stop FU-7", Stop(FU7)),
    ("停止fu7", Stop(FU7)),
    ("show FU-7", ShowTask(FU7)),
    ("status fu7", StatusOf(FU7)),
    ("logs FU-7#2", LogsOf(FU7, 2)),
    ("cancel FU-7 please", CancelTask(FU7)),
    ("取消FU-7", CancelTask(FU7)),
    ("retry FU-7", RetryTask(FU7)),
    ("run FU-7", RunNow(FU7)),
    ("run 7", RunNow(FU7)),
    ("run", RunNow(HERE)),
    ("运行 FU-7", RunNow(FU7)),
    ("change FU-7 tomorrow 9am", ChangeFollowUp(FU7, "tomorrow 9am")),
    ("change FU-7 soon", ChangeFollowUp(FU7, "soon")),
    ("change FU-7", ChangeFollowUp(FU7, "")),
    ("change 7 tomorrow 9am", ChangeFollowUp(FU7, "tomorrow 9am")),
    ("change tomorrow 9am", ChangeFollowUp(HERE, "tomorrow 9am")),
    ("修改 FU-7 明天上午9点", ChangeFollowUp(FU7, "明天上午9点")),
    ("delete FU-7", DeleteFollowUp(FU7)),
    ("删除FU-7", DeleteFollowUp(FU7)),
    ("settings", Setting()),
    ("settings tz", Setting("tz")),
    ("settings tz Europe/Berlin", Setting("tz", "Europe/Berlin")),
    ("settings tz New York", Setting("tz", "New York")),
    ("settings timezone UTC+2", Setting("timezone", "UTC+2")),
    ("设置 时区 上海", Setting("tz", "上海")),
    ("设置 频道时区 上海", Setting("timezone", "上海")),
]


@pytest.mark.parametrize(("text", "expected"), AT_EVERY_DOOR, ids=[text for text, _ in AT_EVERY_DOOR])
def test_what_follow_ups_add_to_the_grammar(text: str, expected: Command) -> None:
    assert read(text) == expected
    assert parse_follow_up(text) == expected


REQUESTS = [
    "later versions of Safari break the menu",
    "later 3 people complained about the menu",
    "later on the page breaks on iOS",
    "稍后下拉菜单会自己消失",
    "请稍后再试的提示不对",
    "run the tests twice on Windows",
    "run migrations at start-up",
    "运行测试时崩溃",
    "change 3 labels in the footer to blue",
    "change the menu tomorrow",
    "修改登录页的标题",
    "stop the spinner after an error",
    "delete button does nothing on iOS",
    "删除按钮点了没有反应",
    "followups page shows the wrong dates",
    "settings timezone dropdown is empty on iOS",
    "check the deploy tomorrow at 9am",
    "remind me tomorrow to check the deploy",
]


@pytest.mark.parametrize("text", REQUESTS)
def test_a_request_is_never_searched_for_a_time(text: str) -> None:
    assert read(text) == FileTask(text)


OPTIONS = [
    ("--remind tomorrow check", FollowUpOptions(remind=True)),
    ("tomorrow check --remind", FollowUpOptions(remind=True)),
    ("—remind tomorrow check", FollowUpOptions(remind=True)),
    ("--agent codex tomorrow check", FollowUpOptions(agent="codex")),
    ("agent=codex tomorrow check", FollowUpOptions(agent="codex")),
    ("tomorrow check --if-missed run --if-busy=skip", FollowUpOptions(if_missed="run", if_busy="skip")),
    ('--title "Look again" tomorrow check', FollowUpOptions(title="Look again")),
    ("tomorrow check --title “Look again”", FollowUpOptions(title="Look again")),
    ("--提醒 tomorrow check", FollowUpOptions(remind=True)),
    ("tomorrow check --智能体 codex", FollowUpOptions(agent="codex")),
    ("--错过 运行 --忙时 跳过 --标题 看一下 tomorrow check", FollowUpOptions(None, False, "run", "skip", "看一下")),
]


@pytest.mark.parametrize(("text", "options"), OPTIONS, ids=[text for text, _ in OPTIONS])
def test_options_stand_before_the_time_and_at_the_end(text: str, options: FollowUpOptions) -> None:
    assert parse_follow_up(text) == SetFollowUp("tomorrow check", options)
    assert read(f"later {text}") == SetFollowUp("tomorrow check", options)


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("--foo tomorrow check", "foo", "unknown"),
        ("--repo web tomorrow check", "repo", "unknown"),
        ("--agent", "agent", "missing"),
        ("--if-missed later tomorrow check", "if-missed", "value"),
        ("tomorrow check --if-busy wait", "if-busy", "value"),
        ("--remind tomorrow check --remind", "remind", "twice"),
    ],
)
def test_an_option_that_cannot_be_read_sets_nothing(text: str, name: str, why: str) -> None:
    for answer in (parse_follow_up(text), read(f"later {text}")):
        assert isinstance(answer, BadFlag)
        assert (answer.name, answer.why, answer.of) == (name, why, "follow_up")


AT_ITS_OWN_DOOR = [
    ("", Empty()),
    ("/followup", Empty()),
    ("/followup in 5 min look", SetFollowUp("in 5 min look")),
    ("／followup　in 5 min look", SetFollowUp("in 5 min look")),
    ("tomorrow 9am check the deploy", SetFollowUp("tomorrow 9am check the deploy")),
    ("soon check", SetFollowUp("soon check")),
    ("check the deploy tomorrow", SetFollowUp("check the deploy tomorrow")),
    ("sun 7pm look", SetFollowUp("sun 7pm look")),
    ("明天上午9点检查部署", SetFollowUp("明天上午9点检查部署")),
    ("list", ListFollowUps()),
    ("list pending", ListFollowUps("pending")),
    ("列表 失败", ListFollowUps("failed")),
    ("列表：待执行", ListFollowUps("pending")),
    ("show 7", ShowTask(FU7)),
    ("show #7", ShowTask(FU7)),
    ("show CT-7", ShowTask(CT7)),
    ("show", ShowTask(HERE)),
    ("cancel 7", CancelTask(FU7)),
    ("取消7", CancelTask(FU7)),
    ("stop 7", Stop(FU7)),
    ("retry 7", RetryTask(FU7)),
    ("change 7 soon", ChangeFollowUp(FU7, "soon")),
    ("delete 7", DeleteFollowUp(FU7)),
    ("rm 7", DeleteFollowUp(FU7)),
    ("help", Help()),
    ("send 7 look again", Send(FU7, "look again")),
]


@pytest.mark.parametrize(("text", "expected"), AT_ITS_OWN_DOOR, ids=[text for text, _ in AT_ITS_OWN_DOOR])
def test_at_its_own_door_a_number_is_a_follow_up(text: str, expected: Parsed) -> None:
    assert parse_follow_up(text) == expected


def test_near_misses() -> None:
    assert parse_follow_up("cancle 7") == NearMiss("cancel FU-7", CancelTask(FU7), "cancle 7")
    assert parse_follow_up("取肖7") == NearMiss("cancel FU-7", CancelTask(FU7), "取肖7")
    assert read("cancle FU-7") == NearMiss("cancel FU-7", CancelTask(FU7), "cancle FU-7")
    assert read("chnage FU-7 tomorrow") == NearMiss(
        "change FU-7 tomorrow", ChangeFollowUp(FU7, "tomorrow"), "chnage FU-7 tomorrow"
    )
    wish = SetFollowUp("tomorrow 9am look")
    assert read("latre tomorrow 9am look") == NearMiss("later tomorrow 9am look", wish, "latre tomorrow 9am look")


def test_the_tables_agree() -> None:
    known = {verb.name for verb in VERBS}
    assert set(FOLLOW_UP_VERBS) <= known
    assert {"later", "followups", "stop", "run", "change", "settings"} <= OFFERED
    assert set(SHOWN_FOLLOW_UP_FILTERS["zh"]) == set(FOLLOW_UP_FILTERS.values())
    assert all(flag.offered and flag.chinese for flag in FOLLOW_UP_FLAGS)


WORDS = st.sampled_from(
    [word for verb in VERBS for word in (verb.name, *verb.aliases, *verb.chinese)]
    + ["--remind", "--title", '"x y"', "--if-missed", "run", "7", "FU-7", "CT-7", "#7", "FU-7#2", "in 2h", "tomorrow"]
    + [
        "9am",
        "明天",
        "上午9点",
        "soon",
        "tz",
        "UTC",
        "timezone",
        "with",
        "—",
        "=",
        "“",
        "\n",
        "all",
        "失败",
        "/followup",
    ]
)
TEXTS = st.one_of(
    st.text(alphabet=st.characters(codec=None)), st.lists(st.one_of(WORDS, st.text(max_size=6))).map(" ".join)
)


@given(TEXTS)
def test_parsing_never_raises_and_never_files(text: str) -> None:
    assert not isinstance(parse_follow_up(text), FileTask)


@given(TEXTS, st.sampled_from(["en", "zh"]))
def test_what_was_parsed_renders_to_text_that_parses_the_same(text: str, language: str) -> None:
    parsed = parse_follow_up(text)
    parsed = parsed.meant if isinstance(parsed, NearMiss) else parsed
    unread = isinstance(parsed, SetFollowUp) and not reads_as_time(parsed.text)
    if isinstance(parsed, Command) and not unread and not isinstance(parsed, ListFollowUps):
        assert parse_follow_up(render(parsed, language)) == parsed


@pytest.mark.parametrize(
    ("text", "time", "what", "remind"),
    [
        ("2h --remind stretch", "2h", "stretch", True),
        ("tomorrow 9am --remind look at --all of it", "tomorrow 9am", "look at --all of it", True),
        ("2h stretch --remind", "2h stretch", None, True),
        ("2h -- --remind stretch", "2h -- --remind stretch", None, False),
        ("in 2h - check", "in 2h - check", None, False),
    ],
)
def test_options_between_time_and_text_are_read(text: str, time: str, what: str | None, remind: bool) -> None:
    wish = parse_follow_up(text)
    assert isinstance(wish, SetFollowUp)
    assert (wish.text, wish.what, wish.options.remind) == (time, what, remind)


def test_an_unknown_option_between_them_is_said() -> None:
    assert isinstance(parse_follow_up("2h --loud stretch"), BadFlag)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("followup tomorrow 9am check the deploy", SetFollowUp("tomorrow 9am check the deploy")),
        ("/followup tomorrow 9am check the deploy", SetFollowUp("tomorrow 9am check the deploy")),
        ("/followup soon check it", SetFollowUp("soon check it")),
        ("followup list", ListFollowUps()),
        ("followup cancel 7", CancelTask(FU7)),
        ("followup emails are not sent to users", FileTask("followup emails are not sent to users")),
    ],
)
def test_the_other_door_is_heard_behind_a_mention(text: str, meant: Parsed) -> None:
    """Where a platform has no slash commands people write it all the same."""
    assert parse(text, door="mention", in_task_thread=False) == meant

"""The grammar of chat commands: tables, then properties over arbitrary text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.commands import (
    FILTERS,
    FLAGS,
    OFFERED,
    VERBS,
    Accepted,
    BadFlag,
    CancelTask,
    Command,
    Empty,
    FileTask,
    Help,
    ListTasks,
    LogsOf,
    NearMiss,
    NotYet,
    Options,
    Parsed,
    RetryTask,
    Send,
    ShowTask,
    StatusOf,
    TaskId,
    TaskName,
    TaskWord,
    ThisThread,
    TooLong,
    TooShort,
    WhoAmI,
    check_description,
    normalise,
    parse,
    read_target,
    render,
)
from bot.core.followup_commands import reads_as_time
from bot.core.tasks import Priority, Stage

assert reads_as_time("tomorrow 9am UTC"), "zones are loaded here, so that no example below pays for it"
ALL_VERBS = frozenset(verb.name for verb in VERBS)
CT42 = TaskId("CT", 42)


def read(text: str, *, in_task_thread: bool = False, everything: bool = False) -> Parsed:
    offered = ALL_VERBS if everything else OFFERED
    return parse(text, door="mention", in_task_thread=in_task_thread, offered=offered)


COMMANDS = [
    ("help", Help()),
    ("?", Help()),
    ("Help!", Help()),
    ("--help", Help()),
    ("help cancel", Help("cancel")),
    ("help 取消", Help("cancel")),
    ("帮助", Help()),
    ("list", ListTasks()),
    ("LIST", ListTasks()),
    ("ls", ListTasks()),
    ("列表", ListTasks()),
    ("list mine", ListTasks("mine")),
    ("list all", ListTasks("all")),
    ("list --all", ListTasks("all")),
    ("list failed", ListTasks("failed")),
    ("list canceled", ListTasks("cancelled")),
    ("列表 失败", ListTasks("failed")),
    ("show 42", ShowTask(CT42)),
    ("show #42", ShowTask(CT42)),
    ("show ＃42", ShowTask(CT42)),
    ("show ４２", ShowTask(CT42)),
    ("show CT-42", ShowTask(CT42)),
    ("show ct42.", ShowTask(CT42)),
    ("show: 42", ShowTask(CT42)),
    ("get 42", ShowTask(CT42)),
    ("查看 CT-42", ShowTask(CT42)),
    ("查看CT-42", ShowTask(CT42)),
    ("show add-csv-export", ShowTask(TaskName("add-csv-export"))),
    ("show ana/add-csv-export", ShowTask(TaskName("ana/add-csv-export"))),
    ("show 123e4567-e89b-12d3-a456-426614174000", ShowTask(TaskName("123e4567-e89b-12d3-a456-426614174000"))),
    ("show", ShowTask(ThisThread())),
    ("cancel 42", CancelTask(CT42)),
    ("cancel 42 please", CancelTask(CT42)),
    ("Cancel\u200b 42", CancelTask(CT42)),
    ("取消42", CancelTask(CT42)),
    ("取消", CancelTask(ThisThread())),
    ("status 42", StatusOf(CT42)),
    ("状态 42", StatusOf(CT42)),
    ("logs 42", LogsOf(CT42)),
    ("log CT-42#2", LogsOf(CT42, 2)),
    ("retry 42", RetryTask(CT42)),
    ("retry", RetryTask(ThisThread())),
    ("retry 42 with tabs, not  spaces", RetryTask(CT42, "tabs, not  spaces")),
    ("retry CT-42 with\nline one\nline two", RetryTask(CT42, "line one\nline two")),
    ("show CT-99999999999", ShowTask(TaskName("ct-99999999999"))),
    ("cancel FU-99999999999", CancelTask(TaskName("fu-99999999999"))),
    ("retry fix-login with tabs", RetryTask(TaskName("fix-login"), "tabs")),
    ("重试 42 附言 换成制表符", RetryTask(CT42, "换成制表符")),
    ("whoami", WhoAmI()),
    ("我是谁", WhoAmI()),
    ("列表失败", ListTasks("failed")),
    ("列出 全部", ListTasks("all")),
    ("列表：已取消", ListTasks("cancelled")),
    ("帮助取消", Help("cancel")),
    ("显示 42", ShowTask(CT42)),
    ("查看：42", ShowTask(CT42)),
    ("show：42", ShowTask(CT42)),
    ("show，42", ShowTask(CT42)),
    ("查看＃42。", ShowTask(CT42)),
    ("查看　４２", ShowTask(CT42)),
    ("查看ＣＴ－42", ShowTask(CT42)),
    ("请取消42", CancelTask(CT42)),
    ("请 取消 42 谢谢", CancelTask(CT42)),
    ("取消42吧。", CancelTask(CT42)),
    ("日志42", LogsOf(CT42)),
    ("取消编码任务42", CancelTask(CT42)),
    ("查看编码任务CT-42", ShowTask(CT42)),
    ("日志 CT-42#2", LogsOf(CT42, 2)),
    ("进度42", StatusOf(CT42)),
    ("重试42附言换成制表符", RetryTask(CT42, "换成制表符")),
    ("重试 42 附言：换成制表符，不要空格", RetryTask(CT42, "换成制表符，不要空格")),
    ("／codetask　列表", ListTasks()),
    ("＠codetask，查看42", ShowTask(CT42)),
    ("/codetask list", ListTasks()),
    ("！codetask：列表", ListTasks()),
    ("@codetask show 42", ShowTask(CT42)),
]


@pytest.mark.parametrize(("text", "expected"), COMMANDS, ids=[text for text, _ in COMMANDS])
def test_a_verb_whose_rest_fits_is_a_command(text: str, expected: Command) -> None:
    assert read(text) == expected


PROSE = [
    "cancel button does nothing on iOS",
    "show 404 page when the path is unknown",
    "status: 500 error on login",
    "list items wrap badly on small screens",
    "help users reset their password",
    "retry with backoff in the uploader",
    "retry 3 times with backoff when the upload fails",
    "logs fill the disk in a day",
    "whoami endpoint returns 500",
    "send emails on signup",
    "stop the spinner after an error",
    "top bar overlaps the menu",
    "later versions of Safari break the menu",
    "settings page crashes on save",
    "edit form loses its text",
    "取消按钮在 iOS 上没有反应",
    "查看404页面时浏览器崩溃",
    "显示器分辨率很低时菜单重叠",
    "列表显示错乱，请修复",
    "请查看登录页为什么打不开",
    "重试按钮点了没有反应",
    "重试3次之后应当停止上传",
    "状态栏的颜色不对",
    "日志：每天写满磁盘",
    "设置页面保存时崩溃",
    "发送邮件给新注册的用户",
    "停止旋转动画的按钮失灵",
    "编辑表单会丢失文字",
    "热门榜单的排序不对",
    "已合并的订单还显示在列表里",
    "稍后下拉菜单会自己消失",
    "名称：登录页的标题写错了",
    "时间：显示成了昨天的日期",
    "请修复登录后的跳转问题",
    "取消编码任务之后按钮仍然可以点",
    "任务列表显示错误的日期",
    "fix --bar in the docs",
    "the option repo:web is ignored",
    "https://example.org/a?b=c returns 404",
    "- fix the login\n- then the logout",
    "—— 修复登录重定向",
]


@pytest.mark.parametrize("text", PROSE)
def test_a_verb_whose_rest_does_not_fit_is_a_request(text: str) -> None:
    expected = text.removeprefix("—— ")
    assert read(text) == FileTask(expected)


OPTIONS = [
    ("--repo acme/web fix it", Options(repo="acme/web")),
    ("--repo=acme/web fix it", Options(repo="acme/web")),
    ("repo=acme/web fix it", Options(repo="acme/web")),
    ("repo:acme/web fix it", Options(repo="acme/web")),
    ("repo：acme/web fix it", Options(repo="acme/web")),
    ("REPO:acme/web fix it", Options(repo="acme/web")),
    ("—repo acme/web fix it", Options(repo="acme/web")),
    ("–repo=“acme/web” fix it", Options(repo="acme/web")),
    ("--repo 'acme/web' fix it", Options(repo="acme/web")),
    ("--priority HIGH fix it", Options(priority="high")),
    ("--draft fix it", Options(draft=True)),
    ("--draft=no fix it", Options()),
    (
        "repo=w base=dev agent=codex --name csv-export --draft\nfix it",
        Options("w", "dev", "codex", None, "csv-export", True),
    ),
    ("fix it --repo acme/web", Options(repo="acme/web")),
    ("fix it --draft --priority=low", Options(priority="low", draft=True)),
    ("--repo w fix it —base dev", Options(repo="w", base="dev")),
    ("--repo w -- fix it", Options(repo="w")),
    ("--仓库 acme/web fix it", Options(repo="acme/web")),
    ("－－仓库＝acme/web fix it", Options(repo="acme/web")),
    ("仓库=acme/web 智能体=codex fix it", Options(repo="acme/web", agent="codex")),
    ("--优先级 高 fix it", Options(priority="high")),
    ("fix it --草稿", Options(draft=True)),
    ("fix it --基准分支 dev", Options(base="dev")),
    ("--草稿=否 fix it", Options()),
]


@pytest.mark.parametrize(("text", "options"), OPTIONS, ids=[text for text, _ in OPTIONS])
def test_options_are_read_at_the_start_and_the_end(text: str, options: Options) -> None:
    assert read(text) == FileTask("fix it", options)


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("--foo bar", "foo", "unknown"),
        ("--foo=bar fix it", "foo", "unknown"),
        ("--rep/o fix it", "rep/o", "unknown"),
        ("--repo w --colour red fix it", "colour", "unknown"),
        ("--at tomorrow fix it", "at", "not_yet"),
        ("--quiet fix it", "quiet", "not_yet"),
        ("--repo", "repo", "missing"),
        ("--repo=", "repo", "missing"),
        ('--repo="" fix it', "repo", "missing"),
        ("--repo --base dev fix it", "repo", "missing"),
        ("--priority urgent fix it", "priority", "value"),
        ("fix it --priority urgent", "priority", "value"),
        ("--draft=maybe fix it", "draft", "value"),
        ("--name CSV fix it", "name", "value"),
        (f"--name {'a' * 33} fix it", "name", "value"),
        ('--repo "a b" fix it', "repo", "value"),
        ("--base=-x fix it", "base", "value"),
        ("--base a..b fix it", "base", "value"),
        ("--repo a --repo b fix it", "repo", "twice"),
        ("--repo a --仓库 b fix it", "repo", "twice"),
        ("--时间 明天 fix it", "at", "not_yet"),
        ("--优先级 急 fix it", "priority", "value"),
        ("--repo a fix it --repo b", "repo", "twice"),
    ],
)
def test_an_option_that_cannot_be_read_is_never_part_of_the_description(text: str, name: str, why: str) -> None:
    answer = read(text)
    assert isinstance(answer, BadFlag)
    assert (answer.name, answer.why) == (name, why)


def test_an_unknown_option_names_the_known_ones() -> None:
    assert read("--foo bar") == BadFlag("foo", "unknown", ("repo", "base", "agent", "priority", "name", "draft"))


@pytest.mark.parametrize(
    ("text", "suggestion", "meant"),
    [
        ("cancle 42", "cancel CT-42", CancelTask(CT42)),
        ("shwo #42", "show CT-42", ShowTask(CT42)),
        ("lits", "list", ListTasks()),
        ("list faild", "list failed", ListTasks("failed")),
        ("retyr 42 with tabs", "retry CT-42 with tabs", RetryTask(CT42, "tabs")),
        ("cancel CT-42 because it is wrong", "cancel CT-42", CancelTask(CT42)),
        ("cancel 42 43", "cancel CT-42", CancelTask(CT42)),
        ("retry CT-42 using tabs", "retry CT-42 with using tabs", RetryTask(CT42, "using tabs")),
        ("show CT-42#2", "show CT-42", ShowTask(CT42)),
        ("取肖 42", "cancel CT-42", CancelTask(CT42)),
        ("取销42", "cancel CT-42", CancelTask(CT42)),
        ("请察看 CT-42", "show CT-42", ShowTask(CT42)),
        ("查询42", "show CT-42", ShowTask(CT42)),
        ("消取 42", "cancel CT-42", CancelTask(CT42)),
        ("列标", "list", ListTasks()),
        ("列表 已取肖", "list cancelled", ListTasks("cancelled")),
        ("列表失效", "list failed", ListTasks("failed")),
        ("取消 CT-42 因为不需要了", "cancel CT-42", CancelTask(CT42)),
        ("取消CT-42因为不需要了", "cancel CT-42", CancelTask(CT42)),
    ],
)
def test_a_near_miss_asks(text: str, suggestion: str, meant: Command) -> None:
    assert read(text) == NearMiss(suggestion, meant, text)


@pytest.mark.parametrize(
    "text", ["shot 42 is missing from the gallery", "cancelled orders stay in the list", "lost all"]
)
def test_a_near_miss_needs_a_rest_that_fits(text: str) -> None:
    answer = read(text)
    assert answer == FileTask(text) or (isinstance(answer, NearMiss) and text == "lost all")


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("merged 42", "merged"),
        ("标为已合并 42", "merged"),
        ("设置 quiet on", "settings"),
        ("settings reviews on", "settings"),
        ("delete 42", "delete"),
    ],
)
def test_verbs_of_later_versions_are_recognised_and_not_filed(text: str, verb: str) -> None:
    assert read(text) == NotYet(verb)


def test_bare_task_asks_what_was_meant() -> None:
    assert read("task list shows wrong dates") == TaskWord("task list shows wrong dates")
    assert read("-- task list shows wrong dates") == FileTask("task list shows wrong dates")


@pytest.mark.parametrize("text", ["", "  \n ", "/codetask", "！codetask", "\u200b \ufeff", "\x00\x1b[31m"])
def test_nothing_written_is_empty(text: str) -> None:
    assert read(text) == Empty()


def test_leading_dashes_force_text() -> None:
    assert read("-- cancel 42") == FileTask("cancel 42")
    assert read("— cancel 42 --draft") == FileTask("cancel 42 --draft")


@pytest.mark.parametrize("text", ["send 42 use tabs", "say CT-42 use tabs", "发送42 use tabs"])
def test_words_are_sent_by_id_from_anywhere(text: str) -> None:
    assert read(text) == Send(CT42, "use tabs")


def test_in_the_thread_of_a_code_task_text_goes_to_its_agent() -> None:
    assert read("please use tabs", in_task_thread=True) == Send(ThisThread(), "please use tabs")
    assert read("send use tabs", in_task_thread=True) == Send(ThisThread(), "use tabs")
    assert read("retry with tabs", in_task_thread=True) == RetryTask(ThisThread(), "tabs")
    assert read("--repo web fix the footer too", in_task_thread=True) == FileTask("fix the footer too", Options("web"))


@pytest.mark.parametrize("door", ["shortcut", "menu"])
def test_other_peoples_messages_are_never_read_for_verbs(door: str) -> None:
    assert parse("cancel 42", door=door, in_task_thread=True) == FileTask("cancel 42")  # type: ignore[arg-type]


def test_a_bare_number_means_the_kind_of_the_door() -> None:
    answer = parse("cancel 7", door="slash", in_task_thread=False, default_kind="FU", offered=ALL_VERBS)
    assert answer == CancelTask(TaskId("FU", 7))


def test_read_target() -> None:
    assert read_target(" #12 ") == TaskId("CT", 12)
    assert read_target("csv-export") == TaskName("csv-export")
    assert read_target("two words") is None
    assert read_target("") is None


def test_the_table_agrees_with_the_entities() -> None:
    assert {str(stage) for stage in Stage} <= set(FILTERS.values())
    assert next(flag for flag in FLAGS if flag.name == "priority").values == tuple(str(level) for level in Priority)
    words = [word for verb in VERBS for word in (verb.name, *verb.aliases, *verb.chinese)]
    assert len(words) == len(set(words))
    assert not {word for word in words for other in words if word != other and word.startswith(other) and word > "一"}


# --- Descriptions -----------------------------------------------------------------------------------------------------


def test_p01_p08_a_description_is_trimmed_and_normalised_and_told_what_was_removed() -> None:
    assert check_description("  fix the cafe\u0301 page\r\nnow ") == Accepted("fix the café page\nnow", 0)
    assert check_description("fix\u200b the \u202elogin\x00 page") == Accepted("fix the login page", 3)
    assert check_description("fix \x1b[31mthe login\x1b[0m page") == Accepted("fix the login page", 9)


def test_p08_the_limits_are_in_code_points() -> None:
    assert check_description("123456789") == TooShort()
    assert check_description("12345678\u200b9") == TooShort()
    assert check_description("修复登录页面的重定向") == Accepted("修复登录页面的重定向", 0)
    assert check_description("😀" * 8000) == Accepted("😀" * 8000, 0)
    assert check_description("😀" * 8001) == TooLong(8001)


@given(st.text(alphabet=st.characters(codec=None)))
def test_an_accepted_description_is_accepted_unchanged(text: str) -> None:
    match check_description(text):
        case Accepted(kept, removed):
            assert check_description(kept) == Accepted(kept, 0)
            assert unicodedata.is_normalized("NFC", kept)
            assert removed >= 0
        case TooShort() | TooLong():
            pass


# --- Properties -------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [word for verb in VERBS for word in (verb.name, *verb.aliases, *verb.chinese)]
    + ["--repo", "--draft", "repo:web", "--", "—", "42", "CT-42", "#7", "with", "all", "failed", "task", "“", "=", "\n"]
)
TEXTS = st.one_of(
    st.text(alphabet=st.characters(codec=None)), st.lists(st.one_of(WORDS, st.text(max_size=8))).map(" ".join)
)


@given(TEXTS, st.sampled_from(["slash", "mention", "bang", "shortcut", "menu"]), st.booleans(), st.booleans())
def test_parsing_never_raises(text: str, door: str, in_thread: bool, everything: bool) -> None:
    offered = ALL_VERBS if everything else OFFERED
    parse(text, door=door, in_task_thread=in_thread, offered=offered)  # type: ignore[arg-type]


@given(TEXTS)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(TEXTS, st.booleans())
def test_parsing_normalised_text_is_the_same(text: str, in_thread: bool) -> None:
    assert read(text, in_task_thread=in_thread) == read(normalise(text), in_task_thread=in_thread)


@given(TEXTS, st.booleans())
def test_what_was_parsed_renders_to_text_that_parses_the_same(text: str, in_thread: bool) -> None:
    parsed = read(text, in_task_thread=in_thread, everything=True)
    if isinstance(parsed, NearMiss):
        parsed = parsed.meant
    if isinstance(parsed, FileTask) and in_thread and parsed.options == Options():
        in_thread = False  # text without options in a thread is a message to the agent
    if isinstance(parsed, FileTask | Command):
        again = read(render(parsed), in_task_thread=in_thread, everything=True)
        assert again == parsed


@given(TEXTS, st.booleans())
def test_what_was_parsed_renders_in_chinese_to_text_that_parses_the_same(text: str, in_thread: bool) -> None:
    parsed = read(text, in_task_thread=in_thread, everything=True)
    if isinstance(parsed, NearMiss):
        parsed = parsed.meant
    if isinstance(parsed, Command):
        assert read(render(parsed, "zh"), in_task_thread=in_thread, everything=True) == parsed


@given(
    st.sampled_from([word for verb in VERBS for word in verb.chinese]), st.text(alphabet="的按钮页面没有反应在上,。 4#")
)
def test_a_chinese_verb_glued_to_anything_is_read_or_filed_as_it_is(verb: str, text: str) -> None:
    answer = read(verb + text, everything=True)
    assert not isinstance(answer, FileTask) or answer.text == normalise(verb + text)


@given(st.text())
def test_forced_text_is_filed_whatever_it_says(text: str) -> None:
    assert read("-- " + text) == FileTask(normalise("-- " + text)[2:].strip())

"""The grammar of suggestions and of a channel's settings, in both languages: what is a verb, and what is a request."""

import pytest

from bot.core.commands import (
    OFFERED,
    EditText,
    FileTask,
    ListSuggestions,
    NotYet,
    ShowTask,
    TaskId,
    ThisThread,
    Top,
    Undo,
    parse,
    render,
)
from bot.core.verbs import MODE_WORDS, SETTING_WORDS, Parsed, Setting

RQ, CT = TaskId("RQ", 3), TaskId("CT", 42)


def read(text: str) -> Parsed:
    return parse(text, door="mention", in_task_thread=False)


MEANT = [
    ("suggestions", ListSuggestions()),
    ("需求建议", ListSuggestions()),
    ("top", Top()),
    ("热门", Top()),
    ("undo", Undo(ThisThread())),
    ("undo 42", Undo(CT)),
    ("撤销CT-42", Undo(CT)),
    ("show RQ-3", ShowTask(RQ)),
    ("edit RQ-3 Export invoices as CSV", EditText(RQ, "Export invoices as CSV")),
    ("edit CT-42 Export\n\ninvoices", EditText(CT, "Export\n\ninvoices")),
    ("编辑 RQ-3 导出发票", EditText(RQ, "导出发票")),
    ("settings intake", Setting("intake")),
    ("settings intake suggest", Setting("intake", "suggest")),
    ("Settings Intake OFF.", Setting("intake", "off")),
    ("设置 需求收集 建议", Setting("intake", "suggest")),
    ("设置 需求收集 关闭", Setting("intake", "off")),
    ("settings intake sugest", Setting("intake", "sugest")),
    ("settings reaction :memo:", Setting("reaction", ":memo:")),
    ("settings reaction 💡", Setting("reaction", "💡")),
    ("设置 表情 memo", Setting("reaction", "memo")),
    ("settings repo acme/web", Setting("repo", "acme/web")),
    ("设置 仓库 web", Setting("repo", "web")),
    ("settings base release/2.x", Setting("base", "release/2.x")),
    ("设置 基准分支 develop", Setting("base", "develop")),
    ("settings agent codex", Setting("agent", "codex")),
    ("settings language 中文", Setting("language", "中文")),
    ("settings pings", Setting("pings")),
    ("settings pings questions", Setting("pings", "questions")),
    ("settings pings off", Setting("pings", "none")),
    ("设置 提及 无", Setting("pings", "none")),
]


@pytest.mark.parametrize(("text", "meant"), MEANT, ids=[text for text, _ in MEANT])
def test_commands(text: str, meant: Parsed) -> None:
    assert read(text) == meant


REQUESTS = """
top bar overlaps the logo on small screens
suggestions in the search box are cut off
undo should also bring back the cursor
edit button is missing on the invoice page
settings intake form is broken in Safari
settings language switch resets after login
settings repo picker shows archived ones
settings base colour is too dark
settings pings should survive a restart
编辑按钮在手机上不显示
"""


@pytest.mark.parametrize("text", REQUESTS.strip().splitlines())
def test_requests_that_begin_like_a_command_are_filed(text: str) -> None:
    assert read(text) == FileTask(text)


@pytest.mark.parametrize("text", ["settings quiet on", "settings reviews", "设置 quiet on"])
def test_settings_of_later_versions_are_recognised(text: str) -> None:
    assert read(text) == NotYet("settings")


def test_they_are_offered_and_render_back() -> None:
    assert {"suggestions", "top", "undo", "edit"} <= OFFERED
    for command in (
        ListSuggestions(),
        Top(),
        Undo(CT),
        Undo(ThisThread()),
        EditText(RQ, "x y"),
        Setting("intake", "auto"),
    ):
        for language in ("en", "zh"):
            assert read(render(command, language)) == command


def test_every_setting_and_mode_has_a_chinese_word() -> None:
    for words in (SETTING_WORDS, MODE_WORDS):
        for meant in set(words.values()):
            assert any(not word.isascii() for word, value in words.items() if value == meant), meant

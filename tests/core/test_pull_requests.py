"""Pull request titles, bodies and commit messages: exact texts, limits, and hostile strings (F23, GitHub part)."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.core.github_text import ZWSP, defuse, fence, quote, web_address
from bot.core.pull_requests import PullRequestContext, commit_message, pull_request_body, pull_request_title
from bot.core.tasks import CodeTask

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
THREAD = "https://acme.slack.com/archives/C1/p1700000000000100?thread_ts=1700000000.000100&cid=C1"
PLAIN = PullRequestContext(thread_url=THREAD, platform="Slack")


def task(**changes: Any) -> CodeTask:
    facts: dict[str, Any] = {
        "id": 42,
        "uuid": "0" * 36,
        "name": "add-a-csv-export-button",
        "requester_platform": "slack",
        "requester_id": "U0ANA",
        "requester_name": "Ana",
        "title": "Add a CSV export button",
        "description": "Add a CSV export button\n\nIt should export the visible rows.",
        "repo": "web",
        "base": "main",
        "agent": "opencode",
        "attempt": 1,
        "tests_passed": True,
        "test_summary": "38 tests passed",
        "test_seconds": 12.3,
        "test_tail": "38 passed in 12.3s",
        "cost_usd": 0.01234,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return CodeTask(**(facts | changes))


def test_body_says_what_a_reviewer_needs() -> None:
    assert pull_request_body(task(), PLAIN) == (
        "> Add a CSV export button\n>\n> It should export the visible rows.\n\n"
        "Tests: 38 tests passed in 12 s\n\n"
        "```text\n38 passed in 12.3s\n```\n\n"
        f"CT-42, requested by Ana on Slack, [thread]({THREAD})\n\n"
        "Agent opencode · attempt 1 of 3 · cost $0.0123\n\n"
        "Review before merging."
    )


def test_red_tests_are_marked_in_title_and_body() -> None:
    red = task(tests_passed=False, test_exit_code=1, test_summary="2 of 38 failed")
    assert pull_request_title(red, PLAIN) == "[codetask] [tests failing] Add a CSV export button"
    assert "**Tests failing, exit 1** in 12 s: 2 of 38 failed" in pull_request_body(red, PLAIN)


def test_unknown_cost_is_a_dash_and_missing_tests_are_said() -> None:
    body = pull_request_body(task(tests_passed=None, cost_usd=None, test_tail=None), PullRequestContext())
    assert "cost —" in body
    assert "Tests: none were run." in body
    assert "requested by Ana\n" in body


def test_retry_instruction_and_warnings_are_shown() -> None:
    context = PullRequestContext(warnings=["No sandbox was used for this run."])
    body = pull_request_body(task(instruction="Use the new table, @bo"), context)
    assert f"> Use the new table, @{ZWSP}bo" in body
    assert body.endswith("**Warning:** No sandbox was used for this run.")


def test_commit_message_has_subject_and_trailers() -> None:
    assert commit_message(task(), PLAIN) == (
        "Add a CSV export button\n\n"
        "Code-Task: CT-42\n"
        f"Thread: {THREAD}\n"
        "Co-authored-by: Ana <slack-U0ANA@codetask.invalid>\n"
    )


@pytest.mark.parametrize(
    ("name", "email", "line"),
    [
        ("Ana", "ana@acme.example", "Ana <ana@acme.example>"),
        ("Ana <root@x>\nSigned-off-by: Eve", "", "Ana root x Signed-off-by Eve <slack-U0ANA@codetask.invalid>"),
        ("", "", "Requester <slack-U0ANA@codetask.invalid>"),
        ("Ana", "a@b> \nReviewed-by: x <y@z", "Ana <slack-U0ANA@codetask.invalid>"),
        ("\u202eanA", "", "anA <slack-U0ANA@codetask.invalid>"),
    ],
)
def test_co_author_is_one_safe_line(name: str, email: str, line: str) -> None:
    message = commit_message(task(requester_name=name), PullRequestContext(requester_email=email))
    assert message.splitlines()[-1] == f"Co-authored-by: {line}"
    assert len(message.splitlines()) == 4


def test_the_tail_is_cut_from_the_front_and_fenced_longer_than_its_backticks() -> None:
    body = pull_request_body(task(test_tail="START" + "x" * 2000 + "\n````\nEND"), PLAIN)
    assert "START" not in body
    assert "`````text\n" in body
    assert "\n````\nEND\n`````\n" in body


def test_secrets_are_masked_before_anything_else() -> None:
    context = PullRequestContext(redact=lambda text: text.replace("s3cret", "***"))
    hidden = task(
        title="Use s3cret", description="Use s3\u200bcret s3cret", test_tail="s3cret", requester_name="s3cret"
    )
    for text in (pull_request_title(hidden, context), pull_request_body(hidden, context)):
        assert "s3cret" not in text
        assert "***" in text
    assert "s3cret" not in commit_message(hidden, context)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "https://acme.slack.com/a)[x](https://evil.example",
        "https://acme.slack.com/a\nhttps://evil.example",
        "https://acme@evil.example/a",
        "https://acme.slack.com/<!--",
        "",
        "https://a.example/" + "x" * 1000,
    ],
)
def test_a_strange_thread_address_is_left_out(url: str) -> None:
    assert web_address(url) == ""
    assert "thread" not in pull_request_body(task(), PullRequestContext(thread_url=url)).lower()
    assert "Thread:" not in commit_message(task(), PullRequestContext(thread_url=url))


# --- Hostile strings --------------------------------------------------------------------------------------------------

HOSTILE = [
    "@everyone look",
    "@octocat",
    "mail me@evil.example",
    "@acme/owners",
    "\\@octocat",
    "(@octocat)",
    "@\u200boctocat",
    "&#64;octocat",
    "&commat;octocat",
    "*@octocat*",
    "> @octocat",
    "`@octocat`",
    "@-octocat @octo-cat",
    "＠x @octocat",
    "fixes #12",
    "Fix #12",
    "FIXED: #12",
    "closes #12",
    "Close   #12",
    "closed\n#12",
    "resolve #12",
    "resolves: #12",
    "Resolved (#12)",
    "fixes **#12**",
    "_fixes #12_",
    "fixes other/repo#12",
    "closes GH-12",
    "fixes &#35;12",
    "fixes https://github.com/acme/web/issues/12",
    "closes [this](https://github.com/acme/web/issues/12)",
    "fixes\t#12",
    "fixes" + " " * 300 + "#12",
    "fixes \\#12",
    "fixes #12, closes #13",
    "f\u200bixes #12",
    "fixes\u00a0#12",
    "see other/repo#12",
    "see torvalds/linux@1a2b3c4",
    "a/b#1 c/d#2",
    "<!-- hidden -->",
    "<!-- unclosed",
    "<img src=https://evil.example/p.png>",
    "<details><summary>x",
    "</details>",
    "<a href='https://evil.example'>x</a>",
    "<script>alert(1)</script>",
    "<?php ?>",
    "<![CDATA[x]]>",
    "<https://evil.example>",
    "![x](https://evil.example/p.png)",
    "![x][y]\n\n[y]: https://evil.example/p.png",
    "[x](https://evil.example)",
    "[x][y]\n\n[y]: https://evil.example",
    "[y]\n\n[y]: https://evil.example",
    "https://evil.example/?q=1",
    "www.evil.example",
    "_https://evil.example_",
    "ftp://evil.example/x",
    "HTTPS://EVIL.EXAMPLE",
    "https://github.com@evil.example/",
    "https://github.com.evil.example/",
    "[x]( https://evil.example )",
    "[x](<https://evil.example>)",
    "```\n@octocat fixes #12\n",
    "~~~\n<!--\n~~~",
    "`" * 40,
    "```````\n<img>\n```",
    "    @octocat fixes #12",
    "[skip ci]",
    "[CI SKIP]",
    "[no ci]",
    "[skip actions]",
    "[actions skip]",
    "***NO_CI***",
    "skip-checks: true",
    "/approve",
    "> /lgtm",
    "  /merge now",
    "x\r/approve",
    "x\u2028/approve",
    "\x1b[31mred\x1b[0m @octocat",
    "\x1b]8;;https://evil.example\x07x\x1b]8;;\x07",
    "a\u202e@octocat\u202c",
    "\U000e0040octocat",
    "\x00@octocat",
    "x" * 9000,
    "@" * 500,
    "[" * 500,
    "\n" * 500 + "fixes #12",
    "| a | b |\n|---|---|\n| @octocat | fixes #12 |",
    "Title\n=====\n\n---\n# @octocat",
    "- [ ] fixes #12",
    "[^1]: https://evil.example",
    "<b>fixes</b> #12",
    "fixes<b></b>#12",
    "Co-authored-by: Eve <eve@evil.example>",
    "é\u0301 @\u0301octocat",
    "𝐟𝐢𝐱𝐞𝐬 #12 @octocat",
]

MENTION = re.compile(r"@[A-Za-z0-9]")
CLOSING = re.compile(
    r"\b(fix(es|ed)?|close[sd]?|resolve[sd]?)[\s:*_(\\\[~`|-]*(#\d|GH-\d|[\w.-]+/[\w.-]+#\d|https?://)", re.I
)
FOREIGN = re.compile(r"[\w.-]+/[\w.-]+(#\d|@[0-9a-f]{7})")
SKIPS = re.compile(r"\[(skip ci|ci skip|no ci|skip actions|actions skip)\]|\*\*\*NO_CI\*\*\*|skip-checks\s*:", re.I)
LIVE_URL = re.compile(r"(?:https?|ftp)://(?!acme\.slack\.com/)|www\.[a-z]", re.I)
COMMAND = re.compile(r"^[\s>]*/[a-z]", re.I | re.M)
HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
TEXTUAL = {"text", "code_inline"}
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def flat(tokens: list[Token]) -> list[Token]:
    return [inner for token in tokens for inner in (token, *flat(token.children or []))]


def assert_harmless(text: str) -> None:
    """Looks at the raw text (commit messages) and at what Markdown makes of it (entities decoded, marks gone)."""
    tokens = flat(MARKDOWN.parse(text))
    assert not [token for token in tokens if token.type in {"html_inline", "html_block", "image"}]
    links = [str(token.attrs["href"]) for token in tokens if token.type == "link_open"]
    assert all(link.startswith("https://acme.slack.com/") for link in links)
    blocks = [token for token in tokens if token.type in {"inline", "fence", "code_block"}]
    rendered = "\n".join(
        "".join(part.content for part in token.children if part.type in TEXTUAL) if token.children else token.content
        for token in blocks
    )
    for view in (text, rendered):
        for pattern in (MENTION, CLOSING, FOREIGN, SKIPS, LIVE_URL, HIDDEN):
            assert pattern.search(view) is None, (pattern.pattern, view)
    assert COMMAND.search(text) is None
    assert "<!--" not in text


def hostile_task(text: str) -> CodeTask:
    return task(
        title=text[:80], description=text, requester_name=text, test_summary=text, test_tail=text, instruction=text,
        tests_passed=False, agent="demo",
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_does_nothing_on_github(text: str) -> None:
    hostile = hostile_task(text)
    title, body = pull_request_title(hostile, PLAIN), pull_request_body(hostile, PLAIN)
    assert_harmless(body)
    assert_harmless(title)
    assert len(title) <= 72
    assert "\n" not in title
    assert body.rstrip().endswith("Review before merging.")
    assert MARKDOWN.render(body).rstrip().endswith("<p>Review before merging.</p>")
    message = commit_message(hostile, PLAIN)
    subject, blank, *trailers = message.split("\n")
    assert_harmless(subject)
    assert (len(subject) <= 72, blank) == (True, "")
    assert [line.partition(":")[0] for line in trailers] == ["Code-Task", "Thread", "Co-authored-by", ""]


def test_there_are_enough_hostile_strings() -> None:
    assert len(set(HOSTILE)) >= 60


@settings(max_examples=60, deadline=None, database=None)
@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=5), max_size=5).map("".join))
def test_mixtures_do_nothing_on_github(text: str) -> None:
    hostile = hostile_task(text[:8000])
    assert_harmless(pull_request_body(hostile, PLAIN))
    assert_harmless(pull_request_title(hostile, PLAIN))
    assert_harmless(commit_message(hostile, PLAIN).split("\n")[0])


@pytest.mark.parametrize("text", ["fix the #header of C", "Prefixes #12", "email a b", "2 < 3 && 4 > 1", "a/b and c/d"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert defuse(text) == text


def test_allowed_addresses_stay() -> None:
    url = "https://acme.slack.com/archives/C1/p17"
    assert defuse(f"see {url} now", frozenset({"acme.slack.com"})) == f"see {url} now"
    assert defuse(url, frozenset({"slack.com"})) != url


def test_quote_and_fence() -> None:
    assert quote("a\n\nb") == "> a\n>\n> b"
    assert fence("a ```` b").startswith("`````text\n")

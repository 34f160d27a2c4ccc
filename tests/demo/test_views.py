"""What the demo makes of each platform's wire form: parts of plain words, also of hostile ones."""

from typing import Any

import pytest

from bot.core.forms import form_of
from bot.core.inbound import ThreadRef
from bot.core.texts import Texts
from bot.demo import discord_view, lark_view, slack_view
from bot.demo.channel import Buttons, Code, Frame, Line, Part, Plan, Word, flat
from bot.demo.forms import read_view
from bot.demo.slash import read_slash
from platforms.slack.buttons import modal

COMMANDS: list[dict[str, Any]] = [
    {
        "name": "codetask",
        "type": 1,
        "options": [
            {"name": "new", "type": 1, "options": [
                {"name": "text", "type": 3, "required": True},
                {"name": "repo", "type": 3},
                {"name": "draft", "type": 5},
            ]},
            {"name": "show", "type": 1, "options": [{"name": "id", "type": 3}]},
            {"name": "retry", "type": 1, "options": [{"name": "id", "type": 3}, {"name": "with", "type": 3}]},
            {"name": "send", "type": 1, "options": [
                {"name": "text", "type": 3, "required": True}, {"name": "id", "type": 3},
            ]},
            {"name": "help", "type": 1, "options": [{"name": "verb", "type": 3}]},
            {"name": "change", "type": 1, "options": [
                {"name": "id", "type": 3, "required": True}, {"name": "when", "type": 3, "required": True},
            ]},
        ],
    },
    {"name": "followup", "type": 1, "options": [
        {"name": "when", "type": 3, "required": True}, {"name": "text", "type": 3},
        {"name": "remind", "type": 5}, {"name": "if-missed", "type": 3},
    ]},
    {"name": "File as code task", "type": 3},
]  # fmt: skip


def words(parts: list[Part]) -> list[tuple[str, str]]:
    """Each word of the lines with its style."""
    return [(w.text, w.style) for part in flat(parts) if isinstance(part, Line) for w in part.words]


def hrefs(parts: list[Part]) -> list[str]:
    lines = [part for part in flat(parts) if isinstance(part, Line)]
    return [word.href for line in lines for word in line.words if word.href]


def test_slack_s_marks() -> None:
    text = "*bold* _it_ ~no~ `a &lt;b&gt;` <@U1> <https://x.test/a|label> &lt;img&gt;\n&gt; said\n```\n*code*\n```"
    parts = list(slack_view.read_mrkdwn(text, {"U1": "ana"}))
    found = words(parts)
    for wanted in (("bold", "bold"), ("it", "italic"), ("no", "strike"), ("a <b>", "code"), ("@ana", "mention")):
        assert wanted in found
    assert ("label", "link") in found
    assert (" <img>", "plain") in found
    assert Line((Word("said"),), "quote") in parts
    assert parts[-1] == Code("*code*")


def test_discord_s_marks() -> None:
    text = "**bold** \\*plain\\* `a*b` <@12345> [a \\] b](<https://x.test/a>) <t:1700000000:t>\n-# foot\n- item"
    parts = list(discord_view.read_markdown(text, {"12345": "ana"}))
    found = words(parts)
    for wanted in (("bold", "bold"), (" *plain* ", "plain"), ("a*b", "code"), ("@ana", "mention"), ("a ] b", "link")):
        assert wanted in found
    assert any(style == "time" for _, style in found)
    assert [part.role for part in parts if isinstance(part, Line)] == ["text", "foot", "bullet"]


def test_lark_s_marks() -> None:
    text = "**bold** &#42;plain&#42; `a` <at id=ou_1></at> [label](https://x.test/a) <font color='red'>red</font>"
    found = words(list(lark_view.read_markdown(text, {"ou_1": "ana"})))
    for wanted in (("bold", "bold"), (" *plain* ", "plain"), ("a", "code"), ("@ana", "mention"), ("label", "link")):
        assert wanted in found
    assert ("red", "plain") in found


@pytest.mark.parametrize(
    "text",
    [
        "<javascript:alert(1)|click>",
        "[click](javascript:alert(1))",
        "[click](<data:text/html,x>)",
        '<https://x.test" onmouseover="alert(1)|click>',
        "[click](https://x.test'onload='x)",
        "*" * 5000,
        "[" * 5000,
        "<" * 5000 + ">" * 5000,
        "`" * 4999,
        "\\" * 4999,
        "```" * 1001,
        "<t:999999999999:t> <t:99999999999:t>",
        "\u202e\u0000\ud800",
    ],
)
def test_hostile_texts_are_read_and_lead_to_the_web_only(text: str) -> None:
    for parts in (
        list(slack_view.read_mrkdwn(text, {})),
        list(discord_view.read_markdown(text, {})),
        list(lark_view.read_markdown(text, {})),
    ):
        for href in hrefs(parts):
            assert href.startswith(("https://", "http://"))
            assert not set(href) & set("\"' <>")


def test_steps_become_a_plan_and_a_single_sign_stays_a_line() -> None:
    parts = list(discord_view.read_markdown("✅ Queued — 2 s\n⏳ **Running tests** — since 14:09\n⚪ Pull request", {}))
    assert [type(part) for part in parts] == [Plan]
    plan = parts[0]
    assert isinstance(plan, Plan)
    assert [(s.mark, s.label, s.detail) for s in plan.steps] == [
        ("done", "Queued", "2 s"),
        ("active", "Running tests", "since 14:09"),
        ("pending", "Pull request", ""),
    ]
    assert [type(part) for part in discord_view.read_markdown("✅ Done", {})] == [Line]


def test_a_slack_card_has_a_title_steps_and_buttons() -> None:
    button = {"type": "button", "text": {"text": "Cancel"}, "action_id": "codetask:cancel:CT-1#0", "style": "danger"}
    button["confirm"] = {"text": {"text": "Sure?"}}
    bad = {"type": "button", "text": {"text": "Go"}, "action_id": "link#1", "url": "javascript:alert(1)"}
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "*CT-1 Title*\n@ana · `web`"}},
        {"type": "plan", "title": "Queued", "tasks": [{"title": "Queued", "status": "in_progress"}]},
        {"type": "actions", "elements": [button, bad]},
    ]
    title, meta, plan, buttons = slack_view.read_blocks(blocks, "", {})
    assert title == Line((Word("CT-1 Title"),), "title")
    assert isinstance(meta, Line)
    assert meta.role == "meta"
    assert isinstance(plan, Plan)
    assert isinstance(buttons, Buttons)
    cancel, go = buttons.buttons
    assert (cancel.look, cancel.confirm, cancel.press) == ("danger", "Sure?", "codetask:cancel:CT-1#0")
    assert go.href == ""


def test_a_lark_card_is_in_the_reader_s_language() -> None:
    def text(en: str, zh: str) -> dict[str, Any]:
        return {"content": en, "i18n_content": {"en_us": en, "zh_cn": zh}}

    card = {
        "header": {"title": text("CT-1 Title", "CT-1 标题"), "template": "green"},
        "body": {"elements": [{"tag": "markdown", **text("Merged", "已合并")}]},
    }
    for language, title, said in (("en", "CT-1 Title", "Merged"), ("zh", "CT-1 标题", "已合并")):
        (frame,) = lark_view.read_card(card, language, {})  # type: ignore[arg-type]
        assert isinstance(frame, Frame)
        assert (frame.title[0].text, frame.colour) == (title, "green")
        assert words([frame])[-1] == (said, "plain")


@pytest.mark.parametrize(
    ("line", "command", "options"),
    [
        ("/codetask Fix the login", "/codetask new", {"text": "Fix the login"}),
        ("/codetask new Fix the login", "/codetask new", {"text": "Fix the login"}),
        ("/codetask new draft:true Fix it now", "/codetask new", {"draft": True, "text": "Fix it now"}),
        ("/codetask --repo=web Fix it now", "/codetask new", {"repo": "web", "text": "Fix it now"}),
        ("/codetask show 12", "/codetask show", {"id": "12"}),
        ("/codetask show", "/codetask show", {}),
        ("/codetask retry 12 please with care", "/codetask retry", {"id": "12", "with": "please with care"}),
        ("/codetask send use the other table", "/codetask send", {"text": "use the other table"}),
        ("/codetask", "/codetask help", {}),
        ("/followup tomorrow check it", "/followup", {"when": "tomorrow", "text": "check it"}),
        ("/followup in 5s check the deploy", "/followup", {"when": "in 5s", "text": "check the deploy"}),
        ("/followup tomorrow -- 9am is when", "/followup", {"when": "tomorrow", "text": "9am is when"}),
        ("/followup 明天9点 看看部署", "/followup", {"when": "明天9点", "text": "看看部署"}),
        ("/followup --remind if-missed:run 2h", "/followup", {"remind": True, "if-missed": "run", "when": "2h"}),
        ("/followup list", "/followup", {"when": "list"}),
        ("/followup change FU-7 friday 10:30", "/followup", {"when": "change FU-7 friday 10:30"}),
        ("/codetask change FU-7 friday 10:30", "/codetask change", {"id": "FU-7", "when": "friday 10:30"}),
    ],
)  # fmt: skip
def test_a_typed_line_becomes_a_command_with_options(line: str, command: str, options: dict[str, Any]) -> None:
    assert read_slash(line, COMMANDS) == (command, options)


@pytest.mark.parametrize("line", ["/nothing", "/", "/File as code task"])
def test_an_unknown_command_names_those_there_are(line: str) -> None:
    with pytest.raises(LookupError, match="/codetask, /followup"):
        read_slash(line, COMMANDS)


@pytest.mark.parametrize(("key", "names"), [("change:FU-7", ["when"]), ("later:IN-7", ["when", "text"])])
def test_a_picker_is_not_drawn_but_its_question_is(key: str, names: list[str]) -> None:
    texts = Texts.load("en")
    form = form_of(f"codetask:{key}", texts)
    assert form is not None
    drawn = read_view(modal(form, ThreadRef(platform="slack", workspace_id="T1", channel_id="C1"), texts), "1", "ana",
                      busy=False, problem="")  # fmt: skip
    assert [field.name for field in drawn.fields] == names
    assert drawn.fields[0].label == form.fields[0].label

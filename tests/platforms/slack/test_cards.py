"""Cards and documents as Slack blocks: the goldens, the limits, and nothing live that we did not make."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from bot.core.cards import Button, Card, Doc, Step
from bot.core.inbound import Person
from platforms.slack.cards import MAX_SECTION, Rendered, fit, mrkdwn, render, render_card, render_doc

GOLDEN = Path(__file__).parents[2] / "golden" / "slack"
ANA = Person(platform="slack", workspace_id="T0ACME", id="U0ANA", name="ana")
CANCEL = Button(
    label="Cancel",
    name="Cancel CT-42",
    value="codetask:cancel:CT-42",
    style="danger",
    confirm="Cancel CT-42? The branch is kept.",
)
DETAILS = Button(label="Details", name="Details of CT-42", value="codetask:details:CT-42")
OPEN = Button(
    label="Open pull request", name="Open acme/web#87", url="https://github.com/acme/web/pull/87", style="primary"
)
CARD = Card(
    key="CT-42",
    title="CT-42 Add a CSV export button",
    summary="CT-42 Add a CSV export button: running tests",
    meta="@ana · `acme/web` · filed 14:02",
    steps=(
        Step(label="Queued", state="done", detail="2 min"),
        Step(label="Writing the change", state="done", detail="5 min"),
        Step(label="Running tests", state="active", detail="since 14:09"),
        Step(label="Pull request", state="pending"),
    ),
    body="Reading **contacts** & exports",
    buttons=(CANCEL, DETAILS),
    foot="CT-42#1 · worker-1 · $0.12",
)
FAILED = CARD.model_copy(
    update={
        "title": "CT-42 Add a CSV export button · Failed",
        "steps": (Step(label="Queued", state="done"), Step(label="Running tests", state="failed", detail="exit 1")),
        "body": "2 of 38 failed\n\n```\nAssertionError: <b> & `x`\n```",
        "buttons": (),
    }
)
DOC = Doc(text="PR ready: [acme/web#87](<https://github.com/acme/web/pull/87>)", mention=ANA, buttons=(OPEN,))


def check_blocks(shown: Rendered) -> None:
    """What slack_sdk's own models say, and the limits they do not know."""
    assert 0 < len(shown.text) <= 4000
    assert 0 < len(shown.blocks) <= 50
    ids = [block["block_id"] for block in shown.blocks]
    assert len(set(ids)) == len(ids)
    assert all(len(id) <= 255 for id in ids)
    for parsed in Block.parse_all(shown.blocks):
        assert type(parsed) is not Block
        parsed.validate_json()
    for block in shown.blocks:
        if block["type"] == "section":
            assert 0 < len(block["text"]["text"]) <= 3000


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("card_testing", render_card(CARD, "k1")),
        ("card_testing_lines", render_card(CARD, "k1", native_plan=False)),
        ("card_failed", render_card(FAILED, "k2")),
        ("doc_pull_request", render_doc(DOC, "k3")),
    ],
)
def test_goldens(name: str, shown: Rendered, request: pytest.FixtureRequest) -> None:
    check_blocks(shown)
    path = GOLDEN / f"{name}.json"
    drawn = json.dumps({"text": shown.text, "blocks": shown.blocks}, indent=2, ensure_ascii=False) + "\n"
    assert path.read_text("utf-8") == drawn


def test_every_edit_has_new_block_ids() -> None:
    def ids(shown: Rendered) -> set[str]:
        tasks = [task["block_id"] for block in shown.blocks for task in block.get("tasks", ())]
        return {*tasks, *(block["block_id"] for block in shown.blocks)}

    first, second = ids(render_card(CARD, "aaa")), ids(render_card(CARD, "bbb"))
    assert not first & second


def test_the_plan_speaks_slacks_words() -> None:
    plan = next(block for block in render_card(CARD, "k").blocks if block["type"] == "plan")
    assert plan["title"] == "Running tests"
    assert [task["status"] for task in plan["tasks"]] == ["complete", "complete", "in_progress", "pending"]
    plan = next(block for block in render_card(FAILED, "k").blocks if block["type"] == "plan")
    assert plan["tasks"][-1]["status"] == "error"


def test_without_native_plan_the_steps_are_words_and_marks() -> None:
    shown = render_card(CARD, "k", native_plan=False)
    assert "plan" not in {block["type"] for block in shown.blocks}
    assert shown.blocks[1]["text"]["text"] == (
        "✅ Queued — 2 min\n✅ Writing the change — 5 min\n⏳ *Running tests* — since 14:09\n○ Pull request"
    )


def test_buttons() -> None:
    actions = next(block for block in render_card(CARD, "k").blocks if block["type"] == "actions")
    cancel, details = actions["elements"]
    assert cancel["value"] == "codetask:cancel:CT-42"
    assert cancel["action_id"].startswith("codetask:cancel:CT-42")
    assert cancel["accessibility_label"] == "Cancel CT-42"
    assert cancel["confirm"]["text"]["text"] == "Cancel CT-42? The branch is kept."
    assert "confirm" not in details
    twice = render_doc(Doc(text="x", buttons=(DETAILS, DETAILS)), "k").blocks[-1]["elements"]
    assert twice[0]["action_id"] != twice[1]["action_id"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://a b", "https://x>y", "slack://x", "//x"])
def test_a_button_links_only_to_the_web(url: str) -> None:
    shown = render_doc(Doc(text="x", buttons=(Button(label="Go", name="Go", url=url),)), "k")
    assert "url" not in shown.blocks[-1]["elements"][0]


@pytest.mark.parametrize(
    ("markdown", "slack"),
    [
        ("**bold** _it_ ~~gone~~ `code`", "*bold* _it_ ~gone~ `code`"),
        ("# Title\n\ntext", "*Title*\n\ntext"),
        ("- a\n- b\n  - c", "• a\n• b\n    • c"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("> quoted\n> text", "> quoted\n> text"),
        ("[a](https://x.io/?a=1&b=2)", "<https://x.io/?a=1&amp;b=2|a>"),
        ("[a](<https://x.io>)", "<https://x.io|a>"),
        ("[https://good.io](https://evil.io)", "<https://evil.io|https://good.io (https://evil.io)>"),
        ("[x.io](https://x.io)", "<https://x.io|x.io>"),
        ("[acme/web#87](https://github.com/acme/web/pull/87)", "<https://github.com/acme/web/pull/87|acme/web#87>"),
        ("[a](javascript:x)", "[a](javascript:x)"),
        ("![cat](https://x.io/c.png)", "<https://x.io/c.png|cat>"),
        ("```py\na < b\n```", "```\na &lt; b\n```"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "```\na | b\n1 | 2\n```"),
        ("a<br>b <!-- x -->", "a&lt;br&gt;b &lt;!-- x --&gt;"),
        (r"\*plain\* <@U1>", "*plain* &lt;@U1&gt;"),
        ("a\nb", "a\nb"),
        ("``a`b``", "`aˋb`"),
        ("", ""),
    ],
)
def test_markdown_in_slacks_dialect(markdown: str, slack: str) -> None:
    assert mrkdwn(markdown) == slack


def test_only_a_real_person_is_mentioned() -> None:
    assert render_doc(Doc(text="hi", mention=ANA), "k").text == "<@U0ANA> hi"
    odd = Person(platform="slack", workspace_id="T0ACME", id="U1> <!channel", name="<!here>")
    assert render_doc(Doc(text="hi", mention=odd), "k").text == "&lt;!here&gt; hi"
    other = Person(platform="discord", workspace_id="1", id="U0ANA", name="ana")
    assert render_doc(Doc(text="hi", mention=other), "k").text == "ana hi"


HOSTILE = [
    "<!channel> <!here> <!everyone> <@U0BO> <#C0DEV> <!subteam^S1>",
    "&lt;!channel&gt; &#60;!channel&#62; &lt;@U0BO&gt;",
    "<https://evil.io|https://good.io> <mailto:a@b.io|x>",
    "```\n<!channel>\n``` <!channel>",
    "`<!channel>` ``<!channel>``",
    "[<!channel>](https://x.io) [x](<https://x.io/<!channel>>)",
    "[x](https://x.io|<!channel>) ![<!here>](https://x.io)",
    "<!date^1^{date}|x> <!chan\u200bnel> <\u202e!channel>",
    "> <!channel>\n- <!channel>\n# <!channel>\n\n| <!channel> |\n|---|\n| <@U0BO> |",
    "**<!channel>** _<@U0BO>_ ~~<!here>~~ \\<!channel\\>",
    "[label][ref]\n\n[ref]: https://x.io/<!channel>",
    "https://evil.io @channel @here #general",
]
LIVE = re.compile(r"<(?!https?://[^<>|\s]+(?:\|[^<>|]*)?>)")


def mrkdwn_texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if value.get("type") == "mrkdwn" else []
        return own + [text for item in value.values() for text in mrkdwn_texts(item)]
    return [text for item in value for text in mrkdwn_texts(item)] if isinstance(value, list) else []


def check_nothing_live(shown: Rendered) -> None:
    for text in [shown.text, *mrkdwn_texts(shown.blocks)]:
        assert not LIVE.search(text), text
    for block in shown.blocks:
        if block["type"] in ("section", "context"):
            assert all(part["verbatim"] for part in [block.get("text"), *block.get("elements", ())] if part)


def hostile_card(text: str) -> Card:
    step = Step(label=text or "x", state="active", detail=text)
    button = Button(label=text or "x", name=text, value="codetask:cancel:CT-42", confirm=text)
    return Card(
        key="CT-42", title=text, summary=text, meta=text, steps=(step,), body=text, buttons=(button,), foot=text
    )


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("native", [True, False])
def test_foreign_text_is_never_live(text: str, native: bool) -> None:
    check_nothing_live(render_card(hostile_card(text), "k", native))
    check_nothing_live(render_doc(Doc(text=text), "k"))


MARKS = st.lists(st.sampled_from([*"<>&|@!#*_~`[]()\\\n -", "```", "&lt;", "https://", "!channel", "U0BO", "x", "字"]))
TEXTS = st.one_of(st.text(), MARKS.map("".join))


@given(text=TEXTS, native=st.booleans())
def test_no_text_breaks_a_card(text: str, native: bool) -> None:
    shown = render_card(hostile_card(text), "k", native)
    check_nothing_live(shown)
    if shown.text:
        check_blocks(shown)


@given(text=TEXTS)
def test_no_text_breaks_a_document(text: str) -> None:
    shown = render_doc(Doc(text=text or "x", buttons=(DETAILS,)), "k")
    check_nothing_live(shown)
    check_blocks(shown)


@pytest.mark.parametrize(
    "text", ["x" * 50_000, "<&>" * 20_000, "word " * 10_000, "```\n" + "line <&>\n" * 9_000 + "```"]
)
def test_what_is_too_long_loses_its_body_never_its_buttons(text: str) -> None:
    card = hostile_card(text).model_copy(update={"buttons": (CANCEL, OPEN)})
    for shown in (
        render_card(card, "k"),
        render_card(card, "k", False),
        render_doc(Doc(text=text, buttons=(OPEN,)), "k"),
    ):
        check_blocks(shown)
        check_nothing_live(shown)
        actions = next(block for block in shown.blocks if block["type"] == "actions")
        assert actions["elements"][-1]["url"] == OPEN.url


def test_long_text_is_split_and_rejoins_with_its_fences() -> None:
    lines = [f"line {number} of the log" for number in range(400)]
    shown = render_doc(Doc(text="Log:\n\n```\n" + "\n".join(lines) + "\n```\n\nend"), "k")
    pieces = [block["text"]["text"] for block in shown.blocks]
    assert len(pieces) > 2
    assert all(piece.count("```") % 2 == 0 for piece in pieces)
    assert all(len(piece) <= MAX_SECTION for piece in pieces)
    joined = "\n".join(pieces)
    assert [line for line in joined.split("\n") if line.startswith("line")] == lines
    assert joined.endswith("end")


@given(text=st.text(alphabet="ab&;<>|` \n"), limit=st.integers(20, 60))
def test_a_cut_never_leaves_half_an_entity(text: str, limit: int) -> None:
    shown = fit(mrkdwn(text), limit)
    assert len(shown) <= limit
    assert not re.search(r"&(?!(?:amp|lt|gt);)", shown)
    assert not LIVE.search(shown)


def test_render_takes_both() -> None:
    assert render(CARD, "k") == render_card(CARD, "k")
    assert render(DOC, "k") == render_doc(DOC, "k")

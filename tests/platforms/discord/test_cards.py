"""Cards and documents as Discord components: the goldens, the limits, and nothing live that we did not make."""

import json
import os
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import discord
import pytest
from discord.components import _component_factory
from hypothesis import given
from hypothesis import strategies as st

from bot.core.cards import Button, Card, Content, Doc, Step
from bot.core.inbound import Person
from platforms.discord.cards import (
    COMPONENTS_V2,
    Rendered,
    fit,
    question,
    render,
    render_card,
    render_doc,
    render_one,
    thread_name,
)
from platforms.discord.dialect import ZWSP, discord_markdown
from platforms.discord.simulator.kit import component_problems, shown_text

GOLDEN = Path(__file__).parents[2] / "golden" / "discord"
ANA_ID = "1300000000000000004"
ANA = Person(platform="discord", workspace_id="1300000000000000002", id=ANA_ID, name="ana")
CANCEL = Button(
    label="Cancel", name="Cancel CT-42", value="codetask:cancel:CT-42", style="danger", confirm="Cancel CT-42?"
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
        "colour": "red",
    }
)
DOC = Doc(text="PR ready: [acme/web#87](<https://github.com/acme/web/pull/87>)", mention=ANA, buttons=(OPEN,))


def check(shown: Iterable[Rendered]) -> None:
    """What the platform says, and what the SDK makes of it."""
    for page in shown:
        assert component_problems(page.components, v2=True) == []
        assert 0 < len(shown_text(page.components)) <= 4000
        for component in page.components:
            parsed = _component_factory(component)  # type: ignore[arg-type]
            assert parsed is not None
            assert parsed.type.value == component["type"]


@pytest.mark.parametrize(
    ("name", "content"), [("card_testing", CARD), ("card_failed", FAILED), ("doc_pull_request", DOC)]
)
def test_goldens(name: str, content: Content) -> None:
    shown = render(content)
    check(shown)
    path = GOLDEN / f"{name}.json"
    drawn = json.dumps([page.payload() for page in shown], indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(drawn, "utf-8")
    assert path.read_text("utf-8") == drawn


def test_the_payload_is_components_v2_and_notifies_exactly_one_person() -> None:
    sent = render_doc(DOC)[0].payload(nonce="k", flags=64)
    assert sent["flags"] == COMPONENTS_V2 | 64 == discord.MessageFlags(components_v2=True, ephemeral=True).value
    assert sent["allowed_mentions"] == {"parse": [], "users": [ANA_ID], "replied_user": False}
    assert "content" not in sent
    assert render_card(CARD).payload()["allowed_mentions"] == {"parse": [], "users": [], "replied_user": False}


def test_buttons() -> None:
    shown = render_doc(Doc(text="x", buttons=(CANCEL, DETAILS, DETAILS, OPEN)))[0]
    cancel, details, again, link = shown.components[1]["components"]
    assert cancel["custom_id"] == "codetask:cancel:CT-42#0?"
    assert cancel["style"] == discord.ButtonStyle.danger.value
    assert details["custom_id"] == "codetask:details:CT-42#1"
    assert again["custom_id"] != details["custom_id"]
    assert (link["style"], link["url"]) == (discord.ButtonStyle.link.value, OPEN.url)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://a b", "https://x>y", "discord://x", "//x", ""])
def test_a_button_links_only_to_the_web(url: str) -> None:
    shown = render_doc(Doc(text="x", buttons=(Button(label="Go", name="Go", url=url),)))[0]
    assert [one["type"] for one in shown.components] == [10]


def test_a_question_has_two_answers_that_carry_everything() -> None:
    shown = question("Cancel CT-42? <@1>", "Cancel CT-42", "Not now", "codetask:cancel:CT-42")
    check([shown])
    assert [one["custom_id"] for one in shown.components[1]["components"]] == [
        "codetask:cancel:CT-42",
        "codetask-dismiss",
    ]


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**bold** _it_ ~~gone~~ `code`", "**bold** *it* ~~gone~~ `code`"),
        ("# Title\n\ntext", "**Title**\n\ntext"),
        ("- a\n- b\n  - c", "- a\n- b\n  - c"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("> quoted\n> text", "> quoted\n> text"),
        ("[a](https://x.io/?a=1&b=2)", "[a](<https://x.io/?a=1&b=2>)"),
        ("[https://good.io](https://evil.io)", f"[https{ZWSP}://good.io (https{ZWSP}://evil.io)](<https://evil.io>)"),
        ("[a](javascript:x)", "\\[a\\](javascript:x)"),
        ("![cat](https://x.io/c.png)", "[cat](<https://x.io/c.png>)"),
        ("```py\na < b\n```", "```py\na < b\n```"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "```\na | b\n1 | 2\n```"),
        (r"\*plain\* snake_case", r"\*plain\* snake\_case"),
        (r"\# no heading", r"\# no heading"),
        ("https://x.io", f"https{ZWSP}://x.io"),
        ("a\nb", "a\nb"),
        ("``a`b``", "`aˋb`"),
        ("", ""),
    ],
)
def test_markdown_in_discords_dialect(markdown: str, shown: str) -> None:
    assert discord_markdown(markdown) == shown


def test_only_a_real_person_is_mentioned() -> None:
    assert shown_text(render_doc(Doc(text="hi", mention=ANA))[0].components) == f"<@{ANA_ID}> hi"
    odd = Person(platform="discord", workspace_id="1", id="1> @everyone", name="@everyone")
    shown = render_doc(Doc(text="hi", mention=odd))[0]
    assert (shown_text(shown.components), shown.mentions) == (f"@{ZWSP}everyone hi", ())
    other = Person(platform="slack", workspace_id="T0", id=ANA_ID, name="ana")
    assert render_doc(Doc(text="hi", mention=other))[0].mentions == ()


def test_threads_are_named_in_a_hundred_characters() -> None:
    assert thread_name(CARD, "Code task") == "CT-42 Add a CSV export button"
    assert thread_name(Doc(text="x", topic=" a\n b "), "Code task") == "a b"
    assert thread_name(Doc(text="\u202e"), "Code task") == "Code task"
    assert len(thread_name(CARD.model_copy(update={"title": "word " * 90}), "")) <= 100


# --- Hostile texts ----------------------------------------------------------------------------------------------------

HOSTILE = [
    "@everyone @here <@1300000000000000004> <@!1300000000000000004> <@&1300000000000000005> <#1300000000000000006>",
    "@\u200beveryone <\u200b@1300000000000000004> @ev\u200beryone @EVERYONE @Here",
    "```\n@everyone <@1300000000000000004>\n``` @everyone",
    "`@everyone` ``<@1300000000000000004>``",
    "[@everyone](https://x.io) [x](<https://x.io/@everyone>)",
    "&lt;@1300000000000000004&gt; &#64;everyone",
    "> @everyone\n- <@1300000000000000004>\n# @here\n\n| @everyone |\n|---|\n| <@1300000000000000004> |",
    "**@everyone** _<@1300000000000000004>_ ~~@here~~ \\<@1300000000000000004\\>",
    "<:name:1300000000000000004> <a:name:1300000000000000004> </cmd:1300000000000000004> <t:1:R> <id:guide>",
    "[label](https://evil.io) <https://evil.io> https://evil.io discord://-/x steam://run",
    "\\\\@everyone \\@everyone \\\\<@1300000000000000004>",
    "||spoiler|| -# small\n>>> quote\n### head",
]
LIVE = re.compile(r"<(?:@[!&]?|#|a?:\w+:|t:|id:|/)[^>\s]*>|@(?:everyone|here)", re.IGNORECASE)
BARE = re.compile(r"(?:https?|steam|discord)://", re.IGNORECASE)
LINKS_AND_CODE = re.compile(r"\]\(<[^>]*>\)|(?<!\\)<https?://[^>]*>|(?<!\\)```.*?```|(?<!\\)`[^`]*`", re.DOTALL)
MARKS = ["@everyone", "@here", "<@1300000000000000004>", "<@&1>", "<#1>", "https://evil.io", "`", "```", "\\", "**"]
MARKS += ["[", "](", ")", "<", ">", "\n", "> ", "- ", "# ", "||", "~~", "_", " ", "x", "字", "\u200b", "\u202e", "&lt;"]


def check_nothing_live(shown: Iterable[Rendered]) -> None:
    for page in shown:
        text = shown_text(page.components)
        assert not LIVE.search(text), text
        assert not BARE.search(LINKS_AND_CODE.sub("", text)), text
        assert page.mentions == ()


def hostile_card(text: str) -> Card:
    step = Step(label=text or "x", state="active", detail=text)
    button = Button(label=text or "x", name=text, value="codetask:cancel:CT-42", confirm=text)
    return Card(
        key="CT-42", title=text or "x", summary=text, meta=text, steps=(step,), body=text, buttons=(button,), foot=text
    )


def hostile_texts() -> list[str]:
    dice = random.Random(7)
    return HOSTILE + ["".join(dice.choices(MARKS, k=dice.randint(2, 40))) for _ in range(320)]


@pytest.mark.parametrize("chunk", range(8))
def test_foreign_text_is_never_live(chunk: int) -> None:
    texts = hostile_texts()[chunk::8]
    for text in texts:
        check_nothing_live([render_card(hostile_card(text))])
        check_nothing_live(render_doc(Doc(text=text)))
    assert len(texts) > 40


TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(MARKS)).map("".join))


@given(text=TEXTS)
def test_no_text_breaks_a_card_or_a_document(text: str) -> None:
    for shown in ([render_card(hostile_card(text))], render_doc(Doc(text=text, buttons=(DETAILS,)))):
        check(shown)
        check_nothing_live(shown)


@pytest.mark.parametrize(
    "text", ["x" * 50_000, "<@1>" * 5_000, "word " * 5_000, "```\n" + "line <&>\n" * 3_000 + "```", "**b** " * 2_000]
)
def test_what_is_too_long_loses_its_body_never_its_buttons(text: str) -> None:
    card = hostile_card(text).model_copy(update={"buttons": (CANCEL, OPEN)})
    for shown in (
        [render_card(card)],
        render_doc(Doc(text=text, buttons=(CANCEL, OPEN))),
        [render_one(Doc(text=text))],
    ):
        check(shown)
        check_nothing_live(shown)
    links = [one for one in walk(render_card(card).components) if one.get("url")]
    assert [one["url"] for one in links] == [OPEN.url]


def walk(components: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for one in components:
        yield one
        yield from walk(one.get("components", ()))


def test_long_text_is_split_and_rejoins_with_its_fences() -> None:
    lines = [f"line {number} of the log" for number in range(400)]
    pages = render_doc(Doc(text="Log:\n\n```\n" + "\n".join(lines) + "\n```\n\nend"))
    pieces = [shown_text(page.components) for page in pages]
    assert len(pieces) > 2
    assert all(piece.count("```") % 2 == 0 for piece in pieces)
    joined = "\n".join(pieces)
    assert [line for line in joined.split("\n") if line.startswith("line")] == lines
    assert joined.endswith("end")


@given(text=st.text(alphabet="ab&;<>|` \n*[]()"), limit=st.integers(20, 60))
def test_a_cut_stays_within_its_limit_and_closes_code(text: str, limit: int) -> None:
    shown = fit(discord_markdown(text), limit)
    assert len(shown) <= limit
    assert not LIVE.search(shown)

"""Cards and documents as Lark cards: the goldens, the limits, every language, and nothing live that we did not make."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.cards import Button, Card, Doc, Step
from bot.core.inbound import Person
from platforms.lark.cards import MAX_BUTTONS, MAX_CARD, MAX_ELEMENT, MAX_TOAST, render, size, toast
from platforms.lark.markdown import fit, markdown
from platforms.lark.simulator import card_problem
from tests.platforms.lark.payloads import ANA, BO, ROOT

GOLDEN = Path(__file__).parents[2] / "golden" / "lark"
PERSON = Person(platform="lark", workspace_id="t", id=ANA, name="ana")
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
        Step(label="Running tests", state="active", detail="since 14:09"),
        Step(label="Pull request", state="pending"),
    ),
    body="Reading **contacts** & exports",
    buttons=(CANCEL, DETAILS),
    foot="CT-42#1 · worker-1 · $0.12",
)
CHINESE = CARD.model_copy(
    update={
        "language": "zh",
        "title": "CT-42 添加 CSV 导出按钮",
        "summary": "CT-42 测试中：添加 CSV 导出按钮",
        "meta": "@ana · `acme/web` · 14:02 创建",
        "steps": (
            Step(label="排队", state="done", detail="2 分钟"),
            Step(label="运行测试", state="active", detail="14:09 起"),
            Step(label="合并请求", state="pending"),
        ),
        "body": "正在读取**联系人**与导出",
        "buttons": (
            CANCEL.model_copy(update={"label": "取消", "name": "取消 CT-42", "confirm": "取消 CT-42？分支会保留。"}),
            DETAILS.model_copy(update={"label": "详情", "name": "CT-42 的详情"}),
        ),
    }
)
BOTH = CARD.model_copy(update={"translations": {"zh": CHINESE}})
FAILED = CARD.model_copy(
    update={
        "title": "CT-42 Add a CSV export button · Failed",
        "steps": (Step(label="Queued", state="done"), Step(label="Running tests", state="failed", detail="exit 1")),
        "body": "2 of 38 failed\n\n```\nAssertionError: <b> & `x`\n```",
        "buttons": (),
        "colour": "red",
    }
)
DOC = Doc(text="PR ready: [acme/web#87](<https://github.com/acme/web/pull/87>)", mention=PERSON, buttons=(OPEN,))


def check(shown: str) -> dict[str, Any]:
    """What Lark's published rules say, and its limit in bytes."""
    assert size(shown) <= MAX_CARD
    card: dict[str, Any] = json.loads(shown)
    assert card_problem(card) is None
    assert card["config"]["update_multi"] is True
    for element in card["body"]["elements"]:
        if element["tag"] == "markdown":
            assert all(len(text) <= MAX_ELEMENT for text in (element["content"], *_texts(element)))
    return card


def _texts(element: dict[str, Any]) -> list[str]:
    return list(element.get("i18n_content", {}).values())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("card_testing", render(CARD)),
        ("card_testing_both", render(BOTH, ROOT)),
        ("card_failed", render(FAILED)),
        ("doc_pull_request", render(DOC)),
    ],
)
def test_goldens(name: str, shown: str) -> None:
    path = GOLDEN / f"{name}.json"
    drawn = json.dumps(check(shown), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(drawn, "utf-8")
    assert path.read_text("utf-8") == drawn


def test_every_element_has_both_languages() -> None:
    card = check(render(BOTH))
    assert card["config"]["locales"] == ["en_us", "zh_cn"]
    assert card["config"]["summary"]["i18n_content"]["zh_cn"] == CHINESE.summary
    assert card["header"]["title"]["i18n_content"] == {"en_us": CARD.title, "zh_cn": CHINESE.title}
    for element in card["body"]["elements"]:
        if element["tag"] == "markdown":
            assert set(element["i18n_content"]) == {"en_us", "zh_cn"}
            assert element["content"] == element["i18n_content"]["en_us"]
    cancel = _buttons(card)[0]
    assert cancel["text"]["i18n_content"]["zh_cn"] == "取消"
    assert cancel["confirm"]["text"]["i18n_content"]["zh_cn"] == "取消 CT-42？分支会保留。"


def test_the_default_is_the_language_of_the_content() -> None:
    turned = CHINESE.model_copy(update={"translations": {"en": CARD}})
    card = check(render(turned))
    assert card["header"]["title"]["content"] == CHINESE.title
    assert card["header"]["title"]["i18n_content"]["en_us"] == CARD.title
    assert "i18n_content" not in json.dumps(check(render(CARD)))
    assert "i18n_content" not in json.dumps(check(render(CARD.model_copy(update={"translations": {"xx": CHINESE}}))))


def test_a_language_with_less_to_say_shows_nothing_twice() -> None:
    long = Doc(text="word " * 2000, translations={"zh": Doc(text="短", language="zh")})
    first, *others = check(render(long))["body"]["elements"]
    assert others
    assert first["i18n_content"]["zh_cn"] == "短"
    assert {element["i18n_content"]["zh_cn"] for element in others} == {"\u200b"}


def _buttons(card: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [element for element in card["body"]["elements"] if element["tag"] == "column_set"]
    return [column["elements"][0] for row in rows for column in row["columns"]]


def test_buttons_remember_their_thread_and_ask_before_the_last_step() -> None:
    cancel, details = _buttons(check(render(CARD, ROOT)))
    assert cancel["behaviors"] == [{"type": "callback", "value": {"codetask": "codetask:cancel:CT-42", "root": ROOT}}]
    assert (cancel["type"], cancel["hover_tips"]["content"]) == ("danger", "Cancel CT-42")
    assert cancel["confirm"]["text"]["content"] == "Cancel CT-42? The branch is kept."
    assert "confirm" not in details
    assert _buttons(check(render(CARD)))[1]["behaviors"][0]["value"] == {"codetask": "codetask:details:CT-42"}


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://a b", "https://x>y", "lark://x", "//x"])
def test_a_button_links_only_to_the_web(url: str) -> None:
    assert _buttons(check(render(Doc(text="x", buttons=(Button(label="Go", name="Go", url=url),))))) == []


def test_half_a_character_in_an_address_breaks_nothing() -> None:
    (go,) = _buttons(check(render(Doc(text="x", buttons=(Button(label="Go", name="Go", url="https://x.io/\ud800"),)))))
    assert go["behaviors"][0]["default_url"] == "https://x.io/?"


@pytest.mark.parametrize("colour", ["blue", "amber", "green", "red", "grey"])
def test_every_colour_is_one_of_lark_s(colour: str) -> None:
    assert check(render(CARD.model_copy(update={"colour": colour})))["header"]["template"]


@pytest.mark.parametrize(
    ("source", "lark"),
    [
        ("**bold** _it_ ~~gone~~ `code`", "**bold** *it* ~~gone~~ `code`"),
        ("# Title\n\ntext", "**Title**\n\ntext"),
        ("- a\n- b\n  - c", "- a\n- b\n    - c"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("> quoted\n> text", "> quoted\n> text"),
        ("[a](https://x.io/?a=1&b=2)", "[a](https://x.io/?a=1&b=2)"),
        ("[a](<https://x.io/(b)>)", "[a](https://x.io/%28b%29)"),
        ("[https://good.io](https://evil.io)", "[https:\u200b//good.io (https:\u200b//evil.io)](https://evil.io)"),
        ("[a](javascript:x)", "&#91;a&#93;(javascript:x)"),
        ("https://evil.io www.evil.io", "https:\u200b//evil.io www\u200b.evil.io"),
        ("```py\na < b\n```", "```py\na < b\n```"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "```\na | b\n1 | 2\n```"),
        ("a<br>b", "a&#60;br&#62;b"),
        (r"\*plain\* \# no", "&#42;plain&#42; # no"),
        ("\\# no\n\\- no\n1\\. no", "&#35; no\n&#45; no\n&#49;. no"),
        (":DONE: 12:30:45", "&#58;DONE: 12&#58;30:45"),
        ("a\nb", "a\nb"),
        ("``a`b``", "`aˋb`"),
        ("", ""),
    ],
)
def test_markdown_in_lark_s_dialect(source: str, lark: str) -> None:
    assert markdown(source) == lark


def test_only_a_real_person_is_mentioned() -> None:
    def first(person: Person) -> str:
        return check(render(Doc(text="hi", mention=person)))["body"]["elements"][0]["content"]

    assert first(PERSON) == f"<at id={ANA}></at> hi"
    odd = Person(platform="lark", workspace_id="t", id="all", name="<at id=all></at>")
    assert first(odd) == "&#60;at id=all&#62;&#60;/at&#62; hi"
    assert first(Person(platform="slack", workspace_id="t", id=ANA, name="ana")) == "ana hi"


# --- Hostile texts ----------------------------------------------------------------------------------------------------

SHAPES = (
    "{0}",
    "a {0} b",
    "**{0}** _{0}_ ~~{0}~~",
    "`{0}`",
    "```\n{0}\n```",
    "> {0}\n- {0}\n# {0}",
    "[{0}](https://x.io) ![{0}](https://x.io/c.png)",
    "| {0} |\n|---|\n| {0} |",
    "\\{0} \u202e{0}\u202c",
    "1. {0}\n2. [l][r]\n\n[r]: https://x.io/{0}",
)
SEEDS = (
    '<at user_id="all">all</at>',
    "<at id=all></at>",
    "< at id=all>",
    "<AT id='all'/>",
    f"<at id={BO}></at>",
    f"<person id='{BO}' show_name=true></person>",
    "<a href='https://evil.io'>good.io</a>",
    "<font color='red'>red</font>",
    "<link icon='x' url='https://evil.io'>x</link>",
    "<text_tag color='red'>x</text_tag>",
    "<\u200bat id=all></at>",
    "&lt;at id=all&gt;&lt;/at&gt;",
    "&#60;at id=all&#62;",
    "@_all @all @everyone",
    "[x](https://evil.io)](https://good.io)",
    "[a](<https://x.io/)[evil](https://evil.io>)",
    "![img](img_v3_abc)",
    "```\n<at id=all></at>\n",
    "$urlVal {{var}} ${card}",
    ":DONE: ---\n***\n===",
    "<at\nid=all></at>",
    "<at\tid=all ></at>",
    "</at><at id=all>",
    "\x1b]8;;https://evil.io\x07x\x1b]8;;\x07",
    "<!channel> <@U0BO> <@!1> <#C1>",
    "<local_datetime millisecond='1'></local_datetime>",
    "<number_tag>1</number_tag><record></record>",
    "][](https://evil.io)",
    "**<at id=all></at>",
    "~~~\n<at id=all></at>\n~~~",
    "\ud800<at id=all>\x00",
)
HOSTILE = [shape.replace("{0}", seed) for shape in SHAPES for seed in SEEDS]
LINKS = re.compile(r"\]\(([^()\s]*)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def all_texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["content"]] if isinstance(value.get("content"), str) else []
        return own + list(value.get("i18n_content", {}).values()) + [t for v in value.values() for t in all_texts(v)]
    return [text for item in value for text in all_texts(item)] if isinstance(value, list) else []


def check_nothing_live(shown: str, allowed: str = "") -> None:
    card = check(shown)
    for text in all_texts(card):
        told = text.replace(allowed, "") if allowed else text
        assert not re.search(r"<\s*/?\s*(?:at|person|a|link|font|text_tag|number_tag)\b", told, re.IGNORECASE), text
    for element in card["body"]["elements"]:
        if element["tag"] != "markdown":
            continue
        for text in (element["content"], *_texts(element)):
            outside = CODE.sub("", text)
            assert not re.search(r"<(?!\u200b)", outside.replace(allowed, "") if allowed else outside), text
            assert not re.search(r"(?<![(\w])https?://", outside), text
            assert all(url.startswith(("https://", "http://")) for url in LINKS.findall(outside)), text


def hostile_card(text: str) -> Card:
    step = Step(label=text or "x", state="active", detail=text)
    button = Button(label=text or "x", name=text, value="codetask:cancel:CT-42", confirm=text)
    card = Card(
        key="CT-42", title=text, summary=text, meta=text, steps=(step,), body=text, buttons=(button,), foot=text
    )
    return card.model_copy(update={"translations": {"zh": card.model_copy(update={"language": "zh"})}})


def test_there_are_three_hundred_hostile_texts() -> None:
    assert len(set(HOSTILE)) >= 300


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_foreign_text_is_never_live(seed: int) -> None:
    for shape in SHAPES:
        text = shape.replace("{0}", SEEDS[seed])
        check_nothing_live(render(hostile_card(text)))
        check_nothing_live(render(Doc(text=text, mention=PERSON)), allowed=f"<at id={ANA}></at>")


MARKS = st.lists(st.sampled_from([*"<>&|@!#*_~`[]()\\\n -$:", "```", "&#60;", "https://", "<at id=all>", "x", "字"]))
TEXTS = st.one_of(st.text(), MARKS.map("".join))


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_no_text_breaks_a_card(text: str) -> None:
    check_nothing_live(render(hostile_card(text)))
    check_nothing_live(render(Doc(text=text or "x", buttons=(DETAILS,))))


@pytest.mark.parametrize(
    "text",
    [
        "x" * 50_000,
        "<&>" * 20_000,
        "word " * 10_000,
        "🙂" * 20_000,
        '"said"\n\n' * 9_000,
        "```\n" + "line <&>\n" * 9_000 + "```",
    ],
)
def test_what_is_too_long_loses_its_body_never_its_buttons(text: str) -> None:
    card = hostile_card(text).model_copy(update={"buttons": (*[CANCEL] * 20, OPEN)})
    both = card.model_copy(update={"translations": {"zh": card.model_copy(update={"translations": {}})}})
    for content in (card, both, Doc(text=text, buttons=(CANCEL, OPEN))):
        shown = _buttons(check(render(content)))
        assert len(shown) <= MAX_BUTTONS
        assert shown[-1]["behaviors"] == [{"type": "open_url", "default_url": OPEN.url}]
        assert shown[0]["behaviors"][0]["value"] == {"codetask": "codetask:cancel:CT-42"}


@given(text=st.text(alphabet="ab&;<>|` \n[]()"), limit=st.integers(20, 60))
def test_a_cut_never_leaves_half_an_entity_or_a_code_block(text: str, limit: int) -> None:
    shown = fit(markdown(text), limit)
    assert len(shown) <= limit
    assert not re.search(r"&(?!#\d+;)", CODE.sub("", shown))
    assert len(re.findall(r"^```", shown, re.MULTILINE)) % 2 == 0


# --- Toasts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", range(8, 75))
def test_a_cut_brings_no_code_to_life(limit: int) -> None:
    shown = fit(
        markdown("run `x](y) [here](https://evil.example) **b** <a>` and `a[0]` of [docs](https://ok.example)"), limit
    )
    outside = re.sub(r"`[^`]*`", "", shown)
    assert ("`" in outside, "evil" in outside) == (False, False)
    assert re.fullmatch(r"[^\[\]]*(\[docs\]\(https://ok\.example\))?…?", outside)


def test_a_short_private_answer_is_a_toast_in_every_language() -> None:
    doc = Doc(
        text="**CT-1** is cancelled.", mention=PERSON, translations={"zh": Doc(text="CT-1 已取消。", language="zh")}
    )
    assert toast(doc) == {
        "type": "info",
        "content": "CT-1 is cancelled.",
        "i18n": {"en_us": "CT-1 is cancelled.", "zh_cn": "CT-1 已取消。"},
    }


@pytest.mark.parametrize(
    "doc",
    [
        Doc(text="x" * (MAX_TOAST + 1)),
        Doc(text="one\n\ntwo"),
        Doc(text="```\ncode\n```"),
        Doc(text="see [this](https://x.io)"),
        Doc(text="pick", buttons=(CANCEL,)),
        Doc(text=""),
        Doc(text="short", translations={"zh": Doc(text="长" * (MAX_TOAST + 1), language="zh")}),
    ],
)
def test_what_does_not_fit_a_toast(doc: Doc) -> None:
    assert toast(doc) is None

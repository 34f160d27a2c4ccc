"""Cards in the Lark simulator: what is accepted, what a viewer sees, what a button press does."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from platforms.lark.simulator import LarkSimulator, StoredMessage, card_problem, summary
from tests.platforms.lark.wire import Rest, Socket, card_message, connected, rest_client

Json = dict[str, Any]
LINE = {"tag": "markdown", "content": "hello"}


def plain(text: str, chinese: str = "") -> Json:
    return {"tag": "plain_text", "content": text} | ({"i18n_content": {"zh_cn": chinese}} if chinese else {})


def button(label: str, value: Any, **more: Any) -> Json:
    return {"tag": "button", "text": plain(label), "behaviors": [{"type": "callback", "value": value}], **more}


def row(*elements: Json) -> Json:
    columns = [{"tag": "column", "width": "auto", "elements": [element]} for element in elements]
    return {"tag": "column_set", "flex_mode": "flow", "horizontal_spacing": "small", "columns": columns}


FULL: Json = {
    "schema": "2.0",
    "config": {
        "update_multi": True,
        "width_mode": "fill",
        "locales": ["en_us", "zh_cn"],
        "summary": {
            "content": "CT-42 is running",
            "i18n_content": {"en_us": "CT-42 is running", "zh_cn": "CT-42 运行中"},
        },
    },
    "header": {
        "title": plain("CT-42 Fix the login", "CT-42 修复登录"),
        "subtitle": plain("for @ana"),
        "template": "blue",
        "text_tag_list": [{"tag": "text_tag", "text": plain("running", "运行中"), "color": "blue"}],
    },
    "body": {
        "direction": "vertical",
        "elements": [
            {"tag": "markdown", "content": "**Steps**", "i18n_content": {"zh_cn": "**步骤**"}, "element_id": "steps"},
            {"tag": "div", "text": plain("○ tests", "○ 测试")},
            {"tag": "hr"},
            row(
                button("Cancel CT-42", {"v": "codetask:cancel:42"}, type="danger", element_id="b1"),
                {
                    "tag": "button",
                    "text": plain("Open PR", "打开 PR"),
                    "behaviors": [{"type": "open_url", "default_url": "https://example.com/pr/1"}],
                },
            ),
            {
                "tag": "collapsible_panel",
                "expanded": False,
                "header": {"title": plain("Log", "日志")},
                "elements": [{"tag": "markdown", "content": "line 1"}],
            },
            {
                "tag": "table",
                "page_size": 5,
                "columns": [{"name": "a", "display_name": "File"}, {"name": "b", "display_name": "Lines"}],
                "rows": [{"a": "x.py", "b": 3}],
            },
            {"tag": "img", "img_key": "img_v3_1", "alt": plain("a chart", "图表")},
        ],
    },
}


@pytest.fixture
def sim() -> Iterator[LarkSimulator]:
    with LarkSimulator() as simulator:
        yield simulator
        assert simulator.surprises == []


@pytest.fixture
async def rest(sim: LarkSimulator) -> AsyncIterator[Rest]:
    async with rest_client(sim) as client:
        yield client


async def posted(sim: LarkSimulator, rest: Rest, card: Json, chat: str = "dev") -> StoredMessage:
    await rest.say("", chat, msg_type="interactive", content=json.dumps(card, ensure_ascii=False))
    return sim.sent[-1]


async def test_each_viewer_sees_their_language(sim: LarkSimulator, rest: Rest) -> None:
    card = await posted(sim, rest, FULL)
    assert sim.render_text(card, "en").split("\n") == [
        "CT-42 Fix the login",
        "for @ana",
        "(running)",
        "**Steps**",
        "○ tests",
        "---",
        "[Cancel CT-42] [Open PR]",
        "▸ Log",
        "line 1",
        "File | Lines",
        "x.py | 3",
        "[image: a chart]",
    ]
    chinese = sim.render_text(card, sim.user("cy"))
    for text in (
        "CT-42 修复登录",
        "(运行中)",
        "**步骤**",
        "○ 测试",
        "[Cancel CT-42] [打开 PR]",
        "▸ 日志",
        "[image: 图表]",
    ):
        assert text in chinese
    assert [(b.label, b.value, b.url) for b in sim.buttons(card, "zh")] == [
        ("Cancel CT-42", {"v": "codetask:cancel:42"}, ""),
        ("打开 PR", None, "https://example.com/pr/1"),
    ]
    assert (summary(card, "en"), summary(card, "zh")) == ("CT-42 is running", "CT-42 运行中")


async def test_mentions_in_cards_are_shown_by_name(sim: LarkSimulator, rest: Rest) -> None:
    line = {"tag": "markdown", "content": f"<at id={sim.user('ana').id}></at> please look"}
    card = await posted(sim, rest, {"schema": "2.0", "body": {"elements": [line]}})
    assert sim.render_text(card) == "@ana please look"


def with_elements(*elements: Any, **card: Any) -> Json:
    return {"schema": "2.0", "body": {"elements": list(elements)}, **card}


TABLE = "| a | b |\n|---|---|\n| 1 | 2 |\n"


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ([], "200621"),
        ({"elements": [LINE]}, "schema"),
        (with_elements(LINE, elements=[]), "unknown property, property: elements"),
        (with_elements(LINE | {"colour": "red"}), "unknown property, property: colour"),
        (with_elements({"tag": "markdown"}), "missing property, property: content"),
        (with_elements({"tag": "markdown", "content": 7}), "must be a string"),
        (with_elements({"tag": "note", "elements": []}), "ErrCode: 200861"),
        (with_elements({"tag": "action", "actions": []}), "unsupported tag action"),
        (with_elements({"tag": "carousel"}), "not support tag: carousel"),
        (with_elements("text"), "not support tag: None"),
        (with_elements(button("x", 1) | {"value": 1}), "property: value"),
        (with_elements(button("x", 1) | {"type": "green"}), "invalid value 'green'"),
        (with_elements(button("x", 1) | {"behaviors": [{"type": "dance"}]}), "unknown behavior dance"),
        (
            with_elements(button("x", 1) | {"behaviors": [{"type": "open_url", "default_url": "javascript:x"}]}),
            "invalid url",
        ),
        (with_elements(LINE | {"i18n_content": {"en": "x"}}), "property: en"),
        (with_elements(LINE | {"element_id": "1x"}), "element_id"),
        (with_elements(LINE | {"element_id": "a"}, LINE | {"element_id": "a"}), "duplicate"),
        (with_elements(LINE, config={"update_multi": False}), "invalid value 'False'"),
        (with_elements(LINE, header={"title": plain("x"), "template": "pink"}), "invalid value 'pink'"),
        (with_elements(LINE, header={"template": "blue"}), "property: title"),
        (with_elements(*[LINE] * 201), "at most 200"),
        (with_elements(*[row(LINE)] * 70), "element number over limit"),
        (with_elements(*[{"tag": "markdown", "content": TABLE}] * 6), "11310"),
        (with_elements({"tag": "markdown", "content": "\n".join([TABLE] * 6)}), "11310"),
        (with_elements(*[{"tag": "table", "columns": [], "rows": []}] * 6), "card table number over limit"),
        (with_elements(row(row({"tag": "markdown", "content": "x", "bad": 1}))), "[0](tag: column)"),
    ],
)
def test_cards_that_lark_refuses(card: Any, said: str) -> None:
    problem = card_problem(card)
    assert problem is not None and said in problem


@pytest.mark.parametrize(
    "card",
    [
        FULL,
        {"schema": "2.0"},
        with_elements(*[{"tag": "markdown", "content": TABLE}] * 5),
        with_elements({"tag": "markdown", "content": "```\n" + TABLE * 6 + "```"}),
        with_elements(*[LINE] * 200),
        with_elements({"tag": "interactive_container", "elements": [LINE], "behaviors": []}),
    ],
)
def test_cards_that_lark_takes(card: Json) -> None:
    assert card_problem(card) is None


async def pressed(sim: LarkSimulator, socket: Socket, card: StoredMessage, who: str = "bo") -> Any:
    delivery = sim.clicks(who, card, "Go")
    assert delivery is not None
    frame, payload = await socket.event()
    return delivery, frame, payload


GO = with_elements(button("Go", {"v": "codetask:go:1"}))
TOAST = {"toast": {"type": "success", "content": "Done", "i18n": {"en_us": "Done", "zh_cn": "好了"}}}


async def test_a_press_and_its_toast(sim: LarkSimulator, rest: Rest) -> None:
    card = await posted(sim, rest, GO)
    async with connected(sim) as socket:
        for who, text in (("bo", "Done"), ("cy", "好了")):
            delivery, frame, payload = await pressed(sim, socket, card, who)
            await socket.ack(frame, TOAST)
            await sim.wait_for(lambda delivery=delivery: delivery.acked)
            assert (sim.whispers[-1].user, sim.whispers[-1].text) == (sim.user(who).id, text)
    assert payload["header"]["event_type"] == "card.action.trigger"
    event = payload["event"]
    assert event["operator"]["open_id"] == sim.user("cy").id
    assert (event["action"]["tag"], event["action"]["value"]) == ("button", {"v": "codetask:go:1"})
    assert event["context"] == {"open_message_id": card.id, "open_chat_id": sim.channel("dev").id}
    assert sim.whispers[0].texts == {"en_us": "Done", "zh_cn": "好了"}
    assert delivery.answer == TOAST and sim.edits == []


async def test_an_answer_may_carry_a_card(sim: LarkSimulator, rest: Rest) -> None:
    card = await posted(sim, rest, GO)
    async with connected(sim) as socket:
        delivery, frame, _ = await pressed(sim, socket, card)
        await socket.ack(frame, {"card": {"type": "raw", "data": with_elements(LINE)}})
        await sim.wait_for(lambda: delivery.acked)
    assert (sim.render_text(card), [e.via for e in sim.edits]) == ("hello", ["callback"])


async def test_a_card_patched_before_the_answer_goes_back(sim: LarkSimulator, rest: Rest) -> None:
    card = await posted(sim, rest, GO)
    path = f"/im/v1/messages/{card.id}"
    async with connected(sim) as socket:
        delivery, frame, _ = await pressed(sim, socket, card)
        await rest.data("PATCH", path, {"content": card_message(LINE)["content"]})
        assert sim.render_text(card) == "hello"
        await socket.ack(frame, TOAST)
        await sim.wait_for(lambda: delivery.acked)
        assert (sim.render_text(card), [e.via for e in sim.edits]) == ("[Go]", ["patch", "reverted"])
        await rest.data("PATCH", path, {"content": card_message(LINE)["content"]})
    assert sim.render_text(card) == "hello"


async def test_a_press_without_an_answer_is_lost(sim: LarkSimulator, rest: Rest) -> None:
    card = await posted(sim, rest, GO)
    async with connected(sim) as socket:
        delivery, frame, _ = await pressed(sim, socket, card)
        sim.advance(timedelta(seconds=3))
        assert (delivery.state, delivery.error, len(delivery.attempts)) == ("lost", "timeout", 1)
        await socket.ack(frame, TOAST)
        refused, frame, _ = await pressed(sim, socket, card)
        await socket.ack(frame, code=500)
        await sim.wait_for(lambda: refused.over)
        assert (refused.state, refused.error) == ("lost", "refused")
    assert sim.whispers == []
    sim.advance(timedelta(hours=8))
    assert len(delivery.attempts) == len(refused.attempts) == 1
    assert [h.kind for h in sim.happenings].count("refused") == 2


async def test_presses_that_cannot_be(sim: LarkSimulator, rest: Rest) -> None:
    tip = {"hover_tips": plain("Open the pull request")}
    link = FULL["body"]["elements"][3]["columns"][1]["elements"][0]
    card = await posted(sim, rest, with_elements(button("Go", 1, disabled=True), link | tip), "general")
    assert sim.clicks("bo", card, "打开 PR") is sim.clicks("bo", card, "Open the pull request") is None
    for who, label, why in (("bo", "Go", "disabled"), ("bo", "Stop", "no button"), ("eve", "Stop", "no button")):
        with pytest.raises(LookupError, match=why):
            sim.clicks(who, card, label)
    hidden = await posted(sim, rest, GO)
    with pytest.raises(LookupError, match="does not see"):
        sim.clicks("eve", hidden, "Go")


async def test_an_app_without_the_callback() -> None:
    with LarkSimulator(events=frozenset({"im.message.receive_v1"})) as sim:
        card = sim.shows_card("dev", {"tag": "button", "text": plain("Go")}, "v")
        delivery = sim.clicks("bo", card, "Go")
        assert delivery is not None and delivery.state == "refused"
        assert sim.uses_menu("bo", "file") is None


@pytest.mark.parametrize(
    "answer",
    [
        {"toast": {"type": "loud", "content": "x"}},
        {"toast": {"type": "info", "content": "x", "color": "red"}},
        {"card": {"type": "template", "data": {}}},
        {"card": {"type": "raw", "data": {"schema": "1.0"}}},
        {"message": "x"},
    ],
)
async def test_answers_that_lark_does_not_know_are_surprises(answer: Json) -> None:
    with LarkSimulator() as sim:
        card = sim.shows_card("dev", {"tag": "button", "text": plain("Go")}, "v")
        async with connected(sim) as socket:
            delivery, frame, _ = await pressed(sim, socket, card)
            await socket.ack(frame, answer)
            await sim.wait_for(lambda: delivery.acked)
        assert len(sim.surprises) == 1 and sim.whispers == sim.edits == []

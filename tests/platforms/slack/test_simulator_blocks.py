"""The block rules of the Slack simulator: what is fine, and what is `invalid_blocks`."""

from typing import Any

import pytest
from slack_sdk.models.blocks import (
    PlanBlock,
    RichTextBlock,
    RichTextElementParts,
    RichTextSectionElement,
    TaskCardBlock,
)

from platforms.slack.simulator.kit import block_problems, metadata_problem

Json = dict[str, Any]


def mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def section(**fields: Any) -> Json:
    return {"type": "section", **fields}


def button(**fields: Any) -> Json:
    return {"type": "button", "text": plain("Go"), "action_id": "go", **fields}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def task(**fields: Any) -> Json:
    return {"type": "task_card", "task_id": "t1", "title": "Test", "status": "pending", **fields}


def plan(*tasks: Json, **fields: Any) -> Json:
    return {"type": "plan", "title": "Progress", "tasks": list(tasks), **fields}


def rich(*sections: Json) -> Json:
    return {"type": "rich_text", "elements": list(sections)}


def words(text: str) -> Json:
    return {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}


FINE: list[list[Json]] = [
    [section(text=mrkdwn("x" * 3000))],
    [section(fields=[mrkdwn("x" * 2000)] * 10)],
    [section(text=plain("x"), accessory=button(style="danger", value="v" * 2000))],
    [{"type": "divider"}] * 50,
    [{"type": "header", "text": plain("x" * 150)}],
    [actions(*(button(action_id=f"a{n}") for n in range(25)))],
    [{"type": "context", "elements": [mrkdwn("x"), plain("y")]}],
    [{"type": "markdown", "text": "# " + "x" * 11_998}],
    [plan(task(), task(task_id="t2", status="complete", details=rich(words("done"))))],
    [task(status="in_progress"), task(status="error", sources=[{"type": "url", "url": "https://x", "text": "X"}])],
    [rich(words("hello"), {"type": "rich_text_list", "style": "bullet", "elements": [words("a")]})],
    [actions(button(confirm={"title": plain("t"), "text": plain("x"), "confirm": plain("y"), "deny": plain("n")}))],
]

BAD: list[tuple[str, list[Any]]] = [
    ("no more than 50", [{"type": "divider"}] * 51),
    ("unsupported type", [{"type": "confetti"}]),
    ("must be an object", ["text"]),
    ("3001 characters", [section(text=mrkdwn("x" * 3001))]),
    ("more than 0 characters", [section(text=mrkdwn(""))]),
    ("text or fields", [section()]),
    ("1 to 10 items", [section(fields=[mrkdwn("x")] * 11)]),
    ("2001 characters", [section(fields=[mrkdwn("x" * 2001)])]),
    ("additional property: colour", [section(text=mrkdwn("x"), colour="red")]),
    ("unsupported element", [{"type": "header", "text": mrkdwn("x")}]),
    ("151 characters", [{"type": "header", "text": plain("x" * 151)}]),
    ("1 to 25 items", [actions(*(button(action_id=f"a{n}") for n in range(26)))]),
    ("1 to 25 items", [actions()]),
    ("action_id `go` already exists", [actions(button(), button())]),
    ("2001 characters", [actions(button(value="v" * 2001))]),
    ("256 characters", [actions(button(action_id="a" * 256))]),
    ("76 characters", [actions(button(text=plain("x" * 76)))]),
    ("unsupported element", [actions(button(text=mrkdwn("x")))]),
    ("valid enum", [actions(button(style="blue"))]),
    ("256 characters", [{"type": "divider", "block_id": "b" * 256}]),
    ("block_id `b` already exists", [{"type": "divider", "block_id": "b"}] * 2),
    ("1 to 10 items", [{"type": "context", "elements": [mrkdwn("x")] * 11}]),
    ("unsupported element", [{"type": "context", "elements": [button()]}]),
    ("12001 characters", [{"type": "markdown", "text": "x" * 12_001}]),
    ("exceeds 12000", [{"type": "markdown", "text": "x" * 7_000}] * 2),
    ("cannot be used together", [plan(task()), task(task_id="t2")]),
    ("missing required field: title", [{"type": "plan", "tasks": []}]),
    ("missing required field: task_id", [plan({"type": "task_card", "title": "x", "status": "pending"})]),
    ("valid enum", [plan(task(status="completed"))]),
    ("rich_text", [plan(task(details="done"))]),
    ("exactly one", [plan(task(output=rich(words("a"), words("b"))))]),
    ("unsupported element", [plan(section(text=mrkdwn("x")))]),
    ("at least one", [rich()]),
    ("unsupported element", [rich({"type": "text", "text": "x"})]),
    ("more than 0", [rich(words(""))]),
]


@pytest.mark.parametrize("blocks", FINE, ids=lambda blocks: blocks[0]["type"])
def test_blocks_slack_accepts(blocks: list[Json]) -> None:
    assert block_problems(blocks) == []


@pytest.mark.parametrize(("complaint", "blocks"), BAD, ids=[f"{n}-{c}" for n, (c, _) in enumerate(BAD)])
def test_blocks_slack_refuses(complaint: str, blocks: list[Any]) -> None:
    problems = block_problems(blocks)
    assert any(complaint in problem for problem in problems), problems
    assert all(problem.startswith("[ERROR]") and "json-pointer:/blocks" in problem for problem in problems)


def test_blocks_that_are_no_list() -> None:
    assert block_problems({"type": "divider"}) == ["[ERROR] must provide an array [json-pointer:/blocks]"]


def test_what_slack_sdk_builds_passes() -> None:
    details = RichTextBlock(elements=[RichTextSectionElement(elements=[RichTextElementParts.Text(text="2 min")])])
    card = TaskCardBlock(task_id="1", title="Run tests", status="complete", details=details.to_dict())
    assert block_problems([PlanBlock(title="Progress", tasks=[card.to_dict()]).to_dict()]) == []


def test_plan_blocks_are_for_messages_only() -> None:
    assert "unsupported type" in block_problems([plan(task())], in_view=True)[0]


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"event_type": "t", "event_payload": {"key": "abc"}}, None),
        ({}, None),
        ([], "invalid_metadata_format"),
        ({"event_type": "t", "event_payload": {}, "more": 1}, "invalid_metadata_schema"),
        ({"event_type": 1, "event_payload": {}}, "invalid_metadata_schema"),
    ],
)
def test_metadata(metadata: Any, problem: str | None) -> None:
    assert metadata_problem(metadata) == problem

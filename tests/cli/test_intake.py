"""`codetask intake eval`: without a server, by the rules or by a model."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import Terminal
from tests.simulators.completions import KEY, MODEL, CompletionsServer, Say

CASES = Path(__file__).resolve().parents[1] / "fixtures/intake_cases.jsonl"
ROWS = [
    {"text": "It would be great to have a dark theme on the settings page", "label": "feature_request", "lang": "en"},
    {"text": "bug: the export page crashes", "label": "bug_report", "prev": ["hello", "how are you"]},
    {"text": "登录页面白屏了，点了没反应", "label": "bug_report", "lang": "zh"},
    {"text": "haha nice one", "label": "chatter", "note": "ignored"},
    {"text": "谢谢，辛苦了", "label": "chatter"},
]


def lines(rows: list[dict[str, object]]) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"


def test_the_keys_and_the_figures_of_json(terminal: Terminal) -> None:
    done = terminal.run("intake", "eval", "-", "-o", "json", stdin=lines(ROWS))
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert list(told) == [
        "average_precision",
        "at_suggest_threshold",
        "thresholds",
        "per_class",
        "by_lang",
        "ms_per_message",
    ]
    assert told["average_precision"] == 1.0
    assert told["at_suggest_threshold"].keys() == {"threshold", "precision", "recall"}
    assert (told["at_suggest_threshold"]["precision"], told["at_suggest_threshold"]["recall"]) == (1.0, 1.0)
    assert [row["threshold"] for row in told["thresholds"]] == [step / 100 for step in range(5, 100, 5)]
    assert list(told["per_class"]) == ["feature_request", "bug_report", "question", "in_progress", "chatter"]
    assert told["per_class"]["bug_report"] == {"count": 2, "precision": 1.0, "recall": 1.0}
    assert {lang: part["count"] for lang, part in told["by_lang"].items()} == {"en": 3, "zh": 2}
    assert told["ms_per_message"] > 0


def test_earlier_messages_change_nothing(terminal: Terminal) -> None:
    with_them = [row | {"prev": "feature request: something else"} for row in ROWS]
    told = [
        json.loads(terminal.run("intake", "eval", "-", "--json", stdin=lines(rows)).stdout)
        for rows in (ROWS, with_them)
    ]
    for one in told:
        one.pop("ms_per_message")
    assert told[0] == told[1]


def test_the_table_of_a_file(terminal: Terminal) -> None:
    done = terminal.run("intake", "eval", str(CASES))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("average precision  0.")
    heads = [line.split()[0] for line in done.stdout.splitlines() if line]
    assert [head for head in heads if head in ("threshold", "label", "lang")] == ["threshold", "label", "lang"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a", "label": "chatter"}\nnot json\n', "Line 2 of - is not JSON."),
        (
            '{"text": "a", "label": "chatter"}\n\n{"text": 5, "label": "chatter"}',
            "Line 3 of - is not an object with",
        ),
        ('["a"]', "Line 1 of - is not an object with a text."),
        ('{"text": "a", "label": "request"}', "Line 1 of - has no known label. Known: feature_request,"),
        ('{"text": "a"}', "Line 1 of - has no known label."),
        ('{"text": "a", "label": ["chatter"]}', "Line 1 of - has no known label."),
        ('{"text": "a", "label": "chatter", "lang": 5}', "Line 1 of -: lang is not a text."),
        ('{"text": "a", "label": "chatter", "prev": 5}', "Line 1 of -: prev is not a list of texts."),
        ("\n\n", "- has no lines."),
    ],
)
def test_a_bad_line_is_named(terminal: Terminal, content: str, said: str) -> None:
    done = terminal.run("intake", "eval", "-", stdin=content)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_an_absent_file(terminal: Terminal) -> None:
    done = terminal.run("intake", "eval", "absent.jsonl")
    assert done.returncode == 2
    assert "Cannot read absent.jsonl" in done.stderr


def answered(**values: Any) -> str:
    given = {"kind": "feature_request", "confidence": 0.9, "title": "Export", "evidence_quote": "csv export please"}
    return json.dumps(given | values)


async def run_by_model(terminal: Terminal, server: CompletionsServer, *args: str, stdin: str) -> Any:
    env = {"LLM_BASE_URL": server.url, "LLM_API_KEY": KEY, "LLM_MODEL": MODEL}
    return await asyncio.to_thread(terminal.run, "intake", "eval", "-", *args, stdin=stdin, **env)


async def test_a_model_is_measured_by_the_same_figures(terminal: Terminal) -> None:
    rows: list[dict[str, object]] = [
        {"text": "we could really use a csv export please", "label": "feature_request", "prev": ["hi", 5, "hello"]},
        {"text": "@ana which version are you on?\nand does it happen in a private window too?", "label": "question"},
    ]
    async with CompletionsServer(answered()) as server:
        done = await run_by_model(terminal, server, "--judge", "llm", "-o", "json", stdin=lines(rows))
        configured = terminal.env | {"INTAKE_JUDGE": "llm"}
        terminal.env = configured
        again = await run_by_model(terminal, server, "-o", "json", stdin=lines(rows))
    assert done.returncode == 0, done.stderr
    assert "The rules judged 1 of 2" in done.stderr
    told, twice = json.loads(done.stdout), json.loads(again.stdout)
    assert list(told)[:3] == ["average_precision", "at_suggest_threshold", "thresholds"]
    assert told["at_suggest_threshold"] == {"threshold": 0.6, "precision": 1.0, "recall": 1.0}
    assert twice["at_suggest_threshold"] == told["at_suggest_threshold"]
    assert told["ms_per_message"] > 0
    assert len(server.asked) == 2
    assert json.loads(server.asked[0]["messages"][1]["content"])["earlier_messages"] == ["hi", "hello"]


async def test_a_model_that_cannot_be_asked_is_said(terminal: Terminal) -> None:
    row: list[dict[str, object]] = [{"text": "we could really use a csv export please", "label": "feature_request"}]
    async with CompletionsServer(Say(status=401)) as server:
        done = await run_by_model(terminal, server, "--judge", "llm", stdin=lines(row))
        assert (done.returncode, done.stdout) == (1, "")
        assert "The model cannot be reached. Check LLM_BASE_URL" in done.stderr
    for env, said in (
        ({}, "No model is configured. Set LLM_BASE_URL and LLM_MODEL."),
        ({"LLM_BASE_URL": "http://model.example.net", "LLM_MODEL": "m"}, "LLM_BASE_URL must be an https address"),
    ):
        done = await asyncio.to_thread(terminal.run, "intake", "eval", "-", "--judge", "llm", stdin=lines(row), **env)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr

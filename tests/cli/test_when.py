"""`codetask when`: local, without a server."""

import json

import pytest

from tests.cli.terminal import Terminal

BERLIN = ("--tz", "Europe/Berlin", "--now", "2026-03-06T15:30")


def test_an_instant_is_printed_in_local_time(terminal: Terminal) -> None:
    done = terminal.run("when", "tomorrow 9am", *BERLIN, "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "kind": "instant",
        "at": "2026-03-07T09:00:00+01:00",
        "choices": [],
        "say": "Sat 7 Mar 09:00 (Berlin, in 17 h 30 min).",
    }


@pytest.mark.parametrize(
    ("text", "kind", "choices"),
    [
        ("tomorrow at 5", "ask", ["2026-03-07T05:00:00+01:00", "2026-03-07T17:00:00+01:00"]),
        ("2026-03-29 02:30", "ask", ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]),
        ("today at 9am", "refuse", ["2026-03-07T09:00:00+01:00"]),
        ("soon", "refuse", []),
    ],
)
def test_a_question_and_a_refusal_exit_with_2(terminal: Terminal, text: str, kind: str, choices: list[str]) -> None:
    told = terminal.run("when", text, *BERLIN, "--json")
    assert told.returncode == 2
    assert json.loads(told.stdout).items() >= {"kind": kind, "at": None, "choices": choices}.items()
    plain = terminal.run("when", text, *BERLIN)
    assert (plain.returncode, plain.stdout.split()) == (2, choices)
    assert plain.stderr.strip() == json.loads(told.stdout)["say"]


def test_every_line_of_a_file(terminal: Terminal) -> None:
    rows = [
        {"text": "in 2h", "tz": "Asia/Shanghai", "now": "2026-03-06T15:30:00+08:00"},
        {"text": "soon"},
        {"text": "in 1d", "tz": "Nowhere/Land"},
        {"text": "明天下午3点", "tz": "Asia/Shanghai", "note": "ignored"},
    ]
    written = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    done = terminal.run("when", "--file", "-", *BERLIN, stdin=written)
    assert done.returncode == 0
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["kind"] for one in told] == ["instant", "refuse", "refuse", "instant"]
    assert [one["at"] for one in told] == ["2026-03-06T17:30:00+08:00", None, None, "2026-03-07T15:00:00+08:00"]
    assert told[2]["say"] == "There is no time zone Nowhere/Land."


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["1d", "--tz", "Nowhere/Land"], "no time zone Nowhere/Land"),
        (["1d", "--now", "noonish"], "--now noonish is not a time"),
        (["--file", "absent.jsonl"], "Cannot read absent.jsonl"),
        (["--file", "-"], "Line 1"),
    ],
)
def test_wrong_arguments_are_named(terminal: Terminal, args: list[str], said: str) -> None:
    done = terminal.run("when", *args, stdin="[1]\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_zone_of_the_settings_is_used(terminal: Terminal) -> None:
    done = terminal.run("when", "1d", "--now", "2026-03-06T15:30", DEFAULT_TIMEZONE="Asia/Tokyo")
    assert done.stdout.strip() == "2026-03-07T15:30:00+09:00"
    assert "Tokyo" in done.stderr


def test_chinese_answers_in_chinese(terminal: Terminal) -> None:
    done = terminal.run("when", "明天上午9点", *BERLIN, "--language", "zh", PYTHONUTF8="1")
    assert done.stderr.strip() == "3月7日(周六) 09:00（柏林，17 小时 30 分钟后）。"

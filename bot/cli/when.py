"""`codetask when`: what a time would be read as, without a server."""

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.cli.failures import USAGE, Failure
from bot.cli.output import Format, Json, Output, out, out_json, say, wants_json

Text = Annotated[str, typer.Argument(help="The time, as one argument: 'tomorrow 9am', '明天上午9点'.")]
Tz = Annotated[str, typer.Option("--tz", help="Your time zone. Without it DEFAULT_TIMEZONE, else this machine's.")]
Now = Annotated[str, typer.Option("--now", help="Read it as if it were this time, ISO 8601.")]
File = Annotated[str, typer.Option("--file", help="Read each line {text, tz, now} of a JSONL file, - for stdin.")]
Language = Annotated[str, typer.Option("--language", help="Answer in this language: en or zh.")]


def when(
    text: Text = "",
    tz: Tz = "",
    now: Now = "",
    file: File = "",
    language: Language = "en",
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Show which instant a time is read as. Exit 2 when it has to be asked or is refused."""
    if file:
        for line in _lines(file):
            try:
                told = _answer(line["text"], line.get("tz") or tz, line.get("now") or now, language)
            except Failure as failure:  # of this line alone
                told = {"kind": "refuse", "at": None, "choices": [], "say": failure.message}
            out_json(told, line=True)
        return
    told = _answer(text, tz, now, language)
    if wants_json(output, as_json):
        out_json(told)
    else:
        for at in [told["at"]] if told["at"] else told["choices"]:
            out(at)
        say(told["say"])
    if told["kind"] != "instant":
        raise typer.Exit(USAGE)


def _answer(text: str, tz: str, now: str, language: str) -> dict[str, Any]:
    """`kind` (instant, ask, refuse), `at` and `choices` in local time with offset, and what a person is told."""
    from bot.core.texts import Texts
    from bot.core.when import Ask, When, read_when
    from bot.core.when.words import sentence

    zone = _zone(tz)
    here = _now(now, zone)
    read = read_when(text, now=here, zone=zone)
    texts = Texts.load(language)
    told = sentence(read, here, texts)

    def local(at: datetime) -> str:
        return at.astimezone(zone).isoformat(timespec="seconds")

    return {
        "kind": "instant" if isinstance(read, When) else "ask" if isinstance(read, Ask) else "refuse",
        "at": local(read.at) if isinstance(read, When) else None,
        "choices": [] if isinstance(read, When) else [local(choice.at) for choice in read.choices],
        "say": texts.say(told.key, **told.values),
    }


def _zone(name: str) -> tzinfo:
    from bot.core.when import zone_named

    name = name or os.environ.get("DEFAULT_TIMEZONE", "") or own_zone()
    zone = zone_named(name)
    if zone is None:
        raise Failure(f"There is no time zone {name}.", USAGE, "Say one like --tz Europe/Berlin.")
    return zone


def own_zone() -> str:
    """The name of the zone that this terminal or machine is set to; UTC when it does not say."""
    if told := os.environ.get("TZ", "").lstrip(":"):
        return told
    _, found, name = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")
    return name if found else "UTC"


def _now(text: str, zone: tzinfo) -> datetime:
    if not text:
        return datetime.now(UTC)
    try:
        now = datetime.fromisoformat(text)
        return (now if now.tzinfo else now.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Failure(f"--now {text} is not a time.", USAGE, "Say it like 2026-03-06T15:30.") from None


def _lines(file: str) -> Iterator[dict[str, str]]:
    try:
        lines = sys.stdin.read().splitlines() if file == "-" else Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise Failure(f"Cannot read {file}.", USAGE) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except ValueError:
            row = None
        fields = {"text", "tz", "now"}
        if not isinstance(row, dict) or "text" not in row or any(not isinstance(row.get(f, ""), str) for f in fields):
            raise Failure(f"Line {number} of {file} is not an object with text, tz and now.", USAGE)
        yield row

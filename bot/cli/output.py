"""What commands print: data on stdout (tables, JSON, bare ids), words on stderr."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from bot.cli.failures import USAGE, Failure
from bot.core.hygiene import clean


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


Output = Annotated[Format, typer.Option("-o", "--output", help="How to print: a table, or JSON with stable keys.")]
Json = Annotated[bool, typer.Option("--json", help="The same as -o json.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print only ids.")]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]

DASH: Final = "—"


def wants_json(output: Format, as_json: bool) -> bool:
    return as_json or output is Format.JSON


def out(text: str) -> None:
    """A line of data. What the server sent cannot steer the terminal."""
    typer.echo(clean(text))


def say(text: str) -> None:
    """A line for the person, on stderr."""
    typer.echo(clean(text), err=True)


def out_json(value: Any, *, line: bool = False) -> None:
    """One JSON object; `line` keeps it on one line (NDJSON)."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=None if line or not sys.stdout.isatty() else 2))


def out_table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> None:
    """Aligned columns with a head; nothing is cut, so that pipes see everything."""
    cells = [[clean(cell).replace("\n", " ").replace("\t", " ") for cell in row] for row in [list(head), *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        typer.echo("  ".join(padded).rstrip())


def out_fields(fields: Mapping[str, str]) -> None:
    """`name: value`, one a line, values aligned."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        typer.echo(f"{name.ljust(width)}  {clean(value)}")


def confirm(question: str, yes: bool) -> None:
    """Asks on a terminal; without one only `--yes` goes on."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure(f"{question} Nobody is there to answer.", USAGE, "Say --yes to do it without asking.")
    if not typer.confirm(question, err=True):
        raise Failure("Nothing was changed.")


def choose_columns(asked: Sequence[str], known: Mapping[str, Callable[[Any], str]], usual: Sequence[str]) -> list[str]:
    """The columns to show: those asked for (repeated or with commas), else the usual ones."""
    names = [name.strip().lower() for text in asked for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in known]
    if wrong:
        raise Failure(f"There is no column {wrong[0]}.", USAGE, f"Known: {', '.join(known)}.")
    return names or list(usual)


def local_time(text: str) -> str:
    """An ISO instant as the clock on this machine shows it: `2026-03-06 15:04`."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"


def moment(text: str, now: datetime | None = None) -> str:
    """Local time and distance of an ISO instant: `2026-03-06 15:04 (12m ago)`, `... (in 5 min)`."""
    from bot.core.moments import elapsed
    from bot.core.texts import Texts

    here, ahead = now or datetime.now(UTC), datetime.fromisoformat(text)
    far = f"in {elapsed(ahead - here, Texts.load())}" if ahead > here else age(text, here)
    return f"{local_time(text)} ({far})"


def age(text: str, now: datetime | None = None) -> str:
    """`12m ago` of an ISO instant."""
    from bot.core.moments import ago
    from bot.core.texts import Texts

    return ago(datetime.fromisoformat(text), now or datetime.now(UTC), Texts.load())

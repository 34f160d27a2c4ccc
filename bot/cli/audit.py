"""`codetask audit`: who changed what, and whether nobody has touched the record since. For admins."""

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from bot.cli.client import Api
from bot.cli.failures import FAILED, OK, USAGE, Failure
from bot.cli.output import local_time, out_json, out_table, say

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class AuditFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"


def audit(
    actor: Annotated[str, typer.Option(help="Only what this one did: slack:U123.")] = "",
    action: Annotated[str, typer.Option(help="Only this: file, cancel, approve, person.link, ...")] = "",
    subject: Annotated[str, typer.Option(help="Only what was done to this: CT-12.")] = "",
    since: Annotated[str, typer.Option(help="From then on: 2026-03-06T15:00, or 24h, 7d.")] = "",
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="At most so many; ndjson prints all.")] = 50,
    output: Annotated[AuditFormat, typer.Option("-o", "--output", help="table, json, or ndjson for export.")] = (
        AuditFormat.TABLE
    ),
    as_json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check the chain; exit 1 where it breaks.")] = False,
) -> int:
    """Show who changed what, newest first."""
    form = AuditFormat.JSON if as_json else output
    with Api() as api:
        if verify:
            return _verify(api.call("GET", "audit/verify"), form)
        asked = {"actor": actor, "action": action, "subject": subject, "since": read_since(since)}
        params = {name: value for name, value in asked.items() if value}
        most = None if form is AuditFormat.NDJSON else limit
        found = api.pages("audit", {**params, "limit": min(most or 200, 200)}, "cursor", most)
    match form:
        case AuditFormat.NDJSON:
            for entry in found:
                out_json(entry, line=True)
        case AuditFormat.JSON:
            out_json({"items": found, "next": None})
        case AuditFormat.TABLE:
            out_table([_row(entry) for entry in found], ["ID", "WHEN", "WHO", "DID", "WHAT", "DETAIL"])
    return OK


def _row(entry: dict[str, Any]) -> list[str]:
    detail = " ".join(f"{name}={_short(value)}" for name, value in entry["detail"].items())
    return [str(entry["id"]), local_time(entry["at"]), entry["actor"], entry["action"], entry["subject"], detail]


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _verify(state: dict[str, Any], form: AuditFormat) -> int:
    if form is not AuditFormat.TABLE:
        out_json(state, line=form is AuditFormat.NDJSON)
    elif state["whole"]:
        say("The audit trail is whole: every entry fits the one before.")
    else:
        say(f"The audit trail is broken at entry {state['broken_at']}: it, or what stood before it, was changed.")
    return OK if state["whole"] else FAILED


def read_since(text: str, now: datetime | None = None) -> str:
    """An instant for the server: ISO 8601 as given (this machine's zone where it names none), or so long ago (`7d`)."""
    if not text:
        return ""
    number, unit = text[:-1], text[-1:]
    try:
        if number.isascii() and number.isdecimal() and unit in _UNITS:
            past = (now or datetime.now(UTC)) - timedelta(**{_UNITS[unit]: int(number)})
            return past.isoformat()
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError) as error:
        raise Failure(f"{text} is no time.", USAGE, "Say 2026-03-06T15:00, or 24h, 7d.") from error

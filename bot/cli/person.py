"""`codetask person ...`: who was seen here, and which accounts are one person's. For admins."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from bot.cli.client import Api
from bot.cli.failures import USAGE, Failure
from bot.cli.output import DASH, Format, Json, Output, Quiet, Yes, confirm, out, out_json, out_table, say, wants_json

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="See who was seen here with which role, and link one person's accounts.",
)
Account = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="platform:workspace:id, as `codetask person list` shows.")
]


@app.command("list")
@app.command("ls", hidden=True)
def list_people(
    linked: Annotated[bool, typer.Option("--linked", help="Only people with several accounts.")] = False,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """List everyone who was seen here."""
    with Api() as api:
        found: list[dict[str, Any]] = api.pages("people", {"limit": 200}, "cursor")
    shown = [one for one in found if one["linked"] or not linked]
    if wants_json(output, as_json):
        out_json({"items": shown, "next": None})
    elif quiet:
        for one in shown:
            out(one["account"])
    else:
        rows = [
            [one["account"], one["name"] or DASH, one["kind"], one["role"] or "none", " ".join(one["linked"]) or DASH]
            for one in shown
        ]
        out_table(rows, ["ACCOUNT", "NAME", "KIND", "ROLE", "LINKED"])


@app.command("link")
def link(one: Account, other: Account, output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Say that two accounts are the same person: their highest role holds, and what either filed is theirs."""
    for account in (one, other):
        _check(account)
    with Api() as api:
        person = api.call("POST", "people/links", json={"one": one, "other": other})
    if wants_json(output, as_json):
        out_json(person)
    else:
        say(f"{person['account']} is one person with {', '.join(person['linked'])} (role: {person['role'] or 'none'}).")


@app.command("unlink")
def unlink(account: Account, yes: Yes = False) -> None:
    """Take an account out of its links; it stands for itself from then on."""
    _check(account)
    confirm(f"Unlink {account}?", yes)
    with Api() as api:
        api.call("DELETE", f"people/links/{quote(account, safe='')}")
    say(f"{account} is linked to no other account any more.")


def _check(account: str) -> None:
    platform, _, rest = account.partition(":")
    if not platform or not rest.partition(":")[2]:
        hint = "One looks like slack:T1:U1; `codetask person list` shows them."
        raise Failure(f"{account} is no account.", USAGE, hint)

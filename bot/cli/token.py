"""`codetask token ...`: API tokens, for admins."""

from typing import Annotated, Any

import typer

from bot.cli.client import Api
from bot.cli.failures import USAGE, Failure
from bot.cli.output import (
    Format,
    Json,
    Output,
    Quiet,
    Yes,
    confirm,
    local_time,
    out,
    out_json,
    out_table,
    say,
    wants_json,
)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Make, list and revoke API tokens."
)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(metavar="SCOPE", help="read, write or worker; may be repeated.")
    ] = None,
    role: Annotated[str, typer.Option(help="viewer, filer or admin, when it acts for nobody else.")] = "filer",
    person: Annotated[str | None, typer.Option(help="Act for this person: slack:T1:U1.")] = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Make a token. It is printed once, to stdout."""
    wish: dict[str, Any] = {"name": name, "scopes": scope or ["read", "write"], "role": role}
    if person:
        wish["person"] = person
    with Api() as api:
        made = api.call("POST", "tokens", json=wish)
    if wants_json(output, as_json):
        out_json(made)
        return
    out(made["token"])
    say(f"Token {made['id']} for {made['person']}, scopes {', '.join(made['scopes'])}. Keep it: it is not shown again.")


@app.command("list")
@app.command("ls", hidden=True)
def list_tokens(quiet: Quiet = False, output: Output = Format.TABLE, as_json: Json = False) -> None:
    """List live tokens."""
    with Api() as api:
        told = api.call("GET", "tokens")
    if wants_json(output, as_json):
        out_json(told)
        return
    if quiet:
        for token in told["items"]:
            out(str(token["id"]))
        return
    rows = [
        [str(t["id"]), t["name"], " ".join(t["scopes"]), t["person"], t["role"], local_time(t["created_at"])]
        for t in told["items"]
    ]
    out_table(rows, ["ID", "NAME", "SCOPES", "PERSON", "ROLE", "CREATED"])


@app.command("revoke")
def revoke(
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="As `codetask token list` shows them.")],
    yes: Yes = False,
) -> None:
    """End tokens at once."""
    wrong = [one for one in ids if not one.isascii() or not one.isdigit()]
    if wrong:
        raise Failure(f"{wrong[0]} is no token id.", USAGE, "`codetask token list` shows them.")
    confirm(f"Revoke {', '.join(ids)}?", yes)
    with Api() as api:
        for one in ids:
            api.call("DELETE", f"tokens/{one}")
            say(f"Token {one} is revoked.")

"""`codetask suggestion ...`: requests that intake found in ordinary messages and that wait for somebody."""

from typing import Annotated, Any, Final

import typer

from bot.cli.client import Api, suggestion_path
from bot.cli.failures import USAGE, Failure
from bot.cli.output import Format, Json, Output, Quiet, Yes, age, confirm, out, out_json, out_table, say, wants_json

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="See and decide what intake has found."
)

Id = Annotated[str, typer.Argument(metavar="ID", help="RQ-3 or 3.")]
STATES: Final = ("open", "filed", "same", "dismissed", "expired", "removed", "skipped", "waiting")
LIST_LIMIT: Final = 50


@app.command("list")
@app.command("ls", hidden=True)
def list_suggestions(
    state: Annotated[
        list[str] | None, typer.Option("--state", "--status", metavar="STATE", help=f"Of: {', '.join(STATES)}.")
    ] = None,
    channel: Annotated[str | None, typer.Option(help="The channel's id, or WORKSPACE::CHANNEL.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many.")] = LIST_LIMIT,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """List suggestions, newest first: the open ones, unless --state says which."""
    wrong = [name for name in state or () if name not in STATES]
    if wrong:
        raise Failure(f"There is no state {wrong[0]}.", USAGE, f"Known: {', '.join(STATES)}.")
    asked: dict[str, Any] = {"limit": min(limit, 200), "state": state or ["open"]}
    if channel is not None:
        asked["channel"] = channel
    with Api() as api:
        found = api.pages("suggestions", asked, "cursor", limit)
    if wants_json(output, as_json):
        out_json({"items": found, "next": None})
    elif quiet:
        for one in found:
            out(one["id"])
    elif found:
        rows = [
            [one["id"], one["state"], one["title"], _author(one), _similar(one), age(one["created_at"])]
            for one in found
        ]
        out_table(rows, ["ID", "STATE", "TITLE", "AUTHOR", "SIMILAR", "AGE"])
    else:
        say("No such suggestions.")


@app.command("file")
def file(
    suggestion_id: Id,
    text_hash: Annotated[
        str | None,
        typer.Option("--hash", metavar="HASH", help="Only if the text still has this hash, as list -o json shows it."),
    ] = None,
    yes: Yes = False,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """File a suggestion as a code task: the agent is given exactly the text that is shown before you confirm."""
    with Api() as api:
        if text_hash is None:
            found = _one(api, suggestion_id)
            say(found["text"])
            confirm(f"File {found['id']} as a code task?", yes)
            text_hash = found["hash"]
        task = api.call("POST", suggestion_path(suggestion_id, "file"), json={"hash": text_hash})
    if wants_json(output, as_json):
        out_json(task)
    else:
        out(task["id"] if quiet else f"Filed as {task['id']}.")


@app.command("same")
def same(
    suggestion_id: Id,
    code_task: Annotated[str, typer.Argument(metavar="CODE-TASK", help="CT-12, 12, a uuid or a name.")],
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Say that a suggestion asks for what a code task asks for: its thread is told what becomes of that one."""
    with Api() as api:
        task = api.call("POST", suggestion_path(suggestion_id, "same"), json={"code_task": code_task})
    if wants_json(output, as_json):
        out_json(task)
    else:
        out(task["id"] if quiet else f"It is told of {task['id']}, which {_people(task)}.")


@app.command("dismiss")
def dismiss(suggestion_id: Id, quiet: Quiet = False, output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Say that a suggestion is no request. Of a filed one the code task is cancelled."""
    with Api() as api:
        found = api.call("POST", suggestion_path(suggestion_id, "dismiss"))
    if wants_json(output, as_json):
        out_json(found)
    else:
        out(found["id"] if quiet else f"{found['id']} is dismissed.")


def _one(api: Api, suggestion_id: str) -> Any:
    """The suggestion as it is now: what is filed is the text that is shown here."""
    return api.call("GET", suggestion_path(suggestion_id))


def _row(one: Any) -> list[str]:
    return [one["id"], one["state"], one["title"], _author(one), _similar(one), age(one["created_at"])]


def _author(suggestion: Any) -> str:
    return suggestion["author"]["name"] or suggestion["author"]["id"]


def _similar(suggestion: Any) -> str:
    shown = ", ".join(suggestion["similar"])
    return f"{shown} (likely)" if shown and suggestion["likely_same"] else shown or "—"


def _people(task: Any) -> str:
    """`2 people asked for`."""
    people = len(task["askers"]) + 1
    return f"{people} people asked for"

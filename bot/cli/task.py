"""`codetask task ...`: code tasks from the command line."""

from typing import Annotated, Any, Final

import typer

from bot.cli.client import Api, task_path
from bot.cli.failures import USAGE, Failure
from bot.cli.input import place, read_text
from bot.cli.output import (
    Format,
    Json,
    Output,
    Quiet,
    Yes,
    choose_columns,
    confirm,
    out,
    out_fields,
    out_json,
    out_table,
    say,
    wants_json,
)
from bot.cli.task_lines import COLUMNS, TOP, USUAL, details, shown
from bot.cli.watching import STAGES, show_logs, watch

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="File, watch and steer code tasks."
)

Id = Annotated[str, typer.Argument(metavar="ID", help="CT-12, 12, a uuid, a name, or requester/name.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help="One or more code tasks.")]
Until = Annotated[str | None, typer.Option("--until", help=f"End at this stage: {', '.join(STAGES)}.")]
Watch = Annotated[bool, typer.Option("--watch", help="Print every change until it ends.")]
LIST_LIMIT: Final = 50
NOTHING_TO_SEND: Final = "Say what the agent should do, or pipe it in: codetask task send ID < FILE"
MISSING: Final = "Say what to change, or pipe it in: codetask task create < FILE"


@app.command("create")
def create(
    text: Annotated[str | None, typer.Argument(metavar="TEXT|-", help="What to change; - reads stdin.")] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the description from stdin.")] = False,
    name: Annotated[str | None, typer.Option(help="A short name: lower-case words joined by hyphens.")] = None,
    repo: Annotated[str | None, typer.Option(help="The repository, by its configured name.")] = None,
    base: Annotated[str | None, typer.Option(help="The branch to start from.")] = None,
    agent: Annotated[str | None, typer.Option(help="The coding agent.")] = None,
    priority: Annotated[str | None, typer.Option(help="low, normal or high.")] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Open the pull request as a draft.")] = False,
    channel: Annotated[str | None, typer.Option(help="Post a card in this channel.")] = None,
    thread: Annotated[str | None, typer.Option(help="Post it in this thread of the channel.")] = None,
    key: Annotated[str | None, typer.Option("--idempotency-key", help="The same key files nothing twice.")] = None,
    watch_it: Watch = False,
    until: Until = None,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """File a code task."""
    wish: dict[str, Any] = {"description": read_text(text, stdin, MISSING), "draft": draft}
    options = {"name": name, "repo": repo, "base": base, "agent": agent, "priority": priority}
    wish |= {option: value for option, value in options.items() if value is not None}
    wish |= place(channel, thread)
    structured = wants_json(output, as_json)
    with Api() as api:
        headers = {"idempotency-key": key} if key else {}
        task = api.call("POST", "code-tasks", json=wish, headers=headers)
        if quiet:
            out(task["id"])
        elif structured:
            out_json(task, line=watch_it)
        else:
            out(f"Filed as {task['id']} · {shown(task).lower()}")
        if task["looks_like"]:
            say(f"It looks like {task['looks_like']}: `codetask task show {task['looks_like']}`.")
        if watch_it or until:
            raise typer.Exit(watch(api, task["id"], until, structured, quiet=quiet))


@app.command("list")
@app.command("ls", hidden=True)
def list_tasks(
    everyone: Annotated[bool, typer.Option("-a", "--all", help="Everyone's.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Yours (the default).")] = False,
    user: Annotated[str | None, typer.Option(help="Someone's: an id, a name, or platform:workspace:id.")] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", "--status", metavar="STAGE", help=f"Only these: {', '.join(STAGES)}, cancelled."),
    ] = None,
    repo: Annotated[str | None, typer.Option(help="Only this repository's.")] = None,
    column: Annotated[
        list[str] | None, typer.Option("-c", "--column", metavar="NAME", help=f"Of: {', '.join(COLUMNS)}.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many.")] = LIST_LIMIT,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """List code tasks, newest first: yours, unless you say whose."""
    if sum((everyone, mine, user is not None)) > 1:
        raise Failure("--all, --mine and --user exclude each other.", USAGE)
    chosen = choose_columns(column or [], COLUMNS, USUAL)
    asked: dict[str, Any] = {"limit": min(limit, 200), **_stages(stage or [])}
    if not everyone:
        asked["requester"] = user or "me"
    if repo:
        asked["repo"] = repo
    with Api() as api:
        tasks = api.pages("code-tasks", asked, "cursor", limit)
    if wants_json(output, as_json):
        out_json({"items": tasks, "next": None})
    elif quiet:
        for task in tasks:
            out(task["id"])
    elif tasks:
        out_table([[COLUMNS[name](task) for name in chosen] for task in tasks], [name.upper() for name in chosen])
    else:
        say("No code tasks." if everyone else "No code tasks of yours. See everyone's with --all.")


@app.command("top")
def top(
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=200, help="At most so many.")] = 20,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """List open code tasks by how many people asked for them."""
    with Api() as api:
        found = api.call("GET", "demand", params={"limit": limit})
    if wants_json(output, as_json):
        out_json(found)
    elif quiet:
        for one in found["items"]:
            out(one["code_task"]["id"])
    elif found["items"]:
        rows = [[str(one["people"]), *(COLUMNS[name](one["code_task"]) for name in TOP)] for one in found["items"]]
        out_table(rows, ["PEOPLE", *(name.upper() for name in TOP)])
    else:
        say("Nothing that somebody asked for is open.")


@app.command("show")
@app.command("get", hidden=True)
def show(task_id: Id, output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Show everything about one code task."""
    with Api() as api:
        task = api.call("GET", task_path(task_id))
    if wants_json(output, as_json):
        out_json(task)
    else:
        out_fields(details(task))


@app.command("status")
@app.command("stat", hidden=True)
def status(
    task_id: Id, watch_it: Watch = False, until: Until = None, output: Output = Format.TABLE, as_json: Json = False
) -> None:
    """Say where a code task is. With --watch: every change until it ends."""
    structured = wants_json(output, as_json)
    with Api() as api:
        if watch_it or until:
            raise typer.Exit(watch(api, task_id, until, structured))
        task = api.call("GET", task_path(task_id))
    if structured:
        out_json(task)
    else:
        wanted = ("id", "stage", "since", "step", "attempt", "agent", "branch", "pull request", "error", "cost")
        out_fields({name: value for name, value in details(task).items() if name in wanted})


@app.command("logs")
def logs(
    task_id: Id,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the work ends.")] = False,
    tail: Annotated[int | None, typer.Option(metavar="N", min=1, max=1000, help="Only the last N entries.")] = None,
    run: Annotated[int | None, typer.Option(metavar="N", min=1, help="Which attempt; else the latest.")] = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Print the log of a code task's run."""
    show_logs(task_path(task_id, "logs"), task_id, tail, run, follow=follow, structured=wants_json(output, as_json))


@app.command("cancel")
def cancel(
    ids: Ids, yes: Yes = False, quiet: Quiet = False, output: Output = Format.TABLE, as_json: Json = False
) -> None:
    """End code tasks at any point before they are merged. Branches are kept."""
    with Api() as api:
        found = _resolve(api, ids)
        if len(found) > 1:
            from bot.core.texts import Texts

            confirm(Texts.load().say("cli.confirm_cancel", n=len(found)), yes)
        done = [api.call("POST", task_path(task["id"], "cancel")) for task in found]
    _answer(done, "is cancelled", quiet, wants_json(output, as_json))


@app.command("retry")
def retry(
    task_id: Id,
    note: Annotated[str | None, typer.Option("--with", help="Added to what the agent is told.")] = None,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Queue a failed or cancelled code task again."""
    with Api() as api:
        done = api.call("POST", task_path(task_id, "retry"), json={"with": note} if note else {})
    _answer([done], "is queued again", quiet, wants_json(output, as_json))


@app.command("send")
def send(
    task_id: Id,
    text: Annotated[str | None, typer.Argument(metavar="TEXT|-", help="Words for its agent; - reads stdin.")] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the words from stdin.")] = False,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Pass words on to the agent of a code task.

    In review, what it changes goes to the same pull request."""
    words = read_text(text, stdin, NOTHING_TO_SEND)
    with Api() as api:
        sent = api.call("POST", task_path(task_id, "send"), json={"text": words})
    if wants_json(output, as_json):
        out_json(sent)
    else:
        out(sent["run"] if quiet else f"Sent: the agent reads it in {sent['run']}, number {sent['position']} in line.")


@app.command("merged")
def merged(task_id: Id, quiet: Quiet = False, output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Mark a code task as merged. A pull request of the built-in forge is merged by it; others the forge tells of."""
    with Api() as api:
        done = api.call("POST", task_path(task_id, "merged"))
    _answer([done], "is merged", quiet, wants_json(output, as_json))


@app.command("delete")
@app.command("rm", hidden=True)
def delete(ids: Ids, yes: Yes = False, quiet: Quiet = False) -> None:
    """Remove merged or failed code tasks with their logs. Branches and pull requests stay."""
    with Api() as api:
        found = _resolve(api, ids)
        names = ", ".join(task["id"] for task in found)
        confirm(f"Delete {names} with all logs?", yes)
        for task in found:
            api.call("DELETE", task_path(task["id"]))
            if quiet:
                out(task["id"])
            else:
                stays = [*([f"branch {task['branch']}"] if task["branch"] else [])]
                stays += [f"pull request {task['pr']['url']}"] if task["pr"] else []
                say(f"Deleted {task['id']}." + (f" What stays: {', '.join(stays)}." if stays else ""))


def _resolve(api: Api, ids: list[str]) -> list[Any]:
    """All code tasks named, before any is touched; each once."""
    found = [api.call("GET", task_path(one)) for one in ids]
    return list({task["id"]: task for task in found}.values())


def _answer(tasks: list[Any], done: str, quiet: bool, structured: bool) -> None:
    if structured:
        out_json(tasks[0] if len(tasks) == 1 else {"items": tasks, "next": None})
        return
    for task in tasks:
        out(task["id"] if quiet else f"{task['id']} {done}.")


def _stages(stages: list[str]) -> dict[str, Any]:
    names = [name.strip().lower() for text in stages for name in text.split(",")]
    wrong = [name for name in names if name not in (*STAGES, "cancelled")]
    if wrong:
        raise Failure(f"There is no stage {wrong[0]}.", USAGE, f"Known: {', '.join(STAGES)}, cancelled.")
    if names == ["cancelled"]:
        return {"stage": ["failed"], "reason": "cancelled"}
    return {"stage": [name.replace("cancelled", "failed") for name in names]} if names else {}

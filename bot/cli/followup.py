"""`codetask followup ...`: follow-ups from the command line."""

from typing import Annotated, Any, Final

import typer

from bot.cli.client import Api, follow_up_path
from bot.cli.failures import USAGE, Failure
from bot.cli.followup_lines import COLUMNS, STATES, USUAL, details, set_line
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
from bot.cli.watching import show_logs

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Run prompts later, and be reminded."
)

Id = Annotated[str, typer.Argument(metavar="ID", help="FU-7, 7, or a uuid.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help="One or more follow-ups.")]
Time = Annotated[
    str | None,
    typer.Option("--time", "--at", metavar="WHEN", help="'tomorrow 9am', '2h', ISO 8601, or seconds since 1970."),
]
Tz = Annotated[str | None, typer.Option("--tz", metavar="ZONE", help="Read the time in this zone: Europe/Berlin.")]
Title = Annotated[str | None, typer.Option("--title", help="Its title; else the first line of the text.")]
Agent = Annotated[str | None, typer.Option("--agent", help="The agent; empty for the channel's own.")]
Missed = Annotated[str | None, typer.Option("--if-missed", metavar="run|skip", help="When it is late: run, or skip.")]
Busy = Annotated[
    str | None, typer.Option("--if-busy", metavar="queue|skip", help="When the thread's agent works: wait, or skip.")
]
Stdin = Annotated[bool, typer.Option("--stdin", help="Read the text from stdin.")]
Channel = Annotated[str | None, typer.Option("--channel", help="The channel's id, or WORKSPACE::CHANNEL.")]
Thread = Annotated[str | None, typer.Option("--thread", help="The thread in it, by its first message's id.")]
LIST_LIMIT: Final = 50
MISSING: Final = "Say what to do then, or pipe it in: codetask followup create --time 2h < FILE"


@app.command("create")
def create(
    text: Annotated[str | None, typer.Argument(metavar="TEXT|-", help="What to do then; - reads stdin.")] = None,
    time: Time = None,
    tz: Tz = None,
    channel: Channel = None,
    thread: Thread = None,
    message: Annotated[str | None, typer.Option("--message", help="The text, where TEXT is not given.")] = None,
    title: Title = None,
    agent: Agent = None,
    run_now: Annotated[bool, typer.Option("--run-now", help="At once; a time is not needed.")] = False,
    remind: Annotated[bool, typer.Option("--remind", help="Post the text; no agent works on it.")] = False,
    if_missed: Missed = None,
    if_busy: Busy = None,
    requester: Annotated[
        str | None, typer.Option("--requester", "--owner", help="For whom (admins): platform:workspace:id.")
    ] = None,
    stdin: Stdin = False,
    key: Annotated[str | None, typer.Option("--idempotency-key", help="The same key sets nothing twice.")] = None,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Set a follow-up: a prompt for an agent, or a reminder, for one set time."""
    if time is None and not run_now:
        raise Failure("Missing option --time.", USAGE, "Say when, like --time 'tomorrow 9am', or --run-now.")
    if message is not None and (text is not None or stdin):
        raise Failure("Give the text as an argument, as --message or on stdin: once.", USAGE)
    wish: dict[str, Any] = {
        "message": message if message is not None else read_text(text, stdin, MISSING),
        "run_now": run_now,
        "remind": remind,
        **place(channel, thread),
        **_given(title=title, agent=agent, tz=tz, requester=requester, time=time),
        **_policies(if_missed, if_busy),
    }
    if not wish["message"].strip():
        raise Failure("The text is empty.", USAGE, MISSING)
    headers = {"idempotency-key": key} if key else {}
    with Api() as api:
        done = _with_zone(api, "POST", "follow-ups", wish, headers=headers)
    _tell_set(done, quiet, wants_json(output, as_json))


@app.command("list")
@app.command("ls", hidden=True)
def list_follow_ups(
    state: Annotated[
        list[str] | None,
        typer.Option("--state", "--status", metavar="STATE", help=f"Only these: {', '.join(STATES)}."),
    ] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only yours.")] = False,
    channel: Channel = None,
    thread: Thread = None,
    column: Annotated[
        list[str] | None, typer.Option("-c", "--column", metavar="NAME", help=f"Of: {', '.join(COLUMNS)}.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many.")] = LIST_LIMIT,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """List follow-ups: running, then pending by their time, then the rest."""
    chosen = choose_columns(column or [], COLUMNS, USUAL)
    asked: dict[str, Any] = {"limit": min(limit, 200), "mine": mine, "state": _states(state or [])}
    with Api() as api:
        found = api.pages("follow-ups", asked | place(channel, thread), "cursor", limit)
    if wants_json(output, as_json):
        out_json({"items": found, "next": None})
    elif quiet:
        for follow_up in found:
            out(follow_up["id"])
    elif found:
        out_table([[COLUMNS[name](one) for name in chosen] for one in found], [name.upper() for name in chosen])
    else:
        say("No follow-ups.")


@app.command("show")
@app.command("get", hidden=True)
def show(follow_up_id: Id, output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Show everything about one follow-up, with what its last run answered."""
    with Api() as api:
        follow_up = api.call("GET", follow_up_path(follow_up_id))
    if wants_json(output, as_json):
        out_json(follow_up)
    else:
        out_fields(details(follow_up))


@app.command("update")
def update(
    follow_up_id: Id,
    text: Annotated[str | None, typer.Argument(metavar="TEXT|-", help="The new text; - reads stdin.")] = None,
    time: Time = None,
    tz: Tz = None,
    message: Annotated[str | None, typer.Option("--message", help="The new text, where TEXT is not given.")] = None,
    title: Title = None,
    agent: Agent = None,
    if_missed: Missed = None,
    if_busy: Busy = None,
    stdin: Stdin = False,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Change a pending follow-up. What is not named stays."""
    if message is not None and (text is not None or stdin):
        raise Failure("Give the text as an argument, as --message or on stdin: once.", USAGE)
    if text is not None or stdin:
        message = read_text(text, stdin, MISSING)
    changes = _given(time=time, tz=tz, message=message, title=title, agent=agent) | _policies(if_missed, if_busy)
    if not changes:
        raise Failure("Nothing to change was named.", USAGE, "See: codetask followup update --help")
    with Api() as api:
        done = _with_zone(api, "PATCH", follow_up_path(follow_up_id), changes)
    _tell_set(done, quiet, wants_json(output, as_json))


@app.command("cancel")
def cancel(
    ids: Ids,
    force: Annotated[bool, typer.Option("--force", help="Running ones too, as stop does.")] = False,
    yes: Yes = False,
    quiet: Quiet = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """End pending follow-ups. A running one needs stop, or --force."""
    _end(ids, "stop" if force else "cancel", "is cancelled", yes, quiet, wants_json(output, as_json))


@app.command("stop")
def stop(
    ids: Ids, yes: Yes = False, quiet: Quiet = False, output: Output = Format.TABLE, as_json: Json = False
) -> None:
    """End pending or running follow-ups. The agent is killed, no result is posted."""
    _end(ids, "stop", "is stopped", yes, quiet, wants_json(output, as_json))


@app.command("run")
def run(follow_up_id: Id, quiet: Quiet = False, output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Run a pending follow-up now."""
    with Api() as api:
        done = api.call("POST", follow_up_path(follow_up_id, "run"))
    _tell([done], "runs now", quiet, wants_json(output, as_json))


@app.command("retry")
def retry(follow_up_id: Id, quiet: Quiet = False, output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Run a failed follow-up again, now."""
    with Api() as api:
        done = api.call("POST", follow_up_path(follow_up_id, "retry"))
    _tell([done], "runs again now", quiet, wants_json(output, as_json))


@app.command("logs")
def logs(
    follow_up_id: Id,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until it has ended.")] = False,
    tail: Annotated[int | None, typer.Option(metavar="N", min=1, max=1000, help="Only the last N entries.")] = None,
    run: Annotated[int | None, typer.Option(metavar="N", min=1, help="Which run; else the latest.")] = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Print the log of a follow-up's run."""
    show_logs(
        follow_up_path(follow_up_id, "logs"),
        follow_up_id,
        tail,
        run,
        follow=follow,
        structured=wants_json(output, as_json),
    )


@app.command("delete")
@app.command("rm", hidden=True)
def delete(ids: Ids, yes: Yes = False, quiet: Quiet = False) -> None:
    """Remove follow-ups that are not running, with their logs."""
    with Api() as api:
        found = _resolve(api, ids)
        confirm(f"Delete {', '.join(one['id'] for one in found)} with all logs?", yes)
        for follow_up in found:
            api.call("DELETE", follow_up_path(follow_up["id"]))
            if quiet:
                out(follow_up["id"])
            else:
                say(f"Deleted {follow_up['id']}.")


def _end(ids: list[str], verb: str, done: str, yes: bool, quiet: bool, structured: bool) -> None:
    with Api() as api:
        found = _resolve(api, ids)
        if len(found) > 1:
            confirm(f"{verb.capitalize()} {len(found)} follow-ups?", yes)
        ended = [api.call("POST", follow_up_path(one["id"], verb)) for one in found]
    _tell(ended, done, quiet, structured)


def _resolve(api: Api, ids: list[str]) -> list[Any]:
    """All follow-ups named, before any is touched; each once."""
    found = [api.call("GET", follow_up_path(one)) for one in ids]
    return list({one["id"]: one for one in found}.values())


def _with_zone(api: Api, method: str, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """Sends the wish; where the server knows no zone of the person, this machine's is used, as `codetask when` does."""
    try:
        return api.call(method, path, json=body, headers=headers)
    except Failure as failure:
        if failure.why != "which_zone":
            raise
        from bot.cli.when import own_zone

        return api.call(method, path, json=body | {"tz": own_zone()}, headers=headers)


def _tell_set(follow_up: Any, quiet: bool, structured: bool) -> None:
    """What was set, always with its absolute time and zone: on stdout, or beside bare ids and JSON on stderr."""
    line = set_line(follow_up)
    if structured:
        out_json(follow_up)
    else:
        out(follow_up["id"] if quiet else line)
    if structured or quiet:
        say(line)
    for note in follow_up["notes"]:
        say(note)


def _tell(follow_ups: list[Any], done: str, quiet: bool, structured: bool) -> None:
    if structured:
        out_json(follow_ups[0] if len(follow_ups) == 1 else {"items": follow_ups, "next": None})
        return
    for follow_up in follow_ups:
        out(follow_up["id"] if quiet else f"{follow_up['id']} {done}.")


def _given(**values: str | None) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _policies(if_missed: str | None, if_busy: str | None) -> dict[str, Any]:
    for name, value, known in (("--if-missed", if_missed, ("run", "skip")), ("--if-busy", if_busy, ("queue", "skip"))):
        if value is not None and value not in known:
            raise Failure(f"{name} takes {known[0]} or {known[1]}.", USAGE)
    return _given(if_missed=if_missed, if_busy=if_busy)


def _states(states: list[str]) -> list[str]:
    names = [name.strip().lower() for text in states for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in STATES]
    if wrong:
        raise Failure(f"There is no state {wrong[0]}.", USAGE, f"Known: {', '.join(STATES)}.")
    return names

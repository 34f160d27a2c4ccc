"""`--watch` and `-f`: changes as the server pushes them, until there is nothing more to wait for."""

from datetime import datetime
from typing import Any, Final

from bot.cli.client import Api, task_path
from bot.cli.failures import FAILED, NOT_FOUND, OK, UNREACHABLE, USAGE, Failure
from bot.cli.output import out, out_json, say
from bot.cli.task_lines import change_line

STAGES: Final = ("queued", "running", "testing", "review", "merged", "failed")
ENDS: Final = frozenset({"review", "merged", "failed"})


def watch(api: Api, task_id: str, until: str | None, structured: bool, quiet: bool = False) -> int:
    """Prints every change; the exit code: 0 for review, merged or the stage asked for, 1 for failed."""
    if until is not None and until not in STAGES:
        raise Failure(f"There is no stage {until}.", USAGE, f"Known: {', '.join(STAGES)}.")
    last = ""
    for name, task in api.events(task_path(task_id, "events")):
        if name == "gone":
            raise Failure(f"{task_id} was deleted.", NOT_FOUND)
        if name != "task":
            continue
        line = change_line(task)
        if line != last:
            last = line
            if structured:
                out_json(task, line=True)
            elif not quiet:
                out(line)
        ended = exit_of(task["stage"], until)
        if ended is not None:
            return ended
    raise Failure("The server ended the stream.", UNREACHABLE, "It stopped or was restarted; run the command again.")


def exit_of(stage: str, until: str | None) -> int | None:
    """Whether watching ends at this stage, and with which exit code."""
    if until is None:
        return (FAILED if stage == "failed" else OK) if stage in ENDS else None
    if stage == until:
        return OK
    if stage == "failed":
        return FAILED
    return OK if until != "failed" and STAGES.index(stage) > STAGES.index(until) else None


def show_logs(path: str, name: str, tail: int | None, run: int | None, *, follow: bool, structured: bool) -> None:
    """Prints the log at `path`, of the code task or follow-up `name`; with `follow` until no run is open."""
    asked = {key: value for key, value in {"tail": tail, "run": run}.items() if value is not None}
    with Api() as api:
        if follow:
            _follow(api, path, asked, structured)
            return
        entries = api.pages(path, asked, "after")
    if structured:
        out_json({"items": entries, "next": None})
        return
    for entry in entries:
        _print_log(entry)
    if not entries:
        say(f"{name} has no log yet.")


def _follow(api: Api, path: str, asked: dict[str, Any], structured: bool) -> None:
    for name, entry in api.events(path, asked):
        if name == "end":
            return
        if name == "log":
            if structured:
                out_json(entry, line=True)
            else:
                _print_log(entry)
    say("The server ended the stream.")


def _print_log(entry: Any) -> None:
    """`14:04:05 output  text` in local time, later lines of an entry indented."""
    time = f"{datetime.fromisoformat(entry['time']).astimezone():%H:%M:%S}"
    first, *rest = entry["content"].splitlines() or [""]
    out(f"{time} {entry['type']:<6} {first}")
    for line in rest:
        out(f"{'':15} {line}")

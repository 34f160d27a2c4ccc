"""A code task of the API as lines and columns for people."""

from collections.abc import Callable
from typing import Any, Final

from bot.cli.output import DASH, age, local_time, moment

Task = dict[str, Any]


def shown(task: Task) -> str:
    """The word a person sees for the stage: `Review`, `Needs you`, `Cancelled`."""
    from bot.core.texts import Texts

    key = task["stage"]
    if key == "failed" and task["failure_reason"] == "cancelled":
        key = "cancelled"
    elif (task["run"] or {}).get("state") == "waiting_for_input":
        key = "needs_you"
    return Texts.load().say(f"shown.{key}")


def cost(task: Task) -> str:
    usd = task["cost"]["usd"]
    return DASH if usd is None else f"${usd:.4f}"


def tests(task: Task) -> str:
    found = task["tests"]
    if found is None:
        return DASH
    return found["summary"] or ("passed" if found["passed"] else f"failed (exit {found['exit_code']})")


def requester(task: Task) -> str:
    return task["requester"]["name"] or task["requester"]["id"]


def pull_request(task: Task) -> str:
    return task["pr"]["url"] if task["pr"] else DASH


COLUMNS: Final[dict[str, Callable[[Task], str]]] = {
    "id": lambda task: task["id"],
    "name": lambda task: task["name"],
    "title": lambda task: task["title"],
    "stage": shown,
    "reason": lambda task: task["failure_reason"] or DASH,
    "agent": lambda task: task["agent"],
    "repo": lambda task: task["repo"],
    "base": lambda task: task["base"],
    "branch": lambda task: task["branch"] or DASH,
    "pr": pull_request,
    "tests": tests,
    "cost": cost,
    "attempt": lambda task: f"{task['attempt']}/{task['max_attempts']}",
    "priority": lambda task: task["priority"],
    "requester": requester,
    "askers": lambda task: str(len(task["askers"])),
    "age": lambda task: age(task["created_at"]),
    "created": lambda task: local_time(task["created_at"]),
    "updated": lambda task: local_time(task["updated_at"]),
    "uuid": lambda task: task["uuid"],
}
TOP: Final = ("id", "title", "stage", "repo", "age")
USUAL: Final = ("id", "stage", "title", "repo", "pr", "age")


def details(task: Task) -> dict[str, str]:
    """What `show` prints: name -> value, only what is known."""
    run, workspace, thread = task["run"] or {}, task["workspace"] or {}, task["thread"] or {}
    fields = {
        "id": task["id"],
        "title": task["title"],
        "stage": shown(task),
        "since": moment(run.get("since") or task["updated_at"]),
        "step": run.get("message"),
        "attempt": f"{task['attempt']} of {task['max_attempts']}",
        "next attempt": moment(task["next_attempt_at"]) if task["next_attempt_at"] else None,
        "position": str(task["position"]) if task["position"] else None,
        "agent": task["agent"],
        "repository": f"{task['repo']} ({task['base']})",
        "branch": task["branch"],
        "pull request": task["pr"]["url"] if task["pr"] else None,
        "tests": tests(task) if task["tests"] else None,
        "error": task["error"],
        "cost": cost(task),
        "requester": requester(task),
        "also asked": ", ".join(one["name"] or one["id"] for one in task["askers"]) or None,
        "filed": moment(task["created_at"]),
        "name": task["name"],
        "uuid": task["uuid"],
        "workspace": f"{workspace['host'] or DASH}:{workspace['path']}" if workspace else None,
        "thread": thread.get("url") or thread.get("channel_id"),
        "description": task["description"],
    }
    return {name: value for name, value in fields.items() if value}


def change_line(task: Task) -> str:
    """One line that says where a code task is, for `--watch`."""
    run = task["run"] or {}
    step = run.get("message") if task["stage"] in ("running", "testing") else None
    parts = [f"{task['id']} {shown(task)}", step, task["error"], task["pr"]["url"] if task["pr"] else None]
    return " · ".join(part for part in parts if part)

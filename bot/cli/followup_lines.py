"""A follow-up of the API as lines and columns for people."""

from collections.abc import Callable
from typing import Any, Final

from bot.cli.output import DASH, age, local_time, moment

FollowUp = dict[str, Any]
STATES: Final = ("pending", "running", "success", "failed", "cancelled")


def requester(follow_up: FollowUp) -> str:
    who = follow_up["requester"]["name"] or follow_up["requester"]["id"]
    return f"{who} (agent)" if follow_up["by_agent"] else who


def where(follow_up: FollowUp) -> str:
    """The channel, with the thread if there is one."""
    channel, thread = follow_up["channel"], follow_up["thread"] or {}
    if channel is None:
        return DASH
    named = f"{channel['platform']} {channel['name'] or channel['channel_id']}"
    return f"{named} {thread['thread_id']}" if thread.get("thread_id") else named


def due(follow_up: FollowUp) -> str:
    """Its time on the clock of its own zone: `2026-03-07 09:00 +01:00`."""
    told = follow_up["due_local"]
    return f"{told[:10]} {told[11:16]} {told[19:]}"


COLUMNS: Final[dict[str, Callable[[FollowUp], str]]] = {
    "id": lambda one: one["id"],
    "state": lambda one: one["state"],
    "due": due,
    "title": lambda one: one["title"],
    "where": where,
    "agent": lambda one: one["agent"] or DASH,
    "requester": requester,
    "kind": lambda one: "reminder" if one["kind"] == "message" else "prompt",
    "reason": lambda one: one["failure_reason"] or DASH,
    "runs": lambda one: str(one["attempt"]),
    "age": lambda one: age(one["created_at"]),
    "created": lambda one: local_time(one["created_at"]),
    "updated": lambda one: local_time(one["updated_at"]),
    "uuid": lambda one: one["uuid"],
}
USUAL: Final = ("id", "state", "due", "title", "where", "requester")


def set_line(follow_up: FollowUp) -> str:
    """The confirmation: `FU-7 · Sat 7 Mar 09:00 (Berlin, in 17 h 30 min) · check the deploy`."""
    return f"{follow_up['id']} · {follow_up['when']} · {follow_up['title']}"


def details(follow_up: FollowUp) -> dict[str, str]:
    """What `show` prints: name -> value, only what is known."""
    run, thread = follow_up["last_run"] or {}, follow_up["thread"] or {}
    usd = run.get("cost", {}).get("usd")
    fields = {
        "id": follow_up["id"],
        "title": follow_up["title"],
        "kind": COLUMNS["kind"](follow_up),
        "state": follow_up["state"],
        "time": follow_up["when"],
        "reason": follow_up["failure_reason"],
        "error": follow_up["error"],
        "where": where(follow_up) if follow_up["channel"] else None,
        "link": thread.get("url"),
        "agent": follow_up["agent"],
        "last run": f"{run['id']} {run['state']} ({run['agent']})" if run else None,
        "cost": f"${usd:.4f}" if usd is not None else None,
        "if missed": follow_up["if_missed"],
        "if busy": follow_up["if_busy"],
        "requester": requester(follow_up),
        "set": moment(follow_up["created_at"]),
        "ended": moment(follow_up["completed_at"]) if follow_up["completed_at"] else None,
        "uuid": follow_up["uuid"],
        "message": follow_up["message"],
        "result": follow_up["result"],
    }
    return {name: value for name, value in fields.items() if value}

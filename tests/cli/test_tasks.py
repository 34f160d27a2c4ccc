"""Code tasks from the command line, against a real server in a process of its own."""

import json
import uuid
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.cli.terminal import Terminal

TEXT = "Add a CSV export to the report"


def file(served: Terminal, **env: str) -> str:
    done = served.run("task", "create", TEXT, "-q", **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def shown(served: Terminal, task_id: str) -> Any:
    return json.loads(served.run("task", "show", task_id, "--json").stdout)


def test_create_says_the_id(served: Terminal) -> None:
    done = served.run("task", "create", TEXT)
    assert done.returncode == 0
    assert not done.stderr or done.stderr.startswith("It looks like CT-"), "of another test"
    assert done.stdout.startswith("Filed as CT-")
    assert done.stdout.endswith(" · queued\n")


@pytest.mark.parametrize("args", [["-"], ["--stdin"], []])
def test_create_reads_stdin(served: Terminal, args: list[str]) -> None:
    text = f"{TEXT}\nwith a second line é 🎉"
    done = served.run("task", "create", *args, "-o", "json", stdin=text)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["description"] == text


def test_create_takes_every_option(served: Terminal) -> None:
    name = f"n-{uuid.uuid4().hex[:8]}"
    args = ["--name", name, "--repo", "web", "--base", "dev", "--agent", "patch", "--priority", "low", "--draft"]
    task = json.loads(served.run("task", "create", TEXT, *args, "--json").stdout)
    assert (task["name"], task["base"], task["agent"], task["priority"]) == (name, "dev", "patch", "low")
    assert task["draft"] is True
    assert shown(served, name)["id"] == task["id"]


def test_create_with_a_key_files_once(served: Terminal) -> None:
    key = uuid.uuid4().hex
    ids = {served.run("task", "create", TEXT, "-q", "--idempotency-key", key).stdout for _ in range(2)}
    assert len(ids) == 1
    assert served.run("task", "create", "Something else instead", "--idempotency-key", key).returncode == 3


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["task", "create", "short"], 2, "at least 10 characters"),
        (["task", "create", "-"], 2, "at least 10 characters"),
        (["task", "create", TEXT, "--repo", "nope"], 2, "Available: web"),
        (["task", "create", TEXT, "--agent", "gpt"], 2, "Available: demo, patch"),
        (["task", "create", TEXT, "--channel", "C1"], 2, "Channel not found in configured workspaces"),
        (["task", "show", "CT-99999"], 4, "There is no code task CT-99999"),
        (["task", "status", "nope", "--watch"], 4, "nope"),
        (["task", "logs", "nope", "-f"], 4, "nope"),
        (["task", "retry", "{id}"], 3, "only a failed"),
        (["task", "delete", "{id}", "-y"], 3, "{id}"),
        (["task", "delete", "{id}"], 2, "Say --yes"),
        (["task", "cancel", "{id}", "{id2}"], 2, "Cancel 2 code tasks? Nobody is there to answer."),
        (["task", "cancel", "{id}", "CT-99999", "-y"], 4, "CT-99999"),
    ],
)
def test_refusals_have_their_exit_code(served: Terminal, args: list[str], code: int, says: str) -> None:
    ids = {"id": file(served), "id2": file(served)}
    done = served.run(*(arg.format(**ids) for arg in args))
    assert (done.returncode, done.stdout) == (code, "")
    assert says.format(**ids).lower() in done.stderr.lower()
    assert len(done.stderr.splitlines()) == 1
    assert shown(served, ids["id"])["stage"] == "queued"


def test_cancel_retry_delete(served: Terminal) -> None:
    first, second = file(served), file(served)
    assert served.run("task", "cancel", first, second, first, "-y").stdout == (
        f"{first} is cancelled.\n{second} is cancelled.\n"
    )
    assert shown(served, first)["failure_reason"] == "cancelled"
    assert served.run("task", "cancel", first, "-q").stdout == f"{first}\n"
    assert served.run("task", "retry", first, "--with", "use tabs").stdout == f"{first} is queued again.\n"
    gone = served.run("task", "rm", second, "-y")
    assert (gone.returncode, gone.stdout, gone.stderr) == (0, "", f"Deleted {second}.\n")
    assert served.run("task", "get", second).returncode == 4


def test_words_are_sent_to_the_agent(served: Terminal) -> None:
    task_id = file(served)
    sent = served.run("task", "send", task_id, "use tabs")
    assert (sent.returncode, sent.stderr) == (0, "")
    assert sent.stdout == f"Sent: the agent reads it in {task_id}#1, number 1 in line.\n"
    piped = served.run("task", "send", task_id, "--stdin", "--json", stdin="and tests\n")
    assert json.loads(piped.stdout) == {"run": f"{task_id}#1", "position": 2}
    empty = served.run("task", "send", task_id, "-", stdin=" ")
    assert (empty.returncode, empty.stdout) == (2, "") and "Nothing was sent" in empty.stderr


def test_list_shows_what_was_asked_for(served: Terminal) -> None:
    task_id = file(served)
    quiet = served.run("task", "ls", "-q", "--stage", "queued", "--limit", "1")
    assert quiet.stdout == f"{task_id}\n"
    table = served.run("task", "list", "-c", "id,stage", "-c", "requester", "--limit", "1").stdout.splitlines()
    assert table[0].split() == ["ID", "STAGE", "REQUESTER"]
    assert table[1].split()[:2] == [task_id, "Queued"]
    answer = json.loads(served.run("task", "list", "--json", "--all", "--limit", "1").stdout)
    assert [task["id"] for task in answer["items"]] == [task_id]
    nobody = served.run("task", "list", "--user", "nobody")
    assert (nobody.returncode, nobody.stdout) == (0, "")
    served.run("task", "cancel", task_id)
    assert task_id in served.run("task", "list", "--status", "cancelled", "-q").stdout.split()


def test_people_read_local_times_and_programs_iso(served: Terminal) -> None:
    task_id, zone = file(served), {"TZ": "Asia/Kolkata"}
    there = datetime.fromisoformat(shown(served, task_id)["created_at"]).astimezone(ZoneInfo("Asia/Kolkata"))
    local = f"{there:%Y-%m-%d %H:%M}"
    assert f"{local} (just now)" in served.run("task", "show", task_id, **zone).stdout
    assert f"since    {local} (" in served.run("task", "status", task_id, **zone).stdout
    assert local in served.run("task", "list", "-c", "created", "--limit", "1", **zone).stdout


def test_watch_ends_with_the_code_of_the_end(served: Terminal) -> None:
    task_id = file(served)
    reached = served.run("task", "status", task_id, "--watch", "--until", "queued", "--json")
    assert (reached.returncode, json.loads(reached.stdout)["stage"]) == (0, "queued")
    served.run("task", "cancel", task_id)
    ended = served.run("task", "status", task_id, "--watch")
    assert (ended.returncode, ended.stdout) == (1, f"{task_id} Cancelled · Cancelled by user\n")


def test_watch_prints_changes_as_they_come(served: Terminal) -> None:
    task_id = file(served)
    with served.start("task", "status", task_id, "--watch", "--json") as process:
        assert process.child.stdout is not None
        assert json.loads(process.child.stdout.readline())["stage"] == "queued"
        served.run("task", "cancel", task_id)
        assert json.loads(process.child.stdout.readline())["failure_reason"] == "cancelled"
        assert process.child.wait(60) == 1


def test_logs_of_a_new_code_task(served: Terminal) -> None:
    task_id = file(served)
    assert served.run("task", "logs", task_id).stderr == f"{task_id} has no log yet.\n"
    assert json.loads(served.run("task", "logs", task_id, "--json").stdout) == {"items": [], "next": None}
    served.run("task", "cancel", task_id)
    followed = served.run("task", "logs", task_id, "-f")
    assert (followed.returncode, followed.stdout) == (0, "")


def test_tokens_are_made_used_and_revoked(served: Terminal) -> None:
    made = served.run("token", "create", "ci", "--scope", "read", "--role", "viewer")
    token = made.stdout.strip()
    assert token.startswith("ct_")
    assert token not in made.stderr
    me = json.loads(served.run("whoami", "--json", CODETASK_TOKEN=token).stdout)
    assert (me["role"], me["scopes"]) == ("viewer", ["read"])
    assert served.run("task", "create", TEXT, CODETASK_TOKEN=token).returncode == 3
    listed = json.loads(served.run("token", "list", "--json").stdout)
    number = next(str(item["id"]) for item in listed["items"] if item["name"] == "ci")
    assert served.run("token", "revoke", number, "-y").returncode == 0
    refused = served.run("whoami", CODETASK_TOKEN=token)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "valid token" in refused.stderr


def test_stats_and_whoami_are_tables_too(served: Terminal) -> None:
    assert "admin" in served.run("whoami").stdout
    assert "unhandled" in served.run("stats").stdout

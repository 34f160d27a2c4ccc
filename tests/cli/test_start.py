"""What a start costs, and what stops one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal, free_port

HEAVY = {  # typer itself loads pydantic once it reads an option's value
    *("slack_bolt", "slack_sdk", "discord", "lark_oapi", "sqlalchemy", "sqlmodel", "fastapi", "pydantic", "uvicorn"),
    *("httpx", "rich", "aiohttp", "apscheduler", "alembic", "gidgethub", "structlog", "acp"),
}


def imported(terminal: Terminal, code: str) -> set[str]:
    """The modules a program imports, by `-X importtime`."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        env=terminal.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["task", "--help"], ["task", "create", "--wrong"]])
def test_help_loads_nothing_heavy(terminal: Terminal, args: list[str]) -> None:
    modules = imported(terminal, f"from bot.cli import main\ntry:\n main({args!r})\nexcept SystemExit: pass")
    allowed = {"--help": set[str](), "--version": {"pydantic"}}.get(args[0], {"pydantic", "httpx", "rich"})
    assert "typer" in modules
    assert not {name for name in modules if name.partition(".")[0] in HEAVY - allowed}
    assert not {name for name in modules if name.startswith(("bot.app", "bot.settings", "platforms", "storage"))}


def test_importing_the_command_line_loads_only_itself(terminal: Terminal) -> None:
    modules = imported(terminal, "import bot.cli")
    assert {name for name in modules if name.partition(".")[0] in ("bot", "typer")} == {"bot", "bot.cli"}


def test_every_command_explains_itself(terminal: Terminal) -> None:
    from bot.cli.root import COMMANDS

    root = terminal.run("--help")
    assert root.returncode == 0
    for name in COMMANDS:
        assert f"  {name} " in root.stdout
    assert terminal.run().returncode == 0
    for name in ("task", "db", "doctor", "demo"):
        shown = terminal.run(name, "--help")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "Usage: codetask" in shown.stdout


@pytest.mark.parametrize("name", ["", "task", "db", "token", "manifest"])
def test_no_line_of_help_is_cut(terminal: Terminal, name: str) -> None:
    shown = terminal.run(*name.split(), "--help", COLUMNS="80").stdout
    cut = [line for line in shown.partition("Commands:")[2].splitlines() if line.endswith(("...", "…"))]
    assert cut == []
    assert "<list[" not in shown


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["tsk"], "No such command 'tsk'. Did you mean 'task'?"),
        (["task", "crate"], "No such command 'crate'."),
        (["task", "create", "--colour", "red"], "No such option: --colour"),
        (["task", "create", "text here", "--name"], "Option '--name' requires an argument."),
        (["task", "show"], "Missing argument 'ID'."),
        (["task", "logs", "1", "--tail", "0"], "Invalid value for '--tail'"),
        (["task", "list", "--stage", "done"], "There is no stage done."),
        (["task", "list", "-c", "colour"], "There is no column colour."),
        (["task", "list", "--all", "--mine"], "exclude each other"),
        (["task", "list", "-o", "yaml"], "Invalid value for '-o'"),
        (["task", "create", "text", "--thread", "1.2"], "--thread needs --channel"),
        (["token", "revoke", "x", "-y"], "x is no token id."),
        (["manifest", "print", "irc"], "There is no manifest for irc."),
    ],
)
def test_a_wrong_usage_is_one_line_and_exit_2(terminal: Terminal, args: list[str], says: str) -> None:
    done = terminal.run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("args", [["whoami"], ["task", "list"], ["task", "create", "Add a CSV export"], ["stats"]])
def test_without_a_server_it_says_how_to_start_one(terminal: Terminal, args: list[str]) -> None:
    done = terminal.run(*args)
    assert (done.returncode, done.stdout) == (5, "")
    assert (
        done.stderr == f"Cannot reach http://{terminal.env['WEB_BIND']}. Is it running? Start it with `codetask up`.\n"
    )


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"CODETASK_URL": "ftp://x"}, "CODETASK_URL is no address"),
        ({"CODETASK_TOKEN_FILE": "/nonexistent/token"}, "CODETASK_TOKEN_FILE cannot be read"),
    ],
)
def test_a_wrong_address_is_exit_2(terminal: Terminal, env: dict[str, str], says: str) -> None:
    done = terminal.run("whoami", **env)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


@pytest.mark.parametrize(
    ("command", "env", "says"),
    [
        ("up", {"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN is needed too"),
        ("up", {"MAX_RUNS": "many"}, "MAX_RUNS"),
        ("up", {"SANDBOX": "chroot"}, "chroot"),
        ("up", {"WEB_BIND": "0.0.0.0:0"}, "WEB_SECRET is needed too"),
        ("worker", {}, "WORKER_TOKEN environment variable is required"),
        ("worker", {"WORKER_TOKEN": "never-admitted"}, "Start the server"),
    ],
)
def test_what_stops_a_start_is_said(terminal: Terminal, command: str, env: dict[str, str], says: str) -> None:
    done = terminal.run(command, **env)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said(terminal: Terminal) -> None:
    import socket

    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        done = terminal.run("serve", WEB_BIND=f"127.0.0.1:{port}")
    assert done.returncode == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stderr


def test_a_database_of_a_newer_version_is_refused(terminal: Terminal) -> None:
    import sqlite3

    assert terminal.run("db", "upgrade").returncode == 0
    path = Path(terminal.env["CODETASK_DATA"]) / "codetask.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_future'")
    connection.close()
    done = terminal.run("serve")
    assert done.returncode == 2
    assert "a newer one" in done.stderr


def test_db_status_and_upgrade(terminal: Terminal) -> None:
    before = terminal.run("db", "status")
    assert (before.returncode, "empty" in before.stdout) == (1, True)
    assert not Path(terminal.env["CODETASK_DATA"]).exists()
    assert terminal.run("db", "upgrade").stdout == "0001_start\n"
    again = terminal.run("db", "upgrade")
    assert (again.stdout, again.stderr) == ("", "Nothing to do: the database is current.\n")
    assert terminal.run("db", "status").returncode == 0


def test_a_broken_pipe_is_quiet(terminal: Terminal) -> None:
    done = subprocess.run(
        f"{sys.executable} -m bot.cli manifest print | head -c 1",
        shell=True,
        env=terminal.env,
        cwd=terminal.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""

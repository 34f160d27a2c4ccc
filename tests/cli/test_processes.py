"""The product's own processes: `up` from start to drain, a worker beside a server, and `doctor`."""

import json
import subprocess
from pathlib import Path

import pytest

from platforms.slack.simulator import SlackSimulator
from tests.cli.terminal import Terminal


def bare_repository(folder: Path) -> Path:
    """A bare repository with one commit."""
    source = folder / "source"
    source.mkdir()
    (source / "report.py").write_text("def total(lines):\n    return sum(lines)\n")
    for args in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *args], cwd=source, check=True, capture_output=True)
    bare = folder / "shop.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(source), str(bare)], check=True, capture_output=True)
    return bare


@pytest.fixture
def shop(terminal: Terminal, tmp_path: Path) -> Terminal:
    """A terminal whose one repository lies on the built-in forge."""
    (tmp_path / "codetask.toml").write_text(
        f'[repos.shop]\nurl = "file://{bare_repository(tmp_path)}"\nforge = "local"\ntest_command = "none"\n'
    )
    return terminal


def test_up_works_a_code_task_to_its_merge_and_drains(shop: Terminal) -> None:
    with shop.start("up", ALLOW_UNSANDBOXED_PUSH="true") as process:
        process.until("Worker ")
        process.until("No chat platform yet")
        process.until("API: ")
        done = shop.run("task", "create", "Add CSV export to the report", "--watch")
        assert done.returncode == 0, (done, process.said)
        assert "Review" in done.stdout
        task = json.loads(shop.run("task", "show", "1", "--json").stdout)
        assert task["pr"]["number"] == 1
        assert json.loads(shop.run("task", "logs", "1", "--json").stdout)["items"]
        assert shop.run("task", "merged", "1").stdout == "CT-1 is merged.\n"
        assert json.loads(shop.run("stats", "--json").stdout)["workers"] == 1
        assert process.stop() == 0
    assert "Stopped." in process.said
    assert shop.run("whoami").returncode == 5


def test_a_worker_of_its_own_process_proves_itself(shop: Terminal) -> None:
    secret = {"WORKER_TOKEN": "a worker's own secret", "ALLOW_UNSANDBOXED_PUSH": "true"}
    with shop.start("serve", **secret) as server:
        server.until("API: ")
        assert shop.run("whoami").returncode == 0
        assert shop.run("worker", WORKER_TOKEN="another one").returncode == 2
        with shop.start("worker", **secret) as worker:
            worker.until("Worker ")
            done = shop.run("task", "create", "Add CSV export to the report", "--watch")
            assert (done.returncode, "Review" in done.stdout) == (0, True), worker.said
            assert worker.stop() == 0
        assert server.stop() == 0


def test_up_connects_slack_and_says_so(terminal: Terminal) -> None:
    with SlackSimulator() as slack:
        tokens = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token}
        with terminal.start("up", CODETASK_SLACK_API_URL=slack.api_url, **tokens) as process:
            process.until("Slack: connected.")
            assert process.stop() == 0
        checked = terminal.run("setup", "slack", CODETASK_SLACK_API_URL=slack.api_url, **tokens)
        assert (checked.returncode, "The credentials work" in checked.stderr) == (0, True)
        wrong = {"SLACK_BOT_TOKEN": "xoxb-wrong", "SLACK_APP_TOKEN": slack.app_token}
        with terminal.start("up", CODETASK_SLACK_API_URL=slack.api_url, **wrong) as process:
            assert process.child.wait(60) == 1
            process.until("SLACK_BOT_TOKEN")
        refused = terminal.run("setup", "slack", CODETASK_SLACK_API_URL=slack.api_url, **wrong)
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)


def test_doctor_on_a_sound_machine(shop: Terminal) -> None:
    done = shop.run("doctor")
    assert done.returncode == 0, done.stdout
    levels = {line.split()[0] for line in done.stdout.splitlines()}
    assert levels == {"ok", "warn"}
    for check in ("python", "git", "database", "schema", "write test", "clock", "agent demo", "isolation", "workers"):
        assert f" {check}: " in done.stdout
    assert done.stderr.startswith(f"{done.stdout.count('ok  ')} ok, ")


@pytest.mark.parametrize(
    ("env", "check"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "settings"),
        ({"DEFAULT_AGENT": "gpt"}, "agents"),
        ({"SANDBOX": "chroot"}, "sandbox"),
        ({"CODETASK_CONFIG": "none.toml"}, "repository"),
        ({"DATABASE_URL": "postgresql+psycopg://nobody:hunter2@127.0.0.1:1/none"}, "start"),
    ],
)
def test_doctor_names_what_is_wrong_and_the_fix(shop: Terminal, env: dict[str, str], check: str) -> None:
    done = shop.run("doctor", "--json", **env)
    assert done.returncode == 1
    found = {item["check"]: item for item in json.loads(done.stdout)["items"] if item["level"] == "fail"}
    assert set(found) == {check}
    assert found[check]["fix"]
    assert "hunter2" not in done.stdout + done.stderr

"""`codetask setup` and `doctor --live` against the real Slack adapter on its simulator: they prove by doing."""

import fcntl
import json
import os
import pty
import select
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.cli.env_file import write_env
from platforms.lark.simulator import LarkSimulator
from platforms.registry import load_settings
from platforms.slack.simulator import SlackSimulator
from tests.cli.terminal import DEADLINE, Terminal


@pytest.fixture
def slack() -> Iterator[SlackSimulator]:
    with SlackSimulator() as simulator:
        yield simulator


@pytest.fixture
def lark() -> Iterator[LarkSimulator]:
    with LarkSimulator() as simulator:
        yield simulator


def tokens(slack: SlackSimulator) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "CODETASK_SLACK_API_URL": slack.api_url,
    }


def test_setup_asks_checks_and_writes_what_it_was_told(terminal: Terminal, slack: SlackSimulator) -> None:
    answers = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token}
    code, shown = typed(terminal, ["setup", "slack"], answers, CODETASK_SLACK_API_URL=slack.api_url)
    assert code == 0, shown
    assert "The credentials work: @codetask" in shown
    assert slack.bot_token not in shown
    written = terminal.home / ".env"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    again = terminal.run("setup", "slack", CODETASK_SLACK_API_URL=slack.api_url)
    assert (again.returncode, "The credentials work" in again.stderr) == (0, True)


def test_setup_writes_nothing_that_does_not_work(terminal: Terminal, slack: SlackSimulator) -> None:
    answers = {"SLACK_BOT_TOKEN": "xoxb-wrong", "SLACK_APP_TOKEN": slack.app_token}
    code, shown = typed(terminal, ["setup", "slack"], answers, CODETASK_SLACK_API_URL=slack.api_url)
    assert code == 1
    assert "SLACK_BOT_TOKEN" in shown and "Traceback" not in shown
    assert not (terminal.home / ".env").exists()


def test_setup_without_a_terminal_says_what_is_missing(terminal: Terminal) -> None:
    done = terminal.run("setup", "slack")
    assert done.returncode == 0
    assert "SLACK_BOT_TOKEN and SLACK_APP_TOKEN are not set yet" in done.stderr
    unknown = terminal.run("setup", "irc")
    assert (unknown.returncode, "Known: slack" in unknown.stderr) == (2, True)


NO_APP = "No app yet? Press Enter to make one by a link (or its QR code), or type LARK_APP_ID"


def test_an_app_is_made_by_a_link(terminal: Terminal, lark: LarkSimulator) -> None:
    code, shown = typed(terminal, ["setup", "lark"], {NO_APP: ""}, CODETASK_LARK_API_URL=lark.api_url)
    assert code == 0, shown
    assert f"Open this link and confirm: {lark.api_url}/page/launcher?user_code=" in shown
    assert "The credentials work: @Codetask" in shown
    assert lark.app_secret not in shown
    written = (terminal.home / ".env").read_text()
    assert lark.app_id in written and lark.app_secret in written


def test_an_app_that_is_there_is_typed_in(terminal: Terminal, lark: LarkSimulator) -> None:
    answers = {NO_APP: lark.app_id, "LARK_APP_SECRET": lark.app_secret}
    code, shown = typed(terminal, ["setup", "lark"], answers, CODETASK_LARK_API_URL=lark.api_url)
    assert code == 0, shown
    assert "Open this link" not in shown


def test_a_refused_app_says_so_and_writes_nothing(terminal: Terminal, lark: LarkSimulator) -> None:
    lark.registration.consent = "access_denied"
    code, shown = typed(terminal, ["setup", "lark"], {NO_APP: ""}, CODETASK_LARK_API_URL=lark.api_url)
    assert code == 1
    assert "The app was not approved." in shown and "Traceback" not in shown
    code, shown = typed(terminal, ["setup", "lark"], {NO_APP: ""}, CODETASK_LARK_API_URL="http://127.0.0.1:9")
    assert code == 1
    assert "could not be reached" in shown and "Traceback" not in shown
    assert not (terminal.home / ".env").exists()


def test_a_channel_is_proved_by_doing(terminal: Terminal, slack: SlackSimulator) -> None:
    channel = slack.channel("general").id
    done = terminal.run("setup", "slack", "--channel", channel, **tokens(slack))
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.endswith(": works")] == [
        "send: works",
        "edit: works",
        "react: works",
        "read: works",
    ]
    (sent,) = slack.sent
    assert "it can send, edit, react and read here" in sent.text
    assert slack.surprises == []


def test_doctor_names_the_step_that_fails_and_its_fix(terminal: Terminal, slack: SlackSimulator) -> None:
    general, lounge = (f"slack:{slack.channel(name).id}" for name in ("general", "lounge"))
    found = checks(terminal, slack, general, lounge, "irc:1")
    of_general = found[: found.index(next(one for one in found if one["level"] == "fail"))]
    assert [one["check"] for one in of_general][-4:] == ["slack send", "slack edit", "slack react", "slack read"]
    outside, nowhere = (one for one in found if one["level"] == "fail")
    assert (outside["check"], "invite" in outside["fix"].lower()) == ("slack send", True)
    assert nowhere["check"] == "live irc:1"
    slack.revoke_scope("reactions:write")
    (refused,) = (one for one in checks(terminal, slack, general) if one["level"] == "fail")
    assert (refused["check"], "reactions:write" in refused["fix"]) == ("slack", True)


def test_an_env_file_keeps_what_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nOTHER=1\nexport SLACK_BOT_TOKEN=old\n")
    odd = "a'b\\c $HOME #x"
    write_env(path, {"SLACK_BOT_TOKEN": odd, "SLACK_APP_TOKEN": "xapp-1-A1-2-3"})
    assert path.read_text().splitlines()[:2] == ["# mine", "OTHER=1"]
    monkeypatch.setenv("CODETASK_CONFIG", str(tmp_path / "codetask.toml"))
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)
    token = load_settings().chat["slack"].slack_bot_token
    assert token.get_secret_value() == odd


def checks(terminal: Terminal, slack: SlackSimulator, *live: str) -> list[dict[str, str]]:
    """What `doctor --live ...` finds, without the checks of this machine."""
    named = [word for channel in live for word in ("--live", channel)]
    repo = {"GIT_REPO_URL": "https://github.com/acme/web.git"}
    done = terminal.run("doctor", "--json", *named, **tokens(slack), **repo)
    return [one for one in json.loads(done.stdout)["items"] if one["check"].startswith(("slack", "live"))]


def typed(terminal: Terminal, args: list[str], answers: dict[str, str], **env: str) -> tuple[int, str]:
    """Runs a command on a pseudo-terminal and answers each prompt; the exit code and all that was shown."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "bot.cli", *args]
    whole = terminal.env | env
    child = subprocess.Popen(
        command,
        env=whole,
        cwd=terminal.home,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # hidden input is asked on the controlling terminal
    )
    os.close(slave)
    shown, waiting, deadline = "", dict(answers), time.monotonic() + DEADLINE
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 1)[0]:
                continue
            try:
                piece = os.read(master, 4096).decode(errors="replace")
            except OSError:  # the other side closed it
                break
            shown += piece
            prompt = next((name for name in waiting if shown.endswith(f"{name}: ")), None)
            if prompt:
                os.write(master, f"{waiting.pop(prompt)}\n".encode())
        return child.wait(DEADLINE), shown
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(master)

"""The failpoints themselves: silent unless asked for, exact about the pass, and every place in the code is known."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import failpoints
from bot.failpoints import FAILPOINTS, FailpointRaised, failpoint, parse_failpoint

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0


@pytest.fixture(autouse=True)
def _fresh_counts() -> Iterator[None]:
    failpoints._passes.clear()
    yield
    failpoints._passes.clear()


def program(passes: int) -> list[str]:
    text = f"from bot.failpoints import failpoint\nfor _ in range({passes}): failpoint('push.before')\nprint('on')"
    return [sys.executable, "-c", text]


def start(armed: str, passes: int = 1, **extra: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "CODETASK_FAILPOINT": armed, **extra}
    return subprocess.Popen(
        program(passes), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_does_nothing_unless_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODETASK_FAILPOINT", raising=False)
    failpoint("push.before")
    monkeypatch.setenv("CODETASK_FAILPOINT", "pr.before:raise")
    failpoint("push.before")


def test_raises_on_the_nth_pass_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODETASK_FAILPOINT", "push.before:raise:3")
    failpoint("push.before")
    failpoint("push.before")
    with pytest.raises(FailpointRaised, match=r"push\.before"):
        failpoint("push.before")
    failpoint("push.before")


@pytest.mark.parametrize("passes", [1, 2])
def test_kills_the_process_on_its_pass(passes: int) -> None:
    with start(f"push.before:kill:{passes}", passes) as process:
        out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == -signal.SIGKILL
    assert out == ""
    assert err == "failpoint push.before: kill\n"


def test_goes_on_when_the_pass_is_never_reached() -> None:
    with start("push.before:kill:2", 1) as process:
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out, err) == (0, "on\n", "")


def test_hangs_until_killed() -> None:
    with start("push.before:hang") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "failpoint push.before: hang\n"
        assert process.poll() is None
        process.kill()
        out, _ = process.communicate(timeout=DEADLINE)
    assert out == ""


def test_stops_until_continued() -> None:
    with start("push.before:stop") as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (0, "on\n")


def test_delays_and_goes_on() -> None:
    begun = time.monotonic()
    with start("push.before:delay", CODETASK_FAILPOINT_SECONDS="0.2") as process:
        out, _ = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (0, "on\n")
    assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nowhere:kill", "unknown place 'nowhere'"),
        ("push.before", "unknown action ''"),
        ("push.before:explode", "unknown action 'explode'"),
        ("push.before:kill:0", "'0' is not a pass number"),
        ("push.before:kill:two", "'two' is not a pass number"),
    ],
)
def test_says_what_is_wrong(text: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_failpoint(text)
    monkeypatch.setenv("CODETASK_FAILPOINT", text)
    with pytest.raises(ValueError, match=re.escape(complaint)):
        failpoint("push.before")


def test_every_place_in_the_code_is_known_and_no_other() -> None:
    calls = re.compile(r"""\bfailpoint\(\s*["']([^"']+)["']""")
    used = {
        name
        for folder in ("bot", "platforms", "storage")
        for file in (ROOT / folder).rglob("*.py")
        if file.name != "failpoints.py"
        for name in calls.findall(file.read_text())
    }
    assert used == set(FAILPOINTS)

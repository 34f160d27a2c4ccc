"""The harness notices what it is there to notice."""

import signal
import sys
from collections.abc import Callable

import pytest

from tests.faults.conftest import Start

PROGRAM = "from bot.failpoints import failpoint; print('begun', flush=True); failpoint('push.before')"


def command(rest: str = "") -> list[str]:
    return [sys.executable, "-c", f"{PROGRAM}\n{rest}"]


def test_it_waits_for_the_failpoint_and_the_end(start: Start) -> None:
    faulty = start(command(), "push.before:kill")
    faulty.reached()
    assert faulty.ended() == -signal.SIGKILL


def test_it_ends_what_hangs(start: Start) -> None:
    faulty = start(command(), "push.before:hang")
    faulty.reached()
    assert faulty.process.poll() is None
    faulty.close()
    assert faulty.process.returncode == -signal.SIGKILL


def test_it_says_when_the_failpoint_is_never_reached(start: Start) -> None:
    faulty = start(command("import sys; sys.stderr.write('all done')"), "pr.before:kill")
    with pytest.raises(AssertionError, match=r"(?s)ended without 'failpoint '.*all done"):
        faulty.reached()
    assert faulty.ended() == 0


def test_it_gives_up_at_the_deadline(start: Start) -> None:
    faulty = start(command(), "push.before:hang")
    faulty.reached()
    with pytest.raises(AssertionError, match="did not end in"):
        faulty.ended(deadline=0.05)
    with pytest.raises(AssertionError, match="was not written in"):
        faulty.until("never", deadline=0.05)


def test_counts_are_short_unless_asked(times: Callable[[int, int], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODETASK_FAULTS", raising=False)
    assert times(2, 20) == 2
    monkeypatch.setenv("CODETASK_FAULTS", "full")
    assert times(2, 20) == 20

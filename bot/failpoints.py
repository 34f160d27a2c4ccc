"""Places where a fault can be injected: `failpoint("push.before")`, a no-op unless the environment asks for a fault.

`CODETASK_FAILPOINT=name:action[:n]` arms one place of one process: its n-th pass (from 1, default 1) kills the process,
raises `FailpointRaised`, hangs for good, is delayed by `CODETASK_FAILPOINT_SECONDS` (default 1) or stops the process
until SIGCONT. Every armed pass writes `failpoint <name>: <action>` to stderr first, so that a harness can wait for it.
"""

import os
import signal
import threading
import time
from collections import Counter
from typing import Final

FAILPOINTS: Final = (
    "claim.before_commit",
    "claim.after_commit",
    "mirror.mid",
    "checkout.mid",
    "agent.spawned",
    "agent.mid",
    "agent.exited",
    "snapshot.tree_written",
    "gate.done",
    "test.spawned",
    "test.exited",
    "push.before",
    "push.remote_accepted",
    "pr.before",
    "pr.created_unrecorded",
    "delivery.before",
    "delivery.sent_unrecorded",
    "cleanup.mid",
    "followup.before_commit",
    "followup.claimed",
    "followup.posted_unmarked",
    "inbox.before_insert",
    "inbox.inserted_unacked",
    "inbox.acked",
    "command.before_commit",
    "command.after_commit",
    "intake.claimed",
    "intake.judged",
    "intake.before_commit",
    "outbox.claimed",
)
"""Every place there is, worker first, then follow-ups, then ingress."""

ACTIONS: Final = ("kill", "raise", "hang", "delay", "stop")
VARIABLE: Final = "CODETASK_FAILPOINT"

_passes: Counter[str] = Counter()
_lock = threading.Lock()


class FailpointRaised(Exception):
    """The fault that the action `raise` injects."""


def failpoint(name: str) -> None:
    """Injects the fault that the environment asks for at this place; does nothing otherwise.

    Blocks the calling thread for `hang`, `delay` and `stop`. Raises FailpointRaised for `raise`, and ValueError when
    the variable cannot be read (a fault test that silently tests nothing is worse than one that breaks).
    """
    armed = os.environ.get(VARIABLE)
    if not armed:
        return
    wanted, action, nth = parse_failpoint(armed)
    if wanted != name:
        return
    with _lock:
        _passes[armed] += 1
        due = _passes[armed] == nth
    if due:
        _inject(name, action)


def parse_failpoint(text: str) -> tuple[str, str, int]:
    """(name, action, n) of `name:action[:n]`; raises ValueError with what is wrong."""
    name, _, rest = text.partition(":")
    action, _, nth = rest.partition(":")
    if name not in FAILPOINTS:
        raise ValueError(f"{VARIABLE}: unknown place {name!r}; one of {', '.join(FAILPOINTS)}")
    if action not in ACTIONS:
        raise ValueError(f"{VARIABLE}: unknown action {action!r}; one of {', '.join(ACTIONS)}")
    if nth and not (nth.isascii() and nth.isdigit() and int(nth) > 0):
        raise ValueError(f"{VARIABLE}: {nth!r} is not a pass number from 1")
    return name, action, int(nth or 1)


def _inject(name: str, action: str) -> None:
    os.write(2, f"failpoint {name}: {action}\n".encode())
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "hang":
            threading.Event().wait()
        case "delay":
            time.sleep(float(os.environ.get(f"{VARIABLE}_SECONDS", "1")))
        case _:
            raise FailpointRaised(name)

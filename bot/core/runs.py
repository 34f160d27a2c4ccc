"""Runs: one attempt of a code task (later also a firing of a follow-up or one `send`), the unit that workers lease."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlmodel import Field, SQLModel

LEASE: Final = timedelta(seconds=60)
HEARTBEAT: Final = timedelta(seconds=15)
RETRY_WAITS: Final = (timedelta(seconds=60), timedelta(seconds=300))
RETRY_JITTER: Final = 0.1


class RunLease(StrEnum):
    """Where a run is in the queue's life."""

    QUEUED = "queued"
    """Waits to be claimed. A claim moves it on. A crash changes nothing."""
    ACTIVE = "active"
    """Leased by a worker. Its worker ends it; the reaper marks it lost once the lease has run out."""
    WAITING = "waiting"
    """Parked without a lease until a person answers. The answer queues it again. A crash changes nothing."""
    DONE = "done"
    """Finished well. Nobody moves it on."""
    FAILED = "failed"
    """Finished with a failure. Nobody moves it on: a retry is a new run."""
    LOST = "lost"
    """Its worker vanished. Nobody moves it on: a retry is a new run."""
    CANCELLED = "cancelled"
    """A person ended it. Nobody moves it on."""


class RunState(StrEnum):
    """What an active run's agent is doing."""

    WORKING = "working"
    WAITING_FOR_INPUT = "waiting_for_input"
    IDLE = "idle"
    COMPLETE = "complete"
    FAILED = "failed"


class LogKind(StrEnum):
    INPUT = "input"
    OUTPUT = "output"
    EVENT = "event"


class Run(SQLModel):
    """One attempt, shown to people as `CT-42#2`. `fence` grows with every claim; older claims cannot write."""

    id: int | None = None
    kind: str = "code_task"
    """`code_task` or `follow_up`."""
    code_task_id: int | None = None
    follow_up_id: int | None = None
    thread_id: int | None = None
    attempt: int = 1
    state: RunLease = RunLease.QUEUED
    run_state: RunState | None = None
    message: str | None = None
    """The last step reported, one line."""
    priority: int = 1
    available_at: datetime
    repo_key: str
    slot: int | None = None
    session_key: str | None = None
    """Which agent session it uses: at most one active run has the same."""
    agent: str
    fence: int = 0
    lease_owner: str | None = None
    lease_until: datetime | None = None
    cancel_requested_at: datetime | None = None
    workspace: str | None = None
    host: str | None = None
    sandbox: str | None = None
    reason: str | None = None
    error: str | None = None
    exit_code: int | None = None
    cost_usd: float | None = None
    reported_usd: float | None = None
    tokens: int | None = None
    counts_attempt: bool = True
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ParkedChange:
    """A tested commit that may be pushed only once an admin allowed exactly this tree.

    `facts` are the columns of the code task that the tests filled in; `bundle` is the commit as a git bundle."""

    base_sha: str
    tree_sha: str
    sha: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: dict[str, Any]
    bundle: bytes = field(repr=False)
    approved: bool = False
    asked_at: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether it has waited for too long: nobody may allow it any more."""
        return self.asked_at is not None and now - self.asked_at > APPROVAL_WAIT


APPROVAL_WAIT: Final = timedelta(hours=72)
"""How long a change waits for an admin (product rule 14)."""


class RunLogEntry(SQLModel):
    """One log entry of a run; `seq` starts at 1."""

    run_id: int
    seq: int
    at: datetime
    type: LogKind
    content: str


def retry_wait(failed_attempts: int, jitter: float, waits: Sequence[timedelta] = RETRY_WAITS) -> timedelta:
    """How long to wait after the nth failed attempt (n from 1): 60 s, then 300 s, each scaled by 1 + `jitter`.

    `jitter` is drawn by the caller from [-0.1, 0.1]; the last of `waits` repeats. Source: product rule 3.5.
    """
    wait = waits[min(max(failed_attempts, 1), len(waits)) - 1]
    return wait * (1 + jitter)


class LogLine(SQLModel):
    """A log line before it is stored: what kind of entry and its redacted text."""

    type: LogKind = Field(default=LogKind.OUTPUT)
    content: str

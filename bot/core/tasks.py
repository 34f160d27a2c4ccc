"""Code tasks: the entity, its six stages, its failure reasons and which move is legal.

The table `TRANSITIONS` is the law (product rule 3.4); storage guards every UPDATE with it and tests enumerate it.
"""

import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlmodel import Field, SQLModel

DESCRIPTION_MIN: Final = 10
DESCRIPTION_MAX: Final = 8_000
TITLE_MAX: Final = 80
ERROR_MAX: Final = 500
TEST_TAIL_MAX: Final = 2_000


class Stage(StrEnum):
    """The six stored stages of a code task."""

    QUEUED = "queued"
    """Waits for a worker, a retry time or its start time. A worker's claim moves it on. A crash changes nothing."""
    RUNNING = "running"
    """Claimed: checkout, setup, agent. Its worker moves it on. After a crash the lease ends: retry rule."""
    TESTING = "testing"
    """The change is committed, tests run. Its worker moves it on. After a crash the lease ends: retry rule."""
    REVIEW = "review"
    """Pushed: PR open, or branch only. A forge event, the poll or a person moves it on. A crash changes nothing."""
    MERGED = "merged"
    """The pull request was merged. Nobody moves it on. A crash changes nothing."""
    FAILED = "failed"
    """Stopped, with a reason. A manual retry or a forge fact moves it on. A crash changes nothing."""


class FailureReason(StrEnum):
    """Why a code task is `failed` (product rule 3.6)."""

    CANCELLED = "cancelled"
    NO_CHANGES = "no_changes"
    AGENT_FAILED = "agent_failed"
    TIMED_OUT = "timed_out"
    TESTS_FAILED = "tests_failed"
    PUSH_FAILED = "push_failed"
    PR_CLOSED = "pr_closed"
    WORKER_LOST = "worker_lost"
    REFUSED = "refused"
    BUDGET = "budget"
    CONFIG = "config"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """Smaller is claimed first."""
        return {"high": 0, "normal": 1, "low": 2}[self.value]


TRANSITIONS: Final[frozenset[tuple[Stage, Stage]]] = frozenset(
    {
        (Stage.QUEUED, Stage.RUNNING),
        (Stage.RUNNING, Stage.TESTING),
        (Stage.RUNNING, Stage.REVIEW),
        (Stage.TESTING, Stage.REVIEW),
        (Stage.RUNNING, Stage.QUEUED),
        (Stage.TESTING, Stage.QUEUED),
        (Stage.QUEUED, Stage.FAILED),
        (Stage.RUNNING, Stage.FAILED),
        (Stage.TESTING, Stage.FAILED),
        (Stage.REVIEW, Stage.FAILED),
        (Stage.REVIEW, Stage.MERGED),
        (Stage.FAILED, Stage.REVIEW),
        (Stage.FAILED, Stage.MERGED),
        (Stage.FAILED, Stage.QUEUED),
    }
)

ACTIVE: Final = frozenset({Stage.QUEUED, Stage.RUNNING, Stage.TESTING, Stage.REVIEW})
"""Stages in which a code task can be cancelled."""


class CodeTask(SQLModel):
    """A request that ends in a pull request. Shown to people as `CT-<id>`."""

    id: int | None = None
    uuid: str = Field(max_length=36)
    name: str = Field(max_length=64)
    thread_id: int | None = None
    requester_platform: str = ""
    requester_workspace: str = ""
    requester_id: str
    requester_name: str = ""
    title: str = Field(max_length=TITLE_MAX)
    description: str
    context: str = ""
    """Earlier messages of the thread as a JSON list of [who, text]; quoted to the agent as untrusted data."""
    repo: str
    """Alias of a configured repository, never a URL."""
    base: str
    agent: str
    priority: int = 1
    source: str = "chat"
    dedup_key: str | None = None
    """Unique: the message or event that filed it. The same one files nothing new."""
    dedup_hash: str | None = None
    """Hash of what was asked under that key; an API repeat with another body is refused."""
    draft: bool = False
    stage: Stage = Stage.QUEUED
    failure_reason: FailureReason | None = None
    error: str | None = None
    failed_at_stage: Stage | None = None
    cancelled_by: str | None = None
    merged_by: str | None = None
    instruction: str | None = None
    """Added by `retry ... with <text>`; the description stays as filed."""
    branch: str | None = None
    pr_url: str | None = None
    pr_number: int | None = None
    pr_draft: bool = False
    pushed_sha: str | None = None
    """The commit that the branch is known to hold."""
    pushing_sha: str | None = None
    """The commit about to be pushed, stored before the push: after a crash the branch is recognised as ours."""
    base_sha: str | None = None
    insertions: int | None = None
    deletions: int | None = None
    tests_passed: bool | None = None
    test_summary: str | None = None
    test_exit_code: int | None = None
    test_seconds: float | None = None
    test_tail: str | None = None
    cost_usd: float | None = None
    tokens: int | None = None
    attempt: int = 0
    max_attempts: int = 3
    next_attempt_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    testing_at: datetime | None = None
    review_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ref(self) -> str:
        """`CT-42`."""
        return f"CT-{self.id}"

    @property
    def is_cancelled(self) -> bool:
        return self.stage is Stage.FAILED and self.failure_reason is FailureReason.CANCELLED


def may_move(from_stage: Stage, to_stage: Stage) -> bool:
    """Whether the move is in the table; anything else is refused with nothing written."""
    return (from_stage, to_stage) in TRANSITIONS


def title_of(description: str) -> str:
    """The first line of a description, at most 80 characters, cut at a word."""
    line = description.strip().splitlines()[0].strip() if description.strip() else ""
    if len(line) <= TITLE_MAX:
        return line
    cut = line[: TITLE_MAX - 1].rsplit(" ", 1)[0].rstrip() or line[: TITLE_MAX - 1]
    return cut + "…"


def slug_of(title: str, suffix: int | None = None) -> str:
    """A name made of a title without a model: lower-case ASCII words joined by `-`, at most 32 bytes in all."""
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_title.lower()).strip("-") or "code-task"
    tail = "" if suffix is None else f"-{suffix}"
    return words[: 32 - len(tail)].rstrip("-") + tail

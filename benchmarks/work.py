"""Rows to measure with: code tasks filed in the shortest way, and the services around them."""

import uuid
from typing import Any

from bot.core.redact import Redactor
from bot.core.tasks import CodeTask
from bot.services.announcements import Announcer
from bot.services.attempts import Attempts
from bot.services.languages import Languages
from bot.settings import Settings, without_environment
from bot.store import Transaction
from platforms.registry import load_settings

EVERYTHING = 1_000_000
"""A limit per repository that never binds."""


def bench_settings(**values: Any) -> Settings:
    """Settings from nothing but `values`: no environment, no file."""
    with without_environment():
        return load_settings(**values)


def attempts(settings: Settings | None = None) -> Attempts:
    """The moves of attempts as the worker makes them."""
    found = settings or bench_settings(max_runs_per_repo=16)
    return Attempts(found, Announcer(Languages(), Redactor(())))


def file_task(tx: Transaction, thread_id: int | None = None, repo: str | None = None, agent: str = "patch") -> CodeTask:
    """Files a code task with its first run, in a repository of its own unless one is named."""
    unique = uuid.uuid4().hex
    task = tx.tasks.add(
        CodeTask(
            uuid=unique,
            name=f"task-{unique}",
            thread_id=thread_id,
            requester_platform="slack",
            requester_workspace="T1",
            requester_id="U1",
            title="Add a page",
            description="Add a page that lists users",
            repo=repo or f"repo-{unique[:6]}",
            base="main",
            agent=agent,
            created_at=tx.now,
            updated_at=tx.now,
        ),
        "slack:U1",
    )
    assert task is not None, "a fresh uuid is not taken"
    tx.runs.enqueue(task, 1, tx.now)
    return task

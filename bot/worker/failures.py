"""How a step of a run says that the run ends here, and what a fault of the machine is called."""

from dataclasses import replace
from typing import Any, Final

import structlog

from bot.core.tasks import FailureReason
from bot.services.attempts import Failure
from bot.settings import Settings
from bot.worker.disk import is_full
from bot.worker.git import GitFailed
from bot.worker.workspace import Refusal

log = structlog.get_logger(__name__)
BY_THE_DISK: Final = frozenset({FailureReason.CONFIG, FailureReason.AGENT_FAILED, FailureReason.TESTS_FAILED})
"""Reasons that may only be what a full disk looks like."""


class Stopped(Exception):
    """A step ended the run with a failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


def need(value: Any) -> Any:
    """The value of a step; a failure stops the run."""
    match value:
        case Failure():
            raise Stopped(value)
        case GitFailed(kind, say):
            raise Stopped(Failure(FailureReason.CONFIG, f"git: {say}", retry=kind in ("network", "timeout")))
        case Refusal(_, say):
            raise Stopped(Failure(FailureReason.REFUSED, say))
        case _:
            return value


def machine_trouble(ref: str, error: OSError) -> Failure:
    """A fault of the worker's machine (disk full, no process left) may pass, or another worker may do better."""
    log.error("run_failed", run=ref, exc_info=error)
    return Failure(FailureReason.CONFIG, f"The worker's machine: {error.strerror or type(error).__name__}", retry=True)


def named_if_full(failure: Failure, settings: Settings, ref: str) -> Failure:
    """On a full disk every program fails in its own words; the disk is what must be said."""
    if failure.reason not in BY_THE_DISK or not is_full(settings.workspaces):
        return failure
    log.error("disk_full", run=ref, said=failure.error)
    why = f"The worker's disk is full ({failure.error})"
    return replace(failure, reason=FailureReason.CONFIG, error=why, retry=True)

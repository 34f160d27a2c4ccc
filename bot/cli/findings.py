"""What `doctor` finds: one line per check, with the exact fix when something is wrong."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names what was looked at, `says` what was seen, `fix` what to do (empty when ok)."""

    check: str
    level: Level
    says: str
    fix: str = ""


Check = Callable[[], Awaitable[Sequence[Finding]]]


def ok(check: str, says: str) -> Finding:
    return Finding(check, "ok", says)


def warn(check: str, says: str, fix: str) -> Finding:
    return Finding(check, "warn", says, fix)


def fail(check: str, says: str, fix: str) -> Finding:
    return Finding(check, "fail", says, fix)

"""Why an agent's turn went wrong, read out of what it says. The gateway's own word goes before this."""

from __future__ import annotations

import re
from typing import Final

from bot.ports import Limits

_SIGNS: Final = (
    ("budget", re.compile(r"\b402\b|over budget|budget (is )?(used|exhausted|exceeded)|payment required", re.I)),
    ("auth", re.compile(r"\b401\b|\b403\b|authentication|unauthori[sz]ed|invalid api key", re.I)),
    ("quota", re.compile(r"\b429\b|rate.?limit|quota", re.I)),
    (
        "unreachable",
        re.compile(r"ECONNREFUSED|ECONNRESET|ENOTFOUND|unable to connect|cannot connect|\b50[234]\b", re.I),
    ),
)
_LIMITS: Final = (
    (
        f"{Limits().processes} processes",
        re.compile(
            r"cannot fork|fork: (retry|resource temporarily unavailable)|unable to fork|can't start new thread"
            r"|BlockingIOError: \[Errno 11\]|spawn \S+ EAGAIN",
            re.I,
        ),
    ),
    ("memory", re.compile(r"cannot allocate memory|\bMemoryError\b|heap out of memory|\bENOMEM\b", re.I)),
)
_AUTH_REQUIRED: Final = -32000


def read_cause(text: str, code: int | None = None, *, default: str = "crashed") -> str:
    """One of auth, unreachable, quota, budget by the words of an error; `default` when none fits."""
    if code == _AUTH_REQUIRED:
        return "auth"
    return next((cause for cause, sign in _SIGNS if sign.search(text)), default)


def read_limit(text: str) -> str:
    """Which limit of the machine an agent that failed ran into, by the last words of its error output; else empty."""
    return next((limit for limit, sign in _LIMITS if sign.search(text[-4096:])), "")

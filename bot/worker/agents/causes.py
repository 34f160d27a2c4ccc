"""Why an agent's turn went wrong, read out of what it says. The gateway's own word goes before this."""

from __future__ import annotations

import re
from typing import Final

_SIGNS: Final = (
    ("budget", re.compile(r"\b402\b|over budget|budget (is )?(used|exhausted|exceeded)|payment required", re.I)),
    ("auth", re.compile(r"\b401\b|\b403\b|authentication|unauthori[sz]ed|invalid api key", re.I)),
    ("quota", re.compile(r"\b429\b|rate.?limit|quota", re.I)),
    (
        "unreachable",
        re.compile(r"ECONNREFUSED|ECONNRESET|ENOTFOUND|unable to connect|cannot connect|\b50[234]\b", re.I),
    ),
)
_AUTH_REQUIRED: Final = -32000


def read_cause(text: str, code: int | None = None, *, default: str = "crashed") -> str:
    """One of auth, unreachable, quota, budget by the words of an error; `default` when none fits."""
    if code == _AUTH_REQUIRED:
        return "auth"
    return next((cause for cause, sign in _SIGNS if sign.search(text)), default)

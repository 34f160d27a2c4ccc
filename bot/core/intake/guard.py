"""Requests that an admin should look at first: patterns that raise a flag (product rule 6.3).

A flag only. It never blocks by itself, and a text without one is not thereby safe: what an agent may do is held by the
sandbox and by the gate in front of a push. So a wrong flag costs an admin one click, and a missed one nothing more than
any other request.
"""

import unicodedata
from typing import Final

from bot.core.hygiene import clean
from bot.core.intake.guard_patterns import RULES

READ_MAX: Final = 8_000
"""As long as a description may be (product rule P08)."""


def guard(text: str) -> tuple[str, ...]:
    """Why an admin should allow this first: `destructive`, `secrets`, `ci`, `auth`, `exfiltration`, in that order.

    Empty for most texts. Sentences for people: `guard_text`. Reads at most `READ_MAX` characters; never raises.
    """
    plain = unicodedata.normalize("NFKC", clean(text[: 2 * READ_MAX]))[:READ_MAX].lower()
    found: list[str] = []
    for rule in RULES:
        if rule.key in found or not any(anchor in plain for anchor in rule.anchors):
            continue
        if rule.pattern.search(plain):
            found.append(rule.key)
    return tuple(found)


def guard_text(key: str) -> str:
    """The key of the sentence that says it: "This mentions CI settings."."""
    return f"guard.{key}"

"""Which messages are never judged, by what is known of them without a model."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SHORTEST: Final = 25
"""Characters that an ordinary message needs to be judged. A pointed-at one (mention, reaction, shortcut) needs none."""
_CHINESE_WEIGHT: Final = 2.5
"""One Chinese character says as much as so many Latin ones, so 10 of them are enough."""


class Skip(StrEnum):
    """Why a message is not judged; none of these says anything about its text."""

    OFF = "off"
    """Nothing is read in this channel."""
    OWN = "own"
    BOT = "bot"
    WEBHOOK = "webhook"
    SYSTEM = "system"
    """Somebody joined, a topic changed."""
    COMMAND = "command"
    TASK_THREAD = "task_thread"
    """A reply in a code task's own thread steers that task."""
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a message beside its text."""

    is_off: bool = False
    is_own: bool = False
    by_bot: bool = False
    by_webhook: bool = False
    is_system: bool = False
    is_command: bool = False
    in_task_thread: bool = False
    is_pointed_at: bool = False
    """By a mention, a reaction of a permitted role, or a shortcut; that also works where intake is off."""


def skipped(text: str, facts: Facts) -> Skip | None:
    """Why the message is not judged, the first reason that holds; None when it is."""
    reasons = (
        (facts.is_own, Skip.OWN),
        (facts.by_bot, Skip.BOT),
        (facts.by_webhook, Skip.WEBHOOK),
        (facts.is_system, Skip.SYSTEM),
        (facts.is_command, Skip.COMMAND),
        (facts.in_task_thread, Skip.TASK_THREAD),
        (facts.is_off and not facts.is_pointed_at, Skip.OFF),
        (not facts.is_pointed_at and is_short(text), Skip.SHORT),
    )
    return next((reason for holds, reason in reasons if holds), None)


def is_short(text: str) -> bool:
    """Whether a text is too short to be judged by itself."""
    return _size(text) < SHORTEST


def _size(text: str) -> float:
    plain = text.strip()[: 4 * SHORTEST]
    return sum(_CHINESE_WEIGHT if "\u3400" <= letter <= "\u9fff" else 1.0 for letter in plain)

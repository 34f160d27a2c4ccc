"""What is done with a judged item: nothing and why, a suggestion, or a code task (product rules 6.1 to 6.3).

Pure. The caller counts; every threshold that is not a setting stands in `bot.core.suggestions`.
"""

from dataclasses import dataclass

from bot.core.suggestions import DECIDED_FOR_AUTO, PER_CHANNEL_AND_DAY, PRECISION_FOR_AUTO, Mode, SkipReason


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decides about one judged item, as it is at the moment of the decision."""

    mode: Mode
    """What the channel is set to now."""
    score: float
    threshold: float
    actionable: bool
    """Whether the judge's likeliest kind is a feature request or a bug report."""
    marker: bool = False
    """Whether it says itself what it is."""
    by_model: bool = False
    trusted: bool = True
    """Whether its author is a full member who may file code tasks."""
    outsider: bool = False
    """Whether its author is a guest, somebody external, a bot or a webhook."""
    guarded: bool = False
    likely_same: bool = False
    late: bool = False
    shown_to_author: int = 0
    shown_in_channel: int = 0
    filed_today: int = 0
    """Code tasks that intake filed by itself in the channel in the last 24 hours."""
    daily_cap: int = 0
    decided: int = 0
    """Of the model's suggestions in the channel at or above the threshold: how many people decided about,"""
    right: int = 0
    """and how many of those were requests."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nobody is told, and no word of it is kept."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Suggest:
    """People are asked. `guard`: only an admin may say yes."""

    guard: bool


@dataclass(frozen=True, slots=True)
class FileItself:
    """It is filed, and can be undone for a while."""


Decision = Nothing | Suggest | FileItself


def decide(facts: Facts) -> Decision:
    """What to do with a judged item."""
    if facts.mode is Mode.OFF:
        return Nothing(SkipReason.TURNED_OFF)
    if not flagged(facts):
        return Nothing(SkipReason.MODEL_SAYS_NO if facts.by_model else SkipReason.BELOW)
    if facts.mode is Mode.OBSERVE:
        return Nothing(SkipReason.OBSERVED)
    if facts.mode is Mode.AUTO and _may_file_itself(facts):
        return FileItself()
    if facts.shown_to_author:
        return Nothing(SkipReason.AUTHOR_LIMIT)
    if facts.shown_in_channel >= PER_CHANNEL_AND_DAY:
        return Nothing(SkipReason.CHANNEL_LIMIT)
    return Suggest(guard=facts.guarded or facts.outsider)


def flagged(facts: Facts) -> bool:
    """Whether the judge calls it a request. The rules' score is the chance of that; a model also names a kind."""
    return facts.marker or (facts.score >= facts.threshold and (facts.actionable or not facts.by_model))


def _may_file_itself(facts: Facts) -> bool:
    """Without a person only what a trusted member asks for, that needs no second look, and is surely a request."""
    if not facts.trusted or facts.outsider or facts.guarded or facts.likely_same or facts.late:
        return False
    if facts.filed_today >= facts.daily_cap:
        return False
    proven = facts.decided >= DECIDED_FOR_AUTO and facts.right >= PRECISION_FOR_AUTO * facts.decided
    return facts.marker or (facts.by_model and proven)

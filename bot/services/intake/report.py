"""What intake heard, would have suggested and was right about: figures without a word of what was said."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bot.core.suggestions import Mode
from bot.store import Transaction

Channel = tuple[str, str, str]
JUDGES: Final = ("rules", "llm")
STEPS: Final = 10
CHANNELS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one channel, or of several together."""

    states: Mapping[str, int] = field(default_factory=dict[str, int])
    reasons: Mapping[str, int] = field(default_factory=dict[str, int])
    """Why nothing was shown; of items in the state skipped."""
    scores: Sequence[int] = (0,) * STEPS
    """How many judged items scored 0 to 0.1, 0.1 to 0.2, ... 0.9 to 1."""
    judged: int = 0
    above: int = 0
    """Judged items at or above the threshold: what was suggested, or would have been."""
    decided: int = 0
    """Suggestions that a person decided about."""
    requests: int = 0
    """Of them, those that were filed, or found to ask for the same as a code task."""

    @property
    def share(self) -> float | None:
        """The share of judged items that is above the threshold."""
        return round(self.above / self.judged, 4) if self.judged else None

    @property
    def precision(self) -> float | None:
        """The share of decided suggestions that were requests."""
        return round(self.requests / self.decided, 4) if self.decided else None

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            dict(Counter(self.states) + Counter(other.states)),
            dict(Counter(self.reasons) + Counter(other.reasons)),
            tuple(one + two for one, two in zip(self.scores, other.scores, strict=True)),
            self.judged + other.judged,
            self.above + other.above,
            self.decided + other.decided,
            self.requests + other.requests,
        )


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """One channel. `mode` is the one that is set there now."""

    channel: Channel
    mode: Mode
    figures: Figures


def read_figures(tx: Transaction, channel: Channel, since: datetime, threshold: float) -> Figures:
    """The figures of one channel: of what was heard since then, but decisions of all time."""
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for (state, reason), count in tx.suggestions.counts(channel, since).items():
        states[state] += count
        if state == "skipped":
            reasons[reason] += count
    scores = tx.suggestions.scores(channel, since)
    steps = Counter(min(int(score * STEPS), STEPS - 1) for score in scores)
    records = [tx.suggestions.record(channel, judge, 0.0) for judge in JUDGES]
    return Figures(
        states=dict(states),
        reasons=dict(reasons),
        scores=tuple(steps[step] for step in range(STEPS)),
        judged=len(scores),
        above=sum(score >= threshold for score in scores),
        decided=sum(decided for decided, _ in records),
        requests=sum(right for _, right in records),
    )

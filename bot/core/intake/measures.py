"""How good a scorer is: average precision, and precision and recall at thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What happens when everything from `threshold` on is called actionable."""

    threshold: float
    precision: float
    """Of what is flagged, the share that is right; 0.0 when nothing is flagged."""
    recall: float
    """Of what is right, the share that is flagged; 0.0 when there is nothing to find."""
    flagged: int


def average_precision(scores: Sequence[float], right: Sequence[bool]) -> float:
    """The sum over distinct scores of (recall gained) x (precision there): items with equal scores enter together.

    0.0 when nothing is right. Raises ValueError when the two differ in length.
    """
    pairs = sorted(zip(scores, right, strict=True), key=lambda pair: -pair[0])
    wanted = sum(right)
    seen = hits = 0
    total = 0.0
    for _, group in groupby(pairs, key=lambda pair: pair[0]):
        members = [is_right for _, is_right in group]
        seen += len(members)
        hits += sum(members)
        total += sum(members) * hits / seen
    return total / wanted if wanted else 0.0


def at_threshold(scores: Sequence[float], right: Sequence[bool], threshold: float) -> AtThreshold:
    """Precision and recall when every score at or above `threshold` is flagged."""
    flagged = [is_right for score, is_right in zip(scores, right, strict=True) if score >= threshold]
    hits, wanted = sum(flagged), sum(right)
    precision = hits / len(flagged) if flagged else 0.0
    return AtThreshold(threshold, precision, hits / wanted if wanted else 0.0, len(flagged))

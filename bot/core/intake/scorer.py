"""The local judgement of one message: what kind it is, and how likely it asks for a change of the software."""

from collections.abc import Mapping
from itertools import repeat
from math import exp, log, sqrt
from typing import Final

from bot.core.intake.features import Features, features_of
from bot.core.intake.kinds import ACTIONABLE, KINDS, Kind, Reason, Score
from bot.core.intake.markers import find_marker
from bot.core.intake.plain import without_code
from bot.core.intake.weights import Weights, shipped

_FLAT: Final = {kind: 1 / len(KINDS) for kind in KINDS}
_LIMIT: Final = 30.0
_REASONS: Final[Mapping[Reason, str]] = {
    Reason.JOKE: "joke",
    Reason.PEOPLE: "people",
    Reason.SETTLED: "settled",
    Reason.UNDER_WAY: "way_",
    Reason.QUESTION: "ask",
}
"""Reason -> what the names of its signals contain; for messages that are not actionable, the first that spoke."""


def score(text: str, lang: str | None = None, *, weights: Weights | None = None) -> Score:
    """Judges one message by itself; its neighbours are never looked at.

    `lang` is accepted for callers that know it; the features find the language themselves, so that the same text always
    scores the same. Without `weights` the shipped ones are used. Never raises on any text.
    """
    del lang
    if not any(map(str.isalnum, text)):
        return Score(Kind.CHATTER, 0.0, _only(Kind.CHATTER), Reason.EMPTY, marker=False)
    marker = find_marker(without_code(text))
    if marker is not None:
        return Score(marker.kind, 1.0, _only(marker.kind), Reason.MARKER, marker=True)
    weights = weights or shipped()
    seen = features_of(text)
    probabilities = calibrated(softmax(logits(seen, weights)), weights)
    kind = max(KINDS, key=probabilities.__getitem__)
    actionable = sum(probabilities[one] for one in KINDS if one in ACTIONABLE)
    return Score(kind, actionable, probabilities, _reason(seen, probabilities, actionable), marker=False)


def suggest_threshold(weights: Weights | None = None) -> float:
    """The probability of "actionable" from which on a message is worth a suggestion."""
    return (weights or shipped()).head.suggest


def logits(seen: Features, weights: Weights) -> list[float]:
    """One number for each kind, before the softmax."""
    head = weights.head
    shrink = 1 / sqrt(len(seen.pieces)) if seen.pieces else 0.0
    known = [weights.pieces[piece] for piece in seen.pieces if piece in weights.pieces]
    sums = list(map(sum, zip(*known, strict=True))) or [0.0] * len(KINDS)
    return [
        head.biases[at]
        + head.dense_scales[at] * sum(map(values.__getitem__, seen.dense))
        + head.piece_scales[at] * shrink * sums[at]
        for at, values in enumerate(weights.rules)
    ]


def softmax(values: list[float]) -> list[float]:
    """Probabilities that add up to 1."""
    top = max(values)
    powers = [exp(value - top) for value in values]
    whole = sum(powers)
    return [power / whole for power in powers]


def log_odds(raw: list[float]) -> float:
    """The log-odds of "actionable" in uncalibrated probabilities, within +-30."""
    inside = sum(value for kind, value in zip(KINDS, raw, strict=True) if kind in ACTIONABLE)
    inside = min(max(inside, exp(-_LIMIT)), 1 - 1e-13)
    return log(inside / (1 - inside))


def calibrated(raw: list[float], weights: Weights) -> dict[Kind, float]:
    """The probabilities, with those of the two actionable kinds and those of the rest scaled to the calibrated sum."""
    inside = sum(value for kind, value in zip(KINDS, raw, strict=True) if kind in ACTIONABLE)
    wanted = 1 / (1 + exp(-min(max(weights.head.slope * log_odds(raw) + weights.head.offset, -_LIMIT), _LIMIT)))
    shares = (wanted / inside if inside else 0.0, (1 - wanted) / (1 - inside) if inside < 1 else 0.0)
    scaled = [value * shares[kind not in ACTIONABLE] for kind, value in zip(KINDS, raw, strict=True)]
    whole = sum(scaled)
    return dict(zip(KINDS, (value / whole for value in scaled), strict=True)) if whole else _FLAT


def _only(kind: Kind) -> dict[Kind, float]:
    return dict(zip(KINDS, repeat(0.0), strict=False)) | {kind: 1.0}


def _reason(seen: Features, probabilities: Mapping[Kind, float], actionable: float) -> Reason:
    wish = any("wish" in name for name in seen.signals)
    fault = any("fault" in name for name in seen.signals)
    feature_leads = probabilities[Kind.FEATURE_REQUEST] >= probabilities[Kind.BUG_REPORT]
    if actionable >= 0.5 or not any(part in name for name in seen.signals for part in _REASONS.values()):
        if wish and (feature_leads or not fault):
            return Reason.WISH
        return Reason.FAULT if fault else Reason.WORDING
    return next(reason for reason, part in _REASONS.items() if any(part in name for name in seen.signals))

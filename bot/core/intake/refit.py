"""Makes an overlay of what people decided: logistic regression on the shipped model, in plain Python, in seconds.

Decided suggestions are few, and all of them scored above the threshold, so the correction is held close to nothing:
what the labels do not say clearly stays as it was shipped.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final

from bot.core.intake.features import DENSE, Features, features_of
from bot.core.intake.markers import find_marker
from bot.core.intake.measures import average_precision
from bot.core.intake.overlay import FEATURES_MAX, Overlay
from bot.core.intake.plain import without_code
from bot.core.intake.scorer import log_odds, logits, softmax
from bot.core.intake.weights import Weights

LABELS_MAX: Final = 2_000
"""The newest so many are looked at."""
LABELS_MIN: Final = 30
EACH_MIN: Final = 8
"""At least so many labels in all, and of each kind."""
_FOLDS: Final = 5
_EPOCHS: Final = (6, 40)
_STEPS: Final = 12_000
"""Many labels are gone through less often, so that the time stays within seconds."""
_RATE: Final = 0.1
_DENSE_DECAY: Final = 0.06
_PIECE_DECAY: Final = 0.06
_CALIBRATION_DECAY: Final = 0.05
_SEEN_MIN: Final = 2
_SLOPE: Final = (0.3, 3.0)


@dataclass(frozen=True, slots=True)
class Label:
    """What people decided about one message."""

    text: str
    is_request: bool


@dataclass(frozen=True, slots=True)
class TooFew:
    """Not enough labels for a refit. Those that name themselves by a marker teach nothing and do not count."""

    requests: int
    others: int


@dataclass(frozen=True, slots=True)
class Refit:
    """An overlay, and what held-out labels say of it: mean log-loss (less is better) and average precision."""

    overlay: Overlay
    loss_before: float
    loss_after: float
    precision_before: float
    precision_after: float

    @property
    def is_better(self) -> bool:
        return self.loss_after < self.loss_before


@dataclass(frozen=True, slots=True)
class _Seen:
    base: float
    features: tuple[tuple[int, float], ...]
    is_request: bool


def refit(labels: Sequence[Label], base: Weights) -> Refit | TooFew:
    """An overlay for `base` from labels, newest first. The same labels give the same overlay."""
    seen = [_look(label, base) for label in labels[:LABELS_MAX] if find_marker(without_code(label.text)) is None]
    requests = sum(one.is_request for one in seen)
    others = len(seen) - requests
    if len(seen) < LABELS_MIN or min(requests, others) < EACH_MIN:
        return TooFew(requests, others)
    right = [one.is_request for one in seen]
    before = [one.base for one in seen]
    after = _held_out(seen)
    made = _fit(seen)
    strongest = sorted(made.added.items(), key=lambda pair: (-abs(pair[1]), pair[0]))[:FEATURES_MAX]
    features = {at: value for at, value in sorted(strongest) if abs(value) >= 0.005}
    overlay = Overlay(base.head.checksum, made.slope, made.offset, features, requests, others)
    return Refit(
        overlay,
        _loss(before, right),
        _loss(after, right),
        average_precision(before, right),
        average_precision(after, right),
    )


def _look(label: Label, base: Weights) -> _Seen:
    found: Features = features_of(label.text)
    odds = base.head.slope * log_odds(softmax(logits(found, base))) + base.head.offset
    share = 1 / sqrt(len(found.pieces)) if found.pieces else 0.0
    values = [(at, 1.0) for at in found.dense] + [(at, share) for at in found.pieces]
    return _Seen(odds, tuple(values), label.is_request)


@dataclass(slots=True)
class _Correction:
    slope: float
    offset: float
    added: dict[int, float]

    def odds(self, one: _Seen) -> float:
        return self.slope * one.base + self.offset + sum(self.added.get(at, 0.0) * x for at, x in one.features)


def _held_out(seen: Sequence[_Seen]) -> list[float]:
    """For each label the log-odds by a correction that was made without it."""
    order = list(range(len(seen)))
    random.Random(7).shuffle(order)
    odds = [0.0] * len(seen)
    for fold in range(_FOLDS):
        out = order[fold::_FOLDS]
        made = _fit([seen[at] for at in order if at not in set(out)])
        for at in out:
            odds[at] = made.odds(seen[at])
    return odds


def _fit(seen: Sequence[_Seen]) -> _Correction:
    """AdaGrad on the log-loss, with L2 that pulls towards no correction at all."""
    counts = Counter(at for one in seen for at, _ in one.features)
    known = {at for at, count in counts.items() if count >= _SEEN_MIN}
    items = [_Seen(one.base, tuple(pair for pair in one.features if pair[0] in known), one.is_request) for one in seen]
    made = _Correction(1.0, 0.0, dict.fromkeys(known, 0.0))
    squares = dict.fromkeys(known, 1e-2)
    slope_square = offset_square = 1e-2
    order, dice = list(range(len(items))), random.Random(3)
    for _ in range(min(max(_STEPS // len(items), _EPOCHS[0]), _EPOCHS[1])):
        dice.shuffle(order)
        for at in order:
            one = items[at]
            error = _chance(made.odds(one)) - one.is_request
            pull = error * one.base / 4 + _CALIBRATION_DECAY * (made.slope - 1)
            slope_square += pull * pull
            made.slope = min(max(made.slope - _RATE * pull / sqrt(slope_square), _SLOPE[0]), _SLOPE[1])
            pull = error + _CALIBRATION_DECAY * made.offset
            offset_square += pull * pull
            made.offset -= _RATE * pull / sqrt(offset_square)
            for feature, x in one.features:
                decay = _DENSE_DECAY if feature < DENSE else _PIECE_DECAY
                pull = error * x + decay * made.added[feature]
                squares[feature] += pull * pull
                made.added[feature] -= _RATE * pull / sqrt(squares[feature])
    return made


def _loss(odds: Sequence[float], right: Sequence[bool]) -> float:
    chances = [_chance(value) for value in odds]
    return -sum(log(max(p if r else 1 - p, 1e-9)) for p, r in zip(chances, right, strict=True)) / len(right)


def _chance(value: float) -> float:
    return 1 / (1 + exp(-min(max(value, -30.0), 30.0)))

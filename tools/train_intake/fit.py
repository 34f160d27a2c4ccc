"""Fitting of the hashed logistic regression in plain Python: softmax, AdaGrad, and L2 on what a message touches."""

import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log, sqrt

from bot.core.intake.features import BUCKETS, DENSE, FINGERPRINT, Features
from bot.core.intake.kinds import KINDS
from bot.core.intake.scorer import softmax
from bot.core.intake.weights import Head, Weights


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of a fit."""

    epochs: int = 6
    rate: float = 0.12
    dense_decay: float = 0.002
    piece_decay: float = 0.004
    piece_gain: float = 4.0
    """Hashed features count this much more than their share by length."""
    seed: int = 5


@dataclass(slots=True)
class Model:
    """Weights in full precision: for each class one number for each bucket, and a bias."""

    rows: list[list[float]] = field(default_factory=lambda: [[0.0] * BUCKETS for _ in KINDS])
    biases: list[float] = field(default_factory=lambda: [0.0] * len(KINDS))
    gain: float = 1.0

    def logits(self, seen: Features) -> list[float]:
        """One number for each kind."""
        shrink = self.gain / sqrt(len(seen.pieces)) if seen.pieces else 0.0
        return [
            bias + sum(map(row.__getitem__, seen.dense)) + shrink * sum(map(row.__getitem__, seen.pieces))
            for row, bias in zip(self.rows, self.biases, strict=True)
        ]


def fit(seen: Sequence[Features], kinds: Sequence[int], importance: Sequence[float], recipe: Recipe) -> Model:
    """The model for messages, their kinds (places in `KINDS`) and how much each counts. Deterministic."""
    model = Model(gain=recipe.piece_gain)
    squares = [[1e-2] * BUCKETS for _ in KINDS]
    dice = random.Random(recipe.seed)
    order = list(range(len(seen)))
    totals = Model(gain=recipe.piece_gain)
    for epoch in range(recipe.epochs):
        dice.shuffle(order)
        for at in order:
            _step(model, squares, seen[at], kinds[at], importance[at], recipe)
        if epoch >= recipe.epochs // 2:
            _add(totals, model)
    _scale(totals, 1 / (recipe.epochs - recipe.epochs // 2))
    return totals


def _step(model: Model, squares: list[list[float]], seen: Features, kind: int, counts: float, recipe: Recipe) -> None:
    guessed = softmax(model.logits(seen))
    shrink = recipe.piece_gain / sqrt(len(seen.pieces)) if seen.pieces else 0.0
    rate = recipe.rate
    for at, row in enumerate(model.rows):
        error = counts * (guessed[at] - (at == kind))
        model.biases[at] -= 0.02 * error
        past = squares[at]
        decay = recipe.dense_decay * counts
        for index in seen.dense:
            slope = error + decay * row[index]
            past[index] += slope * slope
            row[index] -= rate * slope / sqrt(past[index])
        pull = error * shrink
        decay = recipe.piece_decay * counts
        for index in seen.pieces:
            slope = pull + decay * row[index]
            past[index] += slope * slope
            row[index] -= rate * slope / sqrt(past[index])


def _add(total: Model, model: Model) -> None:
    for into, row in zip(total.rows, model.rows, strict=True):
        into[:] = [one + two for one, two in zip(into, row, strict=True)]
    total.biases = [one + two for one, two in zip(total.biases, model.biases, strict=True)]


def _scale(model: Model, factor: float) -> None:
    model.rows = [[value * factor for value in row] for row in model.rows]
    model.biases = [value * factor for value in model.biases]


def calibrate(odds: Sequence[float], right: Sequence[bool], importance: Sequence[float]) -> tuple[float, float]:
    """Slope and offset that turn log-odds into honest ones (Platt's scaling, by Newton's method)."""
    slope, offset = 1.0, 0.0
    for _ in range(50):
        ga = gb = haa = hab = hbb = 1e-9
        for value, is_right, counts in zip(odds, right, importance, strict=True):
            chance = 1 / (1 + exp(-min(max(slope * value + offset, -30.0), 30.0)))
            error, bend = counts * (chance - is_right), counts * chance * (1 - chance)
            ga, gb = ga + error * value, gb + error
            haa, hab, hbb = haa + bend * value * value, hab + bend * value, hbb + bend
        spread = haa * hbb - hab * hab
        if abs(spread) < 1e-12:
            break
        slope -= (hbb * ga - hab * gb) / spread
        offset -= (haa * gb - hab * ga) / spread
    return slope, offset


def log_loss(chances: Sequence[float], right: Sequence[bool]) -> float:
    """Mean negative log-likelihood."""
    return -sum(log(max(p if r else 1 - p, 1e-9)) for p, r in zip(chances, right, strict=True)) / max(len(right), 1)


def quantise(model: Model, slope: float, offset: float, suggest: float) -> Weights:
    """The model in signed bytes. Rules and hashed features have scales of their own, so neither drowns the other."""
    dense_scales, piece_scales, classes = [], [], []
    for row in model.rows:
        dense = max(map(abs, row[:DENSE])) / 127 or 1.0
        piece = max(map(abs, row[DENSE:])) / 127 or 1.0
        dense_scales.append(dense)
        piece_scales.append(piece * model.gain)
        steps = [round(value / (dense if at < DENSE else piece)) for at, value in enumerate(row)]
        classes.append(array("b", steps))
    head = Head(FINGERPRINT, tuple(dense_scales), tuple(piece_scales), tuple(model.biases), slope, offset, suggest)
    return Weights(head, tuple(classes))

"""Fitting of the hashed logistic regression in plain Python: softmax, AdaGrad, and L2 on what a message touches."""

import random
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log, sqrt

from bot.core.intake.features import DENSE, FINGERPRINT, Features
from bot.core.intake.kinds import KINDS
from bot.core.intake.scorer import softmax
from bot.core.intake.weights import Head, Weights


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of a fit."""

    epochs: int = 6
    rate: float = 0.12
    dense_decay: float = 0.006
    piece_decay: float = 0.004
    piece_gain: float = 4.0
    """Hashed features count this much more than their share by length."""
    spread: int = 4
    """A hashed feature is kept when at least so many clusters of near-duplicates have it."""
    kept: int = 11_000
    """At most so many hashed features are kept, those of most clusters."""
    fits: int = 3
    """So many models are fitted, each in an order of its own, and averaged into one."""
    seed: int = 5


@dataclass(frozen=True, slots=True)
class Look:
    """A message as a model sees it."""

    dense: tuple[int, ...]
    pieces: tuple[int, ...]
    """The places, in a model's rows, of the hashed features that are kept."""
    share: float
    """What each of them counts."""


@dataclass(slots=True)
class Model:
    """Weights in full precision: for each class a bias and a row of one number for each feature that is kept."""

    places: Mapping[int, int]
    """Hashed feature -> its place in a row; a rule's place is its number."""
    gain: float
    rows: list[list[float]] = field(init=False)
    biases: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = [[0.0] * (DENSE + len(self.places)) for _ in KINDS]
        self.biases = [0.0] * len(KINDS)

    def look(self, seen: Features) -> Look:
        """The message as this model sees it."""
        known = tuple(self.places[piece] for piece in seen.pieces if piece in self.places)
        return Look(seen.dense, known, self.gain / sqrt(len(seen.pieces)) if seen.pieces else 0.0)

    def logits(self, look: Look) -> list[float]:
        """One number for each kind."""
        return [
            bias + sum(map(row.__getitem__, look.dense)) + look.share * sum(map(row.__getitem__, look.pieces))
            for row, bias in zip(self.rows, self.biases, strict=True)
        ]


def fit(
    seen: Sequence[Features],
    kinds: Sequence[int],
    importance: Sequence[float],
    groups: Sequence[int],
    recipe: Recipe,
) -> Model:
    """The model for messages, their kinds (places in `KINDS`), how much each counts and its cluster. Deterministic."""
    places = kept_pieces(seen, groups, recipe)
    totals = Model(places, recipe.piece_gain)
    looks = [totals.look(one) for one in seen]
    order = list(range(len(looks)))
    for turn in range(recipe.fits):
        model = Model(places, recipe.piece_gain)
        squares = [[1e-2] * len(row) for row in model.rows]
        dice = random.Random(recipe.seed + turn)
        for epoch in range(recipe.epochs):
            dice.shuffle(order)
            for at in order:
                _step(model, squares, looks[at], kinds[at], importance[at], recipe)
            if epoch >= recipe.epochs // 2:
                _add(totals, model)
    _scale(totals, 1 / (recipe.fits * (recipe.epochs - recipe.epochs // 2)))
    return totals


def kept_pieces(seen: Sequence[Features], groups: Sequence[int], recipe: Recipe) -> dict[int, int]:
    """Hashed feature -> its place in a model's rows, for those that enough clusters of messages have."""
    holders: dict[int, set[int]] = defaultdict(set)
    for one, group in zip(seen, groups, strict=True):
        for piece in one.pieces:
            holders[piece].add(group)
    spread = sorted((-len(held), piece) for piece, held in holders.items() if len(held) >= recipe.spread)
    return {piece: DENSE + at for at, (_, piece) in enumerate(spread[: recipe.kept])}


def _step(model: Model, squares: list[list[float]], seen: Look, kind: int, counts: float, recipe: Recipe) -> None:
    guessed = softmax(model.logits(seen))
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
        pull = error * seen.share
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
    dense_scales, piece_scales, rounded = [], [], []
    for row in model.rows:
        dense = max(map(abs, row[:DENSE])) / 127 or 1.0
        piece = max(map(abs, row[DENSE:])) / 127 or 1.0
        dense_scales.append(dense)
        piece_scales.append(piece * model.gain)
        steps = [round(value / (dense if at < DENSE else piece)) for at, value in enumerate(row)]
        rounded.append(array("b", steps))
    head = Head(FINGERPRINT, tuple(dense_scales), tuple(piece_scales), tuple(model.biases), slope, offset, suggest)
    pieces = {piece: array("b", [steps[place] for steps in rounded]) for piece, place in model.places.items()}
    return Weights(head, tuple(steps[:DENSE] for steps in rounded), pieces)

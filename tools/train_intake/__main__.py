"""Trains the local model of intake: `python -m tools.train_intake MESSAGES.jsonl [--out FILE] [--cases FILE]`.

MESSAGES.jsonl holds {"text", "label"[, "lang", "weak", "ambiguous", "synthetic"]}. The supplement beside this script is
always added. Figures come from held-out folds that share no near-duplicates; the model itself is fitted on everything.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from math import exp
from pathlib import Path

from bot.core.intake.features import features_of
from bot.core.intake.kinds import ACTIONABLE, KINDS
from bot.core.intake.measures import at_threshold, average_precision
from bot.core.intake.scorer import log_odds, logits, score, softmax
from bot.core.intake.weights import PATH, Weights, pack
from tools.train_intake.data import Message, clusters, folds, importance, read_messages
from tools.train_intake.fit import Model, Recipe, calibrate, fit, log_loss, quantise
from tools.train_intake.report import print_kinds, print_parts, print_thresholds

SUPPLEMENT = Path(__file__).with_name("supplement.jsonl")
FOLDS = 5
ROUNDS = 2
"""The folds are dealt anew so often, and the log-odds of a message averaged: one deal is a matter of luck."""
PRECISE = 0.77
"""The precision, on held-out messages, that the suggest threshold is set for."""


def main() -> None:
    """Reads, holds out, calibrates, fits, quantises, writes, and prints what it found."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("messages", type=Path)
    options.add_argument("--out", type=Path, default=PATH)
    options.add_argument("--cases", type=Path, help="Messages that training never sees, to report on at the end.")
    options.add_argument("--seed", type=int, default=Recipe().seed)
    asked = options.parse_args()
    recipe = replace(Recipe(), seed=asked.seed)
    messages = read_messages(asked.messages) + read_messages(SUPPLEMENT, own=True)
    groups = clusters(messages)
    print(f"{len(messages)} messages in {len(set(groups))} clusters of near-duplicates, seed {recipe.seed}")

    odds, kinds = held_out(messages, groups, recipe)
    slope, offset, suggest = calibration(messages, odds)
    chances = [_chance(slope * value + offset) for value in odds]
    print(f"\nHeld out, {FOLDS} folds, {ROUNDS} times:")
    print_parts(messages, chances, suggest)
    real = [at for at, message in enumerate(messages) if not message.synthetic]
    print_thresholds([messages[at] for at in real], [chances[at] for at in real])
    print_kinds([messages[at] for at in real], [kinds[at] for at in real], [chances[at] for at in real], suggest)

    seen = [features_of(message.text) for message in messages]
    model = fit(seen, [message.place for message in messages], importance(messages, groups), groups, recipe)
    weights = quantise(model, slope, offset, suggest)
    content = pack(weights)
    asked.out.write_bytes(content)
    print(f"\n{asked.out.name}: {len(content)} bytes, suggest threshold {suggest:.2f}")
    cases = read_messages(asked.cases, own=True) if asked.cases else messages
    print_rounding(cases, model, weights)
    if asked.cases:
        print(f"\n{asked.cases.name}, never trained on:")
        told = [score(case.text, weights=weights) for case in cases]
        print_parts(cases, [one.actionable for one in told], suggest)
        print_thresholds(cases, [one.actionable for one in told])
        places = [list(one.probabilities).index(one.kind) for one in told]
        print_kinds(cases, places, [one.actionable for one in told], suggest)


def held_out(messages: Sequence[Message], groups: Sequence[int], recipe: Recipe) -> tuple[list[float], list[int]]:
    """For each message the log-odds of "actionable" and the likeliest kind, by a model that saw nothing like it."""
    seen = [features_of(message.text) for message in messages]
    counts = importance(messages, groups)
    sums = [[0.0] * len(KINDS) for _ in messages]
    for turn in range(ROUNDS * FOLDS):
        fold = folds(groups, FOLDS, recipe.seed + turn // FOLDS)
        kept = [at for at in range(len(messages)) if fold[at] != turn % FOLDS]
        kinds = [messages[at].place for at in kept]
        model = fit([seen[at] for at in kept], kinds, [counts[at] for at in kept], [groups[at] for at in kept], recipe)
        for at in range(len(messages)):
            if fold[at] == turn % FOLDS:
                told = model.logits(model.look(seen[at]))
                sums[at] = [one + two / ROUNDS for one, two in zip(sums[at], told, strict=True)]
    chances = [softmax(values) for values in sums]
    return [log_odds(values) for values in chances], [values.index(max(values)) for values in chances]


def calibration(messages: Sequence[Message], odds: Sequence[float]) -> tuple[float, float, float]:
    """Slope, offset and suggest threshold, from the held-out messages that are not made from templates."""
    real = [at for at, message in enumerate(messages) if not message.synthetic]
    values = [odds[at] for at in real]
    right = [messages[at].kind in ACTIONABLE for at in real]
    importance = [0.5 if messages[at].ambiguous else 1.0 for at in real]
    slope, offset = calibrate(values, right, importance)
    chances = [_chance(slope * value + offset) for value in values]
    print(f"calibration: slope {slope:.3f}, offset {offset:.3f}; log-loss", end=" ")
    print(f"{log_loss([_chance(v) for v in values], right):.4f} before, {log_loss(chances, right):.4f} after")
    steps = [step / 100 for step in range(10, 91)]
    suggest = next((step for step in steps if at_threshold(chances, right, step).precision >= PRECISE), 0.5)
    return slope, offset, suggest


def print_rounding(cases: Sequence[Message], model: Model, weights: Weights) -> None:
    """What rounding to bytes costs: average precision before and after, and the largest change of a probability."""
    right = [case.kind in ACTIONABLE for case in cases]
    head = weights.head
    seen = [features_of(case.text) for case in cases]
    exact = [_chance(head.slope * log_odds(softmax(model.logits(model.look(one)))) + head.offset) for one in seen]
    rounded = [_chance(head.slope * log_odds(softmax(logits(one, weights))) + head.offset) for one in seen]
    worst = max(abs(one - two) for one, two in zip(exact, rounded, strict=True))
    before, after = average_precision(exact, right), average_precision(rounded, right)
    print(
        f"rounded to bytes: average precision {before:.4f} -> {after:.4f}, largest change of a probability {worst:.4f}"
    )


def _chance(value: float) -> float:
    return 1 / (1 + exp(-min(max(value, -30.0), 30.0)))


if __name__ == "__main__":
    main()

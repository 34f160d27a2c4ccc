"""What the trainer prints about a model: average precision, thresholds, kinds, languages and hard negatives."""

from collections.abc import Callable, Sequence

from bot.core.intake.kinds import ACTIONABLE, KINDS
from bot.core.intake.measures import at_threshold, average_precision
from tools.train_intake.data import Message

STEPS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def natural(message: Message) -> bool:
    """Whether it was said in a conversation, not written for training."""
    return not message.synthetic and not message.own


PARTS: dict[str, Callable[[Message], bool]] = {
    "all": lambda message: True,
    "all but templates": lambda message: not message.synthetic,
    "natural stream": natural,
    "natural, label checked": lambda message: natural(message) and not message.weak,
    "own supplement": lambda message: message.own,
    "en but templates": lambda message: message.lang == "en" and not message.synthetic,
    "zh but templates": lambda message: message.lang == "zh" and not message.synthetic,
}


def print_parts(messages: Sequence[Message], chances: Sequence[float], suggest: float) -> None:
    """A line for each part of the messages: size, average precision, precision and recall at the suggest threshold."""
    print(f"{'part':<24} {'n':>5} {'right':>5} {'AP':>6} {'prec':>6} {'rec':>6}  (at {suggest:.2f})")
    for name, wanted in PARTS.items():
        chosen = [at for at, message in enumerate(messages) if wanted(message)]
        right = [messages[at].kind in ACTIONABLE for at in chosen]
        if not any(right):
            continue
        scores = [chances[at] for at in chosen]
        there = at_threshold(scores, right, suggest)
        precision = average_precision(scores, right)
        print(
            f"{name:<24} {len(right):>5} {sum(right):>5} {precision:>6.3f} {there.precision:>6.2f} {there.recall:>6.2f}"
        )


def print_thresholds(messages: Sequence[Message], chances: Sequence[float]) -> None:
    """Precision and recall at round thresholds."""
    right = [message.kind in ACTIONABLE for message in messages]
    print("threshold  prec   rec  flagged")
    for step in STEPS:
        there = at_threshold(chances, right, step)
        print(f"{step:>9.1f} {there.precision:>5.2f} {there.recall:>5.2f} {there.flagged:>8}")


def print_kinds(messages: Sequence[Message], kinds: Sequence[int], chances: Sequence[float], suggest: float) -> None:
    """Precision and recall of each kind, and how many of the kinds that must not be flagged are."""
    print("kind              n   prec   rec  flagged")
    for at, kind in enumerate(KINDS):
        mine = [place for place, message in enumerate(messages) if message.kind is kind]
        named = sum(guess == at for guess in kinds)
        hits = sum(kinds[place] == at for place in mine)
        flagged = sum(chances[place] >= suggest for place in mine) / max(len(mine), 1)
        print(
            f"{kind:<15} {len(mine):>4} {hits / max(named, 1):>6.2f} {hits / max(len(mine), 1):>5.2f} {flagged:>7.0%}"
        )

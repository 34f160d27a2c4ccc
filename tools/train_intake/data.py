"""The training messages: reading, how much each counts, and a split that keeps near-duplicates together."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.core.intake.kinds import KINDS, Kind

ALIKE = 0.5
"""Share of common pieces from which on two messages may not be on both sides of a split."""
CROWDED = 60
"""A piece that more messages share says nothing about likeness."""


@dataclass(frozen=True, slots=True)
class Message:
    """One labelled message."""

    text: str
    kind: Kind
    lang: str
    weak: bool = False
    """The label was not checked by a person."""
    ambiguous: bool = False
    synthetic: bool = False
    """It was written for training, not in a conversation."""
    own: bool = False
    """It comes from the supplement beside this script."""

    @property
    def place(self) -> int:
        return KINDS.index(self.kind)


def read_messages(path: Path, *, own: bool = False) -> list[Message]:
    """The messages of a jsonl file with text, label and, if given, lang, weak, ambiguous and synthetic."""
    messages: list[Message] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            kind = Kind(row["label"])
            text = str(row["text"])
        except (ValueError, KeyError, TypeError):
            raise SystemExit(f"{path}, line {number}: not an object with text and a known label.") from None
        flags = {name: bool(row.get(name, False)) for name in ("weak", "ambiguous", "synthetic")}
        messages.append(Message(text, kind, str(row.get("lang", "en")), own=own, **flags))
    return messages


def clusters(messages: Sequence[Message]) -> list[int]:
    """For each message the number of its cluster: near-duplicates, and what is linked by them, share one.

    The number is the place of the cluster's first message.
    """
    pieces = [_pieces(message.text) for message in messages]
    holders: dict[str, list[int]] = defaultdict(list)
    for at, mine in enumerate(pieces):
        for piece in mine:
            holders[piece].append(at)
    parent = list(range(len(messages)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for at, mine in enumerate(pieces):
        shared = Counter(
            other for piece in mine if len(holders[piece]) <= CROWDED for other in holders[piece] if other < at
        )
        for other in shared:
            common = len(mine & pieces[other])
            if common / (len(mine) + len(pieces[other]) - common) >= ALIKE:
                one, two = sorted((root(at), root(other)))
                parent[two] = one
    return [root(at) for at in range(len(messages))]


def _pieces(text: str) -> frozenset[str]:
    plain = re.sub(r"[\W\d_]+", " ", text.lower()).strip()
    return frozenset(plain[at : at + 4] for at in range(max(len(plain) - 3, 1)))


def folds(groups: Sequence[int], count: int, seed: int) -> list[int]:
    """For each message the fold it is held out in; a whole cluster is always in one fold."""
    sizes = Counter(groups)
    dice = random.Random(seed)
    order = sorted(sizes)
    dice.shuffle(order)
    order.sort(key=lambda group: -sizes[group])
    filled = [0] * count
    place: dict[int, int] = {}
    for group in order:
        emptiest = min(range(count), key=filled.__getitem__)
        place[group] = emptiest
        filled[emptiest] += sizes[group]
    return [place[group] for group in groups]


def importance(messages: Sequence[Message], groups: Sequence[int]) -> list[float]:
    """How much each counts: less for weak and ambiguous labels, what was made up, and where many say the same."""
    sizes = Counter(groups)
    made: list[float] = []
    for message, group in zip(messages, groups, strict=True):
        counts = (0.6 if message.weak else 1.0) * (0.5 if message.ambiguous else 1.0)
        counts *= 0.3 if message.synthetic else 0.6 if message.own else 1.0
        made.append(counts / sizes[group] ** 0.25)
    return made

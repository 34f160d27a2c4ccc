"""The weights of the local model and the file they are shipped in.

The file: a first line that names the format and its version, a second of JSON (`Head`), then one signed byte for each
class and rule, class after class; then the hashed features that it knows, in ascending order: the number of each in
three bytes and one signed byte for each class. About 94 KB.
"""

import hashlib
import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from bot.core.intake.features import DENSE, FINGERPRINT
from bot.core.intake.kinds import KINDS

MAGIC: Final = b"codetask-intake-weights 2\n"
PATH: Final = Path(__file__).with_name("weights.bin")
_NUMBER: Final = 3
_ENTRY: Final = _NUMBER + len(KINDS)
_RULES: Final = DENSE * len(KINDS)


class BrokenWeights(Exception):
    """The weights file is damaged, or was made for another version of the features."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a weights file says about itself."""

    features: int
    """The fingerprint of the features it was made for."""
    dense_scales: tuple[float, ...]
    """For each class: what one step of a rule's byte is worth."""
    piece_scales: tuple[float, ...]
    """For each class: what one step of a hashed feature's byte is worth."""
    biases: tuple[float, ...]
    slope: float
    offset: float
    """Calibration: log-odds of "actionable" = slope x the model's log-odds + offset."""
    suggest: float
    """The probability from which on a message is worth a suggestion."""
    checksum: str = ""
    """SHA-256 of the bytes behind the head, in hex."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model ready to score. Its numbers are steps of the scales in `head`."""

    head: Head
    rules: tuple[Sequence[float], ...]
    """For each class, in the order of `KINDS`, one number for each of the `DENSE` features of rules."""
    pieces: Mapping[int, Sequence[float]]
    """Hashed feature -> one number for each class. A feature that is not in it says nothing."""


def pack(weights: Weights) -> bytes:
    """The content of a weights file."""
    body = b"".join(array("b", values).tobytes() for values in weights.rules)
    body += b"".join(
        number.to_bytes(_NUMBER, "little") + array("b", values).tobytes()
        for number, values in sorted(weights.pieces.items())
    )
    head = asdict(weights.head) | {"checksum": hashlib.sha256(body).hexdigest()}
    return MAGIC + json.dumps(head, separators=(",", ":")).encode() + b"\n" + body


def unpack(content: bytes) -> Weights:
    """The model in a weights file. Raises BrokenWeights for anything but a whole file made for these features."""
    if not content.startswith(MAGIC):
        raise BrokenWeights("not a weights file of this version")
    line, _, body = content[len(MAGIC) :].partition(b"\n")
    try:
        head = _head(json.loads(line))
    except (ValueError, TypeError, KeyError):
        raise BrokenWeights("its head cannot be read") from None
    entries, rest = divmod(len(body) - _RULES, _ENTRY)
    if entries < 0 or rest or hashlib.sha256(body).hexdigest() != head.checksum:
        raise BrokenWeights("its bytes do not match their checksum")
    if head.features != FINGERPRINT:
        raise BrokenWeights("it was made for other features: train it again")
    rules = tuple(array("b", body[at : at + DENSE]) for at in range(0, _RULES, DENSE))
    pieces = {
        int.from_bytes(body[at : at + _NUMBER], "little"): array("b", body[at + _NUMBER : at + _ENTRY])
        for at in range(_RULES, len(body), _ENTRY)
    }
    return Weights(head, rules, pieces)


def _head(read: dict[str, Any]) -> Head:
    return Head(
        features=int(read["features"]),
        dense_scales=tuple(map(float, read["dense_scales"])),
        piece_scales=tuple(map(float, read["piece_scales"])),
        biases=tuple(map(float, read["biases"])),
        slope=float(read["slope"]),
        offset=float(read["offset"]),
        suggest=float(read["suggest"]),
        checksum=str(read["checksum"]),
    )


@cache
def shipped() -> Weights:
    """The weights that come with Codetask, read once. Raises BrokenWeights."""
    return unpack(PATH.read_bytes())

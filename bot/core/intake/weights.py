"""The weights of the local model and the file they are shipped in.

The file: a first line that names the format and its version, a second of JSON (`Head`), then one signed byte for each
class and bucket, class after class. About 41 KB.
"""

import hashlib
import json
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from bot.core.intake.features import BUCKETS, FINGERPRINT
from bot.core.intake.kinds import KINDS

MAGIC: Final = b"codetask-intake-weights 1\n"
PATH: Final = Path(__file__).with_name("weights.bin")


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
    """A model ready to score: one array of `BUCKETS` signed bytes for each class, in the order of `KINDS`."""

    head: Head
    classes: tuple[Sequence[float], ...]


def pack(weights: Weights) -> bytes:
    """The content of a weights file."""
    body = b"".join(array("b", values).tobytes() for values in weights.classes)
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
    if len(body) != BUCKETS * len(KINDS) or hashlib.sha256(body).hexdigest() != head.checksum:
        raise BrokenWeights("its bytes do not match their checksum")
    if head.features != FINGERPRINT:
        raise BrokenWeights("it was made for other features: train it again")
    return Weights(head, tuple(array("b", body[at : at + BUCKETS]) for at in range(0, len(body), BUCKETS)))


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

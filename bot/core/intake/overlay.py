"""What the people of one installation taught the local model: a small correction on top of the shipped weights.

The file is JSON of a few kilobytes: a new calibration, and for a few hundred features how much more or less they speak
for a request. It holds numbers of features, no text. It fits one set of weights only.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Final

from bot.core.intake.features import BUCKETS, DENSE
from bot.core.intake.kinds import ACTIONABLE, KINDS
from bot.core.intake.weights import Weights

FORMAT: Final = "codetask-intake-overlay 1"
FILE_NAME: Final = "intake-overlay.json"
"""In the data folder."""
SIZE_MAX: Final = 256 * 1024
FEATURES_MAX: Final = 400
_SLOPE: Final = (0.2, 5.0)
_FARTHEST: Final = 20.0


class BrokenOverlay(Exception):
    """The file is damaged, is something else, or was made for other weights. The text says which."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """The correction: log-odds = `slope` x those of the shipped model + `offset` + what each feature adds."""

    weights: str
    """The checksum of the weights it was made for."""
    slope: float
    offset: float
    features: Mapping[int, float]
    """Feature -> log-odds that it adds; for a hashed feature, of a message that has no other."""
    requests: int
    """How many of the labels it was made of were requests."""
    others: int


def pack_overlay(overlay: Overlay) -> bytes:
    """The content of an overlay file."""
    body = asdict(overlay) | {"features": {str(at): round(value, 4) for at, value in overlay.features.items()}}
    body |= {"slope": round(overlay.slope, 4), "offset": round(overlay.offset, 4)}
    told = {"format": FORMAT, "checksum": _checksum(body)} | body
    return json.dumps(told, indent=1).encode() + b"\n"


def unpack_overlay(content: bytes, base: Weights) -> Overlay:
    """The overlay in a file. Raises BrokenOverlay for anything but a whole one made for `base`."""
    try:
        told: Any = json.loads(content[:SIZE_MAX])
    except (ValueError, RecursionError):
        raise BrokenOverlay("it is not JSON") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:  # pyright: ignore[reportUnknownMemberType]
        raise BrokenOverlay("it is no overlay of this version")
    body: dict[str, Any] = {str(key): value for key, value in told.items() if key not in ("format", "checksum")}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if told.get("checksum") != _checksum(body):  # pyright: ignore[reportUnknownMemberType]
        raise BrokenOverlay("its content does not match its checksum")
    try:
        overlay = _read(body)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BrokenOverlay("its content cannot be read") from None
    if overlay.weights != base.head.checksum:
        raise BrokenOverlay("it was made for other weights")
    return overlay


def read_overlay(path: Path, base: Weights) -> Overlay | None:
    """The overlay in a file, None where there is none. Raises BrokenOverlay, also where it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BrokenOverlay(f"it cannot be read: {error.strerror}") from error
    return unpack_overlay(content, base)


def corrected(base: Weights, overlay: Overlay) -> Weights:
    """The weights with the correction in them; they score like any others."""
    head = base.head
    slope = head.slope * overlay.slope
    rules = [list[float](values) for values in base.rules]
    pieces = dict(base.pieces)
    for feature, adds in overlay.features.items():
        scales = head.dense_scales if feature < DENSE else head.piece_scales
        steps = [adds / slope / scale * (kind in ACTIONABLE) for kind, scale in zip(KINDS, scales, strict=True)]
        if feature >= DENSE:
            known = base.pieces.get(feature, [0.0] * len(KINDS))
            pieces[feature] = [one + two for one, two in zip(known, steps, strict=True)]
            continue
        for values, step in zip(rules, steps, strict=True):
            values[feature] += step
    offset = head.offset * overlay.slope + overlay.offset
    return Weights(replace(head, slope=slope, offset=offset), tuple(rules), pieces)


def _read(body: Mapping[str, Any]) -> Overlay:
    features = {int(at): float(value) for at, value in body["features"].items()}
    made = Overlay(
        weights=str(body["weights"]),
        slope=float(body["slope"]),
        offset=float(body["offset"]),
        features=features,
        requests=int(body["requests"]),
        others=int(body["others"]),
    )
    numbers = [made.offset, *features.values()]
    sane = all(isfinite(number) and abs(number) <= _FARTHEST for number in numbers)
    places = all(0 <= at < BUCKETS for at in features) and len(features) <= FEATURES_MAX
    if not sane or not places or not _SLOPE[0] <= made.slope <= _SLOPE[1]:
        raise ValueError("out of range")
    return made


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

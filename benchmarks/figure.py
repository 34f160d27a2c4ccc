"""A measured figure, and the small arithmetic that figures need."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

POLL_P99_MS = 9_900.0
"""A poll every 10 s sees what comes at a random moment after 0 to 10 s: by its definition p99 is 9.9 s."""
RECORDED = ("name", "value", "unit", "target", "peer", "peer_value", "load", "stolen", "note")
POLL = "10 s poll, by definition"


def load_average() -> float:
    """Processes that wanted a core, on average over the last minute. Above the number of cores, times are too long."""
    return round(os.getloadavg()[0], 2)


class Stolen:
    """How much of the machine others took since this was made: the share of the time of its cores in which a virtual
    machine wanted one and its host gave it to somebody else. It does not show in the load average, and each such pause
    stops whatever is measured."""

    def __init__(self) -> None:
        self._whole, self._stolen = self._read()

    def percent(self) -> float | None:
        """None where the system does not tell (`/proc/stat`)."""
        whole, stolen = self._read()
        return round(100 * (stolen - self._stolen) / (whole - self._whole), 1) if whole > self._whole else None

    @staticmethod
    def _read() -> tuple[int, int]:
        """Ticks of all cores in all states, and stolen ones."""
        try:
            ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        except OSError:
            return 0, 0
        return sum(ticks), ticks[7]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its goal. `peer_value` is the same figure of `peer`; `higher` says that more is better. `stolen`
    is the percentage of `Stolen` meanwhile."""

    name: str
    value: float
    unit: str
    target: float | None = None
    peer: str = ""
    peer_value: float | None = None
    higher: bool = False
    load: float = field(default_factory=load_average)
    stolen: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer; None where there is no peer."""
        if self.peer_value is None or not self.value or not self.peer_value:
            return None
        return self.value / self.peer_value if self.higher else self.peer_value / self.value

    @property
    def reached(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.higher else self.value <= self.target

    def record(self) -> dict[str, Any]:
        """As it stands in `build/bench.json`."""
        values = asdict(self)
        return {name: values[name] for name in RECORDED} | {
            "ratio": round(self.ratio, 3) if self.ratio else None,
            "reached": self.reached,
            "higher": self.higher,
        }


def from_record(record: dict[str, Any]) -> Figure:
    """The figure that `record` wrote."""
    return Figure(**{name: value for name, value in record.items() if name not in ("ratio", "reached")})


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank)."""
    ranked: Sequence[float] = sorted(values)
    if not ranked:
        raise ValueError("nothing was measured")
    return ranked[min(len(ranked) - 1, max(0, -(-int(share * 1000) * len(ranked) // 1000) - 1))]


def p50_p99(name: str, milliseconds: Sequence[float], target: float | None = None, **more: Any) -> list[Figure]:
    """`<name>_p50_ms` and `<name>_p99_ms`; target, peer and note belong to the p99."""
    return [
        Figure(f"{name}_p50_ms", round(percentile(milliseconds, 0.5), 2), "ms"),
        Figure(f"{name}_p99_ms", round(percentile(milliseconds, 0.99), 2), "ms", target, **more),
    ]

"""What reading a time answers: an instant, a question, or a refusal. Values; nothing here is a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Final

HORIZON: Final = timedelta(days=366)
"""How far ahead a time may be (ux.md 4)."""
GRACE: Final = timedelta(seconds=60)
"""A time that passed by no more than this counts as now (ux.md 4)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One instant that a question or a refusal offers. `name` tells the two hours of one name apart: `EDT`, `EST`."""

    at: datetime
    name: str = ""


@dataclass(frozen=True, slots=True)
class When:
    """An instant: `at` in UTC, never before now. `zone` is where the person lives and in which it is shown. `used` is
    the part of the text that said it; `assumed` names what was filled in: `time` (no time of day), `hour` (no am/pm).
    """

    at: datetime
    zone: tzinfo
    used: str
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """More than one instant is meant, or none exists; nothing is set. `key` is a text under `when`, `values` what it
    is filled with (dates and times not yet in words), `choices` one to four instants, soonest first."""

    key: str
    choices: tuple[Choice, ...]
    zone: tzinfo
    used: str
    values: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Refused:
    """No instant. `key` is a text under `when`, `choices` what could be meant instead: often none."""

    key: str
    zone: tzinfo
    used: str
    values: Mapping[str, object] = field(default_factory=dict[str, object])
    choices: tuple[Choice, ...] = ()


Reading = When | Ask | Refused

"""The present."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The only source of the present. Tests hand in one they move by hand."""

    def now(self) -> datetime:
        """The present as an aware UTC instant."""
        ...

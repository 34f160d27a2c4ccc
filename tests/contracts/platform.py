"""The contract of a platform: every item as (number, plain async function). test_contract.py runs them on every rig."""

from tests.contracts.items import (
    arriving,
    connecting,
    delivering,
    following_up,
    hostile,
    intaking,
    listening,
    ordering,
    storing,
    threads,
)
from tests.contracts.items.register import ITEMS, Item

MODULES = (arriving, connecting, delivering, following_up, hostile, intaking, listening, ordering, storing, threads)
"""Importing them fills `ITEMS`."""
NUMBERS = range(1, 34)


def exercise() -> list[Item]:
    """All items, in the order of the design."""
    return sorted(ITEMS, key=lambda found: found.name)

"""How an item gets into the suite: `@item(7)` above a plain async function that takes a rig."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.contracts.rig import Rig

INCOMING: Final = frozenset({1, 2, 3, 4, 6, 12, 13, 14, 17, 18, 26, 28, 32})
Check = Callable[[Rig], Awaitable[None]]


@dataclass(frozen=True)
class Item:
    """One check of the contract. `number` is the item of the design; `long` ones run with `make faults` only."""

    number: int
    check: Check
    long: bool = False

    @property
    def name(self) -> str:
        return f"{self.number:02}-{self.check.__name__}"

    @property
    def incoming(self) -> bool:
        """Whether it looks at how events come in, by which the two transports of a platform differ."""
        return self.number in INCOMING


ITEMS: list[Item] = []


def item(number: int, *, long: bool = False) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        ITEMS.append(Item(number, check, long))
        return check

    return add

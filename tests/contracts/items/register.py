"""How an item gets into the suite: `@item(7)` above a plain async function that takes a rig."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.contracts.rig import Rig

Check = Callable[[Rig], Awaitable[None]]


@dataclass(frozen=True)
class Item:
    """One check of the contract. `number` is the item of the design; `long` ones run with `make faults` only.

    `outgoing` ones look only at what is sent, which has one path whatever way events come in: on a platform's second
    transport they run with `make faults`."""

    number: int
    check: Check
    long: bool = False
    outgoing: bool = False

    @property
    def name(self) -> str:
        return f"{self.number:02}-{self.check.__name__}"


ITEMS: list[Item] = []


def item(number: int, *, long: bool = False, outgoing: bool = False) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        ITEMS.append(Item(number, check, long, outgoing))
        return check

    return add

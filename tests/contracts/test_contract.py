"""Every item of the contract on every rig. The long counts come with `make faults`."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.contracts.items.register import Item
from tests.contracts.platform import NUMBERS, exercise
from tests.contracts.rig import Rig
from tests.contracts.rigs import RIGS, SECOND_TRANSPORTS

LONG = os.environ.get("CODETASK_FAULT_ROUNDS") == "long"


def _cases() -> Iterator[object]:
    for name, item in product(RIGS, exercise()):
        if LONG or not (item.long or (name in SECOND_TRANSPORTS and not item.incoming)):
            marks = [pytest.mark.fault, pytest.mark.timeout(900)] if item.long else []
            yield pytest.param(name, item, id=f"{name}-{item.name}", marks=marks)


@pytest.fixture
async def rig(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Rig]:
    data = tmp_path / "data"
    data.mkdir()
    shutil.copyfile(sqlite_template, data / "codetask.db")
    made = RIGS[request.param](data)
    try:
        yield made
        surprises = made.surprises
    finally:
        await made.close()
    assert surprises == []


@pytest.mark.parametrize(("rig", "item"), list(_cases()), indirect=["rig"])
async def test_contract(item: Item, rig: Rig) -> None:
    await item.check(rig)


def test_no_item_of_the_design_is_left_out() -> None:
    assert {item.number for item in exercise()} == set(NUMBERS)

"""Every check of the conformance suite, on every store."""

import pytest

from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.conformance import CHECKS, Bench, Check
from tests.stores import every_store


@every_store
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: Check, store: Database, database_url: str, clock: FakeClock) -> None:
    check(Bench(store, clock, database_url))

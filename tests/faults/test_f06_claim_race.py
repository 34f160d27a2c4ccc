"""F6: eight workers race for every run. Each run has one winner, on every store."""

import pytest

from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.conformance import Bench
from tests.storage.conformance.queue import EACH, claim_race
from tests.stores import every_store

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1800)]
EACH_LONG = 300


@pytest.mark.long  # `make test` does it in tests/storage/conformance/queue.py
@every_store
def test_every_run_has_one_winner(store: Database, database_url: str, clock: FakeClock, long_run: bool) -> None:
    claim_race(Bench(store, clock, database_url), EACH_LONG if long_run else EACH)

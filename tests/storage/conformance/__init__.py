"""What every store must do, as plain functions that take a `Bench`. `CHECKS` lists them; test_conformance.py runs each
on SQLite in a file, SQLite in memory and PostgreSQL, and test_mutants.py proves that they notice a broken engine."""

from tests.storage.conformance import followups, inbox, intake, leases, ledger, moves, order, outbox, queue, registers
from tests.storage.conformance.bench import Bench, Check

CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (queue, leases, moves, followups, inbox, outbox, order, registers, intake, ledger)
    for check in module.CHECKS
)

__all__ = ["CHECKS", "Bench", "Check"]

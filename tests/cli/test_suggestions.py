"""`codetask suggestion` and `codetask task top` beside a running server."""

import json

from bot.core.suggestions import OPEN, WAITING, hash_of
from storage.engine import Database
from storage.transaction import Tx
from tests.cli.terminal import Terminal
from tests.clock import FakeClock
from tests.storage.conformance.bench import Bench
from tests.storage.conformance.intake import said

TEXT = "Could we get a CSV export on the invoices page?"


def suggest(terminal: Terminal, number: int) -> None:
    """An open suggestion, as a bot beside this server would leave it."""
    store = Database(f"sqlite:///{terminal.home / 'data' / 'codetask.db'}")
    try:

        def unit(tx: Tx) -> None:
            bench = Bench(store, FakeClock(tx.now), "")
            found = tx.suggestions.collect([said(bench, number, f"U{number}")], "p1")[0] or 0
            words = {"title": "CSV export", "text": TEXT, "text_hash": hash_of(TEXT), "judge": "rules", "score": 0.9}
            assert tx.suggestions.move(found, (WAITING,), OPEN, **words) is not None

        store.run_sync(unit)
    finally:
        store.close_sync()


def test_suggestions_are_listed_filed_joined_and_dismissed(served: Terminal) -> None:
    for number in (1, 2, 3):
        suggest(served, number)
    table = served.run("suggestion", "list").stdout
    assert all(word in table for word in ("RQ-1", "RQ-3", "CSV export", "AUTHOR"))
    assert served.run("suggestion", "ls", "-q").stdout.split() == ["RQ-3", "RQ-2", "RQ-1"]
    unsure = served.run("suggestion", "file", "RQ-1")
    assert unsure.returncode == 2 and TEXT in unsure.stderr
    stale = served.run("suggestion", "file", "RQ-1", "--hash", "0" * 12)
    assert stale.returncode == 3 and "changed" in stale.stderr
    filed = served.run("suggestion", "file", "1", "-y", "--json")
    number = json.loads(filed.stdout)["id"]
    joined = json.loads(served.run("suggestion", "same", "RQ-2", number, "--json").stdout)
    assert (joined["id"], [one["id"] for one in joined["askers"]]) == (number, ["U1", "U2"])
    assert served.run("suggestion", "dismiss", "RQ-3").stdout == "RQ-3 is dismissed.\n"
    assert served.run("suggestion", "list").stderr == "No such suggestions.\n"
    assert served.run("suggestion", "list", "--state", "same", "-q").stdout.split() == ["RQ-2"]
    assert served.run("suggestion", "list", "--state", "none").returncode == 2
    assert served.run("suggestion", "dismiss", "RQ-9").returncode == 4
    top = json.loads(served.run("task", "top", "--json").stdout)["items"]
    assert (top[0]["people"], top[0]["code_task"]["id"]) == (3, number)
    assert served.run("task", "top").stdout.splitlines()[0].split()[:2] == ["PEOPLE", "ID"]
    assert served.run("task", "top", "-q").stdout.split()[0] == number

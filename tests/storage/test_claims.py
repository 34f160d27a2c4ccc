"""One message, one item, one code task: whatever 8 claimers do at once through every door, in two processes too."""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bot.core.suggestions import SuggestionState
from storage.engine import Database
from storage.transaction import Tx
from tests.clock import FakeClock
from tests.storage.conformance.bench import Bench, draft, together
from tests.storage.conformance.intake import ref, said
from tests.stores import only_postgres

ROOT = Path(__file__).parents[2]
CLAIMERS, CLAIMS = 8, 200
SPEAKERS, CHANNELS = 3, 2
UNDECIDED = (SuggestionState.WAITING, SuggestionState.SKIPPED, SuggestionState.OPEN)


def file_it(tx: Tx, bench: Bench, number: int) -> bool:
    """What a shortcut does: finds the item of the message, files it by its first message, moves it."""
    message = said(bench, number)
    found = tx.suggestions.take(ref(message), message.person, message.sent_at)
    key = f"m:slack:T1:C1:{found.message_id}"
    task = tx.tasks.add(draft(tx, dedup_key=key, name=f"t{found.id}", uuid=f"u{found.id}"), "slack:U1")
    if task is None:
        return False
    assert tx.suggestions.move(found.id or 0, UNDECIDED, SuggestionState.FILED, code_task_id=task.id) is not None
    return True


@pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)
def test_one_message_by_eight_times_two_hundred_claims(store: Database, clock: FakeClock, database_url: str) -> None:
    bench = Bench(store, clock, database_url)

    def work(claimer: int) -> Counter[str]:
        seen: Counter[str] = Counter()
        for n in range(CLAIMS):
            if (claimer + n) % 4:
                found = bench.do(lambda tx: tx.suggestions.collect([said(bench, 1)], f"p{claimer}"))
                seen["collected"] += found != [None]
            else:
                seen["filed"] += bench.do(lambda tx: file_it(tx, bench, 1))
        return seen

    totals = sum(together(CLAIMERS, work), Counter[str]())
    assert totals["collected"] <= 1 and totals["filed"] == 1
    assert bench.rows("SELECT count(*), max(state) FROM suggestion") == [(1, "filed")]
    assert bench.rows("SELECT count(*) FROM suggestion_member") == [(1,)]
    assert bench.rows("SELECT count(*) FROM code_task") == [(1,)]


def collect_all(bench: Bench, seed: int) -> int:
    """Claims 200 messages of two channels in random order and in random batches; how many were new."""
    order = random.Random(seed)
    messages = [said(bench, n, f"U{n % SPEAKERS}", channel=f"C{n % CHANNELS}") for n in range(CLAIMS)]
    order.shuffle(messages)
    new = 0
    while messages:
        batch = [messages.pop() for _ in range(min(len(messages), order.randint(1, 9)))]
        if order.random() < 0.3:
            for message in batch:
                bench.do(lambda tx, m=message: tx.suggestions.take(ref(m), m.person, m.sent_at))
        else:
            found = bench.do(lambda tx, b=batch: tx.suggestions.collect(b, f"p{seed}"))
            new += sum(number is not None for number in found)
    return new


def check_items(bench: Bench) -> None:
    """Every message is in one item, of its own author and place; an author collects in one item at most."""
    assert bench.rows("SELECT count(*) FROM suggestion_member") == [(CLAIMS,)]
    wrong = "SELECT count(*) FROM suggestion s WHERE members <> (SELECT count(*) FROM suggestion_member m WHERE {})"
    assert bench.rows(wrong.format("m.suggestion_id = s.id AND m.channel_id = s.channel_id")) == [(0,)]
    places = bench.rows(
        "SELECT s.author_id, m.message_id FROM suggestion s JOIN suggestion_member m ON m.suggestion_id = s.id"
    )
    assert all(author == f"U{int(number) % SPEAKERS}" for author, number in places)
    open_ones = "SELECT count(*) FROM suggestion WHERE state = 'waiting' AND NOT closed GROUP BY channel_id, author_id"
    assert all(count == 1 for (count,) in bench.rows(open_ones))
    doubled = "SELECT position FROM suggestion_member GROUP BY suggestion_id, position HAVING count(*) > 1"
    assert bench.rows(doubled) == []


@pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)
def test_two_hundred_messages_by_eight_claimers(store: Database, clock: FakeClock, database_url: str) -> None:
    bench = Bench(store, clock, database_url)
    new = sum(together(CLAIMERS, lambda seed: collect_all(bench, seed)))
    pointed_at = bench.rows("SELECT count(*) FROM suggestion WHERE judge = 'person'")[0][0]
    assert new + pointed_at == CLAIMS
    check_items(bench)


@only_postgres
def test_two_processes_claim_the_same_messages(store: Database, clock: FakeClock, database_url: str) -> None:
    program = "import sys; from tests.storage.test_claims import in_another_process as go; go(sys.argv[1])"
    command = [sys.executable, "-c", program, database_url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        bench = Bench(store, clock, database_url)
        other.stdin.write("go\n")
        other.stdin.flush()
        new = sum(together(CLAIMERS // 2, lambda seed: collect_all(bench, seed)))
        told, _ = other.communicate(timeout=60)
    assert other.returncode == 0
    theirs: dict[str, Any] = json.loads(told)
    pointed_at = bench.rows("SELECT count(*) FROM suggestion WHERE judge = 'person'")[0][0]
    assert new + theirs["new"] + pointed_at == CLAIMS
    check_items(bench)


def in_another_process(url: str) -> None:
    """The other half of the claimers; tells on its standard output how many messages it was first for."""
    clock = FakeClock()
    store = Database(url, clock)
    try:
        bench = Bench(store, clock, url)
        bench.rows("SELECT 1")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        new = sum(together(CLAIMERS // 2, lambda seed: collect_all(bench, 100 + seed)))
    finally:
        store.close_sync()
    sys.stdout.write(json.dumps({"new": new}))

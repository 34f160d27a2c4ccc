"""Order inside a thread (I4): deliveries leave in the order of their seq, whoever sends them, whatever goes wrong."""

import random
import threading
from datetime import timedelta

from tests.storage.conformance.bench import Bench, Check, delivery, together


def a_thread_is_sent_in_order(bench: Bench) -> None:
    threads = [bench.thread(f"{n}.0") for n in range(4)]
    keys = {thread: [f"{thread}-{n}" for n in range(8)] for thread in threads}
    for thread in threads:
        for key in keys[thread]:
            bench.post(thread, key)
    first_sent: dict[int, list[str]] = {thread: [] for thread in threads}
    lock, left = threading.Lock(), [sum(len(of) for of in keys.values())]

    def send(number: int) -> None:
        dice = random.Random(number)
        while left[0] > 0:
            for item in bench.outgoing(limit=3):
                with lock:
                    if item.dedup_key not in first_sent[item.thread_id]:
                        first_sent[item.thread_id].append(item.dedup_key)
                if dice.random() < 0.3:
                    bench.do(lambda tx, i=item: tx.outbox.retry(i, tx.now, "500", maybe_done=True))
                elif bench.sent(item):
                    with lock:
                        left[0] -= 1

    together(3, send)
    assert first_sent == keys
    assert bench.rows("SELECT DISTINCT state FROM outbox") == [("sent",)]


def the_order_is_that_of_the_thread_not_of_the_rows(bench: Bench) -> None:
    """Rows written at the same moment by several transactions leave in the order in which the thread counted them."""
    thread = bench.thread()

    def write(number: int) -> None:
        for n in range(10):
            bench.post(thread, f"{number}-{n}")

    together(4, write)
    seqs = [seq for (seq,) in bench.rows("SELECT seq FROM outbox ORDER BY seq")]
    assert seqs == list(range(1, 41)), "no seq is used twice or skipped"
    sent: list[int] = []
    while items := bench.outgoing():
        (item,) = items
        sent += [seq for (seq,) in bench.rows("SELECT seq FROM outbox WHERE id = :id", id=item.id)]
        bench.sent(item)
    assert sent == seqs


def one_delivery_of_a_thread_is_under_way(bench: Bench) -> None:
    thread = bench.thread()
    for n in range(3):
        bench.post(thread, f"k{n}")
    with bench.another() as second:
        found = [item for part in together(4, lambda n: (bench, second)[n % 2].outgoing()) for item in part]
    assert [item.dedup_key for item in found] == ["k0"]


def a_held_head_is_never_overtaken(bench: Bench) -> None:
    """Neither a closed gate, nor a retry time, nor doubt, nor a delay lets a later delivery of the thread pass."""
    cases = {
        "gate": lambda tx, item: (
            tx.outbox.retry(item, tx.now, "429", maybe_done=False),
            tx.outbox.block(item.gate, tx.now + timedelta(seconds=9)),
        ),
        "retry": lambda tx, item: tx.outbox.retry(item, tx.now + timedelta(seconds=9), "500", maybe_done=False),
        "doubt": lambda tx, item: tx.outbox.retry(item, tx.now + timedelta(seconds=9), "timeout", maybe_done=True),
    }
    for name, hold in cases.items():
        thread = bench.thread(name)
        bench.post(thread, f"{name}-head")
        bench.post(thread, f"{name}-edit", kind="edit", card_key=name)
        bench.post(thread, f"{name}-react", kind="react", content=None, target={"card": name, "mark": "done"})
        heads = bench.outgoing()
        assert [found.dedup_key for found in heads] == [f"{name}-head"]
        bench.do(lambda tx, i=heads[0], h=hold: h(tx, i))
        assert bench.outgoing() == [], name
        bench.clock.advance(9)
        heads = bench.outgoing()
        assert [found.dedup_key for found in heads] == [f"{name}-head"]
        bench.sent(heads[0])
        for expected in ("edit", "react"):
            (item,) = bench.outgoing()
            assert item.dedup_key == f"{name}-{expected}"
            bench.sent(item)


def writes_of_one_transaction_stay_together(bench: Bench) -> None:
    thread = bench.thread()

    def write(number: int) -> None:
        bench.do(lambda tx: [tx.outbox.add(thread, delivery(f"{number}-{n}")) for n in range(3)])

    together(5, write)
    keys = [key for (key,) in bench.rows("SELECT dedup_key FROM outbox ORDER BY seq")]
    groups = [keys[n : n + 3] for n in range(0, 15, 3)]
    assert all([key[2:] for key in group] == ["0", "1", "2"] for group in groups)
    assert all(len({key[0] for key in group}) == 1 for group in groups)


CHECKS: tuple[Check, ...] = (
    a_thread_is_sent_in_order,
    the_order_is_that_of_the_thread_not_of_the_rows,
    one_delivery_of_a_thread_is_under_way,
    a_held_head_is_never_overtaken,
    writes_of_one_transaction_stay_together,
)

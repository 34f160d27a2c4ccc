"""The outbox: enqueued once, claimed by one sender, edits coalesce, gates are obeyed, doubtful posts are looked up."""

from datetime import timedelta

import sqlalchemy as sa

from storage.outbox import LEASE
from tests.storage.conformance.bench import SLACK, Bench, Check, together, where


def a_key_is_enqueued_once(bench: Bench) -> None:
    thread = bench.thread()
    added = together(6, lambda _: bench.post(thread, "CT-1:card", card_key="CT-1"))
    assert sum(added) == 1
    assert not bench.post(thread, "CT-1:card")
    assert not bench.post(bench.thread("2.0"), "CT-1:card")
    assert [item.dedup_key for item in bench.outgoing()] == ["CT-1:card"]


def a_delivery_is_claimed_by_one_sender(bench: Bench) -> None:
    threads = [bench.thread(f"{n}.0") for n in range(12)]
    for thread in threads:
        bench.post(thread, f"hello {thread}")
    claimed = [item for part in together(4, lambda _: bench.outgoing(limit=12)) for item in part]
    claimed += bench.outgoing(limit=12)
    assert sorted(item.thread_id for item in claimed) == sorted(threads)
    assert {item.fence for item in claimed} == {1}


def a_claim_takes_no_more_than_asked(bench: Bench) -> None:
    for n in range(5):
        bench.post(bench.thread(f"{n}.0"), f"k{n}")
    assert [len(bench.outgoing(limit=2)) for _ in range(4)] == [2, 2, 1, 0]


def edits_of_a_card_coalesce(bench: Bench) -> None:
    thread = bench.thread()
    bench.post(thread, "card", card_key="CT-1")
    (card,) = bench.outgoing()
    for n in range(5):
        bench.post(thread, f"edit-{n}", kind="edit", card_key="CT-1")
    bench.post(thread, "other", kind="edit", card_key="CT-2")
    bench.post(thread, "reply")
    assert bench.sent(card, "m1")
    sent: list[str] = []
    while items := bench.outgoing():
        assert len(items) == 1
        sent.append(items[0].dedup_key)
        assert items[0].card_message_id == ("m1" if items[0].card_key == "CT-1" else None)
        assert bench.sent(items[0], "m1" if items[0].card_key == "CT-1" else None)
    assert sent == ["edit-4", "other", "reply"]
    states = dict(bench.rows("SELECT dedup_key, state FROM outbox"))
    assert [states[f"edit-{n}"] for n in range(5)] == ["superseded"] * 4 + ["sent"]


def an_edit_under_way_does_not_swallow_the_last_state(bench: Bench) -> None:
    thread = bench.thread()
    bench.post(thread, "edit-0", kind="edit", card_key="CT-1")
    (under_way,) = bench.outgoing()
    bench.post(thread, "edit-1", kind="edit", card_key="CT-1")
    assert bench.outgoing() == []
    assert bench.sent(under_way)
    assert [item.dedup_key for item in bench.outgoing()] == ["edit-1"]


def an_edit_that_was_enqueued_before_does_not_supersede(bench: Bench) -> None:
    thread = bench.thread()
    bench.post(thread, "old", kind="edit", card_key="CT-1")
    bench.post(thread, "new", kind="edit", card_key="CT-1")
    assert not bench.post(thread, "old", kind="edit", card_key="CT-1")
    assert [item.dedup_key for item in bench.outgoing()] == ["new"]


def a_delayed_delivery_waits(bench: Bench) -> None:
    thread = bench.thread()
    bench.post(thread, "later", kind="edit", card_key="CT-1", delay=timedelta(seconds=3))
    assert bench.outgoing() == []
    assert bench.do(lambda tx: tx.outbox.next_available_at()) == bench.clock.now() + timedelta(seconds=3)
    bench.clock.advance(3)
    assert len(bench.outgoing()) == 1


def a_closed_gate_holds_every_sender(bench: Bench) -> None:
    first, second = bench.thread("1.0"), bench.thread("2.0")
    bench.post(first, "a")
    bench.post(second, "b", kind="whisper")
    (item, other) = sorted(bench.outgoing(), key=lambda found: found.dedup_key)
    until = bench.clock.now() + timedelta(seconds=30)
    bench.do(lambda tx: tx.outbox.retry(item, tx.now, "429", maybe_done=False))
    bench.do(lambda tx: tx.outbox.retry(other, tx.now, "busy", maybe_done=False))
    bench.do(lambda tx: tx.outbox.block(item.gate, until))
    bench.do(lambda tx: tx.outbox.block(item.gate, until - timedelta(seconds=20)))
    with bench.another() as second_bot:
        assert [found.dedup_key for found in second_bot.outgoing()] == ["b"]
    assert bench.do(lambda tx: tx.outbox.next_available_at()) == until
    bench.clock.advance(29.9)
    assert bench.outgoing() == []
    bench.clock.advance(0.1)
    assert [found.dedup_key for found in bench.outgoing()] == ["a"]


def paced_gates_and_other_platforms_are_left_alone(bench: Bench) -> None:
    bench.post(bench.thread(), "a")
    (item,) = bench.outgoing()
    bench.do(lambda tx: tx.outbox.retry(item, tx.now, "later", maybe_done=False))
    assert bench.outgoing(paced=[item.gate]) == []
    assert list(bench.do(lambda tx: tx.outbox.claim(["discord"], [], 5))) == []
    assert list(bench.do(lambda tx: tx.outbox.claim([], [], 5))) == []
    assert len(bench.do(lambda tx: tx.outbox.claim([*SLACK, "discord"], ["other"], 5))) == 1


def a_vanished_sender_leaves_doubt(bench: Bench) -> None:
    """After a crash between call and record the next sender is told to look first; the late result is refused."""
    thread = bench.thread()
    bench.post(thread, "card", card_key="CT-1")
    (lost,) = bench.outgoing()
    assert (lost.check_first, lost.attempt) == (False, 1)
    assert bench.do(lambda tx: tx.outbox.reap()) == 0
    bench.clock.advance(LEASE + timedelta(seconds=1))
    assert bench.do(lambda tx: tx.outbox.reap()) == 1
    assert bench.do(lambda tx: tx.outbox.reap()) == 0
    assert not bench.sent(lost, "m1"), "a late result of an older claim"
    (again,) = bench.outgoing()
    assert again.check_first
    assert again.fence == lost.fence + 1
    assert not bench.sent(lost, "m1")
    assert not bench.do(lambda tx: tx.outbox.retry(lost, tx.now, "x", maybe_done=False))
    assert not bench.do(lambda tx: tx.outbox.dead(lost, "x"))
    assert bench.sent(again, "m2")
    assert bench.do(lambda tx: tx.outbox.card_message("CT-1")) == "m2"


def doubt_survives_a_retry_of_the_lookup(bench: Bench) -> None:
    bench.post(bench.thread(), "a")
    (item,) = bench.outgoing()
    assert bench.do(lambda tx: tx.outbox.retry(item, tx.now, "timeout", maybe_done=True))
    (doubtful,) = bench.outgoing()
    assert doubtful.check_first
    assert bench.do(lambda tx: tx.outbox.retry(doubtful, tx.now, "lookup refused: 429", maybe_done=False))
    (still,) = bench.outgoing()
    assert still.check_first, "the first attempt may still have posted it"


def a_parked_delivery_makes_room(bench: Bench) -> None:
    thread = bench.thread()
    bench.post(thread, "a")
    bench.post(thread, "b")
    (item,) = bench.outgoing()
    assert bench.do(lambda tx: tx.outbox.dead(item, "refused: not_in_channel"))
    assert [found.dedup_key for found in bench.outgoing()] == ["b"]
    assert bench.do(lambda tx: tx.outbox.revive(where(channel="C2"))) == 0
    assert bench.do(lambda tx: tx.outbox.revive(where())) == 1
    assert bench.do(lambda tx: tx.outbox.revive(where())) == 0


def a_lost_card_is_forgotten(bench: Bench) -> None:
    bench.post(bench.thread(), "card", card_key="CT-1")
    bench.sent(bench.outgoing()[0], "m1")
    assert bench.do(lambda tx: tx.outbox.card_message("CT-1")) == "m1"
    bench.do(lambda tx: tx.outbox.lose_card("CT-1"))
    assert bench.do(lambda tx: tx.outbox.card_message("CT-1")) is None
    assert bench.do(lambda tx: tx.outbox.card_message("CT-9")) is None


def a_whisper_overtakes_an_edit_without_stopping_anybody(bench: Bench) -> None:
    """It may pass an edit that waits, but a thread has one delivery under way: else a claim would take none at all."""
    thread = bench.thread()
    bench.post(thread, "edit", kind="edit", card_key="CT-1")
    bench.post(thread, "whisper", kind="whisper")
    bench.post(bench.thread("2.0"), "other")
    edit, other = bench.outgoing()
    assert (edit.dedup_key, other.dedup_key) == ("edit", "other")
    assert bench.outgoing() == []
    assert bench.sent(edit)
    (whisper,) = bench.outgoing()
    bench.post(thread, "next", kind="edit", card_key="CT-1")
    bench.post(bench.thread("3.0"), "third")
    assert [item.dedup_key for item in bench.outgoing()] == ["third"]
    assert bench.sent(whisper)
    bench.post(thread, "late", kind="whisper")
    gate = "slack:edit:CT-1"
    assert [item.dedup_key for item in bench.outgoing(paced=[gate])] == ["late"]
    bench.post(bench.thread("4.0"), "fourth")
    assert [item.dedup_key for item in bench.outgoing()] == ["fourth"], "the edit waits for the whisper under way"


def a_damaged_delivery_holds_up_no_other(bench: Bench) -> None:
    for key in ("one", "two"):
        bench.post(bench.thread(f"{key}.0"), key)
    bench.post(bench.thread("one.0"), "three")
    bench.do(lambda tx: tx.session.execute(sa.text("UPDATE outbox SET body = '{\"kind\": 1}' WHERE dedup_key = 'one'")))
    assert [item.dedup_key for item in bench.outgoing()] == ["two"]
    assert [item.dedup_key for item in bench.outgoing()] == ["three"], "its thread goes on"
    assert bench.rows("SELECT state, lease_until FROM outbox WHERE dedup_key = 'one'") == [("dead", None)]
    assert bench.rows("SELECT action, subject FROM audit") == [("undeliverable", "one")]


CHECKS: tuple[Check, ...] = (
    a_key_is_enqueued_once,
    a_delivery_is_claimed_by_one_sender,
    a_claim_takes_no_more_than_asked,
    edits_of_a_card_coalesce,
    an_edit_under_way_does_not_swallow_the_last_state,
    an_edit_that_was_enqueued_before_does_not_supersede,
    a_delayed_delivery_waits,
    a_closed_gate_holds_every_sender,
    paced_gates_and_other_platforms_are_left_alone,
    a_vanished_sender_leaves_doubt,
    doubt_survives_a_retry_of_the_lookup,
    a_parked_delivery_makes_room,
    a_lost_card_is_forgotten,
    a_damaged_delivery_holds_up_no_other,
    a_whisper_overtakes_an_edit_without_stopping_anybody,
)

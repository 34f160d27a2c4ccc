"""The inbox: an event is kept once however often it arrives (I7), handled once, put off or given up, in order."""

from datetime import timedelta

import sqlalchemy as sa

from bot.core.inbound import Gap, ThreadRef
from bot.store import Damaged, Pending
from tests.storage.conformance.bench import Bench, Check, message, together, where


def an_event_is_kept_once(bench: Bench) -> None:
    event = message("A1:m:C1:1.0", bench.clock)
    kept = together(8, lambda _: bench.do(lambda tx: tx.inbox.add(event)))
    assert sum(number is not None for number in kept) == 1
    assert bench.do(lambda tx: tx.inbox.add(event)) is None
    pending = bench.do(lambda tx: tx.inbox.pending(10))
    assert [item.event for item in pending] == [event]


def several_events_are_kept_in_one_go(bench: Bench) -> None:
    """Those that are known, or stand in it twice, once; in the order in which they came."""
    known = bench.do(lambda tx: tx.inbox.add(message("k2", bench.clock)))
    events = [message(f"k{n}", bench.clock) for n in (9, 2, 5, 9, 1)]
    kept = bench.do(lambda tx: tx.inbox.add_all(events))
    assert [number is not None for number in kept] == [True, False, True, False, True]
    waiting = [item for item in bench.do(lambda tx: tx.inbox.pending(10)) if item.id != known]
    assert [(item.id, item.event.key) for item in waiting if isinstance(item, Pending)] == [
        (kept[0], "k9"),
        (kept[2], "k5"),
        (kept[4], "k1"),
    ]
    assert bench.do(lambda tx: tx.inbox.add_all([])) == []


def the_same_key_elsewhere_is_another_event(bench: Bench) -> None:
    one = message("k", bench.clock)
    for other in ({"workspace_id": "T2"}, {"platform": "discord"}):
        assert bench.do(lambda tx, o=other: tx.inbox.add(one.model_copy(update=o))) is not None
    assert bench.do(lambda tx: tx.inbox.add(one)) is not None


def an_event_is_handled_once(bench: Bench) -> None:
    number = bench.do(lambda tx: tx.inbox.add(message("k", bench.clock))) or 0
    assert sum(together(6, lambda _: bench.do(lambda tx: tx.inbox.done(number)))) == 1
    assert bench.do(lambda tx: tx.inbox.pending(10)) == []
    bench.do(lambda tx: tx.inbox.failed(number, "late", timedelta(seconds=1)))
    bench.clock.advance(10)
    assert bench.do(lambda tx: tx.inbox.pending(10)) == [], "done is final"


def many_events_are_handled_once_each(bench: Bench) -> None:
    """Eight at once, in different orders: each event goes to one of them, and none waits for another in a circle."""
    numbers = [bench.do(lambda tx, n=n: tx.inbox.add(message(f"k{n}", bench.clock))) or 0 for n in range(40)]
    given_up = numbers.pop()
    bench.do(lambda tx: tx.inbox.failed(given_up, "oops", None))

    def work(which: int) -> list[int]:
        mine = [*numbers[which * 3 :], given_up, *numbers[: which * 3]]
        return [*bench.do(lambda tx: tx.inbox.done_all(mine[:30])), *bench.do(lambda tx: tx.inbox.done_all(mine))]

    done = [number for mine in together(8, work) for number in mine]
    assert sorted(done) == numbers
    assert bench.do(lambda tx: tx.inbox.pending(10)) == []
    assert bench.do(lambda tx: tx.inbox.done_all([])) == set()


def a_fault_puts_an_event_off(bench: Bench) -> None:
    number = bench.do(lambda tx: tx.inbox.add(message("k", bench.clock))) or 0
    bench.do(lambda tx: tx.inbox.failed(number, "oops", timedelta(seconds=4)))
    assert bench.do(lambda tx: tx.inbox.pending(10)) == []
    bench.clock.advance(4)
    (item,) = bench.do(lambda tx: tx.inbox.pending(10))
    assert (item.id, item.attempts) == (number, 1)
    bench.do(lambda tx: tx.inbox.failed(number, "oops", None))
    bench.clock.advance(timedelta(days=1))
    assert bench.do(lambda tx: tx.inbox.pending(10)) == []
    assert bench.rows("SELECT state, attempts, error FROM inbound") == [("failed", 2, "oops")]
    assert not bench.do(lambda tx: tx.inbox.done(number)), "given up is final"


def events_wait_in_order(bench: Bench) -> None:
    for n in range(5):
        bench.do(lambda tx, n=n: tx.inbox.add(message(f"k{n}", bench.clock)))
        bench.clock.advance(1 if n % 2 else 0)
    pending = bench.do(lambda tx: tx.inbox.pending(3))
    assert [item.event.key for item in pending] == ["k0", "k1", "k2"]


def the_watermark_is_the_newest_of_a_channel(bench: Bench) -> None:
    assert bench.do(lambda tx: tx.inbox.last_sent_at("slack", "T1", "C1")) is None
    newest = bench.clock.now() + timedelta(minutes=3, microseconds=17)
    for n, sent_at in enumerate((bench.clock.now(), newest, bench.clock.now() - timedelta(hours=1))):
        bench.do(lambda tx, n=n, at=sent_at: tx.inbox.add(message(f"k{n}", bench.clock, sent_at=at)))
    other = message("k9", bench.clock, thread=where(channel="C2"), sent_at=newest + timedelta(hours=1))
    bench.do(lambda tx: tx.inbox.add(other))
    assert bench.do(lambda tx: tx.inbox.last_sent_at("slack", "T1", "C1")) == newest


def the_last_event_before_an_instant_is_known(bench: Bench) -> None:
    began = bench.clock.now()
    assert bench.do(lambda tx: tx.inbox.last_received_at("slack", began)) is None
    where_from = {"platform": "slack", "app_id": "A1", "workspace_id": "T1"}
    gap = Gap(**where_from, key="gap", sent_at=began, received_at=began, since=began)
    bench.do(lambda tx: tx.inbox.add(gap))
    assert bench.do(lambda tx: tx.inbox.last_received_at("slack", began)) is None, "gaps do not count"
    for n in range(3):
        bench.do(lambda tx, n=n: tx.inbox.add(message(f"k{n}", bench.clock)))
        bench.clock.advance(60)
    assert bench.do(lambda tx: tx.inbox.last_received_at("lark", bench.clock.now())) is None
    for seconds, expected in ((0, 0), (59, 0), (60, 60), (1000, 120)):
        until = began + timedelta(seconds=seconds)
        assert bench.do(lambda tx, at=until: tx.inbox.last_received_at("slack", at)) == began + timedelta(
            seconds=expected
        )


def what_was_only_heard_counts_too(bench: Bench) -> None:
    began = bench.clock.now()
    bench.do(lambda tx: tx.inbox.add(message("k", bench.clock)))
    times = [began + timedelta(minutes=number) for number in (2, 3, 1)]
    together(3, lambda n: bench.do(lambda tx: tx.inbox.heard("slack", times[n])))
    for at in times:
        bench.do(lambda tx, at=at: tx.inbox.heard("slack", at))
    last = began + timedelta(minutes=3)
    assert bench.do(lambda tx: tx.inbox.last_received_at("slack", last)) == last
    assert bench.do(lambda tx: tx.inbox.last_received_at("slack", began)) == began
    assert bench.do(lambda tx: tx.inbox.last_received_at("lark", last)) is None
    assert [one.id for one in bench.do(lambda tx: tx.inbox.pending(10)) if isinstance(one, Pending)] == [1]


def a_thread_is_opened_once(bench: Bench) -> None:
    ids = together(6, lambda _: bench.do(lambda tx: tx.threads.open(where("7.0")).id))
    assert len(set(ids)) == 1
    found = bench.do(lambda tx: tx.threads.find(where("7.0")))
    assert found is not None and found.id == ids[0]
    assert bench.do(lambda tx: tx.threads.find(where("8.0"))) is None
    assert bench.do(lambda tx: tx.threads.find(where("7.0", channel="C2"))) is None


def a_place_without_a_root_is_no_thread(bench: Bench) -> None:
    bench.do(lambda tx: tx.threads.open(where("7.0")))
    assert bench.do(lambda tx: tx.threads.find(where(None))) is None
    assert bench.do(lambda tx: tx.threads.find(where(""))) is None


def a_thread_without_a_root_gets_one_once(bench: Bench) -> None:
    fresh = bench.do(lambda tx: tx.threads.open(where(None)))
    other = bench.do(lambda tx: tx.threads.open(where(None)))
    assert fresh.id != other.id, "two slash commands in a channel are two threads"
    assert fresh.ref.root is None
    bench.do(lambda tx: tx.threads.rooted(fresh.id, "9.0", "native-9"))
    bench.do(lambda tx: tx.threads.rooted(fresh.id, "9.9"))
    assert bench.do(lambda tx: tx.threads.get(fresh.id)).ref == where("9.0").model_copy(update={"native": "native-9"})
    by_native = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1", native="native-9")
    found = bench.do(lambda tx: tx.threads.find(by_native))
    assert found is not None and found.id == fresh.id


def a_root_that_was_heard_of_first_joins_its_thread(bench: Bench) -> None:
    """Someone answers under the card before its post is recorded: both stay one thread, and nothing is lost."""
    task = bench.do(lambda tx: tx.threads.open(where(None)))
    bench.do(lambda tx: tx.session.connection().exec_driver_sql("SELECT 1"))
    filed = bench.file()
    bench.do(lambda tx: tx.tasks.update(filed.id or 0, {filed.stage}, thread_id=task.id))
    bench.post(task.id, "card", card_key="CT-1")
    (card,) = bench.outgoing()
    heard = bench.do(lambda tx: tx.threads.open(where("5.5")))
    bench.post(heard.id, "reply-1")
    bench.post(heard.id, "reply-2")
    early = bench.outgoing()
    assert [item.dedup_key for item in early] == ["reply-1"]
    assert bench.sent(card, "5.5", root="5.5")
    one = bench.do(lambda tx: tx.threads.find(where("5.5")))
    assert one is not None
    kept = bench.do(lambda tx: tx.tasks.in_thread(one.id))
    assert kept is not None and kept.id == filed.id
    assert bench.sent(early[0])
    assert [item.dedup_key for item in bench.outgoing()] == ["reply-2"]
    bench.post(one.id, "reply-3")


def a_channel_has_one_lane_without_a_root(bench: Bench) -> None:
    lanes = together(4, lambda _: bench.do(lambda tx: tx.threads.lane(where("1.0")).id))
    assert len(set(lanes)) == 1
    bench.do(lambda tx: tx.threads.rooted(lanes[0], "6.0"))
    assert bench.do(lambda tx: tx.threads.get(lanes[0])).ref.root is None


def a_damaged_event_holds_up_no_other(bench: Bench) -> None:
    for key in ("one", "two"):
        bench.do(lambda tx, k=key: tx.inbox.add(message(k, bench.clock)))
    bench.do(lambda tx: tx.session.execute(sa.text("UPDATE inbound SET payload = '{}' WHERE natural_key = 'one'")))
    damaged, fine = bench.do(lambda tx: tx.inbox.pending(10))
    assert isinstance(damaged, Damaged) and damaged.key == "one"
    assert isinstance(fine, Pending) and fine.event.key == "two"


CHECKS: tuple[Check, ...] = (
    an_event_is_kept_once,
    several_events_are_kept_in_one_go,
    the_same_key_elsewhere_is_another_event,
    an_event_is_handled_once,
    many_events_are_handled_once_each,
    a_fault_puts_an_event_off,
    events_wait_in_order,
    the_watermark_is_the_newest_of_a_channel,
    the_last_event_before_an_instant_is_known,
    what_was_only_heard_counts_too,
    a_thread_is_opened_once,
    a_place_without_a_root_is_no_thread,
    a_thread_without_a_root_gets_one_once,
    a_root_that_was_heard_of_first_joins_its_thread,
    a_channel_has_one_lane_without_a_root,
    a_damaged_event_holds_up_no_other,
)

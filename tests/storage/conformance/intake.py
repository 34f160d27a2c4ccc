"""Intake: every message belongs to one item, an item is judged by one process, and moves follow the table."""

from datetime import timedelta
from typing import Any

from bot.core.inbound import Message, MessageRef, Person, ThreadRef
from bot.core.suggestions import (
    JUDGING,
    MEMBERS_MAX,
    OTHERS_AFTER,
    TOGETHER,
    TRANSITIONS,
    WIPED,
    Mode,
    Suggestion,
    SuggestionState,
)
from bot.store import SuggestionFilter
from storage.transaction import Tx
from tests.storage.conformance.bench import Bench, Check, together

WAITING, SKIPPED, OPEN = SuggestionState.WAITING, SuggestionState.SKIPPED, SuggestionState.OPEN
FILED, SAME, DISMISSED = SuggestionState.FILED, SuggestionState.SAME, SuggestionState.DISMISSED
REMOVED = SuggestionState.REMOVED
CHANNEL = ("slack", "T1", "C1")
SECOND = timedelta(seconds=1)


def said(
    bench: Bench, number: int | str, by: str = "U1", *, channel: str = "C1", root: str = "", **values: Any
) -> Message:
    """An ordinary message as an adapter hands it in."""
    at = values.pop("sent_at", bench.clock.now())
    return Message(
        platform="slack",
        app_id="A1",
        workspace_id="T1",
        key=f"A1:m:{channel}:{number}",
        thread=ThreadRef(platform="slack", workspace_id="T1", channel_id=channel, root=root or None),
        person=Person(platform="slack", workspace_id="T1", id=by, name=by.lower()),
        message_id=str(number),
        text="could we get an export?",
        in_thread=bool(root),
        sent_at=at,
        received_at=at,
        **values,
    )


def ref(message: Message) -> MessageRef:
    return MessageRef(thread=message.thread, message_id=message.message_id)


def collect(bench: Bench, *messages: Message, owner: str = "p1") -> list[int | None]:
    return list(bench.do(lambda tx: tx.suggestions.collect(messages, owner)))


def item(bench: Bench, number: int) -> Suggestion:
    found = bench.do(lambda tx: tx.suggestions.get(number))
    assert found is not None, f"there is no RQ-{number}"
    return found


def lease(bench: Bench, owner: str = "p1", limit: int = 100) -> list[int]:
    return [found.id or 0 for found in bench.do(lambda tx: tx.suggestions.lease_due(owner, limit))]


def opened(tx: Tx, message: Message, **values: Any) -> Suggestion:
    """The item of a message, shown."""
    (number,) = tx.suggestions.collect([message], "p1")
    assert number is not None
    given = {"title": "Export", "text": "could we get an export?", "judge": "rules", "score": 0.9, **values}
    found = tx.suggestions.move(number, [WAITING], OPEN, **given)
    assert found is not None
    return found


def messages_of_one_person_are_one_item(bench: Bench) -> None:
    assert collect(bench, said(bench, 1), said(bench, 2)) == [1, 1]
    bench.clock.advance(TOGETHER)
    assert collect(bench, said(bench, 3)) == [1]
    bench.clock.advance(TOGETHER + SECOND)
    assert collect(bench, said(bench, 4)) == [2], "it came too late for the first"
    first = item(bench, 1)
    assert (first.members, first.closed, first.message_id, first.author_name) == (3, True, "1", "u1")
    members = bench.do(lambda tx: tx.suggestions.members(1))
    assert [member.message.message_id for member in members] == ["1", "2", "3"]
    assert members[2].sent_at - members[0].sent_at == TOGETHER


def another_speaker_ends_an_item(bench: Bench) -> None:
    assert collect(bench, said(bench, 1), said(bench, 2, "U2"), said(bench, 3), said(bench, 4)) == [1, 2, 3, 3]
    assert collect(bench, said(bench, 5, "U2", root="0.5"), said(bench, 6)) == [4, 3], "a thread is another place"
    assert [item(bench, n).closed for n in (1, 2, 3, 4)] == [True, True, False, False]
    assert lease(bench) == [1, 2], "they are due at once"
    assert (item(bench, 4).root, item(bench, 3).root) == ("0.5", "")


def a_few_words_of_another_speaker_end_an_item_and_begin_none(bench: Bench) -> None:
    assert collect(bench, said(bench, 1), said(bench, 2, root="0.5")) == [1, 2]
    said_between = [said(bench, 3, "U2"), said(bench, 4)]
    assert bench.do(lambda tx: list(tx.suggestions.collect(said_between, "p1", between=[0]))) == [None, 3]
    assert [item(bench, n).closed for n in (1, 2, 3)] == [True, False, False]
    own = [said(bench, 5, "U1", root="0.5")]
    assert bench.do(lambda tx: list(tx.suggestions.collect(own, "p1", between=[0]))) == [None]
    assert not item(bench, 2).closed
    assert bench.do(lambda tx: tx.suggestions.of_message(ref(said(bench, 3)))) is None
    twins = [said(bench, 9, "U2"), said(bench, 9, channel="C2")]
    assert bench.do(lambda tx: list(tx.suggestions.collect(twins, "p1", between=[0]))) == [None, 4]


def an_item_takes_so_many_messages(bench: Bench) -> None:
    found = collect(bench, *(said(bench, n) for n in range(MEMBERS_MAX + 2)))
    assert found == [1] * MEMBERS_MAX + [2, 2]
    assert item(bench, 1).closed and item(bench, 1).members == MEMBERS_MAX


def a_known_message_is_not_collected_again(bench: Bench) -> None:
    assert collect(bench, said(bench, 1), said(bench, 1), said(bench, 2)) == [1, None, 1]
    assert collect(bench, said(bench, 2), said(bench, 3), said(bench, 1)) == [None, 1, None]
    assert collect(bench, said(bench, 1, channel="C2")) == [2], "ids are of one channel"
    found = bench.do(lambda tx: tx.suggestions.of_message(ref(said(bench, 3))))
    assert found is not None and found.id == 1
    assert bench.do(lambda tx: tx.suggestions.of_message(ref(said(bench, 9)))) is None


def what_came_late_waits_for_its_neighbours_only(bench: Bench) -> None:
    old = bench.clock.now() - timedelta(hours=1)
    assert collect(bench, said(bench, 1, sent_at=old), said(bench, 2, sent_at=old + SECOND)) == [1, 1]
    assert timedelta(0) < item(bench, 1).due_at - bench.clock.now() < timedelta(seconds=10)
    ahead = bench.clock.now() + timedelta(hours=1)
    assert collect(bench, said(bench, 3, sent_at=ahead)) == [2]
    assert item(bench, 2).due_at <= bench.clock.now() + TOGETHER, "a clock that goes wrong delays nothing"


def a_pointed_at_message_finds_its_item(bench: Bench) -> None:
    author = Person(platform="slack", workspace_id="T1", id="U1", name="ann")
    collect(bench, said(bench, 1), said(bench, 2))
    take = lambda n: bench.do(lambda tx: tx.suggestions.take(ref(said(bench, n)), author, bench.clock.now()))  # noqa: E731
    assert take(2).id == 1
    new = take(7)
    assert (new.id, new.state, new.judge, new.score, new.text) == (2, SKIPPED, "person", 1.0, "")
    assert take(7).id == 2
    assert collect(bench, said(bench, 7), said(bench, 8)) == [None, 1], "the one taken collects nothing"


def one_process_judges_an_item(bench: Bench) -> None:
    collect(bench, said(bench, 1))
    assert bench.do(lambda tx: tx.suggestions.next_due_at()) == bench.clock.now() + TOGETHER
    assert lease(bench) == []
    bench.clock.advance(TOGETHER)
    assert lease(bench, "p2") == [], "the text is with p1"
    assert bench.do(lambda tx: tx.suggestions.next_due_at("p2")) == bench.clock.now() + OTHERS_AFTER
    assert lease(bench) == [1]
    assert lease(bench) == []
    assert collect(bench, said(bench, 2)) == [2], "what is judged takes no more messages"
    assert bench.do(lambda tx: tx.suggestions.next_due_at("p1")) == bench.clock.now() + JUDGING
    bench.clock.advance(JUDGING)
    assert lease(bench, "p2") == [1], "its process is gone"
    assert item(bench, 1).owner == "p2"


def many_lease_many(bench: Bench) -> None:
    for number in range(40):
        collect(bench, said(bench, number, f"U{number}"))
    bench.clock.advance(TOGETHER)
    found = together(8, lambda _: [number for _ in range(4) for number in lease(bench, limit=2)])
    numbers = [number for some in found for number in some]
    assert sorted(numbers) == sorted(set(numbers)), "two got the same"
    rest = lease(bench)
    assert sorted(numbers + rest) == list(range(1, 41))


def moves_follow_the_table(bench: Bench) -> None:
    for number, before in enumerate(SuggestionState):
        message = said(bench, f"m{number}", f"U{number}")
        found = bench.do(lambda tx, m=message: tx.suggestions.collect([m], "p1"))[0]
        for after in SuggestionState:
            task = 7 if before in (FILED, SAME) else None
            forced = {"state": before, "code_task_id": task}
            update = lambda tx, n=found, f=forced: tx.suggestions.update(n, list(SuggestionState), **f)  # noqa: E731
            assert bench.do(update) is not None
            moved = bench.do(
                lambda tx, n=found, a=after: tx.suggestions.move(n, list(SuggestionState), a, code_task_id=7)
            )
            assert (moved is not None) == ((before, after) in TRANSITIONS), (before, after)
            assert item(bench, found or 0).state is (after if moved else before)


def a_move_needs_its_state(bench: Bench) -> None:
    shown = bench.do(lambda tx: opened(tx, said(bench, 1)))
    number = shown.id or 0
    file = lambda tx: tx.suggestions.move(number, [OPEN], FILED, code_task_id=1, decided_by="slack:U1")  # noqa: E731
    results = together(6, lambda _: bench.do(file))
    assert sum(result is not None for result in results) == 1
    filed = item(bench, number)
    assert filed.decided_at == bench.clock.now() and filed.text
    assert bench.do(lambda tx: tx.suggestions.move(number, [OPEN], DISMISSED)) is None
    assert bench.do(lambda tx: tx.suggestions.update(number, [OPEN], title="x")) is None
    assert bench.do(lambda tx: tx.suggestions.update(number, [FILED], reason="y")) is not None


def words_do_not_outlive_what_was_skipped(bench: Bench) -> None:
    for number, state in enumerate((SKIPPED, REMOVED)):
        shown = bench.do(lambda tx, n=number: opened(tx, said(bench, n, f"U{n}"), evidence="export", question="which?"))
        bench.do(lambda tx, s=shown, to=state: tx.suggestions.move(s.id or 0, [OPEN], to, text="kept?", seen_hash="h"))
        gone = item(bench, shown.id or 0)
        assert {name: getattr(gone, name) for name in WIPED} == WIPED and gone.seen_hash == "h"


def many_are_skipped_at_once(bench: Bench) -> None:
    collect(bench, said(bench, 1), said(bench, 2, "U2"), said(bench, 3))
    bench.clock.advance(TOGETHER)
    assert lease(bench) == [1, 2, 3]
    bench.do(lambda tx: tx.suggestions.move(3, [WAITING], OPEN, text="kept"))
    outcomes = {n: ("below_threshold", 0.125 * n, f"hash {n}") for n in (1, 2, 3, 99)}
    assert bench.do(lambda tx: tx.suggestions.skip(outcomes)) == 2
    second = item(bench, 2)
    assert (second.state, second.reason, second.score, second.seen_hash) == (SKIPPED, "below_threshold", 0.25, "hash 2")
    assert second.lease_until is None and item(bench, 3).text == "kept"
    assert bench.do(lambda tx: tx.suggestions.skip({})) == 0


def suggestions_are_listed_and_counted(bench: Bench) -> None:
    start = bench.clock.now()
    for n in range(4):
        bench.do(lambda tx, n=n: opened(tx, said(bench, n, f"U{n % 2}", channel=f"C{n // 2}"), mode=Mode.SUGGEST))
        bench.clock.advance(SECOND)
    listed = lambda **which: [s.id for s in bench.do(lambda tx: tx.suggestions.list(SuggestionFilter(**which)))]  # noqa: E731
    assert listed() == [4, 3, 2, 1]
    assert listed(channel=("slack", "T1", "C1"), limit=1) == [4]
    assert listed(author=("slack", "T1", "U0"), before_id=3) == [1]
    bench.do(lambda tx: tx.suggestions.move(3, [OPEN], DISMISSED, decided_by="slack:U9"))
    bench.clock.advance(SECOND)
    bench.do(lambda tx: tx.suggestions.move(4, [OPEN], FILED, code_task_id=1, decided_by="slack:U9"))
    assert listed(states=[OPEN]) == [2, 1]
    c1 = ("slack", "T1", "C1")
    shown = lambda author, since: bench.do(lambda tx: tx.suggestions.shown_to(("slack", "T1", author), since))  # noqa: E731
    assert (shown("U0", start), shown("U0", start + SECOND), shown("U7", start)) == (2, 1, 0)
    assert bench.do(lambda tx: tx.suggestions.shown_in(c1, start)) == 2
    assert bench.do(lambda tx: tx.suggestions.last_decided(c1, 3)) == [FILED, DISMISSED]
    assert bench.do(lambda tx: tx.suggestions.last_decided(CHANNEL, 1)) == [FILED]
    assert bench.do(lambda tx: tx.suggestions.record(c1, "rules", 0.5)) == (2, 1)
    assert bench.do(lambda tx: tx.suggestions.record(c1, "llm", 0.5)) == (0, 0)
    assert bench.do(lambda tx: tx.suggestions.record(c1, "rules", 0.95)) == (0, 0)
    counts = bench.do(lambda tx: tx.suggestions.counts(None, start))
    assert counts == {("open", ""): 2, ("dismissed", ""): 1, ("filed", ""): 1}
    assert bench.do(lambda tx: tx.suggestions.counts(c1, start)) == {("dismissed", ""): 1, ("filed", ""): 1}
    assert bench.do(lambda tx: tx.suggestions.scores(None, start)) == [0.9] * 4
    assert [s.id for s in bench.do(lambda tx: tx.suggestions.labelled(10))] == [4, 3]


def undecided_ones_expire(bench: Bench) -> None:
    for n in range(3):
        values = {"guard": "ci"} if n == 1 else {}
        bench.do(lambda tx, n=n, v=values: opened(tx, said(bench, n, f"U{n}"), **v))
    bench.clock.advance(timedelta(hours=80))
    bench.do(lambda tx: opened(tx, said(bench, 9, "U9")))
    now = bench.clock.now()
    expire = lambda **how: [s.id for s in bench.do(lambda tx: tx.suggestions.expire(now, 2, **how))]  # noqa: E731
    assert expire(asks_admin=True) == [2]
    assert sorted(s or 0 for s in expire()) == [1, 3]
    assert expire() == [], "the last one is young"
    gone = item(bench, 1)
    assert gone.state is SuggestionState.EXPIRED and not gone.text and not gone.title


CHECKS: tuple[Check, ...] = (
    messages_of_one_person_are_one_item,
    another_speaker_ends_an_item,
    a_few_words_of_another_speaker_end_an_item_and_begin_none,
    an_item_takes_so_many_messages,
    a_known_message_is_not_collected_again,
    what_came_late_waits_for_its_neighbours_only,
    a_pointed_at_message_finds_its_item,
    one_process_judges_an_item,
    many_lease_many,
    moves_follow_the_table,
    a_move_needs_its_state,
    words_do_not_outlive_what_was_skipped,
    many_are_skipped_at_once,
    suggestions_are_listed_and_counted,
    undecided_ones_expire,
)

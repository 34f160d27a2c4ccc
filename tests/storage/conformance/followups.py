"""Follow-ups: every move is in the table and guarded, one firing wins (P24), never early, and what is due is due."""

import itertools
from collections import Counter
from datetime import timedelta
from typing import Any

from bot.core.followups import TRANSITIONS, FollowUp, FollowUpKind, FollowUpReason, FollowUpState
from bot.core.runs import RunLease
from bot.store import AgentSession
from storage.transaction import Tx
from tests.storage.conformance.bench import LEASE, MANY, Bench, Check, file, together, where

PENDING, RUNNING, SUCCESS = FollowUpState.PENDING, FollowUpState.RUNNING, FollowUpState.SUCCESS
FAILED, CANCELLED = FollowUpState.FAILED, FollowUpState.CANCELLED
ANYTHING = set(FollowUpState)
MISSED = FollowUpReason.MISSED
HOUR = timedelta(hours=1)
_numbers = itertools.count(1)


def put(tx: Tx, *, root: str | None = "1.0", **values: Any) -> FollowUp:
    """A pending follow-up that is due now, in the thread of that root."""
    given: dict[str, Any] = {
        "uuid": f"fu-{next(_numbers)}",
        "platform": "slack",
        "workspace_id": "T1",
        "channel_id": "C1",
        "thread_id": tx.threads.open(where(root)).id if root else None,
        "anchored": root is not None,
        "title": "Look",
        "body": "Look",
        "due_at": tx.now,
        "requester_platform": "slack",
        "requester_workspace": "T1",
        "requester_id": "U1",
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    stored = tx.followups.add(FollowUp(**{**given, **values}))
    assert stored is not None, "the dedup key is taken"
    return stored


def fire(tx: Tx, limit: int = MANY) -> list[int]:
    """What the firing loop does with prompts."""
    started = sorted(tx.followups.start([one.id for one in tx.followups.due(limit)]))
    if started:
        tx.runs.enqueue_follow_ups(started, "demo")
    return started


def in_state(bench: Bench, state: FollowUpState) -> int:
    number = bench.do(put).id or 0
    reason = "'missed'" if state is FAILED else "NULL"
    sql = f"UPDATE follow_up SET state = '{state}', failure_reason = {reason} WHERE id = {number}"
    bench.do(lambda tx: tx.session.connection().exec_driver_sql(sql))
    return number


def state_of(bench: Bench, number: int) -> FollowUpState:
    found = bench.do(lambda tx: tx.followups.get(number))
    assert found is not None
    return found.state


def row(bench: Bench, number: int) -> tuple[Any, ...]:
    return tuple(bench.rows("SELECT * FROM follow_up WHERE id = :id", id=number)[0])


def only_moves_of_the_follow_up_table_are_made(bench: Bench) -> None:
    for before, after in itertools.product(FollowUpState, FollowUpState):
        number = in_state(bench, before)
        as_it_was = row(bench, number)
        bench.clock.advance(1)
        reason = {"reason": MISSED} if after is FAILED else {}
        moved = bench.do(lambda tx, n=number, a=after, r=reason: tx.followups.move(n, ANYTHING, a, **r))
        allowed = (before, after) in TRANSITIONS
        assert (moved is not None) == allowed, (before, after)
        assert state_of(bench, number) == (after if allowed else before)
        assert (row(bench, number) == as_it_was) != allowed, (before, after)


def only_pending_ones_that_are_due_start(bench: Bench) -> None:
    for state in FollowUpState:
        for move in ("start", "post"):
            number = in_state(bench, state)
            as_it_was = row(bench, number)
            moved = bench.do(lambda tx, n=number, m=move: getattr(tx.followups, m)([n]))
            assert bool(moved) == (state is PENDING), (state, move)
            assert (row(bench, number) == as_it_was) != bool(moved)
    early = bench.do(lambda tx: put(tx, due_at=tx.now + timedelta(microseconds=1))).id or 0
    assert bench.do(lambda tx: [*tx.followups.start([early]), *tx.followups.post([early])]) == []
    bench.clock.advance(timedelta(microseconds=1))
    assert bench.do(lambda tx: tx.followups.start([early])) == [early]


def a_follow_up_move_expects_its_state(bench: Bench) -> None:
    number = bench.do(put).id or 0
    assert bench.do(lambda tx: tx.followups.move(number, {RUNNING}, SUCCESS)) is None
    assert bench.do(lambda tx: tx.followups.move(999_999, ANYTHING, CANCELLED)) is None
    running = in_state(bench, RUNNING)
    assert bench.do(lambda tx: tx.followups.update(running, title="x")) is None
    assert state_of(bench, number) is PENDING


def each_follow_up_is_fired_once(bench: Bench) -> None:
    """P24: two bots with three threads each fire everything that is due, once, and queue one run for each."""
    count = 120
    numbers = [bench.do(lambda tx, n=n: put(tx, root=f"{n}.0")).id for n in range(count)]
    with bench.another() as second:

        def work(number: int) -> list[int]:
            mine = (bench, second)[number % 2]
            found: list[int] = []
            while mine.rows("SELECT count(*) FROM follow_up WHERE state = 'pending'")[0][0]:
                found += mine.do(lambda tx: fire(tx, 7))
            return found

        fired = Counter(itertools.chain.from_iterable(together(6, work)))
    assert fired == Counter(numbers)
    assert bench.rows("SELECT count(*), count(DISTINCT follow_up_id) FROM run") == [(count, count)]
    assert bench.rows("SELECT DISTINCT state, attempt FROM follow_up") == [("running", 1)]


def cancelling_and_firing_have_one_winner(bench: Bench) -> None:
    for n in range(8):
        number = bench.do(lambda tx, n=n: put(tx, root=f"{n}.0")).id or 0

        def work(which: int, number: int = number) -> bool:
            if which == 0:
                return bench.do(lambda tx: number in fire(tx))
            return bench.do(lambda tx: tx.followups.move(number, {PENDING}, CANCELLED) is not None)

        fired, cancelled = together(2, work)
        assert fired != cancelled
        assert state_of(bench, number) is (RUNNING if fired else CANCELLED)
        runs = bench.rows("SELECT count(*) FROM run WHERE follow_up_id = :id", id=number)[0][0]
        assert runs == (1 if fired else 0)


def stopping_and_answering_have_one_winner(bench: Bench) -> None:
    for n in range(8):
        number = bench.do(lambda tx, n=n: put(tx, root=f"{n}.0")).id or 0
        bench.do(fire)
        run = bench.do(lambda tx: tx.runs.claim_follow_up("w1", "host", MANY, LEASE))
        assert run is not None and run.follow_up_id == number

        def stop(tx: Tx, number: int = number) -> bool:
            tx.runs.cancel_follow_up(number)
            return tx.followups.move(number, {PENDING, RUNNING}, CANCELLED) is not None

        def answer(tx: Tx, number: int = number, held: tuple[int, int] = (run.id or 0, run.fence)) -> bool:
            ended = tx.runs.end(*held, RunLease.DONE)
            return ended is not None and tx.followups.move(number, {RUNNING}, SUCCESS) is not None

        stopped, answered = together(2, lambda which, s=stop, a=answer: bench.do(a if which else s))
        assert stopped != answered
        assert state_of(bench, number) is (CANCELLED if stopped else SUCCESS)
        left = bench.rows("SELECT state FROM run WHERE follow_up_id = :id", id=number)
        assert left == [("cancelled" if stopped else "done",)]


def one_of_many_retries_wins(bench: Bench) -> None:
    number = in_state(bench, FAILED)

    def work(_: int) -> bool:
        return bench.do(lambda tx: tx.followups.move(number, {FAILED}, PENDING, due_at=tx.now) is not None)

    assert sum(together(5, work)) == 1
    assert bench.do(fire) == [number]


def changing_and_firing_have_one_winner(bench: Bench) -> None:
    for n in range(8):
        number = bench.do(lambda tx, n=n: put(tx, root=f"{n}.0")).id or 0

        def work(which: int, number: int = number) -> bool:
            if which == 0:
                return bench.do(lambda tx: number in fire(tx))
            return bench.do(lambda tx: tx.followups.update(number, due_at=tx.now + HOUR) is not None)

        fired, changed = together(2, work)
        assert fired != changed
        assert state_of(bench, number) is (RUNNING if fired else PENDING)


def deleting_and_firing_have_one_winner(bench: Bench) -> None:
    for n in range(8):
        number = bench.do(lambda tx, n=n: put(tx, root=f"{n}.0")).id or 0

        def work(which: int, number: int = number) -> bool:
            if which == 0:
                return bench.do(lambda tx: number in fire(tx))
            return bench.do(lambda tx: tx.followups.delete(number))

        fired, deleted = together(2, work)
        assert fired != deleted
        left = bench.do(lambda tx, number=number: tx.followups.get(number))
        assert (left is None) == deleted


def due_ones_come_oldest_first_and_never_early(bench: Bench) -> None:
    late, early, later = (
        bench.do(lambda tx, s=s: put(tx, root=f"{s}.0", due_at=tx.now + timedelta(seconds=s))).id for s in (20, 10, 30)
    )
    assert bench.do(lambda tx: tx.followups.due(MANY)) == []
    assert bench.do(lambda tx: tx.followups.next_due_at()) == bench.clock.now() + timedelta(seconds=10)
    bench.clock.advance(25)
    assert [one.id for one in bench.do(lambda tx: tx.followups.due(MANY))] == [early, late]
    assert [one.id for one in bench.do(lambda tx: tx.followups.due(1))] == [early]
    assert bench.do(lambda tx: tx.followups.next_due_at()) == bench.clock.now() + timedelta(seconds=5)
    assert bench.do(fire) == sorted((early or 0, late or 0))
    bench.clock.advance(5)
    assert bench.do(lambda tx: tx.followups.next_due_at()) is None, "what is due is not waited for"
    assert bench.do(fire) == [later]


def a_busy_thread_holds_prompts_back(bench: Bench) -> None:
    bench.do(lambda tx: file(tx, thread="1.0"))
    queued = bench.do(put).id
    assert [one.id for one in bench.do(lambda tx: tx.followups.due(MANY))] == [queued], "a queued code task holds none"
    run_id, fence = bench.claimed()
    skipping = bench.do(lambda tx: put(tx, if_busy="skip")).id
    reminder = bench.do(lambda tx: put(tx, kind=FollowUpKind.MESSAGE)).id
    elsewhere = bench.do(lambda tx: put(tx, root="2.0")).id
    nowhere = bench.do(lambda tx: put(tx, root=None)).id
    found = bench.do(lambda tx: tx.followups.due(MANY))
    assert {(one.id, one.busy) for one in found} == {
        (skipping, True),
        (reminder, False),
        (elsewhere, False),
        (nowhere, False),
    }
    assert bench.do(lambda tx: tx.followups.next_due_at()) is None, "nobody looks again and again for a busy one"
    seen = bench.store.version("follow_up")
    bench.clock.advance(5)
    bench.do(lambda tx: tx.runs.end(run_id, fence, RunLease.DONE))
    assert bench.store.version("follow_up") > seen, "the end of the run wakes whoever fires"
    freed = {one.id: one.free_since for one in bench.do(lambda tx: tx.followups.due(MANY))}
    assert freed[queued] == bench.clock.now() and freed[elsewhere] is None


def a_prompt_that_starts_holds_back_the_next_of_its_thread(bench: Bench) -> None:
    first, second = bench.do(put).id, bench.do(put).id
    assert bench.do(lambda tx: fire(tx, 1)) == [first]
    assert bench.do(lambda tx: tx.followups.due(MANY)) == []
    run = bench.do(lambda tx: tx.runs.claim_follow_up("w1", "host", MANY, LEASE))
    assert run is not None
    bench.do(lambda tx: tx.runs.end(run.id or 0, run.fence, RunLease.DONE))
    assert [one.id for one in bench.do(lambda tx: tx.followups.due(MANY))] == [second]


def a_due_one_comes_with_what_decides_about_it(bench: Bench) -> None:
    bench.do(put)
    thread = bench.thread()
    bench.do(lambda tx: tx.sessions.save(AgentSession(thread, "older", "s1", "", "", None)))
    bench.clock.advance(1)
    bench.do(lambda tx: tx.sessions.save(AgentSession(thread, "newer", "s2", "", "", None)))
    bench.do(lambda tx: tx.people.set_setting(where(None), "agent", "of-the-channel"))
    (one,) = bench.do(lambda tx: tx.followups.due(MANY))
    assert one.kind is FollowUpKind.AGENT
    assert (one.session_agent, one.channel_agent, one.agent) == ("newer", "of-the-channel", None)
    assert (one.requester.id, one.requester.kind, one.requester.roles) == ("U1", "human", frozenset())


def no_more_follow_ups_run_than_may_at_once(bench: Bench) -> None:
    for n in range(5):
        bench.do(lambda tx, n=n: put(tx, root=f"{n}.0"))
    bench.do(fire)
    claimed = list(iter(lambda: bench.do(lambda tx: tx.runs.claim_follow_up("w1", "host", 2, LEASE)), None))
    assert [run.follow_up_id for run in claimed] == sorted(run.follow_up_id or 0 for run in claimed)
    assert len(claimed) == 2
    assert bench.claim() is None, "a code task's worker takes none"


def pending_ones_are_counted(bench: Bench) -> None:
    for values in ({}, {"by_agent": True}, {"requester_id": "U2"}, {"root": "2.0"}):
        bench.do(lambda tx, v=values: put(tx, due_at=tx.now + HOUR, **v))
    in_state(bench, CANCELLED)
    thread = bench.thread()
    who = ("slack", "T1", "U1")
    assert bench.do(lambda tx: tx.followups.pending_counts(who, thread)) == (3, 3, 1)
    assert bench.do(lambda tx: tx.followups.pending_counts(who, None)) == (3, 0, 0)


def threads_that_become_one_keep_their_follow_ups(bench: Bench) -> None:
    """An answer under the root of a follow-up's post comes in before the post is recorded: both threads are joined."""
    opened = bench.do(lambda tx: tx.threads.open(where(None)).id)
    follow_up = bench.do(lambda tx: put(tx, root=None, thread_id=opened)).id
    bench.do(lambda tx: tx.sessions.save(AgentSession(opened, "demo", "mine", "", "", None)))
    answered = bench.thread("9.0")
    other = bench.do(lambda tx: put(tx, root="9.0")).id
    for agent in ("demo", "other"):
        bench.do(lambda tx, a=agent: tx.sessions.save(AgentSession(answered, a, "theirs", "", "", None)))
    bench.do(lambda tx: tx.followups.start([other]))
    bench.do(lambda tx: tx.runs.enqueue_follow_ups([other], "demo"))
    bench.do(lambda tx: tx.threads.rooted(opened, "9.0"))
    assert bench.thread("9.0") == opened
    assert bench.rows("SELECT DISTINCT thread_id FROM follow_up") == [(opened,)]
    assert bench.rows("SELECT thread_id, session_key FROM run") == [(opened, f"{opened}:demo")]
    sessions = bench.rows("SELECT agent, ref, thread_id FROM agent_session ORDER BY agent")
    assert sessions == [("demo", "mine", opened), ("other", "theirs", opened)]
    found = bench.do(lambda tx: tx.followups.in_thread(opened))
    assert found is not None and found.id == follow_up


CHECKS: tuple[Check, ...] = (
    only_moves_of_the_follow_up_table_are_made,
    only_pending_ones_that_are_due_start,
    a_follow_up_move_expects_its_state,
    each_follow_up_is_fired_once,
    cancelling_and_firing_have_one_winner,
    stopping_and_answering_have_one_winner,
    one_of_many_retries_wins,
    changing_and_firing_have_one_winner,
    deleting_and_firing_have_one_winner,
    due_ones_come_oldest_first_and_never_early,
    a_busy_thread_holds_prompts_back,
    a_prompt_that_starts_holds_back_the_next_of_its_thread,
    a_due_one_comes_with_what_decides_about_it,
    no_more_follow_ups_run_than_may_at_once,
    pending_ones_are_counted,
    threads_that_become_one_keep_their_follow_ups,
)

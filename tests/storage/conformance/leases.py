"""Leases: who lost one writes nothing (I2), attempts end once (I6), logs are capped."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.runs import LogKind, LogLine, ParkedChange, Run, RunLease, RunState
from bot.core.tasks import FailureReason, Stage
from bot.store import RunAgain
from storage.runs import LOG_BYTES_MAX
from tests.storage.conformance.bench import LEASE, Bench, Check, together

FINAL = (RunLease.DONE, RunLease.FAILED, RunLease.LOST, RunLease.CANCELLED)


def a_heartbeat_extends_the_lease(bench: Bench) -> None:
    bench.file()
    run_id, fence = bench.claimed()
    bench.clock.advance(LEASE - timedelta(seconds=1))
    assert bench.do(lambda tx: tx.runs.heartbeat(run_id, fence, LEASE))
    bench.clock.advance(LEASE - timedelta(seconds=1))
    assert bench.do(lambda tx: tx.runs.expired()) == []
    bench.clock.advance(2)
    assert [run.id for run in bench.do(lambda tx: tx.runs.expired())] == [run_id]


def an_older_claim_writes_nothing(bench: Bench) -> None:
    """I2: after a claim with a larger fence, no write of the smaller one takes effect."""
    task = bench.file()
    run_id, old = bench.claimed("zombie")
    assert bench.do(lambda tx: tx.runs.end(run_id, old, RunLease.QUEUED, available_at=tx.now)) is not None
    again, new = bench.claimed("heir")
    assert (again, new) == (run_id, old + 1)
    before = bench.rows("SELECT * FROM run"), bench.rows("SELECT * FROM code_task")
    assert not bench.do(lambda tx: tx.runs.heartbeat(run_id, old, LEASE))
    assert not bench.do(lambda tx: tx.runs.holds(run_id, old))
    assert not bench.do(lambda tx: tx.runs.update(run_id, old, message="I am alive"))
    assert bench.do(lambda tx: tx.runs.end(run_id, old, RunLease.DONE)) is None
    bench.do(lambda tx: tx.runs.settle(run_id, old, 9.0, 9))
    moved = bench.do(
        lambda tx: tx.tasks.move(task.id or 0, {Stage.QUEUED}, Stage.RUNNING, actor="zombie", lease=(run_id, old))
    )
    assert moved is None
    assert (bench.rows("SELECT * FROM run"), bench.rows("SELECT * FROM code_task")) == before
    assert bench.do(lambda tx: tx.runs.holds(run_id, new))
    assert bench.do(lambda tx: tx.runs.update(run_id, new, message="so am I"))


def an_ended_run_stays_ended(bench: Bench) -> None:
    """I6: nothing moves a run out of a final state."""
    for final in FINAL:
        task = bench.file(repo=final.value)
        run_id, fence = bench.claimed()
        ended = bench.do(lambda tx, i=run_id, f=fence, s=final: tx.runs.end(i, f, s))
        assert ended is not None and ended.state is final and ended.finished_at == bench.clock.now()
        assert ended.lease_until is None and ended.slot is None
        for other in RunLease:
            assert bench.do(lambda tx, i=run_id, f=fence, s=other: tx.runs.end(i, f, s)) is None
        assert not bench.do(lambda tx, i=run_id, f=fence: tx.runs.heartbeat(i, f, LEASE))
        assert bench.do(lambda tx, t=task: tx.runs.cancel(t.id or 0)) is None
        assert bench.do(lambda tx, t=task: tx.runs.decide(t.id or 0, True, "slack:U9")) is None
        assert bench.rows("SELECT state FROM run WHERE id = :id", id=run_id) == [(final.value,)]
        assert bench.claim() is None


def cancel_and_completion_have_one_winner(bench: Bench) -> None:
    for _ in range(10):
        task = bench.file()
        run_id, fence = bench.claimed()

        def end(number: int, task_id: int = task.id or 0, run_id: int = run_id, fence: int = fence) -> Run | None:
            if number:
                return bench.do(lambda tx: tx.runs.cancel(task_id))
            return bench.do(lambda tx: tx.runs.end(run_id, fence, RunLease.DONE))

        winners = [run.state for run in together(2, end) if run is not None]
        assert len(winners) == 1
        assert bench.rows("SELECT state FROM run WHERE id = :id", id=run_id) == [(winners[0].value,)]


def reaping_and_completion_have_one_winner(bench: Bench) -> None:
    for _ in range(10):
        bench.file()
        run_id, fence = bench.claimed()
        bench.clock.advance(LEASE + timedelta(seconds=1))

        def end(number: int, run_id: int = run_id, fence: int = fence) -> Run | None:
            state = (RunLease.LOST, RunLease.DONE, RunLease.LOST)[number]
            return bench.do(lambda tx: tx.runs.end(run_id, fence, state))

        assert sum(run is not None for run in together(3, end)) == 1


def a_cancelled_run_keeps_its_cost_only(bench: Bench) -> None:
    task = bench.file()
    run_id, fence = bench.claimed()
    cancelled = bench.do(lambda tx: tx.runs.cancel(task.id or 0))
    assert cancelled is not None and cancelled.state is RunLease.CANCELLED
    assert cancelled.cancel_requested_at == bench.clock.now()
    assert not bench.do(lambda tx: tx.runs.holds(run_id, fence))
    bench.do(lambda tx: tx.runs.settle(run_id, fence, 0.25, 1200))
    assert bench.rows("SELECT state, cost_usd, tokens FROM run") == [("cancelled", 0.25, 1200)]


def a_queued_run_can_be_cancelled_and_is_not_claimed(bench: Bench) -> None:
    task = bench.file()
    assert bench.do(lambda tx: tx.runs.cancel(task.id or 0)) is not None
    assert bench.claim() is None


def a_returned_run_is_claimed_again_with_a_larger_fence(bench: Bench) -> None:
    bench.file()
    run_id, fence = bench.claimed()
    later = bench.clock.now() + timedelta(seconds=30)
    back = bench.do(lambda tx: tx.runs.end(run_id, fence, RunLease.QUEUED, available_at=later))
    assert back is not None
    assert (back.state, back.run_state, back.finished_at) == (RunLease.QUEUED, None, None)
    assert bench.claim() is None
    bench.clock.advance(30)
    assert bench.claimed() == (run_id, fence + 1)


def a_waiting_run_holds_nothing_and_goes_on(bench: Bench) -> None:
    task = bench.file()
    other = bench.file()
    run_id, fence = bench.claimed()
    change = ParkedChange("b" * 40, "t" * 40, "c" * 40, ("ci",), (), {"branch": "code-worker/CT-1"}, b"\x00pack")
    assert bench.do(lambda tx: tx.runs.park(run_id, fence + 1, change)) is None
    waiting = bench.do(lambda tx: tx.runs.park(run_id, fence, change))
    assert waiting is not None
    assert (waiting.state, waiting.run_state) == (RunLease.WAITING, RunState.WAITING_FOR_INPUT)
    kept = bench.do(lambda tx: tx.runs.parked(run_id))
    assert kept == replace(change, asked_at=bench.clock.now())
    bench.clock.advance(LEASE * 100)
    assert bench.do(lambda tx: tx.runs.expired()) == []
    second = bench.claim(per_repo=1)
    assert second is not None and second.code_task_id == other.id, "a waiting run takes no slot"
    decided = together(4, lambda n: bench.do(lambda tx: tx.runs.decide(task.id or 0, n < 2, f"slack:U{n}")))
    (winner,) = [run for run in decided if run is not None]
    parked = bench.do(lambda tx: tx.runs.parked(run_id))
    assert parked is not None
    assert parked.approved == (winner.state is RunLease.QUEUED)
    if parked.approved:
        assert bench.claimed() == (run_id, fence + 1)
    else:
        assert bench.claim() is None


def a_code_task_has_one_open_run(bench: Bench) -> None:
    task = bench.file()

    def twice() -> None:
        bench.do(lambda tx: tx.runs.enqueue(task, 2, tx.now))

    with pytest.raises(RunAgain):
        twice()
    run_id, fence = bench.claimed()
    with pytest.raises(RunAgain):
        twice()
    bench.do(lambda tx: tx.runs.end(run_id, fence, RunLease.LOST))
    twice()
    assert [run.attempt for run in bench.do(lambda tx: tx.runs.of_task(task.id or 0))] == [1, 2]


def logs_are_numbered_and_capped(bench: Bench) -> None:
    bench.file()
    run_id, _ = bench.claimed()
    bench.do(lambda tx: tx.runs.log(run_id, [LogLine(content="one"), LogLine(content="two", type=LogKind.INPUT)]))
    bench.do(lambda tx: tx.runs.log(run_id, [LogLine(content="three")]))
    entries = bench.do(lambda tx: tx.runs.logs(run_id))
    assert [(entry.seq, entry.content) for entry in entries] == [(1, "one"), (2, "two"), (3, "three")]
    assert [entry.seq for entry in bench.do(lambda tx: tx.runs.logs(run_id, after=1, limit=1))] == [2]
    big = "x" * (LOG_BYTES_MAX // 2)
    for _ in range(4):
        bench.do(lambda tx: tx.runs.log(run_id, [LogLine(content=big), LogLine(content="tail")]))
    last = bench.do(lambda tx: tx.runs.logs(run_id))[-1]
    assert last.type is LogKind.EVENT
    assert last.content.startswith("truncated")
    size = bench.rows("SELECT sum(length(content)) FROM run_log")[0][0]
    assert size <= LOG_BYTES_MAX + 100
    assert bench.rows("SELECT count(*) FROM run_log WHERE content LIKE 'truncated%'") == [(1,)]


def a_log_without_its_run_is_not_written(bench: Bench) -> None:
    """A worker that was cancelled writes its last lines when the code task may be deleted already."""
    task = bench.file()
    run_id, _ = bench.claimed()
    lines = [LogLine(content="stopped")]
    bench.do(lambda tx: tx.runs.log(run_id, lines))
    bench.do(lambda tx: tx.runs.cancel(task.id or 0))
    why = FailureReason.CANCELLED
    bench.do(lambda tx: tx.tasks.move(task.id or 0, {Stage.QUEUED}, Stage.FAILED, actor="t", failure_reason=why))
    assert bench.do(lambda tx: tx.tasks.delete(task.id or 0))
    bench.do(lambda tx: tx.runs.log(run_id, lines))
    assert bench.rows("SELECT count(*) FROM run_log") == [(0,)]


CHECKS: tuple[Check, ...] = (
    a_heartbeat_extends_the_lease,
    an_older_claim_writes_nothing,
    an_ended_run_stays_ended,
    cancel_and_completion_have_one_winner,
    reaping_and_completion_have_one_winner,
    a_cancelled_run_keeps_its_cost_only,
    a_queued_run_can_be_cancelled_and_is_not_claimed,
    a_returned_run_is_claimed_again_with_a_larger_fence,
    a_waiting_run_holds_nothing_and_goes_on,
    a_code_task_has_one_open_run,
    logs_are_numbered_and_capped,
    a_log_without_its_run_is_not_written,
)

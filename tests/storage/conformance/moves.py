"""Code tasks: every move is in the table and guarded, the history is whole, final is final."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.tasks import TRANSITIONS, CodeTask, FailureReason, Stage
from bot.store import TaskFilter
from storage.tasks import LISTED_MAX
from storage.transaction import Tx
from tests.storage.conformance.bench import Bench, Check, draft, file, together, where


def put(bench: Bench, stage: Stage) -> CodeTask:
    """A code task that stands in `stage`."""
    task = bench.file()
    reason = "'agent_failed'" if stage is Stage.FAILED else "NULL"
    bench.do(
        lambda tx: tx.session.connection().exec_driver_sql(
            f"UPDATE code_task SET stage = '{stage}', failure_reason = {reason} WHERE id = {task.id}"
        )
    )
    return task


def only_moves_of_the_table_are_made(bench: Bench) -> None:
    for before in Stage:
        for after in Stage:
            task = put(bench, before)
            reason = {"failure_reason": FailureReason.AGENT_FAILED} if after is Stage.FAILED else {}
            moved = bench.do(
                lambda tx, t=task, a=after, r=reason: tx.tasks.move(t.id or 0, set(Stage), a, actor="t", **r)
            )
            allowed = (before, after) in TRANSITIONS
            assert (moved is not None) == allowed, (before, after)
            stage = bench.rows("SELECT stage FROM code_task WHERE id = :id", id=task.id)[0][0]
            assert stage == (after if allowed else before)
            history = bench.do(lambda tx, t=task: tx.tasks.history(t.id or 0))
            assert len(history) == (2 if allowed else 1)


def a_move_expects_its_stage(bench: Bench) -> None:
    task = bench.file()
    assert bench.do(lambda tx: tx.tasks.move(task.id or 0, {Stage.RUNNING}, Stage.TESTING, actor="t")) is None
    assert bench.do(lambda tx: tx.tasks.move(999_999, {Stage.QUEUED}, Stage.RUNNING, actor="t")) is None
    assert len(bench.do(lambda tx: tx.tasks.history(task.id or 0))) == 1


def one_of_many_movers_wins(bench: Bench) -> None:
    task = bench.file()

    def work(number: int) -> CodeTask | None:
        return bench.do(lambda tx: tx.tasks.move(task.id or 0, {Stage.QUEUED}, Stage.RUNNING, actor=f"w{number}"))

    assert sum(moved is not None for moved in together(6, work)) == 1
    history = bench.do(lambda tx: tx.tasks.history(task.id or 0))
    assert [move.seq for move in history] == [1, 2]


def history_tells_who_and_why(bench: Bench) -> None:
    task = bench.file()
    run_id, fence = bench.claimed()
    held = (run_id, fence)
    bench.clock.advance(5)
    bench.do(
        lambda tx: tx.tasks.move(
            task.id or 0, {Stage.QUEUED}, Stage.RUNNING, actor="worker:w1", reason="attempt 1", lease=held
        )
    )
    bench.clock.advance(5)
    moved = bench.do(
        lambda tx: tx.tasks.move(
            task.id or 0,
            {Stage.RUNNING},
            Stage.FAILED,
            actor="slack:U1",
            reason="cancelled",
            failure_reason=FailureReason.CANCELLED,
        )
    )
    assert moved is not None
    assert (moved.failed_at_stage, moved.finished_at) == (Stage.RUNNING, bench.clock.now())
    history = bench.do(lambda tx: tx.tasks.history(task.id or 0))
    assert [(m.seq, m.actor, m.from_stage, m.to_stage, m.reason, m.run_id) for m in history] == [
        (1, "slack:U1", None, Stage.QUEUED, "filed", None),
        (2, "worker:w1", Stage.QUEUED, Stage.RUNNING, "attempt 1", run_id),
        (3, "slack:U1", Stage.RUNNING, Stage.FAILED, "cancelled", None),
    ]
    assert [move.at for move in history] == [bench.clock.now() - timedelta(seconds=s) for s in (10, 5, 0)]
    again = bench.do(lambda tx: tx.tasks.move(task.id or 0, {Stage.FAILED}, Stage.QUEUED, actor="slack:U1"))
    assert again is not None
    assert (again.failure_reason, again.finished_at, again.failed_at_stage) == (None, None, None)


def failed_has_a_reason(bench: Bench) -> None:
    task = bench.file()
    with pytest.raises(sa.exc.IntegrityError):
        bench.do(lambda tx: tx.tasks.move(task.id or 0, {Stage.QUEUED}, Stage.FAILED, actor="t"))
    assert len(bench.do(lambda tx: tx.tasks.history(task.id or 0))) == 1


def one_message_files_one_code_task(bench: Bench) -> None:
    """I7: the same key at the same moment files once."""

    def work(number: int) -> bool:
        return bench.do(
            lambda tx: tx.tasks.add(draft(tx, uuid=f"u{number}", name=f"n{number}", dedup_key="m1"), "t") is not None
        )

    assert sum(together(6, work)) == 1
    assert bench.rows("SELECT count(*) FROM code_task") == [(1,)]
    assert bench.rows("SELECT count(*) FROM task_event") == [(1,)]
    found = bench.do(lambda tx: tx.tasks.find(dedup_key="m1"))
    assert found is not None


def lists_are_filtered_and_paged(bench: Bench) -> None:
    bench.do(
        lambda tx: [file(tx, thread=f"{n}.0", repo=("app", "web")[n % 2], description=f"do_{n}%") for n in range(6)]
    )
    ids = [task.id for task in bench.do(lambda tx: tx.tasks.list(TaskFilter()))]
    assert ids == sorted(ids, key=lambda i: -(i or 0))
    page = bench.do(lambda tx: tx.tasks.list(TaskFilter(limit=2, before_id=ids[1])))
    assert [task.id for task in page] == ids[2:4]
    assert len(bench.do(lambda tx: tx.tasks.list(TaskFilter(repo="web")))) == 3
    assert len(bench.do(lambda tx: tx.tasks.list(TaskFilter(text="_3%")))) == 1
    assert len(bench.do(lambda tx: tx.tasks.list(TaskFilter(channel=("slack", "T1", "C1"))))) == 6
    assert bench.do(lambda tx: tx.tasks.list(TaskFilter(channel=("slack", "T1", "C2")))) == []
    assert bench.do(lambda tx: tx.tasks.list(TaskFilter(stages=(Stage.REVIEW,)))) == []
    newest = bench.do(lambda tx: tx.tasks.in_thread(tx.threads.open(where("5.0")).id))
    assert newest is not None and newest.id == ids[0]


def only_finished_code_tasks_are_deleted(bench: Bench) -> None:
    for stage in Stage:
        task = put(bench, stage)
        finished = stage in (Stage.MERGED, Stage.FAILED)
        assert bench.do(lambda tx, t=task: tx.tasks.delete(t.id or 0)) == finished
        left = bench.rows("SELECT count(*) FROM code_task WHERE id = :id", id=task.id)[0][0]
        assert left == (0 if finished else 1)
    newest = max(number for (number,) in bench.rows("SELECT id FROM code_task"))
    failed = put(bench, Stage.FAILED)
    assert bench.do(lambda tx: tx.tasks.delete(failed.id or 0))
    again = bench.file(uuid="again", name="again")
    assert (again.id or 0) > (failed.id or 0) > newest, "a number is never used twice"


def all_in_review_are_watched_however_much_failed_since(bench: Bench) -> None:
    """A pull request that waits for weeks is still noticed when it is merged; so is one of any failed code task."""

    def end(tx: Tx, stage: Stage, **values: Any) -> int:
        number = file(tx, pr_number=1).id or 0
        for after in (Stage.RUNNING, stage):
            tx.tasks.move(number, set(Stage), after, actor="t", **(values if after is stage else {}))
        return number

    waiting = bench.do(lambda tx: end(tx, Stage.REVIEW))
    old = bench.do(lambda tx: end(tx, Stage.FAILED, failure_reason=FailureReason.TESTS_FAILED))
    bench.clock.advance(timedelta(days=14))
    failed = [bench.do(lambda tx, r=r: end(tx, Stage.FAILED, failure_reason=r)) for r in (*FailureReason,) * 21]
    watched = [task.id for task in bench.do(lambda tx: tx.tasks.in_review())]
    assert watched == [waiting, *failed[: -LISTED_MAX - 1 : -1]]
    assert len(failed) > LISTED_MAX
    assert old not in watched


CHECKS: tuple[Check, ...] = (
    only_moves_of_the_table_are_made,
    a_move_expects_its_stage,
    one_of_many_movers_wins,
    history_tells_who_and_why,
    failed_has_a_reason,
    one_message_files_one_code_task,
    lists_are_filtered_and_paged,
    only_finished_code_tasks_are_deleted,
    all_in_review_are_watched_however_much_failed_since,
)

"""Claims: one winner per run (I5, F6), in order, within the limits of a repository, never before its time."""

from collections import Counter
from datetime import timedelta

from bot.core.runs import RunLease
from bot.core.tasks import Stage
from tests.storage.conformance.bench import MANY, Bench, Check, file, together

WORKERS, EACH = 8, 100


def each_run_is_claimed_by_one_worker(bench: Bench) -> None:
    claim_race(bench, EACH)


def claim_race(bench: Bench, each: int) -> None:
    """`WORKERS` threads claim `each` runs apiece, all at once (F6)."""
    total = WORKERS * each
    bench.do(lambda tx: [file(tx, repo=f"repo-{n // 50}") for n in range(total)])

    def work(number: int) -> list[int]:
        mine: list[int] = []
        while True:
            run = bench.claim(f"w{number}")
            if run is not None:
                assert run.lease_owner == f"w{number}"
                mine.append(run.id or 0)
            elif bench.rows("SELECT count(*) FROM run WHERE state = 'queued'")[0][0] == 0:
                return mine

    claimed = [run_id for mine in together(WORKERS, work) for run_id in mine]
    assert len(claimed) == total
    assert max(Counter(claimed).values()) == 1
    assert bench.rows("SELECT DISTINCT state, fence FROM run") == [("active", 1)]


def urgent_and_older_runs_come_first(bench: Bench) -> None:
    low, normal, high, older = (
        bench.file(priority=2),
        bench.file(),
        bench.file(priority=0),
        bench.file(priority=0, available_at=bench.clock.now() - timedelta(seconds=5)),
    )
    places = bench.do(lambda tx: [tx.tasks.queue_position(task.id or 0) for task in (older, high, normal, low)])
    assert places == [1, 2, 3, 4]
    order = [run.code_task_id for run in iter(bench.claim, None)]
    assert order == [older.id, high.id, normal.id, low.id]
    assert bench.do(lambda tx: tx.tasks.queue_position(low.id or 0)) is None


def nothing_is_claimed_before_its_time(bench: Bench) -> None:
    due = bench.clock.now() + timedelta(seconds=60)
    bench.file(available_at=due)
    assert bench.claim() is None
    assert bench.do(lambda tx: tx.runs.next_available_at()) == due
    bench.clock.advance(59.999)
    assert bench.claim() is None
    bench.clock.advance(0.001)
    assert bench.do(lambda tx: tx.runs.next_available_at()) is None
    assert bench.claim() is not None


def a_repository_runs_no_more_than_its_slots(bench: Bench) -> None:
    for repo in ("busy", "busy", "busy", "calm"):
        bench.file(repo=repo)
    claimed = list(iter(lambda: bench.claim(per_repo=2), None))
    assert [run.repo_key for run in claimed] == ["busy", "busy", "calm"]
    assert sorted(run.slot or 0 for run in claimed[:2]) == [0, 1]
    freed = claimed[0]
    bench.do(lambda tx: tx.runs.end(freed.id or 0, freed.fence, RunLease.DONE))
    last = bench.claim(per_repo=2)
    assert last is not None and last.slot == freed.slot
    assert bench.claim(per_repo=2) is None


def slots_hold_while_workers_race(bench: Bench) -> None:
    total = 40
    bench.do(lambda tx: [file(tx, repo="busy") for _ in range(total)])
    most: list[int] = []

    def work(number: int) -> int:
        done = 0
        while bench.rows("SELECT count(*) FROM run WHERE state IN ('queued', 'active')")[0][0]:
            run = bench.claim(f"w{number}", per_repo=2)
            most.append(bench.rows("SELECT count(*) FROM run WHERE state = 'active'")[0][0])
            if run is not None:
                ended = bench.do(lambda tx, r=run: tx.runs.end(r.id or 0, r.fence, RunLease.DONE))
                assert ended is not None
                done += 1
        return done

    assert sum(together(4, work)) == total
    assert max(most) <= 2
    assert bench.rows("SELECT DISTINCT state, fence FROM run") == [("done", 1)]


def ready_runs_do_not_starve_behind_others(bench: Bench) -> None:
    for _ in range(30):
        bench.file(repo="busy", priority=0)
    for _ in range(30):
        bench.file(priority=0, available_at=bench.clock.now() + timedelta(minutes=5))
    ready = bench.file(repo="calm", priority=2)
    first = bench.claim(per_repo=1)
    assert first is not None and first.repo_key == "busy"
    second = bench.claim(per_repo=1)
    assert second is not None and second.code_task_id == ready.id


def full_repositories_wait_for_reviews(bench: Bench) -> None:
    reviewed, waiting = bench.file(), bench.file()
    run_id, fence = bench.claimed()
    bench.do(lambda tx: tx.tasks.move(reviewed.id or 0, {Stage.QUEUED}, Stage.RUNNING, actor="w"))
    bench.do(lambda tx: tx.tasks.move(reviewed.id or 0, {Stage.RUNNING}, Stage.REVIEW, actor="w"))
    bench.do(lambda tx: tx.runs.end(run_id, fence, RunLease.DONE))
    assert bench.claim(open_prs=1) is None
    bench.do(lambda tx: tx.tasks.move(reviewed.id or 0, {Stage.REVIEW}, Stage.MERGED, actor="forge"))
    run = bench.claim(open_prs=1)
    assert run is not None and run.code_task_id == waiting.id


def two_bots_share_one_queue(bench: Bench) -> None:
    total = 60
    bench.do(lambda tx: [file(tx) for _ in range(total)])
    with bench.another() as second:

        def work(number: int) -> list[int]:
            mine = (bench, second)[number % 2]
            found: list[int] = []
            while True:
                run = mine.claim(f"w{number}", per_repo=MANY)
                if run is not None:
                    found.append(run.id or 0)
                elif mine.rows("SELECT count(*) FROM run WHERE state = 'queued'")[0][0] == 0:
                    return found

        found = [run_id for part in together(4, work) for run_id in part]
    assert sorted(found) == sorted(set(found))
    assert len(found) == total


CHECKS: tuple[Check, ...] = (
    each_run_is_claimed_by_one_worker,
    urgent_and_older_runs_come_first,
    nothing_is_claimed_before_its_time,
    a_repository_runs_no_more_than_its_slots,
    slots_hold_while_workers_race,
    ready_runs_do_not_starve_behind_others,
    full_repositories_wait_for_reviews,
    two_bots_share_one_queue,
)

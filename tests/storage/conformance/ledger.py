"""The demand ledger: threads that are told of a code task, and people counted once each."""

from datetime import timedelta

from bot.core.inbound import Person, ThreadRef
from bot.core.tasks import FailureReason, Stage
from bot.store import AuditFilter
from storage.transaction import Tx
from tests.storage.conformance.bench import Bench, Check, together, where

BO = Person(platform="slack", workspace_id="T1", id="U2", name="Bo")
CY = Person(platform="discord", workspace_id="G1", id="7", name="Cy")
ANN = Person(platform="slack", workspace_id="T1", id="U1", name="Ann")
ELSEWHERE = ThreadRef(platform="discord", workspace_id="G1", channel_id="D1", root="9")


def elsewhere(bench: Bench, root: str = "9") -> int:
    return bench.do(lambda tx: tx.threads.open(ELSEWHERE.model_copy(update={"root": root})).id)


def end(tx: Tx, task_id: int, stage: Stage = Stage.MERGED) -> None:
    reason = FailureReason.CANCELLED if stage is Stage.FAILED else None
    values = {"stage": stage, "finished_at": tx.now, "failure_reason": reason}
    tx.tasks.update(task_id, list(Stage), **values)


def a_thread_subscribes_once(bench: Bench) -> None:
    bench.do(lambda tx: tx.people.see(BO))
    task, thread, other = bench.file(thread="1.0"), bench.thread("2.0"), elsewhere(bench)
    add = lambda tx: tx.subscriptions.add(task.id or 0, thread, BO, suggestion_id=3)  # noqa: E731
    assert sum(together(6, lambda _: bench.do(add))) == 1
    bench.clock.advance(1)
    assert bench.do(lambda tx: tx.subscriptions.add(task.id or 0, other, CY, from_task_id=42))
    first, second = bench.do(lambda tx: tx.subscriptions.of_task(task.id or 0))
    assert (first.thread_id, first.person, first.suggestion_id, first.from_task_id) == (thread, BO, 3, None)
    assert (second.thread_id, second.person.id, second.from_task_id) == (other, "7", 42)
    assert second.created_at == bench.clock.now()
    assert bench.do(lambda tx: tx.subscriptions.of_thread(other)) == [second]
    ended = together(4, lambda _: bench.do(lambda tx: tx.subscriptions.end(task.id or 0, other)))
    assert [one for one in ended if one is not None] == [second]
    assert bench.do(lambda tx: tx.subscriptions.of_thread(other)) == []


def people_are_counted_once(bench: Bench) -> None:
    for person in (BO, CY, ANN):
        bench.do(lambda tx, p=person: tx.people.see(p))
    quiet, wanted = bench.file(thread="1.0", requester_id="U1"), bench.file(thread="2.0", requester_id="U1")
    done = bench.file(thread="3.0", requester_id="U1")
    ask = lambda task, person: bench.do(lambda tx: tx.subscriptions.ask(task.id, person))  # noqa: E731
    assert ask(wanted, BO) and not ask(wanted, BO)
    assert ask(wanted, ANN), "the requester may press it too"
    bench.do(lambda tx: tx.subscriptions.add(wanted.id or 0, 2, BO))
    bench.do(lambda tx: tx.subscriptions.ask(wanted.id or 0, CY))
    for person in (BO, CY):
        ask(done, person)
    bench.do(lambda tx: end(tx, done.id or 0))
    askers = lambda task: [p.name for p in bench.do(lambda tx: tx.subscriptions.askers(task.id))]  # noqa: E731
    top = lambda limit=9: [(d.task.id, d.askers) for d in bench.do(lambda tx: tx.subscriptions.top(limit))]  # noqa: E731
    assert sorted(askers(wanted)) == ["Bo", "Cy"] and askers(quiet) == []
    assert top() == [(wanted.id, 3), (quiet.id, 1)]
    assert bench.do(lambda tx: tx.subscriptions.forget(wanted.id or 0, CY))
    assert not bench.do(lambda tx: tx.subscriptions.forget(wanted.id or 0, CY))
    assert askers(wanted) == ["Bo"]
    bench.do(lambda tx: tx.subscriptions.ask(wanted.id or 0, CY))
    bench.do(lambda tx: tx.people.link(BO, CY))
    assert len(askers(wanted)) == 1 and top(1) == [(wanted.id, 2)]
    bench.do(lambda tx: tx.people.link(CY, ANN))
    assert askers(wanted) == [] and top() == [(quiet.id, 1), (wanted.id, 1)]


def what_may_be_the_same_is_open_or_just_merged(bench: Bench) -> None:
    tasks = [bench.file(repo="web" if n == 1 else "app") for n in range(4)]
    bench.do(lambda tx: end(tx, tasks[0].id or 0))
    bench.do(lambda tx: end(tx, tasks[3].id or 0, Stage.FAILED))
    bench.clock.advance(timedelta(days=2))
    since = bench.clock.now() - timedelta(days=3)
    given = lambda repo, since, most: bench.do(lambda tx: tx.subscriptions.candidates(repo, since, most, 10))  # noqa: E731
    found = lambda repo, since, most=9: [number for number, _ in given(repo, since, most)]  # noqa: E731
    assert found(None, since) == [3, 2, 1]
    assert given("app", since, 9) == [(3, "Add a page"), (1, "Add a page")]
    assert found("app", since) == [3, 1] and found(None, since, 1) == [3]
    assert found(None, bench.clock.now() - timedelta(days=1)) == [3, 2]


def a_deleted_code_task_takes_its_subscriptions_along(bench: Bench) -> None:
    one, two = bench.file(thread="1.0"), bench.file(thread="2.0")
    for task in (one, two):
        bench.do(lambda tx, t=task: tx.subscriptions.add(t.id or 0, t.thread_id or 0, BO))
        bench.do(lambda tx, t=task: tx.subscriptions.ask(t.id or 0, CY))
        bench.do(lambda tx, t=task: end(tx, t.id or 0))
    assert bench.do(lambda tx: tx.tasks.delete(one.id or 0))
    assert bench.rows("SELECT code_task_id FROM subscription UNION ALL SELECT code_task_id FROM asker") == [(2,), (2,)]
    after = bench.clock.now() + timedelta(seconds=1)
    for kind in ("runs", "events", "code_tasks"):
        bench.do(lambda tx, k=kind: tx.prune(k, after, 9))
    for table in ("code_task", "subscription", "asker"):
        assert bench.rows(f"SELECT count(*) FROM {table}") == [(0,)], table


def two_threads_that_become_one_subscribe_once(bench: Bench) -> None:
    """An answer can open a thread before the post that made its root is recorded."""
    task = bench.file(thread="1.0")
    early = bench.thread("5.0")
    rootless = bench.do(lambda tx: tx.threads.open(where(None)).id)
    for thread in (early, rootless):
        bench.do(lambda tx, t=thread: tx.subscriptions.add(task.id or 0, t, BO))
    bench.do(lambda tx: tx.threads.rooted(rootless, "5.0"))
    assert [s.thread_id for s in bench.do(lambda tx: tx.subscriptions.of_task(task.id or 0))] == [rootless]


def filings_are_counted_by_person_and_channel(bench: Bench) -> None:
    bench.file(thread="1.0", requester_id="U1")
    bench.clock.advance(10)
    noon = bench.clock.now()
    bench.file(thread="2.0", requester_id="U1")
    bench.file(requester_id="U1")
    bench.file(thread="3.0", requester_id="U2")
    filed_in = lambda channel, most: bench.do(lambda tx: tx.tasks.filed_in(("slack", "T1", channel), noon, most))  # noqa: E731
    assert (filed_in("C1", 50), filed_in("C1", 1), filed_in("C2", 50)) == ([noon, noon], [noon], [])
    bench.do(lambda tx: [tx.people.audit(who, "file", "CT-9", {}) for who in ("slack:U1", "slack:U1", "slack:U2")])
    bench.do(lambda tx: tx.people.audit("slack:U1", "cancel", "CT-9", {}))
    by = lambda who, since: len(bench.do(lambda tx: tx.tasks.filed_by(who, since, 50)))  # noqa: E731
    assert (by("slack:U1", noon), by("slack:U2", noon), by("slack:U3", noon)) == (2, 1, 0)
    assert by("slack:U1", noon + timedelta(seconds=1)) == 0


def audit_entries_are_listed(bench: Bench) -> None:
    for n, action in enumerate(("file", "cancel", "file")):
        bench.do(lambda tx, n=n, a=action: tx.people.audit(f"slack:U{n % 2}", a, f"CT-{n}", {"n": n}))
        bench.clock.advance(1)
    listed = lambda **which: [e.id for e in bench.do(lambda tx: tx.people.audit_entries(AuditFilter(**which)))]  # noqa: E731
    assert listed() == [3, 2, 1] and listed(limit=1) == [3] and listed(before_id=3) == [2, 1]
    assert listed(action="file") == [3, 1] and listed(actor="slack:U1") == [2] and listed(subject="CT-2") == [3]
    assert listed(since=bench.clock.now() - timedelta(seconds=2)) == [3, 2]
    (newest,) = bench.do(lambda tx: tx.people.audit_entries(AuditFilter(limit=1)))
    assert newest.detail == {"n": 2} and len(newest.hash) == 64


CHECKS: tuple[Check, ...] = (
    a_thread_subscribes_once,
    people_are_counted_once,
    what_may_be_the_same_is_open_or_just_merged,
    a_deleted_code_task_takes_its_subscriptions_along,
    two_threads_that_become_one_subscribe_once,
    filings_are_counted_by_person_and_channel,
    audit_entries_are_listed,
)

"""The bench a check works at: an open store, its hand-moved clock, and short ways to put rows there."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from bot.core.cards import Doc
from bot.core.inbound import Message, Person, ThreadRef
from bot.core.runs import Run
from bot.core.tasks import CodeTask
from bot.store import Delivery, Outgoing
from storage.engine import Database
from storage.transaction import Tx
from tests.clock import FakeClock

T = TypeVar("T")
LEASE = timedelta(seconds=60)
MANY = 100
"""A limit that never binds."""
SLACK = ("slack",)


@dataclass(frozen=True)
class Bench:
    """One database under test."""

    store: Database
    clock: FakeClock
    url: str

    def do(self, unit: Callable[[Tx], T]) -> T:
        """Runs a unit of work in the calling thread."""
        return self.store.run_sync(unit)

    def rows(self, sql: str, **values: Any) -> Sequence[sa.Row[Any]]:
        """Reads rows past the queries under test."""
        return self.do(lambda tx: tx.session.execute(sa.text(sql), values).all())

    @contextmanager
    def another(self) -> Iterator["Bench"]:
        """The same database as a second bot sees it (in memory there is only one)."""
        if self.url == "sqlite://":
            yield self
            return
        store = Database(self.url, self.clock)
        try:
            yield Bench(store, self.clock, self.url)
        finally:
            store.close_sync()

    def file(self, *, thread: str | None = None, **values: Any) -> CodeTask:
        """Files a code task with its first run, ready at once."""
        return self.do(lambda tx: file(tx, thread=thread, **values))

    def claim(self, worker: str = "w1", *, per_repo: int = MANY, open_prs: int = MANY) -> Run | None:
        return self.do(lambda tx: tx.runs.claim(worker, "host", per_repo, open_prs, LEASE))

    def claimed(self, worker: str = "w1") -> tuple[int, int]:
        """Claims a run that must be there; its (id, fence)."""
        run = self.claim(worker)
        assert run is not None and run.id is not None, "nothing could be claimed"
        return run.id, run.fence

    def thread(self, root: str = "1.0") -> int:
        return self.do(lambda tx: tx.threads.open(where(root)).id)

    def post(self, thread_id: int, key: str, **values: Any) -> bool:
        return self.do(lambda tx: tx.outbox.add(thread_id, delivery(key, **values)))

    def outgoing(self, limit: int = 10, paced: Sequence[str] = ()) -> list[Outgoing]:
        """Claims deliveries."""
        return list(self.do(lambda tx: tx.outbox.claim(SLACK, paced, limit)))

    def sent(self, item: Outgoing, message_id: str | None = None, root: str | None = None) -> bool:
        return self.do(lambda tx: tx.outbox.sent(item, message_id or f"m{item.id}", root))


Check = Callable[[Bench], None]


def file(tx: Tx, *, thread: str | None = None, **values: Any) -> CodeTask:
    """Files a code task with its first run in this transaction."""
    thread_id = tx.threads.open(where(thread)).id if thread else None
    number = tx.session.execute(sa.text("SELECT count(*) FROM code_task")).scalar_one() + 1
    given = {"name": f"task-{number}", "uuid": f"uuid-{number}", "thread_id": thread_id, **values}
    available_at = given.pop("available_at", tx.now)
    task = tx.tasks.add(draft(tx, **given), "slack:U1")
    assert task is not None, "the dedup key is taken"
    tx.runs.enqueue(task, 1, available_at)
    return task


def draft(tx: Tx, **values: Any) -> CodeTask:
    """A code task that is not stored yet."""
    given: dict[str, Any] = {
        "uuid": "uuid-0",
        "name": "task-0",
        "requester_platform": "slack",
        "requester_workspace": "T1",
        "requester_id": "U1",
        "title": "Add a page",
        "description": "Add a page that lists users",
        "repo": "app",
        "base": "main",
        "agent": "patch",
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    return CodeTask(**{**given, **values})


def where(root: str | None = "1.0", channel: str = "C1") -> ThreadRef:
    return ThreadRef(platform="slack", workspace_id="T1", channel_id=channel, root=root)


def delivery(key: str, **values: Any) -> Delivery:
    given: dict[str, Any] = {"kind": "post", "content": Doc(text=key), **values}
    return Delivery(dedup_key=key, **given)


def message(key: str, clock: FakeClock, **values: Any) -> Message:
    """A message as an adapter hands it in."""
    given: dict[str, Any] = {"thread": where(), "text": f"text of {key}", "sent_at": clock.now(), **values}
    person = Person(platform="slack", workspace_id="T1", id="U1")
    return Message(
        platform="slack",
        app_id="A1",
        workspace_id="T1",
        key=key,
        person=person,
        message_id=key,
        received_at=clock.now(),
        **given,
    )


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Runs `work(0..count-1)` in as many threads, let go at one moment; raises what any of them raised."""
    gate = threading.Barrier(count)

    def one(number: int) -> T:
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))

"""The store as services and the worker see it: `Store.run(unit)` and the queries of a `Transaction`, by noun.

`storage/` implements these. Everything a unit does happens in one transaction; a method that returns None where a row
is expected means that its guard did not hold (another actor was first) and that nothing was written.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

from bot.store.demand import (
    Demand,
    Member,
    Subscription,
    SubscriptionQueries,
    SuggestionFilter,
    SuggestionQueries,
)
from bot.store.queries import (
    FigureQueries,
    FollowUpQueries,
    InboxQueries,
    LeaseQueries,
    OutboxQueries,
    PeopleQueries,
    QuestionQueries,
    RunQueries,
    SessionQueries,
    TaskQueries,
    ThreadQueries,
)
from bot.store.rows import (
    DELIVERY_LEASE,
    REFUSED,
    REVIVABLE,
    AgentSession,
    AuditEntry,
    AuditFilter,
    Damaged,
    Delivery,
    Due,
    FollowUpFilter,
    Forgotten,
    Move,
    Outgoing,
    Pending,
    PendingCounts,
    Requester,
    RunAgain,
    StoreDown,
    TaskFilter,
    Thread,
    TokenInfo,
    Topic,
    WorkerSeen,
)

__all__ = [
    "DELIVERY_LEASE",
    "REFUSED",
    "REVIVABLE",
    "AgentSession",
    "AuditEntry",
    "AuditFilter",
    "Damaged",
    "Delivery",
    "Demand",
    "Due",
    "FigureQueries",
    "FollowUpFilter",
    "FollowUpQueries",
    "Forgotten",
    "InboxQueries",
    "LeaseQueries",
    "Member",
    "Move",
    "OutboxQueries",
    "Outgoing",
    "Pending",
    "PendingCounts",
    "PeopleQueries",
    "QuestionQueries",
    "Requester",
    "RunAgain",
    "RunQueries",
    "SessionQueries",
    "Store",
    "StoreDown",
    "Subscription",
    "SubscriptionQueries",
    "SuggestionFilter",
    "SuggestionQueries",
    "TaskFilter",
    "TaskQueries",
    "Thread",
    "ThreadQueries",
    "TokenInfo",
    "Topic",
    "Transaction",
    "WorkerSeen",
]

T = TypeVar("T")


class Transaction(Protocol):
    """One transaction. `now` is the same instant for all of it: the database's clock on PostgreSQL."""

    inbox: InboxQueries
    threads: ThreadQueries
    tasks: TaskQueries
    runs: RunQueries
    followups: FollowUpQueries
    sessions: SessionQueries
    outbox: OutboxQueries
    people: PeopleQueries
    figures: FigureQueries
    leases: LeaseQueries
    questions: QuestionQueries
    suggestions: SuggestionQueries
    subscriptions: SubscriptionQueries

    @property
    def now(self) -> datetime: ...

    def wake(self, topic: Topic) -> None:
        """Signals `topic` once the commit is durable."""
        ...

    def prune(self, kind: Forgotten, before: datetime, most: int) -> int:
        """Removes at most `most` rows of what finished before that instant; message keys are kept. Returns how many."""
        ...


class Store(Protocol):
    async def run(self, unit: Callable[[Transaction], T], *, read: bool = False, urgent: bool = False) -> T:
        """Runs the unit in one transaction; raises StoreDown when the database cannot be reached."""
        ...

    def run_sync(self, unit: Callable[[Transaction], T], *, read: bool = False) -> T:
        """The same, in the calling thread."""
        ...

    def now(self) -> datetime: ...

    def version(self, topic: Topic) -> int: ...

    async def changed(self, topic: Topic, seen: int, timeout: float | None = None) -> int:
        """Waits until `topic` was signalled more than `seen` times or `timeout` seconds passed; returns the count."""
        ...

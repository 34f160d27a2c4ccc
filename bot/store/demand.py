"""The queries of intake and of the demand ledger: suggestions, and who asked for a code task besides its requester."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bot.core.inbound import Message, MessageRef, Person
from bot.core.suggestions import Suggestion, SuggestionState
from bot.core.tasks import CodeTask


@dataclass(frozen=True, slots=True)
class Member:
    """One message of an item, in the order in which they were sent. `message` has its thread."""

    message: MessageRef
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class SuggestionFilter:
    """Which suggestions to list, newest first. Empty fields do not filter. `before_id` pages."""

    states: Collection[SuggestionState] = ()
    channel: tuple[str, str, str] | None = None
    author: tuple[str, str, str] | None = None
    before_id: int | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Subscription:
    """Someone's thread that is told what becomes of a code task that was asked for elsewhere."""

    code_task_id: int
    thread_id: int
    person: Person
    suggestion_id: int | None
    """The suggestion it came from; None when it came from a code task that was filed by hand (`from_task_id`)."""
    from_task_id: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Demand:
    """An open code task and how many distinct people asked for it, its requester included."""

    task: CodeTask
    askers: int


class SuggestionQueries(Protocol):
    def collect(
        self, messages: Sequence[Message], owner: str, *, between: Collection[int] = ()
    ) -> Sequence[int | None]:
        """Claims the keys of messages, in the order given, each joining the item of its author that still waits in
        its place (product rule 6.2) or beginning one: the item's number, None for a message that was known already.

        A message of anybody else closes what waits in that place: it is due at once. Those at the positions `between`
        do no more than that, and get None. An item belongs to the process that heard its first message, `owner` where
        the message does not name it; no text is stored."""
        ...

    def take(self, message: MessageRef, author: Person, sent_at: datetime) -> Suggestion:
        """The item of a message that a person pointed at, locked until the transaction ends; made as SKIPPED (judge
        `person`) when the message belongs to none."""
        ...

    def of_message(self, message: MessageRef) -> Suggestion | None:
        """The item a message belongs to."""
        ...

    def behind(self, code_task_id: int) -> Suggestion | None:
        """The item that a code task was filed from."""
        ...

    def members(self, suggestion_id: int) -> Sequence[Member]: ...

    def lease_due(self, owner: str, limit: int) -> Sequence[Suggestion]:
        """Waiting items whose time has come, oldest first, leased for `JUDGING`: those whose text this process holds,
        and those that their own process has left for `OTHERS_AFTER`. No two processes get the same one."""
        ...

    def next_due_at(self, owner: str = "") -> datetime | None:
        """When `lease_due` may give the next item to `owner`, perhaps in the past: those of other processes count
        `OTHERS_AFTER` later, those under judgement when their lease ends."""
        ...

    def get(self, suggestion_id: int) -> Suggestion | None: ...

    def locked(self, suggestion_id: int) -> Suggestion | None:
        """The same, and nobody else changes it before this transaction ends."""
        ...

    def list(self, which: SuggestionFilter) -> Sequence[Suggestion]: ...

    def move(
        self, suggestion_id: int, from_states: Collection[SuggestionState], to_state: SuggestionState, **values: Any
    ) -> Suggestion | None:
        """Moves one if it is in one of `from_states` and ends its lease; None when it is not. A move to skipped,
        expired or removed wipes its words whatever `values` says; a decision is dated now unless `values` dates it."""
        ...

    def skip(self, outcomes: Mapping[int, tuple[str, float, str]]) -> int:
        """Moves many waiting ones to skipped in one statement: id -> (reason, score, `seen_hash`). Returns how many."""
        ...

    def update(self, suggestion_id: int, in_states: Collection[SuggestionState], **values: Any) -> Suggestion | None:
        """Changes fields without a move."""
        ...

    def shown_to(self, author: tuple[str, str, str], since: datetime) -> int:
        """How many suggestions for messages of that person were shown since then. Nobody else counts the same before
        this transaction ends, so that a limit holds: ask for the person first, then for the channel."""
        ...

    def shown_in(self, channel: tuple[str, str, str], since: datetime) -> int:
        """As `shown_to`, in a channel."""
        ...

    def filed_itself(self, channel: tuple[str, str, str], since: datetime) -> int:
        """How many code tasks intake has filed by itself in a channel since then, and that stand; as `shown_to`."""
        ...

    def last_decided(self, channel: tuple[str, str, str], limit: int) -> Sequence[SuggestionState]:
        """What people decided last about suggestions of a channel, newest first: filed, same or dismissed."""
        ...

    def record(self, channel: tuple[str, str, str], judge: str, threshold: float) -> tuple[int, int]:
        """Of the decided suggestions of a channel at or above that score: how many, and how many were requests."""
        ...

    def counts(self, channel: tuple[str, str, str] | None, since: datetime) -> Mapping[tuple[str, str], int]:
        """How many items per (state, reason), for the report."""
        ...

    def channels(self, since: datetime) -> Sequence[tuple[str, str, str]]:
        """(platform, workspace, channel) wherever an item was heard since then, for the report."""
        ...

    def scores(self, channel: tuple[str, str, str] | None, since: datetime) -> Sequence[float]:
        """The scores of judged items, for the report."""
        ...

    def labelled(self, limit: int) -> Sequence[Suggestion]:
        """Decided suggestions whose text is kept, newest first: what people taught."""
        ...

    def expire(self, before: datetime, most: int, *, asks_admin: bool = False) -> Sequence[Suggestion]:
        """Open ones unchanged since then move to expired and are wiped; at most `most`. With `asks_admin`, only those
        that wait for an admin: flagged by the guard, or not written by a member."""
        ...


class SubscriptionQueries(Protocol):
    def add(
        self,
        code_task_id: int,
        thread_id: int,
        person: Person,
        *,
        suggestion_id: int | None = None,
        from_task_id: int | None = None,
    ) -> bool:
        """Subscribes a thread; False when it is subscribed to that code task already."""
        ...

    def end(self, code_task_id: int, thread_id: int) -> Subscription | None:
        """Takes a subscription back; None when there is none."""
        ...

    def of_task(self, code_task_id: int) -> Sequence[Subscription]:
        """Oldest first."""
        ...

    def of_thread(self, thread_id: int) -> Sequence[Subscription]: ...

    def ask(self, code_task_id: int, person: Person) -> bool:
        """Counts someone who used a door on the same message as asking for it too; False when counted already."""
        ...

    def forget(self, code_task_id: int, person: Person) -> bool:
        """Takes an account out of those who asked, with all its threads; False when it was not among them."""
        ...

    def askers(self, code_task_id: int) -> Sequence[Person]:
        """Distinct people besides the requester who asked for it; linked accounts are one person."""
        ...

    def top(self, limit: int) -> Sequence[Demand]:
        """Open code tasks by how many distinct people asked for them, most first, then oldest first."""
        ...

    def candidates(self, repo: str | None, since: datetime, limit: int, length: int) -> Sequence[tuple[int, str]]:
        """Code tasks that are open, or were merged since then, newest first, each with the first characters of its
        description; of one repository when named."""
        ...

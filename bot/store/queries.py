"""The queries of a `Transaction`, one protocol for each noun."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from bot.core.followups import FollowUp, FollowUpReason, FollowUpState
from bot.core.inbound import Event, Person, ThreadRef
from bot.core.questions import Question
from bot.core.runs import LogLine, ParkedChange, Run, RunLease, RunLogEntry
from bot.core.tasks import CodeTask, Stage
from bot.store.rows import (
    DELIVERY_LEASE,
    AgentSession,
    AuditEntry,
    AuditFilter,
    Damaged,
    Delivery,
    Due,
    FollowUpFilter,
    Move,
    Outgoing,
    Pending,
    PendingCounts,
    TaskFilter,
    Thread,
    TokenInfo,
    WorkerSeen,
)


class InboxQueries(Protocol):
    def add(self, event: Event) -> int | None:
        """Stores a new event and returns its number, or None when its key is known already."""
        ...

    def add_all(self, events: Sequence[Event]) -> Sequence[int | None]:
        """Stores several in one go: for each what `add` would return."""
        ...

    def pending(self, limit: int) -> Sequence[Pending | Damaged]:
        """Events that wait to be handled, oldest first; an unreadable one is to be given up, the others go on."""
        ...

    def event(self, inbound_id: int) -> Event | None:
        """A stored event by its number."""
        ...

    def done(self, inbound_id: int) -> bool:
        """Marks an event handled; False when someone else did first (then write nothing else)."""
        ...

    def done_all(self, inbound_ids: Sequence[int]) -> Collection[int]:
        """Marks events handled in one go; those that nobody else had handled first."""
        ...

    def failed(self, inbound_id: int, error: str, retry_after: timedelta | None) -> None:
        """Puts an event off after a fault, or gives it up when `retry_after` is None."""
        ...

    def last_sent_at(self, platform: str, workspace_id: str, channel_id: str) -> datetime | None:
        """When the newest event known from a channel was sent: the watermark of the backfill."""
        ...

    def heard(self, platform: str, at: datetime) -> None:
        """Remembers that something of a platform came in then that is not stored itself."""
        ...

    def last_received_at(self, platform: str, until: datetime) -> datetime | None:
        """When the last event of a platform came in that came in by `until`, stored or only heard; gaps do not
        count."""
        ...


class ThreadQueries(Protocol):
    def find(self, ref: ThreadRef) -> Thread | None:
        """The thread by its root or native id."""
        ...

    def open(self, ref: ThreadRef) -> Thread:
        """The thread, made if it is new. Without a root a fresh thread is made whose first post becomes the root."""
        ...

    def get(self, thread_id: int) -> Thread: ...

    def rooted(self, thread_id: int, root: str, native: str | None = None) -> None:
        """Fills in the root of a thread that had none yet."""
        ...

    def link(self, thread_id: int, url: str) -> None:
        """Remembers the link to a thread."""
        ...

    def discard(self, thread_id: int) -> None:
        """Forgets a thread that was just opened and that nothing uses; a rooted one stays."""
        ...

    def lane(self, channel: ThreadRef) -> Thread:
        """The channel's own lane for whispers that belong to no thread; it never gets a root."""
        ...

    def active(self, platform: str, since: datetime) -> Sequence[Thread]:
        """Threads with an open code task or with traffic since then, for the backfill."""
        ...


class TaskQueries(Protocol):
    def add(self, task: CodeTask, actor: str) -> CodeTask | None:
        """Files a code task in stage queued with its first history entry; None when its dedup key is taken."""
        ...

    def get(self, task_id: int) -> CodeTask | None: ...

    def find(self, *, uuid: str = "", name: str = "", dedup_key: str = "", requester: str = "") -> CodeTask | None: ...

    def named(self, name: str) -> Sequence[CodeTask]:
        """The code tasks of that name, newest first, at most 20."""
        ...

    def in_thread(self, thread_id: int) -> CodeTask | None:
        """The newest code task of a thread."""
        ...

    def list(self, which: TaskFilter) -> Sequence[CodeTask]: ...

    def names(self, requester: tuple[str, str, str], prefix: str) -> Collection[str]:
        """Names the requester already uses that start with `prefix`."""
        ...

    def move(
        self,
        task_id: int,
        from_stages: Collection[Stage],
        to_stage: Stage,
        *,
        actor: str,
        reason: str = "",
        lease: tuple[int, int] | None = None,
        **values: Any,
    ) -> CodeTask | None:
        """Moves a code task if it is in one of `from_stages` (and, with `lease` = (run id, fence), only while that
        lease holds), writes the history entry, wakes `task`."""
        ...

    def update(self, task_id: int, in_stages: Collection[Stage], **values: Any) -> CodeTask | None:
        """Changes fields without a move, guarded by the stage."""
        ...

    def history(self, task_id: int) -> Sequence[Move]: ...

    def moves(self, task_id: int) -> int:
        """How many entries its history has."""
        ...

    def filed_by(self, actor: str, since: datetime, most: int) -> Sequence[datetime]:
        """When someone (`platform:person`) filed code tasks since then, newest first, at most `most`; those deleted
        since count too. Until this transaction ends no other one counts the same person's: what is counted and then
        filed stays within the limits."""
        ...

    def filed_in(self, channel: tuple[str, str, str], since: datetime, most: int) -> Sequence[datetime]:
        """The same for the threads of a channel, without those deleted."""
        ...

    def queue_position(self, task_id: int) -> int | None:
        """1 for the next to be claimed; None when it is not queued."""
        ...

    def in_review(self) -> Sequence[CodeTask]:
        """Code tasks whose pull request is to be watched: all in review, oldest first, then those that failed in the
        last 14 days, newest first (at most 200), whose pull request may still be merged or reopened."""
        ...

    def by_pull_request(self, repos: Collection[str], number: int) -> CodeTask | None: ...

    def delete(self, task_id: int) -> bool:
        """Removes a merged or failed code task with its runs, logs and history."""
        ...


class RunQueries(Protocol):
    def enqueue(self, task: CodeTask, attempt: int, available_at: datetime) -> Run:
        """Queues one attempt and wakes workers."""
        ...

    def claim(self, worker: str, host: str, per_repo: int, open_prs: int, lease: timedelta) -> Run | None:
        """Leases the next ready run of a code task: one winner among any number of workers. None when nothing is
        ready."""
        ...

    def enqueue_follow_ups(self, ids: Sequence[int], agent: str) -> None:
        """Queues the runs of follow-ups that have just started, all with this agent, and wakes workers."""
        ...

    def claim_follow_up(self, worker: str, host: str, at_once: int, lease: timedelta) -> Run | None:
        """Leases the next ready run of a follow-up, oldest first, while fewer than `at_once` are active anywhere and
        nothing runs in its session."""
        ...

    def cancel_follow_up(self, follow_up_id: int) -> Run | None:
        """Ends the open run of a follow-up as cancelled, whoever holds it, and wakes its worker."""
        ...

    def of_follow_up(self, follow_up_id: int) -> Sequence[Run]:
        """All runs of a follow-up, oldest first."""
        ...

    def heartbeat(self, run_id: int, fence: int, lease: timedelta) -> bool:
        """Extends the lease; False when it is lost (kill the run, write nothing)."""
        ...

    def holds(self, run_id: int, fence: int) -> bool:
        """Whether the lease still holds."""
        ...

    def update(self, run_id: int, fence: int, **values: Any) -> bool:
        """Changes fields of a leased run; False when the lease is lost."""
        ...

    def end(self, run_id: int, fence: int, state: RunLease, **values: Any) -> Run | None:
        """Ends a leased run in a final state (or WAITING or QUEUED) and gives up its lease."""
        ...

    def ready(self, task_id: int) -> Run | None:
        """Makes the queued run of a code task claimable now, and wakes workers; None when none is queued."""
        ...

    def cancel(self, task_id: int) -> Run | None:
        """Ends the open run of a code task as cancelled, whoever holds it, and wakes its worker."""
        ...

    def settle(self, run_id: int, fence: int, cost_usd: float | None, tokens: int | None) -> None:
        """Records what a cancelled run cost."""
        ...

    def expired(self) -> Sequence[Run]:
        """Active runs whose lease has run out."""
        ...

    def get(self, run_id: int) -> Run | None: ...

    def of_task(self, task_id: int) -> Sequence[Run]:
        """All attempts of a code task, oldest first."""
        ...

    def park(self, run_id: int, fence: int, change: ParkedChange, **values: Any) -> Run | None:
        """Gives up the lease and stores the change until an admin decides; None when the lease is lost."""
        ...

    def parked(self, run_id: int) -> ParkedChange | None:
        """The change of a run that waits, or goes on after an approval."""
        ...

    def decide(self, task_id: int, approved: bool, by: str) -> Run | None:
        """Approves or refuses the waiting change of a code task: its run is queued again (no attempt is counted) or
        failed. None when nothing waits."""
        ...

    def decide_run(self, run_id: int, approved: bool, by: str) -> Run | None:
        """The same for one waiting run, whatever it is a run of."""
        ...

    def on_branch(self, task_id: int, thread_id: int | None) -> Sequence[Run]:
        """Open runs of the follow-ups that were sent to the code task, and of those anchored to that thread (None for
        no thread)."""
        ...

    def waiting_since(self, before: datetime) -> Sequence[Run]:
        """Runs that wait for a decision since before that instant."""
        ...

    def log(self, run_id: int, lines: Sequence[LogLine]) -> None:
        """Appends log entries; over the size cap one explicit "truncated" entry is written and the rest dropped."""
        ...

    def logs(self, run_id: int, after: int = 0, limit: int = 1000) -> Sequence[RunLogEntry]: ...

    def tail(self, run_id: int, limit: int) -> Sequence[RunLogEntry]:
        """The last `limit` log entries, oldest first."""
        ...

    def live_workspaces(self) -> Collection[str]:
        """Workspace names of active runs; the janitor leaves them alone."""
        ...

    def next_available_at(self) -> datetime | None:
        """When the next run that is not ready yet becomes ready."""
        ...


class FollowUpQueries(Protocol):
    def add(self, follow_up: FollowUp) -> FollowUp | None:
        """Stores a new one, pending, and wakes whoever fires them; None when its dedup key is taken."""
        ...

    def get(self, follow_up_id: int) -> FollowUp | None: ...

    def find(self, *, uuid: str = "", dedup_key: str = "") -> FollowUp | None: ...

    def list(self, which: FollowUpFilter) -> Sequence[FollowUp]: ...

    def in_thread(self, thread_id: int) -> FollowUp | None:
        """The newest follow-up that opened this thread by firing; None for any other thread."""
        ...

    def pending_counts(self, requester: tuple[str, str, str], thread_id: int | None) -> PendingCounts:
        """How many pending ones someone and a thread have. Until this transaction ends no other one counts the same
        person's or thread's: what is counted and then added stays within the limits."""
        ...

    def set_by_run(self, run_id: int) -> int:
        """How many a run has set, whatever became of them."""
        ...

    def sent_to(self, task_id: int) -> int:
        """How many that people sent to a code task are pending or running."""
        ...

    def due(self, limit: int) -> Sequence[Due]:
        """Pending ones whose time has come and whose thread is free (or that do not wait for it), oldest first, each
        locked: no two transactions get the same one."""
        ...

    def next_due_at(self) -> datetime | None:
        """When the next pending one that is not due yet falls due."""
        ...

    def start(self, ids: Sequence[int], late: timedelta | None = None) -> Sequence[int]:
        """Moves pending ones that are due to running, all in one statement; the ids of those moved, in no order. Those
        that somebody else moved first are left out."""
        ...

    def post(self, ids: Sequence[int], late: timedelta | None = None) -> Sequence[FollowUp]:
        """The same to success, for reminders."""
        ...

    def move(
        self,
        follow_up_id: int,
        from_states: Collection[FollowUpState],
        to_state: FollowUpState,
        *,
        reason: FollowUpReason | None = None,
        **values: Any,
    ) -> FollowUp | None:
        """Moves one if it is in one of `from_states`; None when it is not, or is gone."""
        ...

    def update(self, follow_up_id: int, **values: Any) -> FollowUp | None:
        """Changes fields of a pending one; None when it is not pending."""
        ...

    def settle_in(self, follow_up_id: int, thread_id: int) -> None:
        """Remembers the thread that an unanchored one answers in, whatever its state."""
        ...

    def delete(self, follow_up_id: int) -> bool:
        """Removes one that is not running, with its runs and logs."""
        ...


class SessionQueries(Protocol):
    def get(self, thread_id: int, agent: str) -> AgentSession | None: ...

    def agent_of(self, thread_id: int) -> str | None:
        """The agent whose conversation the thread holds: the one used last."""
        ...

    def save(self, session: AgentSession) -> None:
        """Stores a conversation after a run, over the earlier one of that thread and agent."""
        ...

    def forget(self, thread_id: int, agent: str) -> None: ...


class OutboxQueries(Protocol):
    def add(self, thread_id: int, delivery: Delivery) -> bool:
        """Enqueues a delivery in its thread's order; an edit supersedes pending edits of the same card. False when the
        key is known already."""
        ...

    def add_all(self, posts: Sequence[tuple[int, Delivery]]) -> None:
        """Enqueues many posts that belong to no card in a few statements, each with its thread, in the order given;
        those whose key is known are left out."""
        ...

    def known(self, dedup_key: str) -> bool:
        """Whether a delivery of that key was enqueued before."""
        ...

    def claim(
        self, platforms: Collection[str], paced: Collection[str], limit: int, lease: timedelta = DELIVERY_LEASE
    ) -> Sequence[Outgoing]:
        """Claims the heads of up to `limit` threads: nothing earlier of the thread is unsent, no rate gate is closed,
        and the gate is not one of `paced`."""
        ...

    def sent(self, delivery: Outgoing, message_id: str | None, root: str | None, native: str | None = None) -> bool:
        """Records the success: card and thread learn their ids. False when the claim was lost."""
        ...

    def retry(self, delivery: Outgoing, available_at: datetime, why: str, maybe_done: bool) -> bool: ...

    def dead(self, delivery: Outgoing, why: str) -> bool:
        """Parks a delivery for good."""
        ...

    def revive(self, channel: ThreadRef) -> int:
        """Queues the deliveries of a channel again that were parked for want of a right. Returns how many."""
        ...

    def block(self, scope: str, until: datetime) -> None:
        """Closes a rate gate for every process."""
        ...

    def reap(self) -> int:
        """Returns deliveries whose sender vanished to the queue, marked as perhaps done. Returns how many."""
        ...

    def next_available_at(self) -> datetime | None: ...

    def adopt(self, card_key: str, thread_id: int, message_id: str) -> None:
        """Makes a message that was posted as no card one that can be edited by this key; known ones stay."""
        ...

    def card_message(self, card_key: str) -> str | None:
        """The platform's id of a code task's card."""
        ...

    def lose_card(self, card_key: str) -> None:
        """Forgets the card's message: the next edit posts a fresh card as a reply."""
        ...


class PeopleQueries(Protocol):
    def see(self, person: Person) -> None:
        """Remembers someone and the roles the platform told of."""
        ...

    def find(self, platform: str, workspace_id: str, person_id: str) -> Person | None: ...

    def known(self, after: str, limit: int) -> Sequence[Person]:
        """Everyone who was seen, by account (`platform:workspace:id`), those behind `after`."""
        ...

    def admins(self, platform: str, workspace_id: str) -> Sequence[str]:
        """Ids of the owners and admins the platform told of."""
        ...

    def name_of(self, platform: str, person_id: str) -> str:
        """The name someone is known by, empty when unknown."""
        ...

    def last_repo(self, person: Person) -> str | None: ...

    def remember_repo(self, person: Person, repo: str) -> None: ...

    def setting(self, thread: ThreadRef, key: str) -> str | None:
        """A channel's setting."""
        ...

    def settings_around(self, thread: ThreadRef, key: str) -> Sequence[str]:
        """The same setting of the channel and of its whole workspace, those that are set, the channel's first."""
        ...

    def set_setting(self, thread: ThreadRef, key: str, value: str | None) -> None: ...

    def preference(self, person: Person, key: str) -> str | None:
        """What someone chose for themselves; it counts in every workspace of their platform."""
        ...

    def prefer(self, person: Person, key: str, value: str | None) -> None: ...

    def audit(self, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
        """Appends a hash-chained audit entry."""
        ...

    def audit_entries(self, which: AuditFilter) -> Sequence[AuditEntry]: ...

    def audit_broken_at(self) -> int | None:
        """The number of the first audit entry whose hash does not fit the one before; None when the chain is whole."""
        ...

    def link(self, one: Person, other: Person) -> bool:
        """Says that two accounts are one person, with all that either was linked to; False when they were already."""
        ...

    def unlink(self, one: Person) -> bool:
        """Takes an account out of its links; False when it had none."""
        ...

    def linked(self, person: Person) -> frozenset[str]:
        """The other accounts of the same person, each `platform:workspace:id`."""
        ...

    def add_token(self, name: str, sha256: str, scopes: str, person_id: str, role: str) -> None: ...

    def token(self, sha256: str) -> tuple[str, frozenset[str], str] | None:
        """(person id, scopes, role) of a live API token."""
        ...

    def tokens(self) -> Sequence[TokenInfo]:
        """All live API tokens, oldest first."""
        ...

    def revoke_token(self, token_id: int) -> bool:
        """Ends a token; False when there is no such live one."""
        ...

    def first_delivery(self, delivery_id: str) -> bool:
        """Whether a forge delivery id is new; remembers it."""
        ...


class FigureQueries(Protocol):
    def stages(self) -> Mapping[Stage, int]:
        """How many code tasks are in each stage, all six named."""
        ...

    def runs(self) -> Mapping[str, int]:
        """Open runs by state: queued, active, waiting."""
        ...

    def deliveries(self) -> Mapping[str, int]:
        """Unfinished deliveries by state: pending, sending, unknown, and dead (parked for good)."""
        ...

    def oldest_delivery_at(self) -> datetime | None:
        """When the oldest unsent delivery was enqueued."""
        ...

    def unhandled(self) -> int:
        """Accepted events that wait to be handled."""
        ...

    def claims(self) -> int:
        """How often runs that are still kept were claimed."""
        ...

    def follow_ups(self) -> Mapping[str, int]:
        """How many follow-ups are pending and how many running."""
        ...

    def oldest_due_at(self) -> datetime | None:
        """The earliest time of a pending follow-up; in the past where one waits to be fired."""
        ...

    def worker_seen(self, worker: WorkerSeen) -> None:
        """Remembers that a worker is alive now."""
        ...

    def worker_gone(self, worker_id: str) -> None:
        """Forgets a worker that ended."""
        ...

    def workers(self, within: timedelta) -> Sequence[WorkerSeen]:
        """Workers seen within that time, with how many runs each holds."""
        ...


class QuestionQueries(Protocol):
    def ask(self, run_id: int, thread_id: int, text: str, choices: tuple[str, ...]) -> Question | None:
        """Stores a run's question, open; None while another one of that run is open. It goes when its run goes."""
        ...

    def get(self, question_id: int) -> Question | None: ...

    def last_of(self, run_id: int) -> Question | None:
        """The question that a run asked last, whatever became of it."""
        ...

    def open_in(self, thread_id: int) -> Question | None:
        """The newest open question of a thread whose run still goes on."""
        ...

    def answer(self, question_id: int, answer: str | None, by: str | None) -> Question | None:
        """Closes an open question, with an answer or (None) without one, and wakes who waits for it; None when it is
        closed already or its run is over."""
        ...


class LeaseQueries(Protocol):
    def hold(self, name: str, owner: str, ttl: timedelta) -> bool:
        """Takes or renews a lease; False while another owner's has not run out."""
        ...

    def release(self, name: str, owner: str) -> None:
        """Ends a lease of this owner now."""
        ...

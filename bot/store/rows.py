"""What units of work give to the store and get from it: plain values, and the two faults."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from bot.core.cards import Content
from bot.core.followups import FollowUpKind, FollowUpState
from bot.core.inbound import Event, Person, ThreadRef
from bot.core.tasks import FailureReason, Stage

Topic = Literal["inbound", "outbox", "run", "cancel", "task", "follow_up", "intake"]
Forgotten = Literal[
    "superseded",
    "payloads",
    "deliveries",
    "gates",
    "forge_deliveries",
    "logs",
    "approvals",
    "runs",
    "events",
    "code_tasks",
    "follow_ups",
    "sessions",
    "suggestions",
    "cards",
]
"""What retention removes, in the order in which it can be removed."""
DELIVERY_LEASE: Final = timedelta(seconds=60)
"""How long a claimed delivery belongs to its sender."""
"""What a wake-up is about: new events, deliveries, claimable runs, ended leases, changed code tasks."""


REFUSED = "refused: "
"""How the last error of a parked delivery starts when the bot lacked a right; joining the channel revives it."""
REVIVABLE: Final = timedelta(hours=24)
"""How long a delivery that was refused waits for the bot to be added to the channel again."""


class StoreDown(Exception):
    """The database cannot be reached. Nothing was written, unless the connection was lost during the COMMIT: then
    nobody knows, so whoever does it again must find what the first time wrote (by a key, a stage, a fence)."""


class RunAgain(Exception):
    """Raised by a unit that lost a race for a unique key: the store rolls back and runs it again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One outgoing chat effect to be enqueued. `dedup_key` makes enqueueing it twice a no-op."""

    kind: Literal["post", "edit", "react", "whisper"]
    dedup_key: str
    content: Content | None = None
    card_key: str | None = None
    target: Mapping[str, Any] | None = None
    delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery claimed for sending. `fence` guards its result; `check_first` asks to read back before posting."""

    id: int
    fence: int
    thread_id: int
    to: ThreadRef
    kind: Literal["post", "edit", "react", "whisper"]
    dedup_key: str
    gate: str
    content: Content | None
    card_key: str | None
    card_message_id: str | None
    target: Mapping[str, Any]
    attempt: int
    check_first: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Pending:
    """An accepted event that waits to be handled."""

    id: int
    event: Event
    attempts: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """A stored event that this version cannot read (written by another one, or damaged). `why` names the error."""

    id: int
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Thread:
    """A stored thread: its number, where it is, and its link (empty while unknown)."""

    id: int
    ref: ThreadRef
    url: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """One move of a code task, as the history shows it."""

    seq: int
    at: datetime
    actor: str
    from_stage: Stage | None
    to_stage: Stage
    reason: str
    run_id: int | None


Requester = tuple[str, str, str]
"""(platform, workspace id, id) of whoever a code task or follow-up belongs to."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which code tasks to list. Empty fields do not filter. `before_id` pages backwards (newest first)."""

    stages: Collection[Stage] = ()
    requester: tuple[str, str, str] | None = None
    thread_id: int | None = None
    repo: str | None = None
    channel: tuple[str, str, str] | None = None
    text: str | None = None
    who: str | None = None
    """The requester's id or name, on any platform."""
    reason: FailureReason | None = None
    since: datetime | None = None
    """Filed at or after this instant."""
    seen_by: Collection[Requester] | None = None
    """Of those that were filed in a talk with the bot alone, only these people's; None for all."""
    before_id: int | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class FollowUpFilter:
    """Which follow-ups to list: running ones, then pending by time, then the rest, newest first (product rule P35).
    Empty fields do not filter. `offset` pages."""

    states: Collection[FollowUpState] = ()
    requester: tuple[str, str, str] | None = None
    thread_id: int | None = None
    channel: tuple[str, str, str] | None = None
    """(platform, workspace id, channel id); an empty one of the first two matches any."""
    root: str | None = None
    """The root, or the native id, of one thread in `channel`."""
    seen_by: Collection[Requester] | None = None
    """Of those that belong to a chat, only these people's; None for all."""
    limit: int = 20
    offset: int = 0


class PendingCounts(NamedTuple):
    """How many pending follow-ups a person and a thread have; `by_agents` are those of the thread that agents set."""

    of_person: int
    in_thread: int
    by_agents: int


class Due(NamedTuple):
    """A pending follow-up whose time has come, locked for this transaction, with all that decides about it. `busy`: an
    agent works in its thread and it does not wait for that; `free_since` is when the last one there ended;
    `session_agent` is whose conversation the thread holds; `away`: a prompt whose answer could not be posted, as the
    bot was taken out of the channel or refused there last; `language` is what a reminder's channel, else its workspace,
    is set to; `requester` has the roles last heard of."""

    id: int
    kind: FollowUpKind
    due_at: datetime
    if_missed: str
    if_busy: str
    thread_id: int | None
    agent: str | None
    busy: bool
    free_since: datetime | None
    session_agent: str | None
    channel_agent: str | None
    language: str | None
    away: bool
    requester: Person


@dataclass(frozen=True, slots=True)
class AgentSession:
    """One agent's conversation in one thread. `ref` is the agent's own id of it, `archive` its packed state."""

    thread_id: int
    agent: str
    ref: str
    repo: str = ""
    summary: str = ""
    """What a fresh conversation is told where this one cannot be resumed."""
    archive: bytes | None = field(default=None, repr=False)
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """An API token as an admin sees it; the value itself is known to nobody."""

    id: int
    name: str
    scopes: frozenset[str]
    person_id: str
    role: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change as the audit trail keeps it. `actor` is `platform:person`, `detail` plain data."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]
    hash: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which audit entries to list, newest first. Empty fields do not filter. `before_id` pages."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    since: datetime | None = None
    before_id: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker as the status pages show it; never used to decide who owns a run. `busy` counts its runs."""

    id: str
    host: str
    version: str
    sandbox: str
    seen_at: datetime | None = None
    busy: int = 0

"""Follow-ups: the entity, its five states, its failure reasons, which move is legal, and what a due one does.

`TRANSITIONS` is the law (product rules 7.2 and 7.4); storage guards every UPDATE with it and tests enumerate it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, Protocol

from sqlmodel import Field, SQLModel

from bot.core.tasks import title_of

MESSAGE_MAX: Final = 8_000
TITLE_MAX: Final = 80
ERROR_MAX: Final = 500
ON_TIME: Final = timedelta(minutes=10)
"""Up to so late counts as on time (product rule 7.2)."""
TOO_LATE: Final = timedelta(hours=24)
"""Later than this nothing is run or posted, whatever was asked for (product rule 7.2)."""
PENDING_PER_PERSON: Final = 50
PENDING_PER_THREAD: Final = 20
PENDING_BY_AGENTS: Final = 3
"""In one thread (product rule 7.5)."""
AGENT_CHAIN: Final = 5
"""How deep follow-ups may set follow-ups (product rule 7.5)."""
AGENT_GAP: Final = timedelta(seconds=60)
"""The nearest time an agent may set (product rule 7.5)."""
AGENT_HORIZON: Final = timedelta(days=30)
AGENT_PER_RUN: Final = 1
"""What a follow-up's own run may set; a code task's run may set as many as its thread may hold."""


class FollowUpState(StrEnum):
    """The five stored states of a follow-up."""

    PENDING = "pending"
    """Waits for its time, or for its thread's agent to be free. Firing moves it on. A crash changes nothing."""
    RUNNING = "running"
    """An agent works on it, or its run waits for a worker. Its worker moves it on. After a crash the lease ends."""
    SUCCESS = "success"
    """Answered, or posted. Only a channel that turns out to be gone moves it on: then it has failed."""
    FAILED = "failed"
    """Not answered, with a reason. A person's retry moves it on."""
    CANCELLED = "cancelled"
    """A person ended it. Nobody moves it on."""


class FollowUpReason(StrEnum):
    """Why a follow-up is `failed` (product rule 7.4)."""

    MISSED = "missed"
    AGENT_FAILED = "agent_failed"
    TIMED_OUT = "timed_out"
    WORKER_LOST = "worker_lost"
    BUSY = "busy"
    REFUSED = "refused"
    CONFIG = "config"
    UNDELIVERABLE = "undeliverable"


class FollowUpKind(StrEnum):
    AGENT = "agent"
    """A prompt for an agent; its answer is posted."""
    MESSAGE = "message"
    """A plain reminder; its text is posted."""


IfMissed = Literal["run", "skip"]
IfBusy = Literal["queue", "skip"]

PENDING, RUNNING, SUCCESS = FollowUpState.PENDING, FollowUpState.RUNNING, FollowUpState.SUCCESS
FAILED, CANCELLED = FollowUpState.FAILED, FollowUpState.CANCELLED
TRANSITIONS: Final[frozenset[tuple[FollowUpState, FollowUpState]]] = frozenset(
    {
        (PENDING, RUNNING),
        (PENDING, SUCCESS),
        (PENDING, FAILED),
        (PENDING, CANCELLED),
        (RUNNING, PENDING),
        (RUNNING, SUCCESS),
        (RUNNING, FAILED),
        (RUNNING, CANCELLED),
        (FAILED, PENDING),
        (SUCCESS, FAILED),
    }
)
ENDED: Final = frozenset({SUCCESS, FAILED, CANCELLED})


class FollowUp(SQLModel):
    """A prompt or a reminder for one set time. Shown to people as `FU-<id>`."""

    id: int | None = None
    uuid: str = Field(max_length=36)
    platform: str = ""
    """Where it answers; empty for one that was set outside any chat."""
    workspace_id: str = ""
    channel_id: str = ""
    channel_name: str = ""
    """As it was when it was set."""
    thread_id: int | None = None
    """The thread it is anchored to; else the one it opened when it fired."""
    anchored: bool = False
    message_id: str | None = None
    """The message it was set on or with, where there is one."""
    kind: FollowUpKind = FollowUpKind.AGENT
    title: str = Field(max_length=TITLE_MAX)
    body: str
    agent: str | None = None
    """The agent that was asked for by name, None for the thread's or channel's own."""
    due_at: datetime
    zone: str = ""
    """The IANA name of the zone its time is shown in."""
    state: FollowUpState = FollowUpState.PENDING
    failure_reason: FollowUpReason | None = None
    error: str | None = None
    if_missed: str = "skip"
    if_busy: str = "queue"
    requester_platform: str = ""
    requester_workspace: str = ""
    requester_id: str
    requester_name: str = ""
    source: str = "chat"
    by_agent: bool = False
    origin_run_id: int | None = None
    """The run that it comes from: whose agent set it, or, for a `send`, the code task's run that it goes on with."""
    chain_depth: int = 0
    """0 when a person or a code task's agent set it; one more for each follow-up that set the next."""
    dedup_key: str | None = None
    """Unique: the message or event that set it. The same one sets nothing new."""
    dedup_hash: str | None = None
    attempt: int = 0
    """How often it was triggered: the last run is `FU-7#<attempt>`."""
    late_seconds: int | None = None
    """How late it was started, when that has to be said."""
    crashes: int = 0
    """Lost workers since it was last set to pending by a person."""
    created_at: datetime
    updated_at: datetime
    triggered_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def ref(self) -> str:
        """`FU-7`."""
        return f"FU-{self.id}"

    @property
    def is_send(self) -> bool:
        """Whether a person sent it to a code task, rather than set it for a time."""
        return self.origin_run_id is not None and not self.by_agent


def may_move(before: FollowUpState, after: FollowUpState) -> bool:
    """Whether the move is in the table; anything else is refused with nothing written."""
    return (before, after) in TRANSITIONS


def follow_up_title(body: str) -> str:
    """The first line of its text, at most 80 characters, cut at a word."""
    return title_of(body)


@dataclass(frozen=True, slots=True)
class Fire:
    """It does what it was set for. `late` is how late, None when on time."""

    late: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """The thread's agent works: it stays pending and fires when the thread is free."""


@dataclass(frozen=True, slots=True)
class Fail:
    reason: FollowUpReason


class Timed(Protocol):
    """What decides about a due follow-up: the follow-up itself, or what a query read of it."""

    @property
    def kind(self) -> FollowUpKind: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def if_missed(self) -> str: ...
    @property
    def if_busy(self) -> str: ...


def judge_due(follow_up: Timed, now: datetime, *, free_since: datetime | None, busy: bool) -> Fire | Wait | Fail:
    """What a due follow-up does now. `free_since` is when the thread's agent last ended: waiting for it is not
    lateness. `busy`: an agent works in the thread."""
    if busy and follow_up.kind is FollowUpKind.AGENT:
        return Wait() if follow_up.if_busy == "queue" else Fail(FollowUpReason.BUSY)
    waits = follow_up.kind is FollowUpKind.AGENT and follow_up.if_busy == "queue"
    ready = max(follow_up.due_at, free_since) if waits and free_since is not None else follow_up.due_at
    late = now - ready
    if late <= ON_TIME:
        return Fire()
    if late > TOO_LATE or follow_up.if_missed == "skip":
        return Fail(FollowUpReason.MISSED)
    return Fire(late)


def choose_agent(
    known: tuple[str, ...], session: str | None, asked: str | None, channel: str | None, default: str
) -> str | None:
    """The agent of a firing, by product rule 7.3: the thread's session agent, the one asked for, the channel's, the
    default; an unknown name falls through. None when no agent is known at all."""
    for name in (session, asked, channel, default):
        if name and name in known:
            return name
    return known[0] if known else None

"""The tables. Fields that belong to an entity are declared once, in `bot/core`; here they become tables.

Instants are aware UTC datetimes everywhere (SQLModel's own type: `timestamptz` on PostgreSQL, sortable text on SQLite;
a naive one is refused). Enums are stored as their text value under a CHECK: the decorator `stored` sees to it.
"""

from datetime import datetime
from enum import StrEnum
from typing import TypeVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from bot.core.followups import FollowUp
from bot.core.questions import Question
from bot.core.runs import Run, RunLogEntry
from bot.core.suggestions import Suggestion
from bot.core.tasks import CodeTask, Stage

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class TextEnum(sa.types.TypeDecorator[StrEnum]):
    """A StrEnum, stored as its text value."""

    impl = sa.String
    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: StrEnum | str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else self.enum(value).value

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> StrEnum | None:
        return None if value is None else self.enum(value)


Row = TypeVar("Row", bound=type[SQLModel])


def stored(row: Row) -> Row:
    """Stores the enums of a table as text under a CHECK."""
    table: sa.Table = row.__table__  # type: ignore[attr-defined]
    for column in table.columns:
        if isinstance(column.type, sa.Enum) and column.type.enum_class is not None:
            enum: type[StrEnum] = column.type.enum_class  # type: ignore[assignment]
            column.type = TextEnum(enum)
            values = ", ".join(f"'{member.value}'" for member in enum)
            table.append_constraint(sa.CheckConstraint(f"{column.name} IN ({values})", name=f"{column.name}_known"))
    return row


def _one_of(column: str, *values: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({', '.join(repr(v) for v in values)})", name=f"{column}_known")


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    return sa.Index(name, *columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


@stored
class InboundRow(SQLModel, table=True):
    """An event as it was accepted, before its ack. `state` new -> done (handled) or failed (gave up, logged)."""

    __tablename__ = "inbound"
    __table_args__ = (
        sa.UniqueConstraint("platform", "workspace_id", "natural_key"),
        _one_of("state", "new", "done", "failed"),
        _partial("ix_inbound_new", "available_at", "id", where="state = 'new'"),
        sa.Index("ix_inbound_channel", "platform", "workspace_id", "channel_id", "sent_at"),
    )
    id: int | None = Field(default=None, primary_key=True)
    platform: str
    workspace_id: str
    natural_key: str
    event_id: str = ""
    kind: str
    channel_id: str = ""
    payload: str
    state: str = "new"
    attempts: int = 0
    error: str | None = None
    sent_at: datetime
    received_at: datetime
    available_at: datetime
    handled_at: datetime | None = None


@stored
class ThreadRow(SQLModel, table=True):
    """A conversation thread. `thread_key` is the root's id, or `pending:...` until the first post made one."""

    __tablename__ = "thread"
    __table_args__ = (sa.UniqueConstraint("platform", "workspace_id", "channel_id", "thread_key"),)
    id: int | None = Field(default=None, primary_key=True)
    platform: str
    workspace_id: str
    channel_id: str
    thread_key: str
    native: str | None = None
    url: str | None = None
    next_seq: int = 1


@stored
class CodeTaskRow(CodeTask, table=True):
    __tablename__ = "code_task"
    __table_args__ = (
        sa.UniqueConstraint("uuid"),
        sa.UniqueConstraint("requester_platform", "requester_workspace", "requester_id", "name"),
        sa.Index("ux_code_task_dedup_key", "dedup_key", unique=True),
        sa.CheckConstraint("(stage = 'failed') = (failure_reason IS NOT NULL)", name="failed_has_reason"),
        _partial("ix_code_task_review", "repo", where="stage = 'review'"),
        sa.Index("ix_code_task_thread_id", "thread_id"),
        sa.Index("ix_code_task_stage", "stage", "id"),
        sa.Index("ix_code_task_requester", "requester_platform", "requester_workspace", "requester_id", "created_at"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True)
    thread_id: int | None = Field(default=None, foreign_key="thread.id")


OF_CODE_TASK, OF_FOLLOW_UP = "code_task_id IS NOT NULL", "follow_up_id IS NOT NULL"
UNFINISHED = "state IN ('queued', 'active', 'waiting')"


@stored
class RunRow(Run, table=True):
    __tablename__ = "run"
    __table_args__ = (
        sa.CheckConstraint("(state = 'active') = (lease_until IS NOT NULL)", name="lease_iff_active"),
        _partial("ix_run_ready", "kind", "priority", "available_at", "id", where="state = 'queued'"),
        _partial("ix_run_waiting", "available_at", where="state = 'queued'"),
        _partial("ix_run_lease", "lease_until", where="state = 'active'"),
        _partial("ux_run_slot", "repo_key", "slot", where="state = 'active'", unique=True),
        _partial("ux_run_session", "session_key", where="state = 'active'", unique=True),
        # Each run is of one of the two, and costs no entry in the indexes of the other.
        _partial("ux_run_open", "code_task_id", where=f"{OF_CODE_TASK} AND {UNFINISHED}", unique=True),
        _partial("ux_run_follow_up", "follow_up_id", where=f"{OF_FOLLOW_UP} AND {UNFINISHED}", unique=True),
        _partial("ux_run_attempt", "code_task_id", "attempt", where=OF_CODE_TASK, unique=True),
        _partial("ux_run_follow_up_attempt", "follow_up_id", "attempt", where=OF_FOLLOW_UP, unique=True),
        sa.CheckConstraint("(kind = 'code_task') = (code_task_id IS NOT NULL)", name="of_one_code_task"),
        sa.CheckConstraint("(kind = 'follow_up') = (follow_up_id IS NOT NULL)", name="of_one_follow_up"),
        _one_of("kind", "code_task", "follow_up"),
        sa.Index("ix_run_thread", "thread_id", "finished_at"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True)
    code_task_id: int | None = Field(default=None, foreign_key="code_task.id")
    follow_up_id: int | None = Field(default=None, foreign_key="follow_up.id")
    log_bytes: int = 0


@stored
class FollowUpRow(FollowUp, table=True):
    __tablename__ = "follow_up"
    __table_args__ = (
        sa.UniqueConstraint("uuid"),
        sa.Index("ux_follow_up_dedup_key", "dedup_key", unique=True),
        sa.CheckConstraint("(state = 'failed') = (failure_reason IS NOT NULL)", name="failed_has_reason"),
        _one_of("if_missed", "run", "skip"),
        _one_of("if_busy", "queue", "skip"),
        _partial("ix_follow_up_due", "due_at", "id", where="state = 'pending'"),
        sa.Index("ix_follow_up_thread_id", "thread_id"),
        sa.Index("ix_follow_up_requester", "requester_platform", "requester_workspace", "requester_id", "id"),
        _partial(
            "ix_follow_up_quota",
            "requester_platform",
            "requester_workspace",
            "requester_id",
            where="state = 'pending'",
        ),
        _partial("ix_follow_up_origin", "origin_run_id", where="origin_run_id IS NOT NULL"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True)
    thread_id: int | None = Field(default=None, foreign_key="thread.id")


@stored
class AgentSessionRow(SQLModel, table=True):
    """One agent's conversation in one thread, with the agent's packed state, so that any worker can go on with it."""

    __tablename__ = "agent_session"
    thread_id: int = Field(primary_key=True, foreign_key="thread.id")
    agent: str = Field(primary_key=True)
    ref: str
    repo: str = ""
    summary: str = ""
    archive: bytes | None = None
    last_used_at: datetime


@stored
class RunLogRow(RunLogEntry, table=True):
    __tablename__ = "run_log"
    run_id: int = Field(primary_key=True, foreign_key="run.id")
    seq: int = Field(primary_key=True)


@stored
class ApprovalRow(SQLModel, table=True):
    """A tested commit that waits for an admin's word, with the commit itself as a git bundle. One per run."""

    __tablename__ = "approval"
    __table_args__ = (_one_of("verdict", "open", "approved", "refused"),)
    run_id: int = Field(primary_key=True, foreign_key="run.id")
    base_sha: str
    tree_sha: str
    sha: str
    reasons: str
    facts: str
    bundle: bytes
    asked_at: datetime
    verdict: str = "open"
    decided_by: str | None = None
    decided_at: datetime | None = None


@stored
class QuestionRow(Question, table=True):
    __tablename__ = "question"
    __table_args__ = (
        _partial("ux_question_open", "run_id", where="answered_at IS NULL", unique=True),
        sa.Index("ix_question_run_id", "run_id", "id"),
        _partial("ix_question_thread_id", "thread_id", where="answered_at IS NULL"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", ondelete="CASCADE")
    thread_id: int = Field(foreign_key="thread.id")


@stored
class SuggestionRow(Suggestion, table=True):
    __tablename__ = "suggestion"
    __table_args__ = (
        sa.UniqueConstraint("platform", "workspace_id", "channel_id", "message_id"),
        _partial("ix_suggestion_due", "due_at", "id", where="state = 'waiting'"),
        _partial(
            "ux_suggestion_collecting",
            "platform",
            "workspace_id",
            "channel_id",
            "root",
            "author_id",
            where="state = 'waiting' AND NOT closed",
            unique=True,
        ),
        _partial("ix_suggestion_open", "updated_at", where="state = 'open'"),
        _partial("ix_suggestion_shown", "shown_at", where="shown_at IS NOT NULL"),
        sa.Index("ix_suggestion_channel", "platform", "workspace_id", "channel_id", "created_at"),
        sa.Index("ix_suggestion_state", "state", "id"),
        sa.Index("ix_suggestion_code_task_id", "code_task_id"),
        sa.CheckConstraint("(state IN ('filed', 'same')) <= (code_task_id IS NOT NULL)", name="filed_names_its_task"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True)
    thread_id: int | None = Field(default=None, foreign_key="thread.id")
    code_task_id: int | None = Field(default=None)


@stored
class SuggestionMemberRow(SQLModel, table=True):
    """One message of an item: each message belongs to one item only, whoever claims it. No text is kept."""

    __tablename__ = "suggestion_member"
    __table_args__ = (sa.Index("ix_suggestion_member_suggestion_id", "suggestion_id", "position"),)
    platform: str = Field(primary_key=True)
    workspace_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    message_id: str = Field(primary_key=True)
    suggestion_id: int = Field(foreign_key="suggestion.id", ondelete="CASCADE")
    position: int
    sent_at: datetime


@stored
class SubscriptionRow(SQLModel, table=True):
    """A thread that is told what becomes of a code task that was asked for elsewhere."""

    __tablename__ = "subscription"
    __table_args__ = (sa.Index("ix_subscription_thread_id", "thread_id"),)
    code_task_id: int = Field(primary_key=True, foreign_key="code_task.id", ondelete="CASCADE")
    thread_id: int = Field(primary_key=True, foreign_key="thread.id")
    platform: str
    workspace_id: str
    person_id: str
    suggestion_id: int | None = None
    from_task_id: int | None = None
    created_at: datetime


@stored
class AskerRow(SQLModel, table=True):
    """Someone besides the requester who asked for what a code task asks for."""

    __tablename__ = "asker"
    code_task_id: int = Field(primary_key=True, foreign_key="code_task.id", ondelete="CASCADE")
    platform: str = Field(primary_key=True)
    workspace_id: str = Field(primary_key=True)
    person_id: str = Field(primary_key=True)
    created_at: datetime


@stored
class TaskEventRow(SQLModel, table=True):
    """One move of a code task. Append-only: the causal chain is read from here."""

    __tablename__ = "task_event"
    __table_args__ = (sa.UniqueConstraint("code_task_id", "seq"),)
    id: int | None = Field(default=None, primary_key=True)
    code_task_id: int = Field(foreign_key="code_task.id")
    seq: int
    at: datetime
    actor: str
    from_stage: Stage | None = None
    to_stage: Stage
    reason: str = ""
    run_id: int | None = None
    fence: int | None = None


@stored
class CardRow(SQLModel, table=True):
    """The living message of a code task in its thread. `message_id` is None until it was posted."""

    __tablename__ = "card"
    key: str = Field(primary_key=True)
    thread_id: int = Field(foreign_key="thread.id")
    message_id: str | None = None
    edited_at: datetime | None = None


@stored
class OutboxRow(SQLModel, table=True):
    """A delivery: one outgoing chat effect. Ordered by `seq` in its thread; `fence` guards its result."""

    __tablename__ = "outbox"
    __table_args__ = (
        sa.UniqueConstraint("dedup_key"),
        sa.UniqueConstraint("thread_id", "seq"),
        _one_of("kind", "post", "edit", "react", "whisper"),
        _one_of("state", "pending", "sending", "sent", "dead", "superseded", "unknown"),
        sa.CheckConstraint("(state = 'sending') = (lease_until IS NOT NULL)", name="lease_iff_sending"),
        _partial("ux_outbox_sending", "thread_id", where="state = 'sending'", unique=True),
        _partial("ix_outbox_lane", "thread_id", "seq", where="state IN ('pending', 'sending', 'unknown')"),
        _partial("ix_outbox_ready", "available_at", "id", where="state IN ('pending', 'unknown')"),
        _partial("ix_outbox_lease", "lease_until", where="state = 'sending'"),
        _partial("ix_outbox_card_edit", "card_key", where="state = 'pending' AND kind = 'edit'"),
    )
    id: int | None = Field(default=None, primary_key=True)
    thread_id: int = Field(foreign_key="thread.id")
    seq: int
    dedup_key: str
    kind: str
    platform: str
    gate: str
    card_key: str | None = None
    target: str = "{}"
    body: str
    state: str = "pending"
    available_at: datetime
    attempt: int = 0
    fence: int = 0
    lease_until: datetime | None = None
    platform_message_id: str | None = None
    last_error: str | None = None
    created_at: datetime
    sent_at: datetime | None = None


@stored
class RateGateRow(SQLModel, table=True):
    """No delivery of this scope before `blocked_until`; written by whoever met the platform's limit, obeyed by all."""

    __tablename__ = "rate_gate"
    scope: str = Field(primary_key=True)
    blocked_until: datetime


@stored
class LeaseRow(SQLModel, table=True):
    """A named leadership (the Discord gateway). `fence` grows with every new owner."""

    __tablename__ = "lease"
    name: str = Field(primary_key=True)
    owner: str
    until: datetime
    fence: int = 1


@stored
class WorkerRow(SQLModel, table=True):
    """A worker as the status page shows it. Never used to decide ownership."""

    __tablename__ = "worker"
    id: str = Field(primary_key=True)
    host: str
    version: str
    sandbox: str = ""
    seen_at: datetime


@stored
class PersonRow(SQLModel, table=True):
    """Someone seen on a platform, with the roles the platform told of."""

    __tablename__ = "person"
    platform: str = Field(primary_key=True)
    workspace_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    name: str = ""
    kind: str = "human"
    roles: str = "[]"
    timezone: str | None = None
    locale: str | None = None
    last_repo: str | None = None
    seen_at: datetime


@stored
class PersonSettingRow(SQLModel, table=True):
    """What someone chose for themselves (`settings tz ...`), in every workspace of a platform; it goes before what the
    platform tells."""

    __tablename__ = "person_setting"
    platform: str = Field(primary_key=True)
    person_id: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    value: str


@stored
class PersonLinkRow(SQLModel, table=True):
    """An account that an admin said is the same person as the others with that `person` number."""

    __tablename__ = "person_link"
    __table_args__ = (sa.Index("ix_person_link_person", "person"),)
    platform: str = Field(primary_key=True)
    workspace_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    person: str
    linked_at: datetime


@stored
class ChannelSettingRow(SQLModel, table=True):
    __tablename__ = "channel_setting"
    platform: str = Field(primary_key=True)
    workspace_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    value: str


@stored
class ApiTokenRow(SQLModel, table=True):
    """A bearer token of the HTTP API: only its SHA-256 is kept."""

    __tablename__ = "api_token"
    __table_args__ = (sa.UniqueConstraint("sha256"),)
    id: int | None = Field(default=None, primary_key=True)
    name: str
    sha256: str
    scopes: str
    person_id: str
    role: str
    created_at: datetime
    revoked_at: datetime | None = None


@stored
class AuditRow(SQLModel, table=True):
    """One change, who made it and its verdict. Append-only; each row's hash covers the one before."""

    __tablename__ = "audit"
    __table_args__ = (sa.Index("ix_audit_subject", "subject", "id"), sa.Index("ix_audit_actor", "actor", "id"))
    id: int | None = Field(default=None, primary_key=True)
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str = "{}"
    hash: str


@stored
class ForgeDeliveryRow(SQLModel, table=True):
    """A webhook delivery id that was handled, so that a repeated one changes nothing."""

    __tablename__ = "forge_delivery"
    id: str = Field(primary_key=True)
    received_at: datetime


METADATA: sa.MetaData = SQLModel.metadata

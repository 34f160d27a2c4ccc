"""The JSON of the API. A field of the entity takes its type from there; keys are stable (product rule 8)."""

import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, cast

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from bot.core.inbound import Person
from bot.core.people import Role
from bot.core.runs import LogKind, Run, RunLease, RunState
from bot.core.tasks import CodeTask, Priority, Stage
from bot.settings import Settings
from bot.store import Move, Thread, Transaction


def picked(name: str, entity: type[BaseModel], *fields: str) -> type[BaseModel]:
    """A model with some of the entity's fields, their types and defaults."""
    chosen: dict[str, Any] = {field: (entity.model_fields[field].annotation, ...) for field in fields}
    return cast("type[BaseModel]", create_model(name, **chosen))


class RequesterOut(BaseModel):
    platform: str
    workspace_id: str
    id: str
    name: str


class RunOut(BaseModel):
    """The latest attempt. `state` is null while it waits in the queue."""

    id: str
    state: RunState | None
    message: str | None
    since: datetime | None


class PullRequestOut(BaseModel):
    url: str
    number: int
    draft: bool


class TestsOut(BaseModel):
    passed: bool
    exit_code: int | None
    duration_s: float | None
    summary: str | None
    tail: str | None


class CostOut(BaseModel):
    """Null is unknown, never zero."""

    usd: float | None
    tokens: int | None


class WorkspaceOut(BaseModel):
    id: str
    name: str
    host: str | None
    path: str
    kept_until: datetime | None


class ThreadOut(BaseModel):
    platform: str
    workspace_id: str
    channel_id: str
    thread_id: str | None
    url: str | None


class CodeTaskOut(
    picked(
        "CodeTaskFields",
        CodeTask,
        *("uuid", "name", "title", "description", "stage", "failure_reason", "error", "attempt", "max_attempts"),
        *("next_attempt_at", "repo", "base", "branch", "agent", "draft", "created_at", "updated_at", "finished_at"),
    )
):
    """A code task. `id` is `CT-42`; `position` is its place in the queue, 1 for the next; `askers` are the people
    besides its requester who asked for it, linked accounts once."""

    id: str
    priority: Priority
    requester: RequesterOut
    run: RunOut | None
    pr: PullRequestOut | None
    tests: TestsOut | None
    cost: CostOut
    workspace: WorkspaceOut | None
    thread: ThreadOut | None
    askers: list[RequesterOut] = Field(default_factory=list)
    position: int | None = None
    looks_like: str | None = None
    """In the answer to its filing: another code task that likely asks for the same."""


class CodeTaskList(BaseModel):
    items: list[CodeTaskOut]
    next: str | None = None


class LogEntryOut(BaseModel):
    """One entry of a run's log. `seq` counts from 1 within its run."""

    run: str
    seq: int
    time: datetime
    type: LogKind
    content: str


class LogList(BaseModel):
    items: list[LogEntryOut]
    next: str | None = None


class MoveOut(BaseModel):
    """One move in the history; `from` is null for the filing."""

    model_config = ConfigDict(populate_by_name=True)
    seq: int
    time: datetime
    actor: str
    from_stage: Stage | None = Field(serialization_alias="from")
    to_stage: Stage = Field(serialization_alias="to")
    reason: str


class MoveList(BaseModel):
    items: list[MoveOut]
    next: str | None = None


class ThreadIn(BaseModel):
    """Where the card goes: a channel, or an existing thread of it when `thread_id` is given."""

    model_config = ConfigDict(extra="forbid")
    platform: str = Field(max_length=40)
    workspace_id: str = Field("", max_length=100)
    channel_id: str = Field(min_length=1, max_length=100)
    thread_id: str | None = Field(None, min_length=1, max_length=100)


ThreadRoot = Annotated[str, Field(min_length=1, max_length=100)]


class CodeTaskIn(BaseModel):
    """A wish to file a code task. To get a card somewhere give `channel` (an id, or `workspace::id`), with `thread` the
    root of a thread in it; or the whole place as `thread`."""

    model_config = ConfigDict(extra="forbid")
    description: str = Field(max_length=100_000)
    name: str | None = None
    repo: str | None = None
    base: str | None = None
    agent: str | None = None
    priority: Literal["low", "normal", "high"] | None = None
    draft: bool = False
    channel: str | None = Field(None, min_length=1, max_length=200)
    thread: ThreadIn | ThreadRoot | None = None

    def digest(self) -> str:
        """What a repeat under the same key must agree with."""
        return hashlib.sha256(self.model_dump_json().encode("utf-8", "surrogatepass")).hexdigest()


class RetryIn(BaseModel):
    """`with` is added to what the agent is told; the description stays."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    with_: str | None = Field(None, alias="with", max_length=100_000)


class SendIn(BaseModel):
    """Words for the agent of a code task."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=100_000)


class SentOut(BaseModel):
    """Where the words went: the run whose agent gets them (`CT-42#1`, `FU-7#1`), and their place in line, from 1."""

    run: str
    position: int


class AgentOut(BaseModel):
    name: str
    default: bool


class AgentList(BaseModel):
    items: list[AgentOut]
    next: None = None


class MeOut(BaseModel):
    platform: str
    workspace_id: str
    id: str
    name: str
    role: Role | None
    scopes: list[str]
    roles: list[str]
    """The platform's own words and ids of groups and roles."""
    linked: list[str]
    """The same person's other accounts, each `platform:workspace:id`."""


class WorkerOut(BaseModel):
    id: str
    host: str
    version: str
    sandbox: str
    seen_at: datetime | None
    runs: int


class WorkerList(BaseModel):
    items: list[WorkerOut]
    next: None = None


class StatsOut(BaseModel):
    """Figures of the whole installation: code tasks by stage, open follow-ups and runs by state, unfinished deliveries,
    events to handle."""

    code_tasks: dict[str, int]
    follow_ups: dict[str, int]
    runs: dict[str, int]
    deliveries: dict[str, int]
    unhandled_events: int
    workers: int


class TokenIn(BaseModel):
    """`person` is `platform:workspace:id`; without one the token acts for itself with `role`."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")
    scopes: list[Literal["read", "write", "worker"]] = Field(min_length=1, max_length=3)
    role: Role = Role.FILER
    person: str | None = Field(None, pattern=r"^[a-z]{1,20}:[!-9;-~]{0,100}:[!-~]{1,100}$")


class TokenOut(BaseModel):
    id: int
    name: str
    scopes: list[str]
    person: str
    role: str
    created_at: AwareDatetime


class NewTokenOut(TokenOut):
    """`token` is shown this once; only its hash is kept."""

    token: str


class TokenList(BaseModel):
    items: list[TokenOut]
    next: None = None


# --- From rows --------------------------------------------------------------------------------------------------------


def show_task(tx: Transaction, task: CodeTask, settings: Settings) -> CodeTaskOut:
    """The code task as the API shows it now."""
    runs = tx.runs.of_task(task.id or 0)
    run = runs[-1] if runs else None
    thread = tx.threads.get(task.thread_id) if task.thread_id is not None else None
    fields = {name: getattr(task, name) for name in CodeTaskOut.model_fields if name in CodeTask.model_fields}
    return CodeTaskOut(
        **{
            **fields,
            "id": task.ref,
            "priority": next(level for level in Priority if level.rank == task.priority),
            "requester": RequesterOut(
                platform=task.requester_platform,
                workspace_id=task.requester_workspace,
                id=task.requester_id,
                name=task.requester_name,
            ),
            "run": _run(task, run),
            "pr": _pull_request(task),
            "tests": _tests(task),
            "cost": CostOut(usd=task.cost_usd, tokens=task.tokens),
            "workspace": _workspace(task, run, settings),
            "thread": show_thread(thread),
            "askers": [show_person(asker) for asker in tx.subscriptions.askers(task.id or 0)],
            "position": tx.tasks.queue_position(task.id or 0) if task.stage is Stage.QUEUED else None,
        }
    )


def show_person(person: Person) -> RequesterOut:
    return RequesterOut(platform=person.platform, workspace_id=person.workspace_id, id=person.id, name=person.name)


def run_ref(task: CodeTask, run: Run) -> str:
    """`CT-42#2`."""
    return f"{task.ref}#{run.attempt}"


def show_move(move: Move) -> MoveOut:
    return MoveOut(
        seq=move.seq,
        time=move.at,
        actor=move.actor,
        from_stage=move.from_stage,
        to_stage=move.to_stage,
        reason=move.reason,
    )


def _run(task: CodeTask, run: Run | None) -> RunOut | None:
    if run is None:
        return None
    since = run.finished_at or run.started_at or run.created_at
    return RunOut(id=run_ref(task, run), state=_run_state(run), message=run.message, since=since)


def _run_state(run: Run) -> RunState | None:
    match run.state:
        case RunLease.QUEUED:
            return None
        case RunLease.ACTIVE:
            return run.run_state or RunState.WORKING
        case RunLease.WAITING:
            return RunState.WAITING_FOR_INPUT
        case RunLease.DONE:
            return RunState.COMPLETE
        case RunLease.FAILED | RunLease.LOST | RunLease.CANCELLED:
            return RunState.FAILED


def _pull_request(task: CodeTask) -> PullRequestOut | None:
    if task.pr_number is None:
        return None
    return PullRequestOut(url=task.pr_url or "", number=task.pr_number, draft=task.pr_draft)


def _tests(task: CodeTask) -> TestsOut | None:
    if task.tests_passed is None:
        return None
    return TestsOut(
        passed=task.tests_passed,
        exit_code=task.test_exit_code,
        duration_s=task.test_seconds,
        summary=task.test_summary,
        tail=task.test_tail,
    )


def _workspace(task: CodeTask, run: Run | None, settings: Settings) -> WorkspaceOut | None:
    """Where the latest run worked. A failed one is kept for a while; after success nothing is left."""
    if run is None or not run.workspace:
        return None
    kept_until = None
    if task.stage is Stage.FAILED and task.finished_at is not None:
        kept_until = task.finished_at + timedelta(hours=settings.keep_failed_hours)
    path = str(settings.workspaces / run.workspace)
    return WorkspaceOut(id=run.workspace, name=run.workspace, host=run.host, path=path, kept_until=kept_until)


def show_thread(thread: Thread | None) -> ThreadOut | None:
    """Where it is, None for None."""
    if thread is None:
        return None
    ref = thread.ref
    return ThreadOut(
        platform=ref.platform,
        workspace_id=ref.workspace_id,
        channel_id=ref.channel_id,
        thread_id=ref.root,
        url=thread.url or None,
    )

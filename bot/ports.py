"""What the core needs from outside, as Protocols and the plain values they exchange.

Services and the worker know only these. Implementations: `platforms/*/adapter.py` (Platform),
`bot/worker/agents|forges|sandbox/` (Agent, Forge, Sandbox), `bot/app.py` wires them. Refusals are values, not
exceptions; exceptions mean broken infrastructure or a bug.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from bot.core.cards import Content, Doc
from bot.core.inbound import Command, Event, Message, MessageRef, Person, ReplyToken, ThreadRef


class Clock(Protocol):
    """The only source of the present. Tests hand in one they move by hand."""

    def now(self) -> datetime:
        """The present as an aware UTC instant."""
        ...


# --- Chat platforms ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is on a platform, and what it was granted."""

    platform: str
    app_id: str
    workspace_id: str
    bot_user_id: str
    name: str
    granted: frozenset[str] = frozenset()
    degraded: str = ""
    """What it does without, and how to change that; empty when nothing is missing."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `after`. `maybe_done`: the call may have taken effect; read back before repeating a post."""

    after: timedelta
    maybe_done: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """The target no longer exists. `what` is `message`, `thread` or `channel`; `why` is the platform's code."""

    what: Literal["message", "thread", "channel"]
    why: str = ""


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """The bot lacks a right. `fix` tells a person what to do; `why` is the platform's code."""

    fix: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class AuthFailed:
    """The credentials are refused. `fix` tells a person what to do."""

    fix: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Unsendable:
    """The platform refused the content itself: a bug of ours. The delivery is parked, a plain text goes out."""

    why: str


@dataclass(frozen=True, slots=True)
class Fatal:
    """The adapter cannot go on; the process should end non-zero. `why` is for the log, `fix` for a person."""

    why: str
    fix: str = ""


Trouble = Retry | Gone | NotAllowed | AuthFailed | Unsendable


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an accepted event. `ref` is the inbox row's short reference."""

    status: Literal["new", "duplicate"]
    ref: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One autocompletion entry."""

    label: str
    value: str


class Inbox(Protocol):
    """Where adapters put what they read. An adapter never touches storage."""

    async def accept(self, event: Event) -> Receipt:
        """Stores the event durably before returning (budget 2 s). Raises `InboxDown` when it could not be stored."""
        ...

    async def choices(self, name: str, text: str, person: Person, place: ThreadRef | None = None) -> list[Choice]:
        """At most 25 completions for an option, empty when slow. `place` is the channel it is typed in, where the
        platform tells."""
        ...

    async def hold(self, name: str, owner: str, ttl: timedelta) -> bool:
        """Takes or renews the lease `name` for `ttl` by the database's clock; False while another owner has it.

        Raises `InboxDown` when nobody can tell."""
        ...

    async def release(self, name: str, owner: str) -> None:
        """Gives a lease back, so that another process may take it at once; without effect for any other owner."""
        ...


class InboxDown(Exception):
    """The event could not be stored. Do not ack it: the platform redelivers; tell the person where it never does."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"the inbox could not store an event (ref {ref})")
        self.ref = ref


@dataclass(frozen=True, slots=True)
class Health:
    """How an adapter is doing."""

    state: Literal["starting", "ready", "standby", "reconnecting", "deaf", "failed"]
    last_inbound_at: datetime | None = None
    last_error: str = ""
    reconnects: int = 0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a platform can do. The core branches on these, never on platform names."""

    slash: bool
    slash_in_thread: bool
    forms: bool
    whisper: bool
    activity: bool
    sees_all_messages: bool
    max_text: int
    max_buttons: int
    edit_window: timedelta | None
    idempotent_post: bool
    exclusive_ingress: bool
    """Every process gets every event, so only the holder of a lease listens."""
    every_language: bool
    """One message can hold every language; each viewer sees their own."""
    post_interval: timedelta
    """The least time between two posts in one channel."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The answer to a webhook request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Posted:
    """One message read back from a platform's history."""

    message: Message
    own: bool
    delivery_key: str | None = None
    """The delivery key stored with an own message, where the platform keeps one (Slack: message metadata)."""
    event: Message | Command | None = None
    """What the live transport would have delivered, for `Inbox.accept`; None for what it ignores (own messages)."""


class Platform(Protocol):
    """One chat platform. `key` arguments make a call repeatable: 24 characters of `[a-z2-7]`."""

    name: str
    capabilities: Capabilities

    async def preflight(self) -> Identity | AuthFailed | NotAllowed:
        """Checks token, scopes and transport within 10 s."""
        ...

    async def run(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        """Connects and supervises until `stop` is set (then ends within 5 s) or it cannot go on."""
        ...

    def health(self) -> Health: ...

    async def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Handles one webhook request (HTTP transports)."""
        ...

    async def post(self, to: ThreadRef, content: Content, key: str) -> MessageRef | Trouble:
        """Posts into a thread, or into the channel when `to.root` is None: then the message becomes the root.

        Where threads have to be opened first, this opens the one of `to.root`, named by the content; the answer's
        thread then has its `native` id."""
        ...

    async def edit(self, message: MessageRef, content: Content, key: str) -> MessageRef | Trouble:
        """Shows the full new state of a message."""
        ...

    async def react(self, message: MessageRef, mark: str, on: bool, key: str) -> MessageRef | Trouble:
        """Adds or removes a mark (`seen`, `done`, `idea`); "already so" is success."""
        ...

    async def whisper(
        self, person: Person, to: ThreadRef, doc: Doc, reply_token: ReplyToken | None, key: str
    ) -> MessageRef | Trouble:
        """Shows something to one person only."""
        ...

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> Sequence[Posted] | Trouble:
        """Messages of a thread, or of a channel when `scope.root` is None, oldest first."""
        ...

    async def channels(self) -> Sequence[ThreadRef] | Trouble:
        """The channels the bot is in, for reading back what it missed there."""
        ...

    async def permalink(self, message: MessageRef) -> str | None: ...

    async def resolve(self, person: Person) -> Person | Retry:
        """The person with name, roles (`owner`, `admin`, `member`), kind, zone and locale filled in from the platform.

        Cached; never called before an event is acked. Returns the person as given where the platform never can tell,
        and `Retry` when it cannot tell now and never told: then nothing is known about the person's roles."""
        ...

    async def aclose(self) -> None:
        """Closes the HTTP sessions used for sending."""
        ...


# --- Sandbox ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bind:
    """A host folder, file or socket shown inside the sandbox."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one sandboxed process tree. `wall` is enforced by the caller of `wait`."""

    wall: timedelta = timedelta(minutes=10)
    processes: int = 256
    file_bytes: int = 256 * 1024 * 1024
    open_files: int = 4096


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What one sandboxed process may see. `env` is complete: nothing is inherited. `workdir` is a path inside."""

    run: str
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    binds: Sequence[Bind] = ()
    workdir: str = "/ws"
    limits: Limits = field(default_factory=Limits)


class SandboxProcess(Protocol):
    """A process inside a sandbox. When it ends or is killed, everything it started is dead too."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int:
        """The exit code. Does not wait for the pipes to end."""
        ...

    def interrupt(self) -> None:
        """SIGINT to the command inside."""
        ...

    def terminate(self) -> None:
        """SIGTERM to the command inside."""
        ...

    async def kill(self) -> None:
        """SIGKILL to the whole tree; returns when nothing is left."""
        ...


@dataclass(frozen=True, slots=True)
class SandboxRefused:
    """The sandbox may not be used here. `say` tells the operator what happened and what to install or set."""

    reason: str
    say: str


class Sandbox(Protocol):
    """One way to fence a process in. `inside(path)` says where a bound host path appears."""

    name: str
    isolates: bool

    async def self_test(self) -> SandboxRefused | None:
        """Starts a real sandbox and checks every promise from within. None when all hold."""
        ...

    async def start(self, argv: Sequence[str], spec: SandboxSpec) -> SandboxProcess: ...

    def inside(self, spec: SandboxSpec, host_path: Path) -> str:
        """The path at which a bound host path is seen by the process."""
        ...


# --- Agents -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """What `doctor` shows of an agent. `problem` is empty when it can be used; else it says what to do."""

    name: str
    found: bool
    version: str = ""
    protocol: str = ""
    capabilities: frozenset[str] = frozenset()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AgentLimits:
    start: timedelta = timedelta(seconds=60)
    idle: timedelta = timedelta(minutes=5)
    wall: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """How an agent reaches a model: the gateway's address as seen inside the sandbox, and the run's dummy key.

    `base_url` has no path (agents add `/v1`). `socket` is the inside path of the gateway's unix socket where the
    sandbox has no way to the host's loopback: the agent's transport then forwards `base_url` to it; else empty."""

    base_url: str
    key: str = field(repr=False)
    model: str
    provider: str = "openai"
    socket: str = ""


@dataclass(frozen=True, slots=True)
class CallbackEndpoint:
    """Where an agent reaches the tools that act for its run, as seen inside the sandbox, and the run's token.

    `base_url` has no path (MCP is at `/mcp`, the same as JSON under `/api/v1/run`). `socket` is the path of the same
    server's unix socket; `bridged`: the sandbox has no way to the host's loopback, so the agent's transport forwards
    `base_url` to that socket."""

    base_url: str
    token: str = field(repr=False)
    socket: str = ""
    bridged: bool = False


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything an agent run needs. `sandbox_spec` is the fence (binds, env) that the worker built for this run;

    the agent adds only its own env rows to it. `session_ref` resumes an earlier conversation of that agent;
    `fresh_prompt` is said instead of `prompt` where that cannot be done (empty: the same is said)."""

    run: str
    prompt: str
    sandbox: Sandbox
    sandbox_spec: SandboxSpec
    cwd: str
    limits: AgentLimits = field(default_factory=AgentLimits)
    model: ModelEndpoint | None = None
    session_ref: str | None = None
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    trouble: Callable[[], str] | None = None
    """Why the model endpoint refused this run (`budget`, `auth`, `quota`, `unreachable`), or ""; the gateway knows."""
    fresh_prompt: str = ""
    callback: CallbackEndpoint | None = None
    paused: Callable[[], float] | None = None
    """For how many seconds people were waited for so far: neither the wall nor the idle limit counts them."""

    def words(self, *, resumed: bool) -> str:
        """What the agent is told, now that it is known whether the asked conversation goes on."""
        return self.fresh_prompt if self.session_ref is not None and not resumed and self.fresh_prompt else self.prompt


@dataclass(frozen=True, slots=True)
class Started:
    """The agent is ready. `resumed`: the conversation that was asked for goes on."""

    session_ref: str | None
    agent: str
    version: str = ""
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    id: str
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    id: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """What the agent itself reports; never the source of truth for cost (the gateway is)."""

    tokens: int | None
    usd: float | None
    scope: Literal["step", "turn", "session"]


@dataclass(frozen=True, slots=True)
class Output:
    """A raw line of an agent that has no protocol."""

    text: str


AgentEvent = Started | Text | ToolStarted | ToolFinished | Usage | Output


@dataclass(frozen=True, slots=True)
class AgentResult:
    """How an agent's run ended. Says nothing about success: the worker compares trees.

    `cause` details a stop that is not `completed`: auth, unreachable, quota, budget, config, crashed, limit (a resource
    limit, named in `text`), protocol, idle. `session_ref` is None when no conversation was opened; `resumed` says
    whether it is the one that was asked for."""

    stop: Literal["completed", "refused", "cancelled", "timed_out", "idle", "failed"]
    cause: str = ""
    text: str = ""
    session_ref: str | None = None
    exit_code: int | None = None
    reported_usd: float | None = None
    stderr_tail: str = ""
    resumed: bool = False


class AgentRun(Protocol):
    """One running agent."""

    events: AsyncIterator[AgentEvent]

    async def cancel(self) -> None:
        """Ends the agent by the ladder: protocol cancel, close, SIGINT, SIGTERM, SIGKILL; nothing of it is left."""
        ...

    async def result(self) -> AgentResult:
        """Waits for the end; every process of the agent is gone when it returns."""
        ...


class Agent(Protocol):
    name: str
    state_target: str
    """Where the worker binds, writable, the one folder kept per agent session; "" when the agent keeps none."""
    state_kept: Sequence[str]
    """Which paths of that folder are kept (patterns of `bot/worker/sessions.py`); the rest is gone after the run."""
    built_in: bool
    """A program of this product, scripted: it may run without a sandbox."""
    remark: str
    """What a pull request of this agent must say; usually empty."""

    def tool_folders(self) -> list[Path]:
        """Folders the agent reads at their own path. `start` binds them itself; `doctor` shows them."""
        ...

    async def check(self, sandbox: Sandbox) -> AgentInfo:
        """Whether the program is there and speaks the protocol, for `doctor`."""
        ...

    async def start(self, spec: RunSpec) -> AgentRun: ...


# --- Forges -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Repo:
    """A configured repository. People choose `alias`; only the configuration knows the URL."""

    alias: str
    url: str
    base: str = "main"
    forge: str = "none"
    """A name of `bot.worker.forges.FORGES`; `none` pushes branches without pull requests."""
    owner: str = ""
    name: str = ""
    setup_command: str = ""
    test_command: str = "auto"
    on_test_failure: Literal["draft_pr", "pr", "fail"] = "draft_pr"


@dataclass(frozen=True, slots=True)
class GitAccess:
    """A credential for one git call: the value of an HTTP Authorization header, or an SSH key file. Minted now."""

    authorization: str = field(default="", repr=False)
    ssh_key: Path | None = None


@dataclass(frozen=True, slots=True)
class PullRequestDraft:
    """A pull request to open: `head` and `base` are branch names."""

    head: str
    base: str
    title: str
    body: str
    draft: bool = False


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as the forge sees it."""

    number: int
    url: str
    state: Literal["open", "merged", "closed"]
    head: str
    draft: bool = False
    merged_by: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class ForgeRetry:
    """A passing fault: wait `after`, then ask again. `maybe_done`: look for the pull request first."""

    after: timedelta
    why: str
    maybe_done: bool = False


@dataclass(frozen=True, slots=True)
class ForgeRefused:
    """The forge said no for good. `config` is true for 401 and 403: a setting is wrong. `say` is fit for a person."""

    say: str
    config: bool = False


@dataclass(frozen=True, slots=True)
class NotModified:
    """The pull request has not changed since the given ETag."""


ForgeTrouble = ForgeRetry | ForgeRefused


@runtime_checkable
class Forge(Protocol):
    """Where branches are pushed to and pull requests live. `on_this_machine`: what is pushed leaves it not."""

    name: str
    on_this_machine: bool

    async def read_access(self, repo: Repo) -> GitAccess | ForgeTrouble: ...

    async def push_access(self, repo: Repo) -> GitAccess | ForgeTrouble:
        """A credential for one repository, minted right before the push."""
        ...

    async def open_pull_request(self, repo: Repo, draft: PullRequestDraft) -> PullRequest | ForgeTrouble:
        """Opens a pull request, or adopts and updates the open one of the same head."""
        ...

    async def find_pull_request(self, repo: Repo, head: str) -> PullRequest | ForgeTrouble | None: ...

    async def pull_request(
        self, repo: Repo, number: int, etag: str = ""
    ) -> PullRequest | NotModified | ForgeTrouble: ...

    async def close_pull_request(self, repo: Repo, number: int) -> PullRequest | ForgeTrouble: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class MergingForge(Forge, Protocol):
    """A forge whose pull requests are merged through the product itself."""

    async def merge(self, repo: Repo, number: int, by: str) -> PullRequest | ForgeTrouble: ...

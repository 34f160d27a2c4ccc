"""Coding agents: how a run is started, what it tells, how it ends. Implementations: `bot/worker/agents/`."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, Protocol

from bot.ports.sandboxes import Sandbox, SandboxSpec


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

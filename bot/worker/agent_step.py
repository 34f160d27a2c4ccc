"""The agent's part of a run: setup command, model gateway, earlier conversation, the agent itself, log and progress."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol, assert_never, runtime_checkable

from bot.core.hygiene import clean
from bot.core.tasks import CodeTask, FailureReason
from bot.failpoints import failpoint
from bot.ports import (
    Agent,
    AgentEvent,
    AgentLimits,
    AgentResult,
    AgentRun,
    Bind,
    Output,
    RunSpec,
    Sandbox,
    SandboxSpec,
    Started,
    Text,
    ToolFinished,
    ToolStarted,
    Usage,
)
from bot.services.attempts import Cost, Failure
from bot.services.run_seats import RunHold
from bot.settings import Settings
from bot.store import AgentSession
from bot.worker.agents.causes import read_limit
from bot.worker.agents.rows import python_program
from bot.worker.callbacks import CallbackRun, Callbacks
from bot.worker.commands import run_command
from bot.worker.disk import OverDiskError, disk_limits, within_disk
from bot.worker.gateway import SOCKET_FOLDER, Gateway, GatewayRun
from bot.worker.lease import Held
from bot.worker.prompt import PromptParts, ThreadLine
from bot.worker.run_log import RunLog
from bot.worker.sessions import NotKept, empty_folder, pack, unpack
from bot.worker.socket_folders import socket_folder
from bot.worker.workspace import Workspace

BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL_FOLDER = Path(__file__).resolve().parent / "shell"
"""Holds the command `codetask` that agents have in their shell."""
SHELL_TARGET = "/opt/codetask/bin"
GATEWAY_CAUSES = frozenset({"budget", "auth", "quota", "unreachable"})
UNREADY_CAUSES = frozenset({"crashed", "protocol", "unreachable"})
"""How an agent ends that cannot read the state of its earlier conversation."""


class Progress(Protocol):
    """Shows one line of what the agent does on the card."""

    async def __call__(self, line: str) -> None: ...


@runtime_checkable
class _NeedsTools(Protocol):
    def tool_folders(self) -> list[Path]: ...


@dataclass(frozen=True, slots=True)
class AgentJob:
    """What an agent is asked to do. `subject` is what it works for (`CT-42`), `run` which run of it (`CT-42#2`).

    `session` is an earlier conversation to go on with; `fresh_prompt` is said instead of `prompt` where that cannot be
    done. `wall` is the agent's time limit."""

    subject: str
    run: str
    prompt: str
    wall: timedelta
    setup_command: str = ""
    session: AgentSession | None = None
    fresh_prompt: str = ""

    @property
    def limits(self) -> AgentLimits:
        return AgentLimits(wall=self.wall)


@dataclass(frozen=True, slots=True)
class AgentOutcome:
    """What the agent said at its end and, when it has no result, why.

    `session_ref` is its conversation, None when it has none; `archive` is that conversation's packed state, None when
    the agent keeps none or it is too large to keep; `resumed` says whether the conversation is the one asked for."""

    failure: Failure | None = None
    text: str = ""
    session_ref: str | None = None
    archive: bytes | None = None
    resumed: bool = False


@dataclass(slots=True)
class _Doors:
    """A run's ways out, as far as there are any, and the folder with their sockets."""

    binds: list[Bind] = field(default_factory=list[Bind])
    meter: GatewayRun | None = None
    callback: CallbackRun | None = None


@dataclass(frozen=True, slots=True)
class AgentStep:
    """Runs one agent in a workspace: for a code task or for a follow-up, which differ in their `AgentJob`."""

    settings: Settings
    sandbox: Sandbox
    agent: Agent
    gateway: Gateway | None
    log: RunLog
    held: Held
    progress: Progress
    spent: Callable[[Cost], None]
    """Told the cost once the agent is over, however it ended."""
    callbacks: Callbacks | None = None

    async def run(self, job: AgentJob, workspace: Workspace) -> AgentOutcome:
        """Setup, then the agent. The outcome holds a `Failure` when there is no result."""
        async with AsyncExitStack() as stack:
            doors = await self._open_doors(stack, job)
            meter = doors.meter
            stack.callback(lambda: self.spent(cost_of(meter)))
            env = command_env(job.run, self.settings.sandbox_tools)
            spec = workspace.agent_spec(job.run, env, [*tool_binds(self.settings), *doors.binds])
            failed = await self._setup(job, spec)
            if failed is not None:
                return AgentOutcome(failed)
            told = RunSpec(
                run=job.run,
                prompt=job.prompt,
                sandbox=self.sandbox,
                sandbox_spec=self._agent_spec(spec, doors, workspace),
                cwd="/ws",
                limits=job.limits,
                model=meter.endpoint if meter is not None else None,
                trouble=meter.trouble if meter is not None else None,
                fresh_prompt=job.fresh_prompt,
                callback=doors.callback.endpoint if doors.callback is not None else None,
                paused=doors.callback.paused if doors.callback is not None else None,
            )
            try:
                result = await self._talk(told, job.session, workspace)
            except OverDiskError as over:
                return AgentOutcome(Failure(FailureReason.AGENT_FAILED, f"Coding agent failed: {over}", retry=False))
            return await self._outcome(job, workspace, result, meter)

    async def _talk(self, told: RunSpec, session: AgentSession | None, workspace: Workspace) -> AgentResult:
        """One run of the agent; a second, without the earlier conversation, where that one keeps it from starting."""
        afresh = replace(told, prompt=told.fresh_prompt or told.prompt)
        if session is None:
            return await self._start(told, workspace)
        if not await self._unpack(session, workspace):
            return await self._start(afresh, workspace)
        result = await self._start(replace(told, session_ref=session.ref), workspace)
        if result.stop != "failed" or result.session_ref is not None or result.cause not in UNREADY_CAUSES:
            return result
        self.log.event("the agent does not start with its earlier conversation; it begins a new one")
        await asyncio.to_thread(empty_folder, workspace.state)
        return await self._start(afresh, workspace)

    async def _unpack(self, session: AgentSession, workspace: Workspace) -> bool:
        """Puts the agent's state back where it looks for it; False when there is none that can be used."""
        if not self.agent.state_target or session.archive is None:
            return False
        problem = await asyncio.to_thread(unpack, session.archive, workspace.state)
        if problem is not None:
            self.log.event(f"the earlier conversation cannot be used: {problem.why}")
        return problem is None

    async def _outcome(
        self, job: AgentJob, workspace: Workspace, result: AgentResult, meter: GatewayRun | None
    ) -> AgentOutcome:
        archive = await self._pack(workspace) if result.session_ref is not None else None
        ref = result.session_ref if self.agent.state_target or not self.agent.built_in else None
        return AgentOutcome(self._judge(job, result, meter), result.text, ref, archive, result.resumed)

    async def _pack(self, workspace: Workspace) -> bytes | None:
        if not self.agent.state_target:
            return None
        packed = await asyncio.to_thread(pack, workspace.state, self.agent.state_kept)
        if isinstance(packed, NotKept):
            self.log.event(f"the agent's conversation is not kept: {packed.why}")
            return None
        return packed

    def _state_bind(self, workspace: Workspace) -> list[Bind]:
        return [Bind(workspace.state, self.agent.state_target, writable=True)] if self.agent.state_target else []

    async def _start(self, told: RunSpec, workspace: Workspace) -> AgentResult:
        self.log.event(f"agent {self.agent.name} starts")
        run = await self.agent.start(told)
        failpoint("agent.spawned")
        result = await self._follow(run, workspace.path)
        failpoint("agent.exited")
        self._log_result(result)
        return result

    async def _open_doors(self, stack: AsyncExitStack, job: AgentJob) -> _Doors:
        """The run's own ways out: to the model, and to the tools that act for it."""
        if self.gateway is None and self.callbacks is None:
            return _Doors()
        folder = stack.enter_context(socket_folder())
        loopback = not self.sandbox.isolates
        doors = _Doors([] if loopback else [Bind(folder, SOCKET_FOLDER)])
        if self.gateway is not None:
            budget = self.settings.budget_task_usd
            doors.meter = await self.gateway.open_run(job.subject, budget, folder, loopback=loopback)
            stack.push_async_callback(doors.meter.close)
            self.log.redactor.learn(doors.meter.endpoint.key)
        if self.callbacks is not None:
            hold = RunHold(self.held.lease.run_id, self.held.lease.fence)
            doors.callback = await self.callbacks.open_run(hold, folder, loopback=loopback)
            stack.push_async_callback(doors.callback.close)
        return doors

    def _agent_spec(self, spec: SandboxSpec, doors: _Doors, workspace: Workspace) -> SandboxSpec:
        """What only the agent has, and no setup command: its earlier state, and the tools that act for its run."""
        binds, env = [*spec.binds, *self._state_bind(workspace)], dict(spec.env)
        if doors.callback is not None:
            shell = Bind(SHELL_FOLDER, SHELL_TARGET)
            binds.append(shell)
            seen = self.sandbox.inside(replace(spec, binds=binds), shell.source)
            env |= {**doors.callback.env, "PATH": f"{seen}:{env['PATH']}", "CODETASK_PYTHON": python_program()}
        return replace(spec, binds=binds, env=env)

    async def _setup(self, job: AgentJob, spec: SandboxSpec) -> Failure | None:
        if not job.setup_command:
            return None
        self.log.event(f"setup: {job.setup_command}")
        wall = timedelta(minutes=self.settings.setup_minutes)
        ended = await self.held.guard(run_command(self.sandbox, job.setup_command, spec, wall, self.log.write))
        if ended.over:
            return Failure(FailureReason.CONFIG, f"The setup command went over its {ended.over} limit.")
        if ended.code:
            return Failure(FailureReason.CONFIG, f"The setup command failed (exit {ended.code}).")
        return None

    async def _follow(self, run: AgentRun, folder: Path) -> AgentResult:
        """Logs what the agent does until it ends. A lost lease or a full disk ends the agent by its ladder first."""
        limits = disk_limits(self.settings)
        try:
            return await self.held.guard(within_disk(self._listen(run), folder, limits))
        except BaseException:
            await run.cancel()
            await run.result()
            raise

    async def _listen(self, run: AgentRun) -> AgentResult:
        said = False
        async for event in run.events:
            if not said:
                failpoint("agent.mid")
                said = True
            await self._show(event)
        return await run.result()

    async def _show(self, event: AgentEvent) -> None:
        match event:
            case Started(_, agent, version):
                self.log.event(f"{agent} {version} is connected".replace("  ", " "))
            case Text(text):
                self.log.write_all(text)
            case Output(text):
                self.log.write(text)
            case ToolStarted(_, kind, title):
                line = " ".join(clean(title or kind).split())[:200]
                self.log.event(f"{kind}: {line}")
                await self.progress(line)
            case ToolFinished(id, ok):
                if not ok:
                    self.log.event(f"step {id} failed")
            case Usage():
                pass
            case _:
                assert_never(event)

    def _log_result(self, result: AgentResult) -> None:
        code = "" if result.exit_code is None else f", exit {result.exit_code}"
        self.log.event(f"agent ended: {result.stop}{f' ({result.cause})' if result.cause else ''}{code}")
        if result.stop != "completed" and result.stderr_tail:
            self.log.write(result.stderr_tail)

    def _judge(self, job: AgentJob, result: AgentResult, meter: GatewayRun | None) -> Failure | None:
        """Why there is no result, or None. A completed agent says nothing of success: trees are compared later."""
        trouble = meter.trouble() if meter is not None else ""
        cause = trouble if trouble in GATEWAY_CAUSES and result.stop != "completed" else result.cause
        if cause == "budget" or trouble == "budget":
            return Failure(FailureReason.BUDGET, f"Budget of ${self.settings.budget_task_usd or 0:g} reached")
        if result.stop == "completed":
            return None
        if cause in ("auth", "config"):
            why = "The model endpoint refuses the key" if cause == "auth" else f"The agent {self.agent.name} cannot run"
            detail = f": {result.text}" if result.text and cause == "config" else "."
            return Failure(FailureReason.CONFIG, f"{why}{detail}")
        if result.stop in ("timed_out", "idle"):
            limits = job.limits
            limit = limits.wall if result.stop == "timed_out" else limits.idle
            silent = "" if result.stop == "timed_out" else ": no sign of life"
            minutes = limit / timedelta(minutes=1)
            return Failure(FailureReason.TIMED_OUT, f"Coding agent timed out after {minutes:g} min{silent}")
        code = "" if result.exit_code is None else f" (exit {result.exit_code})"
        detail = f": {result.text.strip()}" if result.text.strip() else ""
        limit = read_limit(result.stderr_tail)
        if limit:
            why = f"Coding agent failed{code}: it reached the limit of {limit}"
            return Failure(FailureReason.AGENT_FAILED, why, retry=False)
        retry = False if cause == "limit" else None
        return Failure(FailureReason.AGENT_FAILED, f"Coding agent failed{code}{detail}", retry)


def cost_of(meter: GatewayRun | None) -> Cost:
    """What the gateway counted; unknown without one."""
    if meter is None:
        return Cost()
    usage = meter.usage()
    if usage.requests == 0:
        return Cost()
    return Cost(None if usage.usd is None else float(usage.usd), usage.tokens.total)


def command_env(run_ref: str, tools: tuple[str, ...]) -> dict[str, str]:
    """The environment of agent, setup and tests, built from nothing; the sandbox adds its own HOME."""
    path = ":".join([*(f"{tool}/bin" for tool in tools), BASE_PATH])
    return {"PATH": path, "LANG": "C.UTF-8", "CODETASK_RUN": run_ref}


def tool_binds(settings: Settings) -> list[Bind]:
    """The configured tool folders, read-only at their own path."""
    return [Bind(Path(tool), tool) for tool in settings.sandbox_tools]


def read_context(stored: str) -> list[ThreadLine]:
    """The earlier messages stored with a code task; none when they cannot be read."""
    try:
        return [ThreadLine(str(who), str(text)) for who, text in json.loads(stored or "[]")]
    except (ValueError, TypeError):
        return []


def prompt_parts(task: CodeTask, failure: str, tools: Sequence[str] = ()) -> PromptParts:
    """What the agent is told of a code task; `tools` are those that act for its run."""
    thread = read_context(task.context)
    return PromptParts(
        task=task.ref,
        title=task.title,
        description=task.description,
        repo=task.repo,
        base=task.base,
        thread=thread,
        retry=task.instruction or "",
        failure=failure,
        tools=tools,
    )

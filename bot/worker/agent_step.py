"""The agent's part of a run: setup command, prompt, model gateway, the agent itself, its log and progress."""

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
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
    ModelEndpoint,
    Output,
    Repo,
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
from bot.settings import Settings
from bot.worker.agents.causes import read_limit
from bot.worker.commands import run_command
from bot.worker.disk import OverDiskError, disk_limits, within_disk
from bot.worker.gateway import Gateway, GatewayRun
from bot.worker.lease import Held
from bot.worker.prompt import PromptParts, ThreadLine, build_prompt
from bot.worker.run_log import RunLog
from bot.worker.socket_folders import socket_folder
from bot.worker.workspace import Workspace

BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
GATEWAY_CAUSES = frozenset({"budget", "auth", "quota", "unreachable"})


class Progress(Protocol):
    """Shows one line of what the agent does on the card."""

    async def __call__(self, line: str) -> None: ...


@runtime_checkable
class _NeedsTools(Protocol):
    def tool_folders(self) -> list[Path]: ...


@dataclass(frozen=True, slots=True)
class AgentStep:
    """Runs the agent of one code task in its workspace."""

    settings: Settings
    sandbox: Sandbox
    agent: Agent
    gateway: Gateway | None
    log: RunLog
    held: Held
    progress: Progress
    spent: Callable[[Cost], None]
    """Told the cost once the agent is over, however it ended."""

    async def run(self, task: CodeTask, repo: Repo, workspace: Workspace, run_ref: str, failure: str) -> "AgentOutcome":
        """Setup, then the agent. The outcome holds a `Failure` when there is no result."""
        async with AsyncExitStack() as stack:
            model, socket_binds, meter = await self._open_gateway(stack, task)
            stack.callback(lambda: self.spent(cost_of(meter)))
            env = command_env(run_ref, self.settings.sandbox_tools)
            spec = workspace.agent_spec(run_ref, env, [*tool_binds(self.settings), *socket_binds])
            failed = await self._setup(repo, spec)
            if failed is not None:
                return AgentOutcome(failed)
            self.log.event(f"agent {self.agent.name} starts")
            run = await self.agent.start(
                RunSpec(
                    run=run_ref,
                    prompt=build_prompt(prompt_parts(task, failure)),
                    sandbox=self.sandbox,
                    sandbox_spec=spec,
                    cwd="/ws",
                    limits=self._limits(),
                    model=model,
                    trouble=meter.trouble if meter is not None else None,
                )
            )
            failpoint("agent.spawned")
            try:
                result = await self._follow(run, workspace.path)
            except OverDiskError as over:
                return AgentOutcome(Failure(FailureReason.AGENT_FAILED, f"Coding agent failed: {over}", retry=False))
            failpoint("agent.exited")
            self._log_result(result)
            return AgentOutcome(self._judge(result, meter), result.text)

    def _limits(self) -> AgentLimits:
        return AgentLimits(wall=timedelta(minutes=self.settings.agent_minutes))

    async def _open_gateway(
        self, stack: AsyncExitStack, task: CodeTask
    ) -> tuple[ModelEndpoint | None, list[Bind], GatewayRun | None]:
        if self.gateway is None:
            return None, [], None
        folder = stack.enter_context(socket_folder())
        loopback = not self.sandbox.isolates
        run = await self.gateway.open_run(task.ref, self.settings.budget_task_usd, folder, loopback=loopback)
        stack.push_async_callback(run.close)
        self.log.redactor.learn(run.endpoint.key)
        return run.endpoint, [] if loopback else [run.bind], run

    async def _setup(self, repo: Repo, spec: SandboxSpec) -> Failure | None:
        if not repo.setup_command:
            return None
        self.log.event(f"setup: {repo.setup_command}")
        wall = timedelta(minutes=self.settings.setup_minutes)
        ended = await self.held.guard(run_command(self.sandbox, repo.setup_command, spec, wall, self.log.write))
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
                self.log.write(text)
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

    def _judge(self, result: AgentResult, meter: GatewayRun | None) -> Failure | None:
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
            limits = self._limits()
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


@dataclass(frozen=True, slots=True)
class AgentOutcome:
    """What the agent said at its end and, when it has no result, why."""

    failure: Failure | None = None
    text: str = ""


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


def prompt_parts(task: CodeTask, failure: str) -> PromptParts:
    """What the agent is told of a code task."""
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
    )

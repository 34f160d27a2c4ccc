"""Agents that speak ACP (Agent Client Protocol v1): one transport for every row of `rows.py`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from bot.ports import AgentInfo, AgentLimits, AgentRun, Bind, RunSpec, Sandbox, SandboxSpec
from bot.worker.agents.acp_run import AcpRun
from bot.worker.agents.fence import find_program, start_fenced, tool_folders, what_is_inside
from bot.worker.agents.row import AgentRow
from bot.worker.agents.stream import config_problem

_CHECK_LIMIT = timedelta(seconds=30)


def _argv(row: AgentRow, program: Path) -> list[str]:
    return [str(program.resolve()), *row.args]


class AcpAgent:
    """One agent program that speaks ACP. `program` is the configured path or name, empty to use the row's own."""

    def __init__(self, row: AgentRow, *, program: str = "") -> None:
        self.name = row.name
        self.state_target = row.state_target
        self.state_kept: Sequence[str] = row.state_kept
        self.built_in = row.built_in
        self.remark = row.remark
        self._row = row
        self._configured = program

    def tool_folders(self) -> list[Path]:
        """Folders the agent needs to see, read-only. `start` binds them itself; for self-tests and `doctor`."""
        program = find_program(self._row, self._configured)
        return tool_folders(self._row, program) if program else []

    async def check(self, sandbox: Sandbox) -> AgentInfo:
        """Starts the agent in the sandbox on an empty folder and asks for its ACP `initialize` answer (0.1-2 s)."""
        program = find_program(self._row, self._configured)
        if program is None:
            return AgentInfo(self.name, found=False, problem=self._missing())
        with tempfile.TemporaryDirectory(prefix="codetask-check-") as folder:
            limits = AgentLimits(start=_CHECK_LIMIT, wall=_CHECK_LIMIT)
            fence = SandboxSpec(run=f"check-{self.name}-{Path(folder).name}", binds=[Bind(Path(folder), "/ws", True)])
            spec = RunSpec(fence.run, "", sandbox, fence, "/ws", limits)
            run = await self._launch(spec, program, check_only=True)
            if not isinstance(run, AcpRun):
                return AgentInfo(self.name, found=True, problem=(await run.result()).text)
            return await run.introduction(self.name)

    async def start(self, spec: RunSpec) -> AgentRun:
        """Starts a run. What stops it from starting is a result with cause `config` or `crashed`, not an exception."""
        program = find_program(self._row, self._configured)
        if program is None:
            return config_problem(self._missing())
        if self._row.needs_model and spec.model is None:
            return config_problem(f"The {self.name} agent needs a model: set LLM_BASE_URL, LLM_API_KEY and LLM_MODEL.")
        return await self._launch(spec, program, check_only=False)

    async def _launch(self, spec: RunSpec, program: Path, *, check_only: bool) -> AgentRun:
        row = self._row
        inside = what_is_inside(row, spec)
        try:
            process = await start_fenced(spec, _argv(row, program), row.env(inside), tool_folders(row, program))
        except OSError as error:
            return config_problem(f"The {self.name} agent could not be started: {error.strerror or error}.")
        return AcpRun(row, spec, inside, process, check_only=check_only)

    def _missing(self) -> str:
        return f"The {self.name} agent's program was not found. {self._row.install}".strip()

"""What the agent tests share: sandboxes, run specs, and reading a run to its end."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bot.ports import (
    AgentEvent,
    AgentLimits,
    AgentResult,
    AgentRun,
    Bind,
    ModelEndpoint,
    RunSpec,
    Sandbox,
    SandboxSpec,
)
from bot.worker.agents.row import AgentRow
from bot.worker.agents.rows import python_folders, python_program


@dataclass(frozen=True)
class FakeSettings:
    """The settings agents read."""

    agent_command: Sequence[str] = ()
    opencode_bin: str = ""


@dataclass(frozen=True)
class Ended:
    """A run that was read to its end."""

    result: AgentResult
    events: list[AgentEvent]

    def of(self, kind: type) -> list[AgentEvent]:
        return [event for event in self.events if isinstance(event, kind)]


def spec_for(
    sandbox: Sandbox,
    folder: Path,
    prompt: str,
    *,
    binds: Sequence[Bind] = (),
    env: Mapping[str, str] | None = None,
    limits: AgentLimits | None = None,
    model: ModelEndpoint | None = None,
    session: str | None = None,
) -> RunSpec:
    """A run in `folder`, shown at /ws."""
    run = f"test-{uuid.uuid4().hex[:12]}"
    fence = SandboxSpec(run=run, env=env or {}, binds=[Bind(folder, "/ws", writable=True), *binds])
    return RunSpec(run, prompt, sandbox, fence, "/ws", limits or AgentLimits(), model, session)


async def read_out(run: AgentRun) -> Ended:
    """All events and the result."""
    events = [event async for event in run.events]
    return Ended(await run.result(), events)


def script_row(script: Path, *args: str) -> AgentRow:
    """A fake ACP agent: a Python script."""
    return AgentRow(
        name="fake",
        program=python_program(),
        args=("-I", "-S", str(script), *args),
        needs_model=False,
        tool_folders=lambda _: [script.parent, *python_folders()],
    )


def short(**seconds: float) -> AgentLimits:
    """Limits in seconds."""
    return AgentLimits(**{name: timedelta(seconds=value) for name, value in seconds.items()})


def processes_of(run: str) -> list[int]:
    """Processes that carry the run's mark, as far as this user may look."""
    from bot.worker.processes import marked_processes

    return marked_processes(run)


def is_root() -> bool:
    return os.geteuid() == 0

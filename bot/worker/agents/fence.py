"""How an agent's row meets the sandbox that the worker built: extra binds, its environment, the way to the gateway."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bot.ports import Bind, RunSpec, Sandbox, SandboxProcess, SandboxSpec
from bot.worker.agents.row import AgentRow, Inside
from bot.worker.agents.rows import FOLDER, python_folders, python_program

BRIDGE_TARGET = "/opt/codetask/bridge.py"


def find_program(row: AgentRow, configured: str) -> Path | None:
    """The agent's program on this machine, or None. A configured path or name wins over the row's own."""
    found = shutil.which(configured or row.program)
    return Path(found) if found else None


def tool_folders(row: AgentRow, program: Path) -> list[Path]:
    """Folders the program needs to see, read-only, at their own path."""
    extra = row.tool_folders(program) if row.tool_folders else [program.resolve().parent]
    return [folder for folder in extra if not folder.is_relative_to("/usr")]


def seen_at(sandbox: Sandbox, spec: SandboxSpec, target: str) -> str | None:
    """The path at which the process sees what the worker bound at `target` or above it; None when nothing is bound."""
    wanted = PurePosixPath(target)
    above = [b for b in spec.binds if wanted == PurePosixPath(b.target) or PurePosixPath(b.target) in wanted.parents]
    if not above:
        return None
    bind = max(above, key=lambda b: len(PurePosixPath(b.target).parts))
    rest = wanted.relative_to(bind.target).parts
    return sandbox.inside(spec, bind.source.joinpath(*rest))


def what_is_inside(row: AgentRow, spec: RunSpec) -> Inside:
    """The paths and the model address as the agent will see them."""
    cwd = seen_at(spec.sandbox, spec.sandbox_spec, spec.cwd) or spec.cwd
    state = seen_at(spec.sandbox, spec.sandbox_spec, row.state_target) if row.state_target else None
    return Inside(cwd=cwd, model=spec.model, state=state)


async def start_fenced(
    spec: RunSpec, argv: Sequence[str], env: Mapping[str, str], folders: Sequence[Path]
) -> SandboxProcess:
    """Starts an agent behind the fence, with the bridge to gateway and callbacks in front where the sandbox needs one.

    Raises OSError when the sandbox cannot start it."""
    binds = [Bind(folder, str(folder)) for folder in folders]
    words = list(argv)
    ways = _bridged(spec)
    if ways:
        bridge = Bind(FOLDER / "bridge.py", BRIDGE_TARGET)
        binds += [bridge, *(Bind(folder, str(folder)) for folder in python_folders())]
        shown = replace(spec.sandbox_spec, binds=(*spec.sandbox_spec.binds, *binds))
        script = spec.sandbox.inside(shown, bridge.source)
        words = [python_program(), "-I", "-S", script, *ways, "--", *words]
    fenced = replace(
        spec.sandbox_spec,
        binds=(*spec.sandbox_spec.binds, *binds),
        env={**spec.sandbox_spec.env, **env},
    )
    return await spec.sandbox.start(words, fenced)


def _bridged(spec: RunSpec) -> list[str]:
    """What the bridge forwards, as its arguments."""
    ways = [(spec.model.base_url, spec.model.socket)] if spec.model is not None and spec.model.socket else []
    if spec.callback is not None and spec.callback.bridged:
        ways.append((spec.callback.base_url, spec.callback.socket))
    return [f"{urlsplit(url).port}={socket}" for url, socket in ways]

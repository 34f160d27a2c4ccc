"""Sandboxes: where agents, set-up commands and tests run. Implementations: `bot/worker/sandbox/`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol


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

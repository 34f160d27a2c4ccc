"""No fence at all: a plain process with a clean environment. Only by explicit setting."""

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import Coroutine, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from bot.ports import SandboxProcess, SandboxRefused, SandboxSpec
from bot.worker.processes import FAMILY_MARK, RUN_MARK, Child, kill_marked, start_child
from bot.worker.sandbox.limits import prlimit_prefix

HOME = "/home/agent"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


Started = TypeVar("Started", bound=SandboxProcess)


def clean_env(spec: SandboxSpec, home: str) -> dict[str, str]:
    """The complete environment of a sandboxed process: our few rows, then the spec's."""
    return {"PATH": PATH, "HOME": home, "LANG": "C.UTF-8", **spec.env, RUN_MARK: spec.run}


def map_path(spec: SandboxSpec, host_path: Path) -> PurePosixPath | None:
    """Where a host path appears under the spec's binds, or None when no bind shows it. The deepest bind wins."""
    best: tuple[int, PurePosixPath] | None = None
    for bind in spec.binds:
        if host_path == bind.source or bind.source in host_path.parents:
            depth = len(bind.source.parts)
            shown = PurePosixPath(bind.target, *host_path.parts[depth:])
            if best is None or depth > best[0]:
                best = (depth, shown)
    return best[1] if best else None


async def finish_start(start: Coroutine[None, None, Started]) -> Started:
    """The started process. A caller that is cancelled meanwhile leaves nothing: the start is finished, then undone.

    A bwrap killed half way can leave its child behind, which has not yet asked to die with it."""
    starting = asyncio.ensure_future(start)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await (await starting).kill()
        raise


class PlainProcess:
    """A process in its own session; its end takes everything that inherited its mark with it."""

    def __init__(self, child: Child, family: str) -> None:
        self._child = child
        self._family = family
        self.stdin, self.stdout, self.stderr = child.stdin, child.stdout, child.stderr

    @property
    def returncode(self) -> int | None:
        return self._child.returncode

    async def wait(self) -> int:
        """The exit code, once the leftovers it started are gone too."""
        code = await self._child.wait()
        await self._sweep()
        return code

    def interrupt(self) -> None:
        self._child.signal(signal.SIGINT)

    def terminate(self) -> None:
        self._child.signal(signal.SIGTERM)

    async def kill(self) -> None:
        """SIGKILL to the process and everything that inherited its mark; returns when nothing is left."""
        self._child.signal(signal.SIGKILL)
        await self._child.wait()
        await self._sweep()
        self._child.close()

    async def _sweep(self) -> None:
        left = await kill_marked(self._family, FAMILY_MARK)
        if left:
            raise OSError(f"processes {left} survived SIGKILL")


class NoSandbox:
    """Starts processes as they are. `isolates` is False: the worker warns everywhere and does not push by default."""

    name = "none"
    isolates = False

    async def self_test(self) -> SandboxRefused | None:
        """Nothing is promised, so nothing can fail."""
        return None

    async def start(self, argv: Sequence[str], spec: SandboxSpec) -> SandboxProcess:
        """Starts `argv` in the host folder that is bound at the spec's working directory (else `/`)."""
        return await finish_start(self._start(argv, spec))

    async def _start(self, argv: Sequence[str], spec: SandboxSpec) -> PlainProcess:
        home = _source_of(spec, HOME) or Path("/nonexistent")
        family = uuid.uuid4().hex
        child = await start_child(
            [*prlimit_prefix(spec.limits, processes=False), *argv],
            env={**clean_env(spec, str(home)), FAMILY_MARK: family},
            cwd=_source_of(spec, spec.workdir) or Path("/"),
            new_session=True,
        )
        return PlainProcess(child, family)

    def inside(self, spec: SandboxSpec, host_path: Path) -> str:
        """The host path itself: nothing is mapped."""
        return os.fspath(host_path)


def _source_of(spec: SandboxSpec, target: str) -> Path | None:
    """The host path shown at `target` or the bind above it."""
    wanted = PurePosixPath(target)
    best: tuple[int, Path] | None = None
    for bind in spec.binds:
        shown = PurePosixPath(bind.target)
        if wanted == shown or shown in wanted.parents:
            depth = len(shown.parts)
            if best is None or depth > best[0]:
                best = (depth, bind.source.joinpath(*wanted.parts[depth:]))
    return best[1] if best else None

"""Setup and test commands: run in the sandbox with their output logged as it comes and its tail kept."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Final

from bot.ports import Sandbox, SandboxProcess, SandboxSpec
from bot.worker.git import GitFailed
from bot.worker.workspace import Workspace

TAIL_BYTES: Final = 64 * 1024
OUTPUT_MAX: Final = 64 * 1024 * 1024
_LINE_MAX: Final = 16 * 1024
_PYTHON: Final = (
    "if python3 -c 'import pytest' 2>/dev/null; then exec python3 -m pytest -q; else exec python3 -m unittest; fi"
)
_AUTO: Final = (
    ({"pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini", "setup.py", "tests"}, _PYTHON),
    ({"package.json"}, "npm test --silent"),
    ({"go.mod"}, "go test ./..."),
    ({"Cargo.toml"}, "cargo test --quiet"),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `tail` is the end of its output, at most 64 KiB. `over` names a broken limit, else empty."""

    code: int
    seconds: float
    tail: str
    over: str = ""


async def run_command(
    sandbox: Sandbox, command: str, spec: SandboxSpec, wall: timedelta, on_line: Callable[[str], None]
) -> Ended:
    """Runs a configured shell command in the sandbox to its end or limit. Nothing of it is left when this returns."""
    began = monotonic()
    process = await sandbox.start(["/bin/sh", "-c", command], spec)
    process.stdin.close()
    tail = _Tail(on_line)
    readers = [asyncio.create_task(tail.read(stream)) for stream in (process.stdout, process.stderr)]
    over = ""
    try:
        async with asyncio.timeout(wall.total_seconds()):
            await process.wait()
            await asyncio.gather(*readers)
    except TimeoutError:
        over = "time"
    except _TooMuchError:
        over = "output"
    finally:
        await _end(process, readers)
    return Ended(process.returncode or 0, monotonic() - began, tail.text(), over)


async def _end(process: SandboxProcess, readers: list[asyncio.Task[None]]) -> None:
    await process.kill()
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await process.stdin.wait_closed()


class _TooMuchError(Exception):
    """The output limit was reached."""


class _Tail:
    """Logs each line and keeps the last bytes of both streams together."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._kept: deque[str] = deque()
        self._size = 0
        self._total = 0

    async def read(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while piece := await stream.read(_LINE_MAX):
            self._total += len(piece)
            if self._total > OUTPUT_MAX:
                raise _TooMuchError
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._add(line)
            if len(rest) > _LINE_MAX:
                self._add(rest)
                rest = b""
        if rest:
            self._add(rest)

    def _add(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace")
        self._on_line(line)
        self._kept.append(line)
        self._size += len(line) + 1
        while self._size > TAIL_BYTES:
            self._size -= len(self._kept.popleft()) + 1

    def text(self) -> str:
        return "\n".join(self._kept)


async def find_test_command(workspace: Workspace, tree_sha: str, configured: str) -> str:
    """The configured command, or for `auto` the one that fits the files at the top of the tree; empty for none."""
    if configured != "auto":
        return "" if configured == "none" else configured
    names = await workspace.top_level(tree_sha)
    if isinstance(names, GitFailed):
        return ""
    return next((command for files, command in _AUTO if files & names), "")

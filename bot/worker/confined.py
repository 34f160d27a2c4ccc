"""A short command of ours inside a sandbox, run to its end with its output bounded."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from bot.ports import Sandbox, SandboxProcess, SandboxSpec
from bot.worker.git import GitFailed, explain

_MAX_OUTPUT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Confined:
    """How the command ended. `timed_out` when the spec's wall limit ended it; then `code` is what SIGKILL gave."""

    code: int
    out: bytes
    err: bytes
    timed_out: bool = False

    def failure(self, what: str) -> GitFailed:
        """The end as a git failure, for ends that are not success."""
        if self.timed_out:
            return GitFailed("timeout", f"git {what} took too long.")
        return explain(what, self.code, self.err)

    def hint(self) -> str:
        """The last line the command said about its failure, for a person; empty when it said nothing."""
        lines = [line for line in self.err.decode("utf-8", "replace").splitlines() if line.strip()]
        return f" ({lines[-1].strip()[:200]})" if lines else ""


async def run_confined(sandbox: Sandbox, argv: Sequence[str], spec: SandboxSpec) -> Confined:
    """Runs `argv` with empty input to its end or the wall limit; nothing of it is left when this returns."""
    process = await sandbox.start(argv, spec)
    process.stdin.close()
    out, err = _Kept(), _Kept()
    readers = [asyncio.create_task(out.read(process.stdout)), asyncio.create_task(err.read(process.stderr))]
    timed_out = False
    try:
        async with asyncio.timeout(spec.limits.wall.total_seconds()):
            await process.wait()
            await asyncio.gather(*readers)
    except TimeoutError:
        timed_out = True
    finally:
        await _end(process, readers)
    return Confined(process.returncode or 0, bytes(out.kept), bytes(err.kept), timed_out)


class _Kept:
    """The first bytes of a stream; the rest is read and dropped so that the writer never blocks."""

    def __init__(self) -> None:
        self.kept = bytearray()

    async def read(self, stream: asyncio.StreamReader) -> None:
        while piece := await stream.read(64 * 1024):
            self.kept += piece[: _MAX_OUTPUT - len(self.kept)]


async def _end(process: SandboxProcess, readers: Sequence[asyncio.Task[None]]) -> None:
    await process.kill()
    for reader in readers:
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await process.stdin.wait_closed()

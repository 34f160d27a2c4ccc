"""Child processes of the worker: started from the event loop's thread, awaited without their pipes.

`asyncio.subprocess.Process.wait()` may wait until every pipe has ended, so a grandchild that keeps one open would
hold the worker; `Child.wait()` ends with the process itself.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
from asyncio.subprocess import SubprocessStreamProtocol
from collections.abc import Mapping, Sequence
from pathlib import Path

READ_AHEAD = 8 * 1024 * 1024
"""Bytes of one line a stream may hold; a stream pauses at twice this, so a flood never fills the worker's memory."""

RUN_MARK = "CODETASK_RUN"
"""The variable that every process of a run carries; the janitor finds strays by it."""

FAMILY_MARK = "CODETASK_FAMILY"
"""The variable that one started process and all its descendants share; its value is never used twice."""

_PR_SET_DUMPABLE = 4


class _Protocol(SubprocessStreamProtocol):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=READ_AHEAD, loop=loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        self.exited.set()
        super().process_exited()


class Child:
    """One started process with its three pipes."""

    def __init__(self, transport: asyncio.SubprocessTransport, protocol: _Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        assert protocol.stdin is not None and protocol.stdout is not None and protocol.stderr is not None
        self.stdin: asyncio.StreamWriter = protocol.stdin
        self.stdout: asyncio.StreamReader = protocol.stdout
        self.stderr: asyncio.StreamReader = protocol.stderr

    @property
    def pid(self) -> int:
        return self._transport.get_pid()

    @property
    def returncode(self) -> int | None:
        return self._transport.get_returncode()

    async def wait(self) -> int:
        """The exit code as soon as the process itself has ended, negative when a signal ended it."""
        await self._protocol.exited.wait()
        code = self._transport.get_returncode()
        assert code is not None
        return code

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; nothing happens when the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._transport.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to this one process; nothing happens when it has ended."""
        self.signal(signal.SIGKILL)

    def close(self) -> None:
        """Drops the pipes. What is still unread in them is lost; what was read ahead stays readable."""
        self._transport.close()


async def start_child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | Path = "/",
    pass_fds: Sequence[int] = (),
    new_session: bool = False,
) -> Child:
    """Starts `argv` with exactly `env`. Raises OSError when the program cannot be executed.

    It forks in the calling thread, which must be the event loop's: `bwrap --die-with-parent` dies with that thread."""
    loop = asyncio.get_running_loop()
    starting = asyncio.ensure_future(
        loop.subprocess_exec(
            lambda: _Protocol(loop),
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            cwd=str(cwd),
            pass_fds=tuple(pass_fds),
            close_fds=True,
            start_new_session=new_session,
        )
    )
    try:
        # asyncio leaves pipes open when it is interrupted while it connects them: let it finish, then undo it.
        return Child(*await asyncio.shield(starting))
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            child = Child(*await starting)
            child.kill()
            await child.wait()
            child.close()
        raise


def marked_processes(value: str, name: str = RUN_MARK) -> list[int]:
    """Process ids whose environment carries `name=value`; only those we may read are seen."""
    mark = f"{name}={value}".encode()
    found: list[int] = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


async def kill_marked(value: str, name: str = RUN_MARK, *, limit: float = 5.0) -> list[int]:
    """SIGKILL to every process carrying the mark until none is found; returns what survived `limit` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    while (left := marked_processes(value, name)) and loop.time() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.005)
    return left


def hide_own_memory() -> None:
    """Makes `/proc/<us>/environ`, `mem`, `maps` unreadable to other processes of the same user. Call it first of all.

    Raises OSError when the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) was refused")

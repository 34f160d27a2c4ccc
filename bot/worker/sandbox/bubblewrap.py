"""The bubblewrap fence (>= 0.8.0): own user, PID, network, IPC and mount namespaces, nothing of the host but `/usr`.

Options travel by `--args FD` and the environment is built from nothing, because PID 1 inside is
bwrap itself, whose `cmdline` and `environ` the command can read.
"""

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bot.ports import Bind, SandboxProcess, SandboxRefused, SandboxSpec
from bot.worker.processes import Child, start_child
from bot.worker.sandbox.limits import prlimit_prefix, prlimit_program
from bot.worker.sandbox.none import HOME, clean_env, finish_start, map_path
from bot.worker.sandbox.refusals import refuse

TMP_BYTES = 256 * 1024 * 1024
SHM_BYTES = 64 * 1024 * 1024

_FENCE = shlex.split(
    """
    --unshare-user --unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup-try
    --die-with-parent --new-session --cap-drop ALL --disable-userns --assert-userns-disabled --hostname sandbox
    --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/sbin /sbin
    --symlink usr/lib /lib --symlink usr/lib64 /lib64
    --ro-bind-try /etc/ssl /etc/ssl --ro-bind-try /etc/alternatives /etc/alternatives
    --ro-bind-try /etc/ld.so.cache /etc/ld.so.cache
    """
)
_MEMORY = shlex.split(
    f"""
    --proc /proc --dev /dev --size {SHM_BYTES} --tmpfs /dev/shm --remount-ro /dev
    --size {TMP_BYTES} --tmpfs /tmp --size {TMP_BYTES} --tmpfs {HOME}
    """
)


@dataclass(frozen=True, slots=True)
class _Info:
    """What bwrap said about the sandbox it made. `child_pid` is PID 1 inside, as the host sees it."""

    child_pid: int | None


class BubblewrapProcess:
    """A command in its own PID namespace. `child` is the outer bwrap."""

    def __init__(self, child: Child, info: _Info) -> None:
        self._child = child
        self._init_pid = info.child_pid
        self._init = _Watched(info.child_pid)
        self.stdin, self.stdout, self.stderr = child.stdin, child.stdout, child.stderr

    @property
    def returncode(self) -> int | None:
        return self._child.returncode

    async def wait(self) -> int:
        """The exit code, once the whole PID namespace is gone."""
        code = await self._child.wait()
        await self._init.ended.wait()
        return code

    def interrupt(self) -> None:
        self._signal_command(signal.SIGINT)

    def terminate(self) -> None:
        self._signal_command(signal.SIGTERM)

    async def kill(self) -> None:
        """SIGKILL to bwrap, which takes PID 1 inside and so the namespace with it; returns when nothing is left."""
        self._init.kill()
        self._child.kill()
        await self.wait()
        self._child.close()

    def _signal_command(self, number: signal.Signals) -> None:
        """Signals the command: a signal to the outer bwrap would kill everything at once, PID 1 inside ignores it."""
        if self._child.returncode is not None or self._init_pid is None or self._init.ended.is_set():
            return
        children = Path(f"/proc/{self._init_pid}/task/{self._init_pid}/children")
        with contextlib.suppress(OSError):
            for pid in children.read_text().split()[:1]:
                os.kill(int(pid), number)


class BubblewrapSandbox:
    """Starts commands inside bubblewrap. `tools` are extra folders shown read-only at their own path."""

    name = "bubblewrap"
    isolates = True

    def __init__(self, tools: Sequence[Path] = (), *, hidden: Sequence[Path] = ()) -> None:
        self._tools = tuple(Bind(tool, os.fspath(tool)) for tool in tools if not _in_usr(tool))
        self._hidden = tuple(hidden)
        self._program = shutil.which("bwrap") or "bwrap"

    async def self_test(self) -> SandboxRefused | None:
        """Starts real sandboxes and probes every promise from within (about 0.3 s). None when all hold."""
        from bot.worker.sandbox.self_test import probe_sandbox

        if os.geteuid() == 0:
            return refuse("sandbox.root")
        if shutil.which(self._program) is None:
            return refuse("sandbox.not_installed")
        if prlimit_program() is None:
            return refuse("sandbox.no_prlimit")
        return await probe_sandbox(self, hidden=self._hidden, shown=[tool.target for tool in self._tools])

    async def start(self, argv: Sequence[str], spec: SandboxSpec) -> SandboxProcess:
        """Starts `argv` behind the fence. Raises PermissionError for root, OSError when bwrap cannot be executed."""
        if os.geteuid() == 0:
            raise PermissionError(refuse("sandbox.root").say)
        return await finish_start(self._start(argv, spec))

    async def _start(self, argv: Sequence[str], spec: SandboxSpec) -> "BubblewrapProcess":
        shown = replace(spec, binds=(*self._tools, *spec.binds))
        read_end, write_end = os.pipe()
        with contextlib.ExitStack() as open_fds:
            open_fds.callback(os.close, read_end)
            data_fds = [_memory_file(data) for data in _account_files()]
            for fd in data_fds:
                open_fds.callback(os.close, fd)
            options_fd = _memory_file("".join(word + "\0" for word in _options(shown, data_fds)))
            open_fds.callback(os.close, options_fd)
            words = ["--args", str(options_fd), "--info-fd", str(write_end), "--"]
            try:
                child = await start_child(
                    [self._program, *words, *prlimit_prefix(spec.limits), *argv],
                    env=clean_env(spec, HOME),
                    pass_fds=[*data_fds, options_fd, write_end],
                )
            finally:
                os.close(write_end)
            return BubblewrapProcess(child, _read_info(await _read_to_end(read_end)))

    def inside(self, spec: SandboxSpec, host_path: Path) -> str:
        """The path at which the deepest bind shows `host_path`; folders bound as tools and `/usr` keep their path."""
        shown = map_path(replace(spec, binds=(*self._tools, *spec.binds)), host_path)
        return os.fspath(host_path) if shown is None else str(shown)


def _options(spec: SandboxSpec, data_fds: Sequence[int]) -> list[str]:
    words = [*_FENCE]
    for fd, target in zip(data_fds, ("/etc/passwd", "/etc/group", "/etc/hosts"), strict=True):
        words += ["--perms", "0444", "--ro-bind-data", str(fd), target]
    words += _MEMORY
    for bind in spec.binds:
        words += ["--bind" if bind.writable else "--ro-bind", os.fspath(bind.source), bind.target]
    if not any(bind.target == spec.workdir for bind in spec.binds):
        words += ["--dir", spec.workdir]
    return [*words, "--chdir", spec.workdir, "--remount-ro", "/"]


def _account_files() -> tuple[str, str, str]:
    """`/etc/passwd`, `/etc/group` and `/etc/hosts` as seen inside; our own ids, no name of the host."""
    uid, gid = os.getuid(), os.getgid()
    passwd = f"root:x:0:0:root:/nonexistent:/bin/false\nagent:x:{uid}:{gid}:agent:{HOME}:/bin/sh\n"
    return passwd, f"root:x:0:\nagent:x:{gid}:\n", "127.0.0.1 localhost\n::1 localhost\n"


def _memory_file(text: str) -> int:
    """A file without a path: a real one would show its host path in `/proc/self/fd`."""
    fd = os.memfd_create("options")
    os.write(fd, text.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _in_usr(path: Path) -> bool:
    return Path("/usr") in path.parents


def _read_info(data: bytes) -> _Info:
    try:
        return _Info(int(json.loads(data)["child-pid"]))
    except (ValueError, KeyError, TypeError):
        return _Info(None)  # bwrap failed before it made a child; its exit code and stderr say why


async def _read_to_end(fd: int) -> bytes:
    """Everything written to a pipe until its last writer closes it; it arrives in pieces."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    pieces: list[bytes] = []

    def on_readable() -> None:
        piece = os.read(fd, 4096)
        if piece:
            pieces.append(piece)
        elif not done.done():
            done.set_result(None)

    loop.add_reader(fd, on_readable)
    try:
        await done
    finally:
        loop.remove_reader(fd)
    return b"".join(pieces)


class _Watched:
    """PID 1 of a namespace, held by a pidfd (a number could be reused). It ends only after all others in it."""

    def __init__(self, pid: int | None) -> None:
        self.ended = asyncio.Event()
        self._fd: int | None = None
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                self._fd = os.pidfd_open(pid)
        if self._fd is None:
            self.ended.set()
        else:
            asyncio.get_running_loop().add_reader(self._fd, self._on_end)

    def kill(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, signal.SIGKILL)

    def _on_end(self) -> None:
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None
        self.ended.set()

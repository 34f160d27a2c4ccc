"""The live self-test of a sandbox: real processes inside, every promise probed, the first unexpected answer refuses."""

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path

from bot.ports import Bind, Limits, Sandbox, SandboxRefused, SandboxSpec
from bot.worker.processes import marked_processes
from bot.worker.sandbox.refusals import explain_start, refuse

_LIMITS = Limits(wall=timedelta(seconds=20), processes=48, file_bytes=1024 * 1024, open_files=256)
_CANARY_NAME = "CODETASK_SELF_TEST_CANARY"
_TMP_BYTES = 256 * 1024 * 1024

EXPECTED: Mapping[str, object] = {
    "only own processes": True,
    "open files": [0, 1, 2],
    "/etc/shadow readable": False,
    "host accounts in /etc/passwd": False,
    "host folders seen": [],
    "host homes seen": [],
    "host /tmp seen": [],
    "/run seen": [],
    "/sys seen": [],
    "/var seen": [],
    "/opt, /srv, /mnt seen": [],
    "/ writable": False,
    "/usr writable": False,
    "/etc writable": False,
    "/dev writable": False,
    "/proc/sys writable": False,
    "work folder writable": True,
    "network interfaces": ["lo"],
    "host loopback reachable": False,
    "metadata address reachable": False,
    "internet reachable": False,
    "internet over IPv6 reachable": False,
    "UDP reachable": False,
    "host abstract socket reachable": False,
    "nested user namespace": False,
    "nested mount namespace": False,
    "mount": False,
    "CapEff": 0,
    "CapBnd": 0,
    "NoNewPrivs": "1",
    "worker secret in /proc": False,
    "host name": "sandbox",
    "controlling terminal": False,
    "file size limit holds": True,
    "process limit holds": True,
    "/tmp bytes": _TMP_BYTES,
    "core limit": "0",
}
"""What each probe of `probe.py` must answer."""

_FAMILY = "(setsid sh -c 'trap \"\" TERM INT; sleep 600' & sleep 600 & (sleep 600 &)); echo up; wait"


@dataclass(frozen=True, slots=True)
class _Host:
    """Things on the host that a sandbox must not reach, alive while the probes run."""

    port: int
    abstract: str
    canary: str
    folder: Path


async def ask_probes(
    sandbox: Sandbox, *, hidden: Sequence[Path] = (), shown: Sequence[str] = ()
) -> Mapping[str, object] | SandboxRefused:
    """The answers of every probe inside the sandbox, or why it did not even start."""
    with _host_side() as host:
        source = resources.files("bot.worker.sandbox").joinpath("probe.py").read_text()
        told = {
            "canary": host.canary[::-1],  # reversed, or the probe would find its own argument
            "hidden": [os.fspath(path) for path in (*hidden, host.folder / "host-only")],
            "shown": [*shown, *(bind.target for bind in _interpreter())],
            "tcp": host.port,
            "abstract": host.abstract,
            "file_bytes": _LIMITS.file_bytes,
            "processes": _LIMITS.processes,
        }
        spec = SandboxSpec(
            run=_run_name(),
            binds=(*_interpreter(), Bind(host.folder / "ws", "/ws", writable=True)),
            limits=_LIMITS,
        )
        code, out, err = await _finish(sandbox, [_python(), "-I", "-S", "-c", source, json.dumps(told)], spec)
    if code != 0:
        return explain_start(err.decode("utf-8", "replace"))
    answers = json.loads(out)
    return answers if isinstance(answers, dict) else explain_start("the probe gave no answers")


async def probe_sandbox(
    sandbox: Sandbox, *, hidden: Sequence[Path] = (), shown: Sequence[str] = ()
) -> SandboxRefused | None:
    """None when every probe answers as expected and SIGKILL leaves no process.

    `hidden` are host paths that must not be there; `shown` are paths inside that the sandbox binds on purpose."""
    answers = await ask_probes(sandbox, hidden=hidden, shown=shown)
    if isinstance(answers, SandboxRefused):
        return answers
    for name, expected in EXPECTED.items():
        got = answers.get(name, "no answer")
        if got != expected:
            return refuse("sandbox.self_test", probe=name, expected=expected, got=got)
    left = await _left_after_kill(sandbox)
    if left:
        return refuse("sandbox.self_test", probe="processes left after SIGKILL", expected=0, got=len(left))
    return None


async def _left_after_kill(sandbox: Sandbox) -> list[int]:
    """Starts a family with detached and deaf members, kills it, and returns what is still alive."""
    run = _run_name()
    process = await sandbox.start(["/bin/sh", "-c", _FAMILY], SandboxSpec(run=run, limits=_LIMITS))
    await process.stdout.readline()
    await process.kill()
    return marked_processes(run)


async def _finish(sandbox: Sandbox, argv: Sequence[str], spec: SandboxSpec) -> tuple[int, bytes, bytes]:
    process = await sandbox.start(argv, spec)
    try:
        async with asyncio.timeout(spec.limits.wall.total_seconds()):
            process.stdin.close()
            out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
            return await process.wait(), out, err
    except TimeoutError:
        return -1, b"", b"the probe did not end in time"
    finally:
        await process.kill()


@contextlib.contextmanager
def _host_side() -> Iterator[_Host]:
    canary = secrets.token_hex(16)
    abstract = f"codetask-{secrets.token_hex(8)}"
    with (
        tempfile.TemporaryDirectory(prefix="codetask-probe-") as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix,
    ):
        unix.bind("\0" + abstract)
        unix.listen()
        Path(folder, "ws").mkdir()
        Path(folder, "host-only").write_text("host")
        os.environ[_CANARY_NAME] = canary
        try:
            yield _Host(tcp.getsockname()[1], abstract, canary, Path(folder))
        finally:
            del os.environ[_CANARY_NAME]


def _run_name() -> str:
    return f"self-test-{secrets.token_hex(8)}"


def _python() -> str:
    """The interpreter behind a virtual environment: only that one exists inside."""
    return os.path.realpath(sys.executable)


def _interpreter() -> tuple[Bind, ...]:
    """Our Python's folder, when it is not part of `/usr`."""
    prefix = Path(sys.base_prefix)
    return () if prefix == Path("/usr") or Path("/usr") in prefix.parents else (Bind(prefix, os.fspath(prefix)),)

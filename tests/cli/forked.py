"""Commands in processes of their own, forked from one that has imported them already: a tenth of the time of a start.

`python -m tests.cli.forked FD` is that one. It reads `{"args", "env", "cwd"}` with the three standard streams from the
socket FD, one command at a time, and answers with the exit code, negative for a signal.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(__file__).parents[2]
LARGEST: Final = 1_000_000


class Commands:
    """Runs commands of `codetask`. Close it at the end."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
        with theirs:
            told = [sys.executable, "-m", "tests.cli.forked", str(theirs.fileno())]
            self._server = subprocess.Popen(told, cwd=ROOT, pass_fds=[theirs.fileno()])

    def run(
        self, args: Sequence[str], env: Mapping[str, str], cwd: Path, streams: Sequence[IO[Any]], timeout: float
    ) -> int:
        """The exit code of `codetask ARGS` with that environment and those standard streams."""
        order = json.dumps({"args": [*args], "env": dict(env), "cwd": str(cwd)}).encode()
        self._socket.settimeout(timeout)
        socket.send_fds(self._socket, [order], [stream.fileno() for stream in streams])
        return int(self._socket.recv(100))

    def close(self) -> None:
        self._socket.close()
        self._server.wait(30)


def _serve(fd: int) -> None:
    from bot.cli.root import COMMANDS

    for where, _ in COMMANDS.values():
        import_module(f"bot.cli.{where.partition(':')[0]}")
    for name in ("httpx", "bot.app", "platforms.registry"):
        import_module(name)
    assert threading.active_count() == 1, "a process with threads must not fork"
    with socket.socket(fileno=fd) as orders:
        while True:
            data, streams, _, _ = socket.recv_fds(orders, LARGEST, 3)
            if not data:
                return
            pid = os.fork()
            if not pid:
                orders.close()
                _become(json.loads(data), streams)
            for stream in streams:
                os.close(stream)
            orders.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _become(order: dict[str, Any], streams: Sequence[int]) -> None:
    """Runs the command and ends this process as Python ends one."""
    code = 70
    try:
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
            os.close(stream)
        sys.stdin = open(0, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        time.tzset()
        code = _exit_code(order["args"])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _exit_code(args: list[str]) -> int:
    from bot.cli import main

    try:
        main(args)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    _serve(int(sys.argv[1]))

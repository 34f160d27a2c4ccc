"""`codetask` as a person or a script runs it: a process of its own with a data folder of its own.

What is run to its end is forked from a process that has imported everything (tests/cli/forked.py); what is started and
spoken to begins as `python -m bot.cli`.
"""

import atexit
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryFile
from threading import Thread

from tests.cli.forked import Commands

DEADLINE = 60


@dataclass
class Terminal:
    """Environment of the processes; nothing of the tests' own environment leaks in but PATH."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "CODETASK_DATA": str(self.home / "data"),
            "WEB_BIND": f"127.0.0.1:{free_port()}",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **self.env,
        }

    def run(self, *args: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write((stdin or "").encode("utf-8", "surrogateescape"))
            given.seek(0)
            code = commands().run(args, self.env | env, self.home, (given, out, err), DEADLINE)
            said = []
            for stream in (out, err):
                stream.seek(0)
                said.append(stream.read().decode())
        return subprocess.CompletedProcess(args, code, *said)

    @contextmanager
    def start(self, *args: str, **env: str) -> Iterator["Process"]:
        child = subprocess.Popen(
            [sys.executable, "-m", "bot.cli", *args],
            env=self.env | env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process = Process(child)
        try:
            yield process
        finally:
            if child.poll() is None:
                child.kill()
            child.wait(DEADLINE)
            process.close()


class Process:
    """A running command whose stderr is read line by line as it comes."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self.child = child
        self.said: list[str] = []
        self._lines: Queue[str | None] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def until(self, words: str) -> str:
        """The first line on stderr that holds these words."""
        while True:
            try:
                line = self._lines.get(timeout=DEADLINE)
            except Empty:
                raise AssertionError(f"{words!r} was not said: {self.said}") from None
            assert line is not None, f"ended without saying {words!r}: {self.said}"
            self.said.append(line)
            if words in line:
                return line

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.child.terminate()
        code = self.child.wait(DEADLINE)
        self._reader.join(DEADLINE)
        with suppress(Empty):
            while (line := self._lines.get_nowait()) is not None:
                self.said.append(line)
        return code

    def close(self) -> None:
        self._reader.join(DEADLINE)
        for stream in (self.child.stdout, self.child.stderr):
            if stream is not None:
                stream.close()


@cache
def commands() -> Commands:
    """Where commands are forked, for all tests of this process."""
    made = Commands()
    atexit.register(made.close)
    return made


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]

"""Real processes of the product for the fault tests, forked from one that has imported everything already.

`python -m tests.faults.process` is that one: it reads `{"env", "parts", "log"}` lines and forks a process for each,
which runs the composition root exactly as `codetask up` does, with its settings from the environment.
"""

import asyncio
import ctypes
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

ROOT: Final = Path(__file__).parents[2]
PR_SET_PDEATHSIG: Final = 1
CLOCK: Final = "CODETASK_FAULT_CLOCK"
"""Names a file with the seconds by which the clock of a process is wrong; it is read whenever the time is asked for."""
Parts = Literal["all", "serve", "worker"]


@dataclass
class Proc:
    """One process of the product. `exited` holds its exit code, negative for a signal."""

    pid: int
    log: Path
    exited: "Future[int]" = field(default_factory=Future)

    async def died(self, timeout: float = 30) -> int:
        """Waits for its end; the exit code."""
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(asyncio.wrap_future(self.exited))
        except TimeoutError:
            raise TimeoutError(f"it lives on:\n{self.said[-3000:]}") from None

    async def stop(self, timeout: float = 60) -> int:
        """SIGTERM, and its end."""
        self.signal(signal.SIGTERM)
        return await self.died(timeout)

    async def kill(self) -> int:
        """SIGKILL, and its end."""
        self.signal(signal.SIGKILL)
        return await self.died()

    def signal(self, number: signal.Signals) -> None:
        if not self.exited.done():
            os.kill(self.pid, number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    @property
    def said(self) -> str:
        """What it wrote to its standard error so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Nursery:
    """Where processes come from. Close it at the end: whatever still lives dies with it."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.process"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._exits: dict[int, Future[int]] = {}
        self._born: queue.Queue[tuple[int, Future[int]]] = queue.Queue()
        self._one_at_a_time = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, env: Mapping[str, str], parts: Parts, log: Path) -> Proc:
        """A new process; it is starting up when this returns."""
        assert self._child.stdin is not None
        with self._one_at_a_time:
            self._child.stdin.write(json.dumps({"env": dict(env), "parts": parts, "log": str(log)}) + "\n")
            pid, exited = self._born.get(timeout=60)
        return Proc(pid, log, exited)

    def close(self) -> None:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(30)
        self._reader.join(10)
        self._child.stdout.close()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            told = json.loads(line)
            if "born" in told:  # never behind a lock: an end may be told between an order and its birth
                self._exits[told["born"]] = Future()
                self._born.put((told["born"], self._exits[told["born"]]))
            else:
                self._exits.pop(told["dead"]).set_result(told["code"])


def _serve_forks() -> None:
    """Forks a process for each line; tells births and deaths; ends, with all of them, when its input ends."""
    import bot.app  # noqa: F401 - loaded once, here, instead of in every process
    import platforms.slack.adapter  # noqa: F401

    assert threading.active_count() == 1, "a process with threads must not fork"
    rest, children, listening = b"", set[int](), True
    while listening:
        ready, _, _ = select.select([0], [], [], 0.02)
        if ready:
            data = os.read(0, 65536)
            listening = bool(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                children.add(pid := _fork(json.loads(line)))
                _tell(born=pid)
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                children.discard(pid)
                _tell(dead=pid, code=os.waitstatus_to_exitcode(status))
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _tell(**what: int) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order["env"])
        code = asyncio.run(_main(order["parts"]))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


async def _main(parts: Parts) -> int:
    from bot.app import open_app, open_worker, run_parts, stop_on_signals
    from bot.logs import configure_logs
    from platforms.registry import load_settings

    if CLOCK in os.environ:
        _go_wrong(Path(os.environ.pop(CLOCK)))
    settings = load_settings()
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(settings, with_platforms=parts != "worker"))
        configure_logs(settings.log_level, app.redactor, terminal=False)
        worker = await open_worker(app, stack) if parts != "serve" else None
        fatal = await run_parts(app, stop, worker, serve=parts != "worker")
    return 0 if fatal is None else 1


def _go_wrong(file: Path) -> None:
    """The product's clock in this process is as wrong as the file says at the moment."""
    from storage.engine import SystemClock

    def now(_self: SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(file.read_text() or 0))

    SystemClock.now = now  # type: ignore[method-assign]


if __name__ == "__main__":
    _serve_forks()

"""Starts `benchmarks.app_process` on simulators of this process, and ends it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platforms.registry import Simulator

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """The app's process."""

    process: subprocess.Popen[str]

    def said(self) -> str:
        """The next line it prints; raises when it ended instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the app ended with exit code {self.process.wait()}")
        return line.strip()

    def end(self) -> dict[str, Any]:
        """Ends it; what it noted."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.said())


@contextmanager
def app_on(*simulators: Simulator, **plan: Any) -> Iterator[Running]:
    """The app on SQLite and the simulators, connected. `settings` in the plan are added to what it needs."""
    with tempfile.TemporaryDirectory(prefix="codetask-bench-") as folder:
        settings = {
            "codetask_data": f"{folder}/data",
            **{name: value for simulator in simulators for name, value in simulator.settings.items()},
            "repos": {"app": {"url": f"file://{folder}/none.git", "forge": "local"}},
            "default_agent": "patch",
            "sandbox": "none",
            "filers": "*",
            "person_daily_tasks": 1_000_000,
            "channel_daily_tasks": 1_000_000,
            "web_bind": "127.0.0.1:0",
            **plan.pop("settings", {}),
        }
        command = [sys.executable, "-m", "benchmarks.app_process", json.dumps({"settings": settings, **plan})]
        here = Path(__file__).resolve().parents[1]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=here)
        running = Running(process)
        try:
            if running.said() != "ready":
                raise RuntimeError("the app did not start")
            yield running
        finally:
            process.terminate()
            process.communicate(timeout=START_SECONDS)

"""`codetask --help`, as a person waits for it: a fresh process each time."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figure import Figure, percentile

TARGET_MS = 300.0
PROGRAM = Path(sys.executable).with_name("codetask")


def run(quick: bool = False) -> list[Figure]:
    command = [str(PROGRAM)] if PROGRAM.exists() else [sys.executable, "-c", "from bot.cli import main; main()"]
    _seconds([*command, "--help"])
    times = [_seconds([*command, "--help"]) * 1000 for _ in range(1 if quick else 15)]
    bare = [_seconds([sys.executable, "-c", "pass"]) * 1000 for _ in range(1 if quick else 5)]
    return [
        Figure("cli_help_ms", round(percentile(times, 0.5), 1), "ms", TARGET_MS, note="median"),
        Figure("cli_bare_python_ms", round(percentile(bare, 0.5), 1), "ms", note="of it, starting Python"),
    ]


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began

"""What a process costs that has nothing to do: one platform or all of them connected, worker waiting, SQLite."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.app_under_test import app_on
from benchmarks.figure import Figure
from platforms.registry import PLATFORMS, create_simulator

ALL_RSS_MB = 320.0
ALL_CPU_PERCENT = 1.0
TICKS = os.sysconf("SC_CLK_TCK")


def run(quick: bool = False) -> list[Figure]:
    seconds = 1.0 if quick else 20.0
    return [*_on("slack", ["slack"], seconds), *_on("all", list(PLATFORMS), seconds, ALL_RSS_MB, ALL_CPU_PERCENT)]


def _on(label: str, names: list[str], seconds: float, *targets: float) -> list[Figure]:
    simulators: list[Any] = [create_simulator(name) for name in names]
    for simulator in simulators:
        simulator.start()
    try:
        return asyncio.run(_measure(label, simulators, seconds, *targets))
    finally:
        for simulator in simulators:
            simulator.stop()


async def _measure(
    label: str, simulators: list[Any], seconds: float, rss: float | None = None, cpu: float | None = None
) -> list[Figure]:
    with app_on(*simulators, worker=True) as app:
        await asyncio.sleep(min(seconds, 3.0))  # let the start settle
        pid = app.process.pid
        began, used, woken = time.monotonic(), cpu_seconds(pid), wake_ups(pid)
        await asyncio.sleep(seconds)
        lasted = time.monotonic() - began
        percent = (cpu_seconds(pid) - used) / lasted * 100
        return [
            Figure(f"idle_cpu_percent_{label}", round(percent, 2), "%", cpu, note="of one core"),
            Figure(f"idle_wakeups_{label}", round((wake_ups(pid) - woken) / lasted, 1), "/s"),
            Figure(f"idle_rss_mb_{label}", round(rss_mb(pid), 1), "MB", rss),
        ]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, with the kernel's resolution."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def wake_ups(pid: int) -> int:
    """How often any thread of a process gave up a core by itself: it was woken as often."""
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        words = status.read_text().rpartition("\nvoluntary_ctxt_switches:")[2].split()
        count += int(words[0])
    return count


def rss_mb(pid: int) -> float:
    """Resident memory in megabytes (10^6 bytes)."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6

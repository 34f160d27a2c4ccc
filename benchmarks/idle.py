"""What a process costs that has nothing to do: Slack connected, worker waiting, SQLite."""

import asyncio
import os
import time
from pathlib import Path

from benchmarks.app_under_test import app_on
from benchmarks.figure import Figure
from platforms.slack.simulator import SlackSimulator

TICKS = os.sysconf("SC_CLK_TCK")


def run(quick: bool = False) -> list[Figure]:
    return asyncio.run(_measure(1.0 if quick else 20.0))


async def _measure(seconds: float) -> list[Figure]:
    with SlackSimulator() as simulator, app_on(simulator, worker=True) as app:
        await simulator.wait_for(lambda: simulator.connections, 20)
        await asyncio.sleep(min(seconds, 3.0))  # let the start settle
        pid = app.process.pid
        began, used, woken = time.monotonic(), cpu_seconds(pid), wake_ups(pid)
        await asyncio.sleep(seconds)
        lasted = time.monotonic() - began
        percent = (cpu_seconds(pid) - used) / lasted * 100
        return [
            Figure("idle_cpu_percent_slack", round(percent, 2), "%", note="of one core"),
            Figure("idle_wakeups_slack", round((wake_ups(pid) - woken) / lasted, 1), "/s"),
            Figure("idle_rss_mb_slack", round(rss_mb(pid), 1), "MB"),
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

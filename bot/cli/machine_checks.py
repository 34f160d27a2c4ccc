"""`doctor`: what this machine must have: Python, time zones, git, disk, a sandbox and the agents."""

import shutil
import sys
import zoneinfo
from collections.abc import Sequence
from typing import Final

from bot.cli.findings import Finding, fail, ok, warn
from bot.ports import Sandbox
from bot.settings import Settings

PYTHON: Final = (3, 11)
GIT: Final = (2, 34)


async def check_python() -> Sequence[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < PYTHON:
        return [fail("python", version, "Install Python 3.11 or newer.")]
    return [ok("python", version)]


async def check_time_zones() -> Sequence[Finding]:
    try:
        zoneinfo.ZoneInfo("Europe/Zurich")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return [fail("time zones", "no time zone data", "pip install tzdata")]
    return [ok("time zones", "tzdata")]


async def check_git(settings: Settings) -> Sequence[Finding]:
    from bot.worker.git import Git

    version = await Git(settings.data_dir / "git-home").version()
    if version is None:
        return [fail("git", "git cannot be started", "Install git 2.34 or newer: apt install git | dnf install git")]
    shown = ".".join(str(part) for part in version)
    if version < GIT:
        return [fail("git", shown, "Install git 2.34 or newer.")]
    return [ok("git", shown)]


async def check_disk(settings: Settings) -> Sequence[Finding]:
    """Red where no worker of these settings would start a run, yellow at twice that."""
    from bot.worker.disk import existing, reserve_of

    found: list[Finding] = []
    for name, folder in {"data folder": settings.data_dir, "workspaces": settings.workspaces}.items():
        use = shutil.disk_usage(existing(folder))
        reserve = reserve_of(settings, use.total)
        says = f"{_size(use.free)} free at {folder}"
        fix = "Free some space, or move it: CODETASK_DATA, WORKSPACE_ROOT."
        if use.free < reserve:
            stops = f"{says}, {_size(reserve)} are kept in reserve: workers start no run"
            found.append(fail(name, stops, fix))
        else:
            found.append(warn(name, says, fix) if use.free < 2 * reserve else ok(name, says))
    return found


def _size(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{size // 1024**2} MiB"


async def check_agents(settings: Settings, sandbox: Sandbox | None) -> Sequence[Finding]:
    """Starts every usable agent in the sandbox and asks who it is."""
    from bot.app import usable_agents
    from bot.worker.agents import create_agent

    names = usable_agents(settings)
    if settings.default_agent not in names:
        known = ", ".join(names) or "none"
        return [fail("agents", f"DEFAULT_AGENT={settings.default_agent} cannot be used", f"Usable here: {known}.")]
    if sandbox is None:
        return [warn("agents", "not checked without a sandbox", "Fix the sandbox first.")]
    found: list[Finding] = []
    for name in names:
        info = await create_agent(name, settings).check(sandbox)
        if not info.problem:
            found.append(ok(f"agent {name}", info.version or "ready"))
        elif name == settings.default_agent:
            found.append(fail(f"agent {name}", "cannot be used", info.problem))
        else:
            found.append(warn(f"agent {name}", "cannot be used", info.problem))
    return found

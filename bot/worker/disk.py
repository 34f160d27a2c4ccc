"""How much disk a run uses: polled, because a limit on file size does not stop many small files. And how much the
machine has left: below a reserve no new run starts."""

import asyncio
import shutil
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from bot.settings import Settings
from bot.worker.git import LOCAL_LIMIT
from bot.worker.processes import start_child

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """What the folders of one run may hold together. The numbers are those of the security design, section 5.3."""

    total_bytes: int = 2 * 1024**3
    entries: int = 200_000
    every: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Bytes on disk and the number of files and folders. What lies in folders we may not read is not counted."""

    total_bytes: int
    entries: int


async def measure(folder: Path) -> DiskUse:
    """The use of a folder, other file systems left out. `du` also reaches paths longer than the system's limit."""
    sizes, entries = await asyncio.gather(_du(folder, "--block-size=1"), _du(folder, "--inodes"))
    return DiskUse(sizes, entries)


async def watch_disk(folder: Path, limits: DiskLimits) -> Literal["bytes", "files"]:
    """Returns only when the folder is over a limit, and says which. Run it beside the run and cancel it at its end."""
    while True:
        use = await measure(folder)
        if use.total_bytes > limits.total_bytes:
            return "bytes"
        if use.entries > limits.entries:
            return "files"
        await asyncio.sleep(limits.every.total_seconds())


FULL_BYTES: Final = 1024**2
"""What is left where writing fails, give or take what the file system keeps for itself."""


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def reserve_of(settings: Settings, total_bytes: int) -> int:
    """Bytes that stay free on a disk of that size: 2 GiB by default (DISK_RESERVE_MB), a tenth of a smaller disk."""
    return min(settings.disk_reserve_mb * 1024**2, total_bytes // 10)


def shortage(settings: Settings) -> str:
    """Which disk is below its reserve, in words for the log; empty when no new run is hindered."""
    for folder in (settings.workspaces, settings.data_dir):
        with suppress(OSError):
            use = shutil.disk_usage(existing(folder))
            reserve = reserve_of(settings, use.total)
            if use.free < reserve:
                return f"{use.free // 1024**2} MiB free at {folder}, {reserve // 1024**2} MiB are kept in reserve"
    return ""


def is_full(folder: Path) -> bool:
    """Whether nothing more can be written there."""
    with suppress(OSError):
        return shutil.disk_usage(existing(folder)).free < FULL_BYTES
    return False


class OverDiskError(Exception):
    """A run's folders grew over a limit; the text names it."""


def disk_limits(settings: Settings) -> DiskLimits:
    """The limits of the settings."""
    return DiskLimits(settings.workspace_max_mb * 1024**2, settings.workspace_max_files)


async def within_disk(work: Coroutine[Any, Any, T], folder: Path, limits: DiskLimits) -> T:
    """The result of `work`; cancels it and raises `OverDiskError` as soon as the folder is over a limit."""
    working, watching = asyncio.create_task(work), asyncio.create_task(watch_disk(folder, limits))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        what = f"{limits.total_bytes // 1024**2} MiB" if watching.result() == "bytes" else f"{limits.entries} files"
        raise OverDiskError(f"its workspace holds more than {what}")
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.wait({working, watching})


async def _du(folder: Path, unit: str) -> int:
    child = await start_child(
        ["du", "--summarize", "--one-file-system", unit, "--", str(folder)],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    try:
        child.stdin.close()
        async with asyncio.timeout(LOCAL_LIMIT.total_seconds()):
            # It complains about every file that vanishes meanwhile; unread complaints would block it.
            said, _ = await asyncio.gather(child.stdout.read(), _drop(child.stderr))
            await child.wait()
    except TimeoutError:
        return 0
    finally:
        child.kill()
        await child.wait()
        child.close()
    first = said.split(maxsplit=1)[:1]
    return int(first[0]) if first and first[0].isdigit() else 0


async def _drop(stream: asyncio.StreamReader) -> None:
    while await stream.read(64 * 1024):
        pass

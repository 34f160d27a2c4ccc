"""Making and removing workspace folders. Only folders with our marker file are ever removed."""

import asyncio
import fcntl
import os
import re
import stat
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bot.worker.processes import kill_marked

MARKER: Final = ".codetask-workspace"
KEPT: Final = ".codetask-kept"
"""In a workspace whose run failed: it is kept for a while so that people can look at it."""
_NAME: Final = re.compile(r"ct-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_FOLDERS: Final = ("tree", "test", "home", "agent-home", "scratch", "state")
_ENV: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
_FLAGS: Final = struct.Struct("l")
_GET_FLAGS: Final = 0x80006601 | _FLAGS.size << 16
_SET_FLAGS: Final = 0x40006602 | _FLAGS.size << 16
_TOP_FOLDER: Final = 0x20000
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL of linux/fs.h."""


def new_folder(root: Path, name: str) -> Path:
    """Makes the folders of a workspace, readable to us only."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    spread_folders(root)
    path = root / name
    path.mkdir(mode=0o700)
    (path / MARKER).touch(mode=0o600)
    for folder in _FOLDERS:
        (path / folder).mkdir(mode=0o700)
    return path


def spread_folders(root: Path) -> None:
    """Asks ext4 to put each folder made in `root` into a region of its own (`chattr +T`); others have no such flag.

    ext4 without a journal looks at every inode freed in the last minutes before it takes one: beside the removed
    workspaces of earlier runs a new file costs a millisecond instead of 25 us (docs/decisions/0007)."""
    with suppress(OSError):
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flags = _FLAGS.unpack(fcntl.ioctl(fd, _GET_FLAGS, _FLAGS.pack(0)))[0]
            if not flags & _TOP_FOLDER:
                fcntl.ioctl(fd, _SET_FLAGS, _FLAGS.pack(flags | _TOP_FOLDER))
        finally:
            os.close(fd)


def is_workspace(path: Path) -> bool:
    """Whether a path is a real folder of ours: its name, no link, with the marker as a regular file in it."""
    if _NAME.fullmatch(path.name) is None:
        return False
    try:
        return stat.S_ISDIR(path.lstat().st_mode) and stat.S_ISREG((path / MARKER).lstat().st_mode)
    except OSError:
        return False


async def remove_folder(root: Path, name: str) -> None:
    """Removes a workspace; nothing happens when it is gone. Raises OSError when it is not ours or something is left.

    `rm` and `chmod` never follow links below the folder and reach paths longer than the system's limit."""
    path = root / name
    if not _exists(path):
        return
    if not is_workspace(path):
        raise OSError(f"{name} is not a workspace of ours")
    # The marker goes last, so that an interrupted removal is finished by the janitor.
    inner = [os.fspath(path / entry) for entry in os.listdir(path) if entry != MARKER]
    if not await _remove(inner):
        await _call("chmod", "-R", "u+rwX", "--", *inner)
        if not await _remove(inner):
            raise OSError(f"the workspace {name} could not be removed")
    (path / MARKER).unlink(missing_ok=True)
    path.rmdir()


def keep_folder(path: Path) -> None:
    """Marks a workspace as one of a failed run."""
    (path / KEPT).touch(mode=0o600)


async def remove_stale(
    root: Path, live: set[str], older_than: timedelta, now: datetime, *, kept_for: timedelta | None = None
) -> list[str]:
    """The janitor: removes workspaces that no live run names and that were last touched before `now - older_than`
    (`kept_for`, if given, for those of failed runs), with every process that still works in them.

    Returns the removed names. One that cannot be removed is left for the next time."""
    removed: list[str] = []
    for entry in _entries(root):
        path = root / entry
        if entry in live or not is_workspace(path):
            continue
        try:
            touched_at = datetime.fromtimestamp((path / MARKER).lstat().st_mtime, UTC)
            limit = kept_for if kept_for is not None and _exists(path / KEPT) else older_than
            if now - touched_at < limit:
                continue
            await kill_marked(str(path / "agent-home"), "HOME")
            await remove_folder(root, entry)
        except OSError:
            continue
        removed.append(entry)
    return removed


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _entries(root: Path) -> list[str]:
    try:
        return sorted(os.listdir(root))
    except FileNotFoundError:
        return []


async def _remove(paths: list[str]) -> bool:
    return not paths or await _call("rm", "-rf", "--one-file-system", "--", *paths)


async def _call(*argv: str) -> bool:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=_ENV,
        cwd="/",
    )
    return await process.wait() == 0

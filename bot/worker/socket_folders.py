"""The short folders of a run's sockets under a temporary folder: made per run, removed when stale.

A worker that was killed leaves its own behind, with the path to a model that nobody answers any more."""

import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

PREFIX: Final = "ct-"
SETTLED: Final = timedelta(minutes=1)
"""A folder younger than this may be one that is being made."""
_NAME: Final = re.compile(r"ct-[a-z0-9_]{8}")


ROOM: Final = 60
"""Characters of a temporary folder's path that leave room for a socket's: it ends at 107 bytes."""


def socket_root() -> Path:
    """The system's temporary folder, or /tmp where TMPDIR names one whose path is too long for sockets."""
    chosen, plain = Path(tempfile.gettempdir()), Path("/tmp")
    too_long = len(os.fsencode(chosen)) > ROOM
    return plain if too_long and os.access(plain, os.W_OK | os.X_OK) else chosen


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A private folder with a short path (a unix socket's path ends at 107 bytes), gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=socket_root()) as folder:
        yield Path(folder)


def remove_dead(now: datetime, root: Path | None = None) -> list[str]:
    """Removes the folders of our own user whose sockets nobody listens on; the names removed.

    Only folders with our name that hold nothing but sockets are touched, and links are never followed."""
    parent = root or socket_root()
    removed: list[str] = []
    for name in _names(parent):
        with suppress(OSError):
            if _is_dead(parent / name, now):
                _remove(parent / name)
                removed.append(name)
    return removed


def _names(parent: Path) -> list[str]:
    with suppress(OSError):
        return sorted(name for name in os.listdir(parent) if _NAME.fullmatch(name))
    return []


def _is_dead(folder: Path, now: datetime) -> bool:
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) != 0o700:
        return False
    if now - datetime.fromtimestamp(seen.st_mtime, UTC) < SETTLED:
        return False
    return all(_is_silent_socket(folder / name) for name in os.listdir(folder))


def _is_silent_socket(path: Path) -> bool:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(1)
        try:
            caller.connect(os.fspath(path))
        except ConnectionRefusedError:
            return True
    return False


def _remove(folder: Path) -> None:
    for name in os.listdir(folder):
        (folder / name).unlink()
    folder.rmdir()

"""Kernel limits of a sandboxed process tree, set by a `prlimit` prefix (never by code run between fork and exec)."""

import shutil
from functools import cache

from bot.ports import Limits


@cache
def prlimit_program() -> str | None:
    """The path of `prlimit` (util-linux), or None when it is not installed."""
    return shutil.which("prlimit")


def prlimit_prefix(limits: Limits, *, processes: bool = True) -> list[str]:
    """The words to put before a command. `processes=False` leaves the process count alone.

    Outside a user namespace RLIMIT_NPROC counts every process of the account, the operator's own included."""
    program = prlimit_program()
    if program is None:
        return []
    words = [
        program,
        f"--fsize={limits.file_bytes}",
        "--core=0",
        f"--nofile={limits.open_files}",
        f"--cpu={max(1, int(limits.wall.total_seconds()))}",
    ]
    if processes:
        words.append(f"--nproc={limits.processes}")
    return [*words, "--"]

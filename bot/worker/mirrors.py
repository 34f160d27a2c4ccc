"""Mirrors: one bare repository per configured repository, written only by our own fetch, shared by all runs."""

import asyncio
import fcntl
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.core.branches import is_branch
from bot.ports import GitAccess, Repo
from bot.worker.git import FETCH_LIMIT, Git, GitCall, GitFailed

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LOCK_POLL = 0.02


def mirror_path(root: Path, alias: str) -> Path:
    """The mirror of a configured repository. Raises ValueError for an alias that is no plain name."""
    if _ALIAS.fullmatch(alias) is None:
        raise ValueError(f"{alias!r} cannot be the name of a repository")
    return root / "mirrors" / f"{alias}.git"


async def update_mirror(root: Path, git: Git, repo: Repo, base: str, access: GitAccess | None) -> str | GitFailed:
    """Fetches the base branch and returns its commit. Runs of one repository wait for each other here."""
    if not is_branch(base):
        return GitFailed("not_found", f"{base!r} is not a branch name that can be used.")
    mirror = mirror_path(root, repo.alias)
    async with locked(mirror):
        if not (mirror / "HEAD").exists():
            made = await git.run(GitCall(["init", "-q", "--bare", "--template=", "--", os.fspath(mirror)], mirror))
            if isinstance(made, GitFailed):
                return made
            (mirror / "objects" / "info").mkdir(exist_ok=True)
        kept = f"refs/remotes/base/{base}"
        options = ["-q", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--end-of-options"]
        args = ["fetch", *options, repo.url, f"+refs/heads/{base}:{kept}"]
        fetched = await git.run(GitCall(args, mirror, url=repo.url, access=access, limit=FETCH_LIMIT))
        if isinstance(fetched, GitFailed):
            return fetched
        found = await git.run(GitCall(["rev-parse", "--verify", "--end-of-options", f"{kept}^{{commit}}"], mirror))
    return found if isinstance(found, GitFailed) else found.decode().strip()


async def pack_mirror(root: Path, git: Git, alias: str) -> GitFailed | None:
    """Packs a mirror anew. Objects younger than two weeks stay, so a run that still uses them is safe."""
    mirror = mirror_path(root, alias)
    async with locked(mirror):
        done = await git.run(GitCall(["gc", "-q", "--prune=2.weeks.ago"], mirror, limit=FETCH_LIMIT))
    return done if isinstance(done, GitFailed) else None


@asynccontextmanager
async def locked(mirror: Path) -> AsyncIterator[None]:
    """Holds the mirror's file lock; several workers on one machine may share a root. The lock dies with its process."""
    mirror.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(mirror.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while not _try_lock(fd):  # noqa: ASYNC110 - another process holds it; the kernel has no event for us
            await asyncio.sleep(_LOCK_POLL)
        yield
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

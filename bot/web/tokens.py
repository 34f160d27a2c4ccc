"""Tokens of the API: made, stored as their SHA-256 alone, and the two that a server admits when it starts.

Nothing here needs the web framework: a worker of its own process proves its token with it.
"""

import getpass
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from bot.core.people import CONSOLE, TOKEN, Role
from bot.store import Store, Transaction

PREFIX: Final = "ct_"


def new_token() -> str:
    """A token nobody can guess (32 random bytes)."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def person_key(platform: str, workspace_id: str, person_id: str) -> str:
    """How a token row names the person it acts for."""
    return f"{platform}:{workspace_id}:{person_id}"


async def leave_local_token(store: Store, path: Path) -> None:
    """Makes sure that the token file holds a live token of the console's admin, readable by its owner alone."""
    kept = _read_own(path)
    if kept and await store.run(lambda tx: tx.people.token(digest(kept)), read=True):
        return
    token, user = new_token(), _user()
    key = person_key(CONSOLE, "", user)

    def unit(tx: Transaction) -> None:
        tx.people.add_token("local", digest(token), "read write", key, Role.ADMIN.value)
        tx.people.audit("server", "token.create", "local", {"person": key, "scopes": ["read", "write"]})

    await store.run(unit)
    _write_private(path, token)


async def admit_worker_token(store: Store, token: str) -> None:
    """Stores the hash of WORKER_TOKEN, so that a worker of another process can prove itself with it."""

    def unit(tx: Transaction) -> None:
        if tx.people.token(digest(token)) is None:
            key = person_key(TOKEN, "", "worker")
            tx.people.add_token("worker", digest(token), "worker", key, "")
            tx.people.audit("server", "token.create", "worker", {"person": key, "scopes": ["worker"]})

    await store.run(unit)


async def knows_worker_token(store: Store, token: str) -> bool:
    """Whether the server admitted this WORKER_TOKEN."""
    found = await store.run(lambda tx: tx.people.token(digest(token)), read=True)
    return found is not None and "worker" in found[1]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _read_own(path: Path) -> str:
    try:
        seen = path.lstat()
        private = stat.S_ISREG(seen.st_mode) and seen.st_uid == os.getuid() and not stat.S_IMODE(seen.st_mode) & 0o077
        return path.read_text().strip() if private else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _write_private(path: Path, token: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
    fresh.replace(path)

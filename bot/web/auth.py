"""Who is asking: bearer tokens, their scopes, and the person each acts for.

Only the SHA-256 of a token is stored. A token acts for one person: someone on a platform (roles are asked again at
every request), the console, or nobody else's account, with the one role its admin gave it.
"""

import getpass
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import Request

from bot.core.inbound import Person
from bot.core.people import CONSOLE, TOKEN, Role
from bot.services.people import Rights
from bot.store import Store, Transaction
from bot.web.errors import ApiError

SCOPES: Final = ("read", "write", "worker")
PREFIX: Final = "ct_"
_BEARER: Final = re.compile(r"[Bb]earer +([\x21-\x7e]{8,200})")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever a request comes from: the person it acts for, what the token allows, and the person's role here."""

    person: Person
    scopes: frozenset[str]
    role: Role | None


def new_token() -> str:
    """A token nobody can guess (32 random bytes)."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def person_key(platform: str, workspace_id: str, person_id: str) -> str:
    """How a token row names the person it acts for."""
    return f"{platform}:{workspace_id}:{person_id}"


def caller_with(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that answers the caller, and refuses one without a live token (401) or without `scope` (403)."""

    async def depend(request: Request) -> Caller:
        found = await find_caller(request.app.state.parts.store, request.app.state.parts.tasks.rights, request)
        if found is None:
            raise ApiError(401)
        if scope not in found.scopes:
            raise ApiError(403, "missing_scope", f"This token lacks the scope {scope}.")
        return found

    return depend


async def find_caller(store: Store, rights: Rights, request: Request) -> Caller | None:
    """Whose token the request carries, None without a live one."""
    given = _BEARER.fullmatch(request.headers.get("authorization", "").strip())
    if given is None:
        return None
    sha256 = digest(given[1])
    return await store.run(lambda tx: _caller(tx, rights, sha256), read=True)


def _caller(tx: Transaction, rights: Rights, sha256: str) -> Caller | None:
    found = tx.people.token(sha256)
    if found is None:
        return None
    key, scopes, role = found
    platform, _, rest = key.partition(":")
    workspace_id, _, person_id = rest.partition(":")
    person = tx.people.find(platform, workspace_id, person_id) if platform not in (CONSOLE, TOKEN) else None
    if person is None:
        roles = frozenset({role}) if platform == TOKEN and role else frozenset[str]()
        person = Person(platform=platform, workspace_id=workspace_id, id=person_id, name=person_id, roles=roles)
    return Caller(person, scopes, rights.role(person))


# --- Tokens the server makes for itself -------------------------------------------------------------------------------


async def leave_local_token(store: Store, path: Path) -> None:
    """Makes sure that the token file holds a live token of the console's admin, readable by its owner alone."""
    kept = _read_own(path)
    if kept and await store.run(lambda tx: tx.people.token(digest(kept)), read=True):
        return
    token, user = new_token(), _user()
    key = person_key(CONSOLE, "", user)
    await store.run(lambda tx: tx.people.add_token("local", digest(token), "read write", key, Role.ADMIN.value))
    _write_private(path, token)


async def admit_worker_token(store: Store, token: str) -> None:
    """Stores the hash of WORKER_TOKEN, so that a worker of another process can prove itself with it."""

    def unit(tx: Transaction) -> None:
        if tx.people.token(digest(token)) is None:
            tx.people.add_token("worker", digest(token), "worker", person_key(TOKEN, "", "worker"), "")

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

"""What the simulated GitHub knows: repositories, pull requests, tokens, Apps, and what was asked of it."""

import base64
import binascii
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import jwt

LEVELS = {"read": 1, "write": 2, "admin": 3}


@dataclass
class StoredToken:
    """A token GitHub knows. `repositories` are full names; None opens every repository."""

    value: str = field(repr=False)
    repositories: frozenset[str] | None
    permissions: Mapping[str, str]
    expires_at: datetime | None = None
    revoked: bool = False

    def allows(self, repository: str, permission: str, level: str) -> bool:
        if self.repositories is not None and repository.lower() not in {name.lower() for name in self.repositories}:
            return False
        return LEVELS.get(self.permissions.get(permission, ""), 0) >= LEVELS[level]


@dataclass
class App:
    """An App and its one installation. `over_grant` makes GitHub answer with wider tokens than asked for."""

    app_id: str
    public_key: str
    installation_id: int
    repositories: frozenset[str]
    permissions: Mapping[str, str]
    over_grant: Literal["", "permissions", "repositories", "all"] = ""


@dataclass
class Repository:
    """A repository: a bare one on disk."""

    owner: str
    name: str
    path: Path
    default_branch: str
    private: bool = True
    drafts: bool = True
    pulls: "dict[int, Pull]" = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass
class Pull:
    """A pull request."""

    number: int
    title: str
    body: str
    head: str
    base: str
    draft: bool
    created_at: str
    updated_at: str
    state: Literal["open", "closed"] = "open"
    head_sha: str = ""
    base_sha: str = ""
    merged_at: str | None = None
    merged_by: str = ""
    merge_sha: str | None = None
    closed_at: str | None = None
    head_repository: str = ""
    """Full name of a fork, empty for this repository."""

    @property
    def head_owner(self) -> str:
        return self.head_repository.partition("/")[0]


@dataclass(frozen=True)
class Call:
    """One REST request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str] = field(repr=False)
    status: int


@dataclass(frozen=True)
class Push:
    """One accepted push: old and new object names per ref, and the token that did it."""

    repository: str
    refs: Mapping[str, tuple[str, str]]
    token: str = field(repr=False)


class Accounts:
    """Tokens and Apps. `now` is the simulator's clock; App JWTs are checked against real time, as gidgethub signs."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.tokens: dict[str, StoredToken] = {}
        self.apps: dict[str, App] = {}
        self.minted: list[StoredToken] = []

    def find(self, value: str) -> StoredToken | None:
        """A token that is good now."""
        token = self.tokens.get(value)
        if token is None or token.revoked:
            return None
        return token if token.expires_at is None or token.expires_at > self.now() else None

    def app_of(self, assertion: str) -> App | None:
        """The App that signed a JWT: RS256, at most 10 minutes long, not from the future."""
        try:
            issuer = str(jwt.decode(assertion, options={"verify_signature": False})["iss"])
            app = self.apps[issuer]
            claims = jwt.decode(assertion, app.public_key, algorithms=["RS256"], options={"require": ["iat", "exp"]})
        except (jwt.PyJWTError, KeyError):
            return None
        lifetime = claims["exp"] - claims["iat"]
        return app if lifetime <= 600 and claims["exp"] <= time.time() + 600 else None

    def mint(self, app: App, repositories: frozenset[str], permissions: Mapping[str, str]) -> StoredToken:
        """An installation token that lives one hour."""
        if app.over_grant in ("permissions", "all"):
            permissions = {**permissions, **app.permissions}
        if app.over_grant in ("repositories", "all"):
            repositories = app.repositories
        token = StoredToken(
            f"ghs_{secrets.token_hex(18)}",
            repositories,
            {"metadata": "read", **permissions},
            self.now().replace(microsecond=0) + timedelta(hours=1),
        )
        self.tokens[token.value] = token
        self.minted.append(token)
        return token


def bearer(authorization: str) -> str:
    """The token of `token X` or `bearer X`."""
    scheme, _, value = authorization.partition(" ")
    return value.strip() if scheme.lower() in ("token", "bearer") else ""


def basic_password(authorization: str) -> str | None:
    """The password of a Basic header; None without one."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None

"""Credentials for GitHub: a token from the settings, or App tokens minted for one repository, one use and no more.

gidgethub's own `get_installation_access_token` posts an empty body, so its token opens every repository; we post the
repository and the permissions ourselves and refuse an answer that is wider than asked.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, cast

from gidgethub import apps

from bot.ports import Clock, ForgeRefused, ForgeRetry, ForgeTrouble, Repo
from bot.worker.forges.github_errors import Failure
from bot.worker.forges.github_http import Answer, Ask, GitHubHttp, Unchanged
from bot.worker.forges.github_limits import Limits
from bot.worker.forges.settings import GitHubSettings

Permissions = Mapping[str, Literal["read", "write"]]

READ_CODE: Final[Permissions] = {"contents": "read"}
PUSH: Final[Permissions] = {"contents": "write", "pull_requests": "write"}
CHANGE_PULLS: Final[Permissions] = {"contents": "read", "pull_requests": "write"}
READ_PULLS: Final[Permissions] = {"pull_requests": "read"}

_JWT_SECONDS: Final = 540
_SPARE: Final = timedelta(minutes=5)
_LEVEL: Final = {"read": 1, "write": 2, "admin": 3}


@dataclass(frozen=True, slots=True)
class Token:
    """A credential that is good now."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Minted:
    token: str = field(repr=False)
    expires_at: datetime


def basic(token: str) -> str:
    """The value of git's Authorization header for a GitHub token."""
    return "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode("ascii")


class Credentials:
    """Hands out tokens. `register_secret` is told every minted token, so that it is masked everywhere."""

    def __init__(
        self,
        settings: GitHubSettings,
        http: GitHubHttp,
        limits: Limits,
        clock: Clock,
        register_secret: Callable[[str], None],
    ) -> None:
        self._settings, self._http, self._limits, self._clock = settings, http, limits, clock
        self._register_secret = register_secret
        self._installations: dict[tuple[str, str], int] = {}
        self._reading: dict[tuple[str, str], _Minted] = {}

    @property
    def renewable(self) -> bool:
        """Whether a refused token can be replaced by a new one."""
        return bool(self._settings.app_id)

    async def token(self, repo: Repo, permissions: Permissions, *, reuse: bool = False) -> Token | ForgeTrouble:
        """A token for one repository, minted now; with `reuse` an earlier reading token that still lives 5 minutes."""
        if self._settings.token:
            return Token(self._settings.token)
        if not self.renewable:
            say = "No GitHub credential is configured: set GITHUB_TOKEN, or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY."
            return ForgeRefused(say, config=True)
        kept = self._reading.get((repo.owner, repo.name)) if reuse else None
        if kept is not None and kept.expires_at - _SPARE > self._clock.now():
            return Token(kept.token)
        minted = await self._mint(repo, permissions)
        if not isinstance(minted, _Minted):
            return minted
        self._register_secret(minted.token)
        if reuse:
            self._reading[repo.owner, repo.name] = minted
        return Token(minted.token)

    def forget(self, repo: Repo) -> None:
        """GitHub refused a token of this repository: none is reused."""
        self._reading.pop((repo.owner, repo.name), None)

    async def _mint(self, repo: Repo, permissions: Permissions) -> _Minted | ForgeTrouble:
        if (wait := self._limits.held(repo.owner) or self._limits.mint()) is not None:
            return wait
        try:
            jwt = apps.get_jwt(
                app_id=self._settings.app_id, private_key=self._settings.app_private_key, expiration=_JWT_SECONDS
            )
        except Exception:
            return ForgeRefused("GITHUB_APP_PRIVATE_KEY is not a PEM private key of a GitHub App.", config=True)
        installation = await self._installation(repo, jwt)
        if not isinstance(installation, int):
            return installation
        answer = await self._http.ask(
            Ask(
                "POST",
                "/app/installations/{id}/access_tokens",
                {"id": str(installation)},
                data={"repositories": [repo.name], "permissions": dict(permissions)},
                jwt=jwt,
            )
        )
        if isinstance(answer, Answer):
            return _narrow(answer.data, repo, permissions)
        self._installations.pop((repo.owner, repo.name), None)
        return self._trouble(repo, answer)

    async def _installation(self, repo: Repo, jwt: str) -> int | ForgeTrouble:
        key = (repo.owner, repo.name)
        if key in self._installations:
            return self._installations[key]
        fields = {"owner": repo.owner, "repo": repo.name}
        answer = await self._http.ask(Ask("GET", "/repos/{owner}/{repo}/installation", fields, jwt=jwt))
        if not isinstance(answer, Answer):
            if isinstance(answer, Failure) and answer.kind == "missing":
                say = f"The GitHub App is not installed on {repo.owner}/{repo.name}: install it there."
                return ForgeRefused(say, config=True)
            return self._trouble(repo, answer)
        number = answer.data.get("id") if isinstance(answer.data, dict) else None
        if not isinstance(number, int) or number <= 0:
            return ForgeRetry(timedelta(seconds=2), "GitHub's answer could not be read")
        self._installations[key] = number
        return number

    def _trouble(self, repo: Repo, answer: Unchanged | Failure) -> ForgeTrouble:
        if isinstance(answer, Unchanged):
            return ForgeRetry(timedelta(seconds=2), "GitHub's answer could not be read")
        if answer.kind == "limited" and isinstance(answer.trouble, ForgeRetry):
            self._limits.hold(repo.owner, answer.trouble.after)
        if answer.kind == "unauthorized":
            say = "GitHub refused the App's key (401): check GITHUB_APP_ID, GITHUB_APP_PRIVATE_KEY and the clock."
            return ForgeRefused(say, config=True)
        return answer.trouble


def _narrow(data: object, repo: Repo, asked: Permissions) -> _Minted | ForgeTrouble:
    """The minted token, unless it opens more than was asked for (`metadata: read` always comes along)."""
    answer = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    token, expires_at = answer.get("token"), _instant(answer.get("expires_at"))
    if not isinstance(token, str) or not token or expires_at is None:
        return ForgeRetry(timedelta(seconds=2), "GitHub's answer could not be read")
    wide = ForgeRefused(
        "GitHub gave the App a token that opens more than was asked for; it was thrown away.", config=True
    )
    granted, names = answer.get("permissions"), answer.get("repositories")
    if not isinstance(granted, dict) or not isinstance(names, list) or answer.get("repository_selection") != "selected":
        return wide
    allowed = {"metadata": "read", **asked}
    if any(_LEVEL.get(str(level), 9) > _LEVEL.get(allowed.get(name, ""), 0) for name, level in granted.items()):
        return wide
    full = [str(row.get("full_name", "")).lower() if isinstance(row, dict) else "" for row in names]
    if full != [f"{repo.owner}/{repo.name}".lower()]:
        return wide
    if any(_LEVEL.get(str(granted.get(name)), 0) < _LEVEL[level] for name, level in asked.items()):
        missing = ", ".join(f"{name}: {level}" for name, level in asked.items())
        return ForgeRefused(f"The GitHub App lacks a permission: it needs {missing}.", config=True)
    return _Minted(token, expires_at)


def _instant(value: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return instant.astimezone(UTC) if instant is not None and instant.tzinfo is not None else None

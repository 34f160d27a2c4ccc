"""What the forges are told by the configuration."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bot.settings import Settings

GITHUB_API: Final = "https://api.github.com"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class ForgeMisconfigured(Exception):
    """A forge's settings cannot work; the message names the setting and what to put there. Never holds a secret."""


@dataclass(frozen=True, slots=True)
class GitHubSettings:
    """How to reach GitHub: a token, or an App (preferred: its tokens are minted per repository and per use).

    `api_url` is `https://api.github.com`, or `https://HOST/api/v3` of a GitHub Enterprise Server. `web_url` is where
    repositories are cloned from; empty means: the one that belongs to `api_url`."""

    token: str = field(default="", repr=False)
    app_id: str = ""
    app_private_key: str = field(default="", repr=False)
    api_url: str = GITHUB_API
    web_url: str = ""
    timeout: timedelta = timedelta(seconds=30)

    @property
    def git_host(self) -> tuple[str, str]:
        """Scheme and host[:port] that a git credential may be sent to."""
        if self.web_url:
            parts = urlsplit(self.web_url)
            return parts.scheme, parts.netloc
        parts = urlsplit(self.api_url)
        return parts.scheme, "github.com" if parts.netloc == "api.github.com" else parts.netloc

    def check(self) -> None:
        """Raises `ForgeMisconfigured` for half an App, two kinds of credentials, or an address without TLS."""
        if bool(self.app_id) != bool(self.app_private_key):
            missing = "GITHUB_APP_PRIVATE_KEY" if self.app_id else "GITHUB_APP_ID"
            raise ForgeMisconfigured(f"A GitHub App needs both its id and its key: set {missing}.")
        if self.token and self.app_id:
            raise ForgeMisconfigured("Set either GITHUB_TOKEN or GITHUB_APP_ID with GITHUB_APP_PRIVATE_KEY, not both.")
        for url in filter(None, (self.api_url, self.web_url)):
            _check_address(url)


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, user = parts.hostname or "", parts.username
    except ValueError:
        raise ForgeMisconfigured("The GitHub address is not a URL; the default is https://api.github.com.") from None
    if user is not None or parts.password is not None:
        raise ForgeMisconfigured("The GitHub address holds a user name or a password; put the token in GITHUB_TOKEN.")
    if parts.query or parts.fragment or not host:
        raise ForgeMisconfigured("The GitHub address must be a plain URL such as https://api.github.com.")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise ForgeMisconfigured("The GitHub address must start with https:// (http only on this machine).")


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The local forge: where its pull requests are shown; empty when no page shows them."""

    web_url: str = "http://127.0.0.1:8787"


def _forget(_secret: str) -> None:
    """For settings without redaction: tests, tools."""


@dataclass(frozen=True, slots=True)
class ForgeSettings:
    """Settings of every forge. `ssh_key` is the deploy key for ssh URLs; `git_home` is an empty folder of ours.

    `register_secret` is told every token that is minted, so that redaction knows it."""

    github: GitHubSettings = field(default_factory=GitHubSettings)
    local: LocalSettings = field(default_factory=LocalSettings)
    ssh_key: Path | None = None
    git_home: Path = Path("/nonexistent")
    register_secret: Callable[[str], None] = field(default=_forget, repr=False)

    @classmethod
    def read(cls, settings: Settings, git_home: Path, register_secret: Callable[[str], None]) -> "ForgeSettings":
        """What every forge needs of the process's settings."""
        token, key = settings.github_token, settings.github_app_private_key
        return cls(
            github=GitHubSettings(
                token=token.get_secret_value() if token else "",
                app_id=settings.github_app_id,
                app_private_key=key.get_secret_value() if key else "",
                api_url=settings.github_api_url,
                web_url=settings.github_web_url,
            ),
            local=LocalSettings(web_url=settings.codetask_url),
            ssh_key=settings.git_ssh_key_file,
            git_home=git_home,
            register_secret=register_secret,
        )

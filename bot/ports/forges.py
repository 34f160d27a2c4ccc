"""Forges: where branches and pull requests are. Implementations: `bot/worker/forges/`."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Repo:
    """A configured repository. People choose `alias`; only the configuration knows the URL."""

    alias: str
    url: str
    base: str = "main"
    forge: str = "none"
    """A name of `bot.worker.forges.FORGES`; `none` pushes branches without pull requests."""
    owner: str = ""
    name: str = ""
    setup_command: str = ""
    test_command: str = "auto"
    on_test_failure: Literal["draft_pr", "pr", "fail"] = "draft_pr"


@dataclass(frozen=True, slots=True)
class GitAccess:
    """A credential for one git call: the value of an HTTP Authorization header, or an SSH key file. Minted now."""

    authorization: str = field(default="", repr=False)
    ssh_key: Path | None = None


@dataclass(frozen=True, slots=True)
class PullRequestDraft:
    """A pull request to open: `head` and `base` are branch names."""

    head: str
    base: str
    title: str
    body: str
    draft: bool = False


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as the forge sees it."""

    number: int
    url: str
    state: Literal["open", "merged", "closed"]
    head: str
    draft: bool = False
    merged_by: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class ForgeRetry:
    """A passing fault: wait `after`, then ask again. `maybe_done`: look for the pull request first."""

    after: timedelta
    why: str
    maybe_done: bool = False


@dataclass(frozen=True, slots=True)
class ForgeRefused:
    """The forge said no for good. `config` is true for 401 and 403: a setting is wrong. `say` is fit for a person."""

    say: str
    config: bool = False


@dataclass(frozen=True, slots=True)
class NotModified:
    """The pull request has not changed since the given ETag."""


ForgeTrouble = ForgeRetry | ForgeRefused


@runtime_checkable
class Forge(Protocol):
    """Where branches are pushed to and pull requests live. `on_this_machine`: what is pushed leaves it not."""

    name: str
    on_this_machine: bool

    async def read_access(self, repo: Repo) -> GitAccess | ForgeTrouble: ...

    async def push_access(self, repo: Repo) -> GitAccess | ForgeTrouble:
        """A credential for one repository, minted right before the push."""
        ...

    async def open_pull_request(self, repo: Repo, draft: PullRequestDraft) -> PullRequest | ForgeTrouble:
        """Opens a pull request, or adopts and updates the open one of the same head."""
        ...

    async def update_pull_request(self, repo: Repo, number: int, draft: PullRequestDraft) -> PullRequest | ForgeTrouble:
        """Gives a pull request a new title and body, whatever its state. The answer says which state that is."""
        ...

    async def find_pull_request(self, repo: Repo, head: str) -> PullRequest | ForgeTrouble | None: ...

    async def pull_request(
        self, repo: Repo, number: int, etag: str = ""
    ) -> PullRequest | NotModified | ForgeTrouble: ...

    async def close_pull_request(self, repo: Repo, number: int) -> PullRequest | ForgeTrouble: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class MergingForge(Forge, Protocol):
    """A forge whose pull requests are merged through the product itself."""

    async def merge(self, repo: Repo, number: int, by: str) -> PullRequest | ForgeTrouble: ...

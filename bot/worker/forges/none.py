"""No forge: branches are pushed, nobody opens pull requests (product P20)."""

from urllib.parse import urlsplit

from bot.ports import Clock, ForgeRefused, GitAccess, NotModified, PullRequest, PullRequestDraft, Repo
from bot.worker.forges.github_auth import basic
from bot.worker.forges.settings import ForgeSettings

_SAY = "No pull request is configured for this repository: set GITHUB_OWNER and GITHUB_REPO."


class NoForge:
    """Hands out the configured git credential and refuses everything else."""

    name = "none"
    on_this_machine = False

    def __init__(self, settings: ForgeSettings) -> None:
        self._settings = settings

    async def read_access(self, repo: Repo) -> GitAccess:
        return self._access(repo)

    async def push_access(self, repo: Repo) -> GitAccess:
        return self._access(repo)

    def _access(self, repo: Repo) -> GitAccess:
        """The deploy key for ssh; the token only for the host it belongs to."""
        parts = urlsplit(repo.url)
        if parts.scheme == "ssh":
            return GitAccess(ssh_key=self._settings.ssh_key)
        github = self._settings.github
        if github.token and (parts.scheme, parts.netloc) == github.git_host:
            return GitAccess(authorization=basic(github.token))
        return GitAccess()

    async def open_pull_request(self, repo: Repo, draft: PullRequestDraft) -> ForgeRefused:
        return ForgeRefused(_SAY, config=True)

    async def update_pull_request(self, repo: Repo, number: int, draft: PullRequestDraft) -> ForgeRefused:
        return ForgeRefused(_SAY, config=True)

    async def find_pull_request(self, repo: Repo, head: str) -> PullRequest | None:
        return None

    async def pull_request(self, repo: Repo, number: int, etag: str = "") -> PullRequest | NotModified | ForgeRefused:
        return ForgeRefused(_SAY, config=True)

    async def close_pull_request(self, repo: Repo, number: int) -> ForgeRefused:
        return ForgeRefused(_SAY, config=True)

    async def aclose(self) -> None:
        return None


def create(settings: ForgeSettings, clock: Clock) -> NoForge:
    settings.github.check()
    return NoForge(settings)

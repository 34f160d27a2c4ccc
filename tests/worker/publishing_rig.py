"""One run's publisher on the simulated GitHub: real mirror, workspace, git over smart HTTP and REST, waits recorded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from bot.core.pull_requests import PullRequestContext
from bot.core.tasks import CodeTask
from bot.ports import PullRequest, Repo
from bot.services.attempts import Failure
from bot.worker.forges.github import GitHubForge
from bot.worker.forges.settings import ForgeSettings, GitHubSettings
from bot.worker.lease import Interrupted
from bot.worker.publishing import Publisher
from bot.worker.sandbox.none import NoSandbox
from bot.worker.workspace import Workspace
from tests.clock import START, FakeClock
from tests.simulators.github import App, GitHubSimulator
from tests.simulators.github.repositories import git, tip
from tests.worker.git_world import AT, AUTHOR, as_agent

OWNER, NAME = "acme", "web"
TOKEN: Final = "github_pat_11AAAAAAA0canary0canary0desk"
BRANCH: Final = "code-worker/CT-42"
PULLS: Final = f"/repos/{OWNER}/{NAME}/pulls"
REPO_GIT: Final = f"/{OWNER}/{NAME}.git"


@dataclass
class Desk:
    """A publisher, the code task's row as it notes it, and how long it waited in all. `lost` ends its lease."""

    github: GitHubSimulator
    repo: Repo
    forge: GitHubForge
    workspace: Workspace
    clock: FakeClock
    task: CodeTask
    waits: list[timedelta] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    lost: bool = False
    sha: str = ""

    def publisher(self) -> Publisher:
        return Publisher(
            self.workspace, self.repo, self.forge, self.note, self.still_ours, self.said.append, pause=self.pause
        )

    async def note(self, **values: Any) -> CodeTask:
        self.task = self.task.model_copy(update=values)
        return self.task

    async def still_ours(self) -> None:
        if self.lost:
            raise Interrupted("lost")

    async def pause(self, wait: timedelta) -> None:
        self.waits.append(wait)
        self.clock.advance(wait)

    async def prepare(self) -> None:
        """Mirror, checkout, one new file, and its commit: what every push starts from."""
        base = await self.publisher().fetch("main")
        assert isinstance(base, str), base
        assert await self.workspace.checkout(base) is None
        await as_agent(self.workspace, "echo a,b > export.csv")
        tree = await self.workspace.snapshot(base)
        assert isinstance(tree, str), tree
        sha = await self.workspace.commit(base, tree, "Add it\n", AUTHOR, AUTHOR, AT)
        assert isinstance(sha, str), sha
        self.sha = sha

    async def push(self) -> str | Failure:
        return await self.publisher().push(self.task, self.sha, "code-worker")

    async def open(self) -> PullRequest | Failure:
        return await self.publisher().open_pull_request(self.task, BRANCH, False, PullRequestContext(platform="Slack"))

    @property
    def pulls(self) -> list[Any]:
        return list(self.github.repositories[f"{OWNER}/{NAME}"].pulls.values())

    @property
    def tip(self) -> str | None:
        return tip(self.github.repositories[f"{OWNER}/{NAME}"].path, BRANCH)

    @property
    def branches(self) -> list[str]:
        path = self.github.repositories[f"{OWNER}/{NAME}"].path
        return git(path, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/code-worker").split()

    @property
    def waited(self) -> float:
        return sum(wait.total_seconds() for wait in self.waits)


@asynccontextmanager
async def desk(folder: Path, clock: FakeClock, app_keys: tuple[str, str] | None = None) -> AsyncIterator[Desk]:
    """A desk whose commit is ready to be pushed; with the keys of an App it uses that instead of a token."""
    with GitHubSimulator(folder / "github", clock.now) as github:
        github.add_repository(OWNER, NAME)
        github.add_token(TOKEN, f"{OWNER}/{NAME}")
        repo = Repo(NAME, github.clone_url(OWNER, NAME), forge="github", owner=OWNER, name=NAME)
        api = GitHubSettings(token=TOKEN, api_url=github.url, timeout=timedelta(seconds=5))
        if app_keys is not None:
            rights = {"contents": "write", "pull_requests": "write", "metadata": "read"}
            github.add_app(App("12345", app_keys[1], 77, frozenset({f"{OWNER}/{NAME}"}), rights))
            api = GitHubSettings(app_id="12345", app_private_key=app_keys[0], api_url=github.url)
        forge = GitHubForge(ForgeSettings(github=api), clock)
        workspace = Workspace.create(folder / "workspaces", "CT-42#1", repo, NoSandbox())
        task = CodeTask(
            id=42, uuid="u", name="n", requester_id="U1", title="Add it", description="Add the export",
            repo=NAME, base="main", agent="command", created_at=START, updated_at=START,
        )  # fmt: skip
        place = Desk(github, repo, forge, workspace, clock, task)
        try:
            await place.prepare()
            yield place
        finally:
            await forge.aclose()
        assert github.problems == []

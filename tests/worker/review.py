"""A code task in review with its branch and its pull request on the local forge, made without running an agent."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.core.commands import Options
from bot.core.followups import FollowUp
from bot.core.tasks import CodeTask
from bot.ports import PullRequest, PullRequestDraft
from bot.services.attempts import Cost
from bot.services.refusals import Refused
from bot.services.tasks import Filing
from bot.settings import RepoSettings
from bot.store import Transaction
from bot.worker.forges.local import LocalForge
from bot.worker.forges.local_store import LocalPull
from tests.simulators.github.repositories import commit_files, git, make_bare, tip
from tests.worker.git_world import FILES
from tests.worker.house import ADMIN, AGENT, THREAD, House

BRANCH = "code-worker/CT-1"
RED = "! test -f red.txt"


def local_repo(folder: Path, **more: Any) -> dict[str, RepoSettings]:
    """One repository on the local forge whose tests fail on `red.txt`."""
    make_bare(folder / "shop.git", "main", FILES)
    return {"shop": shop(folder / "shop.git", **more)}


def shop(bare: Path, **more: Any) -> RepoSettings:
    """The settings of that repository."""
    return RepoSettings(url=f"file://{bare}", forge="local", test_command=RED, **more)


@dataclass(frozen=True)
class Review:
    """The code task CT-1 in review, and the repository on disk."""

    place: House
    bare: Path

    @property
    def task(self) -> CodeTask:
        found = self.place.run(lambda tx: tx.tasks.get(1))
        assert found is not None
        return found

    @property
    def tip(self) -> str | None:
        return tip(self.bare, BRANCH)

    @property
    def files(self) -> list[str]:
        return git(self.bare, "ls-tree", "-r", "--name-only", BRANCH).split()

    @property
    def forge(self) -> LocalForge:
        forge = self.place.app.forges["local"]
        assert isinstance(forge, LocalForge)
        return forge

    async def pull(self) -> LocalPull:
        """The pull request as the forge has it."""
        stored = await self.forge.stored(self.place.app.settings.repositories["shop"], 1)
        assert isinstance(stored, LocalPull)
        return stored

    async def close(self) -> None:
        """Somebody closes the pull request; nobody tells the bot."""
        await self.forge.close_pull_request(self.place.app.settings.repositories["shop"], 1)

    def commit(self, files: Mapping[str, str]) -> str:
        """Somebody pushes to the branch."""
        return commit_files(self.bare, BRANCH, files, "Mine")

    async def sent(self, text: str, **values: Any) -> FollowUp:
        """A follow-up in the code task's thread, once it has ended."""
        return await self.place.ended(self.place.put(text, THREAD, **values))

    async def said(self, follow_up: FollowUp) -> str:
        """All that was posted for it."""
        return "\n---\n".join(said.content.text for said in await self.place.posts(follow_up))  # type: ignore[union-attr]

    async def says(self, follow_up: FollowUp, text: str) -> str:
        """All that was posted for it, once that is part of it: a card is edited at most every 3 s, and the replies
        behind wait."""
        store = self.place.app.store
        async with asyncio.timeout(20):
            while text not in (said := await self.said(follow_up)):
                await store.changed("outbox", store.version("outbox"), 0.2)
        return said


async def in_review(place: House, bare: Path) -> Review:
    """Files a code task, moves it to review, and puts its branch and its pull request on the forge."""
    base = tip(bare, "main") or ""
    sha = commit_files(bare, BRANCH, {"done.txt": "done\n"}, "Add done", base)
    repo = place.app.settings.repositories["shop"]
    draft = PullRequestDraft(BRANCH, "main", "[codetask] Add done", "as first opened")
    pull = await place.app.forges["local"].open_pull_request(repo, draft)
    assert isinstance(pull, PullRequest)
    facts = {
        "branch": BRANCH, "pushed_sha": sha, "pushing_sha": sha, "base_sha": base, "insertions": 1, "deletions": 0,
        "tests_passed": True, "pr_number": pull.number, "pr_url": pull.url, "cost_usd": None,
    }  # fmt: skip

    def unit(tx: Transaction) -> None:
        tx.people.see(ADMIN)
        thread = tx.threads.open(THREAD).id
        filed = place.app.tasks.file(tx, Filing("Please add done", ADMIN, Options(agent=AGENT), thread, THREAD))
        assert not isinstance(filed, Refused), filed
        claimed = place.app.attempts.claim(tx, "w", "h")
        assert claimed is not None
        place.app.attempts.review(tx, claimed.lease, Cost(), **facts)

    place.run(unit)
    return Review(place, bare)

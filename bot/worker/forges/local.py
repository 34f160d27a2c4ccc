"""The local forge: a bare repository on this machine and pull requests stored beside it, merged for real by git."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from bot.core.branches import is_branch
from bot.ports import (
    Clock,
    ForgeRefused,
    ForgeRetry,
    ForgeTrouble,
    GitAccess,
    NotModified,
    PullRequest,
    PullRequestDraft,
    Repo,
)
from bot.worker.forges.local_store import Draft, LocalPull, PullStore
from bot.worker.forges.settings import ForgeSettings
from bot.worker.git import Git, GitCall, GitFailed, is_sha

_MERGER: Final = {"NAME": "Codetask", "EMAIL": "codetask@codetask.invalid"}


class LocalForge:
    """The forge `local`. Changes of a repository's pull requests are ordered over all processes of the machine."""

    name = "local"
    on_this_machine = True

    def __init__(self, settings: ForgeSettings, clock: Clock) -> None:
        self._web_url = settings.local.web_url.rstrip("/")
        self._git = Git(settings.git_home)
        self._clock = clock

    async def read_access(self, repo: Repo) -> GitAccess | ForgeTrouble:
        return self._bare(repo) or GitAccess()

    async def push_access(self, repo: Repo) -> GitAccess | ForgeTrouble:
        return self._bare(repo) or GitAccess()

    async def open_pull_request(self, repo: Repo, draft: PullRequestDraft) -> PullRequest | ForgeTrouble:
        """Opens a pull request, or adopts the open one of the same head and updates title, body, base and draft."""
        if (refused := self._bare(repo)) is not None:
            return refused
        tips = await self._tips(repo, draft.head, draft.base)
        if not isinstance(tips, tuple):
            return tips
        head_sha, base_sha = tips
        now = self._clock.now().isoformat()

        def act(store: Draft) -> LocalPull:
            old = next((pull for pull in store.all() if pull.head == draft.head and pull.state == "open"), None)
            return store.write(
                LocalPull(
                    number=old.number if old else store.next_number(),
                    title=draft.title,
                    body=draft.body,
                    head=draft.head,
                    base=draft.base,
                    head_sha=head_sha,
                    base_sha=base_sha,
                    draft=draft.draft,
                    state="open",
                    opened_at=old.opened_at if old else now,
                    changed_at=now,
                )
            )

        return self._seen(repo, await asyncio.to_thread(self._store(repo).change, act))

    async def update_pull_request(self, repo: Repo, number: int, draft: PullRequestDraft) -> PullRequest | ForgeTrouble:
        """Gives an open pull request a new title, body, draft mark and head; an ended one stays what it is."""
        pull = await self.stored(repo, number)
        if not isinstance(pull, LocalPull) or pull.state != "open":
            return self._seen(repo, pull) if isinstance(pull, LocalPull) else pull
        tips = await self._tips(repo, pull.head, pull.base)
        if not isinstance(tips, tuple):
            return tips
        new = {"title": draft.title, "body": draft.body, "draft": draft.draft, "head_sha": tips[0]}
        now = self._clock.now().isoformat()

        def act(store: Draft) -> LocalPull:
            current = store.read(number) or pull
            return current if current.state != "open" else store.write(replace(current, **new, changed_at=now))

        return self._seen(repo, await asyncio.to_thread(self._store(repo).change, act))

    async def find_pull_request(self, repo: Repo, head: str) -> PullRequest | ForgeTrouble | None:
        """The open pull request of a branch, else the newest closed or merged one, else None."""
        if (refused := self._bare(repo)) is not None:
            return refused
        pulls = [pull for pull in await asyncio.to_thread(self._store(repo).all) if pull.head == head]
        best = next((pull for pull in pulls if pull.state == "open"), pulls[0] if pulls else None)
        return None if best is None else self._seen(repo, best)

    async def pull_request(self, repo: Repo, number: int, etag: str = "") -> PullRequest | NotModified | ForgeTrouble:
        stored = await self.stored(repo, number)
        if not isinstance(stored, LocalPull):
            return stored
        return NotModified() if etag and etag == stored.etag else self._seen(repo, stored)

    async def close_pull_request(self, repo: Repo, number: int) -> PullRequest | ForgeTrouble:
        """Closes a pull request; a closed or merged one stays what it is."""
        return await self._move(repo, number, "open", "closed")

    async def reopen(self, repo: Repo, number: int) -> PullRequest | ForgeTrouble:
        """Opens a closed pull request again; a merged one stays merged."""
        return await self._move(repo, number, "closed", "open")

    async def merge(self, repo: Repo, number: int, by: str = "") -> PullRequest | ForgeTrouble:
        """Merges the branch into its base with a merge commit. Merging twice changes nothing.

        A conflict, a missing branch or a closed pull request is refused."""
        pull = await self.stored(repo, number)
        if not isinstance(pull, LocalPull):
            return pull
        if pull.state != "open":
            say = f"Pull request {number} is closed."
            return self._seen(repo, pull) if pull.state == "merged" else ForgeRefused(say)
        tips = await self._tips(repo, pull.head, pull.base)
        if not isinstance(tips, tuple):
            return tips
        head_sha, base_sha = tips
        merged = await self._merge_commit(repo, pull, head_sha, base_sha)
        if not isinstance(merged, str):
            return merged
        moved = await self._run(repo, "update-ref", "--", f"refs/heads/{pull.base}", merged, base_sha)
        if isinstance(moved, GitFailed):
            return ForgeRetry(timedelta(seconds=1), f"{pull.base} moved during the merge")
        now = self._clock.now().isoformat()

        def act(store: Draft) -> LocalPull:
            current = store.read(number) or pull
            if current.state == "merged":
                return current
            return store.write(
                replace(
                    current,
                    state="merged",
                    merged_by=by,
                    merge_sha=merged,
                    head_sha=head_sha,
                    base_sha=base_sha,
                    changed_at=now,
                )
            )

        return self._seen(repo, await asyncio.to_thread(self._store(repo).change, act))

    async def diff(self, repo: Repo, number: int) -> str | ForgeTrouble:
        """What the pull request changes against the point where it left its base, as a unified diff."""
        pull = await self.stored(repo, number)
        if not isinstance(pull, LocalPull):
            return pull
        spread = f"{pull.base_sha}...{pull.head_sha}"
        said = await self._run(repo, "diff", "--no-ext-diff", "--no-textconv", "--end-of-options", spread, "--")
        return _refused(said) if isinstance(said, GitFailed) else said.decode("utf-8", "replace")

    async def list(self, repo: Repo) -> Sequence[LocalPull] | ForgeTrouble:
        """Every stored pull request, newest first."""
        return self._bare(repo) or await asyncio.to_thread(self._store(repo).all)

    async def stored(self, repo: Repo, number: int) -> LocalPull | ForgeTrouble:
        """A pull request with its title and body."""
        if (refused := self._bare(repo)) is not None:
            return refused
        pull = await asyncio.to_thread(self._store(repo).read, number)
        return ForgeRefused(f"There is no pull request {number} in {repo.alias}.") if pull is None else pull

    async def aclose(self) -> None:
        return None

    async def _move(self, repo: Repo, number: int, start: str, end: str) -> PullRequest | ForgeTrouble:
        pull = await self.stored(repo, number)
        if not isinstance(pull, LocalPull):
            return pull
        now = self._clock.now().isoformat()

        def act(store: Draft) -> LocalPull:
            current = store.read(number) or pull
            if current.state != start:
                return current
            return store.write(replace(current, state="open" if end == "open" else "closed", changed_at=now))

        return self._seen(repo, await asyncio.to_thread(self._store(repo).change, act))

    async def _tips(self, repo: Repo, head: str, base: str) -> tuple[str, str] | ForgeRefused:
        shas: list[str] = []
        for branch in (head, base):
            if not is_branch(branch):
                return ForgeRefused(f"{branch!r} is not a branch name.")
            ref = f"refs/heads/{branch}^{{commit}}"
            said = await self._run(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", ref)
            if isinstance(said, GitFailed):
                return ForgeRefused(f"Branch {branch} does not exist in {repo.alias}.")
            shas.append(said.decode().split()[-1])
        return shas[0], shas[1]

    async def _merge_commit(self, repo: Repo, pull: LocalPull, head: str, base: str) -> str | ForgeRefused:
        """The new tip of the base: a merge commit, or the base itself when everything is in it already."""
        left = await self._run(repo, "merge-base", "--", base, head)
        if isinstance(left, GitFailed):
            return ForgeRefused(f"{pull.head} and {pull.base} have no common history.")
        fork = left.decode().strip()
        if fork == head:
            return base
        tree = f"{head}^{{tree}}" if fork == base else await self._merged_tree(repo, pull, head, base)
        if not isinstance(tree, str):
            return tree
        parsed = await self._run(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", tree)
        if isinstance(parsed, GitFailed):
            return _refused(parsed)
        tree_sha = parsed.decode().split()[-1]
        message = f"Merge pull request #{pull.number} from {pull.head}\n\n{pull.title}\n".encode()
        made = await self._run(
            repo, "commit-tree", "-p", base, "-p", head, "-F", "-", tree_sha, stdin=message, identity=True
        )
        return _refused(made) if isinstance(made, GitFailed) else made.decode().strip()

    async def _merged_tree(self, repo: Repo, pull: LocalPull, head: str, base: str) -> str | ForgeRefused:
        said = await self._run(repo, "merge-tree", "--write-tree", "--no-messages", "--name-only", base, head)
        if isinstance(said, bytes) and is_sha(tree := said.decode("utf-8", "replace").split("\n")[0]):
            return tree
        return ForgeRefused(f"{pull.head} conflicts with {pull.base} (or git is older than 2.38): merge it by hand.")

    async def _run(self, repo: Repo, *args: str, stdin: bytes = b"", identity: bool = False) -> bytes | GitFailed:
        stamp = f"{int(self._clock.now().timestamp())} +0000"
        env: dict[str, str] = {}
        if identity:
            env = {f"GIT_{who}_{key}": value for who in ("AUTHOR", "COMMITTER") for key, value in _MERGER.items()}
            env |= {"GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
        return await self._git.run(GitCall(args, bare_path(repo), env=env, stdin=stdin))

    def _bare(self, repo: Repo) -> ForgeRefused | None:
        """None when the repository is a bare one on this machine."""
        path = bare_path(repo)
        if path.is_absolute() and (path / "objects").is_dir() and (path / "HEAD").is_file():
            return None
        return ForgeRefused(
            f"The URL of repository {repo.alias} is not a bare repository on this machine.", config=True
        )

    def _store(self, repo: Repo) -> PullStore:
        return PullStore(bare_path(repo))

    def _url(self, repo: Repo, number: int) -> str:
        """The address of the page that shows it; without pages a name that no client turns into a link."""
        if not self._web_url:
            return f"local:{repo.alias}#{number}"
        return f"{self._web_url}/local/{quote(repo.alias, safe='')}/pull/{number}"

    def _seen(self, repo: Repo, pull: LocalPull) -> PullRequest:
        return PullRequest(
            number=pull.number,
            url=self._url(repo, pull.number),
            state=pull.state,
            head=pull.head,
            draft=pull.draft,
            merged_by=pull.merged_by,
            etag=pull.etag,
        )


def bare_path(repo: Repo) -> Path:
    """The folder behind a `file:///...` URL or a plain path."""
    parts = urlsplit(repo.url)
    return Path(os.fspath(unquote(parts.path)) if parts.scheme == "file" else repo.url)


def _refused(failed: GitFailed) -> ForgeRefused:
    return ForgeRefused(failed.say)


def create(settings: ForgeSettings, clock: Clock) -> LocalForge:
    return LocalForge(settings, clock)

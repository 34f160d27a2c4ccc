"""Push and pull request: the steps that leave this machine. Each is repeated in place while its fault may pass."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar

from bot.core.pull_requests import PullRequestContext, pull_request_body, pull_request_title
from bot.core.tasks import CodeTask, FailureReason
from bot.failpoints import failpoint
from bot.ports import (
    Forge,
    ForgeRefused,
    ForgeRetry,
    ForgeTrouble,
    GitAccess,
    NotModified,
    PullRequest,
    PullRequestDraft,
    Repo,
)
from bot.services.attempts import Failure
from bot.worker.git import GitFailed
from bot.worker.pushing import ForeignTip, Pushed, branch_names
from bot.worker.workspace import Workspace

T = TypeVar("T")

TRIES: Final = 10
FIRST_WAIT: Final = timedelta(seconds=2)
LONGEST_WAIT: Final = timedelta(minutes=5)
LAST_WORD: Final = timedelta(seconds=4)
"""How long a push or a pull request call that is under way may end when the run is cancelled."""

Note = Callable[..., Awaitable[CodeTask]]
"""Stores facts about the code task under the lease; raises `Interrupted` when the lease is lost."""


async def pause(wait: timedelta) -> None:
    await asyncio.sleep(wait.total_seconds())


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes one run's commit. `still_ours` raises `Interrupted` when the run was cancelled or taken over.

    `left` collects what exists outside by now, as columns of the code task, also when a step was interrupted."""

    workspace: Workspace
    repo: Repo
    forge: Forge
    note: Note
    still_ours: Callable[[], Awaitable[None]]
    say: Callable[[str], None]
    left: dict[str, Any] = field(default_factory=dict)
    pause: Callable[[timedelta], Awaitable[None]] = pause

    async def read_access(self) -> GitAccess | Failure:
        """A credential for the mirror's fetch."""
        return await self._persist("read access", lambda: self.forge.read_access(self.repo), FailureReason.CONFIG)

    async def fetch(self, base: str) -> str | Failure:
        """The base commit, with the mirror brought up to date."""
        access = await self.read_access()
        if isinstance(access, Failure):
            return access

        async def step() -> str | GitFailed:
            return await self.workspace.update_mirror(self.repo, base, access)

        return await self._persist("fetch", step, FailureReason.CONFIG)

    async def push(self, task: CodeTask, sha: str, prefix: str) -> str | Failure:
        """Pushes the commit to the code task's branch and returns the branch's name. Never over a foreign tip."""
        names = branch_names(prefix, task.ref)
        start = names.index(task.branch) if task.branch in names else 0
        for branch in names[start:]:
            pushed = await self._push_to(task if branch == task.branch else None, branch, sha)
            if isinstance(pushed, Failure):
                return pushed
            if isinstance(pushed, Pushed):
                return branch
            self.say(f"branch {branch} belongs to someone else; trying the next name")
        return Failure(FailureReason.PUSH_FAILED, f"Every branch name from {names[0]} to {names[-1]} is taken.")

    async def _push_to(self, task: CodeTask | None, branch: str, sha: str) -> Pushed | ForeignTip | Failure:
        access = await self._persist("push access", lambda: self.forge.push_access(self.repo), FailureReason.CONFIG)
        if isinstance(access, Failure):
            return access
        expected = ""
        if task is not None and (task.pushed_sha or task.pushing_sha):
            tip = await self._persist(
                "look at the branch", lambda: self._tip(branch, access), FailureReason.PUSH_FAILED
            )
            if isinstance(tip, Failure):
                return tip
            if tip and tip not in (task.pushed_sha, task.pushing_sha, sha):
                return ForeignTip(branch)
            expected = tip
        return await self._push_from(branch, sha, expected, access)

    async def push_on(self, branch: str, sha: str, tip: str) -> Failure | None:
        """Pushes a commit that builds on `tip` to the branch that was at `tip`; not if it has moved since."""
        access = await self._persist("push access", lambda: self.forge.push_access(self.repo), FailureReason.CONFIG)
        if isinstance(access, Failure):
            return access
        pushed = await self._push_from(branch, sha, tip, access)
        if isinstance(pushed, ForeignTip):
            why = f"Someone else changed the branch {branch} meanwhile: nothing was pushed."
            return Failure(FailureReason.PUSH_FAILED, why)
        return pushed if isinstance(pushed, Failure) else None

    async def _push_from(
        self, branch: str, sha: str, expected: str, access: GitAccess
    ) -> Pushed | ForeignTip | Failure:
        """Moves the branch from `expected` (empty: not there) to the commit; what is about to happen is noted first."""
        await self.note(branch=branch, pushing_sha=sha, pushed_sha=expected or None)
        failpoint("push.before")

        def keep(outcome: Pushed | ForeignTip | GitFailed) -> None:
            if isinstance(outcome, Pushed):
                self.left.update(branch=branch, pushed_sha=sha)

        async def step() -> Pushed | ForeignTip | GitFailed:
            await self.still_ours()
            return await finish(self._push_once(sha, branch, expected, access), keep)

        pushed = await self._persist("push", step, FailureReason.PUSH_FAILED)
        failpoint("push.remote_accepted")
        return pushed

    async def _push_once(
        self, sha: str, branch: str, expected: str, access: GitAccess
    ) -> Pushed | ForeignTip | GitFailed:
        """One push. If the branch is at our commit already, an earlier try moved it and its answer was lost."""
        pushed = await self.workspace.push(self.repo, sha, branch, expected, access)
        if not isinstance(pushed, ForeignTip):
            return pushed
        tip = await self.workspace.remote_tip(self.repo, branch, access)
        if isinstance(tip, GitFailed):
            return tip
        return Pushed(branch, already=True) if tip == sha else pushed

    async def _tip(self, branch: str, access: GitAccess) -> str | GitFailed:
        tip = await self.workspace.remote_tip(self.repo, branch, access)
        return "" if tip is None else tip

    async def open_pull_request(
        self, task: CodeTask, branch: str, draft: bool, context: PullRequestContext
    ) -> PullRequest | Failure:
        """Opens the pull request, or adopts the open one of the same branch."""
        wanted = _drafted(task, branch, draft, context)
        return await self._change_pull(lambda: self.forge.open_pull_request(self.repo, wanted))

    async def update_pull_request(
        self, task: CodeTask, draft: bool, context: PullRequestContext
    ) -> PullRequest | Failure:
        """Gives the code task's own pull request its new title and body, whatever its state; it never opens one."""
        wanted = _drafted(task, task.branch or "", draft, context)
        return await self._change_pull(lambda: self.forge.update_pull_request(self.repo, task.pr_number or 0, wanted))

    async def pull_request(self, task: CodeTask) -> PullRequest | NotModified | Failure:
        """How the code task's pull request is now."""
        number = task.pr_number or 0
        return await self._persist(
            "pull request", lambda: self.forge.pull_request(self.repo, number), FailureReason.PUSH_FAILED
        )

    async def _change_pull(self, call: Callable[[], Awaitable[PullRequest | ForgeTrouble]]) -> PullRequest | Failure:
        failpoint("pr.before")

        def keep(outcome: PullRequest | ForgeTrouble) -> None:
            if isinstance(outcome, PullRequest):
                self.left.update(pr_number=outcome.number, pr_url=outcome.url, pr_draft=outcome.draft)

        async def step() -> PullRequest | ForgeTrouble:
            await self.still_ours()
            return await finish(call(), keep)

        opened = await self._persist("pull request", step, FailureReason.PUSH_FAILED)
        failpoint("pr.created_unrecorded")
        return opened

    async def _persist(
        self, what: str, step: Callable[[], Awaitable[T | GitFailed | ForgeTrouble]], refusal: FailureReason
    ) -> T | Failure:
        """The step's result, repeated up to ten times (2 s doubling to 5 min) while its fault may pass."""
        wait = FIRST_WAIT
        for number in range(1, TRIES + 1):
            outcome: Any = await step()
            after = timedelta(0)
            match outcome:
                case GitFailed(_, say) if outcome.passing:
                    why = say
                case ForgeRetry(after, why):
                    pass
                case GitFailed(kind, say):
                    reason = FailureReason.CONFIG if kind in ("auth", "not_found") else refusal
                    return Failure(reason, say)
                case ForgeRefused(say, config):
                    return Failure(FailureReason.CONFIG if config else refusal, say)
                case _:
                    return outcome
            if number == TRIES:
                return Failure(refusal, f"Gave up on {what} after {TRIES} tries: {why}")
            until_next = max(after, wait * random.uniform(0.9, 1.1))
            self.say(f"{what}: {why}; next try in {until_next.total_seconds():.0f} s")
            await self.pause(until_next)
            wait = min(wait * 2, LONGEST_WAIT)
        raise AssertionError


def _drafted(task: CodeTask, branch: str, draft: bool, context: PullRequestContext) -> PullRequestDraft:
    """The pull request as it is to be."""
    return PullRequestDraft(
        head=branch,
        base=task.base,
        title=pull_request_title(task, context),
        body=pull_request_body(task, context),
        draft=draft,
    )


async def finish(call: Awaitable[T], keep: Callable[[T], None]) -> T:
    """The outcome of a call that changes the remote, told to `keep` first. Cancelled in the middle, it gets a moment
    to end, so that what it left there can be named."""
    running = asyncio.ensure_future(call)
    try:
        outcome = await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running}, timeout=LAST_WORD.total_seconds())
        if not running.done():
            running.cancel()
            await asyncio.wait({running})
        if not running.cancelled() and running.exception() is None:
            keep(running.result())
        raise
    keep(outcome)
    return outcome

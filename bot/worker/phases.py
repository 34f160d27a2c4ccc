"""What a change goes through on its way from the agent's checkout to a pull request: tree comparison, gate, commit,
tests, and the last questions before a push. Every run that pushes goes through all of it, whatever it is a run of.

Each step gives a value or raises `Stopped`; a run that was cancelled or taken over stops at the next step with
`Interrupted` (`bot.worker.lease`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from bot.core.hygiene import clean
from bot.core.patch import Finding, GatePolicy, NeedsApproval, RefusedChange, Verdict, judge
from bot.core.patch_paths import PROTECTED_PATHS
from bot.core.pull_requests import PullRequestContext, commit_message
from bot.core.runs import ParkedChange
from bot.core.tasks import TEST_TAIL_MAX, CodeTask, FailureReason
from bot.failpoints import failpoint
from bot.ports import Repo
from bot.services.attempts import Failure
from bot.store import Transaction
from bot.worker.agent_step import command_env, tool_binds
from bot.worker.changes import Changes
from bot.worker.commands import Ended, find_test_command, run_command
from bot.worker.disk import OverDiskError, disk_limits, within_disk
from bot.worker.failures import Stopped, need
from bot.worker.lease import Held
from bot.worker.run_log import RunLog
from bot.worker.tools import Tools
from bot.worker.workspace import Signature, Workspace

T = TypeVar("T")
NO_PUSH: Final = "Pushing is disabled without a sandbox. Set ALLOW_UNSANDBOXED_PUSH=true only on a disposable machine."


@dataclass(frozen=True, slots=True)
class Tested:
    """The outcome of the tests; `passed` is None when there were none."""

    passed: bool | None = None
    code: int | None = None
    seconds: float | None = None
    tail: str = ""

    def values(self) -> dict[str, Any]:
        """As columns of the code task."""
        return {
            "tests_passed": self.passed,
            "test_exit_code": self.code,
            "test_seconds": self.seconds,
            "test_tail": self.tail or None,
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate says of a change that it lets pass: what an admin has to allow first, and what to flag."""

    reasons: tuple[str, ...]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Phases:
    """The phases of one run in its workspace. `run` names it (`CT-42#2`), `agent` made the change."""

    tools: Tools
    held: Held
    log: RunLog
    run: str
    repo: Repo
    workspace: Workspace
    agent: str

    async def snapshot(self, base_sha: str) -> str:
        """The tree that the agent left."""
        tree_sha: str = need(await self.held.guard(self.workspace.snapshot(base_sha)))
        failpoint("snapshot.tree_written")
        return tree_sha

    async def changes(self, base_sha: str, tree_sha: str) -> Changes:
        """In what that tree differs from the base."""
        return need(await self.held.guard(self.workspace.changes(base_sha, tree_sha)))

    def judge(self, changes: Changes) -> Verdict:
        """What the gate says of a change, by what this installation protects."""
        policy = GatePolicy(protected=(*PROTECTED_PATHS, *self.tools.settings.protected_paths))
        return judge(changes.entries, policy, self.tools.settings.secrets())

    def gate(self, changes: Changes) -> Judged:
        """Whether the change may be pushed; a refusal stops the run."""
        verdict = self.judge(changes)
        failpoint("gate.done")
        if isinstance(verdict, RefusedChange):
            raise Stopped(Failure(FailureReason.REFUSED, f"Refused: {self.said(verdict.reason)}"))
        found = verdict.reasons if isinstance(verdict, NeedsApproval) else ()
        reasons = tuple(dict.fromkeys(self.said(reason) for reason in found))
        return Judged(reasons, [self.said(flag) for flag in verdict.flags])

    def said(self, finding: Finding) -> str:
        """A finding in words, its secrets masked."""
        return self.tools.redactor.mask(str(finding))

    async def context(self, task: CodeTask, warnings: list[str]) -> PullRequestContext:
        """What commit message and pull request say beside the code task's row."""
        if not self.tools.sandbox.isolates and not self._built_in:
            warnings = ["This change was made without a sandbox.", *warnings]
        agent = self.tools.agents.get(self.agent)
        if agent is not None and agent.remark:
            warnings = [agent.remark, *warnings]
        platform = task.requester_platform.capitalize()
        url = await self._store(lambda tx: _thread_url(tx, task))
        mask = self.tools.redactor.mask
        return PullRequestContext(thread_url=url, platform=platform, warnings=warnings, redact=mask)

    @property
    def _built_in(self) -> bool:
        agent = self.tools.agents.get(self.agent)
        return agent is not None and agent.built_in

    async def commit(
        self, task: CodeTask, parent_sha: str, tree_sha: str, at: datetime, context: PullRequestContext
    ) -> str:
        """A commit of the tree, named after the code task's title and requester."""
        settings = self.tools.settings
        bot = Signature(settings.git_author_name, settings.git_author_email)
        message = commit_message(task, context)
        sha: str = need(await self.held.guard(self.workspace.commit(parent_sha, tree_sha, message, bot, bot, at)))
        self.log.event(f"committed {sha[:12]}")
        return sha

    async def test_command(self, tree_sha: str) -> str:
        """What tests this tree; empty when nothing does."""
        command = await find_test_command(self.workspace, tree_sha, self.repo.test_command)
        if not command:
            self.log.event("no test command fits: tests are skipped")
        return command or ""

    async def test(self, tree_sha: str, command: str) -> Tested:
        """Setup and tests in a fresh checkout of the tree."""
        env = {**command_env(self.run, self.tools.settings.sandbox_tools), "CI": "true"}
        binds = tool_binds(self.tools.settings)
        spec = need(await self.held.guard(self.workspace.checkout_for_tests(tree_sha, self.run, env, binds)))
        wall = timedelta(minutes=self.tools.settings.test_minutes)
        if self.repo.setup_command:
            limit = timedelta(minutes=self.tools.settings.setup_minutes)
            setup = await self._command(self.repo.setup_command, spec, limit)
            if setup.code or setup.over:
                return self._tested(setup, "The setup command failed before the tests.")
        self.log.event(f"tests: {command}")
        failpoint("test.spawned")
        try:
            ended = await within_disk(
                self._command(command, spec, wall), self.workspace.path, disk_limits(self.tools.settings)
            )
        except OverDiskError as over:
            return self._tested(Ended(1, 0, ""), f"The tests were stopped: {over}.")
        failpoint("test.exited")
        over = f"The tests went over their {ended.over} limit." if ended.over else ""
        return self._tested(ended, over)

    async def _command(self, command: str, spec: Any, wall: timedelta) -> Ended:
        return await self.held.guard(run_command(self.tools.sandbox, command, spec, wall, self.log.write))

    def _tested(self, ended: Ended, remark: str) -> Tested:
        passed = ended.code == 0 and not ended.over and not remark
        tail = clean(self.tools.redactor.mask(f"{ended.tail}\n{remark}".strip()))[-TEST_TAIL_MAX:]
        self.log.event(f"tests {'passed' if passed else 'failed'} in {ended.seconds:.1f} s (exit {ended.code})")
        return Tested(passed, ended.code, round(ended.seconds, 3), tail)

    def allow_red(self, tested: Tested) -> None:
        """Stops the run where red tests may not be pushed."""
        if tested.passed is False and self.repo.on_test_failure == "fail":
            raise Stopped(Failure(FailureReason.TESTS_FAILED, "Tests failed", values=tested.values()))

    def allow_push(self, tested: dict[str, Any]) -> None:
        """Stops the run where nothing may be pushed that was made without a sandbox."""
        harmless = self._built_in and self.tools.forges[self.repo.forge].on_this_machine
        if not self.tools.sandbox.isolates and not self.tools.settings.allow_unsandboxed_push and not harmless:
            raise Stopped(Failure(FailureReason.CONFIG, NO_PUSH, values=tested))

    def is_draft(self, task: CodeTask, passed: bool | None) -> bool:
        """Whether its pull request is to be a draft."""
        return task.draft or (passed is False and self.repo.on_test_failure == "draft_pr")

    async def bundled(self, change: ParkedChange) -> ParkedChange:
        """The change with its commit packed, fit to be stored until an admin decides."""
        bundle = need(await self.held.guard(self.workspace.bundle(change.base_sha, change.sha)))
        self.log.event(f"waits for an approval: {', '.join(change.reasons)}")
        return replace(change, bundle=bundle)

    async def restored(self, change: ParkedChange) -> None:
        """Brings a change back that an admin allowed: exactly that commit."""
        need(await self.held.guard(self.workspace.prepare()))
        need(await self.held.guard(self.workspace.restore(change.bundle, change.sha, change.tree_sha)))

    async def _store(self, unit: Callable[[Transaction], T]) -> T:
        return await self.held.write(self.tools.store, unit)


def with_tests(task: CodeTask, tested: Tested) -> CodeTask:
    """The code task as the pull request is to tell of it."""
    return task.model_copy(update=tested.values())


def _thread_url(tx: Transaction, task: CodeTask) -> str:
    """The link to the thread; threads may have been joined since the claim, so the fresh row says which."""
    fresh = tx.tasks.get(task.id or 0)
    return tx.threads.get(fresh.thread_id).url if fresh is not None and fresh.thread_id is not None else ""

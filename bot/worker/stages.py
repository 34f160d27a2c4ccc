"""One run from its claim to its end: mirror, checkout, agent, snapshot, gate, commit, tests, push, pull request.

Each step returns a value or a `Failure`. Stage changes go through `bot.services.attempts`, guarded by the lease; a run
that was cancelled or taken over stops at the next step with `Interrupted` and writes nothing more.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, TypeVar

import structlog

from bot.core.hygiene import clean
from bot.core.patch import Finding, GatePolicy, NeedsApproval, RefusedChange, judge
from bot.core.patch_paths import PROTECTED_PATHS
from bot.core.pull_requests import PullRequestContext, commit_message
from bot.core.redact import LiveRedactor
from bot.core.runs import ParkedChange
from bot.core.tasks import TEST_TAIL_MAX, CodeTask, FailureReason
from bot.failpoints import failpoint
from bot.ports import Agent, Forge, Repo, Sandbox
from bot.services.attempts import Attempts, Claimed, Cost, Failure
from bot.services.followup_runs import FollowUpRuns
from bot.settings import Settings
from bot.store import AgentSession, Store, StoreDown, Transaction
from bot.worker.agent_step import AgentJob, AgentOutcome, AgentStep, command_env, prompt_parts, tool_binds
from bot.worker.callbacks import Callbacks
from bot.worker.changes import Changes
from bot.worker.commands import Ended, find_test_command, run_command
from bot.worker.disk import OverDiskError, disk_limits, is_full, within_disk
from bot.worker.gateway import Gateway
from bot.worker.git import GitFailed
from bot.worker.lease import Held, Interrupted
from bot.worker.prompt import build_prompt, summarize
from bot.worker.publishing import Publisher
from bot.worker.run_log import RunLog
from bot.worker.workspace import Refusal, Signature, Workspace

T = TypeVar("T")
log = structlog.get_logger(__name__)
BY_THE_DISK: Final = frozenset({FailureReason.CONFIG, FailureReason.AGENT_FAILED, FailureReason.TESTS_FAILED})
"""Reasons that may only be what a full disk looks like."""
NO_PUSH = "Pushing is disabled without a sandbox. Set ALLOW_UNSANDBOXED_PUSH=true only on a disposable machine."


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker works with. `forges` by kind, `agents` by name."""

    settings: Settings
    store: Store
    attempts: Attempts
    sandbox: Sandbox
    agents: dict[str, Agent]
    forges: dict[str, Forge]
    gateway: Gateway | None
    redactor: LiveRedactor
    followup_runs: FollowUpRuns | None = None
    """None where follow-ups are off."""
    callbacks: Callbacks | None = None

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of the tools that act for a run."""
        return self.callbacks.tools.offered() if self.callbacks is not None else ()


@dataclass(frozen=True, slots=True)
class Tested:
    """The outcome of the tests; `passed` is None when there were none."""

    passed: bool | None = None
    code: int | None = None
    seconds: float | None = None
    tail: str = ""

    def values(self) -> dict[str, Any]:
        return {
            "tests_passed": self.passed,
            "test_exit_code": self.code,
            "test_seconds": self.seconds,
            "test_tail": self.tail or None,
        }


class Stopped(Exception):
    """A step ended the run with a failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


def need(value: Any) -> Any:
    """The value of a step; a failure stops the run."""
    match value:
        case Failure():
            raise Stopped(value)
        case GitFailed(kind, say):
            raise Stopped(Failure(FailureReason.CONFIG, f"git: {say}", retry=kind in ("network", "timeout")))
        case Refusal(_, say):
            raise Stopped(Failure(FailureReason.REFUSED, say))
        case _:
            return value


def machine_trouble(ref: str, error: OSError) -> Failure:
    """A fault of the worker's machine (disk full, no process left) may pass, or another worker may do better."""
    log.error("run_failed", run=ref, exc_info=error)
    return Failure(FailureReason.CONFIG, f"The worker's machine: {error.strerror or type(error).__name__}", retry=True)


def named_if_full(failure: Failure, settings: Settings, ref: str) -> Failure:
    """On a full disk every program fails in its own words; the disk is what must be said."""
    if failure.reason not in BY_THE_DISK or not is_full(settings.workspaces):
        return failure
    log.error("disk_full", run=ref, said=failure.error)
    why = f"The worker's disk is full ({failure.error})"
    return replace(failure, reason=FailureReason.CONFIG, error=why, retry=True)


@dataclass(slots=True)
class StageRun:
    """Works one claimed run to its end. `cost` grows as the run goes on."""

    tools: Tools
    claimed: Claimed
    held: Held
    log: RunLog
    cost: Cost = field(default_factory=Cost)
    steps: int = 0
    left: dict[str, Any] = field(default_factory=dict)
    """What exists on the forge by now, as columns of the code task."""
    outcome: AgentOutcome | None = None
    changed: Changes | None = None

    def __post_init__(self) -> None:
        self.cost = self.earlier + self.cost

    @property
    def earlier(self) -> Cost:
        """What this run cost before a stopping worker gave it back, or an admin was asked."""
        return Cost(self.claimed.run.cost_usd, self.claimed.run.tokens)

    @property
    def ref(self) -> str:
        return f"{self.claimed.task.ref}#{self.claimed.run.attempt}"

    async def work(self) -> None:
        """Ends in review, in a failure, or in `Interrupted`; the workspace is gone or kept as configured."""
        repo = self.tools.settings.repositories.get(self.claimed.task.repo)
        if repo is None:
            why = f"The repository {self.claimed.task.repo} is no longer configured."
            await self._fail(Failure(FailureReason.CONFIG, why))
            return
        try:
            workspace = Workspace.create(self.tools.settings.workspaces, self.ref, repo, self.tools.sandbox)
        except OSError as error:
            await self._fail(machine_trouble(self.ref, error))
            return
        except ValueError as error:
            await self._fail(Failure(FailureReason.CONFIG, f"The repository cannot be used: {error}"))
            return
        try:
            await self._work_in(workspace, repo)
        finally:
            failpoint("cleanup.mid")
            await self._clean_up(workspace)

    async def _work_in(self, workspace: Workspace, repo: Repo) -> None:
        try:
            await self._remember_workspace(workspace)
            if self.claimed.approved is not None:
                await self._go_on(repo, workspace, self.claimed.approved)
            else:
                await self._stages(repo, workspace)
        except Stopped as stopped:
            await self._fail(stopped.failure)
            self._keep(workspace)
        except OSError as error:
            await self._fail(machine_trouble(self.ref, error))
            self._keep(workspace)

    def _keep(self, workspace: Workspace) -> None:
        if self.tools.settings.keep_failed_hours > 0:
            with suppress(OSError):
                workspace.keep()

    async def _clean_up(self, workspace: Workspace) -> None:
        """What cannot be removed now is left to the janitor: it changes nothing about the run."""
        if workspace.is_kept:
            return
        try:
            await workspace.remove()
        except OSError as error:
            log.warning("workspace_left", run=self.ref, workspace=workspace.name, why=error.strerror or str(error))

    async def _store(self, unit: Callable[[Transaction], T]) -> T:
        return await self.held.write(self.tools.store, unit)

    async def _remember_workspace(self, workspace: Workspace) -> None:
        lease, kind = self.claimed.lease, self.tools.sandbox.name
        held = await self._store(
            lambda tx: tx.runs.update(lease.run_id, lease.fence, workspace=workspace.name, sandbox=kind)
        )
        if not held:
            raise Interrupted("lost")

    async def _stages(self, repo: Repo, workspace: Workspace) -> None:
        guard, task = self.held.guard, self.claimed.task
        publisher = self._publisher(repo, workspace)
        base_sha: str = need(await guard(publisher.fetch(task.base)))
        failpoint("mirror.mid")
        self.log.event(f"checkout of {repo.alias} {task.base} at {base_sha[:12]}")
        need(await guard(workspace.checkout(base_sha)))
        failpoint("checkout.mid")
        await self._agent(repo, workspace, task)
        tree_sha = await self._snapshot(workspace, base_sha)
        reasons, warnings, counts = await self._gate(workspace, base_sha, tree_sha)
        context = await self._context(task, warnings)
        sha = await self._commit(workspace, task, base_sha, tree_sha, context)
        command = await find_test_command(workspace, tree_sha, repo.test_command)
        tested = Tested()
        if command:
            task = await self._testing(base_sha=base_sha, **counts)
            tested = await self._test(repo, workspace, tree_sha, command)
        else:
            self.log.event("no test command fits: tests are skipped")
            task = await self._note(base_sha=base_sha, **counts)
        task.tests_passed, task.test_tail, task.test_exit_code = tested.passed, tested.tail, tested.code
        task.test_seconds = tested.seconds
        if tested.passed is False and repo.on_test_failure == "fail":
            raise Stopped(Failure(FailureReason.TESTS_FAILED, "Tests failed", values=tested.values()))
        if reasons:
            await self._park(
                workspace, ParkedChange(base_sha, tree_sha, sha, reasons, tuple(warnings), tested.values(), b"")
            )
            return
        await self._publish(publisher, task, sha, tested.values(), context)

    def _publisher(self, repo: Repo, workspace: Workspace) -> Publisher:
        forge = self.tools.forges[repo.forge]
        return Publisher(workspace, repo, forge, self._note, self._still_ours, self.log.event, self.left)

    async def _park(self, workspace: Workspace, change: ParkedChange) -> None:
        """Stores the tested commit until an admin allows it, and gives up the lease."""
        bundle = need(await self.held.guard(workspace.bundle(change.base_sha, change.sha)))
        parked = replace(change, bundle=bundle)
        self.log.event(f"waits for an approval: {', '.join(change.reasons)}")
        lease, cost, session = self.claimed.lease, self.cost, self._session()
        if await self._store(lambda tx: self.tools.attempts.park(tx, lease, parked, cost, session)) is None:
            raise Interrupted("lost")

    async def _go_on(self, repo: Repo, workspace: Workspace, change: ParkedChange) -> None:
        """An admin allowed the change: push exactly that tree."""
        task, publisher = self.claimed.task, self._publisher(repo, workspace)
        self.log.event("the change was approved")
        need(await self.held.guard(publisher.fetch(task.base)))
        need(await self.held.guard(workspace.prepare()))
        need(await self.held.guard(workspace.restore(change.bundle, change.sha, change.tree_sha)))
        await self._publish(publisher, task, change.sha, change.facts, await self._context(task, list(change.warnings)))

    async def _agent(self, repo: Repo, workspace: Workspace, task: CodeTask) -> None:
        agent = self.tools.agents.get(task.agent)
        if agent is None:
            raise Stopped(Failure(FailureReason.CONFIG, f"The agent {task.agent} is not configured on this worker."))
        step = AgentStep(
            self.tools.settings,
            self.tools.sandbox,
            agent,
            self.tools.gateway,
            self.log,
            self.held,
            self._progress,
            self._spent,
            self.tools.callbacks,
        )
        job = AgentJob(
            subject=task.ref,
            run=self.ref,
            prompt=build_prompt(prompt_parts(task, task.error or "", self.tools.offered)),
            wall=timedelta(minutes=self.tools.settings.agent_minutes),
            setup_command=repo.setup_command,
        )
        self.outcome = await step.run(job, workspace)
        need(self.outcome.failure)

    def _spent(self, cost: Cost) -> None:
        self.cost = self.earlier + cost

    async def _snapshot(self, workspace: Workspace, base_sha: str) -> str:
        tree_sha: str = need(await self.held.guard(workspace.snapshot(base_sha)))
        failpoint("snapshot.tree_written")
        return tree_sha

    async def _gate(
        self, workspace: Workspace, base_sha: str, tree_sha: str
    ) -> tuple[tuple[str, ...], list[str], dict[str, int]]:
        """What needs an approval, what to flag, and the line counts; refusals stop the run."""
        changes = need(await self.held.guard(workspace.changes(base_sha, tree_sha)))
        self.changed = changes
        if not changes.entries:
            raise Stopped(Failure(FailureReason.NO_CHANGES, "Coding agent produced no changes"))
        policy = GatePolicy(protected=(*PROTECTED_PATHS, *self.tools.settings.protected_paths))
        verdict = judge(changes.entries, policy, self.tools.settings.secrets())
        failpoint("gate.done")
        if isinstance(verdict, RefusedChange):
            raise Stopped(Failure(FailureReason.REFUSED, f"Refused: {self._said(verdict.reason)}"))
        counts = {"insertions": changes.insertions, "deletions": changes.deletions}
        found = verdict.reasons if isinstance(verdict, NeedsApproval) else ()
        reasons = tuple(dict.fromkeys(self._said(reason) for reason in found))
        return reasons, [self._said(flag) for flag in verdict.flags], counts

    def _said(self, finding: Finding) -> str:
        return self.tools.redactor.mask(str(finding))

    async def _context(self, task: CodeTask, warnings: list[str]) -> PullRequestContext:
        if not self.tools.sandbox.isolates and not self._built_in(task):
            warnings = ["This change was made without a sandbox.", *warnings]
        agent = self.tools.agents.get(task.agent)
        if agent is not None and agent.remark:
            warnings = [agent.remark, *warnings]
        platform = task.requester_platform.capitalize()
        url = await self._store(lambda tx: self._thread_url(tx))
        mask = self.tools.redactor.mask
        return PullRequestContext(thread_url=url, platform=platform, warnings=warnings, redact=mask)

    def _thread_url(self, tx: Transaction) -> str:
        """The link to the thread; threads may have been joined since the claim, so the fresh row says which."""
        task = tx.tasks.get(self.claimed.lease.task_id)
        return tx.threads.get(task.thread_id).url if task is not None and task.thread_id is not None else ""

    async def _commit(
        self, workspace: Workspace, task: CodeTask, base_sha: str, tree_sha: str, context: PullRequestContext
    ) -> str:
        settings = self.tools.settings
        bot = Signature(settings.git_author_name, settings.git_author_email)
        message = commit_message(task, context)
        sha: str = need(await self.held.guard(workspace.commit(base_sha, tree_sha, message, bot, bot, task.created_at)))
        self.log.event(f"committed {sha[:12]}")
        return sha

    async def _testing(self, **values: Any) -> CodeTask:
        lease = self.claimed.lease
        task = await self._store(lambda tx: self.tools.attempts.testing(tx, lease, **values))
        if task is None:
            raise Interrupted("lost")
        return task

    async def _test(self, repo: Repo, workspace: Workspace, tree_sha: str, command: str) -> Tested:
        env = {**command_env(self.ref, self.tools.settings.sandbox_tools), "CI": "true"}
        binds = tool_binds(self.tools.settings)
        spec = need(await self.held.guard(workspace.checkout_for_tests(tree_sha, self.ref, env, binds)))
        wall = timedelta(minutes=self.tools.settings.test_minutes)
        if repo.setup_command:
            setup = await self._command(repo.setup_command, spec, timedelta(minutes=self.tools.settings.setup_minutes))
            if setup.code or setup.over:
                return self._tested(setup, "The setup command failed before the tests.")
        self.log.event(f"tests: {command}")
        failpoint("test.spawned")
        try:
            ended = await within_disk(
                self._command(command, spec, wall), workspace.path, disk_limits(self.tools.settings)
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

    def _built_in(self, task: CodeTask) -> bool:
        agent = self.tools.agents.get(task.agent)
        return agent is not None and agent.built_in

    async def _publish(
        self, publisher: Publisher, task: CodeTask, sha: str, tested: dict[str, Any], context: PullRequestContext
    ) -> None:
        settings, repo = self.tools.settings, publisher.repo
        harmless = self._built_in(task) and self.tools.forges[repo.forge].on_this_machine
        if not self.tools.sandbox.isolates and not settings.allow_unsandboxed_push and not harmless:
            raise Stopped(Failure(FailureReason.CONFIG, NO_PUSH, values=tested))
        branch: str = need(await self.held.guard(publisher.push(task, sha, settings.branch_prefix)))
        self.log.event(f"pushed {branch}")
        values: dict[str, Any] = {"branch": branch, "pushed_sha": sha, **tested}
        if repo.forge != "none":
            draft = task.draft or (tested["tests_passed"] is False and repo.on_test_failure == "draft_pr")
            task.cost_usd, task.tokens = self.cost.usd, self.cost.tokens
            opening = publisher.open_pull_request(task, branch, draft, context)
            pull = need(await self.held.guard(opening))
            self.log.event(f"pull request {pull.url}")
            values |= {"pr_number": pull.number, "pr_url": pull.url, "pr_draft": pull.draft}
        await self.log.flush()
        lease, cost, session = self.claimed.lease, self.cost, self._session()
        moved = await self._store(lambda tx: self.tools.attempts.review(tx, lease, cost, session=session, **values))
        if moved is None:
            raise Interrupted("lost")

    async def _note(self, **values: Any) -> CodeTask:
        lease = self.claimed.lease
        task = await self._store(lambda tx: self.tools.attempts.note(tx, lease, **values))
        if task is None:
            raise Interrupted("lost")
        return task

    async def _still_ours(self) -> None:
        lease = self.claimed.lease
        if not await self._store(lambda tx: tx.runs.holds(lease.run_id, lease.fence)):
            raise Interrupted("lost")

    async def _progress(self, line: str) -> None:
        lease, text = self.claimed.lease, self.tools.redactor.mask(line)
        self.steps += 1
        step = self.steps
        with suppress(StoreDown):  # only shown: the work goes on without it
            await self.tools.store.run(lambda tx: self.tools.attempts.report(tx, lease, text, step))

    def _session(self) -> AgentSession | None:
        """The agent's conversation, for a later run in the thread; None when it gave none."""
        outcome, changed, task = self.outcome, self.changed, self.claimed.task
        if outcome is None or outcome.session_ref is None:
            return None
        files = [entry.path for entry in changed.entries] if changed is not None else []
        lines = (changed.insertions, changed.deletions) if changed is not None else None
        summary = clean(self.tools.redactor.mask(summarize(task.title, outcome.text, files, lines)))
        return AgentSession(0, task.agent, outcome.session_ref, task.repo, summary, outcome.archive)

    async def _fail(self, failure: Failure) -> None:
        lease, cost, session = self.claimed.lease, self.cost, self._session()
        failure = named_if_full(failure, self.tools.settings, self.ref)
        error = clean(self.tools.redactor.mask(failure.error))
        safe = Failure(failure.reason, error, failure.retry, failure.values)
        self.log.event(f"failed: {safe.error}")
        await self.log.flush()
        if await self._store(lambda tx: self.tools.attempts.fail(tx, lease, safe, cost, session)) is None:
            raise Interrupted("lost")

    async def crashed(self, ref: str) -> None:
        """A bug of ours costs an attempt, never the code task."""
        failure = Failure(FailureReason.WORKER_LOST, f"The worker met an unexpected fault (ref {ref}).")
        await self.tools.store.run(lambda tx: self.tools.attempts.fail(tx, self.claimed.lease, failure, self.cost))

    async def give_back(self) -> None:
        """The worker stops: the run goes back to the queue."""
        await self.tools.store.run(lambda tx: self.tools.attempts.give_back(tx, self.claimed.lease, self.cost))

    async def leave(self) -> None:
        """The run was cancelled or taken over."""
        await self.tools.store.run(lambda tx: self.tools.attempts.leave(tx, self.claimed.lease, self.cost, **self.left))

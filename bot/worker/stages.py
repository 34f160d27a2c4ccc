"""One run of a code task from its claim to its end: mirror, checkout, agent, and the phases up to the pull request.

Stage changes go through `bot.services.attempts`, guarded by the lease; a run that was cancelled or taken over stops at
the next step with `Interrupted` and writes nothing more.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from bot.core.hygiene import clean
from bot.core.pull_requests import PullRequestContext
from bot.core.runs import ParkedChange
from bot.core.tasks import CodeTask, FailureReason
from bot.failpoints import failpoint
from bot.ports import Repo
from bot.services.attempts import Claimed, Cost, Failure
from bot.store import AgentSession, StoreDown, Transaction
from bot.worker.agent_step import AgentJob, AgentOutcome, AgentStep, prompt_parts
from bot.worker.changes import Changes
from bot.worker.failures import Stopped, machine_trouble, named_if_full, need
from bot.worker.lease import Held, Interrupted
from bot.worker.phases import Phases, Tested, with_tests
from bot.worker.prompt import build_prompt, summarize
from bot.worker.publishing import Publisher
from bot.worker.run_log import RunLog
from bot.worker.tools import Tools
from bot.worker.workspace import Workspace

T = TypeVar("T")
log = structlog.get_logger(__name__)


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
            task = self.claimed.task
            phases = Phases(self.tools, self.held, self.log, self.ref, repo, workspace, task.agent)
            if self.claimed.approved is not None:
                await self._go_on(phases, self.claimed.approved)
            else:
                await self._stages(phases)
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

    async def _stages(self, phases: Phases) -> None:
        guard, task, workspace = self.held.guard, self.claimed.task, phases.workspace
        publisher = self._publisher(phases)
        base_sha: str = need(await guard(publisher.fetch(task.base)))
        failpoint("mirror.mid")
        self.log.event(f"checkout of {phases.repo.alias} {task.base} at {base_sha[:12]}")
        need(await guard(workspace.checkout(base_sha)))
        failpoint("checkout.mid")
        await self._agent(phases.repo, workspace, task)
        tree_sha = await phases.snapshot(base_sha)
        self.changed = changes = await phases.changes(base_sha, tree_sha)
        if not changes.entries:
            raise Stopped(Failure(FailureReason.NO_CHANGES, "Coding agent produced no changes"))
        judged = phases.gate(changes)
        counts = {"insertions": changes.insertions, "deletions": changes.deletions}
        context = await phases.context(task, judged.warnings)
        sha = await phases.commit(task, base_sha, tree_sha, task.created_at, context)
        command, tested = await phases.test_command(tree_sha), Tested()
        if command:
            task = await self._testing(base_sha=base_sha, **counts)
            tested = await phases.test(tree_sha, command)
        else:
            task = await self._note(base_sha=base_sha, **counts)
        phases.allow_red(tested)
        if judged.reasons:
            warnings = tuple(judged.warnings)
            await self._park(
                phases, ParkedChange(base_sha, tree_sha, sha, judged.reasons, warnings, tested.values(), b"")
            )
            return
        await self._publish(phases, publisher, with_tests(task, tested), sha, tested.values(), context)

    def _publisher(self, phases: Phases) -> Publisher:
        forge = self.tools.forges[phases.repo.forge]
        return Publisher(phases.workspace, phases.repo, forge, self._note, self._still_ours, self.log.event, self.left)

    async def _park(self, phases: Phases, change: ParkedChange) -> None:
        """Stores the tested commit until an admin allows it, and gives up the lease."""
        parked = await phases.bundled(change)
        lease, cost, session = self.claimed.lease, self.cost, self._session()
        if await self._store(lambda tx: self.tools.attempts.park(tx, lease, parked, cost, session)) is None:
            raise Interrupted("lost")

    async def _go_on(self, phases: Phases, change: ParkedChange) -> None:
        """An admin allowed the change: push exactly that tree."""
        task, publisher = self.claimed.task, self._publisher(phases)
        self.log.event("the change was approved")
        need(await self.held.guard(publisher.fetch(task.base)))
        await phases.restored(change)
        context = await phases.context(task, list(change.warnings))
        await self._publish(phases, publisher, task, change.sha, change.facts, context)

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

    async def _testing(self, **values: Any) -> CodeTask:
        lease = self.claimed.lease
        task = await self._store(lambda tx: self.tools.attempts.testing(tx, lease, **values))
        if task is None:
            raise Interrupted("lost")
        return task

    async def _publish(
        self,
        phases: Phases,
        publisher: Publisher,
        task: CodeTask,
        sha: str,
        tested: dict[str, Any],
        context: PullRequestContext,
    ) -> None:
        phases.allow_push(tested)
        prefix = self.tools.settings.branch_prefix
        branch: str = need(await self.held.guard(publisher.push(task, sha, prefix)))
        self.log.event(f"pushed {branch}")
        values: dict[str, Any] = {"branch": branch, "pushed_sha": sha, **tested}
        if phases.repo.forge != "none":
            task.cost_usd, task.tokens = self.cost.usd, self.cost.tokens
            draft = phases.is_draft(task, tested["tests_passed"])
            pull = need(await self.held.guard(publisher.open_pull_request(task, branch, draft, context)))
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

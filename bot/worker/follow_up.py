"""One run of a follow-up from its claim to its end: checkout, agent, answer.

Nothing of it is pushed, but for what one about a code task in review changes on its branch: that goes through all the
phases of a change to the same pull request (`bot/worker/branch_update.py`). Every write is guarded by the lease; a run
that was stopped or taken over ends with `Interrupted` and writes nothing more.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import structlog

from bot.core.followups import FollowUp, FollowUpReason
from bot.core.hygiene import clean
from bot.core.runs import ParkedChange
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.failpoints import failpoint
from bot.ports import Repo
from bot.services.attempts import Cost, Failure
from bot.services.followup_runs import Answer, ClaimedFollowUp, FollowUpRuns
from bot.services.send_runs import SendRuns
from bot.store import StoreDown, Transaction
from bot.worker.agent_step import AgentJob, AgentOutcome, AgentStep, read_context
from bot.worker.branch_update import BranchUpdate
from bot.worker.failures import Stopped, machine_trouble, named_if_full, need
from bot.worker.follow_up_prompt import FollowUpParts, build_follow_up_prompt
from bot.worker.git import GitFailed
from bot.worker.lease import Held, Interrupted
from bot.worker.phases import Phases
from bot.worker.prompt import summarize
from bot.worker.publishing import Publisher
from bot.worker.run_log import RunLog
from bot.worker.tools import Tools
from bot.worker.workspace import Refusal, Workspace

log = structlog.get_logger(__name__)
PREPARE: Final = timedelta(minutes=2)
"""How long the checkout may take (product rule 7.2)."""
FILES_MAX: Final = 1_000
REASONS: Final = {
    FailureReason.TIMED_OUT: FollowUpReason.TIMED_OUT,
    FailureReason.CONFIG: FollowUpReason.CONFIG,
    FailureReason.REFUSED: FollowUpReason.REFUSED,
    FailureReason.WORKER_LOST: FollowUpReason.WORKER_LOST,
}
"""Why a follow-up failed, by why its agent's part did; anything else is the agent's failure."""


@dataclass(slots=True)
class FollowUpRun:
    """Works one claimed run to its end. `cost` grows as the run goes on."""

    tools: Tools
    claimed: ClaimedFollowUp
    held: Held
    log: RunLog
    cost: Cost = field(default_factory=Cost)
    branch: str = ""
    update: BranchUpdate | None = None
    """Set where it works on the branch of a code task in review."""

    def __post_init__(self) -> None:
        self.cost = self.earlier + self.cost

    @property
    def earlier(self) -> Cost:
        """What this run cost before a stopping worker gave it back."""
        return Cost(self.claimed.run.cost_usd, self.claimed.run.tokens)

    @property
    def ref(self) -> str:
        return f"{self.claimed.follow_up.ref}#{self.claimed.run.attempt}"

    @property
    def _runs(self) -> FollowUpRuns:
        assert self.tools.followup_runs is not None, "a follow-up was claimed where follow-ups are off"
        return self.tools.followup_runs

    @property
    def _sends(self) -> SendRuns:
        return SendRuns(self._runs, self.tools.attempts.announcer)

    async def work(self) -> None:
        """Ends in an answer, in a failure, or in `Interrupted`; the workspace is gone."""
        repo = self.tools.settings.repositories.get(self.claimed.repo)
        root, sandbox = self.tools.settings.workspaces, self.tools.sandbox
        try:
            if repo is None:
                workspace = Workspace.create_empty(root, self.ref, sandbox)
            else:
                workspace = Workspace.create(root, self.ref, repo, sandbox)
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

    async def crashed(self, ref: str) -> None:
        """A bug of ours ends it: a person may run it again."""
        error, lease = f"The worker met an unexpected fault (ref {ref}).", self.claimed.lease
        await self.tools.store.run(lambda tx: self._runs.fail(tx, lease, FollowUpReason.WORKER_LOST, error, self.cost))

    async def give_back(self) -> None:
        """The worker stops: the run goes back to the queue."""
        await self.tools.store.run(lambda tx: self._runs.give_back(tx, self.claimed.lease, self.cost))

    async def leave(self) -> None:
        """The run was stopped or taken over."""
        update, lease, cost = self.update, self.claimed.lease, self.cost
        if update is None:
            await self.tools.store.run(lambda tx: self._runs.leave(tx, lease, cost))
        else:
            number, left = update.task.id or 0, update.left
            await self.tools.store.run(lambda tx: self._sends.leave(tx, lease, number, cost, left))

    async def _work_in(self, workspace: Workspace, repo: Repo | None) -> None:
        try:
            await self._remember_workspace(workspace)
            if self.claimed.approved is not None:
                await self._go_on(workspace, repo, self.claimed.approved)
                return
            base_sha = await self._prepare(workspace, repo)
            outcome = await self._agent(workspace, repo)
            if self.update is not None:
                await self._publish(self.update, outcome)
                return
            files = await self._changed(workspace, base_sha)
            await self._end(outcome, files)
        except Stopped as stopped:
            await self._fail(stopped.failure)
        except OSError as error:
            await self._fail(machine_trouble(self.ref, error))

    async def _remember_workspace(self, workspace: Workspace) -> None:
        lease, kind = self.claimed.lease, self.tools.sandbox.name
        held = await self.held.write(
            self.tools.store,
            lambda tx: tx.runs.update(lease.run_id, lease.fence, workspace=workspace.name, sandbox=kind),
        )
        if not held:
            raise Interrupted("lost")

    async def _prepare(self, workspace: Workspace, repo: Repo | None) -> str:
        """Fills the workspace; the base commit."""
        patience = asyncio.timeout(PREPARE.total_seconds())
        try:
            async with patience:
                return await self._checkout(workspace, repo)
        except TimeoutError:
            if not patience.expired():
                raise
            minutes = PREPARE / timedelta(minutes=1)
            why = f"The checkout took longer than {minutes:g} min."
            raise Stopped(Failure(FailureReason.TIMED_OUT, why)) from None

    async def _checkout(self, workspace: Workspace, repo: Repo | None) -> str:
        guard = self.held.guard
        if repo is None:
            self.log.event("no repository belongs to this: an empty folder to work in")
            base_sha: str = need(await guard(workspace.empty_base()))
        else:
            base_sha = await self._fetch(workspace, repo)
            self.log.event(f"checkout of {repo.alias} {self.branch} at {base_sha[:12]}")
        failpoint("mirror.mid")
        need(await guard(workspace.checkout(base_sha)))
        failpoint("checkout.mid")
        return base_sha

    async def _fetch(self, workspace: Workspace, repo: Repo) -> str:
        """The newest commit of the branch to look at: that of its code task while it is in review and there, else its
        base branch."""
        task = self.claimed.task
        ours = task if task is not None and task.repo == repo.alias else None
        if ours is not None and ours.stage is Stage.REVIEW and ours.branch:
            update = self._update(workspace, repo, ours, "")
            found = await self.held.guard(update.publisher().fetch(ours.branch))
            if isinstance(found, str):
                self.branch, self.update = ours.branch, update
                update.tip = found
                return found
            if self.claimed.follow_up.is_send:
                raise Stopped(found)
            self.log.event(f"the branch {ours.branch} cannot be had: {found.error}")
        self.branch = ours.base if ours is not None else repo.base
        reader = Publisher(workspace, repo, self.tools.forges[repo.forge], _note_nothing, _push_nothing, self.log.event)
        base_sha: str = need(await self.held.guard(reader.fetch(self.branch)))
        return base_sha

    def _update(self, workspace: Workspace, repo: Repo, task: CodeTask, tip: str) -> BranchUpdate:
        phases = Phases(self.tools, self.held, self.log, self.ref, repo, workspace, self.claimed.run.agent)
        return BranchUpdate(phases, self._sends, self.claimed, task, tip, lambda: self.cost)

    async def _go_on(self, workspace: Workspace, repo: Repo | None, change: ParkedChange) -> None:
        """An admin allowed the change."""
        task = self.claimed.task
        if repo is None or task is None or not task.branch:
            raise Stopped(Failure(FailureReason.CONFIG, "The repository of this change is no longer configured."))
        self.update = update = self._update(workspace, repo, task, change.base_sha)
        need(await self.held.guard(update.publisher().fetch(task.branch)))
        await update.go_on(change)

    async def _publish(self, update: BranchUpdate, outcome: AgentOutcome) -> None:
        """Takes what the agent changed to the pull request of its code task."""
        answer = self._answer(outcome, ())
        if outcome.failure is not None:
            await self._fail(outcome.failure, answer)
            return
        try:
            if await update.publish(answer):
                return
        except Stopped as stopped:
            await self._fail(stopped.failure, answer)
            return
        self.log.event("answered; nothing was changed")
        await self.log.flush()
        lease, cost, number = self.claimed.lease, self.cost, update.task.id or 0
        store, sends = self.tools.store, self._sends
        if await self.held.write(store, lambda tx: sends.unchanged(tx, lease, number, answer, cost)) is None:
            raise Interrupted("lost")

    async def _agent(self, workspace: Workspace, repo: Repo | None) -> AgentOutcome:
        tools, claimed, follow_up = self.tools, self.claimed, self.claimed.follow_up
        agent = tools.agents.get(claimed.run.agent)
        if agent is None:
            why = f"The agent {claimed.run.agent} is not configured on this worker."
            raise Stopped(Failure(FailureReason.CONFIG, why))
        step = AgentStep(
            tools.settings,
            tools.sandbox,
            agent,
            tools.gateway,
            self.log,
            self.held,
            self._progress,
            self._spent,
            tools.callbacks,
        )
        parts, resumable = self._parts(), claimed.session is not None
        settings = tools.settings
        minutes = settings.agent_minutes if follow_up.is_send else settings.follow_up_minutes
        job = AgentJob(
            subject=self.update.task.ref if self.update is not None else follow_up.ref,
            run=self.ref,
            prompt=build_follow_up_prompt(parts, resumed=resumable),
            wall=timedelta(minutes=minutes),
            setup_command=repo.setup_command if repo is not None else "",
            session=claimed.session,
            fresh_prompt=build_follow_up_prompt(parts, resumed=False),
        )
        return await step.run(job, workspace)

    def _parts(self) -> FollowUpParts:
        claimed, follow_up, task = self.claimed, self.claimed.follow_up, self.claimed.task
        return FollowUpParts(
            ref=follow_up.ref,
            request=follow_up.body,
            requester=follow_up.requester_name,
            repo=claimed.repo,
            branch=self.branch,
            about=_about(task) if task is not None else (),
            thread=read_context(task.context) if task is not None else (),
            earlier=claimed.session.summary if claimed.session is not None else "",
            tools=self.tools.offered,
            sent=follow_up.is_send,
            updates=_name_of_pull(self.update.task) if self.update is not None else "",
        )

    async def _changed(self, workspace: Workspace, base_sha: str) -> tuple[str, ...]:
        """The paths that the agent changed. They are only named, so what cannot be read is no failure."""
        tree = await self.held.guard(workspace.snapshot(base_sha))
        if isinstance(tree, Refusal | GitFailed):
            self.log.event(f"what was changed is not known: {tree.say}")
            return ()
        changes = await self.held.guard(workspace.changes(base_sha, tree, max_files=0))
        if isinstance(changes, GitFailed):
            self.log.event(f"what was changed is not known: {changes.say}")
            return ()
        return tuple(self._safe(entry.path) for entry in changes.entries[:FILES_MAX])

    async def _end(self, outcome: AgentOutcome, files: tuple[str, ...]) -> None:
        answer = self._answer(outcome, files)
        if outcome.failure is not None:
            await self._fail(outcome.failure, answer)
            return
        self.log.event(f"answered; changed files: {len(files)}")
        await self.log.flush()
        lease, cost = self.claimed.lease, self.cost
        if await self.held.write(self.tools.store, lambda tx: self._runs.answer(tx, lease, answer, cost)) is None:
            raise Interrupted("lost")

    def _answer(self, outcome: AgentOutcome, files: tuple[str, ...]) -> Answer:
        text, claimed = self._safe(outcome.text), self.claimed
        title = claimed.task.title if claimed.task is not None else claimed.follow_up.title
        return Answer(
            text=text,
            session_ref=outcome.session_ref,
            archive=outcome.archive,
            summary=self._safe(summarize(title, text, files)),
            fresh_session=claimed.session is not None and not outcome.resumed,
            files=files,
            repo=claimed.repo,
        )

    def _safe(self, text: str) -> str:
        return clean(self.tools.redactor.mask(text))

    async def _fail(self, failure: Failure, answer: Answer | None = None) -> None:
        failure = named_if_full(failure, self.tools.settings, self.ref)
        error, lease, cost = self._safe(failure.error), self.claimed.lease, self.cost
        reason = REASONS.get(failure.reason, FollowUpReason.AGENT_FAILED)
        self.log.event(f"failed: {error}")
        await self.log.flush()
        update, sends, runs = self.update, self._sends, self._runs

        def unit(tx: Transaction) -> FollowUp | None:
            if update is None:
                return runs.fail(tx, lease, reason, error, cost, answer)
            return sends.fail(tx, lease, update.task.id or 0, reason, error, cost, answer, update.left)

        failed = await self.held.write(self.tools.store, unit)
        if failed is None:
            raise Interrupted("lost")

    async def _progress(self, line: str) -> None:
        """What the agent does, for who asks; nothing is posted before the answer."""
        lease, text = self.claimed.lease, self.tools.redactor.mask(line)[:200]
        with suppress(StoreDown):
            await self.tools.store.run(lambda tx: tx.runs.update(lease.run_id, lease.fence, message=text))

    def _spent(self, cost: Cost) -> None:
        self.cost = self.earlier + cost

    async def _clean_up(self, workspace: Workspace) -> None:
        """What cannot be removed now is left to the janitor."""
        try:
            await workspace.remove()
        except OSError as error:
            log.warning("workspace_left", run=self.ref, workspace=workspace.name, why=error.strerror or str(error))


async def _note_nothing(**_: Any) -> CodeTask:
    raise AssertionError("a follow-up's run pushes nothing")


async def _push_nothing() -> None:
    raise AssertionError("a follow-up's run pushes nothing")


def _name_of_pull(task: CodeTask) -> str:
    """What the agent is told of where its change goes."""
    where = f"the pull request {task.pr_url}" if task.pr_url else f"the branch {task.branch}"
    return f"{where} of code task {task.ref}"


def _about(task: CodeTask) -> tuple[str, ...]:
    """What the agent is told of the code task in its thread."""
    facts = [f"{task.ref}: {task.title} (stage {task.stage.value})", f"Its request: {task.description[:2_000]}"]
    if task.pr_url:
        facts.append(f"Its pull request: {task.pr_url}")
    if task.branch:
        facts.append(f"Its branch: {task.branch}")
    if task.error:
        facts.append(f"Its last error: {task.error}")
    return tuple(facts)

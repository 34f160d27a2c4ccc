"""Code tasks as people handle them: file, find, cancel, retry, mark merged. One transaction each.

Every door (chat, HTTP, command line) comes through here, so checks and answers are the same. A refusal is a value with
the key of the sentence that says it.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bot.core.commands import Accepted, Options, Target, TaskId, TaskName, TooLong, TooShort, check_description
from bot.core.inbound import MessageRef, Person, ReplyToken, ThreadRef
from bot.core.people import Action, is_requester, may
from bot.core.runs import ParkedChange, Run, RunLease
from bot.core.tasks import ACTIVE, CodeTask, FailureReason, Priority, Stage, slug_of, title_of
from bot.ports import Repo
from bot.services.announcements import Announcer
from bot.services.attempts import Attempts
from bot.services.branch_runs import end_on_branch, refuse_change, waiting_on_branch
from bot.services.ledger import Ledger, Looked
from bot.services.people import Rights
from bot.services.quotas import over_quota
from bot.services.refusals import Refused, stage_word
from bot.settings import Settings
from bot.store import RunAgain, TaskFilter, Transaction

NAME_TRIES: Final = 1_000
BY_SUGGESTION: Final = frozenset({"suggestion", "auto"})
"""Sources of code tasks whose suggestion has shown which others are alike."""


@dataclass(frozen=True, slots=True)
class Filing:
    """A wish to file a code task. `thread_id` is where its card goes, None for no card."""

    text: str
    person: Person
    options: Options = field(default_factory=Options)
    thread_id: int | None = None
    channel: ThreadRef | None = None
    source: str = "chat"
    dedup_key: str | None = None
    dedup_hash: str | None = None
    context: str = ""
    reply_token: ReplyToken | None = None
    start_at: datetime | None = None
    """No worker takes it before then."""
    looked: Looked | None = None
    """What `CodeTasks.look` answered for it just before."""


@dataclass(frozen=True, slots=True)
class Filed:
    """The code task. `fresh` is false when the same message or key had filed it before. `looks_like` is another one
    that likely asks for the same."""

    task: CodeTask
    fresh: bool
    removed_hidden: int = 0
    looks_like: CodeTask | None = None


@dataclass(frozen=True, slots=True)
class CodeTasks:
    """The use cases. `agents` are the agents that may be used here."""

    settings: Settings
    announcer: Announcer
    rights: Rights
    attempts: Attempts
    agents: tuple[str, ...]

    def file(self, tx: Transaction, filing: Filing) -> Filed | Refused:
        """Files a code task: stage queued, first run queued, card on its way."""
        known = tx.tasks.find(dedup_key=filing.dedup_key) if filing.dedup_key else None
        if known is not None:
            if filing.dedup_hash is not None and known.dedup_hash != filing.dedup_hash:
                return Refused("refused.idempotency", kind="state")
            if may(self.rights.role(filing.person), Action.FILE, is_requester=False):
                self.ledger.ask(tx, known, filing.person)
            return Filed(known, fresh=False)
        if not may(self.rights.role(filing.person), Action.FILE, is_requester=False):
            return self.rights.refuse_filing()
        if not self.rights.hears(tx, filing.channel):
            return self.rights.refuse_channel()
        accepted = checked(filing.text)
        if isinstance(accepted, Refused):
            return accepted
        repo, agent = self._repo(tx, filing), self._agent(tx, filing)
        if isinstance(repo, Refused):
            return repo
        if isinstance(agent, Refused):
            return agent
        draft = self._draft(tx, filing, accepted.text, repo, agent)
        if isinstance(draft, Refused):
            return draft
        over = over_quota(tx, self.rights, filing.person, filing.channel)
        if over is not None:
            return over
        task = tx.tasks.add(draft, actor=actor_of(filing.person))
        if task is None:
            raise RunAgain
        tx.runs.enqueue(task, 1, filing.start_at or tx.now)
        tx.people.remember_repo(filing.person, repo.alias)
        tx.people.audit(actor_of(filing.person), "file", task.ref, {"repo": repo.alias, "agent": agent})
        self.announcer.filed(tx, task, filing.person, filing.reply_token)
        shown = filing.source in BY_SUGGESTION
        other = None if shown else self.ledger.offer(tx, task, filing.person, filing.looked)
        return Filed(task, fresh=True, removed_hidden=accepted.removed_hidden, looks_like=other)

    def look(self, tx: Transaction, filing: Filing) -> Looked | None:
        """Which code task a filing likely repeats, for its `looked`; None when it would be refused. Only reads, and
        takes longer than filing it does: nobody who writes should wait for it."""
        if not may(self.rights.role(filing.person), Action.FILE, is_requester=False):
            return None
        accepted, repo = checked(filing.text), self._repo(tx, filing)
        if isinstance(accepted, Refused) or isinstance(repo, Refused):
            return None
        return self.ledger.look(tx, accepted.text, repo.alias, filing.person, filing.channel)

    @property
    def ledger(self) -> Ledger:
        """Who else asked for a code task."""
        return Ledger(self.announcer, self.rights)

    def find(
        self, tx: Transaction, target: Target, thread_id: int | None = None, person: Person | None = None
    ) -> CodeTask | Refused:
        """The code task that an id, a name, `requester/name`, a uuid or this thread stands for.

        A bare name means the person's own; of others' code tasks only one that nobody else uses the name of."""
        match target:
            case TaskId(_, number):
                task, said = tx.tasks.get(number), f"CT-{number}"
            case TaskName(name):
                found = _by_name(tx, name, person)
                if len(found) > 1:
                    owners = tuple(f"{task.requester_name or task.requester_id}/{task.name}" for task in found[:5])
                    return Refused("refused.which_name", {"name": name, "choices": owners})
                task, said = (found[0] if found else None), name
            case _:
                task = tx.tasks.in_thread(thread_id) if thread_id is not None else None
                if task is None:
                    return Refused("refused.not_in_task_thread", {"example": "CT-12"}, "bad")
                said = task.ref
        return task or Refused("refused.unknown_id", {"id": said, "command": "list"}, "not_found")

    def list(self, tx: Transaction, which: TaskFilter) -> list[CodeTask]:
        return list(tx.tasks.list(which))

    def cancel(
        self, tx: Transaction, task_id: int, person: Person, *, confirmed_it: bool = False, told: bool = True
    ) -> CodeTask | Refused:
        """Queued, running, testing or review -> failed (cancelled). A second cancel changes nothing.

        `confirmed_it`: the person filed it for somebody else, by a suggestion, and may take that back. `told` with
        False: those who asked for it too hear of it in another way."""
        task = tx.tasks.get(task_id)
        if task is None:
            return unknown(task_id)
        if not confirmed_it and not self._may_act(person, task, Action.CANCEL):
            return self.rights.refuse_acting(task, "cancel")
        if task.is_cancelled:
            return task
        if task.stage is Stage.REVIEW:
            end_on_branch(tx, self.announcer, task)
        run = tx.runs.cancel(task_id)
        moved = tx.tasks.move(
            task_id,
            ACTIVE,
            Stage.FAILED,
            actor=actor_of(person),
            reason="cancelled",
            failure_reason=FailureReason.CANCELLED,
            error="Cancelled by user",
            cancelled_by=person.name or person.id,
            next_attempt_at=None,
        )
        if moved is None:
            return Refused("refused.wrong_stage_cancel", {"ref": task.ref, "stage": stage_word(task.stage)}, "state")
        run = tx.runs.cancel(task_id) or run  # the code task is locked now: a failing attempt may have queued the next
        if moved.failed_at_stage is Stage.REVIEW:
            end_on_branch(tx, self.announcer, task)
        tx.people.audit(actor_of(person), "cancel", task.ref, {"from": moved.failed_at_stage or ""})
        self.announcer.moved(tx, moved, run, actor=person, told=told)
        return moved

    def retry(self, tx: Transaction, task_id: int, person: Person, instruction: str | None) -> CodeTask | Refused:
        """Failed -> queued with one attempt more; `instruction` is added for the agent."""
        task = self.retriable(tx, task_id, person)
        if isinstance(task, Refused):
            return task
        attempts = [run.attempt for run in tx.runs.of_task(task_id)]
        moved = tx.tasks.move(
            task_id,
            {Stage.FAILED},
            Stage.QUEUED,
            actor=actor_of(person),
            reason="retry",
            max_attempts=max(task.max_attempts, max(attempts, default=0)) + 1,
            instruction=instruction or task.instruction,
            next_attempt_at=None,
        )
        if moved is None:
            return _no_retry(task)
        tx.people.audit(actor_of(person), "retry", task.ref, {"with": instruction or ""})
        tx.runs.cancel(task_id)  # only one may be open
        run = tx.runs.enqueue(moved, max(attempts, default=0) + 1, tx.now)
        self.announcer.moved(tx, moved, run)
        return moved

    def retriable(self, tx: Transaction, task_id: int, person: Person) -> CodeTask | Refused:
        """The code task, if the person may retry it now."""
        task = tx.tasks.get(task_id)
        if task is None:
            return unknown(task_id)
        if not self._may_act(person, task, Action.RETRY):
            return self.rights.refuse_acting(task, "retry")
        return task if task.stage is Stage.FAILED else _no_retry(task)

    def mark_merged(self, tx: Transaction, task_id: int, person: Person) -> CodeTask | Refused:
        """Review -> merged by a person's word, when no pull request is tracked."""
        task = tx.tasks.get(task_id)
        if task is None:
            return unknown(task_id)
        if not self._may_act(person, task, Action.MERGED):
            return self.rights.refuse_acting(task, "merged")
        if task.pr_number is not None:
            return Refused("refused.tracked_merged", {"ref": task.ref}, "state")
        if task.stage is Stage.REVIEW:
            end_on_branch(tx, self.announcer, task)
        moved = tx.tasks.move(
            task_id,
            {Stage.REVIEW},
            Stage.MERGED,
            actor=actor_of(person),
            reason="marked merged",
            merged_by=person.name or person.id,
        )
        if moved is None:
            return Refused("refused.wrong_stage_merged", {"ref": task.ref, "stage": stage_word(task.stage)}, "state")
        tx.people.audit(actor_of(person), "merged", task.ref, {})
        self.announcer.moved(tx, moved, None, actor=person)
        return moved

    def decide(self, tx: Transaction, task_id: int, person: Person, approved: bool, change: str) -> CodeTask | Refused:
        """An admin allows or refuses the waiting change of a code task. `change` is the beginning of the commit that
        was shown: another one, or one that has waited for 72 h, needs a new question. The one who asked may not allow
        it, unless the settings say so or there is no other admin."""
        task = tx.tasks.get(task_id)
        if task is None:
            return unknown(task_id)
        if not may(self.rights.role(person), Action.APPROVE, is_requester=False):
            return self.rights.refuse_deciding(task)
        runs, sent = tx.runs.of_task(task_id), waiting_on_branch(tx, task)
        own = runs[-1] if runs and runs[-1].state is RunLease.WAITING else None
        run = sent[0] if sent is not None else own
        asker = sent[1] if sent is not None else task
        if approved and is_requester(person, asker) and not self.may_approve_own(tx, person):
            return Refused("refused.own_approval", {"ref": task.ref}, "not_allowed")
        parked = tx.runs.parked(run.id or 0) if run is not None else None
        if run is None or parked is None:
            return Refused("refused.nothing_to_approve", {"ref": task.ref}, "state")
        if not change or not parked.sha.startswith(change):
            return Refused("refused.approval_changed", {"ref": task.ref}, "state")
        if parked.is_expired(tx.now):
            return Refused("refused.approval_expired", {"ref": task.ref}, "state")
        if not self._decide(tx, run, person, approved):
            return Refused("refused.nothing_to_approve", {"ref": task.ref}, "state")
        decided = tx.tasks.get(task_id) or task
        tx.people.audit(actor_of(person), "approve" if approved else "refuse", task.ref, _verdict(run, parked))
        return decided

    def _decide(self, tx: Transaction, run: Run, person: Person, approved: bool) -> bool:
        """Lets a waiting run go on, or ends it; False when it waits no more."""
        if approved:
            return tx.runs.decide_run(run.id or 0, approved=True, by=actor_of(person)) is not None
        error = f"Refused: {person.name or person.id} did not allow the change."
        if run.kind == "follow_up":
            return refuse_change(tx, self.announcer, run, error, actor_of(person)) is not None
        return self.attempts.refuse_waiting(tx, run, error, actor_of(person)) is not None

    def may_approve_own(self, tx: Transaction, person: Person) -> bool:
        """Whether someone may allow what they asked for themselves: as the settings say, else as the only admin."""
        if self.settings.requester_may_approve is not None:
            return self.settings.requester_may_approve
        return self.rights.is_only_admin(tx, person)

    def delete(self, tx: Transaction, task_id: int, person: Person) -> CodeTask | Refused:
        """Removes a merged or failed code task with its logs; its branch and pull request stay."""
        task = tx.tasks.get(task_id)
        if task is None:
            return unknown(task_id)
        if not self._may_act(person, task, Action.DELETE):
            return self.rights.refuse_acting(task, "delete")
        copy = CodeTask.model_validate(task.model_dump())
        self.announcer.deleted(tx, copy, person)
        if not tx.tasks.delete(task_id):
            return Refused("refused.wrong_stage_delete", {"ref": copy.ref, "stage": stage_word(copy.stage)}, "state")
        tx.people.audit(actor_of(person), "delete", copy.ref, {})
        return copy

    def _may_act(self, person: Person, task: CodeTask, action: Action) -> bool:
        return may(self.rights.role(person), action, is_requester=is_requester(person, task))

    def _repo(self, tx: Transaction, filing: Filing) -> Repo | Refused:
        repos = self.settings.repositories
        if not repos:
            return Refused("refused.no_repository", {"setting": "GIT_REPO_URL"})
        asked = filing.options.repo
        if asked is not None:
            found = repos.get(asked)
            return found or Refused("refused.unknown_repository", {"repo": asked, "repositories": tuple(sorted(repos))})
        channel = tx.people.setting(filing.channel, "repo") if filing.channel else None
        for alias in (channel, tx.people.last_repo(filing.person)):
            if alias in repos:
                return repos[alias]
        if len(repos) == 1:
            return next(iter(repos.values()))
        return Refused("refused.which_repository", {"option": "--repo", "repositories": tuple(sorted(repos))})

    def _channel_base(self, tx: Transaction, filing: Filing, repo: Repo) -> str | None:
        """What the channel's admin set as base, which is a branch of the channel's repository and of no other."""
        if filing.channel is None or repo_of_channel(tx, filing.channel, self.settings) != repo:
            return None
        return tx.people.setting(filing.channel, "base")

    def _agent(self, tx: Transaction, filing: Filing) -> str | Refused:
        if not self.agents:
            return Refused("refused.no_agent", {"setting": "DEFAULT_AGENT"})
        asked = (filing.options.agent or "").strip().lower()
        if asked:
            if asked in self.agents:
                return asked
            return Refused("refused.unknown_agent", {"agent": asked, "agents": tuple(sorted(self.agents))})
        channel = tx.people.setting(filing.channel, "agent") if filing.channel else None
        for name in (channel, self.settings.default_agent):
            if name in self.agents:
                return name or ""
        return self.agents[0]

    def _draft(self, tx: Transaction, filing: Filing, text: str, repo: Repo, agent: str) -> CodeTask | Refused:
        person, options = filing.person, filing.options
        name = self._name(tx, person, options.name, title_of(text))
        if isinstance(name, Refused):
            return name
        priority = Priority(options.priority or "normal")
        return CodeTask(
            uuid=str(uuid.uuid4()),
            name=name,
            thread_id=filing.thread_id,
            requester_platform=person.platform,
            requester_workspace=person.workspace_id,
            requester_id=person.id,
            requester_name=person.name,
            title=title_of(text),
            description=text,
            context=filing.context,
            repo=repo.alias,
            base=options.base or self._channel_base(tx, filing, repo) or repo.base,
            agent=agent,
            priority=priority.rank,
            source=filing.source,
            dedup_key=filing.dedup_key,
            dedup_hash=filing.dedup_hash,
            draft=bool(options.draft),
            max_attempts=self.settings.max_attempts,
            next_attempt_at=filing.start_at,
            created_at=tx.now,
            updated_at=tx.now,
        )

    def _name(self, tx: Transaction, person: Person, asked: str | None, title: str) -> str | Refused:
        wanted = asked or title
        base = slug_of(wanted)
        taken = tx.tasks.names((person.platform, person.workspace_id, person.id), base[:20])
        if base not in taken:
            return base
        for number in range(2, NAME_TRIES):
            candidate = slug_of(wanted, number)
            if candidate not in taken:
                return candidate
        return Refused("refused.name_taken", {"name": base}, "state")


def _by_name(tx: Transaction, name: str, person: Person | None) -> list[CodeTask]:
    """The code tasks a name can mean, best first: by uuid, the person's own, then everyone's."""
    by_uuid = tx.tasks.find(uuid=name) if len(name) == 36 else None
    if by_uuid is not None:
        return [by_uuid]
    requester, _, bare = name.rpartition("/")
    found = list(tx.tasks.named(bare))
    if requester:
        return [task for task in found if requester in (task.requester_id, task.requester_name)]
    own = [task for task in found if person is not None and is_requester(person, task)]
    return own or found


def _no_retry(task: CodeTask) -> Refused:
    return Refused("refused.wrong_stage_retry", {"ref": task.ref, "stage": stage_word(task.stage)}, "state")


def unknown(task_id: int) -> Refused:
    return Refused("refused.unknown_id", {"id": f"CT-{task_id}", "command": "list"}, "not_found")


def message_key(message: MessageRef) -> str:
    """What makes the filing of a message unique, by whichever door (product rule P06)."""
    where = message.thread
    return f"m:{where.platform}:{where.workspace_id}:{where.channel_id}:{message.message_id}"


def _verdict(run: Run, parked: ParkedChange) -> dict[str, object]:
    """What the audit trail keeps of a decision about a change."""
    return {"run": run.id, "base": parked.base_sha, "tree": parked.tree_sha, "commit": parked.sha}


def actor_of(person: Person) -> str:
    """How history and audit name a person: `slack:U123`."""
    return f"{person.platform}:{person.id}"


def checked(text: str) -> Accepted | Refused:
    """The description as it is stored, or why it cannot be one."""
    match check_description(text):
        case TooShort():
            return Refused("refused.too_short")
        case TooLong(length):
            return Refused("refused.too_long", {"n": length})
        case accepted:
            return accepted


def repo_of_channel(tx: Transaction, channel: ThreadRef, settings: Settings) -> Repo | None:
    """The repository that a channel's code tasks are for: as its admin set it, else the only one there is; None where
    the one that was set is not configured any more."""
    repos = settings.repositories
    chosen = tx.people.setting(channel, "repo")
    if chosen is None and len(repos) == 1:
        return next(iter(repos.values()))
    return repos.get(chosen or "")

"""Follow-ups as people, scripts and agents handle them: set, find, list, change, cancel, stop, run now, retry, delete.

One transaction each; every door (chat, HTTP, command line, an agent's tools) comes through here, so checks and answers
are the same. A refusal is a value with the key of the sentence that says it. What happens when one falls due is in
`bot.services.firing`.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.core.followups import (
    AGENT_CHAIN,
    AGENT_GAP,
    AGENT_HORIZON,
    AGENT_PER_RUN,
    MESSAGE_MAX,
    PENDING_BY_AGENTS,
    PENDING_PER_PERSON,
    PENDING_PER_THREAD,
    FollowUp,
    FollowUpKind,
    FollowUpState,
    IfBusy,
    IfMissed,
    follow_up_title,
)
from bot.core.hygiene import clean
from bot.core.inbound import Person, ThreadRef
from bot.core.people import Action, is_requester, may
from bot.core.texts import Word
from bot.core.verbs import Target, TaskId, TaskName
from bot.core.when import GRACE, HORIZON
from bot.services.people import Rights
from bot.services.refusals import Refused
from bot.services.tasks import actor_of
from bot.settings import Settings
from bot.store import FollowUpFilter, PendingCounts, RunAgain, Transaction

PENDING, RUNNING, FAILED = FollowUpState.PENDING, FollowUpState.RUNNING, FollowUpState.FAILED
CANCELLED = FollowUpState.CANCELLED


@dataclass(frozen=True, slots=True)
class SetByRun:
    """The run whose agent sets a follow-up: its number, and the follow-up that it is a run of, if it is one."""

    run_id: int
    follow_up: FollowUp | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish to set a follow-up. `place` is the thread it is anchored to, or a channel (no root); None for one without
    a chat. `at` is the instant, already read. `thread_id` names the thread where it may have no root yet."""

    text: str
    at: datetime
    person: Person
    place: ThreadRef | None = None
    zone: str = ""
    title: str = ""
    agent: str = ""
    remind: bool = False
    if_missed: IfMissed | None = None
    if_busy: IfBusy = "queue"
    run_now: bool = False
    channel_name: str = ""
    message_id: str | None = None
    source: str = "chat"
    by: SetByRun | None = None
    goes_on: int | None = None
    """The run of a code task that a `send` goes on with."""
    dedup_key: str | None = None
    dedup_hash: str | None = None
    thread_id: int | None = None


@dataclass(frozen=True, slots=True)
class FollowUpSet:
    """The follow-up. `fresh` is false when the same message or key had set it before. `as_reminder`: no agent can work
    here, so its text will be posted. `kept_agent` is the thread's own agent where that goes before the one asked for.
    """

    follow_up: FollowUp
    fresh: bool = True
    as_reminder: bool = False
    kept_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What `update` changes; None leaves a field as it is."""

    at: datetime | None = None
    zone: str | None = None
    text: str | None = None
    title: str | None = None
    agent: str | None = None
    if_missed: IfMissed | None = None
    if_busy: IfBusy | None = None


@dataclass(frozen=True, slots=True)
class FollowUps:
    """The use cases. `agents` are the agents that may be used here."""

    settings: Settings
    rights: Rights
    agents: tuple[str, ...] = field(default=())

    # --- Setting ------------------------------------------------------------------------------------------------------

    def set(self, tx: Transaction, wish: Wish) -> FollowUpSet | Refused:
        """Sets a follow-up: pending, fired at its time."""
        known = tx.followups.find(dedup_key=wish.dedup_key) if wish.dedup_key else None
        if known is not None:
            if wish.dedup_hash is not None and known.dedup_hash != wish.dedup_hash:
                return Refused("refused.idempotency", kind="state")
            return FollowUpSet(known, fresh=False)
        if not may(self.rights.role(wish.person), Action.FILE, is_requester=False):
            return self.rights.refuse_following_up()
        if not self.rights.hears(tx, wish.place):
            return self.rights.refuse_channel()
        draft = self._draft(tx, wish)
        if isinstance(draft, Refused):
            return draft
        who = (draft.requester_platform, draft.requester_workspace, draft.requester_id)
        pending = tx.followups.pending_counts(who, draft.thread_id)
        refused = self._over_quota(pending) or (self._over_brakes(tx, draft, wish.by, pending) if wish.by else None)
        if refused is not None:
            return refused
        stored = tx.followups.add(draft)
        if stored is None:
            raise RunAgain
        tx.people.audit(actor_of(wish.person), "follow_up", stored.ref, {"at": stored.due_at.isoformat()})
        tx.wake("task")
        session = tx.sessions.agent_of(stored.thread_id) if stored.thread_id is not None else None
        kept = session if stored.agent and session in self.agents and session != stored.agent else None
        return FollowUpSet(stored, True, self._becomes_reminder(wish), kept)

    def _draft(self, tx: Transaction, wish: Wish) -> FollowUp | Refused:
        text = self._text(wish.text)
        refused = self._unfit_time(tx, wish.at, wish.run_now)
        agent = self._named(wish.agent)
        for value in (text, agent):
            if isinstance(value, Refused):
                return value
        if refused is not None:
            return refused
        kind = FollowUpKind.MESSAGE if wish.remind or not self.agents else FollowUpKind.AGENT
        place, thread_id = wish.place, wish.thread_id
        if thread_id is None and place is not None and place.root is not None:
            thread_id = tx.threads.open(place).id
        person = wish.person
        return FollowUp(
            uuid=str(uuid.uuid4()),
            platform=place.platform if place else "",
            workspace_id=place.workspace_id if place else "",
            channel_id=place.channel_id if place else "",
            channel_name=wish.channel_name,
            thread_id=thread_id,
            anchored=thread_id is not None,
            message_id=wish.message_id,
            kind=kind,
            title=follow_up_title(clean(wish.title)) or follow_up_title(str(text)),
            body=str(text),
            agent=str(agent) or None,
            due_at=tx.now if wish.run_now else max(wish.at, tx.now),
            zone=wish.zone,
            if_missed=wish.if_missed or ("run" if kind is FollowUpKind.MESSAGE else "skip"),
            if_busy=wish.if_busy,
            requester_platform=person.platform,
            requester_workspace=person.workspace_id,
            requester_id=person.id,
            requester_name=person.name,
            source=wish.source,
            by_agent=wish.by is not None,
            origin_run_id=wish.by.run_id if wish.by else wish.goes_on,
            chain_depth=wish.by.follow_up.chain_depth + 1 if wish.by and wish.by.follow_up else 0,
            dedup_key=wish.dedup_key,
            dedup_hash=wish.dedup_hash,
            created_at=tx.now,
            updated_at=tx.now,
        )

    def _becomes_reminder(self, wish: Wish) -> bool:
        return not wish.remind and not self.agents

    def _text(self, text: str) -> str | Refused:
        kept = clean(text).strip()
        if len(kept) > MESSAGE_MAX:
            return Refused("refused.follow_up_too_long", {"n": len(kept)})
        return kept or "Follow up on this thread"

    def _named(self, agent: str) -> str | Refused:
        name = agent.strip().lower()
        if name and name not in self.agents:
            return Refused("refused.unknown_agent", {"agent": name, "agents": tuple(sorted(self.agents))})
        return name

    def _unfit_time(self, tx: Transaction, at: datetime, run_now: bool) -> Refused | None:
        if run_now:
            return None
        if at < tx.now - GRACE:
            return Refused("refused.follow_up_past")
        return Refused("when.too_far") if at > tx.now + HORIZON else None

    def _over_quota(self, pending: PendingCounts) -> Refused | None:
        if pending.of_person >= PENDING_PER_PERSON:
            return Refused("refused.follow_ups_full", {"n": PENDING_PER_PERSON, "command": "followups"}, "state")
        if pending.in_thread >= PENDING_PER_THREAD:
            return Refused("refused.thread_full", {"n": PENDING_PER_THREAD, "command": "followups"}, "state")
        return None

    def _over_brakes(self, tx: Transaction, draft: FollowUp, by: SetByRun, pending: PendingCounts) -> Refused | None:
        """The brakes on agents (product rule 7.5)."""
        if draft.due_at < tx.now + AGENT_GAP:
            return Refused("refused.agent_too_soon", {"n": int(AGENT_GAP / timedelta(seconds=1))})
        if draft.due_at > tx.now + AGENT_HORIZON:
            return Refused("refused.agent_too_far", {"n": AGENT_HORIZON.days})
        if draft.chain_depth > AGENT_CHAIN:
            return Refused("refused.agent_chain", {"n": AGENT_CHAIN}, "state")
        if by.follow_up is not None and tx.followups.set_by_run(by.run_id) >= AGENT_PER_RUN:
            return Refused("refused.agent_one_only", {}, "state")
        if pending.by_agents >= PENDING_BY_AGENTS:
            return Refused("refused.agent_thread_full", {"n": PENDING_BY_AGENTS}, "state")
        return None

    # --- Looking ------------------------------------------------------------------------------------------------------

    def find(self, tx: Transaction, target: Target, thread_id: int | None = None) -> FollowUp | Refused:
        """The follow-up that an id, a uuid or this thread stands for."""
        match target:
            case TaskId(_, number):
                found, said = tx.followups.get(number), f"FU-{number}"
            case TaskName(name):
                found, said = tx.followups.find(uuid=name), name
            case _:
                found = tx.followups.in_thread(thread_id) if thread_id is not None else None
                if found is None:
                    return Refused("refused.not_in_follow_up_thread", {"example": "FU-7"})
                said = found.ref
        return found or Refused("refused.unknown_follow_up", {"id": said, "command": "followups"}, "not_found")

    def list(self, tx: Transaction, which: FollowUpFilter) -> list[FollowUp]:
        """Running first, then pending by time, the rest newest first."""
        return list(tx.followups.list(which))

    # --- Changing -----------------------------------------------------------------------------------------------------

    def update(self, tx: Transaction, number: int, person: Person, changes: Changes) -> FollowUp | Refused:
        """Changes a pending one; what is not named stays."""
        follow_up = self._own(tx, number, person, "change")
        if isinstance(follow_up, Refused):
            return follow_up
        values = self._changed(tx, follow_up, changes)
        if isinstance(values, Refused):
            return values
        if not values and follow_up.state is PENDING:
            return follow_up
        moved = tx.followups.update(number, **values)
        if moved is None:
            return self._wrong_state(tx, number, "follow_up_not_pending", running="follow_up_not_pending")
        tx.people.audit(actor_of(person), "change", moved.ref, {"at": moved.due_at.isoformat()})
        return moved

    def _changed(self, tx: Transaction, follow_up: FollowUp, changes: Changes) -> dict[str, Any] | Refused:
        values: dict[str, Any] = {}
        if changes.at is not None:
            refused = self._unfit_time(tx, changes.at, run_now=False)
            if refused is not None:
                return refused
            values["due_at"] = max(changes.at, tx.now)
        if changes.zone:
            values["zone"] = changes.zone
        if changes.text is not None:
            text = self._text(changes.text)
            if isinstance(text, Refused):
                return text
            values["body"] = text
            if changes.title is None and follow_up.title == follow_up_title(follow_up.body):
                values["title"] = follow_up_title(text)
        if changes.title is not None:
            values["title"] = follow_up_title(clean(changes.title)) or follow_up.title
        if changes.agent is not None and changes.agent.strip().lower() != (follow_up.agent or ""):
            agent = self._named(changes.agent)
            if isinstance(agent, Refused):
                return agent
            values["agent"] = agent or None
        if changes.if_missed is not None:
            values["if_missed"] = changes.if_missed
        if changes.if_busy is not None:
            values["if_busy"] = changes.if_busy
        return values

    def cancel(self, tx: Transaction, number: int, person: Person) -> FollowUp | Refused:
        """Pending -> cancelled. A second cancel changes nothing; a running one needs `stop`."""
        follow_up = self._own(tx, number, person, "cancel")
        if isinstance(follow_up, Refused) or follow_up.state is CANCELLED:
            return follow_up
        moved = tx.followups.move(number, {PENDING}, CANCELLED)
        if moved is None:
            return self._wrong_state(tx, number, "follow_up_over")
        tx.people.audit(actor_of(person), "cancel", moved.ref, {})
        return moved

    def stop(self, tx: Transaction, number: int, person: Person) -> FollowUp | Refused:
        """Pending or running -> cancelled; the agent of a running one is ended and its result never posted."""
        follow_up = self._own(tx, number, person, "stop")
        if isinstance(follow_up, Refused) or follow_up.state is CANCELLED:
            return follow_up
        tx.runs.cancel_follow_up(number)
        moved = tx.followups.move(number, {PENDING, RUNNING}, CANCELLED)
        if moved is None:
            return self._wrong_state(tx, number, "follow_up_over")
        tx.runs.cancel_follow_up(number)  # the row is locked now: one that fired at this moment has its run by now
        tx.people.audit(actor_of(person), "stop", moved.ref, {})
        return moved

    def run_now(self, tx: Transaction, number: int, person: Person) -> FollowUp | Refused:
        """A pending one falls due at once."""
        follow_up = self._own(tx, number, person, "run")
        if isinstance(follow_up, Refused):
            return follow_up
        moved = tx.followups.update(number, due_at=tx.now)
        if moved is None:
            return self._wrong_state(tx, number, "follow_up_ran", running="follow_up_already_running")
        tx.people.audit(actor_of(person), "run_now", moved.ref, {})
        return moved

    def retry(self, tx: Transaction, number: int, person: Person) -> FollowUp | Refused:
        """Failed -> pending, due now; the same id, one run more."""
        follow_up = self._own(tx, number, person, "retry")
        if isinstance(follow_up, Refused):
            return follow_up
        moved = tx.followups.move(number, {FAILED}, PENDING, due_at=tx.now, error=None, crashes=0)
        if moved is None:
            return self._wrong_state(tx, number, "follow_up_not_failed", running="follow_up_already_running")
        tx.people.audit(actor_of(person), "retry", moved.ref, {})
        return moved

    def delete(self, tx: Transaction, number: int, person: Person) -> FollowUp | Refused:
        """Removes one that is not running."""
        follow_up = self._own(tx, number, person, "delete")
        if isinstance(follow_up, Refused):
            return follow_up
        copy = FollowUp.model_validate(follow_up.model_dump())
        if not tx.followups.delete(number):
            return self._wrong_state(tx, number, "follow_up_over")
        tx.people.audit(actor_of(person), "delete", copy.ref, {})
        return copy

    def _own(self, tx: Transaction, number: int, person: Person, verb: str) -> FollowUp | Refused:
        """The follow-up, if the person may change it: its requester or an admin."""
        follow_up = tx.followups.get(number)
        if follow_up is None:
            return unknown_follow_up(number)
        if not may(self.rights.role(person), Action.CANCEL, is_requester=is_requester(person, follow_up)):
            return self.rights.refuse_changing(follow_up, verb)
        return follow_up

    def _wrong_state(self, tx: Transaction, number: int, key: str, running: str = "follow_up_running") -> Refused:
        """Why a guard did not hold, from the row as it is now. `running` is what is said of a running one."""
        now = tx.followups.get(number)
        if now is None:
            return unknown_follow_up(number)
        if now.state is RUNNING:
            key = running
        return Refused(f"refused.{key}", {"ref": now.ref, "state": Word(f"follow_up.state.{now.state}")}, "state")


def unknown_follow_up(number: int) -> Refused:
    return Refused("refused.unknown_follow_up", {"id": f"FU-{number}", "command": "followups"}, "not_found")

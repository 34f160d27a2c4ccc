"""What happens when follow-ups fall due: each is claimed once and does what it was set for, in one transaction.

An agent's prompt becomes a queued run, a reminder a delivery; who may not do that any more, or whose time has passed,
is told so in the thread. Any number of processes may fire: the guarded move decides.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from bot.core.followups import Fail, Fire, FollowUp, FollowUpKind, FollowUpReason, FollowUpState, Wait, judge_due
from bot.core.inbound import Person
from bot.core.people import Action, may
from bot.failpoints import failpoint
from bot.services.followup_news import FollowUpNews
from bot.services.followups import FollowUps
from bot.services.loops import work_from_rows
from bot.settings import Settings
from bot.store import Due, Store, Transaction

log = structlog.get_logger(__name__)
BATCH: Final = 100
"""Follow-ups that one transaction fires: the first of many due at one instant are claimed after a few milliseconds."""


@dataclass(slots=True)
class Firing:
    """Fires what is due until `run`'s stop event is set."""

    store: Store
    settings: Settings
    followups: FollowUps
    news: FollowUpNews

    async def run(self, stop: asyncio.Event) -> None:
        """Waits for the next due instant, a new follow-up, or a thread that becomes free; fires; again."""
        await work_from_rows(self.store, "follow_up", self._step, stop)

    async def _step(self) -> float | None:
        fired = await self.store.run(self.fire_due)
        if fired:
            failpoint("followup.claimed")
        return None if fired == BATCH else await self._idle_seconds()

    async def _idle_seconds(self) -> float:
        poll = self.settings.poll_interval_ms / 1000
        due = await self.store.run(lambda tx: tx.followups.next_due_at(), read=True)
        if due is None:
            return poll
        return min(max((due - self.store.now()).total_seconds(), 0.001), poll)

    def fire_due(self, tx: Transaction) -> int:
        """Fires up to a batch of what is due now. Returns how many were looked at."""
        due = tx.followups.due(BATCH)
        if due:
            batch = _Batch(self, tx, due)
            batch.fire()
            failpoint("followup.before_commit")
        return len(due)


@dataclass(slots=True)
class _Batch:
    """One transaction's due follow-ups. Roles are looked up once for each person."""

    firing: Firing
    tx: Transaction
    due: Sequence[Due]
    _allowed: dict[tuple[str, str, str], bool] = field(default_factory=dict[tuple[str, str, str], bool])

    def fire(self) -> None:
        runs: dict[int, str] = {}
        posts: dict[int, timedelta | None] = {}
        for one in self.due:
            self._sort(one, runs, posts)
        started = self.tx.followups.fire(list(runs), FollowUpState.RUNNING)
        self.tx.runs.enqueue_follow_ups([(one, runs[one.id or 0]) for one in started], self.tx.now)
        for one in self.tx.followups.fire(list(posts), FollowUpState.SUCCESS):
            self.firing.news.reminder(self.tx, one, posts[one.id or 0])

    def _sort(self, one: Due, runs: dict[int, str], posts: dict[int, timedelta | None]) -> None:
        follow_up = one.follow_up
        number = follow_up.id or 0
        if not self._may(follow_up):
            self._fail(follow_up, FollowUpReason.REFUSED)
            return
        match judge_due(follow_up, self.tx.now, free_since=one.free_since, busy=one.busy):
            case Wait():
                pass
            case Fail(reason):
                self._fail(follow_up, reason)
            case Fire(late) if follow_up.kind is FollowUpKind.MESSAGE:
                posts[number] = late
            case Fire(late):
                agent = self.firing.followups.agent_for(self.tx, follow_up, one.session_agent)
                if agent is None:
                    self._fail(follow_up, FollowUpReason.CONFIG)
                else:
                    runs[number] = agent
                    if late is not None:
                        self.tx.followups.update(number, late_seconds=int(late.total_seconds()))

    def _fail(self, follow_up: FollowUp, reason: FollowUpReason) -> None:
        failed = self.tx.followups.move(follow_up.id or 0, {FollowUpState.PENDING}, FollowUpState.FAILED, reason=reason)
        if failed is not None:
            self.firing.news.failed(self.tx, failed)

    def _may(self, follow_up: FollowUp) -> bool:
        """Whether the person who set it may still set one: rights are asked again when it fires."""
        who = (follow_up.requester_platform, follow_up.requester_workspace, follow_up.requester_id)
        if who not in self._allowed:
            known = self.tx.people.find(*who)
            person = known or Person(platform=who[0], workspace_id=who[1], id=who[2])
            role = self.firing.followups.rights.role(person)
            self._allowed[who] = may(role, Action.FILE, is_requester=True)
        return self._allowed[who]

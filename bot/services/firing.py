"""What happens when follow-ups fall due: each is claimed once and does what it was set for, in one transaction.

An agent's prompt becomes a queued run, a reminder a delivery; who may not do that any more, or whose time has passed,
is told so in the thread. No agent works where the bot may not speak any more. Any number of processes may fire: the
guarded move decides.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from bot.core.followups import (
    ON_TIME,
    Fail,
    Fire,
    FollowUpKind,
    FollowUpReason,
    FollowUpState,
    Wait,
    choose_agent,
    judge_due,
)
from bot.core.inbound import Person
from bot.core.people import Action, may
from bot.failpoints import failpoint
from bot.services.followup_news import FollowUpNews
from bot.services.followups import FollowUps
from bot.services.fresh_roles import FreshRoles, Who, who_of
from bot.services.loops import FAULT_SECONDS, short_ref, work_from_rows
from bot.services.people import as_tokens_say, with_links
from bot.settings import Settings
from bot.store import Due, RunAgain, Store, StoreDown, Transaction

log = structlog.get_logger(__name__)
BATCH: Final = 1_000
"""Follow-ups that one transaction fires: few commits for many due at one instant (1,000 prompts take 35 ms)."""
POSTS: Final = 350
"""How many of them may be reminders or late, so that nobody waits long for the writer: as each of those renders a post
or is written alone, these take 70 to 350 ms."""

EARLY_SECONDS: Final = 0.02
"""How long before a follow-up falls due a long wait for it ends, for a short one: Linux ends a wait late by up to a
thousandth of its length (5 ms after 3 s)."""


@dataclass(slots=True)
class Firing:
    """Fires what is due until `run`'s stop event is set."""

    store: Store
    settings: Settings
    followups: FollowUps
    news: FollowUpNews
    roles: FreshRoles

    async def run(self, stop: asyncio.Event) -> None:
        """Waits for the next due instant, a new follow-up, or a thread that becomes free; fires; again."""
        await work_from_rows(self.store, "follow_up", self._step, stop)

    async def _step(self) -> float | None:
        try:
            fired, unasked, idle = await self.store.run(self._look)
        except (StoreDown, RunAgain):
            raise
        except Exception:
            log.exception("firing_failed", ref=short_ref())
            await self._one_by_one()
            return FAULT_SECONDS
        if fired:
            failpoint("followup.claimed")
        if unasked:
            await self.roles.ask(unasked)
            return None
        return idle

    def _look(self, tx: Transaction) -> tuple[int, dict[Who, Person], float | None]:
        """Fires what is due, but for people whose roles should be asked for first: how many, those, and how long
        there is nothing to do; None where that is better looked at once more, as the next may be due by then."""
        due = _next(tx)
        unasked = self.roles.unasked(one.requester for one in due)
        ready = [one for one in due if who_of(one.requester) not in unasked] if unasked else due
        fired = self._fire(tx, ready)
        return fired, unasked, None if fired else self._idle_seconds(tx)

    def fire_due(self, tx: Transaction) -> int:
        """Fires up to a batch of what is due now, by the roles told last. Returns how many were looked at."""
        due = _next(tx)
        self._fire(tx, due)
        return len(due)

    def _fire(self, tx: Transaction, due: Sequence[Due]) -> int:
        """How many of these do not wait any more."""
        if not due:
            return 0
        fired = _Batch(self, tx, due).fire()
        failpoint("followup.before_commit")
        return fired

    async def _one_by_one(self) -> None:
        """One of a batch cannot be fired, for a fault of ours: the others are, and that one has failed."""
        for number in await self.store.run(lambda tx: [one.id for one in tx.followups.due(POSTS)]):
            try:
                await self.store.run(partial(self._fire_only, number))
            except (StoreDown, RunAgain):
                raise
            except Exception:
                ref = short_ref()
                log.exception("follow_up_unfit", follow_up=number, ref=ref)
                await self.store.run(partial(self._give_up, number, f"It met an unexpected fault (ref {ref})."))

    def _fire_only(self, number: int, tx: Transaction) -> None:
        _Batch(self, tx, [one for one in tx.followups.due(POSTS) if one.id == number]).fire()

    def _give_up(self, number: int, error: str, tx: Transaction) -> None:
        pending, failed = {FollowUpState.PENDING}, FollowUpState.FAILED
        given_up = tx.followups.move(number, pending, failed, reason=FollowUpReason.CONFIG, error=error)
        if given_up is not None:
            self.news.failed(tx, given_up)

    def _idle_seconds(self, tx: Transaction) -> float:
        """Until the next one falls due by the clock that decides about it, which need not be this process's. What is
        due and waits for its thread does not count: the end of that thread's run wakes the loop."""
        poll = self.settings.poll_interval_ms / 1000
        due_at = tx.followups.next_due_at()
        if due_at is None:
            return poll
        left = (due_at - tx.now).total_seconds()
        return min(left if left <= 2 * EARLY_SECONDS else left - EARLY_SECONDS, poll)


def _next(tx: Transaction) -> Sequence[Due]:
    """What one transaction fires, oldest due first."""
    due = tx.followups.due(BATCH)
    on_time = tx.now - ON_TIME
    posts = [place for place, one in enumerate(due) if one.kind is FollowUpKind.MESSAGE or one.due_at < on_time]
    return due[: posts[POSTS]] if len(posts) > POSTS else due


@dataclass(slots=True)
class _Batch:
    """One transaction's due follow-ups. Roles are asked for once for each person."""

    firing: Firing
    tx: Transaction
    due: Sequence[Due]
    runs: dict[tuple[str, timedelta | None], list[int]] = field(
        default_factory=dict[tuple[str, timedelta | None], list[int]]
    )
    """The prompts that start, by their agent and how late they are."""
    posts: dict[timedelta | None, list[int]] = field(default_factory=dict[timedelta | None, list[int]])
    """The reminders, by how late they are."""
    _taken: set[int] = field(default_factory=set[int])
    """The threads in which a prompt of this batch starts."""
    _allowed: dict[tuple[str, str, str], bool] = field(default_factory=dict[tuple[str, str, str], bool])

    def fire(self) -> int:
        """How many had their time; the others go on waiting for their thread."""
        fired = sum([self._sort(one) for one in self.due])
        for (agent, late), ids in self.runs.items():
            self.tx.runs.enqueue_follow_ups(self.tx.followups.start(ids, late), agent)
        for late, ids in self.posts.items():
            posted = {one.id: one for one in self.tx.followups.post(ids, late)}
            told = [(posted[one.id], late, one.language) for one in self.due if one.id in posted]
            self.firing.news.reminders(self.tx, told)
        return fired

    def _sort(self, one: Due) -> bool:
        """Whether it does not wait any more."""
        if not self._may(one.requester):
            self._fail(one, FollowUpReason.REFUSED)
            return True
        if one.away:
            self._fail(one, FollowUpReason.UNDELIVERABLE)
            return True
        match judge_due(one, self.tx.now, free_since=one.free_since, busy=one.busy or one.thread_id in self._taken):
            case Wait():
                return False
            case Fail(reason):
                self._fail(one, reason)
            case Fire(late) if one.kind is FollowUpKind.MESSAGE:
                self.posts.setdefault(late, []).append(one.id)
            case Fire(late):
                self._start(one, late)
        return True

    def _start(self, one: Due, late: timedelta | None) -> None:
        known, default = self.firing.followups.agents, self.firing.settings.default_agent
        agent = choose_agent(known, one.session_agent, one.agent, one.channel_agent, default)
        if agent is None:
            self._fail(one, FollowUpReason.CONFIG)
            return
        self.runs.setdefault((agent, late), []).append(one.id)
        if one.thread_id is not None:
            self._taken.add(one.thread_id)

    def _fail(self, one: Due, reason: FollowUpReason) -> None:
        failed = self.tx.followups.move(one.id, {FollowUpState.PENDING}, FollowUpState.FAILED, reason=reason)
        if failed is not None:
            self.firing.news.failed(self.tx, failed)

    def _may(self, person: Person) -> bool:
        """Whether the person who set it may still set one: rights are asked again when it fires."""
        who = who_of(person)
        if who not in self._allowed:
            known, rights = as_tokens_say(self.tx, self.firing.roles.of(person)), self.firing.followups.rights
            self._allowed[who] = any(
                may(rights.role(one), Action.FILE, is_requester=True) for one in self._accounts(known)
            )
        return self._allowed[who]

    def _accounts(self, person: Person) -> Iterator[Person]:
        """The person alone, then with the accounts they are linked to, which are looked up only where it matters."""
        yield person
        yield with_links(self.tx, person)

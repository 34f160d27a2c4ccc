"""Judges what was collected: takes items whose time has come, reads their texts, asks the judge, acts on the answer.

Nothing is held over the network: an item is leased in one transaction, judged outside any, and decided in another that
is guarded by its state. After a crash its lease ends and it is judged again, by any process.
"""

import asyncio
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import structlog

from bot.core.inbound import MessageRef, Person
from bot.core.intake.drafting import SIMILAR_MAX
from bot.core.intake.judgement import Judgement
from bot.core.suggestions import REMOVED, WAITING, Mode, SkipReason, Suggestion
from bot.core.tasks import CodeTask
from bot.failpoints import failpoint
from bot.ports import Gone, Platform, Retry, Trouble
from bot.services.intake.deciding import Deciding, Verdict, author_of, place_of
from bot.services.intake.judges import Judge, JudgeAway, RulesJudge
from bot.services.intake.originals import Originals
from bot.services.intake.reranking import CANDIDATES, Reranker
from bot.services.later import Later
from bot.services.loops import short_ref, work_from_rows
from bot.services.people import known_person
from bot.store import Store, StoreDown, Transaction

log = structlog.get_logger(__name__)

AT_ONCE: Final = 16
"""Items of one round: what is written of them keeps nobody waiting for long (ours)."""
WITH_MODEL: Final = 4
"""So many items are asked about at once where a model judges: its answers take seconds, and a lease lasts a minute."""
CONTEXT: Final = 5
"""So many earlier messages a model is shown."""
PATIENCE: Final = timedelta(minutes=30)
"""How long an item waits for a model, for a text or for its author's roles; then rules judge, or nothing is shown."""
AFTER_FAILURE: Final = timedelta(minutes=1)
LEAST_WAIT: Final = timedelta(seconds=5)
IDLE_SECONDS: Final = 10.0
BRIEF_SECONDS: Final = 0.2
GATHER_SECONDS: Final = 0.25
"""Between two rounds that were not full."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The texts of items: of all messages of one, in their order, those that were deleted left out."""

    store: Store
    originals: Originals

    async def text(self, messages: Sequence[MessageRef], *, fresh: bool = False) -> str | Trouble:
        """One text of all messages; `Gone` when every one of them was deleted. `fresh` asks the platform for each."""
        texts: list[str] = []
        gone: Gone = Gone("message")
        for message in messages:
            found = await (self.originals.fresh(message) if fresh else self.originals.text(message))
            match found:
                case str():
                    texts.append(found)
                case Gone():
                    gone = found
                case _:
                    return found
        return "\n".join(texts) if texts else gone

    async def of(self, item: Suggestion, *, fresh: bool = False) -> str | Trouble:
        """The text of one item."""
        messages = await self.store.run(lambda tx: messages_of(tx, item), read=True)
        return await self.text(messages, fresh=fresh)


def messages_of(tx: Transaction, item: Suggestion) -> list[MessageRef]:
    """The messages of an item, in the order in which they were sent."""
    if item.members == 1:
        return [MessageRef(thread=place_of(item), message_id=item.message_id)]
    return [member.message for member in tx.suggestions.members(item.id or 0)]


@dataclass(frozen=True, slots=True)
class Jury:
    """Asks the judge about a text, with what the judge may name."""

    store: Store
    deciding: Deciding
    originals: Originals
    judge: Judge
    rules: RulesJudge
    platforms: Mapping[str, Platform]
    reranker: Reranker | None = None

    @property
    def by_model(self) -> bool:
        return self.judge is not self.rules

    async def verdict(self, item: Suggestion, text: str, *, patient: bool = True) -> Verdict:
        """The judgement of an item's text. Raises `JudgeAway` while a model cannot be asked, unless not `patient`."""
        verdict = await self._judged(item, text, patient)
        if self.reranker is None or not verdict.is_flagged:
            return verdict
        said = verdict.judgement.text
        tasks = await self.store.run(lambda tx: self._similar(tx, item, said, CANDIDATES), read=True)
        nearest = await self.reranker.rerank(said, [(task.id or 0, task.description) for task in tasks])
        return replace(verdict, nearest=tuple(nearest))

    def by_rules(self, text: str) -> Verdict:
        """The judgement without a model."""
        return Verdict.of(self.rules.judged(text), self.rules.threshold, text)

    async def _judged(self, item: Suggestion, text: str, patient: bool) -> Verdict:
        if not self.by_model:
            return self.by_rules(text)
        try:
            judgement = await self._asked(item, text)
        except JudgeAway:
            if patient:
                raise
            return self.by_rules(text)
        threshold = self.rules.threshold if judgement.judge == "rules" else self.judge.threshold
        return Verdict.of(judgement, threshold, text)

    def _similar(self, tx: Transaction, item: Suggestion, text: str, most: int) -> list[CodeTask]:
        repo = tx.people.setting(place_of(item), "repo")
        found = self.deciding.ledger.similar(tx, text, repo, person=author_of(item), most=most)
        return [task for one in found if (task := tx.tasks.get(one.id)) is not None]

    async def _asked(self, item: Suggestion, text: str) -> Judgement:
        first = MessageRef(thread=place_of(item), message_id=item.message_id)
        return await self.judge.judge(
            text,
            before=self.originals.before(first, CONTEXT),
            repos=sorted(self.deciding.settings.repositories),
            similar=await self.store.run(lambda tx: self._similar(tx, item, text, SIMILAR_MAX), read=True),
        )

    async def author(self, item: Suggestion) -> Person:
        """Who wrote the item, with the roles that the platform tells of. Raises `Later` while it cannot tell."""
        return await known_person(author_of(item), self.platforms, self.store, self.deciding.rights)


@dataclass(slots=True)
class _Outcomes:
    """What one round comes to, for one transaction."""

    skipped: dict[int, tuple[str, float, str]] = field(default_factory=dict[int, tuple[str, float, str]])
    removed: list[int] = field(default_factory=list[int])
    put_off: dict[int, timedelta] = field(default_factory=dict[int, timedelta])


class Judging:
    """The loop. `owner` is this process, as `Collecting` names it."""

    def __init__(self, store: Store, reading: Reading, jury: Jury, owner: str) -> None:
        self._store = store
        self._reading = reading
        self._jury = jury
        self._owner = owner
        self._rests_until = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Judges until `stop`."""
        await work_from_rows(self._store, "intake", self.step, stop)

    async def drain(self) -> int:
        """Judges all that is due now (for the tests); how many rounds that took."""
        rounds = 0
        while await self._due():
            rounds += 1
        return rounds

    async def step(self) -> float | None:
        """Judges one round; None when there may be more, else how many seconds to wait at most. Where people talk all
        the time, several items share a round."""
        rest = self._rests_until - time.monotonic()
        if rest > 0:
            return rest
        count = await self._due()
        if count:
            self._rests_until = time.monotonic() + (GATHER_SECONDS if count < self._most else 0.0)
            return None
        due = await self._store.run(lambda tx: tx.suggestions.next_due_at(self._owner), read=True)
        wait = (due - self._store.now()).total_seconds() if due is not None else IDLE_SECONDS
        return min(max(wait, BRIEF_SECONDS), IDLE_SECONDS)

    @property
    def _most(self) -> int:
        return WITH_MODEL if self._jury.by_model else AT_ONCE

    async def _due(self) -> int:
        """Judges what is due now, a limited number; how many."""
        items = await self._store.run(lambda tx: list(tx.suggestions.lease_due(self._owner, self._most)))
        if items:
            failpoint("intake.claimed")
            await self._round(items)
        return len(items)

    async def _round(self, items: Sequence[Suggestion]) -> None:
        found = await self._store.run(lambda tx: [self._look(tx, item) for item in items], read=True)
        outcomes = _Outcomes()
        flagged: list[tuple[Suggestion, Verdict]] = []

        async def one(item: Suggestion, mode: Mode, messages: Sequence[MessageRef]) -> None:
            try:
                verdict = await self._judged(item, mode, messages, outcomes)
            except StoreDown:
                raise
            except Exception as error:
                self._failed(item, "item_not_judged", error, outcomes)
                return
            if verdict is not None:
                flagged.append((item, verdict))

        if self._jury.by_model:
            await asyncio.gather(*(one(item, *told) for item, told in zip(items, found, strict=True)))
        else:
            for item, told in zip(items, found, strict=True):
                await one(item, *told)
                await asyncio.sleep(0)  # an ack may be due
        failpoint("intake.judged")
        await self._write(outcomes)
        failed = _Outcomes()
        for item, verdict in flagged:
            try:
                await self._decide(item, verdict)
            except StoreDown:
                raise
            except Exception as error:
                self._failed(item, "item_not_decided", error, failed)
        await self._write(failed)

    def _failed(self, item: Suggestion, event: str, error: Exception, outcomes: _Outcomes) -> None:
        """Notes that an item is tried again for a while, then left. The text of an error may quote the message, so only
        its place is logged."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.name}:{last.lineno}"
        log.error(event, item=item.ref, error=type(error).__name__, where=where, ref=short_ref())
        if self._is_patient(item):
            outcomes.put_off[item.id or 0] = AFTER_FAILURE
        else:
            outcomes.skipped[item.id or 0] = (SkipReason.UNREADABLE, 0.0, "")

    def _look(self, tx: Transaction, item: Suggestion) -> tuple[Mode, list[MessageRef]]:
        return self._jury.deciding.modes.of(tx, place_of(item)), messages_of(tx, item)

    async def _judged(
        self, item: Suggestion, mode: Mode, messages: Sequence[MessageRef], outcomes: _Outcomes
    ) -> Verdict | None:
        """The verdict on a flagged item; None when its outcome is noted."""
        item_id, patient = item.id or 0, self._is_patient(item)
        if mode is Mode.OFF:
            outcomes.skipped[item_id] = (SkipReason.TURNED_OFF, 0.0, "")
            return None
        text = await self._reading.text(messages)
        if isinstance(text, Gone):
            outcomes.removed.append(item_id)
            return None
        if not isinstance(text, str):
            if isinstance(text, Retry) and patient:
                outcomes.put_off[item_id] = text.after
            else:
                log.warning("item_not_read", item=item.ref, trouble=type(text).__name__, why=text.why)
                outcomes.skipped[item_id] = (SkipReason.UNREADABLE, 0.0, "")
            return None
        try:
            verdict = await self._jury.verdict(item, text, patient=patient)
        except JudgeAway as away:
            outcomes.put_off[item_id] = away.after
            return None
        if verdict.is_flagged:
            return verdict
        by_model = verdict.judgement.judge == "llm"
        why = SkipReason.MODEL_SAYS_NO if by_model else SkipReason.BELOW
        outcomes.skipped[item_id] = (why, verdict.judgement.score, verdict.seen_hash)
        return None

    async def _write(self, outcomes: _Outcomes) -> None:
        def unit(tx: Transaction) -> None:
            tx.suggestions.skip(outcomes.skipped)
            for item_id in outcomes.removed:
                tx.suggestions.move(item_id, (WAITING,), REMOVED)
            for item_id, after in outcomes.put_off.items():
                self._put_off(tx, item_id, after)

        if outcomes.skipped or outcomes.removed or outcomes.put_off:
            await self._store.run(unit)

    async def _decide(self, item: Suggestion, verdict: Verdict) -> None:
        item_id, is_known = item.id or 0, True
        try:
            author = await self._jury.author(item)
        except Later as later:
            after = later.after
            if self._is_patient(item):
                await self._store.run(lambda tx: self._put_off(tx, item_id, after))
                return
            author, is_known = author_of(item), False

        def unit(tx: Transaction) -> None:
            held = tx.suggestions.locked(item_id)
            if held is not None and held.state is WAITING:
                self._jury.deciding.decide(tx, held, verdict, author, is_known=is_known)
            failpoint("intake.before_commit")

        await self._store.run(unit)

    def _put_off(self, tx: Transaction, item_id: int, after: timedelta) -> None:
        tx.suggestions.update(item_id, (WAITING,), due_at=tx.now + max(after, LEAST_WAIT), lease_until=None)

    def _is_patient(self, item: Suggestion) -> bool:
        return self._store.now() - item.created_at < PATIENCE

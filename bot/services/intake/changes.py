"""Edits and deletions of messages that intake knows (the table in product rule 6.2), and re-reads of their texts.

Nothing here trusts that an edit is one: what is compared is the hash of the text, so link previews change nothing.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from bot.core.hygiene import count_hidden
from bot.core.inbound import MessageDeleted, MessageEdited, MessageRef
from bot.core.intake.extract import extract
from bot.core.intake.guard import guard
from bot.core.intake.judgement import Judgement
from bot.core.intake.kinds import Kind
from bot.core.suggestions import (
    DISMISSED,
    FILED,
    MESSAGE_GONE,
    OPEN,
    REMOVED,
    SAME,
    SKIPPED,
    WAITING,
    WIPED,
    Mode,
    SkipReason,
    Suggestion,
    hash_of,
)
from bot.core.tasks import Stage
from bot.ports import Gone, Retry, Trouble
from bot.services.intake.deciding import Verdict, place_of
from bot.services.intake.filed_changes import FiledChanges
from bot.services.intake.judges import JudgeAway
from bot.services.intake.judging import Jury, Reading
from bot.services.intake.suggestions import words_of
from bot.services.later import Later
from bot.store import Pending, Store, SuggestionFilter, Transaction

BEING_JUDGED: Final = timedelta(seconds=2)
TRIES: Final = 30
REREAD: Final = 100
"""So many filed items, the newest, are looked through for those that are still queued."""
OVER: Final = frozenset({SAME, DISMISSED})
FOLLOWED: Final = frozenset({SKIPPED, OPEN, FILED}) | OVER


@dataclass(frozen=True, slots=True)
class Changes:
    """Follows what becomes of messages. `owner` is this process, as `Collecting` names it."""

    store: Store
    reading: Reading
    jury: Jury
    filed: FiledChanges
    owner: str

    async def follow(self, item: Pending, event: MessageEdited | MessageDeleted) -> None:
        """Handles one stored edit or deletion. Raises `Later` while the item is being judged or its text cannot be
        read."""
        message = MessageRef(thread=event.thread, message_id=event.message_id)
        if isinstance(event, MessageDeleted):
            self.reading.originals.drop(message)
        else:
            self.reading.originals.outdated(event)
        modes = self.jury.deciding.modes

        def look(tx: Transaction) -> tuple[Suggestion | None, bool]:
            return tx.suggestions.of_message(message), modes.of(tx, event.thread) is Mode.OFF

        known, off = await self.store.run(look, read=True)
        if known is not None and known.state is WAITING:
            await self._waiting(item, known, heard_by=None if isinstance(event, MessageDeleted) else event.heard_by)
        elif known is not None and known.state in (FOLLOWED - {SKIPPED} if off else FOLLOWED):
            await self._judged(item, known)
        else:
            await self.store.run(lambda tx: tx.inbox.done(item.id))

    async def fresh_text(self, suggestion: Suggestion) -> str | Trouble:
        """The text of an item as the platform has it now, for platforms that tell of no edits: all its messages, in
        their order. `Gone` when they were all deleted."""
        return await self.reading.of(suggestion, fresh=True)

    async def reread(self, suggestion: Suggestion) -> Suggestion | None:
        """Reads an item's messages again and follows what has changed, as if the platform had told. The item as it is
        then; None when the platform could not be asked."""
        found = await self.fresh_text(suggestion)
        if not isinstance(found, str | Gone):
            return None
        await self._apply(None, suggestion, found)
        return await self.store.run(lambda tx: tx.suggestions.get(suggestion.id or 0), read=True)

    async def reread_queued(self) -> None:
        """Reads the messages again whose code tasks wait for a worker, where the platform tells of no edits: what is
        worked on is what stands there then."""
        deaf = {name for name, platform in self.jury.platforms.items() if not platform.capabilities.tells_edits}
        if not deaf:
            return

        def queued(tx: Transaction) -> list[Suggestion]:
            which = SuggestionFilter(states=(FILED,), limit=REREAD)
            filed = [one for one in tx.suggestions.list(which) if one.platform in deaf]
            return [
                one
                for one in filed
                if (task := tx.tasks.get(one.code_task_id or 0)) is not None
                and task.stage is Stage.QUEUED
                and one.reason != MESSAGE_GONE
            ]

        for suggestion in await self.store.run(queued, read=True):
            with suppress(Later):  # the next look comes soon
                await self.reread(suggestion)

    async def _waiting(self, item: Pending, known: Suggestion, *, heard_by: str | None) -> None:
        """Not judged yet: it will be with the text as it is then, in the process that heard of the change last.
        `heard_by` is None when the message was deleted: then in this one, which has forgotten its text."""
        item_id, gone = known.id or 0, heard_by is None

        def unit(tx: Transaction) -> bool:
            held = tx.suggestions.locked(item_id)
            if held is None or held.state is not WAITING:
                return False
            if gone and held.members == 1:
                tx.suggestions.move(item_id, (WAITING,), REMOVED)
            elif held.lease_until is not None:
                return False
            else:
                tx.suggestions.update(item_id, (WAITING,), owner=heard_by or self.owner)
            tx.inbox.done(item.id)
            return True

        if not await self.store.run(unit):
            raise Later("the item is being judged", BEING_JUDGED, TRIES)

    async def _judged(self, item: Pending, known: Suggestion) -> None:
        found = await self.reading.of(known)
        if isinstance(found, Retry):
            raise Later(f"item not read: {found.why}", max(found.after, BEING_JUDGED), TRIES)
        if isinstance(found, str | Gone):
            await self._apply(item, known, found)
        else:
            await self.store.run(lambda tx: tx.inbox.done(item.id))

    async def _apply(self, item: Pending | None, known: Suggestion, found: str | Gone) -> None:
        """Acts on what an item's messages say now. `item` is the stored event that told of it, if one did."""
        item_id = known.id or 0
        judged = await self._verdict(known, found) if isinstance(found, str) else None
        author = await self.jury.author(known)

        def unit(tx: Transaction) -> None:
            if item is not None and not tx.inbox.done(item.id):
                return
            held = tx.suggestions.locked(item_id)
            if held is None or (isinstance(found, str) and hash_of(found) == held.seen_hash):
                return
            if held.state is FILED:
                self.filed.follow(tx, held, found if isinstance(found, str) else None, author)
            elif held.state in OVER:
                self._over(tx, held, found)
            elif judged is None:
                self._gone(tx, held)
            elif held.state is SKIPPED and held.judge != "person":
                self.jury.deciding.decide(tx, held, judged, author)
            elif held.state is OPEN and (judged.is_flagged or held.judge == "person"):
                self.jury.deciding.again(tx, held, judged, author)
            elif held.state is OPEN:
                score = judged.judgement.score
                values = {"reason": SkipReason.EDITED_BELOW, "score": score, "seen_hash": judged.seen_hash}
                moved = tx.suggestions.move(item_id, (OPEN,), SKIPPED, **values)
                if moved is not None:
                    self.jury.deciding.shown.take_down(tx, moved)

        await self.store.run(unit)

    async def _verdict(self, known: Suggestion, text: str) -> Verdict | None:
        """The judgement of the new text; of one that a person pointed at only what it says."""
        if hash_of(text) == known.seen_hash or known.state is FILED or known.state in OVER:
            return Verdict.of(_as_said(text), 0.0, text)
        if known.judge == "person":
            return Verdict.of(_as_said(text), 0.0, text)
        if await self.store.run(lambda tx: self.jury.deciding.modes.of(tx, place_of(known)), read=True) is Mode.OFF:
            return self.jury.by_rules(text)  # what is shown follows its message, but nobody is asked about it
        try:
            return await self.jury.verdict(known, text)
        except JudgeAway as away:
            raise Later("the judge is away", away.after, TRIES) from away

    def _over(self, tx: Transaction, held: Suggestion, found: str | Gone) -> None:
        """Joined to a code task, or dismissed: the words of one that was joined stay those of its messages, for [This
        is different]; what was dismissed and says something else now is no example any more."""
        gone = not isinstance(found, str)
        values = {"reason": MESSAGE_GONE} if gone else {}
        words: dict[str, Any] = {**WIPED, "seen_hash": "" if gone else hash_of(found), **values}
        if isinstance(found, str) and held.state is SAME:
            said = extract(found).problem
            words |= words_of(said) | {"guard": " ".join(guard(said)), "hidden": count_hidden(found)}
        changed = tx.suggestions.update(held.id or 0, (held.state,), **words)
        if changed is not None:
            self.jury.deciding.shown.changed(tx, changed)

    def _gone(self, tx: Transaction, held: Suggestion) -> None:
        """All its messages were deleted before anybody decided."""
        was_shown = held.state is OPEN
        moved = tx.suggestions.move(held.id or 0, (SKIPPED, OPEN), REMOVED, **WIPED)
        if moved is not None and was_shown:
            self.jury.deciding.shown.take_down(tx, moved)


def _as_said(text: str) -> Judgement:
    words = extract(text)
    return Judgement(
        kind=Kind.FEATURE_REQUEST,
        score=1.0,
        judge="person",
        reason="person",
        title=words.title,
        text=words.problem,
        language=words.language,
    )

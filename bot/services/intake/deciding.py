"""Acts on the judgement of one item, in one transaction: skipped, suggested, or filed."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Protocol, assert_never

from bot.core.hygiene import count_hidden, cut
from bot.core.inbound import Person, ThreadRef
from bot.core.intake.guard import guard
from bot.core.intake.judgement import Judgement
from bot.core.intake.policy import Facts, FileItself, Nothing, Suggest, decide
from bot.core.people import Action, may
from bot.core.similar import WORTH_OFFERING, Similar
from bot.core.suggestions import (
    OPEN,
    PER_AUTHOR,
    SAID_LATE,
    SKIPPED,
    WAITING,
    Mode,
    Suggestion,
    hash_of,
)
from bot.core.tasks import TITLE_MAX
from bot.services.intake.modes import Modes
from bot.services.people import Rights
from bot.services.refusals import Refused
from bot.settings import Settings
from bot.store import Transaction

DAY: Final = timedelta(days=1)
NOT_SHOWN: Final = (WAITING, SKIPPED)
OFFERED: Final = 3
"""So many similar code tasks a suggestion offers."""


class Shown(Protocol):
    """What people see of suggestions (`suggestions.py`)."""

    def show(self, tx: Transaction, suggestion: Suggestion) -> None: ...

    def changed(self, tx: Transaction, suggestion: Suggestion) -> None: ...

    def take_down(self, tx: Transaction, suggestion: Suggestion) -> None: ...

    def file(
        self, tx: Transaction, suggestion: Suggestion, person: Person, *, by_itself: bool = False
    ) -> object | Refused: ...


class Likeness(Protocol):
    """Which code tasks ask for nearly the same (`bot.services.ledger`)."""

    def similar(
        self, tx: Transaction, text: str, repo: str | None, *, person: Person, most: int = OFFERED
    ) -> list[Similar]: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement, the threshold it is held against, and the hash of what was judged."""

    judgement: Judgement
    threshold: float
    seen_hash: str
    hidden: int = 0
    nearest: tuple[int, ...] = ()
    """Numbers of similar code tasks in the order of an embeddings model, nearest first; empty without one."""

    @classmethod
    def of(cls, judgement: Judgement, threshold: float, text: str) -> "Verdict":
        return cls(judgement, threshold, hash_of(text), count_hidden(text))

    @property
    def is_flagged(self) -> bool:
        """Whether it is worth the author's roles and a transaction of its own."""
        found = self.judgement
        return found.marker or (found.score >= self.threshold and (found.actionable or found.judge != "llm"))


@dataclass(frozen=True, slots=True)
class Deciding:
    """Carries out what `bot.core.intake.policy` says."""

    settings: Settings
    modes: Modes
    rights: Rights
    ledger: Likeness
    shown: Shown

    def decide(
        self, tx: Transaction, item: Suggestion, verdict: Verdict, author: Person, *, is_known: bool = True
    ) -> None:
        """Moves an item that nobody was shown yet to where its judgement takes it. Does nothing when somebody else has
        moved it meanwhile. Unless `is_known`, nothing says that its author is a member: people are asked."""
        item_id, place, found = item.id or 0, place_of(item), verdict.judgement
        if verdict.is_flagged and author.roles:
            tx.people.see(author)
        mode = self.modes.of(tx, place)
        values = self._words(tx, verdict, author, place)
        facts = self._facts(tx, item, verdict, author, mode, values)
        if not is_known:
            facts = replace(facts, trusted=False, outsider=True)
        values |= {"mode": mode, "author_kind": author.kind, "author_name": author.name or item.author_name}
        decision = decide(facts)
        if isinstance(decision, FileItself):
            if self._is_filed(tx, item_id, author, {**values, "reason": found.reason}):
                return
            decision = decide(replace(facts, mode=Mode.SUGGEST))  # no repository, a quota: people are asked after all
        match decision:
            case Nothing(reason):
                scored = {name: values[name] for name in ("mode", "judge", "kind", "score", "seen_hash")}
                tx.suggestions.move(item_id, NOT_SHOWN, SKIPPED, reason=reason, **scored)
            case Suggest() | FileItself():
                moved = tx.suggestions.move(item_id, NOT_SHOWN, OPEN, **{**values, "reason": found.reason})
                if moved is not None:
                    self.shown.show(tx, moved)
            case _:
                assert_never(decision)

    def again(self, tx: Transaction, item: Suggestion, verdict: Verdict, author: Person) -> None:
        """Shows what the new text of an open suggestion is, in place."""
        values = self._words(tx, verdict, author, place_of(item))
        if item.judge == "person":
            values |= {"judge": "person", "score": 1.0}
        changed = tx.suggestions.update(item.id or 0, (OPEN,), **values)
        if changed is not None:
            self.shown.changed(tx, changed)

    def _is_filed(self, tx: Transaction, item_id: int, author: Person, values: dict[str, Any]) -> bool:
        """Files by itself; False where the code task is refused. True also when somebody else has moved the item."""
        ready = tx.suggestions.update(item_id, NOT_SHOWN, **values)
        return ready is None or not isinstance(self.shown.file(tx, ready, author, by_itself=True), Refused)

    def _facts(
        self, tx: Transaction, item: Suggestion, verdict: Verdict, author: Person, mode: Mode, values: dict[str, Any]
    ) -> Facts:
        found, channel = verdict.judgement, (item.platform, item.workspace_id, item.channel_id)
        asks = verdict.is_flagged and mode in (Mode.SUGGEST, Mode.AUTO)
        by_itself = mode is Mode.AUTO
        proven = found.judge == "llm" and by_itself and not found.marker
        decided, right = tx.suggestions.record(channel, "llm", verdict.threshold) if proven else (0, 0)
        who = (author.platform, author.workspace_id, author.id)
        return Facts(
            mode=mode,
            score=found.score,
            threshold=verdict.threshold,
            actionable=found.actionable,
            marker=found.marker,
            by_model=found.judge == "llm",
            trusted=author.kind == "human" and may(self.rights.role(author), Action.FILE, is_requester=False),
            outsider=author.kind != "human",
            guarded=bool(values["guard"]),
            likely_same=values["likely_same"],
            late=tx.now - item.last_at > SAID_LATE,
            shown_to_author=tx.suggestions.shown_to(who, tx.now - PER_AUTHOR) if asks else 0,
            shown_in_channel=tx.suggestions.shown_in(channel, tx.now - DAY) if asks else 0,
            filed_today=tx.suggestions.filed_itself(channel, tx.now - DAY) if by_itself else 0,
            daily_cap=self.settings.intake_daily_cap,
            decided=decided,
            right=right,
        )

    def _words(self, tx: Transaction, verdict: Verdict, author: Person, place: ThreadRef) -> dict[str, Any]:
        """What a judgement says, as the fields of a suggestion; the words only of one that is flagged."""
        found = verdict.judgement
        values: dict[str, Any] = {
            "judge": found.judge,
            "kind": found.kind,
            "score": found.score,
            "seen_hash": verdict.seen_hash,
            "guard": "",
            "likely_same": False,
        }
        if not verdict.is_flagged:
            return values
        repo = found.repo or tx.people.setting(place, "repo")
        near = verdict.nearest
        similar = self.ledger.similar(tx, found.text, repo, person=author, most=max(len(near), OFFERED))
        numbers = [one.id for one in similar if one.share >= WORTH_OFFERING or one.id in near]
        numbers.sort(key=lambda number: near.index(number) if number in near else len(near))
        if found.duplicate_of is not None:
            numbers = [found.duplicate_of, *(number for number in numbers if number != found.duplicate_of)]
        return values | {
            "title": found.title or cut(found.text, TITLE_MAX),
            "text": found.text,
            "text_hash": hash_of(found.text),
            "evidence": found.evidence,
            "question": found.question,
            "language": found.language,
            "repo": found.repo,
            "guard": " ".join(guard(found.text)),
            "similar": " ".join(map(str, numbers[:OFFERED])),
            "likely_same": found.duplicate_of is not None or any(one.likely_same for one in similar[:1]),
            "hidden": verdict.hidden,
        }


def place_of(item: Suggestion) -> ThreadRef:
    """Where the item was said."""
    return ThreadRef(
        platform=item.platform,
        workspace_id=item.workspace_id,
        channel_id=item.channel_id,
        root=item.root or None,
    )


def author_of(item: Suggestion) -> Person:
    """Who said it, as far as the item tells."""
    return Person.model_validate(
        {
            "platform": item.platform,
            "workspace_id": item.workspace_id,
            "id": item.author_id,
            "name": item.author_name,
            "kind": item.author_kind,
        }
    )

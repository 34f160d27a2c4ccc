"""What threads are told of follow-ups. Everything here only enqueues deliveries in the transaction that made the
change; `services/outbox.py` sends them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

import structlog

from bot.core.cards import Doc
from bot.core.followup_replies import failed_doc, reminder_doc, result_doc, set_by_agent_doc
from bot.core.followups import FollowUp, FollowUpReason, FollowUpState
from bot.core.inbound import Person, ThreadRef
from bot.core.redact import LiveRedactor
from bot.core.task_cards import Mask, say_doc, say_markdown
from bot.core.texts import Texts
from bot.services.languages import Languages
from bot.store import Delivery, Outgoing, Transaction

log = structlog.get_logger(__name__)

Reminder = tuple[FollowUp, timedelta | None, str | None]
"""One that was posted, how late it is, and the language its channel or workspace is set to."""


@dataclass(frozen=True, slots=True)
class FollowUpNews:
    """Tells threads of follow-ups, each in its language. Holds no state."""

    languages: Languages
    redactor: LiveRedactor

    def set_by_agent(self, tx: Transaction, follow_up: FollowUp, agent: str) -> None:
        """The quiet line with [Cancel] when an agent set it."""
        self._post(
            tx, follow_up, "set", lambda texts: set_by_agent_doc(follow_up, agent, texts, tx.now, self.redactor.mask)
        )

    def reminders(self, tx: Transaction, due: Sequence[Reminder]) -> None:
        """The texts of reminders that are due."""
        posts: list[tuple[int, Delivery]] = []
        for follow_up, late, language in due:
            if not follow_up.platform:
                continue
            wording = self.languages.spoken(follow_up.platform, language)
            content = wording.make(partial(_reminder, follow_up, tx.now, late, self.redactor.mask))
            thread_id = follow_up.thread_id or self.open_thread(tx, follow_up)
            posts.append((thread_id, _delivery(follow_up, f"{follow_up.attempt}:due", content)))
        tx.outbox.add_all(posts)

    def answered(
        self,
        tx: Transaction,
        follow_up: FollowUp,
        said: str,
        *,
        fresh_session: bool = False,
        kept: str | None = None,
        files: tuple[str, ...] = (),
    ) -> None:
        """What the agent answered."""
        late = timedelta(seconds=follow_up.late_seconds) if follow_up.late_seconds is not None else None

        def draw(texts: Texts) -> Doc:
            return result_doc(
                follow_up, said, texts, tx.now, late=late, fresh_session=fresh_session, kept=kept, files=files
            )

        self._post(tx, follow_up, f"{follow_up.attempt}:result", draw)

    def handed_over(self, tx: Transaction, follow_up: FollowUp, task: str) -> None:
        """What was sent to a code task is read by the agent of its next attempt."""
        key = f"{follow_up.attempt}:result"
        self._post(tx, follow_up, key, lambda texts: say_doc(texts, "send.handed_over", ref=follow_up.ref, task=task))

    def failed(self, tx: Transaction, follow_up: FollowUp) -> None:
        """Why it was not answered."""
        key = f"{follow_up.attempt}:{follow_up.failure_reason}:{int(tx.now.timestamp() * 1000)}"
        self._post(tx, follow_up, key, lambda texts: failed_doc(follow_up, texts, tx.now))

    def put_away(self, tx: Transaction, follow_up: FollowUp, message_id: str) -> None:
        """Takes the buttons off a reminder, or off the news of a failure, that somebody has dealt with."""
        if follow_up.thread_id is None or follow_up.state not in (FollowUpState.SUCCESS, FollowUpState.FAILED):
            return
        late = timedelta(seconds=follow_up.late_seconds) if follow_up.late_seconds is not None else None
        mask = self.redactor.mask

        def draw(texts: Texts) -> Doc:
            failed = follow_up.state is FollowUpState.FAILED
            drawn = failed_doc(follow_up, texts, tx.now) if failed else _reminder(follow_up, tx.now, late, mask, texts)
            return drawn.model_copy(update={"buttons": ()})

        card = f"{follow_up.ref}:{message_id}"
        tx.outbox.adopt(card, follow_up.thread_id, message_id)
        content = self.languages.shared(tx, _channel(follow_up)).make(draw)
        tx.outbox.add(follow_up.thread_id, Delivery("edit", f"{card}:put_away", content, card_key=card))

    def update(self, tx: Transaction, follow_up: FollowUp, agent: str, line: str, key: str) -> bool:
        """One quiet line of the agent that works on it; False when that key was posted before."""
        return self._post(tx, follow_up, key, lambda texts: say_doc(texts, "follow_up.update", agent=agent, line=line))

    def _post(self, tx: Transaction, follow_up: FollowUp, key: str, draw: Callable[[Texts], Doc]) -> bool:
        """Posts to the thread, or opens one in the channel; nothing where it was set without a chat. False when that
        key was posted before."""
        if not follow_up.platform:
            return False
        place = _channel(follow_up)
        thread_id = follow_up.thread_id or self.open_thread(tx, follow_up)
        content = self.languages.shared(tx, place).make(draw)
        return tx.outbox.add(thread_id, _delivery(follow_up, key, content))

    def rehome(self, tx: Transaction, delivery: Outgoing, what: Literal["thread", "channel"]) -> bool:
        """What a follow-up says where its thread or channel is gone (product rule 7.4): in the channel, with a note;
        without a channel it has failed, and an admin is told. False for deliveries of anything else."""
        number, said = delivery.target.get("follow_up"), delivery.content
        follow_up = tx.followups.get(number) if isinstance(number, int) else None
        if follow_up is None or not isinstance(said, Doc):
            return False
        channel = delivery.to.model_copy(update={"root": None, "native": None})
        if what == "channel" or delivery.to.root is None:
            self._undeliverable(tx, follow_up, channel)
            return False  # and the person it was for is told what it said
        noted = self.languages.shared(tx, channel).make(lambda texts: _noted(said, follow_up, texts))
        again = Delivery("post", f"{delivery.dedup_key}:channel", noted, target=delivery.target)
        return tx.outbox.add(tx.threads.open(channel).id, again)

    def _undeliverable(self, tx: Transaction, follow_up: FollowUp, channel: ThreadRef) -> None:
        reason = FollowUpReason.UNDELIVERABLE
        tx.followups.move(follow_up.id or 0, {FollowUpState.SUCCESS}, FollowUpState.FAILED, reason=reason)
        log.error("follow_up_undeliverable", follow_up=follow_up.ref, channel=channel.canonical)
        for admin in tx.people.admins(channel.platform, channel.workspace_id)[:1]:
            person = Person(platform=channel.platform, workspace_id=channel.workspace_id, id=admin)
            wording = self.languages.personal(tx, person, channel)
            doc = wording.make(lambda texts: say_doc(texts, "follow_up.undeliverable", ref=follow_up.ref))
            target = {"person": person.model_dump(mode="json"), "reply_token": None}
            lane = tx.threads.lane(channel)
            tx.outbox.add(
                lane.id, Delivery("whisper", f"{follow_up.ref}:{follow_up.attempt}:undeliverable", doc, target=target)
            )

    def open_thread(self, tx: Transaction, follow_up: FollowUp) -> int:
        """The thread that a follow-up without one answers in: its first post becomes the root."""
        thread = tx.threads.open(_channel(follow_up))
        tx.followups.settle_in(follow_up.id or 0, thread.id)
        return thread.id


def _noted(said: Doc, follow_up: FollowUp, texts: Texts) -> Doc:
    """What was said, in the reader's language where it was drawn in it, with the note that its thread is gone."""
    drawn = said.translations.get(texts.language, said)
    note = say_markdown(texts, "follow_up.thread_gone", ref=follow_up.ref)
    return drawn.model_copy(update={"text": f"{drawn.text}\n\n{note}", "translations": {}})


def _channel(follow_up: FollowUp) -> ThreadRef:
    """Where it answers, whatever the thread."""
    return ThreadRef(platform=follow_up.platform, workspace_id=follow_up.workspace_id, channel_id=follow_up.channel_id)


def _delivery(follow_up: FollowUp, key: str, content: Doc) -> Delivery:
    return Delivery("post", f"{follow_up.ref}:{key}", content, target={"follow_up": follow_up.id})


def _reminder(follow_up: FollowUp, now: datetime, late: timedelta | None, mask: Mask, texts: Texts) -> Doc:
    return reminder_doc(follow_up, texts, now, late, mask)

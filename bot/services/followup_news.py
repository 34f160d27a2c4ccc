"""What threads are told of follow-ups. Everything here only enqueues deliveries in the transaction that made the
change; `services/outbox.py` sends them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from bot.core.cards import Doc
from bot.core.followup_replies import failed_doc, reminder_doc, result_doc, set_by_agent_doc
from bot.core.followups import FollowUp
from bot.core.inbound import ThreadRef
from bot.core.redact import LiveRedactor
from bot.core.texts import Texts
from bot.services.languages import Languages
from bot.store import Delivery, Transaction


@dataclass(frozen=True, slots=True)
class FollowUpNews:
    """Tells threads of follow-ups, each in its language. Holds no state."""

    languages: Languages
    redactor: LiveRedactor

    def set_by_agent(self, tx: Transaction, follow_up: FollowUp, agent: str) -> None:
        """The quiet line with [Cancel] when an agent set it."""
        self._post(tx, follow_up, "set", lambda texts: set_by_agent_doc(follow_up, agent, texts, tx.now))

    def reminder(self, tx: Transaction, follow_up: FollowUp, late: timedelta | None) -> None:
        """The text of a reminder that is due."""
        self._post(
            tx, follow_up, f"{follow_up.attempt}:due", lambda texts: reminder_doc(follow_up, texts, tx.now, late)
        )

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

    def failed(self, tx: Transaction, follow_up: FollowUp) -> None:
        """Why it was not answered."""
        key = f"{follow_up.attempt}:{follow_up.failure_reason}:{int(tx.now.timestamp() * 1000)}"
        self._post(tx, follow_up, key, lambda texts: failed_doc(follow_up, texts, tx.now))

    def _post(self, tx: Transaction, follow_up: FollowUp, key: str, draw: Callable[[Texts], Doc]) -> None:
        """Posts to the thread, or opens one in the channel; nothing where it was set without a chat."""
        if not follow_up.platform:
            return
        place = ThreadRef(
            platform=follow_up.platform, workspace_id=follow_up.workspace_id, channel_id=follow_up.channel_id
        )
        thread_id = follow_up.thread_id or self.open_thread(tx, follow_up)
        content = self.languages.shared(tx, place).make(draw)
        tx.outbox.add(thread_id, Delivery("post", f"{follow_up.ref}:{key}", content))

    def open_thread(self, tx: Transaction, follow_up: FollowUp) -> int:
        """The thread that a follow-up without one answers in: its first post becomes the root."""
        place = ThreadRef(
            platform=follow_up.platform, workspace_id=follow_up.workspace_id, channel_id=follow_up.channel_id
        )
        thread = tx.threads.open(place)
        tx.followups.settle_in(follow_up.id or 0, thread.id)
        return thread.id

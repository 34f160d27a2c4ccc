"""Everything that arrives: stored, then acked. One way in for the long connection and for webhooks.

Nothing is done here but read, persist, ack; whatever goes wrong, no exception reaches the transport.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import structlog

from bot.core.inbound import (
    ButtonPress,
    Command,
    Event,
    FormSent,
    Message,
    MessageDeleted,
    Reaction,
    ThreadRef,
    Unreadable,
)
from bot.ports import Clock
from platforms.intake import Keeper, ref_of
from platforms.lark.buttons import Press, Presses, Toast, say
from platforms.lark.inbound import Me, is_callback, read, unreadable

log: Final = structlog.get_logger(__name__)

TWINS: Final = 5000
"""How many recent messages are remembered by what they say, to know one that comes again under another id (ours)."""

PLACES: Final = 5000
"""Of how many recent messages the chat and thread are remembered (ours)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: `stored` is False when Lark has to send it again; `body` answers a press."""

    stored: bool
    body: Toast | None = None
    press: Press | None = None


class Intake(Keeper[Me]):
    """Stores what Lark delivers, and answers presses."""

    def __init__(self, clock: Clock, hold: timedelta) -> None:
        super().__init__(clock)
        self.presses = Presses(hold)
        self._twins: dict[str, str] = {}
        self._places: dict[str, ThreadRef] = {}
        """Where messages lately heard stand: a reaction or a recall names the message alone."""

    async def take(self, payload: bytes) -> Answer:
        """A payload as its bytes came over the long connection."""
        try:
            found: Any = json.loads(payload)
        except (ValueError, RecursionError):
            found = {"payload": payload[:2000].decode("utf-8", "replace")}
        return await self.dispatch(found)

    async def dispatch(self, payload: Any) -> Answer:
        """Stores the event of a payload. Never raises."""
        if self.me is None or self.inbox is None:
            return self._too_early(payload)
        self.last_inbound_at = self._clock.now()
        try:
            event = self._read(payload, self.me)
        except Exception as error:  # a payload that broke our reading is kept all the same
            log.warning("payload_broke_reading", error=type(error).__name__)
            event = unreadable(payload, type(error).__name__, self.me, self._clock.now())
        if is_callback(payload):
            return await self._pressed(event)
        return Answer(event is None or not await self.accept(event))

    def done(self, answer: Answer) -> None:
        """The answer is on its way."""
        if answer.press is not None:
            self.presses.close(answer.press)

    def _read(self, payload: Any, me: Me) -> Event | None:
        if not isinstance(payload, Mapping):
            return unreadable(payload, "not an object", me, self._clock.now())
        event = read(payload, me, self._clock.now())
        if event is None:
            return None
        if not me.workspace_id and event.workspace_id:
            self.me = replace(me, workspace_id=event.workspace_id)
        thread = getattr(event, "thread", None)
        if thread is not None and thread.channel_id.startswith("oc_"):
            self.note_channel(thread.channel_id)
        if isinstance(event, Message | Command) and event.message_id:
            self._remember(event.message_id, event.thread)
            return self._same(event)
        return self._placed(event) if isinstance(event, Reaction | MessageDeleted) else event

    def _remember(self, message_id: str, place: ThreadRef) -> None:
        self._places[message_id] = place
        while len(self._places) > PLACES:
            del self._places[next(iter(self._places))]

    def _placed(self, event: Reaction | MessageDeleted) -> Event:
        """The event with the chat and thread of its message, where that was heard by this process."""
        known = self._places.get(event.message_id)
        return event if known is None else event.model_copy(update={"thread": known})

    def _same(self, event: Message | Command) -> Event:
        """The event under the key it had before, when the same words of the same instant come under another id."""
        said = f"{event.thread.channel_id}\n{event.person.id}\n{event.sent_at.isoformat()}\n{event.text}"
        known = self._twins.setdefault(hashlib.sha256(said.encode()).hexdigest(), event.key)
        while len(self._twins) > TWINS:
            del self._twins[next(iter(self._twins))]
        return event if known == event.key else event.model_copy(update={"key": known})

    async def _pressed(self, event: Event | None) -> Answer:
        """A press is never sent again: it is answered, whatever became of it."""
        if event is None:
            return Answer(True)
        if not isinstance(event, ButtonPress | FormSent) or event.reply_token is None:
            lost = await self.accept(event)
            ref = event.ref if isinstance(event, Unreadable) else ""
            return Answer(True, say("not_saved", "error", ref=lost) if lost else say("not_read", "error", ref=ref))
        message_id = event.message_id if isinstance(event, ButtonPress) else ""
        press = self.presses.open(event.reply_token.value, message_id)
        try:
            lost = await self.accept(event)
            if lost:
                return Answer(True, say("not_saved", "error", ref=lost), press)
            return Answer(True, await self.presses.answer(press), press)
        except asyncio.CancelledError:
            self.presses.close(press)  # nobody answers it any more: its card must not wait
            raise

    @staticmethod
    def _too_early(payload: Any) -> Answer:
        """Nothing can be stored before a start and after a stop. Lark sends events again, presses never."""
        if not is_callback(payload):
            return Answer(False)
        ref = ref_of(str(payload["header"].get("event_id")))
        log.error("press_not_stored", ref=ref)
        return Answer(True, say("not_saved", "error", ref=ref))

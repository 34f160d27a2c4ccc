"""Setting follow-ups in chat: which instant was meant, where it belongs, and what is asked when that is not sure.

Every question has buttons, and every button names the stored command that it belongs to. Pressing one reads that
command again, so a question can be answered after a restart, and twice has the effect of once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from bot.core.followup_questions import ask_when_doc, ask_zone_doc, question_doc
from bot.core.followup_replies import set_doc
from bot.core.followups import MESSAGE_MAX
from bot.core.inbound import Command, ThreadRef
from bot.core.people import Action, may
from bot.core.verbs import FollowUpOptions, SetFollowUp, verb_word
from bot.core.when import Ask, Reading, When, read_anywhere, read_when, split_later, zone_named
from bot.core.when import Refused as NoTime
from bot.services.followups import FollowUps, FollowUpSet, Wish
from bot.services.refusals import Refused
from bot.services.said import Answers, Said
from bot.services.zones import OFFERED, Zones, zone_key
from bot.store import Transaction

SEEN_LATE: Final = timedelta(hours=24)
"""A command that is seen later than this does nothing: the person has long gone on."""
_PRESETS: Final[dict[str, str]] = {"tomorrow": "tomorrow 9am", "monday": "next monday 9am"}


@dataclass(frozen=True, slots=True)
class Origin:
    """The stored command that asks for a follow-up: its inbox row and the event."""

    number: int
    event: Command

    @property
    def place(self) -> ThreadRef:
        """Where it is anchored: the thread it was said in, or whose message it was said on; else the channel."""
        event = self.event
        on_message = event.door in ("shortcut", "menu")
        if event.thread.root is not None and (event.in_thread or on_message):
            return event.thread
        return event.thread.model_copy(update={"root": None, "native": None})

    @property
    def dedup_key(self) -> str:
        """What makes a follow-up unique: the message that said it, else the interaction. A message picked from a menu
        is somebody else's, and may be followed up more than once."""
        event, where = self.event, self.event.thread
        if event.message_id and event.door not in ("shortcut", "menu"):
            return f"f:m:{where.platform}:{where.workspace_id}:{where.channel_id}:{event.message_id}"
        return f"f:e:{event.platform}:{event.workspace_id}:{event.key}"


@dataclass(frozen=True, slots=True)
class ChatLater:
    """Reads the time, sets, and confirms or asks."""

    followups: FollowUps
    answers: Answers
    zones: Zones

    def set(self, tx: Transaction, said: Said, wish: SetFollowUp, origin: Origin, at: datetime | None = None) -> None:
        """Sets what was asked for, at `at` where the person has chosen an instant; else the time is read."""
        if tx.now - said.event.sent_at > SEEN_LATE:
            self.answers.say(tx, said, "follow_up.seen_late")
            return
        if not may(self.followups.rights.role(said.person), Action.FILE, is_requester=False):
            self.answers.refuse(tx, said, self.followups.rights.refuse_following_up())
            return
        zone = self.zones.of(tx, said.person, origin.event.thread)
        read = read_wish(wish, since(tx, said, origin), zone)
        if at is not None:
            _, what = read or read_in(wish, since(tx, said, origin), "UTC")
            self._store(tx, said, wish.options, origin, what, at, zone)
        elif read is None:
            self.ask_zone(tx, said)
        elif isinstance(read[0], When):
            self._store(tx, said, wish.options, origin, read[1], read[0].at, zone)
        else:
            self.ask(tx, said, read[0], self._verb(said, origin))

    def _store(
        self,
        tx: Transaction,
        said: Said,
        options: FollowUpOptions,
        origin: Origin,
        what: str,
        at: datetime,
        zone: tzinfo | None,
    ) -> None:
        wish = Wish(
            text=what,
            at=at,
            person=said.person,
            place=origin.place,
            channel_name=said.channel_name,
            zone=zone_key(zone),
            title=options.title or "",
            agent=options.agent or "",
            remind=options.remind,
            if_missed=options.if_missed,
            if_busy=options.if_busy or "queue",
            message_id=origin.event.message_id,
            source=origin.event.door,
            dedup_key=origin.dedup_key,
        )
        self.confirm(tx, said, self.followups.set(tx, wish))

    def confirm(self, tx: Transaction, said: Said, outcome: FollowUpSet | Refused) -> None:
        """The whisper that says what will happen when, with the ways to change it."""
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
            return
        follow_up, now, mask = outcome.follow_up, tx.now, self.answers.announcer.redactor.mask
        self.answers.whisper(
            tx,
            said,
            lambda texts: set_doc(
                follow_up,
                texts,
                now,
                as_reminder=outcome.as_reminder,
                kept=outcome.kept_agent,
                known=not outcome.fresh,
                mask=mask,
            ),
        )

    def ask(self, tx: Transaction, said: Said, reading: Ask | NoTime, example: str) -> None:
        """Why there is no instant, and a button for each that could be meant. `example` is how a command with a time
        starts."""
        now = tx.now
        self.answers.whisper(tx, said, lambda texts: question_doc(reading, said.number, example, texts, now))

    def ask_zone(self, tx: Transaction, said: Said) -> None:
        """Asks which zone someone is in. The answer is kept, and does what was asked for."""
        self.answers.whisper(tx, said, lambda texts: ask_zone_doc(said.number, OFFERED, texts))

    def ask_when(self, tx: Transaction, said: Said) -> None:
        """The times to choose from when a message was picked from a menu."""
        if not may(self.followups.rights.role(said.person), Action.FILE, is_requester=False):
            self.answers.refuse(tx, said, self.followups.rights.refuse_following_up())
            return
        self.answers.whisper(tx, said, lambda texts: ask_when_doc(said.item.id, texts))

    def preset(self, tx: Transaction, said: Said, origin: Origin, which: str) -> None:
        """[In 1 h], [Tomorrow 09:00], [Next Monday 09:00], seen from the press."""
        at = self.preset_at(tx, which, self.zones.of(tx, said.person, origin.event.thread))
        if at is None:
            self.ask_zone(tx, said)
        else:
            self.set(tx, said, of_message(origin.event), origin, at)

    def preset_at(self, tx: Transaction, which: str, zone: tzinfo | None) -> datetime | None:
        """The instant of a preset, seen from now; None where it needs a zone and none is known."""
        if which == "hour":
            return tx.now + timedelta(hours=1)
        reading = read_when(_PRESETS[which], now=tx.now, zone=zone) if zone is not None else None
        match reading:
            case When(at):
                return at
            case Ask(choices=choices):
                return choices[0].at
            case _:
                return None

    def _verb(self, said: Said, origin: Origin) -> str:
        if origin.event.command == "followup" and origin.event.door == "slash":
            return "/followup"
        return verb_word("later", said.wording.texts.language)


def of_message(event: Command, when: str = "") -> SetFollowUp:
    """A follow-up on the message that a menu was opened on: what it says is what to do."""
    return SetFollowUp(when, what=event.text.strip()[:MESSAGE_MAX])


def since(tx: Transaction, said: Said, origin: Origin) -> datetime:
    """From when `in 2h` and `tomorrow` are counted: from when it was said, however late we saw it."""
    spoken = (
        said.event
        if not isinstance(said.event, Command) and origin.event.door in ("shortcut", "menu")
        else origin.event
    )
    return min(spoken.sent_at, tx.now)


def read_wish(wish: SetFollowUp, now: datetime, zone: tzinfo | None) -> tuple[Reading, str] | None:
    """The time and what to do. None when no zone is known and the instant depends on it."""
    if zone is not None:
        return read_in(wish, now, zone)
    read = read_anywhere(lambda name: read_in(wish, now, name)[0])
    return read_in(wish, now, "UTC") if read is not None else None


def read_in(wish: SetFollowUp, now: datetime, zone: tzinfo | str) -> tuple[Reading, str]:
    """The time and what to do, for a person in a zone."""
    if wish.what is not None:
        return read_when(wish.text, now=now, zone=zone), wish.what
    return split_later(wish.text, now=now, zone=zone)


def instant_of(seconds: str) -> datetime:
    """The instant that a button's value names."""
    return datetime.fromtimestamp(int(seconds), UTC)


def zone_of_button(name: str) -> tzinfo | None:
    """The zone that a button's value names."""
    return zone_named(name)

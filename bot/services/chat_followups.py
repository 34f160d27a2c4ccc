"""Follow-ups in chat: the commands, the presses and the forms that are about one, or about many.

Setting one is in `bot.services.chat_later`. Rights, state and the feature switch are checked at every act, whoever
pressed what, and however old the button is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final, assert_never

from bot.core.buttons import FollowUpAction, FollowUpVerb, WishAction
from bot.core.followup_questions import instead_doc
from bot.core.followup_replies import Place, details_doc, help_doc, list_doc
from bot.core.followups import FollowUp, FollowUpKind, FollowUpState
from bot.core.forms import LaterForm
from bot.core.inbound import ButtonPress, Command, FormSent, Message, MessageRef
from bot.core.people import Action, Role, is_requester, may
from bot.core.quoting import code_span
from bot.core.task_replies import entries_doc
from bot.core.verbs import (
    CancelTask,
    ChangeFollowUp,
    DeleteFollowUp,
    FollowUpFilterName,
    ListFollowUps,
    LogsOf,
    RetryTask,
    RunNow,
    SetFollowUp,
    ShowTask,
    StatusOf,
    Stop,
    Target,
    TaskId,
    TaskName,
    ThisThread,
    verb_word,
)
from bot.core.when import When, zone_named
from bot.services.announcements import Announcer
from bot.services.channel_settings import ChannelSettings
from bot.services.chat_later import SEEN_LATE, ChatLater, Origin, instant_of, of_message, read_wish
from bot.services.chat_settings import ChatSettings
from bot.services.followup_news import FollowUpNews
from bot.services.followups import Changes, FollowUps, FollowUpSet, Wish, unknown_follow_up
from bot.services.intake.news import SuggestionNews
from bot.services.refusals import Refused
from bot.services.said import Answers, Said
from bot.services.visibility import may_see
from bot.services.zones import Zones, zone_key
from bot.store import FollowUpFilter, Transaction

FEATURE: Final = "followups"
LISTED: Final = 50
LOG_ENTRIES: Final = 20
OLD_BUTTON: Final = "refused.old_button_follow_up"
CANCELLED: Final = "follow_up.cancel_done"
STOPPED: Final = "follow_up.stop_done"
_STOPPED: Final = {FollowUpState.CANCELLED: "follow_up.cancel_twice", FollowUpState.PENDING: CANCELLED}
NO_NOTE: Final = Refused("refused.no_note")

Redo = Callable[[Said, Command | FormSent | ButtonPress, datetime | None], None]
"""Handles a stored event again, at an instant if one was chosen."""

OnOne = CancelTask | RetryTask | ShowTask | StatusOf | LogsOf | Stop | RunNow | ChangeFollowUp | DeleteFollowUp
Wanted = OnOne | SetFollowUp | ListFollowUps


@dataclass(frozen=True, slots=True)
class ChatFollowUps:
    """Acts on what was parsed, pressed or sent; `on` says whether follow-ups are on at all."""

    followups: FollowUps
    later: ChatLater
    settings: ChatSettings
    news: FollowUpNews
    answers: Answers
    zones: Zones

    @classmethod
    def of(cls, followups: FollowUps, news: FollowUpNews, announcer: Announcer) -> "ChatFollowUps":
        """Wires the parts."""
        answers, zones = Answers(announcer), Zones(followups.settings.default_timezone)
        later = ChatLater(followups, answers, zones)
        channel = ChannelSettings(followups.settings, SuggestionNews(announcer), followups.agents)
        settings = ChatSettings(followups.rights, answers, zones, channel)
        return cls(followups, later, settings, news, answers, zones)

    @property
    def on(self) -> bool:
        return FEATURE in self.followups.settings.features

    # --- What is meant ------------------------------------------------------------------------------------------------

    def concerns(self, tx: Transaction, said: Said, target: Target, *, stop: bool = False) -> bool:
        """Whether an id, a name or the thread that a command was given in means a follow-up."""
        at_door = isinstance(said.event, Command) and said.event.command == "followup"
        match target:
            case TaskId(kind, _):
                return kind == "FU"
            case TaskName(name):
                return at_door or tx.followups.find(uuid=name) is not None
            case _:
                return at_door or (self._running_here(tx, said) if stop else self._of_thread(tx, said)) is not None

    def _of_thread(self, tx: Transaction, said: Said) -> FollowUp | None:
        """The follow-up that opened the thread, unless the thread is a code task's."""
        if said.thread_id is None or tx.tasks.in_thread(said.thread_id) is not None:
            return None
        return tx.followups.in_thread(said.thread_id)

    def _running_here(self, tx: Transaction, said: Said) -> FollowUp | None:
        """The follow-up that runs in the thread; never one that began after the message was written."""
        found = _running_in(tx, said.thread_id) if said.thread_id is not None else None
        begun = found.triggered_at if found is not None else None
        return found if begun is not None and begun <= said.event.sent_at else None

    def _find(self, tx: Transaction, said: Said, command: OnOne) -> FollowUp | Refused:
        if isinstance(command, Stop) and isinstance(command.id, ThisThread):
            running = self._running_here(tx, said)
            if running is not None:
                return running
        if isinstance(command.id, TaskId) and command.id.kind != "FU":
            verb = verb_word(_verb_of(command), said.wording.texts.language)
            return Refused("refused.only_follow_ups", {"verb": code_span(verb), "ref": str(command.id)})
        return self._visible(tx, said, self.followups.find(tx, command.id, said.thread_id))

    def _visible(self, tx: Transaction, said: Said, found: FollowUp | Refused) -> FollowUp | Refused:
        """Elsewhere than in its channel a follow-up is known only to whoever set it and to admins: its text may come
        from a private talk."""
        if isinstance(found, Refused):
            return found
        role = self.followups.rights.role(said.person)
        known = may_see(tx, role, said.person, found, said.event.thread)
        return found if known else unknown_follow_up(found.id or 0)

    # --- Commands -----------------------------------------------------------------------------------------------------

    def act(self, tx: Transaction, said: Said, command: Wanted, at: datetime | None = None) -> None:
        """Does what a command says. `at` is the instant that the person chose, where one was asked about."""
        origin = _origin(said)
        match command:
            case _ if not self.on:
                self.answers.refuse(tx, said, Refused("refused.follow_ups_disabled"))
            case SetFollowUp() if origin is not None:
                self.later.set(tx, said, command, origin, at)
            case SetFollowUp():
                self.answers.refuse(tx, said, Refused(OLD_BUTTON, {"command": _followups(said)}))
            case ListFollowUps(chosen):
                self._list(tx, said, chosen)
            case _:
                self._on_one(tx, said, command, at)

    def _on_one(self, tx: Transaction, said: Said, command: OnOne, at: datetime | None = None) -> None:
        if not may(self.followups.rights.role(said.person), Action.VIEW, is_requester=False):
            self.answers.refuse(tx, said, self.followups.rights.refuse_viewing())
            return
        found = self._find(tx, said, command)
        if isinstance(found, Refused):
            if not self.offer_task(tx, said, command):
                self.answers.refuse(tx, said, found)
            return
        one, person = found.id or 0, said.person
        match command:
            case ShowTask() | StatusOf():
                self._show(tx, said, found, body=isinstance(command, ShowTask))
            case LogsOf(_, attempt):
                self._logs(tx, said, found, attempt)
            case ChangeFollowUp(_, when):
                self._change(tx, said, found, when, at)
            case CancelTask():
                self._answer(tx, said, self.followups.cancel(tx, one, person), _STOPPED.get(found.state, CANCELLED))
            case Stop():
                self._answer(tx, said, self.followups.stop(tx, one, person), _STOPPED.get(found.state, STOPPED))
            case RunNow():
                self._answer(tx, said, self.followups.run_now(tx, one, person), "follow_up.runs_now")
            case RetryTask(_, instruction):
                outcome = self.followups.retry(tx, one, person) if instruction is None else NO_NOTE
                self._answer(tx, said, outcome, "follow_up.runs_again")
            case DeleteFollowUp():
                self._answer(tx, said, self.followups.delete(tx, one, person), "follow_up.deleted")
            case _:
                assert_never(command)

    def _answer(self, tx: Transaction, said: Said, outcome: FollowUp | Refused, key: str) -> None:
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        else:
            self.answers.say(tx, said, key, ref=outcome.ref)

    def _change(self, tx: Transaction, said: Said, found: FollowUp, when: str, at: datetime | None) -> None:
        """Another time for a pending one; whether the person may is asked before anything is asked about the time."""
        may_be = self.followups.update(tx, found.id or 0, said.person, Changes())
        if isinstance(may_be, Refused):
            self.answers.refuse(tx, said, may_be)
            return
        zone = self._zone(tx, said, found)
        if at is None:
            event = said.event if said.origin is None else said.origin[1]
            read = read_wish(SetFollowUp(when, what=""), min(event.sent_at, tx.now), zone)
            if read is None:
                self.later.ask_zone(tx, said)
                return
            if not isinstance(read[0], When):
                example = f"{verb_word('change', said.wording.texts.language)} {found.ref}"
                self.later.ask(tx, said, read[0], example)
                return
            at = read[0].at
        outcome = self.followups.update(tx, found.id or 0, said.person, Changes(at=at, zone=zone_key(zone)))
        self.later.confirm(tx, said, outcome if isinstance(outcome, Refused) else FollowUpSet(outcome))

    def _zone(self, tx: Transaction, said: Said, found: FollowUp) -> tzinfo | None:
        """The zone of whoever speaks, else the one that it was set in."""
        return self.zones.of(tx, said.person, said.event.thread) or (zone_named(found.zone) if found.zone else None)

    # --- Looking ------------------------------------------------------------------------------------------------------

    def _list(self, tx: Transaction, said: Said, chosen: FollowUpFilterName) -> None:
        if not may(self.followups.rights.role(said.person), Action.VIEW, is_requester=False):
            self.answers.refuse(tx, said, self.followups.rights.refuse_viewing())
            return
        admin = self.followups.rights.role(said.person) is Role.ADMIN
        found = self.followups.list(tx, list_filter(chosen, said, everywhere=admin))
        shown: list[tuple[FollowUp, Place]] = [(one, self._place(said, one)) for one in found]
        zone, now = self.zones.of(tx, said.person, said.event.thread), tx.now
        mask = self.answers.announcer.redactor.mask
        self.answers.whisper(tx, said, lambda texts: list_doc(shown, chosen, texts, now, zone, mask))

    def _place(self, said: Said, follow_up: FollowUp) -> Place:
        here = said.event.thread
        if not follow_up.platform:
            return "nowhere"
        if follow_up.thread_id is not None:
            return "this_thread" if follow_up.thread_id == said.thread_id else "a_thread"
        there = (follow_up.platform, follow_up.workspace_id, follow_up.channel_id)
        same = there == (here.platform, here.workspace_id, here.channel_id)
        return "this_channel" if same else "a_channel"

    def _show(self, tx: Transaction, said: Said, found: FollowUp, *, body: bool) -> None:
        runs = tx.runs.of_follow_up(found.id or 0)
        run, place, now = (runs[-1] if runs else None), self._place(said, found), tx.now
        zone, mask = self.zones.of(tx, said.person, said.event.thread), self.answers.announcer.redactor.mask
        self.answers.whisper(tx, said, lambda texts: details_doc(found, place, run, texts, now, zone, mask, body=body))

    def _logs(self, tx: Transaction, said: Said, found: FollowUp, attempt: int | None) -> None:
        runs = [run for run in tx.runs.of_follow_up(found.id or 0) if attempt in (None, run.attempt)]
        if not runs and attempt is not None:
            self.answers.refuse(tx, said, Refused("refused.unknown_attempt", {"ref": found.ref, "attempt": attempt}))
            return
        entries = tx.runs.tail(runs[-1].id or 0, LOG_ENTRIES) if runs else ()
        everything, mask = code_span(f"codetask followup logs {found.ref}"), self.answers.announcer.redactor.mask
        self.answers.whisper(tx, said, lambda texts: entries_doc(found.ref, entries, texts, mask, everything))

    def ask_when(self, tx: Transaction, said: Said) -> None:
        """Someone picked "Follow up later" on a message: nobody has said when."""
        if self.on:
            self.later.ask_when(tx, said)
        else:
            self.answers.refuse(tx, said, Refused("refused.follow_ups_disabled"))

    def help(self, tx: Transaction, said: Said) -> None:
        """How follow-ups are set, where `/followup` came without anything."""
        if self.on:
            self.answers.whisper(tx, said, help_doc)
        else:
            self.answers.refuse(tx, said, Refused("refused.follow_ups_disabled"))

    # --- The other kind -----------------------------------------------------------------------------------------------

    def offer_follow_up(self, tx: Transaction, said: Said, command: OnOne) -> bool:
        """Offers the follow-up of a number that is no code task's; False when there is none."""
        number = command.id.number if isinstance(command.id, TaskId) and command.id.kind == "CT" else None
        other = tx.followups.get(number) if number is not None and self.on else None
        if other is None or isinstance(self._visible(tx, said, other), Refused):
            return False
        self.answers.whisper(tx, said, lambda texts: instead_doc(command, other, texts))
        return True

    def offer_task(self, tx: Transaction, said: Said, command: OnOne) -> bool:
        """Offers the code task of a number that is no follow-up's; False when there is none."""
        number = command.id.number if isinstance(command.id, TaskId) and command.id.kind == "FU" else None
        only_here = isinstance(command, RunNow | ChangeFollowUp | DeleteFollowUp)
        other = tx.tasks.get(number) if number is not None and not only_here else None
        if other is not None:
            self.answers.whisper(tx, said, lambda texts: instead_doc(command, other, texts))
        return other is not None

    # --- Presses and forms --------------------------------------------------------------------------------------------

    def press(self, tx: Transaction, said: Said, action: FollowUpAction) -> None:
        """A button of a follow-up."""
        if not self.on:
            self.answers.refuse(tx, said, Refused("refused.follow_ups_disabled"))
            return
        target = TaskId("FU", action.number)
        simple: dict[FollowUpVerb, OnOne] = {
            "cancel": CancelTask(target),
            "stop": Stop(target),
            "run": RunNow(target),
            "retry": RetryTask(target),
            "details": ShowTask(target),
        }
        command = simple.get(action.verb)
        if command is not None:
            self._on_one(tx, said, command)
            return
        found = self._own(tx, said, action)
        if isinstance(found, Refused):
            self.answers.refuse(tx, said, found)
        elif action.verb == "change":
            texts = said.wording.texts
            example = f"{verb_word('change', texts.language)} {found.ref} {texts.say('when.examples').split('|')[1]}"
            self.answers.say(tx, said, "form.type_it", command=code_span(example))
        elif action.verb in ("snooze", "tomorrow"):
            self._again(tx, said, found, action.verb)
        else:
            self._put_away(tx, said, found)

    def shown(self, tx: Transaction, said: Said, number: int) -> FollowUp | Refused:
        """The follow-up of a number, if whoever speaks may see it."""
        return self._visible(tx, said, self.followups.find(tx, TaskId("FU", number)))

    def _own(self, tx: Transaction, said: Said, action: FollowUpAction) -> FollowUp | Refused:
        """The follow-up, if the person may decide about it: whoever set it, or an admin."""
        found = self._visible(tx, said, self.followups.find(tx, TaskId("FU", action.number)))
        rights = self.followups.rights
        if isinstance(found, Refused):
            return found
        verb = "change" if action.verb == "change" else "repeat" if action.verb in ("snooze", "tomorrow") else "close"
        own = may(rights.role(said.person), Action.CANCEL, is_requester=is_requester(said.person, found))
        return found if own else rights.refuse_changing(found, verb)

    def _again(self, tx: Transaction, said: Said, found: FollowUp, verb: FollowUpVerb) -> None:
        """[Snooze 1 h], [Tomorrow 09:00]: a new one with the same text, however often it is pressed."""
        zone = self._zone(tx, said, found)
        at = self.later.preset_at(tx, "tomorrow" if verb == "tomorrow" else "hour", zone)
        if at is None:
            self.later.ask_zone(tx, said)
            return
        reminder = found.kind is FollowUpKind.MESSAGE
        place = tx.threads.get(found.thread_id).ref if found.thread_id is not None else None
        channel = said.event.thread.model_copy(update={"root": None, "native": None})
        wish = Wish(
            text=found.body,
            at=at,
            person=said.person,
            place=place or channel,
            channel_name=found.channel_name,
            zone=zone_key(zone),
            title=found.title,
            agent="" if reminder else found.agent or "",
            remind=reminder,
            if_missed="run" if found.if_missed == "run" else "skip",
            if_busy="skip" if found.if_busy == "skip" else "queue",
            message_id=found.message_id,
            dedup_key=f"f:again:{found.ref}:{found.attempt}:{verb}",
        )
        self.later.confirm(tx, said, self.followups.set(tx, wish))

    def _put_away(self, tx: Transaction, said: Said, found: FollowUp) -> None:
        """[Done], [Dismiss]: the message stays, its buttons go."""
        event = said.event
        assert isinstance(event, ButtonPress)
        self.news.put_away(tx, found, event.message_id)
        self.answers.say(tx, said, "follow_up.put_away", ref=found.ref)

    def wish(self, tx: Transaction, said: Said, action: WishAction, redo: Redo) -> None:
        """A button under a question: whoever was asked does what they had asked for."""
        event = tx.inbox.event(action.number)
        if not isinstance(event, Command | FormSent | ButtonPress) or not _same_person(said, event):
            self.answers.refuse(tx, said, Refused(OLD_BUTTON, {"command": _followups(said)}))
        elif not self.on:
            self.answers.refuse(tx, said, Refused("refused.follow_ups_disabled"))
        else:
            self._wish(tx, said, action, event, redo)

    def _wish(
        self,
        tx: Transaction,
        said: Said,
        action: WishAction,
        event: Command | FormSent | ButtonPress,
        redo: Redo,
    ) -> None:
        stored = replace(said, origin=(action.number, event))
        match action.verb:
            case "tz":
                self.settings.prefer(tx, said.person, action.argument)
                redo(stored, event, None)
            case "at":
                redo(stored, event, instant_of(action.argument))
            case "yes":
                redo(stored, event, None)
            case "preset" if isinstance(event, Command):
                self.later.preset(tx, said, Origin(action.number, event), action.argument)
            case "later" if isinstance(event, Command):
                texts = said.wording.texts
                example = f"{verb_word('later', texts.language)} {texts.say('help.later_wish')}"
                self.answers.say(tx, said, "form.type_it", command=code_span(example))
            case "preset" | "later":
                self.answers.refuse(tx, said, Refused(OLD_BUTTON, {"command": _followups(said)}))
            case _:
                assert_never(action.verb)

    def form(self, tx: Transaction, said: Said, sent: LaterForm | ChangeFollowUp, at: datetime | None = None) -> None:
        """A sent form is the command that it stands for."""
        if not self.on:
            self.answers.refuse(tx, said, Refused("refused.follow_ups_disabled"))
        elif isinstance(sent, ChangeFollowUp):
            self._on_one(tx, said, sent, at)
        else:
            event = tx.inbox.event(sent.number)
            if not isinstance(event, Command) or not _same_person(said, event):
                self.answers.refuse(tx, said, Refused(OLD_BUTTON, {"command": _followups(said)}))
                return
            wish = sent.wish if sent.wish.what else of_message(event, sent.wish.text)
            self.later.set(tx, said, wish, Origin(sent.number, event), at)

    # --- Replies ------------------------------------------------------------------------------------------------------

    def reply(self, tx: Transaction, said: Said, text: str) -> bool:
        """Something said in the thread that a follow-up opened goes to its agent, as one that is due at once; False
        in any other thread."""
        event, found = said.event, self._of_thread(tx, said) if self.on else None
        if found is None or found.kind is not FollowUpKind.AGENT or not isinstance(event, Command | Message):
            return False
        if tx.now - event.sent_at > SEEN_LATE:
            if isinstance(event, Command):
                self.answers.say(tx, said, "follow_up.seen_late")
            return True
        where, message_id = event.thread, event.message_id
        key = f"f:m:{where.platform}:{where.workspace_id}:{where.channel_id}:{message_id or event.key}"
        wish = Wish(
            text=text,
            at=tx.now,
            person=said.person,
            place=where,
            channel_name=found.channel_name,
            zone=found.zone,
            if_missed="run",
            run_now=True,
            message_id=message_id,
            source=event.door if isinstance(event, Command) else "reply",
            dedup_key=key,
        )
        outcome = self.followups.set(tx, wish)
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        elif message_id is not None and said.thread_id is not None:
            message = MessageRef(thread=where, message_id=message_id)
            self.answers.announcer.mark(tx, said.thread_id, message, "seen", f"{said.key}:seen")
        return True

    def hears(self, tx: Transaction, event: Message) -> bool:
        """Whether a message without a mention is for the agent: its person wrote it in the thread that the follow-up
        opened, to nobody else."""
        thread = tx.threads.find(event.thread) if self.on and not event.mentions_others else None
        if thread is None or tx.tasks.in_thread(thread.id) is not None:
            return False
        found = tx.followups.in_thread(thread.id)
        return found is not None and found.kind is FollowUpKind.AGENT and is_requester(event.person, found)

    # --- Plain messages -----------------------------------------------------------------------------------------------

    def runs_in(self, tx: Transaction, event: Message) -> bool:
        """Whether a follow-up runs in the thread of a message, so that it may be worth asking who wrote it."""
        thread = tx.threads.find(event.thread)
        return self.on and thread is not None and _running_in(tx, thread.id) is not None

    def heard_stop(self, tx: Transaction, said: Said) -> None:
        """Someone wrote exactly `stop` in a thread. Where nothing runs, or it is not theirs to stop, they meant no bot
        and nothing is said."""
        found = self._running_here(tx, said) if self.on else None
        if found is None:
            return
        own = is_requester(said.person, found)
        if may(self.followups.rights.role(said.person), Action.STOP, is_requester=own):
            self._answer(tx, said, self.followups.stop(tx, found.id or 0, said.person), "follow_up.stop_done")


def _running_in(tx: Transaction, thread_id: int) -> FollowUp | None:
    which = FollowUpFilter(states=(FollowUpState.RUNNING,), thread_id=thread_id, limit=1)
    return next(iter(tx.followups.list(which)), None)


def list_filter(chosen: FollowUpFilterName, said: Said, *, everywhere: bool) -> FollowUpFilter:
    """Which follow-ups a list means: one's own open ones, all of one's own, those in one state, or everyone's of this
    channel (`everywhere`: of all channels)."""
    mine = (said.person.platform, said.person.workspace_id, said.person.id)
    match chosen:
        case "open":
            open_states = (FollowUpState.PENDING, FollowUpState.RUNNING)
            return FollowUpFilter(states=open_states, requester=mine, limit=LISTED)
        case "mine":
            return FollowUpFilter(requester=mine, limit=LISTED)
        case "all":
            here = said.event.thread
            channel = (here.platform, here.workspace_id, here.channel_id)
            return FollowUpFilter(channel=None if everywhere else channel, limit=LISTED)
        case state:
            return FollowUpFilter(states=(FollowUpState(state),), requester=mine, limit=LISTED)


def is_stop(event: Message, words: frozenset[str] = frozenset({"stop", "停止"})) -> bool:
    """Whether a message in a thread is exactly the word."""
    return event.in_thread and event.text.strip(" \t\n.。!！").casefold() in words


def _origin(said: Said) -> Origin | None:
    """The stored command that is being done: the one at hand, or the one that a button names."""
    if said.origin is not None and isinstance(said.origin[1], Command):
        return Origin(said.origin[0], said.origin[1])
    return Origin(said.item.id, said.event) if isinstance(said.event, Command) else None


def _same_person(said: Said, event: Command | FormSent | ButtonPress) -> bool:
    theirs, own = event.person, said.person
    return (theirs.platform, theirs.workspace_id, theirs.id) == (own.platform, own.workspace_id, own.id)


def _followups(said: Said) -> str:
    return code_span(verb_word("followups", said.wording.texts.language))


def _verb_of(command: OnOne) -> str:
    match command:
        case CancelTask():
            return "cancel"
        case RetryTask():
            return "retry"
        case ShowTask():
            return "show"
        case StatusOf():
            return "status"
        case LogsOf():
            return "logs"
        case Stop():
            return "stop"
        case RunNow():
            return "run"
        case ChangeFollowUp():
            return "change"
        case DeleteFollowUp():
            return "delete"
        case _:
            assert_never(command)

"""What people say to the bot in chat: a stored event in, effects out, in one transaction that marks it handled.

`ChatCommands.handle` is called by the inbox for every stored event. What needs the network (a person's roles, a
thread's earlier messages) is fetched before the transaction starts.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import assert_never

import structlog

from bot.core.buttons import ButtonAction, FollowUpAction, SuggestionAction, WishAction, parse_button
from bot.core.cards import Doc
from bot.core.commands import (
    BadFlag,
    CancelTask,
    ChangeFollowUp,
    DeleteFollowUp,
    EditText,
    Empty,
    FileTask,
    Help,
    ListFollowUps,
    ListSuggestions,
    ListTasks,
    LogsOf,
    NearMiss,
    NotYet,
    Parsed,
    RetryTask,
    RunNow,
    Send,
    SetFollowUp,
    Setting,
    ShowTask,
    StatusOf,
    Stop,
    TaskId,
    TaskWord,
    Top,
    Undo,
    WhoAmI,
)
from bot.core.forms import LaterForm, UnfitForm, read_form
from bot.core.inbound import (
    BotAdded,
    BotRemoved,
    ButtonPress,
    Command,
    FormSent,
    Gap,
    Message,
    MessageDeleted,
    MessageEdited,
    Person,
    Reaction,
    ThreadRef,
    Unreadable,
)
from bot.core.people import Action, may
from bot.core.questions import AnswerPress, read_answer
from bot.core.quoting import code_span
from bot.core.task_cards import say_doc
from bot.core.task_replies import (
    help_doc,
    near_miss_doc,
    task_word_doc,
    whoami_doc,
)
from bot.core.texts import Texts
from bot.failpoints import failpoint
from bot.ports import Choice, Platform
from bot.services import absence
from bot.services.announcements import Announcer
from bot.services.channel_names import name_for
from bot.services.chat_filing import FEATURE, ChatFiling, read_command, thread_context
from bot.services.chat_followups import ChatFollowUps, Wanted, is_stop
from bot.services.chat_questions import ChatQuestions
from bot.services.chat_sends import ChatSends
from bot.services.chat_tasks import ChatTasks, key_of
from bot.services.completions import Completions
from bot.services.hearing import Hearing
from bot.services.intake.chat import ChatIntake
from bot.services.intake.listening import Listening
from bot.services.later import Later
from bot.services.people import known_person, remember_talk
from bot.services.questions import Questions
from bot.services.refusals import Refused, refuse_flag
from bot.services.said import Said
from bot.services.sends import Sends
from bot.services.tasks import CodeTasks
from bot.services.visibility import seen_by
from bot.services.zones import Zones
from bot.store import Delivery, Pending, Store, TaskFilter, Transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChatCommands:
    """Handles stored events. `backfill` reads channels again after a gap."""

    store: Store
    tasks: CodeTasks
    announcer: Announcer
    code_tasks: ChatTasks
    follow_ups: ChatFollowUps
    platforms: Mapping[str, Platform]
    backfill: Callable[[Gap], Awaitable[None]]
    listening: Listening
    intake: ChatIntake

    @property
    def filing(self) -> ChatFiling:
        return ChatFiling(self.tasks, self.follow_ups.answers, self.follow_ups, self.intake)

    @property
    def hearing(self) -> Hearing:
        return Hearing(self.store, self.tasks.rights, self.announcer)

    @property
    def questions(self) -> ChatQuestions:
        return ChatQuestions(Questions(self.announcer, self.tasks.rights), self.follow_ups.answers)

    @property
    def sends(self) -> ChatSends:
        return ChatSends(Sends(self.tasks, self.follow_ups.followups), self.follow_ups)

    async def handle(self, item: Pending) -> None:
        """Handles one stored event once, whoever else handles it at the same time."""
        if await self.hearing.turned_away(item):
            return
        match item.event:
            case Command():
                await self._command(item, item.event)
            case ButtonPress():
                await self._press(item, item.event)
            case FormSent():
                await self._form(item, item.event)
            case Message():
                await self._ordinary(item, item.event)
            case MessageEdited() | MessageDeleted():
                await self.listening.changed(item, item.event)
            case Reaction():
                await self._reaction(item, item.event)
            case Gap():
                await self.backfill(item.event)
                await self._done(item)
            case BotAdded():
                await self._bot_added(item, item.event)
            case BotRemoved(thread=place):
                await self.store.run(lambda tx: absence.leave(tx, place) if tx.inbox.done(item.id) else None)
            case Unreadable(ref=ref, why=why):
                log.warning("unreadable_event", ref=ref, why=why)
                await self._done(item)
            case _:
                await self._done(item)

    async def give_up(self, item: Pending, ref: str) -> None:
        """Says that an event could not be handled after several tries, with the reference that is in the log."""
        event = item.event

        def unit(tx: Transaction) -> None:
            if tx.inbox.done(item.id) and isinstance(event, Command | ButtonPress | FormSent):
                wording = self.announcer.languages.personal(tx, event.person, event.thread)
                doc = wording.make(lambda texts: say_doc(texts, "error.unexpected", ref=ref))
                lane = tx.threads.find(event.thread) or tx.threads.lane(event.thread)
                self.announcer.whisper(tx, lane.id, event.person, doc, f"IN-{item.id}:gave-up", event.reply_token)

        await self.store.run(unit)

    async def choices(self, name: str, text: str, person: Person, place: ThreadRef | None = None) -> list[Choice]:
        """Completions of the options `repo`, `agent`, `id` and `when`; of `form`, what its fields open with."""
        if name in ("id", "when", "form"):
            return await self._offers(name, text, person, place)
        known = {"repo": list(self.tasks.settings.repositories), "agent": list(self.tasks.agents)}.get(name, [])
        return [Choice(label=value, value=value) for value in known if text.lower() in value.lower()]

    async def _offers(self, name: str, text: str, person: Person, place: ThreadRef | None) -> list[Choice]:
        """What the person may mean by an id or a time; nothing for one who may see nothing."""
        try:
            person = await self._who(person)
        except Later:
            return []
        if not may(self.tasks.rights.role(person), Action.VIEW, is_requester=False):
            return []
        if name == "form":
            action = parse_button(text)
            return await self.store.run(lambda tx: self.intake.form_text(tx, action, person, place), read=True)
        zones = Zones(self.tasks.settings.default_timezone)
        found = Completions(self.announcer.languages, zones, self.announcer.redactor.mask)
        seen = seen_by(self.tasks.rights.role(person), person)
        return await self.store.run(lambda tx: found.offer(tx, name, text, person, place, seen), read=True)

    async def _bot_added(self, item: Pending, event: BotAdded) -> None:
        """Introduces the bot once per channel, and sends what could not be sent before it joined."""
        platform = self.platforms.get(event.platform)
        door = "/codetask" if platform is None or platform.capabilities.slash else "@codetask"

        def hello(texts: Texts) -> Doc:
            return say_doc(texts, "first.channel", command=code_span(f"{door} {texts.say('help.wish_start')}"))

        def unit(tx: Transaction) -> None:
            if not tx.inbox.done(item.id):
                return
            self.announcer.languages.hear(tx, event)
            absence.come_back(tx, event.thread)
            where = event.thread.model_copy(update={"root": None, "native": None})
            key = f"hello:{where.canonical}"
            if not tx.outbox.revive(where) and not tx.outbox.known(key):
                content = self.announcer.languages.shared(tx, where).make(hello)
                tx.outbox.add(tx.threads.open(where).id, Delivery("post", key, content))

        await self.store.run(unit)

    async def _done(self, item: Pending) -> None:
        await self.store.run(lambda tx: tx.inbox.done(item.id))

    async def _command(self, item: Pending, event: Command) -> None:
        platform = self.platforms.get(event.platform)
        person = await self._who(event.person)
        event = await self.intake.pointing.meant(event, person)
        context = await thread_context(platform, item, event)
        called = await name_for(event, self.platforms)
        looked = await self.store.run(lambda tx: self.filing.look(tx, event, person), read=True)

        def unit(tx: Transaction) -> None:
            if not tx.inbox.done(item.id):
                return
            said = replace(self._said(tx, item, event, person, context, called), looked=looked)
            if event.command == "followup" and event.door in ("shortcut", "menu"):
                self.follow_ups.ask_when(tx, said)
            else:
                parsed = read_command(tx, said, event)
                if not self.questions.heard(tx, said, event, parsed) and not self._replied(tx, said, event, parsed):
                    self._act(tx, said, parsed)
            failpoint("command.before_commit")

        await self.store.run(unit)
        failpoint("command.after_commit")

    def _replied(self, tx: Transaction, said: Said, event: Command, parsed: Parsed) -> bool:
        """Text with a mention, in the thread that a follow-up opened, is for its agent; `/codetask` files all the
        same."""
        if not isinstance(parsed, FileTask) or event.door not in ("mention", "bang"):
            return False
        return self.follow_ups.reply(tx, said, parsed.text)

    async def _ordinary(self, item: Pending, event: Message) -> None:
        """A message to nobody in particular. Only where a follow-up may be meant is its text asked for here; anything
        else is for intake."""
        if not event.in_thread or not await self.store.run(lambda tx: self._is_heeded(tx, event), read=True):
            await self.listening.message(item, event)
            return
        worded = await self.listening.worded(item, event)
        if worded is None:
            await self._done(item)
        elif is_stop(worded):
            await self._heard_stop(item, worded)
        else:
            await self._heard_reply(item, worded)

    def _is_heeded(self, tx: Transaction, event: Message) -> bool:
        return self.follow_ups.hears(tx, event) or self.follow_ups.runs_in(tx, event)

    async def _heard_reply(self, item: Pending, event: Message) -> None:
        """A message without a mention in a thread: for the agent of the follow-up that opened it, if it is its
        person's."""
        if not await self.store.run(lambda tx: self.follow_ups.hears(tx, event), read=True):
            await self._done(item)
            return
        person = await self._who(event.person)

        def unit(tx: Transaction) -> None:
            if tx.inbox.done(item.id):
                said = self._said(tx, item, event, person)
                if not self.questions.answered(tx, said, event.text):
                    self.follow_ups.reply(tx, said, event.text)

        await self.store.run(unit)

    async def _heard_stop(self, item: Pending, event: Message) -> None:
        """A message in a thread that is exactly `stop`: for the follow-up that runs there."""
        if not await self.store.run(lambda tx: self.follow_ups.runs_in(tx, event), read=True):
            await self._done(item)
            return
        person = await self._who(event.person)

        def unit(tx: Transaction) -> None:
            if tx.inbox.done(item.id):
                self.follow_ups.heard_stop(tx, self._said(tx, item, event, person))

        await self.store.run(unit)

    async def _reaction(self, item: Pending, event: Reaction) -> None:
        """An emoji on a message: where it is the one that files messages, the message is filed."""
        found = await self.intake.pointing.pointed_at(item, event)
        if found is None:
            await self._done(item)
            return
        person = await self._who(event.person)

        def unit(tx: Transaction) -> None:
            if not tx.inbox.done(item.id):
                return
            if isinstance(found, Refused):
                self._refuse(tx, self._said(tx, item, event, person), found)
                return
            if not self.tasks.rights.hears(tx, found.message.thread):  # Lark's reactions do not tell their channel
                self._refuse(tx, self._said(tx, item, event, person), self.tasks.rights.refuse_channel())
                return
            there = event.model_copy(update={"thread": found.message.thread})
            self.intake.pointing.reacted(tx, self._said(tx, item, there, person), found)

        await self.store.run(unit)

    async def _who(self, person: Person) -> Person:
        return await known_person(person, self.platforms, self.store, self.tasks.rights)

    def _said(
        self,
        tx: Transaction,
        item: Pending,
        event: Command | ButtonPress | FormSent | Message | Reaction,
        person: Person,
        context: str = "",
        called: str = "",
    ) -> Said:
        tx.people.see(person)
        remember_talk(tx, event.thread, event.direct)
        self.announcer.languages.hear(tx, event)
        found = tx.threads.find(event.thread)
        wording = self.announcer.languages.personal(tx, person, event.thread)
        return Said(item, event, person, found.id if found else None, wording, context, channel_name=called)

    def _act(self, tx: Transaction, said: Said, parsed: Parsed, at: datetime | None = None) -> None:
        at_door = isinstance(said.event, Command) and said.event.command == "followup"
        match parsed:
            case SetFollowUp() | ListFollowUps() | RunNow() | ChangeFollowUp() | DeleteFollowUp():
                self.follow_ups.act(tx, said, parsed, at)
            case (
                CancelTask(target)
                | RetryTask(target)
                | ShowTask(target)
                | StatusOf(target)
                | LogsOf(target)
                | Stop(target)
            ) if self.follow_ups.concerns(tx, said, target, stop=isinstance(parsed, Stop)):
                self.follow_ups.act(tx, said, parsed)
            case Setting():
                self.follow_ups.settings.act(tx, said, parsed)
            case Empty() | Help(None) if at_door:
                self.follow_ups.help(tx, said)
            case NearMiss() | BadFlag() if at_door and self.follow_ups.on:
                self._unclear(tx, said, parsed)
            case _ if FEATURE not in self.tasks.settings.features:
                self._refuse(tx, said, Refused("refused.disabled"))
            case FileTask():
                self.filing.file(tx, said, parsed)
            case EditText() | Undo() | Top() | ListSuggestions():
                self.intake.act(tx, said, parsed)
            case _ if self.intake.concerns(parsed):
                self.intake.on_suggestion(tx, said, parsed)
            case Stop() if self.sends.stops(tx, said, parsed):
                pass
            case CancelTask() | RetryTask() | ShowTask() | StatusOf() | LogsOf() | Stop():
                self.code_tasks.act(tx, said, parsed)
            case ListTasks(chosen):
                self.code_tasks.list(tx, said, chosen)
            case Help(verb):
                self._whisper(tx, said, lambda texts: help_doc(texts, verb))
            case Empty():
                mask = self.announcer.redactor.mask
                mine = self.tasks.list(tx, TaskFilter(requester=key_of(said.person), limit=3))
                self._whisper(tx, said, lambda texts: help_doc(texts, latest=mine, now=tx.now, mask=mask))
            case WhoAmI():
                role, channel = self.tasks.rights.role(said.person), said.event.thread.channel_id
                name = role.value if role else None
                self._whisper(tx, said, lambda texts: whoami_doc(said.person, channel, name, texts))
            case NearMiss() | BadFlag():
                self._unclear(tx, said, parsed)
            case TaskWord():
                self._whisper(tx, said, lambda texts: task_word_doc(texts, said.item.id))
            case NotYet(verb):
                self._refuse(tx, said, Refused("refused.not_yet", {"verb": code_span(verb)}))
            case Send():
                self.sends.act(tx, said, parsed)
            case _:
                assert_never(parsed)

    def _unclear(self, tx: Transaction, said: Said, parsed: NearMiss | BadFlag) -> None:
        if isinstance(parsed, BadFlag):
            self._refuse(tx, said, refuse_flag(parsed))
            return
        may_file = getattr(said.event, "command", "codetask") == "codetask"
        self._whisper(tx, said, lambda texts: near_miss_doc(parsed, texts, said.item.id, may_file=may_file))

    async def _press(self, item: Pending, event: ButtonPress) -> None:
        person = await self._who(event.person)
        action = read_answer(event.value) or parse_button(event.value)
        context = await self.intake.before_press(item, action) if isinstance(action, SuggestionAction) else ""
        called = await name_for(event, self.platforms)

        def unit(tx: Transaction) -> None:
            if not tx.inbox.done(item.id):
                return
            said = self._said(tx, item, event, person, context, called)
            if isinstance(action, AnswerPress):
                self.questions.press(tx, said, action)
            elif isinstance(action, FollowUpAction) and action.verb == "file":
                self.filing.file_follow_up(tx, said, action.number)
            elif isinstance(action, FollowUpAction):
                self.follow_ups.press(tx, said, action)
            elif isinstance(action, WishAction):
                self.follow_ups.wish(tx, said, action, partial(self._redo, tx))
            elif isinstance(action, SuggestionAction):
                self.intake.press(tx, said, action, self.sends.pass_on)
            elif FEATURE in self.tasks.settings.features:
                self._pressed(tx, said, action)
            else:
                self._refuse(tx, said, Refused("refused.disabled"))

        await self.store.run(unit)

    def _redo(self, tx: Transaction, said: Said, event: Command | FormSent | ButtonPress, at: datetime | None) -> None:
        """Handles what was stored once more, for the person who has now answered what was asked about it."""
        meant = None
        match event:
            case Command():
                meant = read_command(tx, said, event)
                meant = meant.meant if isinstance(meant, NearMiss) else meant
            case FormSent():
                meant = read_form(event.form, event.fields)
            case ButtonPress():
                meant = parse_button(event.value)
        match meant:
            case LaterForm() | ChangeFollowUp() if isinstance(event, FormSent):
                self.follow_ups.form(tx, said, meant, at)
            case WishAction(verb="preset"):
                self.follow_ups.wish(tx, said, meant, partial(self._redo, tx))
            case FollowUpAction(verb="tomorrow"):
                self.follow_ups.press(tx, said, meant)
            case _ if isinstance(meant, Wanted) and isinstance(event, Command):
                self._act(tx, said, meant, at)
            case _:
                self._refuse(tx, said, Refused("refused.old_button", {"command": code_span("list")}))

    async def _form(self, item: Pending, event: FormSent) -> None:
        """A form is the command that it stands for: whoever sends it, and whenever, it is checked like one."""
        person = await self._who(event.person)
        meant = read_form(event.form, event.fields)
        called = await name_for(event, self.platforms)

        def unit(tx: Transaction) -> None:
            if not tx.inbox.done(item.id):
                return
            said = self._said(tx, item, event, person, called=called)
            if isinstance(meant, LaterForm | ChangeFollowUp):
                self.follow_ups.form(tx, said, meant)
            elif FEATURE not in self.tasks.settings.features:
                self._refuse(tx, said, Refused("refused.disabled"))
            elif meant is None:
                self._refuse(tx, said, Refused("refused.old_button", {"command": code_span("list")}))
            elif isinstance(meant, UnfitForm):
                self._refuse(tx, said, Refused(f"form.{meant.why}", {"n": meant.length} if meant.length else {}))
            elif isinstance(meant, EditText):
                self.intake.act(tx, said, meant)
            elif isinstance(meant, Send):
                self.sends.act(tx, said, meant)
            else:
                self.code_tasks.act(tx, said, meant)

        await self.store.run(unit)

    def _pressed(self, tx: Transaction, said: Said, action: ButtonAction | None) -> None:
        if action is None:
            self._refuse(tx, said, Refused("refused.old_button", {"command": code_span("list")}))
            return
        target = TaskId("CT", action.number)
        match action.verb:
            case "cancel":
                self.code_tasks.act(tx, said, CancelTask(target))
            case "retry":
                self.code_tasks.act(tx, said, RetryTask(target))
            case "retry_note":
                self.code_tasks.ask_note(tx, said, action.number)
            case "ask_changes":
                self.sends.ask(tx, said, action.number)
            case "details":
                self.code_tasks.act(tx, said, ShowTask(target))
            case "status":
                self.code_tasks.act(tx, said, StatusOf(target))
            case "logs":
                self.code_tasks.act(tx, said, LogsOf(target))
            case "merged":
                outcome = self.tasks.mark_merged(tx, action.number, said.person)
                self.code_tasks.answer(tx, said, outcome, "reply.marked_merged")
            case "approve":
                self.code_tasks.answer(
                    tx, said, self.tasks.decide(tx, action.number, said.person, True, action.change), "reply.approved"
                )
            case "refuse":
                outcome = self.tasks.decide(tx, action.number, said.person, False, action.change)
                self.code_tasks.answer(tx, said, outcome, "reply.approval_refused")
            case "file":
                self.filing.file_stored(tx, said, action.number)
            case "undo" | "start" | "same" | "different":
                self.intake.task_press(tx, said, action)
            case _:
                assert_never(action.verb)

    def _refuse(self, tx: Transaction, said: Said, refused: Refused) -> None:
        self.follow_ups.answers.refuse(tx, said, refused)

    def _say(self, tx: Transaction, said: Said, key: str, **values: object) -> None:
        self.follow_ups.answers.say(tx, said, key, **values)

    def _whisper(self, tx: Transaction, said: Said, draw: Callable[[Texts], Doc]) -> None:
        self.follow_ups.answers.whisper(tx, said, draw)

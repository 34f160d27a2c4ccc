"""What people say to the bot in chat: a stored event in, effects out, in one transaction that marks it handled.

`ChatCommands.handle` is called by the inbox for every stored event. What needs the network (a person's roles, a
thread's earlier messages) is fetched before the transaction starts.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, assert_never

import structlog

from bot.core.buttons import ButtonAction, FollowUpAction, parse_button
from bot.core.cards import Doc
from bot.core.commands import (
    BadFlag,
    CancelTask,
    Empty,
    FileTask,
    Help,
    ListTasks,
    LogsOf,
    NearMiss,
    NotYet,
    Parsed,
    RetryTask,
    Send,
    ShowTask,
    StatusOf,
    TaskId,
    TaskWord,
    WhoAmI,
    parse,
    render,
)
from bot.core.forms import UnfitForm, read_form
from bot.core.inbound import (
    BotAdded,
    ButtonPress,
    Command,
    FormSent,
    Gap,
    MessageRef,
    Person,
    Unreadable,
)
from bot.core.people import Action, may
from bot.core.quoting import code_span
from bot.core.task_cards import say_doc
from bot.core.task_replies import (
    EventLine,
    help_doc,
    list_doc,
    logs_doc,
    near_miss_doc,
    show_doc,
    status_doc,
    task_word_doc,
    whoami_doc,
)
from bot.core.tasks import ACTIVE, CodeTask, Stage
from bot.core.texts import Texts
from bot.core.verbs import ListFilter
from bot.failpoints import failpoint
from bot.ports import Choice, Platform, Retry
from bot.services.announcements import Announcer
from bot.services.completions import offer_tasks
from bot.services.languages import Wording
from bot.services.later import Later
from bot.services.people import known_person
from bot.services.refusals import Refused, refuse_flag
from bot.services.tasks import CodeTasks, Filed, Filing
from bot.store import Delivery, Pending, Store, TaskFilter, Transaction

log = structlog.get_logger(__name__)

FEATURE: Final = "codetasks"
SEEN_LATE: Final = timedelta(hours=24)
CONTEXT_MESSAGES: Final = 20
THREAD_READ: Final = 200
CONTEXT_CHARS: Final = 8_000
LOG_ENTRIES: Final = 20
CONTEXT_TRIES: Final = 3
"""How often a thread is read for a code task before it is filed without what was said there."""
OPEN_STAGES: Final = tuple(ACTIVE)


@dataclass(frozen=True, slots=True)
class _Said:
    """One command as it is handled: who, where, and where private answers go."""

    item: Pending
    event: Command | ButtonPress | FormSent
    person: Person
    thread_id: int | None
    wording: Wording
    context: str = ""

    @property
    def key(self) -> str:
        return f"IN-{self.item.id}"


@dataclass(frozen=True, slots=True)
class ChatCommands:
    """Handles stored events. `backfill` reads channels again after a gap."""

    store: Store
    tasks: CodeTasks
    announcer: Announcer
    platforms: Mapping[str, Platform]
    backfill: Callable[[Gap], Awaitable[None]]

    async def handle(self, item: Pending) -> None:
        """Handles one stored event once, whoever else handles it at the same time."""
        match item.event:
            case Command():
                await self._command(item, item.event)
            case ButtonPress():
                await self._press(item, item.event)
            case FormSent():
                await self._form(item, item.event)
            case Gap():
                await self.backfill(item.event)
                await self._done(item)
            case BotAdded():
                await self._bot_added(item, item.event)
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

    async def choices(self, name: str, text: str, person: Person) -> list[Choice]:
        """Completions of the options `repo`, `agent` and `id`."""
        if name == "id":
            return await self._ids(text, person)
        known = {"repo": list(self.tasks.settings.repositories), "agent": list(self.tasks.agents)}.get(name, [])
        return [Choice(label=value, value=value) for value in known if text.lower() in value.lower()]

    async def _ids(self, text: str, person: Person) -> list[Choice]:
        """The code tasks that the person may mean; none for one who may see none."""
        try:
            person = await self._who(person)
        except Later:
            return []
        if not may(self.tasks.rights.role(person), Action.VIEW, is_requester=False):
            return []
        languages, mask = self.announcer.languages, self.announcer.redactor.mask
        return await self.store.run(lambda tx: offer_tasks(tx, text, person, languages, mask), read=True)

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
        context = await self._thread_context(platform, item, event)

        def unit(tx: Transaction) -> None:
            if not tx.inbox.done(item.id):
                return
            said = self._said(tx, item, event, person, context)
            if FEATURE not in self.tasks.settings.features:
                self._refuse(tx, said, Refused("refused.disabled"))
            elif event.command == "followup":
                self._refuse(tx, said, Refused("refused.not_yet", {"verb": code_span("/followup")}))
            else:
                self._act(tx, said, self._parse(tx, said, event))
            failpoint("command.before_commit")

        await self.store.run(unit)
        failpoint("command.after_commit")

    async def _who(self, person: Person) -> Person:
        return await known_person(person, self.platforms, self.store, self.tasks.rights)

    def _said(
        self, tx: Transaction, item: Pending, event: Command | ButtonPress | FormSent, person: Person, context: str = ""
    ) -> _Said:
        tx.people.see(person)
        self.announcer.languages.hear(tx, event)
        found = tx.threads.find(event.thread)
        wording = self.announcer.languages.personal(tx, person, event.thread)
        return _Said(item, event, person, found.id if found else None, wording, context)

    def _parse(self, tx: Transaction, said: _Said, event: Command) -> Parsed:
        in_task_thread = said.thread_id is not None and tx.tasks.in_thread(said.thread_id) is not None
        return parse(event.text, door=event.door, in_task_thread=in_task_thread)

    async def _thread_context(self, platform: Platform | None, item: Pending, event: Command) -> str:
        """Earlier messages of the thread a command was given in, as stored JSON; empty elsewhere."""
        if platform is None or not event.in_thread or event.thread.root is None:
            return ""
        posted = await platform.history(event.thread, None, THREAD_READ)
        if isinstance(posted, Retry) and item.attempts + 1 < CONTEXT_TRIES:
            raise Later(f"thread not read: {posted.why}", posted.after, CONTEXT_TRIES)
        if not isinstance(posted, list | tuple):
            return ""
        lines: list[tuple[str, str]] = []
        size = 0
        for message in reversed(posted):
            if message.message.message_id == event.message_id or message.own:
                continue
            size += len(message.message.text)
            if size > CONTEXT_CHARS or len(lines) == CONTEXT_MESSAGES:
                break
            lines.append((message.message.person.name or message.message.person.id, message.message.text))
        return json.dumps(lines[::-1], ensure_ascii=False) if lines else ""

    def _act(self, tx: Transaction, said: _Said, parsed: Parsed) -> None:
        match parsed:
            case FileTask():
                self._file(tx, said, parsed)
            case CancelTask() | RetryTask() | ShowTask() | StatusOf() | LogsOf():
                self._on_task(tx, said, parsed)
            case ListTasks(chosen):
                self._list(tx, said, chosen)
            case Help(verb):
                self._whisper(tx, said, lambda texts: help_doc(texts, verb))
            case Empty():
                mask = self.announcer.redactor.mask
                mine = self.tasks.list(tx, TaskFilter(requester=_key(said.person), limit=3))
                self._whisper(tx, said, lambda texts: help_doc(texts, latest=mine, now=tx.now, mask=mask))
            case WhoAmI():
                role, channel = self.tasks.rights.role(said.person), said.event.thread.channel_id
                name = role.value if role else None
                self._whisper(tx, said, lambda texts: whoami_doc(said.person, channel, name, texts))
            case NearMiss():
                self._whisper(tx, said, lambda texts: near_miss_doc(parsed, texts, said.item.id))
            case TaskWord():
                self._whisper(tx, said, lambda texts: task_word_doc(texts, said.item.id))
            case BadFlag():
                self._refuse(tx, said, refuse_flag(parsed))
            case NotYet(verb):
                self._refuse(tx, said, Refused("refused.not_yet", {"verb": code_span(verb)}))
            case Send():
                self._refuse(tx, said, Refused("refused.not_yet", {"verb": code_span("send")}))
            case _:
                assert_never(parsed)

    def _file(self, tx: Transaction, said: _Said, wish: FileTask, origin: Command | None = None) -> None:
        """Files a wish. `origin` is the command it was first said in, where a later press asks for the filing."""
        event = origin or said.event
        assert isinstance(event, Command), "only commands file"
        if origin is None and tx.now - event.sent_at > SEEN_LATE:
            self._say(tx, said, "reply.seen_late")
            return
        thread = tx.threads.open(event.thread)
        filing = Filing(
            text=wish.text,
            person=said.person,
            options=wish.options,
            thread_id=thread.id,
            channel=event.thread,
            source=event.door,
            dedup_key=dedup_key(event),
            context=said.context,
            reply_token=said.event.reply_token,
        )
        outcome = self.tasks.file(tx, filing)
        if not isinstance(outcome, Filed) or not outcome.fresh:
            tx.threads.discard(thread.id)
        self._answer_filing(tx, said, outcome)

    def _answer_filing(self, tx: Transaction, said: _Said, outcome: Filed | Refused) -> None:
        if isinstance(outcome, Refused):
            self._refuse(tx, said, outcome)
        elif not outcome.fresh:
            self._say(tx, said, "reply.already_filed", ref=outcome.task.ref)
            self._mark_seen(tx, said, outcome.task)
        elif outcome.removed_hidden:
            self._say(tx, said, "reply.hidden", n=outcome.removed_hidden)

    def _mark_seen(self, tx: Transaction, said: _Said, task: CodeTask) -> None:
        message_id = getattr(said.event, "message_id", None)
        if message_id and task.thread_id is not None:
            message = MessageRef(thread=said.event.thread, message_id=message_id)
            self.announcer.mark(tx, task.thread_id, message, "seen", f"{said.key}:seen")

    def _on_task(
        self, tx: Transaction, said: _Said, command: CancelTask | RetryTask | ShowTask | StatusOf | LogsOf
    ) -> None:
        if not may(self.tasks.rights.role(said.person), Action.VIEW, is_requester=False):
            self._refuse(tx, said, self.tasks.rights.refuse_viewing())
            return
        task = self.tasks.find(tx, command.id, said.thread_id, said.person)
        if isinstance(task, Refused):
            self._refuse(tx, said, task)
            return
        match command:
            case CancelTask():
                self._cancel(tx, said, task)
            case RetryTask(_, instruction):
                self._retry(tx, said, task, instruction)
            case ShowTask():
                self._show(tx, said, task)
            case StatusOf():
                self._status(tx, said, task)
            case LogsOf(_, attempt):
                self._logs(tx, said, task, attempt)
            case _:
                assert_never(command)

    def _cancel(self, tx: Transaction, said: _Said, task: CodeTask) -> None:
        twice = task.is_cancelled
        self._answer(tx, said, self.tasks.cancel(tx, task.id or 0, said.person), _again("cancel", twice))

    def _retry(self, tx: Transaction, said: _Said, task: CodeTask, instruction: str | None) -> None:
        outcome = self.tasks.retry(tx, task.id or 0, said.person, instruction)
        self._answer(tx, said, outcome, "reply.queued_again")

    def _answer(self, tx: Transaction, said: _Said, outcome: CodeTask | Refused, key: str) -> None:
        if isinstance(outcome, Refused):
            self._refuse(tx, said, outcome)
        else:
            self._say(tx, said, key, ref=outcome.ref)

    def _show(self, tx: Transaction, said: _Said, task: CodeTask) -> None:
        runs = tx.runs.of_task(task.id or 0)
        card = self.announcer.card(tx, task, runs[-1] if runs else None)
        moves = [
            EventLine(move.at, move.to_stage, move.from_stage, shown_actor(tx, move.actor), move.reason)
            for move in tx.tasks.history(task.id or 0)
        ]
        self._whisper(tx, said, lambda texts: show_doc(card(texts), moves, texts, tx.now))

    def _status(self, tx: Transaction, said: _Said, task: CodeTask) -> None:
        runs, moves = tx.runs.of_task(task.id or 0), tx.tasks.history(task.id or 0)
        since = moves[-1].at if moves else None
        mask = self.announcer.redactor.mask
        run = runs[-1] if runs else None
        self._whisper(tx, said, lambda texts: status_doc(task, run, texts, tx.now, since, mask))

    def _logs(self, tx: Transaction, said: _Said, task: CodeTask, attempt: int | None) -> None:
        runs = [run for run in tx.runs.of_task(task.id or 0) if attempt in (None, run.attempt)]
        if not runs:
            self._refuse(tx, said, Refused("refused.unknown_attempt", {"ref": task.ref, "attempt": attempt or 1}))
            return
        entries = tx.runs.tail(runs[-1].id or 0, LOG_ENTRIES)
        self._whisper(tx, said, lambda texts: logs_doc(task, entries, texts, self.announcer.redactor.mask))

    def _list(self, tx: Transaction, said: _Said, chosen: ListFilter) -> None:
        if not may(self.tasks.rights.role(said.person), Action.VIEW, is_requester=False):
            self._refuse(tx, said, self.tasks.rights.refuse_viewing())
            return
        tasks = self.tasks.list(tx, list_filter(chosen, said.person))
        if chosen in ("failed", "cancelled"):
            tasks = [task for task in tasks if task.is_cancelled == (chosen == "cancelled")]
        mask = self.announcer.redactor.mask
        self._whisper(tx, said, lambda texts: list_doc(tasks, chosen, texts, tx.now, mask=mask))

    async def _press(self, item: Pending, event: ButtonPress) -> None:
        person = await self._who(event.person)
        action = parse_button(event.value)

        def unit(tx: Transaction) -> None:
            if not tx.inbox.done(item.id):
                return
            said = self._said(tx, item, event, person)
            if isinstance(action, FollowUpAction):
                self._refuse(tx, said, Refused("refused.follow_ups_disabled"))
            elif FEATURE in self.tasks.settings.features:
                self._pressed(tx, said, action)
            else:
                self._refuse(tx, said, Refused("refused.disabled"))

        await self.store.run(unit)

    async def _form(self, item: Pending, event: FormSent) -> None:
        """A form is the command that it stands for: whoever sends it, and whenever, it is checked like one."""
        person = await self._who(event.person)
        meant = read_form(event.form, event.fields)

        def unit(tx: Transaction) -> None:
            if not tx.inbox.done(item.id):
                return
            said = self._said(tx, item, event, person)
            if FEATURE not in self.tasks.settings.features:
                self._refuse(tx, said, Refused("refused.disabled"))
            elif meant is None:
                self._refuse(tx, said, Refused("refused.old_button", {"command": code_span("list")}))
            elif isinstance(meant, UnfitForm):
                self._refuse(tx, said, Refused(f"form.{meant.why}", {"n": meant.length} if meant.length else {}))
            else:
                self._on_task(tx, said, meant)

        await self.store.run(unit)

    def _ask_note(self, tx: Transaction, said: _Said, number: int) -> None:
        """[Retry with a note] where no form opened: the words to type instead."""
        task = self.tasks.retriable(tx, number, said.person)
        if isinstance(task, Refused):
            self._refuse(tx, said, task)
            return
        command = RetryTask(TaskId("CT", number), "…")
        self._whisper(
            tx,
            said,
            lambda texts: say_doc(texts, "form.type_it", command=code_span(render(command, texts.language))),
        )

    def _pressed(self, tx: Transaction, said: _Said, action: ButtonAction | None) -> None:
        if action is None:
            self._refuse(tx, said, Refused("refused.old_button", {"command": code_span("list")}))
            return
        target = TaskId("CT", action.number)
        match action.verb:
            case "cancel":
                self._on_task(tx, said, CancelTask(target))
            case "retry":
                self._on_task(tx, said, RetryTask(target))
            case "retry_note":
                self._ask_note(tx, said, action.number)
            case "details":
                self._on_task(tx, said, ShowTask(target))
            case "status":
                self._on_task(tx, said, StatusOf(target))
            case "logs":
                self._on_task(tx, said, LogsOf(target))
            case "merged":
                outcome = self.tasks.mark_merged(tx, action.number, said.person)
                self._answer(tx, said, outcome, "reply.marked_merged")
            case "approve":
                self._answer(tx, said, self.tasks.decide(tx, action.number, said.person, True), "reply.approved")
            case "refuse":
                outcome = self.tasks.decide(tx, action.number, said.person, False)
                self._answer(tx, said, outcome, "reply.approval_refused")
            case "file":
                self._file_stored(tx, said, action.number)
            case _:
                assert_never(action.verb)

    def _file_stored(self, tx: Transaction, said: _Said, inbound_id: int) -> None:
        """[File it as a code task] under a question: files the text of the command that was asked about."""
        event = tx.inbox.event(inbound_id)
        if not isinstance(event, Command) or event.person.id != said.person.id:
            self._refuse(tx, said, Refused("refused.old_button", {"command": code_span("list")}))
            return
        asked = self._parse(tx, said, event)
        text = asked.original if isinstance(asked, NearMiss) else asked.text if isinstance(asked, TaskWord) else ""
        self._file(tx, said, FileTask(text or event.text), origin=event)

    def _refuse(self, tx: Transaction, said: _Said, refused: Refused) -> None:
        self._whisper(tx, said, lambda texts: say_doc(texts, refused.key, **refused.values))

    def _say(self, tx: Transaction, said: _Said, key: str, **values: object) -> None:
        self._whisper(tx, said, lambda texts: say_doc(texts, key, **values))

    def _whisper(self, tx: Transaction, said: _Said, draw: Callable[[Texts], Doc]) -> None:
        """Answers the person in their language."""
        doc = said.wording.make(draw)
        lane = said.thread_id or tx.threads.lane(said.event.thread).id
        self.announcer.whisper(tx, lane, said.person, doc, f"{said.key}:answer", said.event.reply_token)


def dedup_key(event: Command) -> str:
    """What makes a filing unique: the message it came from, else the interaction."""
    if event.message_id:
        where = event.thread
        return f"m:{where.platform}:{where.workspace_id}:{where.channel_id}:{event.message_id}"
    return f"e:{event.platform}:{event.workspace_id}:{event.key}"


def list_filter(chosen: str, person: Person) -> TaskFilter:
    """Which code tasks `list <chosen>` means."""
    match chosen:
        case "open":
            return TaskFilter(stages=OPEN_STAGES, requester=_key(person), limit=50)
        case "mine":
            return TaskFilter(requester=_key(person), limit=50)
        case "all":
            return TaskFilter(limit=50)
        case "cancelled":
            return TaskFilter(stages=(Stage.FAILED,), limit=50)
        case stage:
            return TaskFilter(stages=(Stage(stage),), limit=50)


def shown_actor(tx: Transaction, actor: str) -> str:
    """A history actor as a person reads it: a name for people, empty for workers and the forge."""
    platform, _, person_id = actor.partition(":")
    if platform in ("worker", "run", "forge"):
        return ""
    return tx.people.name_of(platform, person_id) or person_id


def _again(verb: str, twice: bool) -> str:
    return f"reply.{verb}_{'twice' if twice else 'done'}"


def _key(person: Person) -> tuple[str, str, str]:
    return person.platform, person.workspace_id, person.id

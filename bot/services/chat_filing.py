"""What is said in chat becomes a code task: commands, menus, and the buttons under questions and answers."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bot.core.commands import FileTask, NearMiss, Parsed, SetFollowUp, TaskWord, parse, parse_follow_up
from bot.core.inbound import Command, MessageRef, Person
from bot.core.quoting import code_span
from bot.core.tasks import CodeTask
from bot.ports import Platform
from bot.services.chat_followups import ChatFollowUps
from bot.services.earlier import said_earlier
from bot.services.intake.chat import ChatIntake
from bot.services.ledger import Looked
from bot.services.refusals import Refused
from bot.services.said import Answers, Said
from bot.services.tasks import CodeTasks, Filed, Filing, message_key
from bot.store import Pending, Transaction

FEATURE: Final = "codetasks"
SEEN_LATE: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ChatFiling:
    """Files what a person wished for, and answers."""

    tasks: CodeTasks
    answers: Answers
    follow_ups: ChatFollowUps
    intake: ChatIntake

    def file(self, tx: Transaction, said: Said, wish: FileTask, origin: Command | None = None) -> None:
        """Files a wish. `origin` is the command it was first said in, where a later press asks for the filing."""
        event = origin or said.event
        assert isinstance(event, Command), "only commands file"
        if origin is None and tx.now - event.sent_at > SEEN_LATE:
            self.answers.say(tx, said, "reply.seen_late")
            return
        known = self.intake.pointing.claimed(tx, said, event, wish)
        if known is not None:
            self._answer_filing(tx, said, known)
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
            reply_token=said.reply_token,
            looked=said.looked if origin is None else None,
        )
        outcome = self.tasks.file(tx, filing)
        if not isinstance(outcome, Filed) or not outcome.fresh:
            tx.threads.discard(thread.id)
        self._answer_filing(tx, said, outcome)

    def look(self, tx: Transaction, event: Command, person: Person) -> Looked | None:
        """What a command that files may repeat, before it is handled; None for any other."""
        if event.command == "followup" or FEATURE not in self.tasks.settings.features:
            return None
        wish = parse(event.text, door=event.door, in_task_thread=False)
        if not isinstance(wish, FileTask):
            return None
        return self.tasks.look(tx, Filing(wish.text, person, wish.options, channel=event.thread))

    def file_follow_up(self, tx: Transaction, said: Said, number: int) -> None:
        """[File it as a code task] below an answer that changed files: what was asked for becomes a code task, once."""
        found = self.follow_ups.shown(tx, said, number)
        if FEATURE not in self.tasks.settings.features:
            found = Refused("refused.disabled")
        if isinstance(found, Refused):
            self.answers.refuse(tx, said, found)
            return
        filing = Filing(
            text=found.body,
            person=said.person,
            thread_id=found.thread_id,
            channel=said.event.thread,
            source="follow_up",
            dedup_key=f"fu:{found.ref}:{found.attempt}",
            reply_token=said.reply_token,
        )
        self._answer_filing(tx, said, self.tasks.file(tx, filing))

    def _answer_filing(self, tx: Transaction, said: Said, outcome: Filed | Refused) -> None:
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        elif not outcome.fresh:
            self.answers.say(tx, said, "reply.already_filed", ref=outcome.task.ref)
            self._mark_seen(tx, said, outcome.task)
        elif outcome.removed_hidden:
            self.answers.say(tx, said, "reply.hidden", n=outcome.removed_hidden)

    def _mark_seen(self, tx: Transaction, said: Said, task: CodeTask) -> None:
        message_id = getattr(said.event, "message_id", None)
        if message_id and task.thread_id is not None:
            message = MessageRef(thread=said.event.thread, message_id=message_id)
            self.answers.announcer.mark(tx, task.thread_id, message, "seen", f"{said.key}:seen")

    def file_stored(self, tx: Transaction, said: Said, inbound_id: int) -> None:
        """[File it as a code task] under a question: files the text of the command that was asked about."""
        event = tx.inbox.event(inbound_id)
        if not isinstance(event, Command) or event.person.id != said.person.id:
            self.answers.refuse(tx, said, Refused("refused.old_button", {"command": code_span("list")}))
            return
        asked = read_command(tx, said, event)
        text = asked.original if isinstance(asked, NearMiss) else asked.text if isinstance(asked, TaskWord) else ""
        self.file(tx, said, FileTask(text or event.text), origin=event)


def read_command(tx: Transaction, said: Said, event: Command) -> Parsed:
    """What a command means where it was given."""
    if event.command == "followup":
        by_menu = event.door in ("shortcut", "menu")
        return SetFollowUp("", what=event.text) if by_menu else parse_follow_up(event.text)
    in_task_thread = said.thread_id is not None and tx.tasks.in_thread(said.thread_id) is not None
    return parse(event.text, door=event.door, in_task_thread=in_task_thread)


async def thread_context(platform: Platform | None, item: Pending, event: Command) -> str:
    """Earlier messages of the thread a command was given in, as stored JSON; empty elsewhere."""
    if platform is None or not event.in_thread or event.thread.root is None or event.command == "followup":
        return ""
    if not isinstance(await asyncio.to_thread(parse, event.text, door=event.door, in_task_thread=False), FileTask):
        return ""
    return await said_earlier(platform, event.thread, {event.message_id or ""}, item.attempts)


def dedup_key(event: Command) -> str:
    """What makes a filing unique: the message it came from, else the interaction."""
    if event.message_id:
        return message_key(MessageRef(thread=event.thread, message_id=event.message_id))
    return f"e:{event.platform}:{event.workspace_id}:{event.key}"

"""A whole bot on a store, with a chat platform and a forge that outlive it: what crashes are tried on.

`Chat` is a platform that keeps what was posted and, like Slack, cannot tell a repeated post from a new one: only
reading back its history can. `DyingStore` ends a bot after its k-th commit; everything in memory is then gone.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from bot.app import App, wire
from bot.core.cards import Content, Doc
from bot.core.inbound import Command, Event, Message, MessageRef, Person, ReplyToken, ThreadRef
from bot.core.redact import LiveRedactor
from bot.core.tasks import CodeTask
from bot.ports import Capabilities, Gone, Identity, InboxDown, Posted, Trouble
from bot.services.attempts import Claimed, Cost
from bot.services.followup_runs import Answer
from bot.settings import Settings
from storage.engine import Database
from storage.models import METADATA
from storage.transaction import Tx
from tests.clock import FakeClock

T = TypeVar("T")
ANN = Person(platform="slack", workspace_id="T1", id="U1", name="Ann", roles=frozenset({"member"}))
CHANNEL = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1")


class Died(BaseException):
    """The process is gone. Not an Exception: a dead process handles nothing."""


class _Undone(Exception):
    """Takes back the transaction in which the process dies."""


@dataclass(slots=True)
class Said:
    """One message of the bot as the platform keeps it."""

    id: str
    thread: ThreadRef
    content: Content
    key: str
    at: datetime
    edits: list[Content] = field(default_factory=list[Content])


class Chat:
    """The platform's side: it lives on when a bot dies."""

    name = "slack"
    capabilities = Capabilities(
        slash=True,
        slash_in_thread=False,
        forms=False,
        whisper=True,
        activity=False,
        sees_all_messages=True,
        max_text=4000,
        max_buttons=5,
        edit_window=None,
        idempotent_post=False,
        exclusive_ingress=False,
        every_language=False,
        post_interval=timedelta(0),
    )

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.said: list[Said] = []
        self.whispers: list[tuple[str, Doc]] = []
        self.marks: set[tuple[str, str]] = set()
        self.heard: dict[str, Message] = {}
        """What people said, by message id, for reading back one message."""

    async def preflight(self) -> Identity:
        return Identity("slack", "A1", "T1", "B1", "codetask")

    async def post(self, to: ThreadRef, content: Content, key: str) -> MessageRef | Trouble:
        number = f"{len(self.said) + 1}.0"
        thread = to if to.root else to.model_copy(update={"root": number})
        self.said.append(Said(number, thread, content, key, self._clock.now()))
        return MessageRef(thread=thread, message_id=number)

    async def edit(self, message: MessageRef, content: Content, key: str) -> MessageRef | Trouble:
        for said in self.said:
            if said.id == message.message_id:
                said.edits.append(content)
                return message
        return Gone("message", "message_not_found")

    async def react(self, message: MessageRef, mark: str, on: bool, key: str) -> MessageRef | Trouble:
        (self.marks.add if on else self.marks.discard)((message.message_id, mark))
        return message

    async def whisper(
        self, person: Person, to: ThreadRef, doc: Doc, reply_token: ReplyToken | None, key: str
    ) -> MessageRef | Trouble:
        self.whispers.append((key, doc))
        return MessageRef(thread=to, message_id=f"w{len(self.whispers)}")

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> Sequence[Posted] | Trouble:
        found = [
            said
            for said in self.said
            if (scope.root is None or said.thread.root == scope.root) and (after is None or said.at >= after)
        ]
        return [self._posted(said) for said in found[:limit]]

    async def read(self, message: MessageRef) -> Posted | Trouble:
        """What the bot itself said, or what `heard` holds of people; everything else is gone."""
        found = self.heard.get(message.message_id)
        if found is not None:
            return Posted(message=found, own=False)
        mine = next((said for said in self.said if said.id == message.message_id), None)
        return self._posted(mine) if mine else Gone("message", "message_not_found")

    async def permalink(self, message: MessageRef) -> str | None:
        return f"https://chat.example/{message.message_id}"

    async def channel_name(self, thread: ThreadRef) -> str:
        return f"name-of-{thread.channel_id}"

    async def resolve(self, person: Person) -> Person:
        return person

    async def aclose(self) -> None:
        return None

    def _posted(self, said: Said) -> Posted:
        message = Message(
            platform="slack",
            app_id="A1",
            workspace_id="T1",
            key=f"A1:m:C1:{said.id}",
            sent_at=said.at,
            received_at=said.at,
            thread=said.thread,
            person=ANN.model_copy(update={"id": "B1", "kind": "bot"}),
            message_id=said.id,
            text="",
        )
        return Posted(message=message, own=True, delivery_key=said.key)


class DyingStore:
    """A store whose process dies right after (or right before) its k-th commit. 0 never dies."""

    def __init__(self, store: Database, at: int, before: bool = False) -> None:
        self._store = store
        self._at = at
        self._before = before
        self.commits = 0
        self.dead = False

    async def run(self, unit: Callable[[Tx], T], *, read: bool = False, urgent: bool = False) -> T:
        if read:
            self._alive()
            return await self._store.run(unit, read=True)
        return await asyncio.to_thread(self.run_sync, unit)

    def run_sync(self, unit: Callable[[Tx], T], *, read: bool = False) -> T:
        self._alive()
        if read:
            return self._store.run_sync(unit, read=True)
        self.commits += 1
        dies = self.commits == self._at

        def torn(tx: Tx) -> T:
            value = unit(tx)
            if dies and self._before:
                raise _Undone
            return value

        try:
            value = self._store.run_sync(torn)
        except _Undone as end:
            self.dead = True
            raise Died from end
        self.dead = self.dead or dies
        self._alive()
        return value

    def _alive(self) -> None:
        if self.dead:
            raise Died

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@lru_cache(maxsize=1)
def settings_of(folder: Path) -> Settings:
    """What every bot of a story is started with."""
    return Settings(  # type: ignore[call-arg]
        git_repo_url="https://git.example/app.git", codetask_data=folder, admins="U1", max_runs_per_repo=2
    )


@dataclass
class World:
    """What outlives a bot: database, chat, forge and the clock. `app` is the bot that runs now."""

    store: Database
    clock: FakeClock
    folder: Path
    chat: Chat = field(init=False)
    pulls: dict[str, int] = field(default_factory=dict[str, int])
    redeliver: list[Event] = field(default_factory=list[Event])
    """Events that were never acked: the platform will deliver them again."""
    app: App = field(init=False)
    mind: DyingStore = field(init=False)

    def __post_init__(self) -> None:
        self.chat = Chat(self.clock)
        self.start(0)

    def start(self, dies_at: int, before: bool = False) -> None:
        """A new bot with nothing in its memory."""
        settings = settings_of(self.folder)
        self.mind = DyingStore(self.store, dies_at, before)
        app = wire(settings, self.mind, {"slack": self.chat}, {}, LiveRedactor())  # type: ignore[arg-type,dict-item]
        attempts = replace(app.attempts, jitter=lambda: 0.0)
        self.app = replace(app, tasks=replace(app.tasks, agents=("demo",)), attempts=attempts)

    def command(self, text: str, key: str = "A1:c:1", **values: Any) -> Command:
        """A slash command as the adapter hands it in."""
        given: dict[str, Any] = {"thread": CHANNEL, "door": "slash", "person": ANN, **values}
        now = self.clock.now()
        return Command(
            platform="slack", app_id="A1", workspace_id="T1", key=key, sent_at=now, received_at=now, text=text, **given
        )

    async def say(self, event: Event) -> bool:
        """Delivers an event; whether it was acked."""
        try:
            await self.app.inbox.accept(event)
        except (Died, InboxDown):
            return False
        return not self.mind.dead

    async def settle(self) -> None:
        """Handles what is stored and sends what is ready, until nothing is left to do now."""
        while True:
            before = self.mind.commits
            await self.app.inbox.drain()
            await self.app.relay.drain()
            self.mind._alive()
            if self.mind.commits - before <= 1:
                return
            self.clock.advance(2)

    async def judge(self) -> None:
        """Judges the messages whose time has come."""
        await self.app.intake.judging.drain()

    def claim(self) -> Claimed | None:
        return self.mind.run_sync(lambda tx: self.app.attempts.claim(tx, "w1", "host"))

    def open_pull(self, task: CodeTask) -> int:
        """The forge: one pull request per branch, found again by its branch."""
        return self.pulls.setdefault(f"code-worker/CT-{task.id}", len(self.pulls) + 1)

    def work(self) -> bool:
        """Claims one run and carries it to review; False when nothing is ready."""
        claimed = self.claim()
        if claimed is None:
            return False
        attempts, lease = self.app.attempts, claimed.lease
        self.mind.run_sync(lambda tx: attempts.testing(tx, lease, branch=f"code-worker/CT-{lease.task_id}"))
        number = self.open_pull(claimed.task)
        url = f"https://git.example/app/pull/{number}"
        cost = Cost(usd=0.5, tokens=1000)
        self.mind.run_sync(lambda tx: attempts.review(tx, lease, cost, pr_number=number, pr_url=url))
        return True

    async def reap(self) -> int:
        reaped = await self.app.attempts.reap(self.mind)  # type: ignore[arg-type]
        return reaped + await self.app.followup_runs.reap_all(self.mind)  # type: ignore[arg-type]

    def fire(self) -> int:
        """Fires the follow-ups that are due; how many."""
        fired = 0
        while self.mind.run_sync(lambda tx: tx.followups.due(1), read=True):
            fired += self.mind.run_sync(self.app.firing.fire_due)
        return fired

    def work_follow_up(self, elsewhere: bool = False) -> bool:
        """Claims one follow-up's run and answers it; False when nothing is ready. `elsewhere`: in a process that does
        not die."""
        runs, mind = self.app.followup_runs, self.store if elsewhere else self.mind
        claimed = mind.run_sync(lambda tx: runs.claim(tx, "w1", "host"))
        if claimed is None:
            return False
        answer = Answer("All is green.", session_ref="ses_1", archive=b"packed")
        mind.run_sync(lambda tx: runs.answer(tx, claimed.lease, answer, Cost(usd=0.5, tokens=1000)))
        return True

    def merge(self) -> None:
        """The forge says that every open pull request was merged."""
        merges = self.app.merges
        for task in self.mind.run_sync(lambda tx: tx.tasks.in_review(), read=True):
            self.mind.run_sync(lambda tx, t=task: merges.apply(tx, t, "merged", "ann", "poll"))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        found = self.store.run_sync(lambda tx: tx.session.execute(sa.text(sql)).all())
        return [tuple(row) for row in found]

    def outcome(self) -> dict[str, Any]:
        """All that a person, the forge and an operator see in the end; numbers may have gaps, so they do not count."""
        with_pull = "SELECT id FROM code_task WHERE pr_number IS NOT NULL"
        return {
            "tasks": self.rows("SELECT title, stage, failure_reason FROM code_task ORDER BY title"),
            "branches": sorted(f"code-worker/CT-{number}" for (number,) in self.rows(with_pull)) == sorted(self.pulls),
            "follow-ups": self.rows("SELECT title, state, failure_reason FROM follow_up ORDER BY title"),
            "sessions": self.rows("SELECT agent, ref FROM agent_session ORDER BY agent"),
            "open runs": self.rows("SELECT id FROM run WHERE state IN ('queued', 'active', 'waiting')"),
            "unsent": self.rows("SELECT dedup_key FROM outbox WHERE state NOT IN ('sent', 'superseded')"),
            "unhandled": self.rows("SELECT natural_key FROM inbound WHERE state <> 'done'"),
            "suggestions": self.rows("SELECT title, state, members FROM suggestion ORDER BY id"),
            "pulls": len(self.pulls),
            "said": sorted((said.id == said.thread.root, _words(said)) for said in self.chat.said),
            "threads": len({said.thread.root for said in self.chat.said}),
            "marks": len(self.chat.marks),
        }


def _words(said: Said) -> str:
    content = said.edits[-1] if said.edits else said.content
    return re.sub(r"\d+", "#", content.text if isinstance(content, Doc) else content.title)


def wipe(store: Database) -> None:
    """Empties every table and starts numbers at 1 again."""

    def unit(tx: Tx) -> None:
        connection = tx.session.connection()
        names = [table.name for table in reversed(METADATA.sorted_tables)]
        if tx.sqlite:
            for name in [*names, "sqlite_sequence"]:
                connection.exec_driver_sql(f"DELETE FROM {name}")
        else:
            connection.exec_driver_sql(f"TRUNCATE {', '.join(names)} RESTART IDENTITY")

    store.run_sync(unit)

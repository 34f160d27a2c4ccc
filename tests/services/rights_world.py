"""A chat in which everyone acts on the same things: each act in a transaction of its own that is taken back.

The services are the real ones; nothing but the commit is missing, which makes an act cost about a millisecond.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from bot.app import App, wire
from bot.core.cards import CONTENT, Doc
from bot.core.inbound import ButtonPress, Command, Event, FormSent, MessageRef, Person, PersonKind, ThreadRef
from bot.core.runs import LEASE, ParkedChange
from bot.core.suggestions import SuggestionState, hash_of
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.services.followups import FollowUpSet, Wish
from bot.store import Pending
from platforms.registry import load_settings
from storage.engine import Database, begin
from storage.transaction import Tx
from tests.storage.conformance.bench import draft

T = TypeVar("T")
WORKSPACES: Final = {"slack": "T1", "discord": "G1", "lark": "tenant"}
ELSEWHERE: Final = {"slack": "discord", "discord": "lark", "lark": "slack"}
CHANNELS: Final = {"public": "C1", "private": "C2", "dm": "D1", "unlisted": "C9"}
ROLES: Final = ("none", "viewer", "filer", "requester", "admin")
KINDS: Final[tuple[PersonKind | str, ...]] = ("human", "guest", "external", "bot", "webhook", "linked")
CHANGE: Final = ParkedChange("b" * 40, "t" * 40, "c" * 40, ("ci",), (), {}, b"pack")
ASKED: Final = "Add a CSV export of the invoices to the report page"
GUARDED: Final = "Delete the production database of the invoices, please"
LISTS: Final = {"admins": ("admin",), "filers": ("filer", "requester"), "viewers": ("viewer",)}


def settings(folder: Path) -> Any:
    listed = {name: " ".join(f"{role}-{kind}" for role in roles for kind in KINDS) for name, roles in LISTS.items()}
    return load_settings(
        codetask_data=folder,
        repos={"web": {"url": "file:///nowhere/web.git", "forge": "none"}},
        default_agent="demo",
        default_timezone="Europe/Berlin",
        channels="C1 slack:C2 discord:C2 lark:C2 dm",
        **{**listed, "filers": listed["filers"] + " owner"},
    )


def account(role: str, kind: str, platform: str) -> Person:
    """Who acts. A `linked` one has no role by the account they act with, only by the one it is linked to."""
    told: Any = "human" if kind == "linked" else kind
    id = f"unlisted-{role}" if kind == "linked" else f"{role}-{kind}"
    roles = frozenset({"member"}) if told == "human" else frozenset[str]()
    return Person(
        platform=platform, workspace_id=WORKSPACES[platform], id=id, name=f"{role} {kind}", kind=told, roles=roles
    )


def other_account(role: str, platform: str) -> Person:
    """The account that a linked one is linked to: on another platform, listed there."""
    there = ELSEWHERE[platform]
    return Person(platform=there, workspace_id=WORKSPACES[there], id=f"{role}-linked", name=role)


class OneTransaction:
    """A store whose units all share one transaction, which is taken back."""

    def __init__(self, store: Database) -> None:
        self.store = store
        self.tx: Tx | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    @contextmanager
    def opened(self) -> Iterator[sa.Connection]:
        """The transaction, taken back at the end."""
        connection = begin(self.store._writer_engine)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def part(self, connection: sa.Connection, *, kept: bool = False) -> Iterator[Tx]:
        """A part of it, taken back at the end unless it is to be `kept`."""
        connection.exec_driver_sql("SAVEPOINT part")
        self.tx = tx = Tx(connection, self.store._clock, sqlite=True)
        try:
            yield tx
            tx.flush()
        finally:
            tx.close()
            connection.exec_driver_sql("RELEASE part" if kept else "ROLLBACK TO part")
            self.tx = None

    async def run(self, unit: Callable[[Tx], T], *, read: bool = False, urgent: bool = False) -> T:
        assert self.tx is not None, "outside of a cell"
        value = unit(self.tx)
        self.tx.flush()
        return value


@dataclass(frozen=True)
class Act:
    """Something that someone does. `needs`: viewer, filer, own (the requester, or an admin), admin, or anyone.

    `done` is SQL that is true once it was done; empty for what only shows something: then no refusal is done enough.
    `here`: a person other than its own or an admin has to be in the channel of the thing."""

    name: str
    needs: str
    says: str = ""
    press: str = ""
    form: str = ""
    door: str = "slash"
    command: str = "codetask"
    done: str = ""
    here: bool = False


class World:
    """The things: CT-1 queued, CT-2 failed, CT-3 in review without a pull request, CT-4 waits for an admin; FU-7
    pending; RQ-1 a suggestion, RQ-2 one that an admin has to allow."""

    def __init__(self, store: Database, folder: Path) -> None:
        self.store = OneTransaction(store)
        self.app: App = wire(settings(folder), self.store, {}, {})  # type: ignore[arg-type]
        self.count = 0
        store.run_sync(self._people)

    def _people(self, tx: Tx) -> None:
        for platform in WORKSPACES:
            for role in ROLES:
                one, other = account(role, "linked", platform), other_account(role, platform)
                tx.people.see(one)
                tx.people.see(other)
                tx.people.link(one, other)

    def make(self, tx: Tx, platform: str, channel: str, owner: Person) -> None:
        """Puts the things into a channel."""
        whose = {"requester_platform": owner.platform, "requester_workspace": owner.workspace_id}
        whose |= {"requester_id": owner.id, "requester_name": owner.name}
        place = ThreadRef(platform=platform, workspace_id=WORKSPACES[platform], channel_id=channel)
        for number in (1, 2, 3, 4):
            self._task(tx, number, tx.threads.open(place.model_copy(update={"root": f"{number}.0"})).id, whose)
        self._follow_up(tx, owner, place.model_copy(update={"root": "9.0"}))
        self._suggestion(tx, place, "5.0", ASKED, "")
        self._suggestion(tx, place, "6.0", GUARDED, "destructive")

    def _task(self, tx: Tx, number: int, thread_id: int, whose: dict[str, str]) -> None:
        names = {"name": f"t{number}", "uuid": f"u{number}", "repo": "web"}
        task = tx.tasks.add(draft(tx, thread_id=thread_id, **names, **whose), "x")
        assert task is not None and task.id == number
        if number == 1:
            tx.runs.enqueue(task, 1, tx.now)
        elif number == 2:
            tx.tasks.move(2, {Stage.QUEUED}, Stage.FAILED, actor="x", failure_reason=FailureReason.AGENT_FAILED)
        else:
            tx.tasks.move(number, {Stage.QUEUED}, Stage.RUNNING, actor="x")
        if number == 3:
            tx.tasks.move(3, {Stage.RUNNING}, Stage.REVIEW, actor="x", branch="code-worker/CT-3")
        elif number == 4:
            self._park(tx, task)

    def _park(self, tx: Tx, task: CodeTask) -> None:
        run = tx.runs.enqueue(task, 1, tx.now)
        held = "UPDATE run SET state = 'active', lease_until = :until, fence = 1, lease_owner = 'w' WHERE id = :id"
        tx.session.execute(sa.text(held), {"until": (tx.now + LEASE).isoformat(" "), "id": run.id})
        assert tx.runs.park(run.id or 0, 1, CHANGE) is not None

    def _follow_up(self, tx: Tx, owner: Person, place: ThreadRef) -> None:
        anyone = owner.model_copy(update={"id": "owner", "kind": "human"})
        wish = Wish("check the deploy", tx.now + timedelta(hours=2), anyone, place, zone="Europe/Berlin")
        made = self.app.followups.set(tx, wish)
        assert isinstance(made, FollowUpSet), made
        whose = {"p": owner.platform, "w": owner.workspace_id, "i": owner.id}
        move = "UPDATE follow_up SET id = 7, requester_platform = :p, requester_workspace = :w, requester_id = :i"
        tx.session.execute(sa.text(move), whose)

    def _suggestion(self, tx: Tx, place: ThreadRef, message: str, text: str, guard: str) -> None:
        author = Person(platform=place.platform, workspace_id=place.workspace_id, id="owner", name="owner")
        found = tx.suggestions.take(MessageRef(thread=place, message_id=message), author, tx.now)
        words = {"text": text, "text_hash": hash_of(text), "title": text[:60], "guard": guard, "similar": "1"}
        moved = tx.suggestions.move(found.id or 0, (found.state,), SuggestionState.OPEN, **words)
        assert moved is not None

    @contextmanager
    def things(self, platform: str, place: str, owner: Person) -> Iterator["Things"]:
        """The things in a channel, for any number of acts."""
        with self.store.opened() as connection:
            with self.store.part(connection, kept=True) as tx:
                self.make(tx, platform, place, owner)
            with self.store.part(connection) as tx:
                before = _contents(tx)
            yield Things(self, connection, before)

    def event(self, act: Act, person: Person, channel: str, direct: bool) -> Event:
        self.count += 1
        now = self.store.now()
        thread = ThreadRef(platform=person.platform, workspace_id=person.workspace_id, channel_id=channel)
        told: dict[str, Any] = {
            "platform": person.platform,
            "app_id": "A1",
            "workspace_id": person.workspace_id,
            "key": f"A1:c:{self.count}",
            "sent_at": now,
            "received_at": now,
            "person": person,
            "thread": thread,
            "direct": direct,
        }
        if act.press:
            return ButtonPress(**told, value=act.press, message_id="1.1")
        if act.form:
            name, _, value = act.says.partition("=")
            return FormSent(**told, form=act.form, fields={name: value})
        message = {"message_id": "77.0"} if act.door in ("shortcut", "menu") else {}
        return Command(**told, **message, text=act.says, door=act.door, command=act.command)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Things:
    """What stands in a channel, as it is before every act."""

    world: World
    connection: sa.Connection
    before: dict[str, str]

    async def after(self, act: Act, person: Person, channel: str) -> str:
        """What comes of an act: `done`, `refused`, `unheard`, or what was said or changed instead."""
        with self.world.store.part(self.connection) as tx:
            event = self.world.event(act, person, CHANNELS[channel], channel == "dm")
            number = tx.inbox.add(event)
            assert number is not None
            await self.world.app.inbox._handler.handle(Pending(number, event, 0))
            return _outcome(tx, act, self.before)


def owner_of(role: str, kind: str, platform: str) -> Person:
    """Whose the things are: the acting person's by whichever account, or somebody else's."""
    if role != "requester":
        return Person(platform=platform, workspace_id=WORKSPACES[platform], id="owner", name="owner")
    return other_account(role, platform) if kind == "linked" else account(role, kind, platform)


TABLES: Final = ("code_task", "follow_up", "suggestion", "run", "channel_setting", "person_setting", "subscription")


def _contents(tx: Tx) -> dict[str, str]:
    """What is in every table that an act may change."""
    return {name: str(tx.session.execute(sa.text(f"SELECT * FROM {name} ORDER BY 1, 2, 3")).all()) for name in TABLES}


def _outcome(tx: Tx, act: Act, before: dict[str, str]) -> str:
    query = "SELECT body FROM outbox WHERE kind = 'whisper' ORDER BY id DESC LIMIT 1"
    body = tx.session.execute(sa.text(query)).scalar()
    doc = CONTENT.validate_json(body) if body else Doc(text="")
    assert isinstance(doc, Doc)
    tx.flush()
    tx.session.expire_all()
    if act.done and tx.session.execute(sa.text(f"SELECT {act.done}")).scalar():
        return "done"
    changed = [name for name, rows in _contents(tx).items() if rows != before[name] and not _is_talk(name, tx)]
    if changed and act.done:
        return f"changed {changed}: {doc.text}"
    if "not used in this channel" in doc.text:
        return "unheard"
    if any(word in doc.text for word in REFUSALS):
        return "refused"
    return "done" if not act.done and doc.text else f"said: {doc.text}"


def _is_talk(name: str, tx: Tx) -> bool:
    """Whether all that is new there is that a talk with the bot alone was remembered."""
    other = "SELECT count(*) FROM channel_setting WHERE key <> 'direct'"
    return name == "channel_setting" and not tx.session.execute(sa.text(other)).scalar()


REFUSALS: Final = (
    "You can't",
    "Only ",
    "There is no ",
    "Nobody may",
)

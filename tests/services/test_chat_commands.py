"""What people say in chat, handled from stored events: filing, refusals, buttons, names. On both stores."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.app import App, wire
from bot.core.cards import CONTENT, Card, Doc
from bot.core.inbound import ButtonPress, Command, Event, Person, ThreadRef
from bot.core.tasks import CodeTask, Stage
from bot.store import Pending, TaskFilter
from bot.worker.agent_step import read_context
from platforms.registry import load_settings
from storage.engine import Database

ANA = Person(platform="slack", workspace_id="T1", id="U1", name="ana", roles=frozenset({"owner"}))
BO = Person(platform="slack", workspace_id="T1", id="U2", name="bo", roles=frozenset({"member"}))
CHANNEL = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1")
NOW = datetime.now(UTC)


@dataclass
class Desk:
    """The chat services over a store: hand it events, read what it would send."""

    app: App
    count: int = 0
    events: list[Event] = field(default_factory=list)

    async def says(self, text: str, person: Person = ANA, thread: ThreadRef = CHANNEL, **fields: Any) -> int:
        """A slash command, or a command in a thread; returns the number of its inbox row."""
        self.count += 1
        event = Command(
            platform="slack",
            app_id="A1",
            workspace_id="T1",
            key=f"A1:c:{self.count}",
            sent_at=self.app.store.now(),
            received_at=self.app.store.now(),
            thread=thread,
            person=person,
            text=text,
            in_thread=thread.root is not None,
            **{"door": "slash", **fields},
        )
        return await self._handle(event)

    async def presses(self, value: str, person: Person = ANA) -> int:
        self.count += 1
        event = ButtonPress(
            platform="slack",
            app_id="A1",
            workspace_id="T1",
            key=f"A1:o:{self.count}",
            sent_at=self.app.store.now(),
            received_at=self.app.store.now(),
            thread=CHANNEL,
            person=person,
            value=value,
            message_id="1.1",
        )
        return await self._handle(event)

    async def _handle(self, event: Event) -> int:
        number = await self.app.store.run(lambda tx: tx.inbox.add(event))
        assert number is not None
        await self.app.inbox.drain()
        return number

    async def sent(self, kind: str) -> list[Card | Doc]:
        """The contents of all deliveries of a kind, in order."""
        rows = await self._rows(f"SELECT body FROM outbox WHERE kind = '{kind}' AND state <> 'superseded' ORDER BY id")
        return [CONTENT.validate_json(body) for (body,) in rows if body]

    async def last_whisper(self) -> str:
        said = (await self.sent("whisper"))[-1]
        assert isinstance(said, Doc)
        return said.text

    async def tasks(self) -> list[CodeTask]:
        return list(await self.app.store.run(lambda tx: tx.tasks.list(TaskFilter(limit=50)), read=True))

    async def count_rows(self, table: str, where: str = "1 = 1") -> int:
        return (await self._rows(f"SELECT count(*) FROM {table} WHERE {where}"))[0][0]

    async def _rows(self, sql: str) -> list[Any]:
        import sqlalchemy as sa

        return await self.app.store.run(lambda tx: tx.session.execute(sa.text(sql)).all(), read=True)


@pytest.fixture
async def make_desk(store: Database, tmp_path: Path) -> AsyncIterator[Callable[..., Desk]]:
    def make(**settings: Any) -> Desk:
        chosen = {
            "codetask_data": tmp_path,
            "repos": {"web": {"url": "file:///nowhere/web.git", "forge": "none"}},
            "default_agent": "demo",
            "filers": "member",
            **settings,
        }
        return Desk(wire(load_settings(**chosen), store, {}, {}))

    yield make


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


async def test_a_request_is_filed_with_its_card(desk: Desk) -> None:
    await desk.says("Fix the login redirect")
    (task,) = await desk.tasks()
    assert (task.ref, task.stage, task.title, task.requester_id) == (
        "CT-1",
        Stage.QUEUED,
        "Fix the login redirect",
        "U1",
    )
    (card,) = await desk.sent("post")
    assert isinstance(card, Card) and "no worker" in card.body.lower()


async def test_a_follow_up_is_not_filed_as_a_code_task(desk: Desk) -> None:
    await desk.says("later in 2h check the deploy")
    await desk.says("tomorrow 9am check the deploy", command="followup")
    await desk.says("Check the deploy tomorrow", command="followup", door="shortcut", message_id="3.1")
    assert await desk.tasks() == []


async def test_a_refused_filing_leaves_nothing_behind(desk: Desk) -> None:
    await desk.says("short")
    assert await desk.tasks() == []
    assert await desk.count_rows("thread", "thread_key <> 'pending:channel'") == 0
    assert "at least 10 characters" in await desk.last_whisper()


async def test_the_same_message_is_filed_once(desk: Desk) -> None:
    thread = CHANNEL.model_copy(update={"root": "17.1"})
    for _ in range(2):
        await desk.says("Fix the login redirect", thread=thread, message_id="17.2", door="shortcut")
    assert len(await desk.tasks()) == 1
    assert "Already filed as CT-1" in await desk.last_whisper()


async def test_a_misspelt_verb_is_asked_about_and_filed_on_a_press(desk: Desk) -> None:
    number = await desk.says("!codetask cancle 4242")
    assert "Did you mean" in await desk.last_whisper()
    await desk.presses(f"codetask:file:IN-{number}")
    assert "at least 10" not in await desk.last_whisper()
    (task,) = await desk.tasks()
    assert task.description.endswith("cancle 4242")
    await desk.presses(f"codetask:file:IN-{number}")
    assert len(await desk.tasks()) == 1
    assert "Already filed as CT-1" in await desk.last_whisper()


async def test_someone_elses_question_cannot_be_answered(desk: Desk) -> None:
    number = await desk.says("cancle 4242")
    await desk.presses(f"codetask:file:IN-{number}", BO)
    assert await desk.tasks() == []


async def test_a_bare_name_means_ones_own_code_task(desk: Desk) -> None:
    await desk.says("Fix the login redirect", ANA)
    await desk.says("Fix the login redirect", BO)
    await desk.says("cancel fix-the-login-redirect", ANA)
    bo_task, ana_task = await desk.tasks()
    assert (ana_task.is_cancelled, bo_task.is_cancelled) == (True, False)
    cy = Person(platform="slack", workspace_id="T1", id="U3", name="cy", roles=frozenset({"admin"}))
    await desk.says("cancel fix-the-login-redirect", cy)
    assert "Several code tasks" in await desk.last_whisper()
    await desk.says("cancel bo/fix-the-login-redirect", cy)
    assert (await desk.tasks())[0].is_cancelled


async def test_rights_are_checked_again_at_the_press(desk: Desk) -> None:
    await desk.says("Fix the login redirect", ANA)
    await desk.presses("codetask:cancel:CT-1", BO)
    assert "You can't cancel CT-1" in await desk.last_whisper()
    await desk.presses("codetask:cancel:CT-1", ANA)
    assert (await desk.tasks())[0].is_cancelled
    await desk.presses("codetask:cancel:CT-1", ANA)
    assert "already cancelled" in await desk.last_whisper()


async def test_a_feature_that_is_off_answers_so(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    await desk.says("Fix the login redirect")
    off = make_desk(features="web")
    off.count = 100
    await off.says("Fix another thing here")
    assert "disabled here" in await off.last_whisper()
    await off.presses("codetask:cancel:CT-1")
    assert "disabled here" in await off.last_whisper()
    assert [task.stage for task in await desk.tasks()] == [Stage.QUEUED]


async def test_a_deleted_code_task_closes_its_card(desk: Desk) -> None:
    await desk.says("Fix the login redirect")
    await desk.app.store.run(lambda tx: tx.tasks.get(1))
    delivery = (await desk.app.store.run(lambda tx: tx.outbox.claim(["slack"], [], 5)))[0]
    await desk.app.store.run(lambda tx: tx.outbox.sent(delivery, "9.1", "9.1"))
    await desk.presses("codetask:cancel:CT-1")
    await desk.app.store.run(lambda tx: desk.app.tasks.delete(tx, 1, ANA))
    card = (await desk.sent("edit"))[-1]
    assert isinstance(card, Card)
    assert card.body == "Deleted by @ana" and card.buttons == ()
    assert await desk.tasks() == []


async def test_a_burst_of_steps_is_shown_at_the_pace_of_its_first(desk: Desk) -> None:
    await desk.says("Fix the login redirect")
    claimed = await desk.app.store.run(lambda tx: desk.app.attempts.claim(tx, "w", "h"))
    assert claimed is not None
    due: list[str] = []
    for step in range(4):
        await desk.app.store.run(lambda tx, n=step: desk.app.attempts.report(tx, claimed.lease, f"step {n}", n))
        pending = "kind = 'edit' AND state = 'pending'"
        due += [str(at) for (at,) in await desk._rows(f"SELECT available_at FROM outbox WHERE {pending}")]
    assert len(due) == 4 and len(set(due)) == 1


def test_unreadable_context_is_no_context() -> None:
    long = json.dumps([["bo", "x" * 9_000]])
    assert [line.text for line in read_context(long)] == ["x" * 9_000]
    assert read_context(long[:8_000]) == []
    assert read_context("") == []


async def test_give_up_tells_the_person(desk: Desk) -> None:
    number = await desk.says("whoami")
    event = await desk.app.store.run(lambda tx: tx.inbox.event(number))
    again = event.model_copy(update={"key": "A1:c:poison"})
    fresh = await desk.app.store.run(lambda tx: tx.inbox.add(again))
    await desk.app.inbox._handler.give_up(Pending(fresh, again, 5), "k7f2")
    assert "k7f2" in await desk.last_whisper()


@pytest.mark.parametrize("verb", ["approve", "refuse"])
async def test_only_admins_decide_on_a_change_whoever_filed_it(desk: Desk, verb: str) -> None:
    await desk.says("Fix the login redirect", BO)
    await desk.presses(f"codetask:{verb}:CT-1", BO)
    assert await desk.last_whisper() == "Only an admin can allow or refuse the change of CT-1."

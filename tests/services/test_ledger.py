"""The demand ledger: who else asked, whose threads are told, and two code tasks that are one. On both stores."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.app import App, wire
from bot.core.buttons import confirmation, parse_button
from bot.core.cards import Card, Doc
from bot.core.inbound import ButtonPress, Person, ThreadRef
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.core.texts import Texts
from bot.services.ledger import Ledger
from bot.services.people import TALK
from bot.services.refusals import Refused
from bot.services.tasks import Filed, Filing
from bot.store import Transaction
from platforms.registry import load_settings
from storage.engine import Database
from storage.models import OutboxRow
from tests.clock import START, FakeClock
from tests.storage.world import CHANNEL, Chat, Said

ANA = Person(platform="slack", workspace_id="T1", id="U1", name="ana", roles=frozenset({"member"}))
BO = ANA.model_copy(update={"id": "U2", "name": "bo"})
DEE = Person(platform="discord", workspace_id="G1", id="77", name="dee", roles=frozenset({"member"}))
CY = ANA.model_copy(update={"id": "U9", "name": "cy", "roles": frozenset({"owner"})})
EXPORT = "Add a CSV export button to the contacts page"
AGAIN = "Please add a CSV export button on the contacts page, I need it"
OTHER = "Show the login errors in German too"
EN = Texts.load("en")


class Discord(Chat):
    name = "discord"


@dataclass
class House:
    """The services over a store, with two platforms that keep what is said there."""

    store: Database
    clock: FakeClock
    folder: Path
    app: App = field(init=False)
    platforms: dict[str, Chat] = field(init=False)

    def __post_init__(self) -> None:
        self.platforms = {"slack": Chat(self.clock), "discord": Discord(self.clock)}
        chosen: dict[str, Any] = {
            "codetask_data": self.folder,
            "repos": {"web": {"url": "file:///nowhere/web.git", "forge": "none"}},
            "default_agent": "demo",
            "filers": "member",
        }
        app = wire(load_settings(**chosen), self.store, self.platforms, {})  # type: ignore[arg-type]
        self.app = replace(app, tasks=replace(app.tasks, agents=("demo",)))

    @property
    def ledger(self) -> Ledger:
        return self.app.tasks.ledger

    def do(self, unit: Any) -> Any:
        return self.store.run_sync(unit)

    def file(self, text: str, person: Person = ANA, root: str = "", **filing: Any) -> CodeTask:
        """Files in a thread of its own."""

        def unit(tx: Transaction) -> CodeTask:
            tx.people.see(person)
            where = ThreadRef(platform=person.platform, workspace_id=person.workspace_id, channel_id="C1")
            thread = tx.threads.open(where.model_copy(update={"root": root or None}))
            outcome = self.app.tasks.file(tx, Filing(text, person, thread_id=thread.id, channel=where, **filing))
            assert isinstance(outcome, Filed), outcome
            return outcome.task

        return self.do(unit)

    def thread(self, person: Person, root: str) -> int:
        where = ThreadRef(platform=person.platform, workspace_id=person.workspace_id, channel_id="C2", root=root)
        return self.do(lambda tx: tx.threads.open(where).id)

    def to(self, task: CodeTask, stage: Stage, **values: Any) -> None:
        """Moves a code task on, and tells."""

        def unit(tx: Transaction) -> None:
            now = tx.tasks.get(task.id or 0)
            assert now is not None
            moved = tx.tasks.move(task.id or 0, {now.stage}, stage, actor="worker:w1", **values)
            assert moved is not None, (now.stage, stage)
            self.app.tasks.announcer.moved(tx, moved, None)

        self.do(unit)

    def to_review(self, task: CodeTask) -> None:
        self.to(task, Stage.RUNNING)
        self.to(task, Stage.REVIEW, pr_number=87, pr_url="https://github.com/acme/web/pull/87", branch="b")

    def task(self, number: int | None) -> CodeTask:
        found = self.do(lambda tx: tx.tasks.get(number))
        assert found is not None
        return found

    async def said(self, platform: str = "slack") -> list[Said]:
        while self.rows("state NOT IN ('sent', 'superseded')"):
            await self.app.relay.drain()
            self.clock.advance(5)
            assert self.clock.now() < START + timedelta(hours=1), "something is never sent"
        return self.platforms[platform].said

    async def said_in(self, thread_id: int, platform: str = "slack") -> list[Doc]:
        """What a thread shows now, oldest first."""
        await self.said(platform)
        root = self.do(lambda tx: tx.threads.get(thread_id).ref.root)
        said = [one for one in self.platforms[platform].said if one.thread.root == root]
        shown = [one.edits[-1] if one.edits else one.content for one in said]
        return [content for content in shown if isinstance(content, Doc)]

    def rows(self, where: str) -> int:
        return self.do(lambda tx: len(tx.rows(OutboxRow, where)))


def get(tx: Transaction, number: int) -> CodeTask:
    found = tx.tasks.get(number)
    assert found is not None
    return found


@pytest.fixture
def house(store: Database, clock: FakeClock, tmp_path: Path) -> House:
    return House(store, clock, tmp_path)


async def test_what_was_looked_up_before_a_filing_counts_and_so_does_what_came_since(house: House) -> None:
    wish = Filing(EXPORT, BO, channel=CHANNEL)
    look = lambda: house.do(lambda tx: house.app.tasks.look(tx, wish))  # noqa: E731
    house.file(OTHER)
    early = look()
    house.file(EXPORT)
    late = look()
    assert (early, late) == ((None, 1), (2, 2))
    for looked in (late, early):  # what it found, and what it could not find yet
        same = house.file(EXPORT, BO, root=f"9.{looked.newest}", looked=looked)
        assert house.rows(f"dedup_key = '{same.ref}-like'") == 1
    unlike = house.file("Sign people out after an hour", BO, looked=early)
    assert house.rows(f"dedup_key = '{unlike.ref}-like'") == 0


async def test_nothing_is_looked_up_for_one_who_may_not_file(house: House) -> None:
    house.file(EXPORT)
    guest = BO.model_copy(update={"id": "U9", "roles": frozenset(), "kind": "guest"})
    assert house.do(lambda tx: house.app.tasks.look(tx, Filing(EXPORT, guest, channel=CHANNEL))) is None


async def test_a_filing_that_looks_like_another_is_filed_and_offers_to_join_it(house: House) -> None:
    first = house.file(EXPORT)
    house.file(OTHER, BO)
    second = house.file(AGAIN, BO)
    assert [house.task(n).stage for n in (1, 2, 3)] == [Stage.QUEUED] * 3
    (line,) = await house.said_in(second.thread_id or 0)
    assert line.text == f"Filed as CT-3. It looks like CT-1 *{EXPORT}*."
    assert [(b.label, b.value) for b in line.buttons] == [("Same as CT-1", "codetask:same:CT-3-1")]
    assert await house.said_in(first.thread_id or 0) == []


async def test_same_cancels_the_new_one_and_its_thread_is_told_once_of_each_stage(house: House) -> None:
    first, second = house.file(EXPORT), house.file(AGAIN, BO)
    same = lambda tx: house.ledger.same(tx, house.app.tasks, 2, 1, BO)  # noqa: E731
    assert house.do(same).ref == "CT-1" and house.do(same).ref == "CT-1"
    assert house.task(2).is_cancelled
    thread = second.thread_id or 0
    (line,) = await house.said_in(thread)
    assert line.text == "Already planned as CT-1 (queued). I'll post the pull request here."
    assert [b.value for b in line.buttons] == ["codetask:different:CT-2"]
    house.to_review(first)
    house.do(lambda tx: house.app.tasks.announcer.asker_news.tell(tx, get(tx, 1)))
    _, told = await house.said_in(thread)
    assert "is in review" in told.text and "(CT-1)" in told.text and told.mention is not None
    assert (told.mention.id, [b.url for b in told.buttons]) == ("U2", ["https://github.com/acme/web/pull/87"])
    house.to(first, Stage.MERGED)
    assert ["is merged" in doc.text for doc in await house.said_in(thread)] == [False, False, True]
    assert [p.name for p in house.do(lambda tx: house.ledger.askers(tx, get(tx, 1)))] == ["bo"]


async def test_this_is_different_queues_it_again_and_ends_the_news(house: House) -> None:
    first, second = house.file(EXPORT), house.file(AGAIN, BO)
    house.do(lambda tx: house.ledger.same(tx, house.app.tasks, 2, 1, BO))
    outcome = house.do(lambda tx: house.ledger.different(tx, house.app.tasks, 2, BO))
    assert outcome.stage is Stage.QUEUED
    house.to_review(first)
    docs = await house.said_in(second.thread_id or 0)
    assert [doc.text for doc in docs] == ["CT-2 is queued again, on its own."]
    assert house.do(lambda tx: tx.subscriptions.of_task(1)) == []
    again = house.do(lambda tx: house.ledger.different(tx, house.app.tasks, 2, BO))
    assert isinstance(again, Refused) and again.kind == "state"


@pytest.mark.parametrize(
    ("numbers", "person", "kind"),
    [
        ((2, 9), BO, "not_found"),
        ((9, 1), BO, "not_found"),
        ((2, 2), BO, "bad"),
        ((2, 1), ANA, "not_allowed"),
        ((2, 3), BO, "state"),
        ((4, 1), BO, "state"),
    ],
    ids=["no-other", "none", "itself", "not-mine", "other-failed", "in-review"],
)
def test_same_is_refused(house: House, numbers: tuple[int, int], person: Person, kind: str) -> None:
    for text, who in ((EXPORT, ANA), (AGAIN, BO), (OTHER, ANA), (f"{OTHER}, twice", BO)):
        house.file(text, who)
    house.to(house.task(3), Stage.FAILED, failure_reason=FailureReason.CANCELLED)
    house.to_review(house.task(4))
    before = house.do(lambda tx: [t.stage for t in (tx.tasks.get(n) for n in (1, 2, 3, 4)) if t])
    outcome = house.do(lambda tx: house.ledger.same(tx, house.app.tasks, *numbers, person))
    assert isinstance(outcome, Refused) and outcome.kind == kind
    EN.say(outcome.key, **outcome.values)
    assert house.do(lambda tx: [t.stage for t in (tx.tasks.get(n) for n in (1, 2, 3, 4)) if t]) == before


def test_all_who_asked_go_along(house: House) -> None:
    house.file(EXPORT)
    house.file(AGAIN, BO)
    thread = house.thread(ANA, "55.0")
    house.do(lambda tx: (tx.people.see(CY), tx.people.see(DEE)))
    house.do(lambda tx: house.ledger.join(tx, get(tx, 2), thread, DEE))
    house.do(lambda tx: house.ledger.ask(tx, get(tx, 2), CY))
    house.do(lambda tx: house.ledger.same(tx, house.app.tasks, 2, 1, BO))
    askers = house.do(lambda tx: house.ledger.askers(tx, get(tx, 1)))
    assert sorted(p.name for p in askers) == ["bo", "cy", "dee"]
    assert {s.thread_id for s in house.do(lambda tx: tx.subscriptions.of_task(1))} == {thread, house.task(2).thread_id}


async def test_a_thread_of_another_platform_gets_the_link_once(house: House) -> None:
    task = house.file(EXPORT, DEE)
    thread = house.thread(ANA, "7.0")
    house.do(lambda tx: tx.people.see(ANA))
    assert house.do(lambda tx: house.ledger.join(tx, task, thread, ANA))
    assert not house.do(lambda tx: house.ledger.join(tx, task, thread, BO))
    house.to_review(task)
    planned, link = await house.said_in(thread)
    assert planned.text.startswith("Already planned as CT-1 (queued).")
    assert link.buttons[0].url == "https://github.com/acme/web/pull/87"
    assert link.mention is not None and (link.mention.platform, link.mention.id) == ("slack", "U1")
    own = await house.said_in(task.thread_id or 0, "discord")
    assert len([doc for doc in own if "pull/87" in doc.text or doc.buttons]) == 1


async def test_who_joins_late_gets_the_link_at_once(house: House) -> None:
    task = house.file(EXPORT)
    house.to_review(task)
    thread = house.thread(BO, "8.0")
    assert house.do(lambda tx: house.ledger.join(tx, get(tx, 1), thread, BO))
    (link,) = await house.said_in(thread)
    assert link.buttons[0].url == "https://github.com/acme/web/pull/87"
    house.do(lambda tx: house.ledger.leave(tx, get(tx, 1), thread, BO))
    house.do(lambda tx: house.ledger.join(tx, get(tx, 1), thread, BO))
    assert len(await house.said_in(thread)) == 1, "told once, however often it joins"
    house.to(task, Stage.MERGED)
    assert len(await house.said_in(thread)) == 2


async def test_askers_hear_that_it_was_cancelled_or_has_failed(house: House) -> None:
    task = house.file(EXPORT)
    thread = house.thread(BO, "8.0")
    house.do(lambda tx: house.ledger.join(tx, task, thread, BO, suggestion_id=3))
    house.to(task, Stage.RUNNING)
    house.to(task, Stage.FAILED, failure_reason=FailureReason.NO_CHANGES, error="Coding agent produced no changes")
    house.do(lambda tx: house.app.tasks.retry(tx, 1, ANA, None))
    house.do(lambda tx: house.app.tasks.cancel(tx, 1, CY))
    failed, cancelled = await house.said_in(thread)
    assert failed.text.startswith("CT-1, which covers the request you made, has failed: ")
    assert cancelled.text == "@cy cancelled CT-1, which covered the request you made."
    assert [b.value for b in cancelled.buttons] == ["codetask:different:RQ-3"]


async def test_a_cancel_says_how_many_others_asked(house: House) -> None:
    task = house.file(EXPORT)
    for person in (BO, DEE, ANA):
        house.do(lambda tx, p=person: (tx.people.see(p), house.ledger.ask(tx, get(tx, 1), p)))
    (card,) = [one.edits[-1] for one in await house.said()]
    assert isinstance(card, Card)
    (button,) = [b for b in card.buttons if b.style == "danger"]
    assert button.confirm == "Cancel CT-1? The branch is kept. 2 others asked for this."
    asked = confirmation(button.value, EN)
    assert asked is not None and asked[0] == button.confirm
    parsed = parse_button(button.value)
    assert parsed is not None and (parsed.verb, parsed.number) == ("cancel", task.id)
    assert house.do(lambda tx: house.ledger.ask(tx, get(tx, 1), BO)) is False


def test_a_second_person_at_the_same_message_is_an_asker(house: House) -> None:
    task = house.file(EXPORT, dedup_key="m:slack:T1:C1:1.5", root="1.5")
    again = house.file(EXPORT, BO, dedup_key="m:slack:T1:C1:1.5", root="1.5")
    house.file(EXPORT, ANA, dedup_key="m:slack:T1:C1:1.5", root="1.5")
    assert again.id == task.id
    assert [p.name for p in house.do(lambda tx: house.ledger.askers(tx, task))] == ["bo"]
    top = house.do(lambda tx: house.ledger.top(tx, 5, ANA))
    assert [(one.task.ref, one.askers) for one in top] == [("CT-1", 2)]


def test_what_was_asked_in_private_is_not_offered(house: House) -> None:
    task = house.file(EXPORT)

    def talk(tx: Transaction) -> None:
        tx.people.set_setting(tx.threads.get(task.thread_id or 0).ref, TALK, "yes")

    similar = lambda person: house.do(lambda tx: house.ledger.similar(tx, AGAIN, "web", person=person))  # noqa: E731
    assert [(one.id, one.likely_same) for one in similar(BO)] == [(1, True)]
    house.do(talk)
    nobody = BO.model_copy(update={"roles": frozenset()})
    assert [similar(who) for who in (BO, nobody, ANA, CY)] == [[]] * 4, "all would read its title"
    here = house.do(lambda tx: tx.threads.get(task.thread_id or 0).ref)
    known = house.do(lambda tx: house.ledger.similar(tx, AGAIN, "web", person=ANA, here=here))
    assert [one.id for one in known] == [1], "it was said here"
    assert house.do(lambda tx: house.ledger.top(tx, 5, BO)) == []
    outcome = house.do(lambda tx: house.ledger.same(tx, house.app.tasks, 1, 1, BO))
    assert isinstance(outcome, Refused) and outcome.kind == "not_found"


def test_a_deleted_code_task_leaves_its_askers_in_peace(house: House) -> None:
    task = house.file(EXPORT)
    house.file(AGAIN, BO)
    house.do(lambda tx: house.ledger.same(tx, house.app.tasks, 2, 1, BO))
    house.do(lambda tx: house.app.tasks.cancel(tx, 1, ANA))
    assert isinstance(house.do(lambda tx: house.app.tasks.delete(tx, 1, ANA)), CodeTask)
    assert house.do(lambda tx: tx.subscriptions.of_thread(task.thread_id or 0)) == []
    outcome = house.do(lambda tx: house.ledger.different(tx, house.app.tasks, 2, BO))
    assert isinstance(outcome, CodeTask) and outcome.stage is Stage.QUEUED


async def test_the_buttons_join_and_part_two_code_tasks(house: House) -> None:
    house.file(EXPORT)
    second = house.file(AGAIN, BO)
    await house.said()
    where = house.do(lambda tx: tx.threads.get(second.thread_id).ref)

    async def press(value: str, person: Person) -> list[str]:
        """What the presser alone is answered."""
        now, before = house.clock.advance(1), len(house.platforms["slack"].whispers)
        told = {"platform": "slack", "app_id": "A1", "workspace_id": "T1", "sent_at": now, "received_at": now}
        event = ButtonPress(**told, key=f"A1:b:{now}", thread=where, person=person, value=value, message_id="9.9")
        await house.app.inbox.accept(event)
        await house.app.inbox.drain()
        await house.said()
        return [doc.text for _, doc in house.platforms["slack"].whispers[before:]]

    (no,) = await press("codetask:same:CT-2-1", ANA)
    assert no.startswith("You can't cancel CT-2") and house.task(2).stage is Stage.QUEUED
    assert await press("codetask:same:CT-2-1", BO)
    assert house.task(2).is_cancelled
    assert await press("codetask:different:CT-2", BO)
    assert house.task(2).stage is Stage.QUEUED
    assert house.do(lambda tx: tx.subscriptions.of_task(1)) == []

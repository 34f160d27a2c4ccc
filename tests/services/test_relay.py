"""The relay against a platform that hangs, freezes or breaks: nothing is sent late, and nothing stays unsent."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from bot.core.cards import Doc
from bot.core.inbound import MessageRef, Person, ThreadRef
from bot.ports import Retry
from bot.services import outbox
from bot.services.outbox import Relay
from bot.store import Delivery
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import Chat
from tests.stores import only_postgres

CHANNEL = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1")


@dataclass
class Odd(Chat):
    """A platform whose next post does what it is told."""

    clock: FakeClock
    before: list[Callable[[], Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.clock)

    async def post(self, to: ThreadRef, content: Any, key: str) -> Any:
        if self.before:
            outcome = self.before.pop(0)()
            if asyncio.iscoroutine(outcome):
                await outcome
            elif outcome is not None:
                return outcome
        return await super().post(to, content, key)


@pytest.fixture
def chat(clock: FakeClock) -> Odd:
    return Odd(clock)


def enqueue(store: Database, key: str) -> None:
    store.run_sync(lambda tx: tx.outbox.add(tx.threads.open(CHANNEL).id, Delivery("post", key, Doc(text=key))))


def deliveries(store: Database) -> dict[str, int]:
    found = store.run_sync(lambda tx: dict(tx.figures.deliveries()))
    return {state: count for state, count in found.items() if count}


async def test_a_call_that_hangs_is_given_up_before_its_lease_ends(
    store: Database, chat: Odd, clock: FakeClock
) -> None:
    relay = Relay(store, {"slack": chat}, timedelta(seconds=0.2))
    chat.before = [lambda: asyncio.Event().wait()]
    enqueue(store, "one")
    await asyncio.wait_for(relay.drain(), 10)
    assert chat.said == [] and deliveries(store) == {"unknown": 1}
    clock.advance(10)
    await asyncio.wait_for(Relay(store, {"slack": chat}).drain(), 10)
    assert [said.content.text for said in chat.said] == ["one"] and deliveries(store) == {}


async def test_what_was_claimed_before_a_freeze_is_left_to_others(
    store: Database, chat: Odd, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process's own clock jumps between the claim and the call, as it does over a SIGSTOP."""
    ticks = iter([0.0])
    monkeypatch.setattr(outbox, "monotonic", lambda: next(ticks, 1000.0))
    enqueue(store, "one")
    await asyncio.wait_for(Relay(store, {"slack": chat}).drain(), 10)
    assert chat.said == [] and deliveries(store) == {"sending": 1}
    monkeypatch.undo()
    clock.advance(61)
    assert store.run_sync(lambda tx: tx.outbox.reap()) == 1
    await asyncio.wait_for(Relay(store, {"slack": chat}).drain(), 10)
    assert len(chat.said) == 1 and deliveries(store) == {}


async def test_a_broken_platform_call_is_tried_again(store: Database, chat: Odd, clock: FakeClock) -> None:
    def broken() -> None:
        raise RuntimeError("a bug in an SDK")

    chat.before = [broken, lambda: Retry(timedelta(seconds=3), why="busy")]
    enqueue(store, "one")
    for _ in range(3):
        await asyncio.wait_for(Relay(store, {"slack": chat}).drain(), 10)
        clock.advance(60)
    assert len(chat.said) == 1 and deliveries(store) == {}


async def test_a_link_that_cannot_be_had_costs_nothing(
    store: Database, chat: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(message: MessageRef) -> str | None:
        raise RuntimeError("no link")

    monkeypatch.setattr(chat, "permalink", broken)
    card = Delivery("post", "card", Doc(text="card"), card_key="CT-1")
    store.run_sync(lambda tx: tx.outbox.add(tx.threads.open(CHANNEL).id, card))
    await asyncio.wait_for(Relay(store, {"slack": chat}).drain(), 10)
    assert len(chat.said) == 1 and deliveries(store) == {}
    assert store.run_sync(lambda tx: tx.outbox.card_message("CT-1")) == chat.said[0].id


async def test_a_line_is_changed_in_place_and_its_mark_taken_away(store: Database, chat: Odd) -> None:
    line, mark = "RQ-3", {"message_id": "1.5", "mark": "idea"}

    def send(*deliveries: Delivery) -> None:
        store.run_sync(lambda tx: [tx.outbox.add(tx.threads.open(CHANNEL).id, one) for one in deliveries])

    send(
        Delivery("post", "RQ-3:line", Doc(text="A request?"), card_key=line), Delivery("react", "RQ-3:on", target=mark)
    )
    await asyncio.wait_for(Relay(store, {"slack": chat}).drain(), 10)
    assert chat.marks == {("1.5", "idea")}
    send(
        Delivery("edit", "RQ-3:line:2", Doc(text="Filed as CT-1."), card_key=line),
        Delivery("react", "RQ-3:off", target={**mark, "on": False}),
    )
    await asyncio.wait_for(Relay(store, {"slack": chat}).drain(), 10)
    assert chat.marks == set() and deliveries(store) == {}
    assert [[one.text for one in said.edits] for said in chat.said] == [["Filed as CT-1."]]


MENTIONED = [
    (None, False, True),
    ("questions", False, False),
    ("questions", True, True),
    ("none", False, False),
    ("none", True, False),
]


@pytest.mark.parametrize(("wanted", "asks", "mentioned"), MENTIONED)
async def test_nobody_is_mentioned_who_does_not_want_to_be(
    store: Database, chat: Odd, wanted: str | None, asks: bool, mentioned: bool
) -> None:
    """As they say when it is sent; in every language of the message, and in its edits."""
    ana = Person(platform="slack", workspace_id="T1", id="U1", name="ana")

    def doc(text: str) -> Doc:
        told = Doc(text=text, mention=ana, asks=asks)
        return told.model_copy(update={"translations": {"zh": told}})

    def send(delivery: Delivery) -> None:
        store.run_sync(lambda tx: tx.outbox.add(tx.threads.open(CHANNEL).id, delivery))

    send(Delivery("post", "one", doc("done"), card_key="FU-1"))
    store.run_sync(lambda tx: tx.people.prefer(ana, "pings", wanted))
    await asyncio.wait_for(Relay(store, {"slack": chat}).drain(), 10)
    send(Delivery("edit", "two", doc("late"), card_key="FU-1"))
    await asyncio.wait_for(Relay(store, {"slack": chat}).drain(), 10)
    (said,) = chat.said
    for content in (said.content, *said.edits):
        assert [one.mention for one in (content, content.translations["zh"])] == [ana if mentioned else None] * 2


@only_postgres
async def test_an_outage_of_the_database_before_a_post_ends_nothing(
    store: Database, chat: Odd, clock: FakeClock, database_url: str
) -> None:
    """Whatever its attempt: nothing was sent, so it is sent later, buttons and all."""
    ana = Person(platform="slack", workspace_id="T1", id="U1", name="ana")
    doc = Doc(text="Which one?", mention=ana)
    store.run_sync(lambda tx: tx.outbox.add(tx.threads.open(CHANNEL).id, Delivery("post", "one", doc)))
    tried = sa.text(f"UPDATE outbox SET attempt = {outbox.PERMANENT_TRIES}")
    store.run_sync(lambda tx: tx.session.execute(tried))
    sa.event.listen(store.engine, "checkout", lambda raw, *_: raw.execute("SET lock_timeout = '20ms'"))
    relay = Relay(store, {"slack": chat})
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE person_setting")
        await asyncio.wait_for(relay.drain(), 10)
        assert chat.said == [] and deliveries(store) == {"pending": 1}
        other.rollback()
    clock.advance(timedelta(minutes=10))
    await asyncio.wait_for(relay.drain(), 10)
    assert [one.content.text for one in chat.said] == ["Which one?"] and deliveries(store) == {}

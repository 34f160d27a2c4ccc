"""Questions of running agents, on both stores: asked once, answered once, by whoever may, or given up after an hour."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.cards import Card, Doc
from bot.core.inbound import ButtonPress, Person
from bot.core.questions import read_answer
from bot.core.runs import RunState
from bot.core.tasks import Stage
from bot.services.attempts import Lease
from bot.services.followups import FollowUpSet, Wish
from bot.services.run_seats import RunHold, ToolRefused
from bot.services.run_tools import Answer
from bot.services.tasks import Filed, Filing
from bot.store import Transaction
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import ANN, CHANNEL, World

THREAD = CHANNEL.model_copy(update={"root": "1700000000.000100"})
GUEST = Person(platform="slack", workspace_id="T1", id="U9", name="Gus", roles=frozenset({"member"}))
HOUR = timedelta(hours=1)
COLOR = "Which color should it be?"


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    opened = World(store, clock, tmp_path)
    store.run_sync(lambda tx: tx.people.see(ANN))
    return opened


def task_run(world: World) -> RunHold:
    def unit(tx: Transaction) -> None:
        filing = Filing("Paint the front page", ANN, thread_id=tx.threads.open(THREAD).id)
        assert isinstance(world.app.tasks.file(tx, filing), Filed)

    world.store.run_sync(unit)
    return claim(world)


def claim(world: World) -> RunHold:
    claimed = world.claim()
    assert claimed is not None
    return RunHold(claimed.lease.run_id, claimed.lease.fence)


def ask(world: World, hold: RunHold, text: str = COLOR, choices: tuple[str, ...] = ("red", "blue")) -> Answer:
    answer = try_to_ask(world, hold, text, choices)
    assert not isinstance(answer, ToolRefused), answer
    return answer


def try_to_ask(world: World, hold: RunHold, text: str, choices: tuple[str, ...] = ()) -> Answer | ToolRefused:
    return world.store.run_sync(lambda tx: world.app.run_tools.ask_user(tx, hold, text, choices))


def state(world: World, hold: RunHold) -> RunState | None:
    run = world.store.run_sync(lambda tx: tx.runs.get(hold.run_id))
    assert run is not None
    return run.run_state


def question(world: World) -> Doc:
    """What was posted of the last question."""
    found = [doc for doc in posts(world) if "waits for at most 1 h" in doc.text]
    return found[-1]


def posts(world: World) -> list[Doc]:
    return [said.content for said in world.chat.said if isinstance(said.content, Doc)]


def card(world: World) -> Card:
    """The code task's card as it is now."""
    said = next(one for one in world.chat.said if isinstance(one.content, Card))
    shown = said.edits[-1] if said.edits else said.content
    assert isinstance(shown, Card)
    return shown


async def press(world: World, number: int, person: Person = ANN, key: str = "A1:b:1") -> None:
    now, said = world.clock.now(), question(world)
    event = ButtonPress(
        platform="slack",
        app_id="A1",
        workspace_id="T1",
        key=key,
        sent_at=now,
        received_at=now,
        thread=THREAD,
        person=person,
        message_id="1.0",
        value=said.buttons[number - 1].value,
    )
    await world.app.inbox.accept(event)
    await world.settle()


async def say(world: World, text: str, key: str = "A1:m:1", **values: Any) -> None:
    given: dict[str, Any] = {"door": "mention", "thread": THREAD, "in_thread": True, "message_id": key, **values}
    assert await world.say(world.command(text, key=key, **given))
    await world.settle()


async def test_a_question_is_asked_in_the_thread_and_a_button_answers_it(world: World) -> None:
    hold = task_run(world)
    assert ask(world, hold)["status"] == "waiting" and state(world, hold) is RunState.WAITING_FOR_INPUT
    await world.settle()
    posted = question(world)
    assert posted.asks and COLOR in posted.text and posted.mention is not None and posted.mention.id == "U1"
    assert [button.label for button in posted.buttons] == ["red", "blue"]
    assert "Needs you" in card(world).title and COLOR.rstrip("?") in card(world).body
    await press(world, 2)
    assert ask(world, hold) == {"status": "answered", "answer": "blue", "by": "Ann"}
    assert state(world, hold) is RunState.WORKING and "Needs you" not in card(world).title
    texts = [doc.text for doc in posts(world)]
    assert len(texts) == 2 and "Ann answered: blue" in texts[1], "asking again posted nothing"


@pytest.mark.parametrize("words", ["green, please", "red", "yes and use the palette of the old page for the rest"])
async def test_words_to_the_bot_in_the_thread_answer_it(world: World, words: str) -> None:
    hold = task_run(world)
    ask(world, hold)
    await world.settle()
    await say(world, words)
    assert ask(world, hold)["answer"] == words
    assert world.rows("SELECT count(*) FROM code_task") == [(1,)]


async def test_commands_stay_commands_while_a_question_is_open(world: World) -> None:
    hold = task_run(world)
    ask(world, hold)
    await world.settle()
    await say(world, "status")
    assert ask(world, hold)["status"] == "waiting"
    await say(world, "cancel", key="A1:m:2")
    task = world.store.run_sync(lambda tx: tx.tasks.get(1))
    assert task is not None and task.stage is Stage.FAILED
    await press(world, 1)
    assert "no longer open" in world.chat.whispers[-1][1].text


async def test_the_first_answer_counts(world: World) -> None:
    hold = task_run(world)
    ask(world, hold)
    await world.settle()
    await press(world, 1)
    await press(world, 2, key="A1:b:2")
    assert ask(world, hold)["answer"] == "red" and "no longer open" in world.chat.whispers[-1][1].text


async def test_who_may_not_send_cannot_answer(world: World) -> None:
    hold = task_run(world)
    ask(world, hold)
    await world.settle()
    await press(world, 1, GUEST)
    await say(world, "red it is", person=GUEST)
    assert ask(world, hold)["status"] == "waiting"


async def test_a_mention_elsewhere_is_no_answer(world: World) -> None:
    hold = task_run(world)
    ask(world, hold)
    await world.settle()
    await say(world, "Add a page about the history of the project", thread=CHANNEL, in_thread=False)
    assert ask(world, hold)["status"] == "waiting" and world.rows("SELECT count(*) FROM code_task") == [(2,)]


def test_nobody_answers_for_an_hour(world: World) -> None:
    hold = task_run(world)
    ask(world, hold)
    keep(world, hold, HOUR - timedelta(seconds=1))
    assert ask(world, hold)["status"] == "waiting"
    keep(world, hold, timedelta(seconds=2))
    assert ask(world, hold)["status"] == "nobody" and state(world, hold) is RunState.WORKING
    assert ask(world, hold)["status"] == "nobody", "it is not asked again"


def keep(world: World, hold: RunHold, length: timedelta) -> None:
    world.clock.advance(length)
    assert world.store.run_sync(lambda tx: tx.runs.heartbeat(hold.run_id, hold.fence, HOUR))


def test_one_question_at_a_time_and_only_what_can_be_asked(world: World) -> None:
    hold = task_run(world)
    for text, choices in (("", ()), ("x" * 1001, ()), (COLOR, ("a",) * 5), (COLOR, ("a" * 61,)), (COLOR, (" ",))):
        refused = try_to_ask(world, hold, text, choices)
        assert isinstance(refused, ToolRefused) and refused.kind == "bad"
    ask(world, hold)
    second = try_to_ask(world, hold, "And which size?")
    assert isinstance(second, ToolRefused) and "One at a time" in second.say


async def test_the_card_keeps_the_question_while_the_agent_reports_its_call(world: World) -> None:
    hold = task_run(world)
    ask(world, hold)
    lease = Lease(hold.run_id, hold.fence, 1)
    assert world.store.run_sync(lambda tx: world.app.attempts.report(tx, lease, "other: codetask_ask_user", 1))
    await world.settle()
    assert COLOR.rstrip("?") in card(world).body


async def test_a_run_that_was_given_back_asks_anew(world: World) -> None:
    hold = task_run(world)
    ask(world, hold)
    lease = Lease(hold.run_id, hold.fence, 1)
    assert world.store.run_sync(lambda tx: world.app.attempts.give_back(tx, lease)) is not None
    again = claim(world)
    assert again.run_id == hold.run_id and ask(world, again, "Which size?", ())["status"] == "waiting"
    await world.settle()
    assert "Which size?" in question(world).text


async def test_a_question_ends_with_its_agent(world: World) -> None:
    hold = task_run(world)
    ask(world, hold)
    await world.settle()
    world.store.run_sync(lambda tx: world.app.run_tools.give_up_question(tx, hold))
    await world.settle()
    assert state(world, hold) is RunState.WORKING and "Needs you" not in card(world).title
    await press(world, 1)
    assert "no longer open" in world.chat.whispers[-1][1].text


async def test_a_run_of_a_follow_up_asks_in_its_thread(world: World) -> None:
    wish = Wish("check the deploy", world.clock.now() + HOUR, ANN, CHANNEL)
    assert isinstance(world.store.run_sync(lambda tx: world.app.followups.set(tx, wish)), FollowUpSet)
    world.clock.advance(HOUR)
    world.store.run_sync(world.app.firing.fire_due)
    claimed = world.store.run_sync(lambda tx: world.app.followup_runs.claim(tx, "w1", "h"))
    assert claimed is not None
    hold = RunHold(claimed.lease.run_id, claimed.lease.fence)
    assert ask(world, hold, "Roll it back?", ("yes", "no"))["status"] == "waiting"
    await world.settle()
    root = world.chat.said[-1].id
    await say(world, "no, leave it", thread=CHANNEL.model_copy(update={"root": root}))
    assert ask(world, hold, "Roll it back?", ("yes", "no"))["answer"] == "no, leave it"
    assert world.rows("SELECT count(*) FROM code_task") == [(0,)]


def test_a_question_goes_with_its_run(world: World) -> None:
    hold = task_run(world)
    ask(world, hold)
    world.store.run_sync(lambda tx: world.app.tasks.cancel(tx, 1, ANN))
    assert world.store.run_sync(lambda tx: tx.tasks.delete(1))
    assert world.rows("SELECT count(*) FROM question") == [(0,)]


@pytest.mark.parametrize(
    "value", ["codetask:answer:QU-0-1", "codetask:answer:QU-1-5", "codetask:answer:QU-1", "codetask:answer:QU-1-1 "]
)
def test_what_is_no_answer_is_not_read_as_one(value: str) -> None:
    assert read_answer(value) is None

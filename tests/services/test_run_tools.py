"""The tools of running agents, on both stores: bound to their own run, thread and person, and braked."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.followups import AGENT_CHAIN, FollowUp, FollowUpState
from bot.core.inbound import Person, ThreadRef
from bot.core.tasks import Stage
from bot.services.attempts import Cost
from bot.services.followup_runs import Answer as Said
from bot.services.followup_runs import FollowUpLease
from bot.services.followups import FollowUpSet, Wish
from bot.services.run_seats import RunHold, ToolRefused
from bot.services.run_tools import Answer, RunTools
from bot.services.tasks import Filed, Filing
from bot.store import Transaction
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import ANN, CHANNEL, World

THREAD = CHANNEL.model_copy(update={"root": "1700000000.000100"})
ELSEWHERE = THREAD.model_copy(update={"channel_id": "C2", "root": "1700000000.000200"})
BOB = Person(platform="slack", workspace_id="T1", id="U2", name="Bob", roles=frozenset({"owner"}))
HOUR = timedelta(hours=1)
SECRET = "a-token-that-nobody-may-see"


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    opened = World(store, clock, tmp_path)
    opened.app.redactor.learn(SECRET)
    store.run_sync(lambda tx: tx.people.see(ANN))
    return opened


def tools(world: World) -> RunTools:
    return world.app.run_tools


def call(world: World, name: str, hold: RunHold, **arguments: str) -> Answer | ToolRefused:
    return world.store.run_sync(lambda tx: getattr(tools(world), name)(tx, hold, **arguments))


def good(answer: Answer | ToolRefused) -> Answer:
    assert not isinstance(answer, ToolRefused), answer
    return answer


def bad(answer: Answer | ToolRefused) -> ToolRefused:
    assert isinstance(answer, ToolRefused), answer
    return answer


def file(world: World, place: ThreadRef | None = THREAD, person: Person = ANN, **values: Any) -> int:
    def unit(tx: Transaction) -> int:
        tx.people.see(person)
        thread_id = tx.threads.open(place).id if place is not None else None
        filed = world.app.tasks.file(tx, Filing("Add a contact page", person, thread_id=thread_id, **values))
        assert isinstance(filed, Filed)
        return filed.task.id or 0

    return world.store.run_sync(unit)


def task_run(world: World, place: ThreadRef | None = THREAD, **values: Any) -> RunHold:
    """A claimed run of a new code task."""
    file(world, place, **values)
    claimed = world.claim()
    assert claimed is not None
    return RunHold(claimed.lease.run_id, claimed.lease.fence)


def follow_up_run(world: World, wish: Wish | None = None) -> RunHold:
    """A claimed run of a new follow-up, or of what is pending."""
    if wish is not None:
        assert isinstance(world.store.run_sync(lambda tx: world.app.followups.set(tx, wish)), FollowUpSet)
    world.clock.advance(HOUR)
    world.store.run_sync(world.app.firing.fire_due)
    claimed = world.store.run_sync(lambda tx: world.app.followup_runs.claim(tx, "w1", "h"))
    assert claimed is not None
    return RunHold(claimed.lease.run_id, claimed.lease.fence)


def wish(world: World, place: ThreadRef | None = THREAD, **values: Any) -> Wish:
    return Wish("check the deploy", world.clock.now() + HOUR, ANN, place, **values)


def follow_ups(world: World) -> list[FollowUp]:
    count = world.rows("SELECT max(id) FROM follow_up")[0][0] or 0
    found = [world.store.run_sync(lambda tx, n=n: tx.followups.get(n)) for n in range(1, count + 1)]
    return [one for one in found if one is not None]


def posts(world: World) -> list[str]:
    return [key for (key,) in world.rows("SELECT dedup_key FROM outbox WHERE kind = 'post' ORDER BY id")]


def test_a_follow_up_is_set_in_the_thread_of_the_run_for_its_requester(world: World) -> None:
    hold = task_run(world)
    answer = good(call(world, "schedule_followup", hold, when="in 2 hours", message="check the deploy"))
    assert answer["id"] == "FU-1" and "FU-1 is set" in answer["say"]
    assert datetime.fromisoformat(answer["at"]) == world.clock.now() + 2 * HOUR
    (made,) = follow_ups(world)
    thread = world.store.run_sync(lambda tx: tx.threads.find(THREAD))
    assert thread is not None and made.thread_id == thread.id and made.anchored
    assert (made.requester_id, made.by_agent, made.origin_run_id, made.source) == ("U1", True, hold.run_id, "agent")
    assert posts(world) == ["CT-1:card", "FU-1:set"]


@pytest.mark.parametrize("again", ["in 2 hours", "2h", "120 minutes"])
def test_the_same_wish_again_sets_nothing_new(world: World, again: str) -> None:
    hold = task_run(world)
    first = good(call(world, "schedule_followup", hold, when="in 2 hours", message="check the deploy"))
    world.clock.advance(timedelta(seconds=20))
    second = good(call(world, "schedule_followup", hold, when=again, message="check the deploy"))
    assert second["id"] == first["id"] and second["at"] == first["at"] and "set before" in second["say"]
    assert len(follow_ups(world)) == 1 and posts(world).count("FU-1:set") == 1


def test_another_text_or_another_time_sets_another_one_up_to_three(world: World) -> None:
    hold = task_run(world)
    for when, message in (("in 2h", "one"), ("in 2h", "two"), ("in 4h", "one")):
        good(call(world, "schedule_followup", hold, when=when, message=message))
    refused = bad(call(world, "schedule_followup", hold, when="in 5h", message="four"))
    assert refused.say == "Agents may have 3 pending follow-ups in a thread. Nothing was set."
    assert refused.kind == "state" and len(follow_ups(world)) == 3


@pytest.mark.parametrize(
    ("zone", "offset"), [("pref", "+09:00"), ("profile", "+05:30"), ("channel", "-03:00"), ("default", "+00:00")]
)
def test_a_time_is_read_in_the_zone_of_the_requester(world: World, zone: str, offset: str) -> None:
    hold = task_run(world)

    def unit(tx: Transaction) -> None:
        tx.people.set_setting(CHANNEL, "timezone", "America/Sao_Paulo" if zone != "default" else None)
        if zone in ("pref", "profile"):
            tx.people.see(ANN.model_copy(update={"timezone": "Asia/Kolkata"}))
        if zone == "pref":
            tx.people.prefer(ANN, "tz", "Asia/Tokyo")

    world.store.run_sync(unit)
    answer = good(call(world, "schedule_followup", hold, when="tomorrow 9am", message="look"))
    assert answer["at"].endswith(f"T09:00:00{offset}")


def test_an_unclear_time_is_refused_with_the_instants_to_choose_from(world: World) -> None:
    hold = task_run(world)
    refused = bad(call(world, "schedule_followup", hold, when="3/10 9:00", message="look"))
    assert refused.kind == "bad" and refused.say.endswith("Nothing was set.")
    assert len(refused.choices) == 2 and all(datetime.fromisoformat(one).tzinfo for one in refused.choices)
    unread = bad(call(world, "schedule_followup", hold, when="soonish", message="look"))
    assert "soonish" in unread.say and unread.choices == () and follow_ups(world) == []


def test_an_agent_may_not_set_what_is_too_near_too_far_or_unknown(world: World) -> None:
    hold = task_run(world)
    near = bad(call(world, "schedule_followup", hold, when="in 30 seconds", message="look"))
    far = bad(call(world, "schedule_followup", hold, when="in 31 days", message="look"))
    who = bad(call(world, "schedule_followup", hold, when="in 1h", message="look", agent="nobody"))
    empty = bad(call(world, "schedule_followup", hold, when="in 1h", message=" \u200b "))
    long = bad(call(world, "schedule_followup", hold, when="in 1h", message="x" * 8001))
    assert "60 s ahead" in near.say and "30 days" in far.say and "no agent nobody" in who.say
    assert "`message`" in empty.say and "8,000" in long.say and follow_ups(world) == []


def test_a_run_of_a_follow_up_sets_one_and_a_chain_ends(world: World) -> None:
    hold = follow_up_run(world, wish(world))
    for _ in range(AGENT_CHAIN):
        good(call(world, "schedule_followup", hold, when="in 1h", message="again"))
        second = bad(call(world, "schedule_followup", hold, when="in 1h", message="and this"))
        assert "may set one follow-up" in second.say
        end(world, hold)
        hold = follow_up_run(world)
    over = bad(call(world, "schedule_followup", hold, when="in 1h", message="again"))
    assert "5 times in a row" in over.say
    assert [one.chain_depth for one in follow_ups(world)] == [0, 1, 2, 3, 4, 5]


def end(world: World, hold: RunHold) -> None:
    def unit(tx: Transaction) -> None:
        run = tx.runs.get(hold.run_id)
        assert run is not None
        lease = FollowUpLease(hold.run_id, hold.fence, run.follow_up_id or 0)
        assert world.app.followup_runs.answer(tx, lease, Said("Done."), Cost()) is not None

    world.store.run_sync(unit)


def test_a_follow_up_that_has_no_thread_yet_opens_it_and_keeps_it(world: World) -> None:
    hold = follow_up_run(world, wish(world, CHANNEL))
    good(call(world, "post_update", hold, text="Looking"))
    good(call(world, "schedule_followup", hold, when="in 1h", message="again"))
    first, second = follow_ups(world)
    assert first.thread_id is not None and second.thread_id == first.thread_id and second.anchored
    assert [one["id"] for one in good(call(world, "list_followups", hold))["follow_ups"]] == ["FU-1", "FU-2"]


def test_a_run_without_a_chat_sets_nothing(world: World) -> None:
    hold = task_run(world, None)
    assert "no chat thread" in bad(call(world, "schedule_followup", hold, when="in 1h", message="x")).say
    assert good(call(world, "list_followups", hold)) == {"follow_ups": []}
    assert good(call(world, "post_update", hold, text="Looking"))["say"]


def test_it_lists_and_cancels_only_what_an_agent_set_in_its_own_thread(world: World) -> None:
    hold = task_run(world)
    mine = good(call(world, "schedule_followup", hold, when="in 2h", message="mine"))["id"]
    for place in (THREAD, ELSEWHERE):
        assert isinstance(
            world.store.run_sync(lambda tx, p=place: world.app.followups.set(tx, wish(world, p))), FollowUpSet
        )
    listed = good(call(world, "list_followups", hold))["follow_ups"]
    assert [(one["id"], one["set_by"]) for one in listed] == [("FU-2", "person"), ("FU-1", "agent")]
    for foreign in ("FU-2", "FU-3", "FU-99", "CT-1", "nonsense", ""):
        refused = bad(call(world, "cancel_followup", hold, id=foreign))
        assert refused.kind == "not_found" and refused.say.startswith("No agent set")
    assert good(call(world, "cancel_followup", hold, id="1"))["state"] == "cancelled"
    assert good(call(world, "cancel_followup", hold, id=mine))["state"] == "cancelled"
    assert [one.state for one in follow_ups(world)][1:] == [FollowUpState.PENDING, FollowUpState.PENDING]


def test_another_persons_follow_up_in_the_thread_stays(world: World) -> None:
    hold = task_run(world)
    good(call(world, "schedule_followup", hold, when="in 2h", message="of Ann"))
    stop(world, 1)
    theirs = task_run(world, person=BOB)
    demote(world, BOB)
    assert bad(call(world, "cancel_followup", theirs, id="FU-1")).kind == "not_allowed"
    assert follow_ups(world)[0].state is FollowUpState.PENDING


def stop(world: World, number: int) -> None:
    world.store.run_sync(lambda tx: world.app.tasks.cancel(tx, number, ANN))


def demote(world: World, person: Person) -> None:
    world.store.run_sync(lambda tx: tx.people.see(person.model_copy(update={"roles": frozenset({"member"})})))


TOOLS = {
    "schedule_followup": {"when": "in 1h", "message": "look"},
    "list_followups": {},
    "cancel_followup": {"id": "FU-1"},
    "create_code_task": {"description": "Add a page for contacts"},
    "get_code_task": {"id": "CT-1"},
    "post_update": {"text": "Looking"},
    "ask_user": {"question": "Which color?"},
}


@pytest.mark.parametrize("name", TOOLS)
def test_nothing_is_done_for_a_run_whose_lease_is_lost(world: World, name: str) -> None:
    hold = task_run(world)
    taken, gone = RunHold(hold.run_id, hold.fence + 1), RunHold(99, 1)
    stop(world, 1)
    before = world.rows("SELECT count(*) FROM outbox")
    for lost in (hold, taken, gone):
        assert bad(call(world, name, lost, **TOOLS[name])).say == "This run is over. Nothing was done."
    assert world.rows("SELECT count(*) FROM outbox") == before and follow_ups(world) == []


def test_every_tool_that_is_offered_exists(world: World) -> None:
    assert set(tools(world).offered()) == set(TOOLS)


def test_who_may_not_file_any_more_gets_nothing_set_or_filed(world: World) -> None:
    hold = task_run(world, person=BOB)
    demote(world, BOB)
    for name in ("schedule_followup", "create_code_task"):
        assert bad(call(world, name, hold, **TOOLS[name])).kind == "not_allowed"
    world.store.run_sync(lambda tx: tx.people.see(BOB.model_copy(update={"kind": "guest"})))
    assert bad(call(world, "get_code_task", hold, id="CT-1")).kind == "not_found"


def test_one_code_task_is_filed_in_the_thread_for_the_requester(world: World) -> None:
    hold = task_run(world)
    filed = good(call(world, "create_code_task", hold, description="It should list people.", title="A people page"))
    again = good(call(world, "create_code_task", hold, description="It should list people.", title="A people page"))
    assert filed["id"] == again["id"] == "CT-2" and filed["title"] == "A people page"
    task = world.store.run_sync(lambda tx: tx.tasks.get(2))
    assert task is not None and (task.source, task.requester_id, task.stage) == ("agent", "U1", Stage.QUEUED)
    assert task.description == "A people page\n\nIt should list people."
    thread = world.store.run_sync(lambda tx: tx.threads.find(THREAD))
    assert thread is not None and task.thread_id == thread.id and "CT-2:card" in posts(world)
    other = bad(call(world, "create_code_task", hold, description="Something else entirely"))
    assert "may file one" in other.say
    stop(world, 1)
    stop(world, 2)
    assert "10 characters" in bad(call(world, "create_code_task", task_run(world), description="short")).say


def test_what_agents_filed_leads_to_no_further_code_task(world: World) -> None:
    hold = task_run(world)
    good(call(world, "create_code_task", hold, description="Add a people page"))
    stop(world, 1)
    claimed = world.claim()
    assert claimed is not None and claimed.task.source == "agent"
    second = RunHold(claimed.lease.run_id, claimed.lease.fence)
    assert "cannot lead" in bad(call(world, "create_code_task", second, description="And one more")).say
    good(call(world, "schedule_followup", second, when="in 1h", message="file one later"))
    stop(world, 2)
    later = follow_up_run(world)
    assert "cannot lead" in bad(call(world, "create_code_task", later, description="And one more")).say


def test_a_follow_up_that_a_persons_code_task_set_may_file_one(world: World) -> None:
    hold = task_run(world)
    good(call(world, "schedule_followup", hold, when="in 1h", message="file one later"))
    stop(world, 1)
    later = follow_up_run(world)
    assert good(call(world, "create_code_task", later, description="Add a people page"))["id"] == "CT-2"


def test_a_code_task_of_another_channel_and_person_is_not_shown(world: World) -> None:
    hold = task_run(world)
    for place, person in ((ELSEWHERE, BOB), (THREAD, BOB), (ELSEWHERE, ANN), (None, BOB)):
        file(world, place, person)
    seen = [call(world, "get_code_task", hold, id=f"CT-{number}") for number in range(1, 7)]
    assert [isinstance(one, ToolRefused) for one in seen] == [False, True, False, False, True, True]
    assert good(seen[0])["stage"] == "running"


def test_an_update_is_one_line_on_the_card(world: World) -> None:
    hold = task_run(world)
    good(call(world, "post_update", hold, text="Half done,\n the tests  pass"))
    run = world.store.run_sync(lambda tx: tx.runs.get(hold.run_id))
    assert run is not None and run.message == "Half done, the tests pass"
    assert "200 characters" in bad(call(world, "post_update", hold, text="x" * 201)).say
    assert bad(call(world, "post_update", hold, text="\n")).kind == "bad"
    assert posts(world) == ["CT-1:card"]


def test_a_run_of_a_follow_up_posts_three_updates_each_once(world: World) -> None:
    hold = follow_up_run(world, wish(world))
    for text in ("one", "one", "two", "three", "three"):
        good(call(world, "post_update", hold, text=text))
    assert "3 updates" in bad(call(world, "post_update", hold, text="four")).say
    assert posts(world) == [f"FU-1:{hold.run_id}:update:{n}" for n in (1, 2, 3)]


def test_no_secret_is_stored_or_posted(world: World) -> None:
    hold = task_run(world)
    good(call(world, "schedule_followup", hold, when="in 1h", message=f"use {SECRET}", title=f"T {SECRET}"))
    good(call(world, "create_code_task", hold, description=f"Print the value {SECRET} somewhere"))
    good(call(world, "post_update", hold, text=f"found {SECRET}"))
    stored = [
        row for table in ("follow_up", "code_task", "run", "outbox") for row in world.rows(f"SELECT * FROM {table}")
    ]
    assert SECRET not in repr(stored) and "***" in repr(stored)


def test_a_feature_that_is_off_is_not_offered(world: World) -> None:
    off = world.app.settings.model_copy(update={"features": ("codetasks",)})
    assert replace(tools(world), settings=off).offered() == (
        "create_code_task",
        "get_code_task",
        "post_update",
        "ask_user",
    )

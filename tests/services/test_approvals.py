"""What a click on Approve or Refuse decides: exactly the change that was shown, while it waits, by another admin."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.buttons import parse_button
from bot.core.inbound import Person
from bot.core.runs import APPROVAL_WAIT, ParkedChange
from bot.core.tasks import CodeTask, Stage
from bot.services.attempts import Cost
from bot.services.refusals import Refused
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.test_attempts import CHANGE, claim, put
from tests.storage.world import World

ANN = Person(platform="slack", workspace_id="T1", id="U1", name="ann", roles=frozenset({"owner"}))
BO = ANN.model_copy(update={"id": "U2", "name": "bo"})
OTHER_TREE = replace(CHANGE, tree_sha="e" * 40, sha="d" * 40)
OTHER_BASE = replace(CHANGE, base_sha="e" * 40, sha="a" * 40)


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(store, clock, tmp_path)


def see(world: World, *people: Person) -> None:
    world.store.run_sync(lambda tx: [tx.people.see(one) for one in people])


def park(world: World, change: ParkedChange = CHANGE) -> None:
    held = claim(world)
    world.store.run_sync(lambda tx: world.app.attempts.park(tx, held.lease, change, Cost()))


def decide(world: World, who: Person, change: ParkedChange = CHANGE, *, approved: bool = True) -> Any:
    mark = change.sha[:12]
    found = world.store.run_sync(lambda tx: world.app.tasks.decide(tx, 1, who, approved, mark))
    return found.key if isinstance(found, Refused) else found


def allowed(world: World) -> bool:
    parked = world.store.run_sync(lambda tx: tx.runs.parked(tx.runs.of_task(1)[-1].id or 0))
    return parked is not None and parked.approved


@pytest.mark.parametrize("shown", [OTHER_TREE, OTHER_BASE])
@pytest.mark.parametrize("approved", [True, False])
def test_a_click_on_another_change_decides_nothing(world: World, shown: ParkedChange, approved: bool) -> None:
    put(world)
    see(world, ANN, BO)
    park(world)
    assert decide(world, BO, shown, approved=approved) == "refused.approval_changed"
    assert world.rows("SELECT state FROM run") == [("waiting",)] and not allowed(world)
    assert isinstance(decide(world, BO), CodeTask) and allowed(world)


def test_a_change_that_was_made_anew_needs_a_new_click(world: World) -> None:
    put(world)
    see(world, ANN, BO)
    park(world)
    assert isinstance(decide(world, BO, approved=False), CodeTask)
    assert isinstance(world.store.run_sync(lambda tx: world.app.tasks.retry(tx, 1, ANN, None)), CodeTask)
    park(world, OTHER_TREE)
    assert decide(world, BO) == "refused.approval_changed"
    assert isinstance(decide(world, BO, OTHER_TREE), CodeTask)
    verdicts = world.rows("SELECT tree_sha, verdict, decided_by FROM approval ORDER BY run_id")
    assert verdicts == [(CHANGE.tree_sha, "refused", "slack:U2"), (OTHER_TREE.tree_sha, "approved", "slack:U2")]


def test_an_expired_question_decides_nothing_even_before_it_is_swept(world: World) -> None:
    put(world)
    see(world, ANN, BO)
    park(world)
    world.clock.advance(APPROVAL_WAIT + timedelta(seconds=1))
    assert decide(world, BO) == "refused.approval_expired"
    assert world.claim() is None and not allowed(world)


async def test_nobody_can_allow_what_expired(world: World) -> None:
    put(world)
    see(world, ANN, BO)
    park(world)
    world.clock.advance(APPROVAL_WAIT + timedelta(seconds=1))
    await world.reap()
    assert world.rows("SELECT stage, failure_reason FROM code_task") == [(Stage.FAILED.value, "refused")]
    assert world.rows("SELECT actor, subject FROM audit WHERE action = 'expire'") == [("server", "CT-1")]
    assert decide(world, BO) == "refused.nothing_to_approve"


def test_who_asked_may_not_allow_it_by_any_account(world: World) -> None:
    put(world)
    ann_elsewhere = Person(platform="discord", workspace_id="G1", id="77", name="ann", roles=frozenset({"owner"}))
    see(world, ANN, BO, ann_elsewhere)
    park(world)
    assert decide(world, ANN) == "refused.own_approval"
    linked = ann_elsewhere.model_copy(update={"also": (ANN,)})
    assert decide(world, linked) == "refused.own_approval"
    assert isinstance(decide(world, ann_elsewhere), CodeTask), "somebody else, as far as anyone said"


def test_the_only_admin_may_allow_what_they_asked_for(world: World) -> None:
    put(world)
    also = Person(platform="discord", workspace_id="G1", id="77", name="ann", roles=frozenset({"owner"}))
    see(world, ANN, also, BO.model_copy(update={"roles": frozenset({"member"})}))
    park(world)
    assert decide(world, ANN) == "refused.own_approval", "the other account is another admin until it is linked"
    assert isinstance(decide(world, ANN.model_copy(update={"also": (also,)})), CodeTask)


def test_the_audit_trail_keeps_what_was_decided(world: World) -> None:
    put(world)
    see(world, ANN, BO)
    park(world)
    decide(world, BO)
    (entry,) = world.rows("SELECT actor, subject, detail FROM audit WHERE action = 'approve'")
    assert entry[:2] == ("slack:U2", "CT-1")
    assert CHANGE.tree_sha in entry[2] and CHANGE.base_sha in entry[2] and CHANGE.sha in entry[2]


def test_a_button_names_the_change() -> None:
    found = parse_button("codetask:approve:CT-12-" + "c" * 12)
    assert getattr(found, "change", None) == "c" * 12
    for wrong in (
        "codetask:approve:CT-12-xyz",
        "codetask:approve:CT-12-" + "c" * 13,
        "codetask:cancel:CT-12-" + "c" * 12,
    ):
        assert parse_button(f"codetask:{wrong}") is None

"""One person, several accounts: the groups that links make, and what they change where something is decided."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.core.followups import FollowUpReason, FollowUpState
from bot.core.inbound import Person
from bot.core.people import Role, RolePolicy, role_of
from bot.services.linking import Linked, link_accounts, unlink_account
from bot.services.people import known_person, with_links
from bot.services.refusals import Refused
from storage.engine import Database
from tests.clock import FakeClock
from tests.services.follow_up_desk import ANA, CY, Desk, make_desk  # noqa: F401
from tests.storage.conformance.bench import together
from tests.storage.world import World

ELSEWHERE = Person(platform="discord", workspace_id="G1", id="77", name="ana", roles=frozenset({"member", "900"}))
THIRD = Person(platform="lark", workspace_id="t", id="ou_1", name="ana", roles=frozenset({"member"}))
FOURTH = THIRD.model_copy(update={"id": "ou_2"})
EVERYONE = (ANA, ELSEWHERE, THIRD, FOURTH)


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    made = World(store, clock, tmp_path)
    store.run_sync(lambda tx: [tx.people.see(one) for one in EVERYONE])
    return made


def link(world: World, one: Person, other: Person) -> Any:
    return world.store.run_sync(lambda tx: link_accounts(tx, one.account, other.account, CY))


def unlink(world: World, one: Person) -> Refused | None:
    return world.store.run_sync(lambda tx: unlink_account(tx, one.account, CY))


def linked(world: World, one: Person) -> set[str]:
    return {other.account for other in world.store.run_sync(lambda tx: with_links(tx, one)).also}


def test_links_join_groups_and_unlinking_takes_one_out(world: World) -> None:
    link(world, ANA, ELSEWHERE)
    link(world, THIRD, FOURTH)
    assert linked(world, ANA) == {ELSEWHERE.account}
    told = link(world, FOURTH, ANA)
    assert isinstance(told, Linked) and told.fresh
    for one in EVERYONE:
        assert linked(world, one) == {other.account for other in EVERYONE if other != one}
    assert link(world, THIRD, ELSEWHERE).fresh is False
    assert unlink(world, FOURTH) is None
    assert linked(world, FOURTH) == set() and linked(world, THIRD) == {ANA.account, ELSEWHERE.account}
    assert isinstance(unlink(world, FOURTH), Refused)
    unlink(world, THIRD)
    unlink(world, ANA)
    assert linked(world, ELSEWHERE) == set(), "nobody is linked to nobody"
    assert isinstance(unlink(world, ELSEWHERE), Refused)


def test_admins_who_link_at_one_moment_make_one_group(world: World) -> None:
    pairs = [(ANA, ELSEWHERE), (ELSEWHERE, THIRD), (THIRD, FOURTH), (FOURTH, ANA)]
    together(4, lambda n: link(world, *pairs[n]))
    for one in EVERYONE:
        assert linked(world, one) == {other.account for other in EVERYONE if other != one}
    assert world.rows("SELECT count(DISTINCT person) FROM person_link") == [(1,)]


async def test_the_roles_of_all_accounts_are_asked_for(world: World) -> None:
    link(world, ANA, ELSEWHERE)
    asked: list[str] = []

    class Platform:
        def __init__(self, roles: set[str]) -> None:
            self.roles = frozenset(roles)

        async def resolve(self, person: Person) -> Person:
            asked.append(person.account)
            return person.model_copy(update={"roles": self.roles})

    platforms: Any = {"slack": Platform({"member"}), "discord": Platform({"member", "owner"})}
    known = await known_person(ANA, platforms, world.store, world.app.tasks.rights)
    assert asked == [ANA.account, ELSEWHERE.account]
    assert role_of(known, RolePolicy()) is Role.ADMIN
    platforms["discord"] = Platform({"member"})
    known = await known_person(ANA, platforms, world.store, world.app.tasks.rights)
    assert role_of(known, RolePolicy()) is Role.VIEWER, "whoever lost a role elsewhere has lost it"


async def test_a_follow_up_fires_by_the_role_of_a_linked_account(make_desk: Callable[..., Desk]) -> None:  # noqa: F811
    desk = make_desk(filers="discord:900")

    def unit(tx: Any) -> None:
        for one in (ANA, ELSEWHERE):
            tx.people.see(one)
        link_accounts(tx, ANA.account, ELSEWHERE.account, CY)

    assert "can" in (await desk.says("in 2h check the deploy")).text and await desk.all() == []
    await desk.app.store.run(unit)
    for _ in range(2):
        await desk.says("in 2h check the deploy")
    await desk.app.store.run(lambda tx: tx.followups.update(1, due_at=tx.now))
    await desk.fires()
    assert await desk.state(1) is FollowUpState.RUNNING
    await desk.app.store.run(lambda tx: unlink_account(tx, ELSEWHERE.account, CY))
    await desk.app.store.run(lambda tx: tx.followups.update(2, due_at=tx.now))
    await desk.fires()
    late = (await desk.all())[1]
    assert (late.state, late.failure_reason) == (FollowUpState.FAILED, FollowUpReason.REFUSED)

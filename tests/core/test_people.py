"""Roles and rights, as the table of product rule 9."""

import pytest

from bot.core.inbound import Person, PersonKind
from bot.core.people import CONSOLE, Action, Role, RolePolicy, is_requester, may, role_of
from bot.core.tasks import CodeTask
from tests.clock import FakeClock

PLAIN = RolePolicy()
V, F, A = Role.VIEWER, Role.FILER, Role.ADMIN


def person(
    *roles: str, id: str = "U1", kind: PersonKind = "human", workspace: str = "T1", platform: str = "slack"
) -> Person:
    return Person(platform=platform, workspace_id=workspace, id=id, kind=kind, roles=frozenset(roles))


@pytest.mark.parametrize(
    ("who", "role"),
    [
        (person("owner"), A),
        (person("admin", "member"), A),
        (person("member"), V),
        (person(), V),
        (person("member", kind="guest"), None),
        (person("admin", kind="external"), None),
        (person("owner", kind="bot"), None),
        (person(kind="webhook"), None),
        (person(platform=CONSOLE, id="root"), A),
    ],
)
def test_p03_the_default_policy(who: Person, role: Role | None) -> None:
    assert role_of(who, PLAIN) == role


@pytest.mark.parametrize("entry", ["U1", "slack:U1", "slack:T1:U1", "S9", "slack:S9", "slack:T1:S9"])
def test_ids_and_groups_can_be_written_in_three_ways(entry: str) -> None:
    who = person("member", "S9")
    assert role_of(who, RolePolicy.of(admins=[entry])) == A
    assert role_of(who, RolePolicy.of(filers=[entry])) == F
    assert role_of(who, RolePolicy.of(viewers=[entry])) == V


@pytest.mark.parametrize("entry", ["u1", "discord:U1", "slack:T2:U1", "T1:U1", "slack:", "", "U", "slack", "*"])
def test_other_entries_name_nobody(entry: str) -> None:
    assert role_of(person("member"), RolePolicy.of(admins=[entry])) == V


def test_listed_bots_and_guests_have_the_role_they_are_listed_with() -> None:
    policy = RolePolicy.of(filers=["slack:B1", "S9"], viewers=["U7"])
    assert role_of(person(id="B1", kind="bot"), policy) == F
    assert role_of(person(id="U7", kind="guest"), policy) == V
    assert role_of(person("S9", id="U8", kind="guest"), policy) is None


def test_naming_viewers_shuts_other_members_out() -> None:
    policy = RolePolicy.of(viewers=["U7"])
    assert role_of(person("member", id="U7"), policy) == V
    assert role_of(person("member", id="U8"), policy) is None
    assert role_of(person("owner", id="U9"), policy) == A


@pytest.mark.parametrize(
    "policy", [RolePolicy(open_filing=True), RolePolicy.of(filers=["*"]), RolePolicy.of(filers=["member"])]
)
def test_open_filing_is_for_members_only_and_says_so(policy: RolePolicy) -> None:
    assert policy.is_open
    assert not PLAIN.is_open
    assert role_of(person("member"), policy) == F
    assert role_of(person("member", kind="guest"), policy) is None


def test_workspace_admins_need_not_be_admins() -> None:
    assert role_of(person("owner"), RolePolicy(platform_admins=False)) == V


OWN = (Action.CANCEL, Action.STOP, Action.UNDO, Action.RETRY, Action.EDIT, Action.DELETE, Action.MERGED, Action.RUN_NOW)
TABLE: dict[Action, tuple[bool, bool, bool, bool]] = {
    # action: viewer, filer, requester who is a filer, admin
    Action.VIEW: (True, True, True, True),
    Action.FILE: (False, True, True, True),
    Action.SEND: (False, True, True, True),
    **dict.fromkeys(OWN, (False, False, True, True)),
    Action.JUDGE: (False, True, True, True),
    Action.APPROVE: (False, False, False, True),
    Action.CONFIGURE: (False, False, False, True),
    Action.OWN_SETTINGS: (True, True, True, True),
}


@pytest.mark.parametrize("action", list(Action))
def test_the_table_of_rights(action: Action) -> None:
    row = (
        may(V, action, is_requester=False),
        may(F, action, is_requester=False),
        may(F, action, is_requester=True),
        may(A, action, is_requester=False),
    )
    assert row == TABLE[action]
    assert not may(None, action, is_requester=True)
    assert may(V, action, is_requester=True) == TABLE[action][0]


def test_the_requester_is_one_person_of_one_workspace(clock: FakeClock) -> None:
    task = CodeTask(
        uuid="u",
        name="n",
        requester_platform="slack",
        requester_workspace="T1",
        requester_id="U1",
        title="t",
        description="d",
        repo="web",
        base="main",
        agent="demo",
        created_at=clock.now(),
        updated_at=clock.now(),
    )
    assert is_requester(person(), task)
    assert not is_requester(person(workspace="T2"), task)
    assert not is_requester(person(id="U2"), task)
    assert not is_requester(person(platform="discord"), task)
    assert not is_requester(person(id=""), task.model_copy(update={"requester_id": ""}))


def test_the_highest_role_of_linked_accounts_holds() -> None:
    policy = RolePolicy.of(admins=["discord:G1:77"], filers=["U5"])
    elsewhere = person(platform="discord", workspace="G1", id="77", kind="guest")
    assert role_of(person("member"), policy) == V
    assert role_of(person("member").model_copy(update={"also": (elsewhere,)}), policy) == A
    assert role_of(elsewhere.model_copy(update={"also": (person("member"),)}), policy) == A
    weaker = person("member", id="U5").model_copy(update={"also": (person("member"),)})
    assert role_of(weaker, policy) == F
    owner = person("owner", platform="discord", workspace="G1", id="78")
    assert role_of(person(kind="guest").model_copy(update={"also": (owner,)}), RolePolicy()) == A


def test_what_one_account_filed_belongs_to_all_of_them(clock: FakeClock) -> None:
    task = CodeTask(
        uuid="u", name="n", requester_platform="slack", requester_workspace="T1", requester_id="U1", title="t",
        description="d", repo="r", base="main", agent="a", created_at=clock.now(), updated_at=clock.now(),
    )  # fmt: skip
    elsewhere = person(platform="discord", workspace="G1", id="77")
    assert not is_requester(elsewhere, task)
    assert is_requester(elsewhere.model_copy(update={"also": (person(),)}), task)
    assert not is_requester(elsewhere.model_copy(update={"also": (person(id=""),)}), task)

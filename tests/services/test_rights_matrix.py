"""The table of rights (product rule 9) as a whole: every role, kind of person, act, kind of channel and platform.

What must come of each is worked out here from one small table, not from `bot.core.people`."""

from itertools import product
from pathlib import Path
from typing import Final

import pytest

from bot.core.suggestions import hash_of
from storage.engine import Database
from tests.clock import FakeClock
from tests.services.rights_world import (
    ASKED,
    CHANGE,
    CHANNELS,
    GUARDED,
    KINDS,
    ROLES,
    WORKSPACES,
    Act,
    World,
    account,
    owner_of,
)
from tests.stores import only_sqlite

MARK: Final = CHANGE.sha[:12]
STAGE: Final = "(SELECT stage FROM code_task WHERE id = {}) = '{}'"
STATE: Final = "(SELECT state FROM {} WHERE id = {}) = '{}'"
TASKS: Final = "(SELECT count(*) FROM code_task) = 5"
SETTING: Final = "EXISTS (SELECT 1 FROM channel_setting WHERE key = '{}' AND value = '{}')"

ACTS: Final = (
    Act("whoami", "anyone", "whoami"),
    Act("help", "anyone", "help"),
    Act("list", "viewer", "list all"),
    Act("show", "viewer", "show CT-1"),
    Act("status", "viewer", press="codetask:status:CT-1"),
    Act("details", "viewer", press="codetask:details:CT-1"),
    Act("logs", "viewer", "logs CT-1"),
    Act("top", "viewer", "top"),
    Act("suggestions", "viewer", "suggestions"),
    Act("show a follow-up", "viewer", "show FU-7", command="followup", here=True),
    Act("file", "filer", "Fix the redirect of the sign-in page", done=TASKS),
    Act("file a message", "filer", "Fix the redirect of the sign-in page", door="shortcut", done=TASKS),
    Act("set a follow-up", "filer", "in 2h check it", command="followup", done="(SELECT count(*) FROM follow_up) = 2"),
    Act("cancel", "own", "cancel CT-1", done=STAGE.format(1, "failed")),
    Act("press cancel", "own", press="codetask:cancel:CT-1", done=STAGE.format(1, "failed")),
    Act("stop", "own", "stop CT-1", done=STAGE.format(1, "failed")),
    Act("retry", "own", "retry CT-2", done=STAGE.format(2, "queued")),
    Act("press retry", "own", press="codetask:retry:CT-2", done=STAGE.format(2, "queued")),
    Act("send a note", "own", "note=look again", form="codetask:retry_note:CT-2", done=STAGE.format(2, "queued")),
    Act("ask for changes", "filer", "note=use tabs", form="codetask:ask_changes:CT-1",
        done="(SELECT coalesce(instruction, '') FROM code_task WHERE id = 1) LIKE '%use tabs%'"),
    Act("mark merged", "own", press="codetask:merged:CT-3", done=STAGE.format(3, "merged")),
    Act("edit", "own", "edit CT-1 Fix the footer of the start page", done=f"{STAGE.format(1, 'queued')} AND "
        "(SELECT description FROM code_task WHERE id = 1) LIKE '%footer%'"),
    Act("cancel a follow-up", "own", "cancel FU-7", command="followup", done=STATE.format("follow_up", 7, "cancelled")),
    Act("press cancel on one", "own", press="codetask:cancel:FU-7", done=STATE.format("follow_up", 7, "cancelled")),
    Act("delete a follow-up", "own", "delete FU-7", command="followup", done="(SELECT count(*) FROM follow_up) = 0"),
    Act("approve", "admin", press=f"codetask:approve:CT-4-{MARK}", done="(SELECT state FROM run WHERE code_task_id = 4)"
        " = 'queued'"),
    Act("refuse", "admin", press=f"codetask:refuse:CT-4-{MARK}", done=STAGE.format(4, "failed")),
    Act("file a suggestion", "filer", press=f"codetask:file:RQ-1-{hash_of(ASKED)[:12]}", done=TASKS),
    Act("not a request", "filer", press="codetask:not_request:RQ-1", done=STATE.format("suggestion", 1, "dismissed")),
    Act("same", "filer", press="codetask:same:RQ-1-1", done=STATE.format("suggestion", 1, "same")),
    Act("edit a suggestion", "filer", "edit RQ-1 Add a PDF export of invoices", here=True,
        done="(SELECT text FROM suggestion WHERE id = 1) LIKE '%PDF%'"),
    Act("allow", "admin", press=f"codetask:allow:RQ-2-{hash_of(GUARDED)[:12]}", done=TASKS),
    Act("file what needs an admin", "admin", press=f"codetask:file:RQ-2-{hash_of(GUARDED)[:12]}", done=TASKS),
    Act("deny", "admin", press="codetask:deny:RQ-2", done=STATE.format("suggestion", 2, "expired")),
    Act("set one's own zone", "viewer", "settings tz Europe/Paris", done="EXISTS (SELECT 1 FROM person_setting)"),
    Act("set the channel's zone", "admin", "settings timezone Europe/Paris", done=SETTING.format("timezone",
        "Europe/Paris")),
    Act("turn intake on", "admin", "settings intake observe", done=SETTING.format("intake", "observe")),
)  # fmt: skip

MAY: Final = {
    "anyone": ROLES,
    "viewer": ("viewer", "filer", "requester", "admin"),
    "filer": ("filer", "requester", "admin"),
    "own": ("requester", "admin"),
    "admin": ("admin",),
}
"""Who may do what, in the words of the table: `own` is what belongs to oneself, or anything for an admin."""


def expected(act: Act, role: str, channel: str) -> str:
    """What must come of it. Neither the kind of person nor the platform counts: only how they are listed."""
    if channel == "unlisted":
        return "unheard"
    elsewhere = act.here and channel == "dm"
    allowed = set(MAY[act.needs]) & (_knows(act) if elsewhere else set(ROLES))
    return "done" if role in allowed else "refused"


def _knows(act: Act) -> set[str]:
    """Who knows a thing outside its channel: admins, and of a follow-up whoever set it."""
    return {"admin", "requester"} if "follow-up" in act.name else {"admin"}


@pytest.fixture
def world(store: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(store, tmp_path)


def cells(role: str) -> dict[tuple[str, str, str], list[tuple[Act, str, str]]]:
    """Every act in every kind of channel; kinds of people and platforms take turns there, twice, so that every act
    meets each of them. By the things that the act is done to: platform, channel, kind of their owner."""
    found: dict[tuple[str, str, str], list[tuple[Act, str, str]]] = {}
    for again, (number, act), (at, channel) in product(range(2), enumerate(ACTS), enumerate(CHANNELS)):
        if again and channel == "unlisted":
            continue
        kind = KINDS[(at + again * 4 + number + ROLES.index(role)) % len(KINDS)]
        platform = tuple(WORKSPACES)[(at + again + number) % len(WORKSPACES)]
        place = CHANNELS["private" if channel == "private" else "public"]
        whose = kind if role == "requester" else "other"
        found.setdefault((platform, place, whose), []).append((act, kind, channel))
    return found


@only_sqlite
@pytest.mark.parametrize("role", ROLES)
async def test_the_table_of_rights(world: World, role: str) -> None:
    wrong: list[str] = []
    for (platform, place, whose), acts in cells(role).items():
        with world.things(platform, place, owner_of(role, whose, platform)) as things:
            for act, kind, channel in acts:
                came = await things.after(act, account(role, kind, platform), channel)
                must = expected(act, role, channel)
                if came != must:
                    wrong.append(f"{act.name}: {role} {kind} in {channel} on {platform} must be {must}, was {came}")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:40])


def test_every_role_and_act_meets_every_kind_of_person_and_every_platform() -> None:
    for role in ROLES:
        every = [(act.name, kind, one[0]) for one, acts in cells(role).items() for act, kind, _ in acts]
        for act in ACTS:
            mine = [(kind, platform) for name, kind, platform in every if name == act.name]
            assert {kind for kind, _ in mine} == set(KINDS), (role, act.name)
            assert {platform for _, platform in mine} == set(WORKSPACES), (role, act.name)

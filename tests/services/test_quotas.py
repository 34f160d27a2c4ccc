"""Quotas of filing: per person and per channel in 24 hours, over all accounts, also when two file at one moment."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.app import App, wire
from bot.core.inbound import Person, ThreadRef
from bot.core.texts import Texts
from bot.services.quotas import DAY
from bot.services.refusals import Refused
from bot.services.tasks import Filed, Filing
from platforms.registry import load_settings
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.conformance.bench import together

ANN = Person(platform="slack", workspace_id="T1", id="U1", name="ann", roles=frozenset({"member"}))
BO = ANN.model_copy(update={"id": "U2", "name": "bo"})
ADMIN = ANN.model_copy(update={"id": "U9", "roles": frozenset({"owner"})})
ELSEWHERE = Person(platform="discord", workspace_id="G1", id="77", name="ann", roles=frozenset({"member"}))
HERE = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1")
THERE = HERE.model_copy(update={"channel_id": "C2"})
Make = Callable[..., "Desk"]


class Desk:
    def __init__(self, app: App) -> None:
        self.app, self.count = app, 0

    def files(self, who: Person = ANN, place: ThreadRef | None = HERE, key: str | None = None) -> Any:
        """What it said: the reference, or the refusal's key."""
        self.count += 1
        text = f"Fix the login redirect, take {self.count}"

        def unit(tx: Any) -> Any:
            thread = tx.threads.open(place.model_copy(update={"root": f"{self.count}.0"})).id if place else None
            filing = Filing(text, who, thread_id=thread, channel=place, dedup_key=key)
            return self.app.tasks.file(tx, filing)

        found: Filed | Refused = self.app.store.run_sync(unit)  # type: ignore[attr-defined]
        return found.task.ref if isinstance(found, Filed) else found


@pytest.fixture
def make(store: Database, tmp_path: Path) -> Make:
    def made(**settings: Any) -> Desk:
        repos = {"web": {"url": "file:///nowhere/web.git", "forge": "none"}}
        chosen = {"codetask_data": tmp_path, "repos": repos, "default_agent": "demo", "filers": "member", **settings}
        return Desk(wire(load_settings(**chosen), store, {}, {}))

    return made


def said(refused: Refused) -> str:
    return Texts.load().say(refused.key, **refused.values)


def test_a_person_may_file_so_many_a_day(make: Make, clock: FakeClock) -> None:
    desk = make(person_daily_tasks=2, admins="slack:U9")
    assert desk.files() == "CT-1"
    clock.advance(3600)
    assert desk.files(place=THERE) == "CT-2"
    over = desk.files(place=None)
    assert over.kind == "state"
    assert said(over) == (
        "You have filed 2 code tasks in 24 hours, the limit. "
        "The next one can be filed in 23 h; @U9 can raise the limit."
    )
    assert desk.files(BO) == "CT-3", "another person has a limit of their own"
    clock.advance(DAY - timedelta(hours=1))
    assert desk.files() == "CT-4", "the first one is a day old by now"
    assert desk.files().key == "refused.person_quota"


def test_a_channel_takes_so_many_a_day(make: Make) -> None:
    desk = make(channel_daily_tasks=2)
    assert [desk.files(ANN), desk.files(BO)] == ["CT-1", "CT-2"]
    assert desk.files(ANN).key == "refused.channel_quota_nobody"
    assert [desk.files(ANN, THERE), desk.files(ANN, None)] == ["CT-3", "CT-4"]


def test_nobody_may_file_where_the_limit_is_zero_but_admins(make: Make) -> None:
    desk = make(person_daily_tasks=0, channel_daily_tasks=0)
    assert desk.files().key == "refused.person_quota_none_nobody"
    assert desk.files(ADMIN) == "CT-1"
    assert make(channel_daily_tasks=0).files().key == "refused.channel_quota_none_nobody"


def test_the_same_message_again_counts_once_and_is_answered(make: Make) -> None:
    desk = make(person_daily_tasks=1)
    assert [desk.files(key="m:1"), desk.files(key="m:1")] == ["CT-1", "CT-1"]
    assert desk.files(key="m:2").key == "refused.person_quota_nobody"


def test_deleting_gives_nothing_back(make: Make) -> None:
    desk = make(person_daily_tasks=1)
    desk.files()
    for verb in ("cancel", "delete"):
        desk.app.store.run_sync(lambda tx, v=verb: getattr(desk.app.tasks, v)(tx, 1, ANN))  # type: ignore[attr-defined]
    assert desk.files().key == "refused.person_quota_nobody"


def test_linked_accounts_share_one_limit(make: Make) -> None:
    desk = make(person_daily_tasks=2)
    whole = [ANN.model_copy(update={"also": (ELSEWHERE,)}), ELSEWHERE.model_copy(update={"also": (ANN,)})]
    assert [desk.files(one, None) for one in whole] == ["CT-1", "CT-2"]
    assert [desk.files(one, None).key for one in whole] == ["refused.person_quota_nobody"] * 2


@pytest.mark.parametrize("limit", ["person", "channel"])
def test_many_at_one_moment_stay_within_the_limit(make: Make, limit: str) -> None:
    desk = make(**{f"{limit}_daily_tasks": 3})
    people = [ANN if limit == "person" else ANN.model_copy(update={"id": f"U{n}"}) for n in range(8)]
    filed = together(8, lambda n: desk.files(people[n]))
    assert sorted(isinstance(one, str) for one in filed) == [False] * 5 + [True] * 3

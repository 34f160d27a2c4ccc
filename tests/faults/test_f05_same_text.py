"""F5: two people ask for the same thing at the same moment, by different doors. Both asked: each gets a code task."""

from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

from bot.store import TaskFilter
from tests.faults.process import Nursery
from tests.faults.site import site

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

PAIRS: Final = 5
LONG: Final = 100
UNBOUND: Final = {"person_daily_tasks": 1_000, "channel_daily_tasks": 1_000}


async def test_each_of_two_people_gets_a_code_task(
    tmp_path: Path, nursery: Nursery, site_url: str, long_run: bool
) -> None:
    pairs = LONG if long_run else PAIRS
    async with site(tmp_path, nursery, site_url, filers="*", **UNBOUND) as place:
        place.start("serve")
        await place.connected()
        for number in range(pairs):
            text = f"Write the word done into file number {number}"
            place.slack.user_mentions("bo", text)
            place.slack.runs_command("ana", f"/codetask {text}")
        await place.until(lambda _: True, 2 * pairs)
        tasks = await place.store.run(lambda tx: list(tx.tasks.list(TaskFilter(limit=1000))), read=True)
        people: dict[str, list[str]] = defaultdict(list)
        for task in tasks:
            people[task.description].append(task.requester_id)
        assert len(people) == pairs
        both = sorted(place.slack.user(name).id for name in ("ana", "bo"))
        assert all(sorted(asked) == both for asked in people.values())
        await place.says("CT-1 ")

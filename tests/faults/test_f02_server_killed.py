"""F2: `kill -9` around the ack: what was acked exists once, what was not exists once after Slack sends it again."""

import asyncio
import signal
from pathlib import Path
from typing import Final

import pytest

from bot.core.tasks import Stage
from tests.faults.conftest import Urls
from tests.faults.invariants import check
from tests.faults.process import Nursery
from tests.faults.site import REQUEST, site

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

FAILPOINTS: Final = ("inbox.inserted_unacked", "command.before_commit", "outbox.claimed")
LATER: Final = ("inbox.before_insert", "inbox.acked", "command.after_commit")


async def survives(folder: Path, nursery: Nursery, database_url: str, failpoint: str) -> None:
    async with site(folder, nursery, database_url) as place:
        first = place.start("all", f"{failpoint}:kill")
        await place.connected()
        said = place.slack.user_mentions("ana", REQUEST)
        assert await first.died(60) == -signal.SIGKILL, failpoint
        second = place.start("all")
        await place.slack.wait_for(lambda: place.slack.connections_opened > 1 and place.slack.connections, 30)
        place.slack.redeliver(said)
        await place.reaches(Stage.REVIEW)
        await place.says("PR ready")
        await place.settled()
        assert await second.stop() == 0, second.said[-2000:]
        assert await place.task(2) is None, f"{failpoint}: filed twice"
        await check(place, replies=["PR ready"])


async def test_each_point_around_the_ack(tmp_path: Path, nursery: Nursery, sqlite_urls: Urls, long_run: bool) -> None:
    for number in range(20 if long_run else 1):
        for some in (FAILPOINTS, LATER) if long_run else (FAILPOINTS,):
            urls = sqlite_urls(len(some))
            async with asyncio.TaskGroup() as group:
                for url, failpoint in zip(urls, some, strict=True):
                    folder = tmp_path / f"{number}-{failpoint}"
                    group.create_task(survives(folder, nursery, url, failpoint))

"""F2, intake: `kill -9` between a message and its suggestion: one line comes of it, and no other word is on disk."""

import asyncio
import signal
from pathlib import Path
from typing import Final

import pytest

from bot.core.suggestions import OPEN, SKIPPED, WAITING
from tests.faults.conftest import Urls
from tests.faults.intake import (
    CANARY,
    CHATTER,
    ON,
    WISH,
    check_silence,
    items,
    lines,
    reads_of,
    settled,
    time_passes,
    turn_on,
    until,
)
from tests.faults.invariants import check_leftovers, check_secrets
from tests.faults.process import Nursery
from tests.faults.site import site

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]

JUDGING: Final = ("intake.claimed:kill", "intake.judged:kill", "intake.before_commit:kill")
"""Before anything of the suggestion is stored."""
POSTING: Final = ("outbox.claimed:kill:2", "delivery.before:kill:2", "delivery.sent_unrecorded:kill:2")
"""The mark on the message goes out first, the line second."""
FAILPOINTS: Final = (*JUDGING, *POSTING)


async def survives(folder: Path, nursery: Nursery, database_url: str, failpoint: str) -> None:
    """A process dies at the failpoint, the next one finishes."""
    async with site(folder, nursery, database_url, **ON) as place:
        await turn_on(place)
        first = place.start("serve", failpoint)
        await place.connected()
        wish = place.slack.user_says("ana", WISH)
        chatter = place.slack.user_says("bo", CHATTER)
        assert await first.died(60) == -signal.SIGKILL, failpoint
        left = (await items(place))[0]
        assert left.state is (WAITING if failpoint in JUDGING else OPEN), failpoint
        assert left.text == ("" if failpoint in JUDGING else WISH)
        posted = "sent_unrecorded" in failpoint
        assert len(lines(place)) == posted, f"{failpoint} is not where this test wants it"
        check_silence(place, CANARY, *(["invoices page"] if failpoint in JUDGING else []))
        assert reads_of(place, wish) == 0
        await time_passes(place)
        second = place.start("serve")
        await until(place, lambda found: [item.state for item in found] == [OPEN, SKIPPED])
        line = (await place.slack.wait_for(lambda: lines(place), 30))[0]
        assert "CSV export on the invoices page" in place.shown(line)
        place.slack.redeliver(wish)
        await settled(place)
        assert await second.stop() == 0, second.said[-2000:]
        assert [line.thread_ts for line in lines(place)] == [wish.ts], [place.shown(one) for one in place.slack.sent]
        assert len(place.slack.sent) == 1
        # The words were on no disk, so Slack was asked: for each once, or by a backfill, or it told again.
        assert reads_of(place, wish) <= (failpoint in JUDGING)
        assert reads_of(place, chatter) <= 1
        check_silence(place, CANARY)
        await check_leftovers(place)
        check_secrets(place)


async def test_each_point_between_message_and_line(
    tmp_path: Path, nursery: Nursery, sqlite_urls: Urls, postgres_urls: Urls, long_run: bool
) -> None:
    for number in range(20 if long_run else 1):
        urls = [*sqlite_urls(3), *postgres_urls(3)]
        first = number % len(FAILPOINTS)
        order = FAILPOINTS[first:] + FAILPOINTS[:first]  # in the long run each meets both stores
        for some in (slice(0, 3), slice(3, 6)):
            async with asyncio.TaskGroup() as group:
                for url, failpoint in zip(urls[some], order[some], strict=True):
                    folder = tmp_path / f"{number}-{FAILPOINTS.index(failpoint)}"  # short: sockets lie in it
                    group.create_task(survives(folder, nursery, url, failpoint))

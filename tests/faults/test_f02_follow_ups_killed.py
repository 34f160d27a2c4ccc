"""F2, follow-ups: `kill -9` around the firing and around the answer, and nobody up when one falls due."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from bot.core.followups import FollowUpKind, FollowUpReason, FollowUpState
from bot.core.runs import RunLease
from tests.faults.conftest import Urls
from tests.faults.follow_ups import ENDED, Thread, reaches, runs_of
from tests.faults.invariants import check_leftovers, check_secrets
from tests.faults.process import Nursery
from tests.faults.site import site

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]

FIRING: Final = ("followup.before_commit", "followup.claimed")
ANSWERING: Final = ("agent.mid", "followup.posted_unmarked")
FAILPOINTS: Final = (*FIRING, *ANSWERING)
ON: Final = {"features": ("codetasks", "followups"), "filers": "*"}
SAID: Final = "The build is green"
WATER: Final = "Water the plants"


async def survives(folder: Path, nursery: Nursery, database_url: str, failpoint: str) -> None:
    """A process dies at the failpoint, the next one finishes: one firing, one answer in the thread."""
    async with site(folder, nursery, database_url, **ON) as place:
        (folder / "agent.sh").write_text(f"cat >/dev/null\necho looking\necho {SAID}\n")
        first = place.start("all", f"{failpoint}:kill")
        await place.connected()
        thread = Thread(place)
        number = await thread.set(after=timedelta(seconds=0.5))
        assert await first.died(60) == -signal.SIGKILL, failpoint
        second = place.start("all")
        done = await reaches(place, number, *ENDED)
        assert done.state is FollowUpState.SUCCESS, f"{failpoint}: {done.failure_reason}: {done.error}"
        await place.slack.wait_for(lambda: thread.saying(SAID), 30)
        await place.settled()
        assert await second.stop() == 0, second.said[-2000:]
        assert len(thread.saying(SAID)) == 1, [place.shown(message) for message in place.slack.sent]
        runs = await runs_of(place, number)
        lost = [RunLease.LOST] if failpoint in ANSWERING else []
        assert [run.state for run in runs] == [*lost, RunLease.DONE]
        assert (done.attempt, done.crashes) == (len(runs), len(lost))
        await check_leftovers(place)
        check_secrets(place)


async def test_each_point_around_firing_and_answering(
    tmp_path: Path, nursery: Nursery, sqlite_urls: Urls, postgres_urls: Urls, long_run: bool
) -> None:
    for number in range(20 if long_run else 1):
        urls = [*sqlite_urls(2), *postgres_urls(2)]
        first = number % len(FAILPOINTS)
        order = FAILPOINTS[first:] + FAILPOINTS[:first]  # in the long run each meets both stores
        for some in (slice(0, 2), slice(2, 4)):
            async with asyncio.TaskGroup() as group:
                for url, failpoint in zip(urls[some], order[some], strict=True):
                    folder = tmp_path / f"{number}-{order.index(failpoint)}"  # short: sockets lie in it
                    group.create_task(survives(folder, nursery, url, failpoint))


@pytest.mark.long
async def test_whose_worker_dies_twice_is_given_up_and_said(
    tmp_path: Path, nursery: Nursery, sqlite_urls: Urls
) -> None:
    async with site(tmp_path / "site", nursery, sqlite_urls(1)[0], **ON) as place:
        place.start("all", "agent.mid:kill")
        await place.connected()
        thread = Thread(place)
        number = await thread.set()
        for _ in range(2):
            assert await place.procs[-1].died(60) == -signal.SIGKILL
            place.start("all", "agent.mid:kill")
        failed = await reaches(place, number, *ENDED)
        assert (failed.state, failed.failure_reason) == (FollowUpState.FAILED, FollowUpReason.WORKER_LOST)
        await place.slack.wait_for(lambda: thread.saying("the machine it ran on stopped twice"), 30)
        await place.settled()
        assert await place.procs[-1].stop() == 0
        assert [run.state for run in await runs_of(place, number)] == [RunLease.LOST, RunLease.LOST]


async def test_what_fell_due_while_nobody_was_up_is_handled_and_said(
    tmp_path: Path, nursery: Nursery, site_url: str
) -> None:
    """The missed policy (product rule 7.2): up to ten minutes is on time, then `skip` or late, after a day nothing."""
    async with site(tmp_path / "site", nursery, site_url, **ON) as place:
        (place.folder / "agent.sh").write_text(f"cat >/dev/null\necho {SAID}\n")
        minutes, day = timedelta(minutes=1), timedelta(days=1)
        reminder = {"kind": FollowUpKind.MESSAGE, "if_missed": "run", "title": WATER, "body": WATER}
        threads = [Thread(place, f"thread {n}") for n in range(5)]
        on_time = await threads[0].set(after=-9 * minutes)
        skipped = await threads[1].set(after=-11 * minutes)
        late = await threads[2].set(after=-130 * minutes, if_missed="run")
        posted = await threads[3].set(after=-130 * minutes, **reminder)
        too_late = await threads[4].set(after=-day - minutes, **reminder)
        proc = place.start("all")
        states = [(await reaches(place, n, *ENDED)).state for n in (on_time, skipped, late, posted, too_late)]
        success, failed = FollowUpState.SUCCESS, FollowUpState.FAILED
        assert states == [success, failed, success, success, failed]
        await place.settled()
        assert await proc.stop() == 0, proc.said[-2000:]
        for n, text in enumerate((SAID, "I was offline. It has not run", SAID, WATER, "It has not run")):
            assert len(threads[n].saying(text)) == 1, (n, [place.shown(message) for message in place.slack.sent])
        for n in (2, 3):
            assert len(threads[n].saying("2 h 10 min late")) == 1, place.shown(threads[n].saying("")[0])
        assert threads[0].saying("late") == []

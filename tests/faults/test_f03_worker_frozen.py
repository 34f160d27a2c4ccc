"""F3: a worker is frozen for longer than its lease. Another one finishes; the thawed one writes nothing any more.

On PostgreSQL only: on SQLite a process that is frozen in the middle of a write holds the database's one write lock, so
nobody can take over before it goes on (and then nothing was lost).
"""

import asyncio
import signal
from pathlib import Path
from typing import Final

import pytest

from bot.core.followups import FollowUpState
from bot.core.runs import RunLease
from bot.core.tasks import Stage
from tests.faults.conftest import Urls
from tests.faults.follow_ups import ENDED, Thread, reaches, runs_of, until
from tests.faults.invariants import check
from tests.faults.process import Nursery
from tests.faults.site import REQUEST, site

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

FAILPOINTS: Final = ("agent.mid", "push.before", "push.remote_accepted")
LATER: Final = (
    "gate.done",
    "pr.before",
    "delivery.before",
    "claim.after_commit",
    "mirror.mid",
    "checkout.mid",
    "agent.exited",
    "test.exited",
    "cleanup.mid",
)


async def frozen(folder: Path, nursery: Nursery, database_url: str, failpoint: str) -> None:
    """The first process stops itself at the failpoint; a second one takes over; then the first goes on."""
    async with site(folder, nursery, database_url) as place:
        zombie = place.start("all", f"{failpoint}:stop")
        await place.connected()
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        await place.passes(zombie, f"failpoint {failpoint}: stop")
        heir = place.start("all")
        await place.reaches(Stage.REVIEW)
        await place.says("PR ready")
        await place.settled()
        before = (len(place.github.pushes), len(place.pulls()), len(await place.history()), len(place.slack.edits))
        card = place.shown(place.cards()[0])

        zombie.thaw()
        assert await zombie.stop() == 0, zombie.said[-2000:]
        assert await heir.stop() == 0, heir.said[-2000:]
        after = (len(place.github.pushes), len(place.pulls()), len(await place.history()), len(place.slack.edits))
        assert after == before, f"{failpoint}: the zombie wrote (pushes, pull requests, moves, edits)"
        assert place.shown(place.cards()[0]) == card
        assert len(place.github.asked("POST", "/pulls")) == 1, failpoint
        await check(place, replies=["PR ready"])


async def test_a_thawed_worker_writes_nothing(
    tmp_path: Path, nursery: Nursery, postgres_urls: Urls, long_run: bool
) -> None:
    for number in range(5 if long_run else 1):
        chosen = (*FAILPOINTS, *LATER) if long_run else FAILPOINTS
        for start in range(0, len(chosen), 3):
            some = chosen[start : start + 3]
            async with asyncio.TaskGroup() as group:
                for url, failpoint in zip(postgres_urls(len(some)), some, strict=True):
                    group.create_task(frozen(tmp_path / f"{number}-{failpoint}", nursery, url, failpoint))


@pytest.mark.long
async def test_a_thawed_worker_answers_no_follow_up(tmp_path: Path, nursery: Nursery, postgres_urls: Urls) -> None:
    """Its lease ended, the follow-up was fired again and answered by another one: one answer, one conversation."""
    async with site(tmp_path / "site", nursery, postgres_urls(1)[0], features=("followups",), filers="*") as place:
        (place.folder / "agent.sh").write_text("cat >/dev/null\necho looking\necho The build is green\n")
        zombie = place.start("all", "agent.mid:stop")
        await place.connected()
        thread = Thread(place)
        number = await thread.set()
        await place.passes(zombie, "failpoint agent.mid: stop")
        heir = place.start("all")
        done = await reaches(place, number, *ENDED)
        await place.slack.wait_for(lambda: thread.saying("The build is green"), 30)
        await place.settled()
        zombie.thaw()
        assert await zombie.stop() == 0, zombie.said[-2000:]
        assert await heir.stop() == 0, heir.said[-2000:]
        assert (done.state, done.attempt, done.crashes) == (FollowUpState.SUCCESS, 2, 1)
        assert await until(place, number, lambda found: found == done)
        assert len(thread.saying("The build is green")) == 1
        assert [run.state for run in await runs_of(place, number)] == [RunLease.LOST, RunLease.DONE]


async def test_a_frozen_process_is_frozen(tmp_path: Path, nursery: Nursery, sqlite_urls: Urls) -> None:
    """The harness itself: a stopped process neither ends nor answers until it is thawed."""
    async with site(tmp_path / "site", nursery, sqlite_urls(1)[0]) as place:
        proc = place.start("all")
        await place.connected()
        proc.freeze()
        proc.signal(signal.SIGTERM)
        with pytest.raises(TimeoutError):
            await proc.died(0.5)
        proc.thaw()
        assert await proc.died() == 0

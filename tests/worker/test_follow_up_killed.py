"""`kill -9` of a worker in the middle of a follow-up: another machine goes on with the conversation as it was kept."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.followups import FollowUpState
from bot.worker.workspace_folders import MARKER
from tests.worker.house import house, processes_below, talking

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("database_url", [pytest.param("sqlite", marks=pytest.mark.long), "postgres"], indirect=True)
async def test_another_machine_takes_over_and_nothing_of_the_first_stays(tmp_path: Path, database_url: str) -> None:
    first = tmp_path / "first"
    async with house(first, database_url) as place:
        await place.answered("first")
    async with house(tmp_path / "second", database_url, talking(mood="calm")) as other:
        await other.end()  # only reads and sets, until the first one is gone
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.worker.house_process", str(first), database_url, cwd=ROOT, env=dict(os.environ)
        )
        try:
            follow_up = other.put("second do:hang")
            await other.until("task", lambda: "Waiting" in other.log(follow_up), 60)
            worker.send_signal(signal.SIGKILL)
        finally:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
        assert processes_below(first) != [], "without a fence its agent lives on"
        await other.until("follow_up", lambda: other.run(lambda tx: tx.runs.expired()))
        assert await other.app.followup_runs.reap_all(other.app.store) == 1

        other.stop.clear()
        other.start()
        ended = await other.ended(follow_up)
        assert (ended.state, ended.crashes) == (FollowUpState.SUCCESS, 1), other.log(follow_up)
        (said,) = await other.posts(follow_up)
        assert said.content.text == "heard 2: first | second do:hang"
        await cleaned_up(first, database_url)
        assert processes_below(first) == []


async def cleaned_up(machine: Path, url: str) -> None:
    """The janitor of the machine's next worker removes the workspace, the agent's state in it and its processes."""
    async with house(machine, url) as again:
        (left,) = again.workspaces()
        folder = again.app.settings.workspaces / left
        assert list((folder / "state").iterdir()) != []
        long_ago = (again.app.store.now() - timedelta(days=2)).timestamp()
        os.utime(folder / MARKER, (long_ago, long_ago))
        await again.worker.clean_up()
        assert again.workspaces() == []

"""Follow-up runs on a worker: the conversation of the thread goes on, the answer is posted, nothing is ever pushed."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.app import open_app, open_worker
from bot.core.followups import FollowUp, FollowUpReason, FollowUpState
from bot.core.runs import RunLease
from bot.core.tasks import Stage
from bot.services.refusals import Refused
from bot.settings import RepoSettings, Settings
from bot.worker import follow_up as follow_up_module
from tests.simulators.github.repositories import make_bare
from tests.worker.git_world import FILES, git
from tests.worker.house import ADMIN, AGENT, CHANNEL, SECRET, THREAD, House, house, processes_below, talking

pytestmark = pytest.mark.timeout(300)
FRESH = "The earlier conversation could not be resumed"


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """A migrated database of its own."""
    shutil.copyfile(sqlite_template, tmp_path / "only.db")
    return f"sqlite:///{tmp_path / 'only.db'}"


@pytest.fixture
def repos(tmp_path: Path) -> dict[str, RepoSettings]:
    """One repository without a forge."""
    make_bare(tmp_path / "shop.git", "main", FILES)
    return {"shop": RepoSettings(url=f"file://{tmp_path / 'shop.git'}", forge="none", test_command="none")}


async def test_it_answers_in_its_thread_with_no_repository(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path, database_url) as place:
        follow_up = await place.ended(place.put("how is it going do:list"))
        assert follow_up.state is FollowUpState.SUCCESS, (follow_up.error, place.log(follow_up))
        (said,) = await place.posts(follow_up)
        assert said.thread.root == THREAD.root
        assert said.content.text == "heard 1: how is it going do:list files:"
        kept = place.session()
        assert kept is not None and kept.archive and kept.repo == "" and "how is it going" in kept.summary
    assert place.workspaces() == []


@pytest.mark.parametrize("ways", ["resume", "load", "resume,load"])
async def test_the_next_one_goes_on_with_the_conversation(tmp_path: Path, sqlite_url: str, ways: str) -> None:
    async with house(tmp_path, sqlite_url, talking(ways)) as place:
        await place.answered("first")
        second = await place.ended(place.put("second"))
        (said,) = await place.posts(second)
        assert said.content.text == "heard 2: first | second", "and nothing of the past is posted again"
        assert "REPLAYED" not in place.log(second)


async def test_a_conversation_that_cannot_be_resumed_begins_with_a_summary(tmp_path: Path, sqlite_url: str) -> None:
    async with house(tmp_path, sqlite_url, talking("none")) as place:
        await place.answered("water the plants")
        said = await place.answered("second do:tell")
        assert said.startswith("heard 1: second do:tell told: ") and FRESH in said
        assert "Asked for: water the plants" in said and "heard 1: water the plants" in said
        session = place.session()
        assert session is not None
        place.run(lambda tx: tx.sessions.save(replace(session, ref="s-unknown")))
        assert FRESH in await place.answered("third")


async def test_an_agent_that_its_old_state_kills_begins_anew(tmp_path: Path, sqlite_url: str) -> None:
    async with house(tmp_path, sqlite_url) as place:
        await place.answered("first do:poison")
        second = place.put("second")
        assert (await place.ended(second)).state is FollowUpState.SUCCESS, place.log(second)
        (said,) = await place.posts(second)
        assert said.content.text.startswith("heard 1: second") and FRESH in said.content.text


async def test_a_damaged_archive_is_not_used_and_the_log_says_so(tmp_path: Path, sqlite_url: str) -> None:
    async with house(tmp_path, sqlite_url) as place:
        await place.answered("first")
        session = place.session()
        assert session is not None
        place.run(lambda tx: tx.sessions.save(replace(session, archive=b"junk")))
        second = await place.ended(place.put("second"))
        (said,) = await place.posts(second)
        assert FRESH in said.content.text and "cannot be used: the stored state is damaged" in place.log(second)


async def test_each_thread_has_its_own_conversation(tmp_path: Path, sqlite_url: str) -> None:
    other = CHANNEL.model_copy(update={"root": "1700000000.000999"})
    async with house(tmp_path, sqlite_url) as place:
        await place.answered("first")
        assert await place.answered("elsewhere", other) == "heard 1: elsewhere"
        assert await place.answered("back") == "heard 2: first | back"


async def test_one_of_a_channel_opens_a_thread_and_keeps_its_conversation_there(
    tmp_path: Path, sqlite_url: str
) -> None:
    async with house(tmp_path, sqlite_url) as place:
        follow_up = await place.ended(place.put("first", CHANNEL))
        (said,) = await place.posts(follow_up)
        assert said.thread.root == said.id, "a message of its own in the channel"
        assert await place.answered("second", said.thread) == "heard 2: first | second"


async def test_changed_files_are_named_and_nothing_is_pushed(
    tmp_path: Path, sqlite_url: str, repos: dict[str, RepoSettings]
) -> None:
    before = git("for-each-ref", cwd=tmp_path / "shop.git")
    async with house(tmp_path, sqlite_url, repos=repos) as place:
        said = await place.answered("look around do:write do:list")
        assert "files: README.md changed.txt src" in said
        assert "Changed files, not pushed: `changed.txt`." in said
        session = place.session()
        assert session is not None and session.repo == "shop" and "changed.txt" in session.summary
        assert "changed.txt" not in await place.answered("again do:list"), "each run has a checkout of its own"
    assert git("for-each-ref", cwd=tmp_path / "shop.git") == before
    assert place.workspaces() == []


async def test_files_made_without_a_repository_are_named_too(tmp_path: Path, sqlite_url: str) -> None:
    async with house(tmp_path, sqlite_url) as place:
        assert "not pushed: `changed.txt`" in await place.answered("do:write")


async def test_it_resumes_the_conversation_of_the_threads_code_task_on_its_branch(
    tmp_path: Path, database_url: str, repos: dict[str, RepoSettings]
) -> None:
    async with house(tmp_path / "one", database_url, repos=repos) as place:
        task = await place.settled(place.file("Please write the change do:write"))
        assert task.stage is Stage.REVIEW, task.error
        session = place.session()
        assert session is not None and session.repo == "shop" and "+1 -0" in session.summary
    async with house(tmp_path / "two", database_url, repos=repos) as place:
        said = await place.answered("what did you do do:list do:tell")
        assert said.startswith("heard 2: Please write the change do:write | what did you do")
        assert "changed.txt" in said.split("told:")[0], "the branch of the code task"
        git("update-ref", "-d", f"refs/heads/{task.branch}", cwd=tmp_path / "shop.git")
        assert "changed.txt" not in (await place.answered("do:list")).split("files:")[1], "it is gone: the base"


async def test_a_failed_code_task_keeps_its_conversation(
    tmp_path: Path, sqlite_url: str, repos: dict[str, RepoSettings]
) -> None:
    async with house(tmp_path, sqlite_url, repos=repos, max_attempts=1) as place:
        task = await place.settled(place.file("Please change nothing at all"))
        assert task.stage is Stage.FAILED
        assert await place.answered("why") == "heard 2: Please change nothing at all | why"


async def test_attempts_of_a_code_task_begin_afresh(
    tmp_path: Path, sqlite_url: str, repos: dict[str, RepoSettings]
) -> None:
    async with house(tmp_path, sqlite_url, repos=repos) as place:
        task = await place.settled(place.file("Please fail do:exit"))
        assert (task.stage, task.attempt) == (Stage.FAILED, 3)
        assert await place.answered("why") == "heard 2: Please fail do:exit | why"


FAILURES = {
    "do:exit": (FollowUpReason.AGENT_FAILED, "Coding agent failed (exit 3)"),
    "do:hang": (FollowUpReason.TIMED_OUT, "Coding agent timed out after 0.08 min"),
}


@pytest.mark.parametrize("text", FAILURES)
async def test_a_failure_is_told_with_its_reason(tmp_path: Path, sqlite_url: str, text: str) -> None:
    reason, error = FAILURES[text]
    minutes = 0.08 if text == "do:hang" else 1
    async with house(tmp_path, sqlite_url, follow_up_minutes=minutes) as place:
        follow_up = await place.ended(place.put(text))
        assert follow_up.failure_reason is reason and (follow_up.error or "").startswith(error)
        (said,) = await place.posts(follow_up)
        assert said.content.text.startswith(f"{follow_up.ref} failed: {error}")
        assert place.session() is not None, "what was begun can be gone on with"
        assert processes_below(tmp_path) == []


async def test_a_repository_that_cannot_be_had_is_a_wrong_setting(tmp_path: Path, sqlite_url: str) -> None:
    gone = {"shop": RepoSettings(url=f"file://{tmp_path / 'nowhere.git'}", forge="none")}
    async with house(tmp_path, sqlite_url, repos=gone) as place:
        follow_up = await place.ended(place.put("look"))
        assert follow_up.failure_reason is FollowUpReason.CONFIG, follow_up.error


async def test_secrets_are_masked_in_the_answer_the_log_and_the_summary(tmp_path: Path, sqlite_url: str) -> None:
    async with house(tmp_path, sqlite_url) as place:
        follow_up = await place.ended(place.put(f"say {SECRET} please"))
        (said,) = await place.posts(follow_up)
        session = place.session()
        assert session is not None
        for text in (said.content.text, place.log(follow_up), session.summary):
            assert SECRET not in text and "***" in text


async def hanging(place: House, follow_up: FollowUp) -> None:
    """Waits until its agent is in the middle of its work."""
    await place.until("task", lambda: "Waiting" in place.log(follow_up))


async def test_a_stop_in_the_middle_leaves_no_process_and_posts_nothing(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path, database_url) as place:
        follow_up = place.put("do:hang")
        await hanging(place, follow_up)
        assert processes_below(tmp_path) != []
        stopped = place.run(lambda tx: place.app.followups.stop(tx, follow_up.id or 0, ADMIN))
        assert not isinstance(stopped, Refused)
        await place.until("run", lambda: place.worker.busy == 0)
        assert processes_below(tmp_path) == []
        assert await place.posts(follow_up) == []
        assert place.workspaces() == [] and place.session() is None


async def test_a_stopping_worker_gives_it_back_and_the_next_one_answers(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path / "one", database_url) as place:
        await place.answered("first")
        follow_up = place.put("second do:hang")
        await hanging(place, follow_up)
        await place.end()
        (run,) = place.run(lambda tx: tx.runs.of_follow_up(follow_up.id or 0))
        assert run.state is RunLease.QUEUED and processes_below(tmp_path) == []
        assert place.workspaces() == []
    async with house(tmp_path / "two", database_url, talking(mood="calm")) as other:
        assert (await other.ended(follow_up)).state is FollowUpState.SUCCESS
        (said,) = await other.posts(follow_up)
        assert said.content.text == "heard 2: first | second do:hang"


async def test_another_worker_takes_over_what_a_lost_one_left(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path / "one", database_url) as place:
        await place.answered("first")
        await place.end()
        follow_up = place.put("second")
        place.run(place.app.firing.fire_due)
        assert place.run(lambda tx: place.app.followup_runs.claim(tx, "lost", "host")) is not None
        (run,) = place.run(lambda tx: tx.runs.of_follow_up(follow_up.id or 0))
        assert place.run(lambda tx: tx.runs.heartbeat(run.id or 0, run.fence, timedelta(seconds=-1)))
        assert await place.app.followup_runs.reap_all(place.app.store) == 1
    async with house(tmp_path / "two", database_url) as other:
        ended = await other.ended(follow_up)
        assert (ended.state, ended.crashes, ended.attempt) == (FollowUpState.SUCCESS, 1, 2)
        (said,) = await other.posts(follow_up)
        assert said.content.text == "heard 2: first | second"


@pytest.mark.parametrize("hangs", ["follow-up", "code task"])
async def test_neither_kind_keeps_the_other_waiting(
    tmp_path: Path, sqlite_url: str, repos: dict[str, RepoSettings], hangs: str
) -> None:
    other = CHANNEL.model_copy(update={"root": "1700000000.000999"})
    async with house(tmp_path, sqlite_url, repos=repos, max_runs=1, max_follow_ups=1) as place:
        if hangs == "follow-up":
            await hanging(place, place.put("do:hang"))
            assert (await place.settled(place.file("Please write do:write", other))).stage is Stage.REVIEW
        else:
            task = place.file("Please hang do:hang", other)
            await place.until("task", lambda: place.run(lambda tx: tx.tasks.get(task.id or 0).stage is Stage.RUNNING))  # type: ignore[union-attr]
            assert await place.answered("quick") == "heard 1: quick"


async def test_a_very_long_answer_is_its_beginning_and_where_the_rest_is(tmp_path: Path, sqlite_url: str) -> None:
    async with house(tmp_path, sqlite_url) as place:
        follow_up = await place.ended(place.put("do:long"))
        (said,) = await place.posts(follow_up)
        assert len(said.content.text) < 4_500 and f"logs {follow_up.ref}" in said.content.text
        assert "Paragraph 39" in place.log(follow_up)


async def test_a_checkout_that_takes_too_long_ends_it(
    tmp_path: Path, sqlite_url: str, repos: dict[str, RepoSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up_module, "PREPARE", timedelta(0))
    async with house(tmp_path, sqlite_url, repos=repos) as place:
        follow_up = await place.ended(place.put("look"))
        assert follow_up.failure_reason is FollowUpReason.TIMED_OUT
        assert follow_up.error == "The checkout took longer than 0 min."
        (said,) = await place.posts(follow_up)
        assert said.content.text == f"{follow_up.ref} failed: The checkout took longer than 0 min."
    assert place.workspaces() == []


async def test_a_worker_where_follow_ups_are_off_leaves_them_to_others(
    tmp_path: Path, sqlite_url: str, repos: dict[str, RepoSettings]
) -> None:
    common = {
        "database_url": sqlite_url,
        "repos": repos,
        "default_agent": AGENT,
        "agents": (AGENT,),
        "sandbox": "none",
        "allow_unsandboxed_push": True,
    }
    off = Settings(codetask_data=tmp_path / "off", features=("codetasks",), **common)  # type: ignore[call-arg]
    async with house(tmp_path / "set", sqlite_url, repos=repos) as place:
        await place.end()
        follow_up = place.put("Write `note.txt`:\n```\nhello\n```")
        place.run(place.app.firing.fire_due)
        task = place.file("Write `a.txt`:\n```\nhello\n```", CHANNEL.model_copy(update={"root": "1.2"}))
        async with working(off):
            assert (await place.settled(task)).stage is Stage.REVIEW
        (run,) = place.run(lambda tx: tx.runs.of_follow_up(follow_up.id or 0))
        assert run.state is RunLease.QUEUED
        on = off.model_copy(update={"features": ("codetasks", "followups"), "data_dir": tmp_path / "on"})
        async with working(on):
            assert (await place.ended(follow_up)).state is FollowUpState.SUCCESS
        (said,) = await place.posts(follow_up)
        assert said.content.text.startswith("Applied 1 of 1 edit.") and "`note.txt`" in said.content.text
        assert place.session() is None, "the built-in agent has no conversation to keep"


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """A worker as the product makes it."""
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(settings, with_platforms=False))
        stop = asyncio.Event()
        running = asyncio.create_task((await open_worker(app, stack)).run(stop))
        try:
            yield
        finally:
            stop.set()
            await running

"""A real OpenCode's conversation outlives its worker: another machine goes on with it in the same Slack thread.

The first process works the code task and serves Slack; the second shares nothing with it but the database.
"""

import asyncio
import gzip
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bot.app import App, open_app, open_worker, run_parts
from bot.core.followups import ENDED, FollowUp, FollowUpState
from bot.core.inbound import Person
from bot.core.tasks import CodeTask, Stage
from bot.services.followups import FollowUpSet, Wish
from bot.store import Transaction
from tests.journeys.town import TOKEN, Town, town
from tests.simulators.model import KEY, MODEL, Act, ModelServer, Scene, Step

pytestmark = [pytest.mark.sandbox, pytest.mark.agent, pytest.mark.timeout(240)]

REQUEST = "Note in NOTES.md that the export is new"
LATER = "Say whether the note is still right"
SCRIPT = (
    Scene(
        LATER,
        [
            Step("Looking.", [Act.of("shell", command="cat NOTES.md; echo seen > LOOKED.md")]),
            Step("The note that I wrote is still right."),
        ],
    ),
    Scene(
        "export is new",
        [
            Step("Writing.", [Act.of("write", path="/ws/NOTES.md", content="The export is new.\n")]),
            Step("I chose the word blueberry for this note."),
        ],
    ),
)


def put(app: App, task: CodeTask) -> FollowUp:
    """A follow-up in the code task's thread, due now."""

    def unit(tx: Transaction) -> FollowUp:
        person = tx.people.find(task.requester_platform, task.requester_workspace, task.requester_id)
        assert isinstance(person, Person) and task.thread_id is not None
        place = tx.threads.get(task.thread_id).ref
        wish = Wish(text=LATER, at=app.store.now(), person=person, place=place, zone="UTC")
        outcome = app.followups.set(tx, wish)
        assert isinstance(outcome, FollowUpSet), outcome
        return outcome.follow_up

    return app.store.run_sync(unit)


async def ended(app: App, number: int) -> FollowUp:
    async with asyncio.timeout(120):
        while True:
            seen = app.store.version("follow_up")
            found = await app.store.run(lambda tx: tx.followups.get(number), read=True)
            if found is not None and found.state in ENDED:
                return found
            await app.store.changed("follow_up", seen, 2)


async def log_of(app: App, number: int) -> str:
    def read(tx: Transaction) -> list[str]:
        runs = tx.runs.of_follow_up(number)
        return [line.content for run in runs for line in tx.runs.logs(run.id or 0)]

    return "\n".join(await app.store.run(read, read=True))


async def elsewhere(place: Town, folder: Path, task: CodeTask) -> None:
    """Works the follow-up in a process of its own machine, and looks at what it did."""
    settings = place.settings.model_copy(update={"data_dir": folder, "features": ("codetasks", "followups")})
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(settings, with_platforms=False))
        assert settings.workspaces.is_relative_to(folder)
        stop = asyncio.Event()
        running = asyncio.create_task(run_parts(app, stop, await open_worker(app, stack), serve=False))
        try:
            follow_up = await ended(app, put(app, task).id or 0)
            log = await log_of(app, follow_up.id or 0)
            assert follow_up.state is FollowUpState.SUCCESS, (follow_up.error, log)
            assert f"checkout of {task.repo} {task.branch}" in log
        finally:
            stop.set()
            await running


async def test_another_worker_goes_on_with_the_conversation_of_a_code_task(tmp_path: Path, opencode: str) -> None:
    async with (
        ModelServer(*SCRIPT) as model,
        town(
            tmp_path,
            database_url=f"sqlite:///{tmp_path / 'shared.db'}",
            default_agent="opencode",
            opencode_bin=opencode,
            llm_base_url=model.url,
            llm_api_key=KEY,
            llm_model=MODEL,
            test_command="none",
            sandbox="auto",
        ) as place,
    ):
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        task = await place.reaches(Stage.REVIEW, timeout=150)
        before, pushes = len(model.seen), len(place.github.pushes)
        kept = place.app.store.run_sync(lambda tx: tx.sessions.get(task.thread_id or 0, "opencode"))
        assert kept is not None and kept.archive and len(kept.archive) < 512 * 1024
        assert kept.repo == task.repo and "NOTES.md" in kept.summary and "blueberry" in kept.summary

        await elsewhere(place, tmp_path / "elsewhere", task)
        answer = await place.says("still right")
        assert answer.thread_ts == place.card().ts
        shown = place.shown(answer)
        assert "could not be resumed" not in shown
        assert "acme/shop#1" in shown and "is updated (+1" in shown, "what it changed is in the same pull request"
        asked = [seen for seen in model.seen[before:] if seen.offered]
        assert asked, "the model was asked again"
        for seen in asked:
            assert REQUEST in repr(seen.body) and "blueberry" in repr(seen.body), "with all that was said before"
        assert "The export is new." in repr(asked[-1].body), "the checkout is the code task's branch"
        assert len(place.github.pushes) == pushes + 1
        spoken, stored = repr([seen.body for seen in model.seen]), gzip.decompress(kept.archive)
        assert b"blueberry" in stored
        for secret in (TOKEN, KEY, place.slack.bot_token):
            assert secret not in spoken and secret.encode() not in stored

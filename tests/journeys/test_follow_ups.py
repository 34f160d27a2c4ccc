"""Schedule and walk away: a real OpenCode sets a follow-up through its tools, ends, and is resumed in the same thread.

On Slack, Discord and Lark at once, with one app and one worker. Only the clock is moved, so that nobody has to wait for
the minute that an agent has to keep between now and its follow-up.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.app import open_app, open_worker, run_parts
from bot.core.followups import FollowUp, FollowUpState
from bot.core.tasks import Stage
from platforms.registry import PLATFORMS, create_simulator, load_settings
from tests.journeys.test_three_platforms import Chat, World, repositories
from tests.simulators.model import KEY, MODEL, Act, ModelServer, Scene, Step

pytestmark = [pytest.mark.sandbox, pytest.mark.agent, pytest.mark.timeout(300)]

WISH = "Note in NOTES.md that the export is new"
LATER = "Look whether the nightly build is green"
SCRIPT = (
    Scene(
        LATER,
        [Step("The nightly build is green; I had asked myself to look.")],
    ),
    Scene(
        WISH,
        [
            Step("Writing the note.", [Act.of("write", path="/ws/NOTES.md", content="The export is new.\n")]),
            Step(
                "I will look at the nightly build later.",
                [Act.of("tool", name="schedule_followup", when="in 2 minutes", message=LATER)],
            ),
            Step("The note is written."),
        ],
    ),
)


class MovedClock:
    """The machine's clock, moved ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@asynccontextmanager
async def opencode_on_three(folder: Path, program: str, model: ModelServer, clock: MovedClock) -> AsyncIterator[World]:
    """One app with all three platforms, whose worker runs OpenCode in the sandbox."""
    async with AsyncExitStack() as stack:
        simulators: dict[str, Any] = {name: create_simulator(name) for name in PLATFORMS}
        for simulator in simulators.values():
            simulator.start()
            stack.callback(simulator.stop)
        settings = load_settings(
            codetask_data=folder / "data",
            repos=repositories(folder),
            default_agent="opencode",
            opencode_bin=program,
            llm_base_url=model.url,
            llm_api_key=KEY,
            llm_model=MODEL,
            test_command="none",
            sandbox="auto",
            filers=("*",),
            features=("codetasks", "followups"),
            reconcile_seconds=0.5,
            max_runs=2,
            **{name: value for simulator in simulators.values() for name, value in simulator.settings.items()},
        )
        app = await stack.enter_async_context(open_app(settings, clock=clock))
        worker = await open_worker(app, stack)
        stop = asyncio.Event()
        running = asyncio.create_task(run_parts(app, stop, worker, True))
        try:
            for name, simulator in simulators.items():
                await simulator.wait_for(lambda it=name: app.platforms[it].health().state == "ready", 30)
            yield World(app, {name: Chat(name, simulator) for name, simulator in simulators.items()})
        finally:
            stop.set()
            ended = await running
        assert ended is None
        assert {name: sim.surprises for name, sim in simulators.items()} == {name: [] for name in simulators}


async def follow_up(world: World, number: int, *states: FollowUpState) -> FollowUp:
    """Waits until a follow-up is in one of the states."""
    store = world.app.store
    async with asyncio.timeout(120):
        while True:
            seen = store.version("task")
            found = await store.run(lambda tx: tx.followups.get(number), read=True)
            if found is not None and found.state in states:
                return found
            assert found is None or found.state is not FollowUpState.FAILED, f"{found.failure_reason}: {found.error}"
            await store.changed("task", seen, 5)


async def reaches_review(world: World, number: int) -> None:
    store = world.app.store
    async with asyncio.timeout(180):
        while True:
            seen = store.version("task")
            task = await store.run(lambda tx: tx.tasks.get(number), read=True)
            if task is not None and task.stage is Stage.REVIEW:
                return
            assert task is None or task.stage is not Stage.FAILED, f"{task.ref}: {task.failure_reason}: {task.error}"
            await store.changed("task", seen, 5)


async def test_a_follow_up_of_an_agent_resumes_its_session_on_every_platform(tmp_path: Path, opencode: str) -> None:
    clock = MovedClock()
    async with ModelServer(*SCRIPT) as model, opencode_on_three(tmp_path, opencode, model, clock) as world:
        asked = {}
        for name, chat in world.chats.items():
            asked[name] = chat.simulator.user_mentions("ana", f"repo=invoices-{name} {WISH}")
        for number in (1, 2, 3):
            await reaches_review(world, number)
            await follow_up(world, number, FollowUpState.PENDING)
        for name, chat in world.chats.items():
            line = await chat.reply(asked[name], LATER)
            assert re.search(r"opencode set FU-\d", chat.shown(line)), chat.shown(line)
        before = len(model.seen)

        clock.ahead = timedelta(minutes=3)
        await world.app.store.run(lambda tx: tx.wake("follow_up"))
        for number in (1, 2, 3):
            await follow_up(world, number, FollowUpState.SUCCESS)
        for name, chat in world.chats.items():
            answer = await chat.reply(asked[name], "The nightly build is green")
            assert "ana" in chat.shown(answer).lower()
            assert "could not be resumed" not in chat.shown(answer)
        resumed = [seen for seen in model.seen[before:] if seen.offered]
        assert len(resumed) == 3
        for seen in resumed:
            assert WISH in repr(seen.body), "the resumed session holds what was said before"

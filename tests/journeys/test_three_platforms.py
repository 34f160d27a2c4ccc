"""One story on Slack, Discord and Lark at once, with one process and one worker: people see the same on each."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bot.app import App, open_app, open_worker, run_parts
from bot.core.tasks import CodeTask, Stage
from bot.ports import MergingForge, PullRequest
from platforms.registry import PLATFORMS, create_simulator, load_settings
from tests.journeys.sample import sample_repository

T = TypeVar("T")
WISH = "Add CSV export of invoices to the report"
PATIENCE = 30.0
DONE = {"white_check_mark", "✅", "DONE"}
"""The mark of a merged code task, as each platform calls it."""


@dataclass
class Chat:
    """One platform as its people see it."""

    name: str
    simulator: Any

    def thread(self, said: Any) -> list[Any]:
        """What the bot said below a message, oldest first."""
        mine = {id(one) for one in self.simulator.sent}
        return [one for one in self.simulator.thread(said) if id(one) in mine]

    def shown(self, message: Any) -> str:
        return self.simulator.render_text(message)

    async def sees(self, look: Callable[[], T]) -> T:
        return await self.simulator.wait_for(look, PATIENCE)

    async def card(self, said: Any, words: str) -> Any:
        """The first answer below a message, once it shows these words."""

        def look() -> Any:
            below = self.thread(said)
            return below[0] if below and words in self.shown(below[0]) else None

        return await self.sees(look)

    async def reply(self, said: Any, words: str) -> Any:
        """A later answer below it that shows these words."""
        return await self.sees(lambda: next((one for one in self.thread(said)[1:] if words in self.shown(one)), None))


@dataclass
class World:
    """All three with the app on them."""

    app: App
    chats: dict[str, Chat]

    async def merge(self, task: CodeTask) -> None:
        repo, forge = self.app.settings.repositories[task.repo], self.app.forges["local"]
        assert isinstance(forge, MergingForge)
        assert task.pr_number is not None
        assert isinstance(await forge.merge(repo, task.pr_number, "bo"), PullRequest)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        simulators: dict[str, Any] = {name: create_simulator(name) for name in PLATFORMS}
        for simulator in simulators.values():
            simulator.start()
            stack.callback(simulator.stop)
        settings = load_settings(
            codetask_data=tmp_path / "data",
            repos=repositories(tmp_path),
            default_agent="demo",
            sandbox="none",
            allow_unsandboxed_push=True,
            filers=("*",),
            features=("codetasks",),
            reconcile_seconds=0.5,
            max_runs=3,
            max_runs_per_repo=3,
            **{name: value for simulator in simulators.values() for name, value in simulator.settings.items()},
        )
        app = await stack.enter_async_context(open_app(settings))
        assert list(app.platforms) == list(PLATFORMS)
        worker = await open_worker(app, stack)
        stop = asyncio.Event()
        running = asyncio.create_task(run_parts(app, stop, worker, True))
        try:
            for name, simulator in simulators.items():
                await simulator.wait_for(lambda it=name: app.platforms[it].health().state == "ready", PATIENCE)
            yield World(app, {name: Chat(name, simulator) for name, simulator in simulators.items()})
        finally:
            stop.set()
            ended = await running
        assert ended is None
        assert {name: simulator.surprises for name, simulator in simulators.items()} == {
            name: [] for name in simulators
        }


def repositories(folder: Path) -> dict[str, Any]:
    """One for each platform: three people change the same lines, which one repository could not merge."""
    made = {}
    for name in PLATFORMS:
        (folder / name).mkdir()
        made[f"invoices-{name}"] = {"url": f"file://{sample_repository(folder / name)}", "forge": "local"}
    return made


def words_only(text: str) -> str:
    """What stays the same on every platform: no numbers, no times, no marks, no markup."""
    text = re.sub(r"invoices-\w+", "invoices", text)
    text = re.sub(r"CT-\d+(#\d+)?|#\d+", "CT", text)
    text = re.sub(r"\[[^\]]*\]|<[^>]*>|\d+|[^\w\s]", " ", text)
    return " ".join(text.split())


async def story(chat: Chat, world: World) -> list[str]:
    """A mention in a thread becomes a code task, a pull request, a merge; what was to be seen on the way."""
    said = chat.simulator.user_mentions("ana", f"repo=invoices-{chat.name} {WISH}")
    card = await chat.card(said, "Waiting for review")
    ready = await chat.reply(said, "PR ready")
    seen = [f"card: {title_of(chat, card)}", f"reply: {words_only(chat.shown(ready))}"]
    number = int(re.search(r"CT-(\d+)", chat.shown(card))[1])  # type: ignore[index]
    task = await world.app.store.run(lambda tx: tx.tasks.get(number), read=True)
    assert task is not None
    assert task.stage is Stage.REVIEW
    await world.merge(task)
    merged = await chat.card(said, "merged")
    seen.append(f"card: {title_of(chat, merged)}")
    await chat.sees(lambda: any(mark_of(one) in DONE for one in chat.simulator.reactions))
    seen.append("marked as done")
    seen.append(f"{len(chat.thread(said))} messages below the request")
    return seen


def title_of(chat: Chat, card: Any) -> str:
    """The first line of a card without its number."""
    return words_only(chat.shown(card).splitlines()[0])


def mark_of(reaction: Any) -> str:
    return str(getattr(reaction, "name", "") or getattr(reaction, "emoji", ""))


async def test_the_same_story_leaves_the_same_on_all_three(world: World) -> None:
    told = dict(zip(world.chats, await asyncio.gather(*(story(c, world) for c in world.chats.values())), strict=True))
    assert told["slack"][-1] == "2 messages below the request"
    assert told["discord"] == told["slack"]
    assert told["lark"] == told["slack"]

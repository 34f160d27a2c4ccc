"""A whole installation for journey tests: Slack and GitHub at wire level, the real app and worker in between."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.app import App, open_app, open_worker, run_parts
from bot.core.tasks import CodeTask, Stage
from bot.ports import Fatal
from bot.settings import Settings
from bot.worker.loop import Worker
from platforms.registry import load_settings
from platforms.slack.simulator import SlackSimulator, StoredMessage
from tests.simulators.github import GitHubSimulator

OWNER, NAME = "acme", "shop"
TOKEN = "ghp_" + "J0urneyT0kenThatMustNeverLeak12345678"
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass
class Town:
    """What a journey sees: the two outside worlds, the app between them, and readers of the thread."""

    slack: SlackSimulator
    github: GitHubSimulator
    app: App
    worker: Worker
    settings: Settings

    async def task(self, number: int = 1) -> CodeTask | None:
        return await self.app.store.run(lambda tx: tx.tasks.get(number), read=True)

    async def reaches(self, stage: Stage, number: int = 1, timeout: float = 60) -> CodeTask:
        """Waits for a stage; a failed task ends the wait with its error."""
        async with asyncio.timeout(timeout):
            while True:
                seen = self.app.store.version("task")
                task = await self.task(number)
                if task is not None and task.stage is stage:
                    return task
                assert task is None or task.stage is not Stage.FAILED, (
                    f"{task.ref} failed: {task.failure_reason}: {task.error}"
                )
                await self.app.store.changed("task", seen, 5)

    async def log(self, number: int = 1) -> str:
        def read(tx: Any) -> list[str]:
            return [entry.content for run in tx.runs.of_task(number) for entry in tx.runs.logs(run.id)]

        return "\n".join(await self.app.store.run(read, read=True))

    def card(self) -> StoredMessage:
        """The first message of the bot."""
        return self.slack.sent[0]

    def shown(self, message: StoredMessage) -> str:
        return self.slack.render_text(message)

    async def says(self, text: str, timeout: float = 30) -> StoredMessage:
        """The bot's message that contains the text, once it is there."""
        return await self.slack.wait_for(lambda: self.saying(text), timeout)

    def saying(self, text: str) -> StoredMessage | None:
        return next((m for m in self.slack.sent if text in self.shown(m)), None)

    def runs_left(self) -> list[str]:
        """Folders of runs that are still on disk."""
        root = self.settings.workspaces
        return sorted(p.name for p in root.glob("ct-*")) if root.exists() else []


def bare_clone(source: Path, target: Path) -> Path:
    """A bare clone of a checkout, as a forge would hold it."""
    # The checkout may belong to someone else, and git asks only its global configuration about that.
    (target.parent / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(target.parent)}
    subprocess.run(["git", "clone", "-q", "--bare", f"file://{source}", str(target)], check=True, env=env)
    subprocess.run(["git", "-C", str(target), "config", "http.receivepack", "true"], check=True, env=env)
    subprocess.run(["git", "-C", str(target), "symbolic-ref", "HEAD", "refs/heads/main"], check=True, env=env)
    return target


def python_tools() -> tuple[str, ...]:
    """Folders that the project's own tests need inside the sandbox."""
    prefix = Path(sys.base_prefix).resolve()
    folders = [Path(sys.prefix)] + ([] if prefix.is_relative_to("/usr") else [prefix])
    return tuple(map(str, folders))


@asynccontextmanager
async def town(
    folder: Path,
    bare: Path | None = None,
    prepare: Callable[[SlackSimulator, GitHubSimulator], None] = lambda slack, github: None,
    **settings: Any,
) -> AsyncIterator[Town]:
    """Everything up and connected; at the end the app stops cleanly and no simulator saw anything it did not expect."""
    with SlackSimulator() as slack, GitHubSimulator(folder / "github") as github:
        known = github.adopt_repository(OWNER, NAME, bare) if bare else github.add_repository(OWNER, NAME)
        github.add_token(TOKEN, known.full_name)
        prepare(slack, github)
        chosen = load_settings(
            **{
                "codetask_data": folder / "data",
                "slack_bot_token": slack.bot_token,
                "slack_app_token": slack.app_token,
                "codetask_slack_api_url": slack.api_url,
                "git_repo_url": github.clone_url(OWNER, NAME),
                "github_owner": OWNER,
                "github_repo": NAME,
                "github_token": TOKEN,
                "github_api_url": github.url,
                "github_web_url": github.url,
                "reconcile_seconds": 0.5,
                "features": ("codetasks",),
                **settings,
            }
        )
        async with AsyncExitStack() as stack:
            app = await stack.enter_async_context(open_app(chosen))
            worker = await open_worker(app, stack)
            stop = asyncio.Event()
            running = asyncio.create_task(run_parts(app, stop, worker, serve=True))
            try:
                await slack.wait_for(lambda: slack.connections, 10)
                yield Town(slack, github, app, worker, chosen)
            finally:
                stop.set()
                ended: Fatal | None = await running
        assert ended is None
        assert slack.surprises == []
        assert github.problems == []

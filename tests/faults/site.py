"""A whole installation made of real processes: Slack and GitHub at wire level here, the product in processes beside."""

import asyncio
import itertools
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bot.core.runs import Run
from bot.core.tasks import CodeTask, Stage
from bot.store import Move
from platforms.slack.simulator import SlackSimulator, StoredMessage
from storage.engine import Database
from tests.faults.process import Nursery, Parts, Proc
from tests.simulators.github import GitHubSimulator

OWNER, NAME = "acme", "shop"
FULL_NAME: Final = f"{OWNER}/{NAME}"
TOKEN: Final = "ghp_" + "F4ultT0kenThatMustNeverLeak1234567890"
REQUEST: Final = "Write the word done into a file of that name"
AGENT: Final = "cat >/dev/null\necho looking\necho done > done.txt\necho edited\n"
CHECK: Final = "test -f done.txt && echo 1 passed"
SHORT: Final = {
    "lease_seconds": 3,
    "heartbeat_seconds": 0.5,
    "sweep_seconds": 0.5,
    "poll_interval_ms": 500,
    "retry_waits_seconds": "0.2 0.4",
    "reconcile_seconds": 0.5,
    "keep_failed": 0,
    "drain_seconds": 2,
}
"""Settings that make waiting short."""


@dataclass
class Site:
    """What a fault test sees and does. `env` are the settings of every process; `store` reads the same database."""

    folder: Path
    slack: SlackSimulator
    github: GitHubSimulator
    nursery: Nursery
    env: dict[str, str]
    store: Database
    procs: list[Proc] = field(default_factory=list)
    _logs: "itertools.count[int]" = field(default_factory=itertools.count)

    def start(self, parts: Parts = "all", failpoint: str = "", **env: Any) -> Proc:
        """Starts a process; `failpoint` arms one place of it."""
        armed = {"CODETASK_FAILPOINT": failpoint} if failpoint else {}
        log = self.folder / "logs" / f"{next(self._logs)}-{parts}.log"
        proc = self.nursery.start({**self.env, **armed, **as_env(env)}, parts, log)
        self.procs.append(proc)
        return proc

    async def connected(self) -> None:
        await self.slack.wait_for(lambda: self.slack.connections, 60)

    async def passes(self, proc: Proc, text: str, timeout: float = 60) -> None:
        """Waits until the process has written that text to its log, as it does at an armed failpoint."""
        async with asyncio.timeout(timeout):
            while text not in proc.said:
                assert not proc.exited.done(), f"ended with {proc.exited.result()}:\n{proc.said[-3000:]}"
                await self.store.changed("task", self.store.version("task"), 0.05)

    async def task(self, number: int = 1) -> CodeTask | None:
        return await self.store.run(lambda tx: tx.tasks.get(number), read=True)

    async def runs(self, number: int = 1) -> list[Run]:
        return await self.store.run(lambda tx: list(tx.runs.of_task(number)), read=True)

    async def history(self, number: int = 1) -> list[Move]:
        return await self.store.run(lambda tx: list(tx.tasks.history(number)), read=True)

    async def until(self, test: Callable[[CodeTask], Any], number: int = 1, timeout: float = 60) -> CodeTask:
        """The code task as soon as `test` holds for it."""
        task: CodeTask | None = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    seen = self.store.version("task")
                    task = await self.task(number)
                    if task is not None and test(task):
                        return task
                    await self.store.changed("task", seen, 0.1)
        except TimeoutError:
            logs = "\n".join(f"--- {proc.log.name}\n{proc.said[-3000:]}" for proc in self.procs)
            raise AssertionError(f"still {task!r}\n{logs}") from None

    async def reaches(self, stage: Stage, number: int = 1, timeout: float = 60) -> CodeTask:
        """Waits for a stage; a final failure ends the wait."""
        task = await self.until(lambda task: task.stage in (stage, Stage.FAILED), number, timeout)
        assert task.stage is stage, f"{task.ref} failed: {task.failure_reason}: {task.error}"
        return task

    def shown(self, message: StoredMessage) -> str:
        return self.slack.render_text(message)

    def saying(self, text: str) -> list[StoredMessage]:
        """The bot's messages that show the text."""
        return [message for message in self.slack.sent if text in self.shown(message)]

    async def says(self, text: str, timeout: float = 30) -> StoredMessage:
        return (await self.slack.wait_for(lambda: self.saying(text), timeout))[0]

    def cards(self, number: int = 1) -> list[StoredMessage]:
        """The cards of a code task: messages that say when it was filed."""
        return [m for m in self.saying(f"CT-{number} ") if "· filed " in self.shown(m)]

    def pulls(self, number: int = 1) -> list[Any]:
        """Pull requests of a code task, whatever their state."""
        pulls = self.github.repositories[FULL_NAME].pulls.values()
        return [p for p in pulls if p.head.partition("/")[2].split("-")[:2] == ["CT", str(number)]]

    def branches(self, number: int = 1) -> list[str]:
        """Branches of a code task on the forge."""
        return [name for name in git_refs(self.github.repositories[FULL_NAME].path) if f"/CT-{number}" in f"{name}/"]

    async def settled(self) -> None:
        """Waits until every delivery is sent and every event handled."""
        async with asyncio.timeout(60):
            while await self.store.run(_unfinished, read=True):
                await self.store.changed("outbox", self.store.version("outbox"), 0.1)


def _unfinished(tx: Any) -> bool:
    waiting = {state: count for state, count in tx.figures.deliveries().items() if state != "dead" and count}
    return bool(waiting or tx.figures.unhandled())


def git_refs(bare: Path) -> list[str]:
    """The branches of a bare repository but for `main`."""
    said = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"],
        env={"PATH": os.environ["PATH"], "GIT_DIR": str(bare), "HOME": "/nonexistent"},
        capture_output=True,
        check=True,
        text=True,
    )
    return sorted(name for name in said.stdout.split() if name != "main")


def as_env(settings: dict[str, Any]) -> dict[str, str]:
    """Settings as environment variables."""

    def plain(value: Any) -> str:
        if isinstance(value, tuple | list):
            return " ".join(map(str, value))
        return str(value).lower() if isinstance(value, bool) else str(value)

    return {name.upper(): plain(value) for name, value in settings.items()}


def settings_for(folder: Path, slack: SlackSimulator, github: GitHubSimulator, database_url: str) -> dict[str, Any]:
    agent = folder / "agent.sh"
    agent.write_text(AGENT)
    return {
        "codetask_data": folder / "data",
        "codetask_config": folder / "none.toml",
        "database_url": database_url,
        "slack_bot_token": slack.bot_token,
        "slack_app_token": slack.app_token,
        "codetask_slack_api_url": slack.api_url,
        "git_repo_url": github.clone_url(OWNER, NAME),
        "github_owner": OWNER,
        "github_repo": NAME,
        "github_token": TOKEN,
        "github_api_url": github.url,
        "github_web_url": github.url,
        "features": ("codetasks",),
        "default_agent": "command",
        "agent_command": ("sh", agent),
        "test_command": CHECK,
        "sandbox": "none",
        "allow_unsandboxed_push": True,
        **SHORT,
    }


def make_folders(folder: Path) -> None:
    for name in ("logs", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)


@asynccontextmanager
async def site(folder: Path, nursery: Nursery, database_url: str, **settings: Any) -> AsyncIterator[Site]:
    """Both outside worlds and a database; start processes on it. At the end none is left, and no simulator was
    surprised."""
    make_folders(folder)
    with SlackSimulator() as slack, GitHubSimulator(folder / "github") as github:
        github.add_repository(OWNER, NAME, {"README.md": "# shop\n", "src/app.py": "print('hello')\n"})
        github.add_token(TOKEN, FULL_NAME)
        chosen = {**settings_for(folder, slack, github, database_url), **settings}
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder / "tmp"), **as_env(chosen)}
        store = Database(database_url)
        place = Site(folder, slack, github, nursery, env, store)
        try:
            yield place
        finally:
            for proc in place.procs:
                await proc.kill()
            await store.close()
        assert slack.surprises == []
        assert github.problems == []

"""A bot with a worker for tests of follow-ups: a real store, a chat that keeps what is posted, an agent that remembers.

The agent is `tests/worker/talking_agent.py`, under the name `patch`, so that every rule on names holds for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bot.app import App, open_forges, wire
from bot.core.commands import Options
from bot.core.followups import ENDED, FollowUp, FollowUpState
from bot.core.inbound import Person, ThreadRef
from bot.core.redact import LiveRedactor
from bot.core.tasks import CodeTask, Stage
from bot.ports import Agent, Sandbox
from bot.services.followups import FollowUpSet, Wish
from bot.services.refusals import Refused
from bot.services.tasks import Filing
from bot.settings import RepoSettings, Settings
from bot.store import AgentSession, Transaction
from bot.worker.agents.acp import AcpAgent
from bot.worker.agents.row import AgentRow
from bot.worker.agents.rows import python_folders, python_program
from bot.worker.loop import Worker
from bot.worker.sandbox.none import NoSandbox
from bot.worker.tools import Tools
from storage.engine import SystemClock, open_database
from tests.storage.world import Chat, Said

T = TypeVar("T")
ADMIN = Person(platform="slack", workspace_id="T1", id="U1", name="Ann", roles=frozenset({"owner"}))
CHANNEL = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1")
THREAD = CHANNEL.model_copy(update={"root": "1700000000.000100"})
SECRET = "xoxb-A-token-that-must-never-be-said"
AGENT = "patch"
USUAL = {"drain_seconds": 0.1, "poll_interval_ms": 500, "admins": ("slack:U1",), "allow_unsandboxed_push": True}
"""Settings that a test may choose otherwise."""


def talking(ways: str = "resume", mood: str = "") -> Agent:
    """The agent that remembers; it offers these ways of resuming. In the mood `calm` it never hangs."""
    script = Path(__file__).with_name("talking_agent.py")
    row = AgentRow(
        name=AGENT,
        program=python_program(),
        args=("-I", "-S", str(script), ways, mood),
        env=lambda inside: {"STATE": inside.state} if inside.state else {},
        needs_model=False,
        tool_folders=lambda _: [script.parent, *python_folders()],
        state_target="/state",
    )
    return AcpAgent(row)


def processes_below(folder: Path) -> list[int]:
    """Processes that were started for a workspace below the folder; run names alone come again in other tests."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if f"HOME={folder}/".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


@dataclass
class House:
    """One process of the bot over a database that outlives it."""

    app: App
    chat: Chat
    worker: Worker
    tools: Tools
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    running: list["asyncio.Task[None]"] = field(default_factory=list["asyncio.Task[None]"])

    def start(self) -> None:
        """Fires and works from now on."""
        self.running += [asyncio.create_task(part.run(self.stop)) for part in (self.app.firing, self.worker)]

    async def end(self) -> None:
        """As on SIGTERM; returns once everything has ended."""
        self.stop.set()
        await asyncio.gather(*self.running)
        self.running.clear()

    def run(self, unit: Callable[[Transaction], T]) -> T:
        return self.app.store.run_sync(unit)

    def put(self, text: str, place: ThreadRef | None = THREAD, **values: Any) -> FollowUp:
        """A follow-up that is due now."""
        wish = Wish(text=text, at=self.app.store.now(), person=ADMIN, place=place, zone="Europe/Berlin", **values)

        def unit(tx: Transaction) -> FollowUp:
            tx.people.see(ADMIN)
            outcome = self.app.followups.set(tx, wish)
            assert isinstance(outcome, FollowUpSet), outcome
            return outcome.follow_up

        return self.run(unit)

    def file(self, text: str, place: ThreadRef = THREAD) -> CodeTask:
        """A code task in that thread."""

        def unit(tx: Transaction) -> CodeTask:
            tx.people.see(ADMIN)
            filed = self.app.tasks.file(tx, Filing(text, ADMIN, Options(agent=AGENT), tx.threads.open(place).id, place))
            assert not isinstance(filed, Refused), filed
            return filed.task

        return self.run(unit)

    async def until(self, topic: Any, look: Callable[[], T | None], seconds: float = 90) -> T:
        """What `look` finds, once it finds something."""
        async with asyncio.timeout(seconds):
            while True:
                seen = self.app.store.version(topic)
                found = look()
                if found:
                    return found
                await self.app.store.changed(topic, seen, 0.5)

    async def ended(self, follow_up: FollowUp) -> FollowUp:
        """The follow-up once it has ended."""

        def look() -> FollowUp | None:
            found = self.run(lambda tx: tx.followups.get(follow_up.id or 0))
            return found if found is not None and found.state in ENDED else None

        return await self.until("follow_up", look)

    async def settled(self, task: CodeTask) -> CodeTask:
        """The code task once it is in review or failed."""

        def look() -> CodeTask | None:
            found = self.run(lambda tx: tx.tasks.get(task.id or 0))
            return found if found is not None and found.stage in (Stage.REVIEW, Stage.FAILED) else None

        return await self.until("task", look)

    async def answered(self, text: str, place: ThreadRef | None = THREAD, **values: Any) -> str:
        """Sets one, waits for its success, and returns what was posted for it."""
        follow_up = await self.ended(self.put(text, place, **values))
        assert follow_up.state is FollowUpState.SUCCESS, (follow_up.failure_reason, follow_up.error)
        return (await self.posts(follow_up))[-1].content.text  # type: ignore[union-attr]

    async def posts(self, follow_up: FollowUp) -> list[Said]:
        """What was posted for a follow-up."""
        await self.app.relay.drain()
        return [said for said in self.chat.said if self._is_about(said, follow_up)]

    def _is_about(self, said: Said, follow_up: FollowUp) -> bool:
        topic = getattr(said.content, "topic", "")
        return topic.startswith(f"{follow_up.ref} ")

    def session(self, place: ThreadRef = THREAD) -> AgentSession | None:
        """What is kept of the agent's conversation in that thread."""

        def unit(tx: Transaction) -> AgentSession | None:
            thread = tx.threads.find(place)
            return tx.sessions.get(thread.id, AGENT) if thread is not None else None

        return self.run(unit)

    def log(self, follow_up: FollowUp) -> str:
        """All log lines of its runs."""

        def unit(tx: Transaction) -> list[str]:
            runs = tx.runs.of_follow_up(follow_up.id or 0)
            return [line.content for run in runs for line in tx.runs.logs(run.id or 0)]

        return "\n".join(self.run(unit))

    def workspaces(self) -> list[str]:
        """Workspaces on disk."""
        root = self.app.settings.workspaces
        return sorted(path.name for path in root.glob("ct-*")) if root.exists() else []


@asynccontextmanager
async def house(
    folder: Path,
    url: str,
    agent: Agent | None = None,
    *,
    sandbox: Sandbox | None = None,
    repos: Mapping[str, RepoSettings] | None = None,
    **values: Any,
) -> AsyncIterator[House]:
    """A house whose parts run; `folder` is its machine, `url` the database."""
    settings = Settings(  # type: ignore[call-arg]
        codetask_data=folder,
        default_agent=AGENT,
        agents=(AGENT,),
        sandbox="none",
        llm_api_key=SECRET,
        repos=dict(repos or {}),
        retry_waits_seconds=(0.0,),
        **{**USUAL, **values},
    )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        store = await open_database(url)
        stack.push_async_callback(store.close)
        redactor = LiveRedactor(settings.secrets())
        forges = open_forges(settings, SystemClock(), redactor)
        for forge in forges.values():
            stack.push_async_callback(forge.aclose)
        chat = Chat(SystemClock())  # type: ignore[arg-type]
        app = wire(settings, store, {"slack": chat}, forges, redactor)  # type: ignore[dict-item]
        tools = Tools(
            settings,
            store,
            app.attempts,
            sandbox or NoSandbox(),
            {AGENT: agent or talking()},
            dict(app.forges),
            None,
            redactor,
            app.followup_runs,
        )
        place = House(app, chat, Worker(tools), tools)
        place.start()
        try:
            yield place
        finally:
            await place.end()

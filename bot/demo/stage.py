"""The stage of the demo: everything that has to stand before the first word is said, and is taken down at the end."""

import asyncio
import logging
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bot.app import App, WorkerRefused, open_app, open_worker, pick_sandbox, run_parts
from bot.core.redact import LiveRedactor
from bot.demo import DemoOptions
from bot.demo.channel import Channel
from bot.demo.chats import open_channels
from bot.demo.sample_project import CopyFailed, make_sample
from bot.demo.sample_project import copy_repository as copy_given
from bot.demo.server import Pages, serve_pages
from bot.demo.terminal import Terminal, make_console
from bot.logs import configure_logs
from bot.ports import Fatal, Repo
from bot.settings import Settings, SettingsError, without_environment
from bot.worker.forges.local import LocalForge
from platforms.registry import load_settings

PACE: Final = 1.6
"""Seconds between the steps of the demo agent, so that a person can watch."""
TEST_PAUSE: Final = 3
WATCHED_TESTS: Final = f"sleep {TEST_PAUSE}; python3 -m unittest"
"""The sample project's tests take a millisecond; the pause lets the stage be seen."""
KEPT_SETTINGS: Final = (
    "llm_base_url",
    "llm_api_key",
    "llm_provider",
    "llm_model",
    "opencode_bin",
    "sandbox",
    "sandbox_tools",
    "allow_unsandboxed_push",
    "setup_command",
    "test_command",
    "agent_minutes",
    "setup_minutes",
    "test_minutes",
)
"""What a repository of one's own may need from the environment. Nothing else of it reaches the demo."""
BUILT_IN: Final = ("demo", "patch")


class DemoRefused(Exception):
    """The demo cannot be played so. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What stands: the simulated chats, the app on them, the pages, and the repository that is worked on."""

    options: DemoOptions
    channels: Sequence[Channel]
    pages: Pages
    app: App
    terminal: Terminal
    repo: Repo
    bare: Path
    remark: str
    parts: "asyncio.Task[Fatal | None]"

    @property
    def forge(self) -> LocalForge:
        forge = self.app.forges["local"]
        assert isinstance(forge, LocalForge)
        return forge

    @property
    def paced(self) -> bool:
        return not self.options.fast


def perform(options: DemoOptions) -> int:
    """Sets up, plays, takes down. See `bot.demo.run_demo` for the answer."""
    folder = Path(tempfile.mkdtemp(prefix="codetask-demo-"))
    logs = folder / "demo.log"
    code = 1
    try:
        with logs.open("w") as stream:
            _log_to(stream)
            os.environ["CODETASK_DEMO_PACE"] = "0" if options.fast else str(PACE)
            code = asyncio.run(_perform(options, folder, logs))
    except KeyboardInterrupt:
        code = 130
    finally:
        _remove(folder, keep=code == 1 or (options.repo is not None and code == 0))
    return code


async def _perform(options: DemoOptions, folder: Path, logs: Path) -> int:
    from bot.demo.opening import raise_curtain
    from bot.demo.prompt import converse, stay
    from bot.demo.steps import MissingStep
    from bot.demo.story import play

    console = make_console()
    stop = asyncio.Event()
    playing = asyncio.current_task()
    assert playing is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    try:
        async with open_stage(options, folder, stop, console) as stage:
            if not options.once:
                await raise_curtain(stage)
            await play(stage)
            if not options.once and not await converse(stage) and stage.pages.seen.is_set():
                await stay(stage)
            stage.terminal.catch_up()
            if options.repo is not None:
                stage.terminal.tell(where_it_is(stage))
    except asyncio.CancelledError:
        playing.uncancel()
        console.print("\nStopped.")
        return 130
    except (DemoRefused, CopyFailed) as refused:
        console.print(str(refused), soft_wrap=True)
        return 2
    except MissingStep as missing:
        console.print(f"\nThe story did not happen: {missing}\nThe log of the demo: {logs}", soft_wrap=True)
        return 1
    return 0


@asynccontextmanager
async def open_stage(options: DemoOptions, folder: Path, stop: asyncio.Event, console: Any) -> AsyncIterator[Stage]:
    """Everything up and running; down again at the end, in the reverse order."""
    check_options(options)
    async with AsyncExitStack() as stack:
        bare, base = (make_sample(folder), "main") if options.repo is None else copy_given(options.repo, folder)
        channels = open_channels(stack)
        if not channels:
            raise DemoRefused("No chat platform is installed. Run: pip install 'codetask[all]'")
        pages = await stack.enter_async_context(serve_pages(channels))
        settings, remark = await fenced(demo_settings(options, folder, bare, base, channels, pages.url))
        app = await stack.enter_async_context(open_app(settings))
        worker = await open_worker(app, stack)
        terminal = Terminal(channels, console, quiet=options.quiet)
        alias = next(iter(settings.repositories))
        # A port of its own: a server of this machine may have the usual one.
        web = socket.create_server(("127.0.0.1", 0))
        parts = asyncio.create_task(run_parts(app, stop, worker, True, web))
        stack.push_async_callback(_end, parts, stop)
        stage = Stage(options, channels, pages, app, terminal, settings.repositories[alias], bare, remark, parts)
        pages.pulls.forge, pages.pulls.repo = stage.forge, stage.repo
        drawing = asyncio.create_task(terminal.watch())
        stack.callback(drawing.cancel)
        yield stage


async def _end(parts: "asyncio.Task[Fatal | None]", stop: asyncio.Event) -> None:
    stop.set()
    await parts


def check_options(options: DemoOptions) -> None:
    """Raises `DemoRefused` for options that do not go together."""
    agent = agent_of(options)
    if options.repo is None and agent != "demo":
        raise DemoRefused("The sample project has the demo agent. For another agent, name a repository: --repo PATH")
    if (agent == "command") != bool(options.command):
        raise DemoRefused("The agent `command` needs its argument list: --agent command -- program {prompt_file}")


def agent_of(options: DemoOptions) -> str:
    """The agent's name: as told, else `command` where its argument list was, else the demo agent."""
    return options.agent or ("command" if options.command else "demo")


def demo_settings(
    options: DemoOptions, folder: Path, bare: Path, base: str, channels: Sequence[Channel], web_url: str
) -> Settings:
    """The settings of a demo in `folder`. Raises `DemoRefused` for settings that do not work."""
    given: dict[str, Any] = {}
    if options.repo is not None:
        given = _from_environment()
    else:
        given["max_runs"] = given["max_runs_per_repo"] = max(2, len(channels))
    if options.repo is None and not options.fast:
        given["test_command"] = WATCHED_TESTS
    alias = bare.name.removesuffix(".git")
    try:
        with without_environment():
            return load_settings(
                codetask_data=folder / "data",
                repos={alias: {"url": bare.as_uri(), "base": base, "forge": "local"}},
                default_agent=agent_of(options),
                agent_command=options.command,
                codetask_url=web_url,
                reconcile_seconds=2,
                **join_settings_of(channels),
                **given,
            )
    except SettingsError as error:
        raise DemoRefused(f"These settings do not work: {error}") from error


def join_settings_of(channels: Sequence[Channel]) -> dict[str, Any]:
    """What connects the bot to every channel. A list (such as `admins`) that several give is joined."""
    joined: dict[str, Any] = {}
    for channel in channels:
        for name, value in channel.settings.items():
            joined[name] = (*joined.get(name, ()), *value) if isinstance(value, tuple) else value
    return joined


def _from_environment() -> dict[str, Any]:
    try:
        found = load_settings()
    except SettingsError as error:
        raise DemoRefused(f"A setting of the environment is wrong:\n{error}") from error
    return {name: getattr(found, name) for name in KEPT_SETTINGS}


async def fenced(settings: Settings) -> tuple[Settings, str]:
    """The settings with a sandbox that works here, and what to say about it.

    Without one the built-in agents run all the same, in the local forge; other agents raise `DemoRefused`."""
    builtin = settings.default_agent in BUILT_IN
    if settings.sandbox == "none" and not builtin:
        return settings, "SANDBOX=none: the agent runs without isolation, as your settings say."
    if settings.sandbox == "none" or (os.geteuid() == 0 and builtin):
        return _unfenced(settings), "Root has no sandbox here, so only the built-in agents may run. They are scripted."
    try:
        await pick_sandbox(settings)
    except WorkerRefused as refused:
        if not builtin:
            raise DemoRefused(f"The agent {settings.default_agent} runs only in a sandbox.\n{refused}") from refused
        say = f"No sandbox works here, so only the built-in agents may run. They are scripted. ({refused})"
        return _unfenced(settings), say
    return settings, ""


def _unfenced(settings: Settings) -> Settings:
    return settings.model_copy(update={"sandbox": "none", "agents": BUILT_IN})


def where_it_is(stage: Stage) -> str:
    """The last words for somebody's own repository."""
    return (
        f"\nYour repository was not touched. The copy with all branches and pull requests is {stage.bare}\n"
        f"Take what you like from it: git fetch {stage.bare} {stage.repo.base}"
    )


def _log_to(stream: Any) -> None:
    configure_logs("info", LiveRedactor(()), terminal=False, stream=stream)
    logging.captureWarnings(True)


def _remove(folder: Path, *, keep: bool) -> None:
    import shutil

    if keep:
        for name in ("source", "git-home", "data"):
            shutil.rmtree(folder / name, ignore_errors=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)

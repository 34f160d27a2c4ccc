"""The composition root: settings -> store -> platforms -> services -> worker -> web. Alone in knowing everyone.

`serve` runs one process with the parts it is asked for, until a signal. Everything else (demo, tests) builds the same
`App` and starts the same parts.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import structlog

from bot.core.redact import LiveRedactor
from bot.model_client import ModelClient, open_model
from bot.ports import Clock, Fatal, Forge, Model, Platform, Sandbox, SandboxRefused
from bot.scheduler import Scheduler
from bot.services.announcements import Announcer
from bot.services.attempts import Attempts
from bot.services.backfill import Backfill
from bot.services.chat_followups import ChatFollowUps
from bot.services.chat_tasks import ChatTasks
from bot.services.commands import ChatCommands
from bot.services.firing import Firing
from bot.services.followup_news import FollowUpNews
from bot.services.followup_runs import FollowUpRuns
from bot.services.followups import FollowUps
from bot.services.fresh_roles import FreshRoles
from bot.services.inbox import InboxService
from bot.services.intake.changes import Changes
from bot.services.intake.chat import ChatIntake
from bot.services.intake.collecting import Collecting
from bot.services.intake.deciding import Deciding
from bot.services.intake.filed_changes import FiledChanges
from bot.services.intake.judges import RulesJudge
from bot.services.intake.judging import Judging, Jury, Reading
from bot.services.intake.listening import Listening
from bot.services.intake.llm import LlmJudge, asks_model
from bot.services.intake.local_model import local_weights
from bot.services.intake.modes import Modes
from bot.services.intake.news import SuggestionNews
from bot.services.intake.originals import Originals
from bot.services.intake.reranking import Reranker
from bot.services.intake.suggestions import Suggestions
from bot.services.languages import Languages
from bot.services.ledger import Ledger
from bot.services.merges import Merges, Reconciler
from bot.services.outbox import Relay
from bot.services.people import Rights
from bot.services.presence import keep_seen
from bot.services.questions import Questions
from bot.services.queued import QueuedTasks
from bot.services.run_tools import RunTools
from bot.services.said import Answers
from bot.services.sends import FEATURE as SENDING
from bot.services.tasks import CodeTasks
from bot.settings import Settings
from bot.web import serve_web
from bot.worker.agents import create_agent, known_agents
from bot.worker.callbacks import Callbacks
from bot.worker.forges import ForgeSettings, create_forge
from bot.worker.gateway import Gateway
from bot.worker.loop import Worker
from bot.worker.processes import hide_own_memory
from bot.worker.sandbox import choose_sandbox
from bot.worker.stages import Tools
from platforms.registry import configured_platforms, create_platform
from storage.engine import Database, SystemClock, open_database

log = structlog.get_logger(__name__)
SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter while another waits. With Python's own 5 ms a hop from the event loop to a
thread and back took 7 ms at p95 beside a busy thread, with this 2 ms (benchmarks/README.md); an ack needs several."""

DATABASE_PATIENCE = timedelta(seconds=30)
"""How long a start waits for a PostgreSQL that starts beside it, or again (ours; a crashed one recovers in seconds)."""

GARBAGE = (1_000, 10, 100)
"""New objects between two collections of the youngest, and how many of those come between two of the older ones: a full
one after a million instead of Python's 70,000, which 200 ordinary messages a second reach every five seconds (ours)."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The parts that make suggestions and code tasks of ordinary messages."""

    modes: Modes
    originals: Originals
    suggestions: Suggestions
    listening: Listening
    judging: Judging
    changes: Changes


@dataclass(frozen=True, slots=True)
class App:
    """The parts of one process, wired. `platforms` are those that are configured."""

    settings: Settings
    store: Database
    redactor: LiveRedactor
    tasks: CodeTasks
    attempts: Attempts
    followups: FollowUps
    followup_runs: FollowUpRuns
    run_tools: RunTools
    firing: Firing
    merges: Merges
    platforms: Mapping[str, Platform]
    forges: Mapping[str, Forge]
    inbox: InboxService
    intake: Intake
    relay: Relay
    scheduler: Scheduler


def usable_agents(settings: Settings) -> tuple[str, ...]:
    """Names of the agents that may be chosen: those known, limited to the setting `agents` where it names any."""
    known = known_agents(settings)
    return tuple(name for name in known if not settings.agents or name in settings.agents)


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    with_platforms: bool = True,
    patience: timedelta = DATABASE_PATIENCE,
) -> AsyncIterator[App]:
    """Opens the store and wires every service; closes all of it at the end. Nothing runs yet. A PostgreSQL that is away
    is waited for for so long."""
    hide_own_memory()
    sys.setswitchinterval(SWITCH_SECONDS)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        store = await open_database(settings.store_url, clock, patience)
        stack.push_async_callback(store.close)
        names = configured_platforms(settings) if with_platforms else []
        platforms = {name: create_platform(name, settings.chat[name], store) for name in names}
        for platform in platforms.values():
            stack.push_async_callback(platform.aclose)
        redactor = LiveRedactor(settings.secrets())
        forges = open_forges(settings, clock or SystemClock(), redactor)
        for forge in forges.values():
            stack.push_async_callback(forge.aclose)
        model = open_intake_model(settings)
        if model is not None:
            stack.push_async_callback(model.aclose)
        yield wire(settings, store, platforms, forges, redactor, model)


def wire(
    settings: Settings,
    store: Database,
    platforms: Mapping[str, Platform],
    forges: Mapping[str, Forge],
    redactor: LiveRedactor | None = None,
    model: Model | None = None,
) -> App:
    """Builds the services over an open store. `model` is the one that intake may ask."""
    redactor = redactor or LiveRedactor(settings.secrets())
    languages = Languages.of(settings.default_language, platforms)
    announcer = Announcer(languages, redactor, sends=SENDING in settings.features)
    attempts = Attempts(settings, announcer)
    rights, agents = Rights(settings), usable_agents(settings)
    tasks = CodeTasks(settings, announcer, rights, attempts, agents)
    news = FollowUpNews(languages, redactor)
    followups, followup_runs = FollowUps(settings, rights, agents), FollowUpRuns(settings, news)
    run_tools = RunTools(settings, followups, news, tasks, attempts, Questions(announcer, rights), redactor)
    firing = Firing(store, settings, followups, news, FreshRoles(store, platforms))
    merges = Merges(settings, announcer)
    backfill = Backfill(store, platforms)
    follow_ups_in_chat = ChatFollowUps.of(followups, news, announcer)
    tasks_in_chat = ChatTasks(tasks, follow_ups_in_chat.answers, follow_ups_in_chat.offer_follow_up)
    intake = open_intake(settings, store, platforms, tasks, model)
    suggestions = in_chat(intake, store, tasks, follow_ups_in_chat.answers, platforms)
    chats = (tasks_in_chat, follow_ups_in_chat)
    commands = ChatCommands(store, tasks, announcer, *chats, platforms, backfill.gap, intake.listening, suggestions)
    inbox = InboxService(store, commands, intake.originals, intake.modes.wanted)
    backfill.inbox = inbox
    reconciler = Reconciler(store, merges, forges)
    upkeep = (backfill.everywhere, intake.suggestions.expire, intake.changes.reread_queued)
    scheduler = Scheduler(store, settings, attempts, followup_runs, reconciler, *upkeep)
    relay = Relay(store, platforms, settings.lease, languages, news.rehome)
    return App(
        settings,
        store,
        redactor,
        tasks,
        attempts,
        followups,
        followup_runs,
        run_tools,
        firing,
        merges,
        platforms,
        forges,
        inbox,
        intake,
        relay,
        scheduler,
    )


def open_intake(
    settings: Settings,
    store: Database,
    platforms: Mapping[str, Platform],
    tasks: CodeTasks,
    model: Model | None,
) -> Intake:
    """The parts that make suggestions and code tasks of ordinary messages. This process is their `owner`."""
    announcer, rights, owner = tasks.announcer, tasks.rights, uuid.uuid4().hex
    ledger = Ledger(announcer, rights)
    suggestions = Suggestions(settings, tasks, ledger, SuggestionNews(announcer), rights)
    modes, originals = Modes(rights), Originals(platforms, owner=owner)
    rules = RulesJudge(settings.intake_threshold, local_weights(settings))
    judge = LlmJudge(settings, rules, model) if model is not None and asks_model(settings) else rules
    reranker = Reranker(settings, model) if model is not None and settings.embeddings_model else None
    deciding = Deciding(settings, modes, rights, ledger, suggestions)
    jury = Jury(store, deciding, originals, judge, rules, platforms, reranker)
    reading = Reading(store, originals)
    changes = Changes(store, reading, jury, FiledChanges(announcer, rights), owner)
    listening = Listening(originals, Collecting(store, modes, originals, owner), changes)
    return Intake(modes, originals, suggestions, listening, Judging(store, reading, jury, owner), changes)


def in_chat(
    intake: Intake, store: Database, tasks: CodeTasks, answers: Answers, platforms: Mapping[str, Platform]
) -> ChatIntake:
    """What people press and type about suggestions."""
    parts = intake.suggestions
    return ChatIntake(store, parts, QueuedTasks(tasks), parts.ledger, answers, intake.modes, intake.changes, platforms)


def open_intake_model(settings: Settings) -> ModelClient | None:
    """The endpoint whose models judge ordinary messages or rank code tasks; None where none is wanted or usable."""
    wanted = settings.intake_judge == "llm"
    if not wanted and not settings.embeddings_model:
        return None
    try:
        model = open_model(settings)
    except ValueError as error:
        log.error("intake_model_refused", why=str(error), say="The local rules judge instead.")
        return None
    if wanted and not (model is not None and asks_model(settings)):
        log.warning("no_intake_model", say="INTAKE_JUDGE=llm needs LLM_BASE_URL and LLM_MODEL; the rules judge.")
    return model


def open_forges(settings: Settings, clock: Clock, redactor: LiveRedactor) -> dict[str, Forge]:
    """One forge per kind that a configured repository uses."""
    home = settings.data_dir / "git-home"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = ForgeSettings.read(settings, home, redactor.learn)
    kinds = {repo.forge for repo in settings.repositories.values()}
    return {kind: create_forge(kind, told, clock) for kind in sorted(kinds)}


class WorkerRefused(Exception):
    """The worker may not start: no sandbox, or a setting that cannot work. The text says what to install or set."""


async def open_worker(app: App, stack: AsyncExitStack) -> Worker:
    """A worker over the app's store; raises `WorkerRefused` when no sandbox can be used."""
    settings = app.settings
    sandbox = await pick_sandbox(settings)
    gateway = None
    if settings.llm_base_url:
        try:
            gateway = await stack.enter_async_context(Gateway(settings))
        except ValueError as error:
            raise WorkerRefused(str(error)) from error
    agents = {name: create_agent(name, settings) for name in usable_agents(settings)}
    callbacks = Callbacks(app.store, app.run_tools, app.redactor)
    tools = Tools(
        settings,
        app.store,
        app.attempts,
        sandbox,
        agents,
        dict(app.forges),
        gateway,
        app.redactor,
        app.followup_runs if "followups" in settings.features else None,
        callbacks,
    )
    return Worker(tools)


async def pick_sandbox(settings: Settings) -> Sandbox:
    """The sandbox of SANDBOX after its self-test; raises `WorkerRefused` with what to do."""
    tools = [Path(tool) for tool in settings.sandbox_tools]
    sandbox = await choose_sandbox(settings.sandbox, tools=tools, hidden=[settings.workspaces])
    if isinstance(sandbox, SandboxRefused):
        raise WorkerRefused(sandbox.say)
    if not sandbox.isolates:
        log.warning("no_sandbox", say="Agents run without isolation. Use this only on a disposable machine.")
    return sandbox


def settle_memory() -> None:
    """Keeps what is loaded by now out of every later collection of garbage, and makes the full ones rare: each stops
    the whole process for 50 to 100 ms, acks included. For a process that runs one app to its end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


async def run_parts(
    app: App, stop: asyncio.Event, worker: Worker | None, serve: bool, web: socket.socket | None = None
) -> Fatal | None:
    """Runs the parts of this process until `stop`: chat, inbox, relay, scheduler (`serve`), and the worker.

    With `serve` and the feature `web` on, the HTTP API listens on `web`, else on WEB_BIND. Returns `Fatal` when a
    platform cannot go on; the caller exits non-zero."""
    with_web = serve and "web" in app.settings.features
    if with_web:  # importing it takes a second, which no ack may wait for
        await asyncio.to_thread(import_module, "bot.web.server")
    app.scheduler.start()
    adapters = [asyncio.create_task(p.run(app.inbox, stop), name=f"platform-{n}") for n, p in app.platforms.items()]
    parts: list[asyncio.Task[None]] = []
    if "followups" in app.settings.features:
        parts.append(asyncio.create_task(app.firing.run(stop), name="firing"))
    if serve:
        parts += [asyncio.create_task(app.inbox.run(stop)), asyncio.create_task(app.relay.run(stop))]
        if app.intake.modes.on:
            parts.append(asyncio.create_task(app.intake.judging.run(stop), name="intake"))
        if with_web:
            parts.append(asyncio.create_task(serve_web(app, stop, web), name="web"))
    if worker is not None:
        parts.append(asyncio.create_task(worker.run(stop)))
        parts.append(asyncio.create_task(keep_seen(app.store, worker.seen, stop)))
    fatal: Fatal | None = None
    stopping = asyncio.create_task(stop.wait())
    try:
        watched: set[asyncio.Task] = {stopping, *adapters, *parts}
        while not stop.is_set():
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                watched.discard(task)
                fatal = fatal or _why_ended(task)
                stop.set()
    finally:
        stop.set()
        await app.scheduler.stop()
        stopping.cancel()
        await asyncio.gather(*adapters, *parts, return_exceptions=True)
    return fatal


def _why_ended(task: asyncio.Task) -> Fatal | None:
    error = task.exception()
    if error is not None:
        log.error("part_failed", part=task.get_name(), exc_info=error)
        return Fatal(f"{task.get_name()} ended with an error")
    outcome = task.result()
    return outcome if isinstance(outcome, Fatal) else None


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGINT and SIGTERM set `stop`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)

"""`codetask up`, `serve` and `worker`: the product's own processes."""

import asyncio
import socket
from contextlib import AsyncExitStack, suppress
from typing import Final

from bot.cli.failures import FAILED, USAGE, Failure
from bot.cli.local import Steps, database_name, explained, read_settings
from bot.cli.output import say
from bot.settings import Settings

LOOK_SECONDS: Final = 0.25


def up() -> None:
    """Run everything in one process: chat, API and worker."""
    settings = _prepared()
    with explained(settings):
        asyncio.run(_run(settings, serve=True, work=True))


def serve() -> None:
    """Run chat and API without a worker."""
    settings = _prepared()
    with explained(settings):
        asyncio.run(_run(settings, serve=True, work=False))


def worker() -> None:
    """Run a worker only, on the server's database. Needs the server's WORKER_TOKEN."""
    settings = _prepared()
    if settings.worker_token is None:
        from bot.core.texts import Texts

        raise Failure(Texts.load().say("cli.missing_variable", variable="WORKER_TOKEN"), USAGE)
    with explained(settings):
        asyncio.run(_run(settings, serve=False, work=True))


def _prepared() -> Settings:
    from bot.core.redact import LiveRedactor
    from bot.logs import configure_logs

    settings = read_settings()
    configure_logs(settings.log_level, LiveRedactor(settings.secrets()))
    return settings


async def _run(settings: Settings, *, serve: bool, work: bool) -> None:
    from bot.app import App, open_app, open_worker, run_parts, settle_memory, stop_on_signals
    from bot.logs import configure_logs
    from bot.web.listener import open_listener

    stop = asyncio.Event()
    steps = Steps()
    async with AsyncExitStack() as stack:
        web: socket.socket | None = None
        if serve and "web" in settings.features:
            web = stack.enter_context(open_listener(settings))

        async def open_it() -> App:
            return await stack.enter_async_context(open_app(settings, with_platforms=serve))

        app = await steps.step(f"Opening the database {database_name(settings)}", open_it)
        stop_on_signals(stop)  # not before: who ends a start that waits for its database ends it at once
        configure_logs(settings.log_level, app.redactor)  # this one learns the tokens minted later
        if not serve:
            await _prove(app, settings)
        hand = None
        if work:
            hand = await steps.step("Testing the sandbox", lambda: open_worker(app, stack))
            say(f"Worker {hand.name}: up to {settings.max_runs} runs at once, sandbox {hand.seen.sandbox}.")
        _say_what_is_missing(settings, serve)
        if web is not None:
            from bot.web.server import admit_tokens

            await admit_tokens(app)
            host, port = web.getsockname()[:2]
            say(f"API: http://{f'[{host}]' if ':' in host else host}:{port} (token in {settings.token_file})")
        settle_memory()
        watching = asyncio.create_task(_say_connections(app, stop))
        try:
            fatal = await run_parts(app, stop, hand, serve, web)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
    if fatal is not None:
        raise Failure(fatal.why, FAILED, fatal.fix)
    say("Stopped.")


async def _prove(app: object, settings: Settings) -> None:
    """A worker of its own process must hold the token that the server admitted."""
    from bot.app import App
    from bot.web.tokens import knows_worker_token

    assert isinstance(app, App)
    assert settings.worker_token is not None
    if not await knows_worker_token(app.store, settings.worker_token.get_secret_value()):
        raise Failure(
            "This WORKER_TOKEN is not known here.",
            USAGE,
            "Start the server (`codetask up` or `codetask serve`) once with the same WORKER_TOKEN and database.",
        )


def _say_what_is_missing(settings: Settings, serve: bool) -> None:
    from platforms.registry import PLATFORMS, configured_platforms

    if not settings.repositories:
        say("No repository yet: set GIT_REPO_URL, or [repos.<name>] in codetask.toml.")
    if serve and not configured_platforms(settings):
        platforms = "|".join(PLATFORMS)
        say(f"No chat platform yet: `codetask setup {platforms}` says how. The API and the command line work alone.")


async def _say_connections(app: object, stop: asyncio.Event) -> None:
    """One line for each platform when it is connected."""
    from bot.app import App

    assert isinstance(app, App)
    waiting = dict(app.platforms)
    while waiting and not stop.is_set():
        for name in [name for name, platform in waiting.items() if platform.health().state == "ready"]:
            say(f"{name.capitalize()}: connected.")
            del waiting[name]
        await asyncio.sleep(LOOK_SECONDS)

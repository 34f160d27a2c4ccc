"""`codetask doctor`: one line per check, `ok`, `warn` or `fail`, and what to do."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, Final

import structlog
import typer

from bot.cli.failures import FAILED, OK, Failure
from bot.cli.findings import Finding, fail, ok
from bot.cli.local import explained
from bot.cli.machine_checks import check_agents, check_disk, check_git, check_python, check_time_zones
from bot.cli.output import Format, Json, Output, out, out_json, say, wants_json
from bot.cli.service_checks import (
    check_backlog,
    check_chat,
    check_exposure,
    check_forges,
    check_server,
    check_settings,
    check_store,
    prove_channels,
)
from bot.ports import Sandbox
from bot.settings import Settings, SettingsError
from platforms.registry import load_settings

CHECK_SECONDS: Final = 60.0
log = structlog.get_logger(__name__)


Live = Annotated[
    list[str] | None,
    typer.Option("--live", help="A channel to prove in, as platform:id (slack:C012AB3CD): send, edit, react, read."),
]


def doctor(output: Output = Format.TABLE, as_json: Json = False, live: Live = None) -> None:
    """Check this machine and every connection, with the fix for each problem. Exit 1 when one fails."""
    from bot.core.redact import LiveRedactor
    from bot.logs import configure_logs

    configure_logs("critical", LiveRedactor(()))
    findings = asyncio.run(_all(live or [], quiet=wants_json(output, as_json)))
    if wants_json(output, as_json):
        out_json({"items": [asdict(finding) for finding in findings], "next": None})
    counts = Counter(finding.level for finding in findings)
    if not wants_json(output, as_json):
        say(f"{counts['ok']} ok, {counts['warn']} warn, {counts['fail']} fail")
    raise typer.Exit(FAILED if counts["fail"] else OK)


async def _all(live: Sequence[str], quiet: bool) -> list[Finding]:
    found: list[Finding] = []
    async for finding in _checks(live):
        found.append(finding)
        if not quiet:
            fix = f" -> {finding.fix}" if finding.fix else ""
            out(f"{finding.level:<4}  {finding.check}: {finding.says}{fix}")
    return found


async def _checks(live: Sequence[str]) -> AsyncIterator[Finding]:
    for finding in await _one("python", check_python):
        yield finding
    try:
        settings = load_settings()
    except (SettingsError, OSError) as error:
        yield fail("settings", str(error).replace("\n", "; "), "Correct it, then run codetask doctor again.")
        return
    machine: list[tuple[str, Callable[[], Coroutine[Any, Any, Sequence[Finding]]]]] = [
        ("settings", lambda: check_settings(settings)),
        ("time zones", check_time_zones),
        ("git", lambda: check_git(settings)),
        ("disk", lambda: check_disk(settings)),
        ("exposure", lambda: check_exposure(settings)),
    ]
    for name, check in machine:
        for finding in await _one(name, check):
            yield finding
    async for finding in _sandbox_and_agents(settings):
        yield finding
    async for finding in _services(settings, live):
        yield finding


async def _sandbox_and_agents(settings: Settings) -> AsyncIterator[Finding]:
    from bot.app import WorkerRefused, pick_sandbox

    sandbox: Sandbox | None = None
    try:
        sandbox = await pick_sandbox(settings)
        yield ok("sandbox", f"{sandbox.name}, self-test passed" if sandbox.isolates else sandbox.name)
    except WorkerRefused as error:
        yield fail("sandbox", "none can be used", str(error))
    for finding in await _one("agents", lambda: check_agents(settings, sandbox)):
        yield finding


async def _services(settings: Settings, live: Sequence[str]) -> AsyncIterator[Finding]:
    from bot.app import open_app

    try:
        with explained(settings):
            async with open_app(settings, patience=timedelta(0)) as app:
                for name, check in (
                    ("database", check_store),
                    ("forge", check_forges),
                    ("chat", check_chat),
                    ("live", lambda app: prove_channels(app, live)),
                    ("server", check_server),
                    ("workers", check_backlog),
                ):
                    for finding in await _one(name, lambda check=check: check(app)):
                        yield finding
    except Failure as failure:
        yield fail("start", failure.message, failure.hint or "See above.")


async def _one(name: str, check: Callable[[], Coroutine[Any, Any, Sequence[Finding]]]) -> Sequence[Finding]:
    """A check's findings; one that breaks or hangs is itself a finding."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return [fail(name, f"no answer within {CHECK_SECONDS:.0f} s", "Check the network and the addresses.")]
    except Exception as error:
        log.exception("check_broke", check=name)
        return [fail(name, f"the check broke: {type(error).__name__}", "Run it with LOG_LEVEL=debug and report it.")]

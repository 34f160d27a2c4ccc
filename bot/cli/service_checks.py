"""`doctor`: what the installation must have: settings, store, forge, chat, workers, and nothing left open."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from bot.cli.findings import Finding, fail, ok, warn
from bot.cli.local import database_name
from bot.settings import Settings
from platforms.registry import PLATFORMS

if TYPE_CHECKING:
    from bot.app import App
    from storage.transaction import Tx

CLOCK_OFF: Final = timedelta(seconds=5)
BACKLOG_OLD: Final = timedelta(minutes=5)


async def check_settings(settings: Settings) -> Sequence[Finding]:
    found = [ok("settings", f"data folder {settings.data_dir}")]
    if not settings.repositories:
        fix = "Set GIT_REPO_URL, or [repos.<name>] in codetask.toml."
        found.append(fail("repository", "none is configured", fix))
    for alias, repo in settings.repositories.items():
        found.append(ok(f"repository {alias}", f"forge {repo.forge}, base {repo.base}"))
    return found


class _RollBackError(Exception):
    """Ends the write test without leaving a trace."""


async def check_store(app: "App") -> Sequence[Finding]:
    """The schema is current (opening made sure of it); a row can be written; both clocks agree."""
    from storage.schema import check_schema

    where = database_name(app.settings)
    found = [ok("database", where)]
    differences = check_schema(app.store.engine)
    if differences:
        found.append(fail("schema", differences[0], "Restore a backup, or use an empty database."))
    else:
        found.append(ok("schema", "as this version wants it"))
    try:
        await app.store.run(_write_and_roll_back)
    except _RollBackError:
        found.append(ok("write test", "a row can be written"))
    found.append(await _clock(app))
    return found


def _write_and_roll_back(tx: "Tx") -> None:
    tx.people.first_delivery("doctor")
    raise _RollBackError


async def _clock(app: "App") -> Finding:
    there = await app.store.run(lambda tx: tx.now, read=True)
    off = abs(there - app.store.now())
    says = f"{off.total_seconds():.1f} s away from the database's"
    return ok("clock", says) if off <= CLOCK_OFF else fail("clock", says, "Synchronise both machines' clocks (NTP).")


async def check_forges(app: "App") -> Sequence[Finding]:
    """Each repository: may it be read with the credentials that are set?"""
    from bot.ports import GitAccess

    found: list[Finding] = []
    for alias, repo in app.settings.repositories.items():
        forge = app.forges.get(repo.forge)
        if forge is None:
            continue
        access = await forge.read_access(repo)
        if isinstance(access, GitAccess):
            found.append(ok(f"forge of {alias}", forge.name))
        else:
            why = getattr(access, "say", "") or getattr(access, "why", "no answer")
            found.append(fail(f"forge of {alias}", why, f"Check its address and the credentials of {forge.name}."))
    return found


async def check_chat(app: "App") -> Sequence[Finding]:
    """Token, scopes and transport of each configured platform."""
    from bot.ports import Identity

    if not app.platforms:
        return [warn("chat", "no platform is connected", f"codetask setup {'|'.join(PLATFORMS)}")]
    found: list[Finding] = []
    for name, platform in app.platforms.items():
        told = await platform.preflight()
        if isinstance(told, Identity):
            found.append(ok(name, f"@{told.name} in {told.workspace_id}"))
            if told.degraded:
                found.append(warn(name, "connected, but with less than it could have", told.degraded))
        else:
            found.append(fail(name, f"refused: {told.why}", told.fix))
    return found


async def prove_channels(app: "App", channels: Sequence[str]) -> Sequence[Finding]:
    """Sends, edits, reacts and reads back in each channel of `--live`, named as `platform:id`."""
    from bot.core.inbound import ThreadRef
    from bot.ports import Identity
    from bot.services.proof import prove

    found: list[Finding] = []
    for channel in channels:
        name, _, channel_id = channel.partition(":")
        platform = app.platforms.get(name)
        if platform is None or not channel_id:
            found.append(
                fail(f"live {channel}", "no such place", "Write platform:id, of a platform that is connected.")
            )
            continue
        told = await platform.preflight()
        if not isinstance(told, Identity):
            continue  # said by the check of the platform
        place = ThreadRef(platform=name, workspace_id=told.workspace_id, channel_id=channel_id)
        async for proof in prove(platform, place, app.store):
            check = f"{name} {proof.step}"
            says = f"refused: {proof.why or 'no answer'}" if proof.problem else "works"
            found.append(fail(check, says, proof.problem) if proof.problem else ok(check, says))
    return found


async def check_server(app: "App") -> Sequence[Finding]:
    """What the running server says of its connections, where one answers at this machine."""
    import httpx

    url = app.settings.codetask_url or f"http://{app.settings.web_bind}"
    try:
        async with httpx.AsyncClient(timeout=3, trust_env=False) as client:
            answer = (await client.get(f"{url}/readyz")).json()
    except (httpx.HTTPError, ValueError):
        return [ok("server", f"none answers at {url}")]
    found = [ok("server", f"answers at {url}")]
    for name, state in answer.get("checks", {}).items():
        if name in app.platforms and state not in ("ready", "standby"):
            found.append(warn(f"server {name}", f"its connection is {state}", "The server's log says why."))
        elif name in app.platforms:
            found.append(ok(f"server {name}", f"its connection is {state}"))
    return found


async def check_backlog(app: "App") -> Sequence[Finding]:
    """Is a worker alive, does the queue move, are deliveries going out?"""
    from bot.services.presence import ALIVE

    workers, runs, oldest, deliveries, unhandled, now = await app.store.run(
        lambda tx: (
            tx.figures.workers(ALIVE),
            tx.figures.runs(),
            tx.figures.oldest_delivery_at(),
            tx.figures.deliveries(),
            tx.figures.unhandled(),
            tx.now,
        ),
        read=True,
    )
    queued = f"{runs['queued']} runs wait, {runs['active']} are under way"
    found = [ok("workers", f"{len(workers)} alive; {queued}")]
    if not workers:
        says = f"none is alive; {queued}"
        fix = "Start one: `codetask up`, or `codetask worker`."
        found = [fail("workers", says, fix) if runs["queued"] else warn("workers", says, fix)]
    says = f"{deliveries['pending']} wait, {deliveries['dead']} were given up"
    if oldest is not None and now - oldest > BACKLOG_OLD:
        found.append(fail("outbox", f"{says}; the oldest waits since {oldest:%H:%M} UTC", "Is `codetask up` running?"))
    elif deliveries["dead"]:
        found.append(warn("outbox", says, "Invite the bot to its channels; the log names each one."))
    else:
        found.append(ok("outbox", says))
    if unhandled:
        found.append(warn("inbox", f"{unhandled} events wait", "Is `codetask up` running?"))
    return found


async def check_exposure(settings: Settings) -> Sequence[Finding]:
    """What is open on purpose, said aloud."""
    from bot.core.people import RolePolicy

    found: list[Finding] = []
    if settings.sandbox == "none":
        says = "agents run without isolation" + (" and their work is pushed" if settings.allow_unsandboxed_push else "")
        found.append(warn("isolation", says, "Set SANDBOX=auto, unless this machine is disposable."))
    if RolePolicy.of(settings.admins, settings.filers, settings.viewers).is_open:
        found.append(warn("roles", "every member may file code tasks", "Name people or groups in FILERS."))
    if settings.web_host not in ("127.0.0.1", "localhost", "::1"):
        hosts = ", ".join(settings.web_allowed_hosts) or "loopback names only"
        says = f"the API listens on {settings.web_bind}; it answers to {hosts}"
        found.append(warn("web", says, "Put TLS in front, and name its host in WEB_ALLOWED_HOSTS."))
    if settings.github_webhook_secret is None and any(r.forge == "github" for r in settings.repositories.values()):
        found.append(ok("webhook", "GITHUB_WEBHOOK_SECRET is not set: merges are found by the poll"))
    return found or [ok("exposure", "nothing is open")]

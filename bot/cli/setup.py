"""`codetask setup PLATFORM`: the steps in words, the credentials it asks for, and a proof that they work."""

import asyncio
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from bot.cli.env_file import write_env
from bot.cli.failures import FAILED, USAGE, Failure
from bot.cli.local import explained, read_settings
from bot.cli.output import out, say
from bot.settings import PlatformSettings, Settings, SettingsError, env_file
from platforms.registry import PLATFORMS, create_platform, load_settings, platform_setup


def setup(
    platform: Annotated[str, typer.Argument(help=", ".join(PLATFORMS))],
    url: Annotated[str, typer.Option(help="Public address of this server, for platforms that call it.")] = "",
    channel: Annotated[str, typer.Option(help="Id of a channel to prove it in: send, edit, react, read back.")] = "",
) -> None:
    """Connect a chat platform: print the steps, ask for what is missing, check it, and write it to .env.

    Nothing is asked when the input is no terminal."""
    if platform not in PLATFORMS:
        raise Failure(f"There is no platform {platform}.", USAGE, f"Known: {', '.join(PLATFORMS)}.")
    for number, step in enumerate(platform_setup(platform).setup_steps(url), 1):
        out(f"{number}. {step}")
    settings = read_settings()
    given: dict[str, str] = {}
    if not settings.chat[platform].configured:
        missing = _missing(settings.chat[platform])
        if not sys.stdin.isatty():
            verb = "is" if len(missing) == 1 else "are"
            say(f"{' and '.join(missing)} {verb} not set yet. Run this again when you have them, to check them.")
            return
        given = _registered(platform, settings.chat[platform], missing)
        given |= {name: _ask(name) for name in missing if name not in given}
        settings = _with(given)
    with explained(settings):
        asyncio.run(_check(platform, settings, channel))
    if given:
        write_env(env_file(), given)
        say(f"Wrote {' and '.join(given)} to {env_file()}. Only you can read it.")


def _missing(own: PlatformSettings) -> list[str]:
    return [name.upper() for name in own.asked if not getattr(own, name)]


def _registered(platform: str, own: PlatformSettings, missing: list[str]) -> dict[str, str]:
    """What a person has who is asked for the first setting: a new app's settings, when the platform can make one by a
    link and they only press Enter, else that first one."""
    register: Callable[[Callable[[str], None], PlatformSettings], dict[str, str] | str] | None
    register = getattr(platform_setup(platform), "register", None)
    if register is None or len(missing) < len(own.asked):
        return {}
    prompt = f"No app yet? Press Enter to make one by a link (or its QR code), or type {missing[0]}"
    typed: str = typer.prompt(prompt, default="", show_default=False, err=True).strip()
    if typed:
        return {missing[0]: typed}
    made = register(lambda link: say(f"Open this link and confirm: {link}"), own)
    if isinstance(made, str):
        raise Failure(made, FAILED, "Run this again, or make the app by the steps above.")
    return made


def _ask(name: str) -> str:
    secret = name.endswith(("TOKEN", "SECRET", "KEY"))
    return typer.prompt(name, hide_input=secret, err=True).strip()


def _with(given: dict[str, str]) -> Settings:
    values: dict[str, Any] = {name.lower(): value for name, value in given.items()}
    try:
        return load_settings(**values)
    except SettingsError as error:
        raise Failure(str(error), USAGE) from error


async def _check(name: str, settings: Settings, channel: str) -> None:
    from bot.core.inbound import ThreadRef
    from bot.ports import Identity
    from bot.services.proof import prove
    from storage.engine import SystemClock

    clock, title = SystemClock(), name.capitalize()
    platform = create_platform(name, settings.chat[name], clock)
    try:
        told = await platform.preflight()
        if not isinstance(told, Identity):
            raise Failure(f"{title} refused: {told.why}.", FAILED, told.fix)
        say(f"The credentials work: @{told.name} in {told.workspace_id}.")
        if not channel:
            say(f"In {title}, invite it to a channel and say: @{told.name} help")
            return
        place = ThreadRef(platform=name, workspace_id=told.workspace_id, channel_id=channel)
        async for proof in prove(platform, place, clock):
            if proof.problem:
                raise Failure(f"{title} refused to {proof.step}: {proof.why or 'no answer'}.", FAILED, proof.problem)
            say(f"{proof.step}: works")
    finally:
        await platform.aclose()

"""`codetask setup slack`: the steps in words, and a check of the tokens that are set."""

import asyncio
from typing import Annotated

import typer

from bot.cli.failures import FAILED, Failure
from bot.cli.local import explained, read_settings
from bot.cli.output import out, say
from bot.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Connect a chat platform.")


@app.callback()
def root() -> None:
    """Connect a chat platform."""


@app.command("slack")
def slack(
    url: Annotated[str, typer.Option(help="Public address of /webhooks/slack, for HTTP mode.")] = "",
) -> None:
    """Print the steps that connect Slack, and check the tokens when they are set."""
    from platforms.slack.setup import setup_steps

    for number, step in enumerate(setup_steps(url), 1):
        out(f"{number}. {step}")
    settings = read_settings()
    if not settings.chat["slack"].configured:
        say("SLACK_BOT_TOKEN is not set yet. Run this again when it is, to check it.")
        return
    with explained(settings):
        asyncio.run(_check(settings))


async def _check(settings: Settings) -> None:
    from bot.ports import Identity
    from platforms.registry import create_platform
    from storage.engine import SystemClock

    platform = create_platform("slack", settings.chat["slack"], SystemClock())
    try:
        told = await platform.preflight()
    finally:
        await platform.aclose()
    if not isinstance(told, Identity):
        raise Failure(f"Slack refused the tokens: {told.why}.", FAILED, told.fix)
    say(f"The tokens work: @{told.name} in workspace {told.workspace_id}. In Slack: /invite @{told.name}")

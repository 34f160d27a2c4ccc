"""`codetask manifest print`."""

from typing import Annotated

import typer

from bot.cli.failures import USAGE, Failure
from platforms.registry import PLATFORMS, platform_setup

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="What a platform is told.")


@app.callback()
def root() -> None:
    """What a chat platform is told about the app."""


@app.command("print")
def print_manifest(
    platform: Annotated[str, typer.Argument(help=", ".join(PLATFORMS))] = "slack",
    url: Annotated[str, typer.Option(help="Public address of /webhooks/<platform>, for platforms that call it.")] = "",
) -> None:
    """Print the manifest that creates the app."""
    if platform not in PLATFORMS:
        raise Failure(f"There is no manifest for {platform}.", USAGE, f"Known: {', '.join(PLATFORMS)}.")
    setup = platform_setup(platform)
    typer.echo(setup.render_manifest(setup.build_manifest(url)), nl=False)

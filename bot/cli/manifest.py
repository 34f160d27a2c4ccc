"""`codetask manifest print`."""

from typing import Annotated

import typer

from bot.cli.failures import USAGE, Failure

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="What a platform is told.")


@app.callback()
def root() -> None:
    """What a chat platform is told about the app."""


@app.command("print")
def print_manifest(
    platform: Annotated[str, typer.Argument(help="slack")] = "slack",
    url: Annotated[str, typer.Option(help="Public address of /webhooks/slack, for HTTP mode.")] = "",
) -> None:
    """Print the manifest that creates the app."""
    if platform != "slack":
        raise Failure(f"There is no manifest for {platform}.", USAGE, "Known: slack.")
    from platforms.slack.setup import build_manifest, render_manifest

    typer.echo(render_manifest(build_manifest(url)), nl=False)

"""`codetask demo`."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    once: Annotated[bool, typer.Option("--once", help="Play the story and end; 0 only if all of it happened.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Without pauses to watch.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say only what went wrong, and one last line.")] = False,
    repo: Annotated[Path | None, typer.Option(help="A repository of your own; it is copied, never touched.")] = None,
    agent: Annotated[str | None, typer.Option(help="With --repo: demo (default), patch, command or opencode.")] = None,
    request: Annotated[str | None, typer.Option(help="With --repo: what to ask for.")] = None,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- PROGRAM ARG...]", help="What the agent `command` runs.")
    ] = None,
) -> None:
    """Play the whole story offline, then try it yourself."""
    from bot.demo import DemoOptions, run_demo

    options = DemoOptions(
        once=once, fast=fast, quiet=quiet, repo=repo, agent=agent, command=tuple(command or ()), request=request
    )
    raise typer.Exit(run_demo(options))

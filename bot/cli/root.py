"""The tree of commands. A noun's module is imported when its name is used, so `codetask --help` stays quick."""

import os
import sys
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from bot.cli.failures import FAILED, OK, USAGE, Failure

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "up": ("process:up", "Run everything in one process: chat, API and worker."),
    "demo": ("demo:demo", "Play the whole story offline, then try it yourself."),
    "task": ("task:app", "File, watch and steer code tasks."),
    "followup": ("followup:app", "Run a prompt later, or be reminded."),
    "suggestion": ("suggestion:app", "See and decide what intake has found."),
    "doctor": ("doctor:doctor", "Check this machine and every connection; say how to fix them."),
    "setup": ("setup:setup", "Connect a chat platform, step by step, and prove it works."),
    "serve": ("process:serve", "Run chat and API without a worker."),
    "worker": ("process:worker", "Run a worker only."),
    "db": ("db:app", "Look at the database's schema, or upgrade it."),
    "token": ("token:app", "Make, list and revoke API tokens."),
    "person": ("person:app", "See who was seen here, and link one person's accounts."),
    "audit": ("audit:audit", "Show who changed what, and check the record."),
    "manifest": ("manifest:app", "Print what a chat platform is told about the app."),
    "when": ("when:when", "Show which instant a time is read as."),
    "intake": ("intake:app", "Measure and teach how requests in messages are found."),
    "stats": ("about:stats", "Count code tasks, follow-ups, runs and deliveries."),
    "whoami": ("about:whoami", "Show who this token acts for, and the role."),
}
"""Name -> (module:attribute, one line of help), in the order of the help page."""


class LazyGroup(TyperGroup):
    """Shows its commands from the table above, and loads the one that is run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in COMMANDS:
            self.add_command(load_command(args[0]), args[0])
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """The real command of that name."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    made = getattr(import_module(f"bot.cli.{module}"), attribute)
    if isinstance(made, typer.Typer):
        return get_command(made)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(made)
    return get_command(single)


def build() -> LazyGroup:
    """The root command."""
    app = typer.Typer(
        cls=LazyGroup, no_args_is_help=True, add_completion=True, rich_markup_mode=None, help=build.__doc__
    )

    @app.callback(help="Say what you need in chat; a pull request comes back in the same thread.")
    def root(version: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True)) -> None:
        if version:
            from importlib.metadata import version as version_of

            typer.echo(f"codetask {version_of('codetask')}")
            raise typer.Exit

    group = get_group(app)
    assert isinstance(group, LazyGroup)
    for name, (_, says) in COMMANDS.items():
        group.add_command(TyperCommand(name, help=says), name)
    return group


def run(args: list[str] | None = None) -> int:
    """Runs one command; its exit code. Errors are one line and what to do, on stderr."""
    try:
        outcome = build().main(args=args, prog_name="codetask", standalone_mode=False)
    except Failure as failure:
        _complain(failure.message, failure.hint)
        return failure.code
    except typer.TyperException as error:
        return _usage(error)
    except (typer.Abort, KeyboardInterrupt):
        _complain("Stopped.")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if os.environ.get("LOG_LEVEL", "").lower() == "debug":
            raise
        _complain(f"Unexpected fault: {type(error).__name__}.", "Run it again with LOG_LEVEL=debug to see where.")
        return FAILED
    return outcome if isinstance(outcome, int) else OK


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        typer.echo(context.get_help())
        return OK
    path = context.command_path if context is not None else "codetask"
    _complain(error.format_message(), f"See: {path} --help")
    return USAGE


def _complain(message: str, hint: str = "") -> None:
    typer.echo(f"{message} {hint}".strip(), err=True)

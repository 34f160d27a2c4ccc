"""The command line. Importing it loads nothing heavy: `main` builds the tree, each noun is loaded when it is named."""


def main(args: list[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code (UX rules 7)."""
    from bot.cli.root import run

    raise SystemExit(run(args))

"""`python -m bot.demo`: what `make demo` starts. `codetask demo` takes the same options."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bot.demo import DemoOptions, run_demo


def read_options(arguments: Sequence[str]) -> DemoOptions:
    """The options of a command line; everything after `--` is the argument list of the agent `command`."""
    before, command = list(arguments), ()
    if "--" in before:
        cut = before.index("--")
        before, command = before[:cut], tuple(before[cut + 1 :])
    parser = argparse.ArgumentParser(prog="demo", description="Play Codetask on this machine, without an account.")
    parser.add_argument("--once", action="store_true", help="play the story and end; exit 0 only if all of it happened")
    parser.add_argument("--fast", action="store_true", help="without pauses to watch")
    parser.add_argument("--quiet", action="store_true", help="say only what went wrong, and one last line")
    parser.add_argument("--repo", type=Path, help="a git repository of your own; it is copied, never touched")
    parser.add_argument("--agent", help="with --repo: demo (default), patch, command or opencode")
    parser.add_argument("--request", help="with --repo: what to ask for")
    found = parser.parse_args(before)
    return DemoOptions(found.once, found.fast, found.quiet, found.repo, found.agent, command, found.request)


if __name__ == "__main__":
    sys.exit(run_demo(read_options(sys.argv[1:])))

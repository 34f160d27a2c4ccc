"""`codetask demo`: the whole path on this machine, without an account: a simulated Slack, everything else real."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How to play. `once`: end after the story. `fast`: no pauses. `quiet`: only what went wrong, and one last line.

    `repo`: a git repository of your own, which is copied and never touched; then `agent` (built-in `demo` by default),
    `command` (the argument list of the agent `command`) and `request` (what ana types) may be given too."""

    once: bool = False
    fast: bool = False
    quiet: bool = False
    repo: Path | None = None
    agent: str | None = None
    command: tuple[str, ...] = ()
    request: str | None = None


def run_demo(options: DemoOptions) -> int:
    """Plays the demo in this terminal. 0: the whole story happened; 1: it did not, and the missing step was named;

    2: the options or the machine do not allow it, and what to do was said; 130: ended with Ctrl-C."""
    from bot.demo.stage import perform

    return perform(options)

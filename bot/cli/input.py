"""What commands read: a text from an argument or stdin, and the place that options name."""

import sys
from typing import Any, Final

from bot.cli.failures import USAGE, Failure

STDIN_MAX: Final = 1024 * 1024


def read_text(text: str | None, stdin: bool, missing: str) -> str:
    """The argument, or stdin for `-`, `--stdin` and a pipe. `missing` says what to do where neither is given."""
    if text not in (None, "-") and not stdin:
        return text or ""
    if text not in (None, "-"):
        raise Failure("Give the text as an argument or on stdin, not both.", USAGE)
    if text is None and not stdin and sys.stdin.isatty():
        raise Failure("Missing argument TEXT.", USAGE, missing)
    return sys.stdin.buffer.read(STDIN_MAX).decode("utf-8", "replace")


def place(channel: str | None, thread: str | None) -> dict[str, Any]:
    """The fields of a wish that say where: a channel, and the root of a thread in it."""
    if thread is not None and channel is None:
        raise Failure("--thread needs --channel.", USAGE)
    given = {"channel": channel, "thread": thread}
    return {name: value for name, value in given.items() if value is not None}

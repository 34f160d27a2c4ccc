"""Why a command ends badly: one line, what to do about it, and the exit code."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
NOT_FOUND: Final = 4
UNREACHABLE: Final = 5


class Failure(Exception):
    """Ends the command with `code` after printing the message, and the hint when there is one, to stderr.
    `why` is the server's own code of the refusal, where a server refused."""

    def __init__(self, message: str, code: int = FAILED, hint: str = "", why: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.why = why

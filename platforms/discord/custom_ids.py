"""The custom ids of buttons and forms: the value that the core gave, and what Discord needs beside it.

`codetask:cancel:FU-7@123456789012345678#3?`: the value, in a direct message the server it speaks of, a number that
keeps equal buttons of a message apart, and `?` where a press is asked back first.
"""

import re
from typing import Final

DISMISS: Final = "codetask-dismiss"
_HOME: Final = re.compile(r"@(\d{15,20})(?=[#?]|$)", re.ASCII)
_SERVER: Final = re.compile(r"\d{15,20}", re.ASCII)


def custom_id(value: str, number: int, asks: bool) -> str:
    """The custom id of a button with this value, the `number`th of its message."""
    return f"{value}#{number}{'?' if asks else ''}"


def is_question(custom_id: str) -> bool:
    """Whether a press on such a button is first asked back (`Button.confirm`)."""
    return custom_id.endswith("?")


def value_of(custom_id: str) -> str:
    """The value that the core gave."""
    return _HOME.sub("", custom_id).partition("#")[0].rstrip("?")


def home_of(custom_id: str) -> str:
    """The server that a button or form in a direct message speaks of; empty for none."""
    found = _HOME.search(custom_id)
    return found[1] if found else ""


def at_home(value: str, home: str) -> str:
    """A value for a direct message that speaks of what is in a server: who presses there is still that server's member,
    which nothing else tells."""
    return f"{value}@{home}" if _SERVER.fullmatch(home) else value

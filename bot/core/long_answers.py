"""What is shown of an answer that is too long to be posted whole. Pure."""

import re
from typing import Final

PIECE: Final = 3_900
"""Characters of one piece: what the smallest platform shows in one message (Discord)."""
PIECES_MAX: Final = 4
"""More pieces than that are not posted (product rule 7.4)."""
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")


def beginning(markdown: str) -> str | None:
    """The first piece of an answer of more than four, its code block closed; None for one that is posted whole."""
    if len(markdown) <= PIECE * PIECES_MAX:
        return None
    head = markdown[:PIECE]
    for between in ("\n\n", "\n", " "):
        at = head.rfind(between)
        if at > PIECE // 2:
            head = head[:at]
            break
    return closed(head.rstrip())


def closed(markdown: str) -> str:
    """The text with a code block that it left open closed, so that what follows is no part of it."""
    opened = ""
    for line in markdown.splitlines():
        found = _FENCE.match(line)
        if found is None:
            continue
        marks = found[1]
        if not opened:
            opened = marks
        elif marks[0] == opened[0] and len(marks) >= len(opened) and not line.strip(f" {marks[0]}"):
            opened = ""
    return f"{markdown}\n{opened}" if opened else markdown

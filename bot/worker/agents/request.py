"""The two lines between which a prompt carries the person's request, byte for byte. Standard library only."""

OPEN = "===== request ====="
CLOSE = "===== end of request ====="


def request_of(prompt: str) -> str:
    """The text between the first opening and the last closing line; the whole prompt when there is no such pair.

    Everything else in a prompt is quoted line by line (`bot/worker/prompt.py`): no other text can forge the lines."""
    lines = prompt.split("\n")
    if OPEN not in lines or CLOSE not in lines:
        return prompt
    first = lines.index(OPEN)
    last = len(lines) - 1 - lines[::-1].index(CLOSE)
    return "\n".join(lines[first + 1 : last]) if last > first else prompt

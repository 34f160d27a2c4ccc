"""Names of branches, as people and repositories give them."""

import re
from typing import Final

_BRANCH: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}")


def is_branch(name: str) -> bool:
    """Whether a branch name is one we handle: a strict subset of what `git check-ref-format --branch` accepts."""
    parts = name.split("/")
    return (
        _BRANCH.fullmatch(name) is not None
        and ".." not in name
        and all(part and not part.startswith((".", "-")) and not part.endswith((".", ".lock")) for part in parts)
    )

"""Writing `.env`: the settings that `codetask setup` asked for, readable by their owner only."""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@+-]+")


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Sets the variables in the file and keeps every other line. The file is replaced at once, with mode 0600."""
    kept = path.read_text().splitlines() if path.is_file() else []
    lines = [line for line in kept if not ((found := _LINE.match(line)) and found[1] in values)]
    lines += [f"{name}={_quoted(value)}" for name, value in values.items()]
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".env.")
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write("\n".join(lines) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

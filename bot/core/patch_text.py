"""Text rules of the gate: added lines, token shapes, hidden characters, script sections, submodule URLs."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

_HIDDEN: Final = re.compile(
    "[\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
_TOKEN: Final = re.compile(
    r"\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{60,}|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-[0-9]-[A-Za-z0-9-]{10,}|\bhooks\.slack\.com/services/T[A-Z0-9]+/"
    r"|\b[MNO][A-Za-z\d_-]{23,27}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}"
    r"|\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{20,}|\bsk_live_[A-Za-z0-9]{16,}|\brk_live_[A-Za-z0-9]{16,}"
    r"|\bnpm_[A-Za-z0-9]{36}|\bpypi-[A-Za-z0-9_-]{50,}|\bhf_[A-Za-z0-9]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|://[^/\s:@]{1,64}:[^/\s:@]{6,}@"
)
_SUBMODULE_URL: Final = re.compile(rb"^\s*url\s*=.*$", re.MULTILINE | re.IGNORECASE)
_LONGEST_LINE: Final = 20_000

_JSON_SECTIONS: Final = {
    "package.json": (("scripts",), ("husky",), ("lint-staged",), ("pre-commit",), ("bin",)),
    "composer.json": (("scripts",),),
}
_TOML_SECTIONS: Final = {
    "pyproject.toml": (
        ("build-system",), ("project", "scripts"), ("project", "gui-scripts"), ("project", "entry-points"),
        ("tool", "poetry", "scripts"), ("tool", "poetry", "build"), ("tool", "pdm", "scripts"),
        ("tool", "pdm", "build"),
        ("tool", "hatch", "build"), ("tool", "hatch", "envs"), ("tool", "poe"), ("tool", "taskipy"),
    ),
    "cargo.toml": (("package", "build"),),
}  # fmt: skip


def decode_text(data: bytes) -> str | None:
    """The text of a blob, None when it is binary (git's rule: a NUL in the first 8,000 bytes)."""
    return None if b"\0" in data[:8000] else data.decode("utf-8", "replace")


def added_lines(old: bytes | None, new: bytes | None) -> Iterator[tuple[int, str]]:
    """Lines of the new blob that the old one does not have, with their numbers from 1; binary blobs count as text."""
    before = set((old or b"").split(b"\n"))
    for number, line in enumerate((new or b"").split(b"\n"), start=1):
        if line not in before:
            yield number, line.decode("utf-8", "replace")


def has_hidden_characters(text: str) -> bool:
    """Whether the text holds bidirectional controls, zero-width or tag characters."""
    return _HIDDEN.search(text) is not None


def looks_like_token(line: str) -> bool:
    """Whether a line holds something of a known credential format."""
    return any(
        _TOKEN.search(line[start : start + _LONGEST_LINE + 200]) is not None
        for start in range(0, max(1, len(line)), _LONGEST_LINE)
    )


def new_submodule_urls(old: bytes | None, new: bytes | None) -> bool:
    """Whether `.gitmodules` got a URL line that it did not have."""
    before = {line.strip() for line in _SUBMODULE_URL.findall(old or b"")}
    return any(line.strip() not in before for line in _SUBMODULE_URL.findall(new or b""))


def changed_script_sections(path: str, old: bytes | None, new: bytes | None) -> list[str]:
    """The sections of a package manifest that run code at install, build or test time and differ.

    A manifest that cannot be read is named as `unreadable`. Other files give an empty list."""
    name = path.rpartition("/")[2].casefold()
    sections = _JSON_SECTIONS.get(name) or _TOML_SECTIONS.get(name)
    if sections is None:
        return []
    read = _read_json if name in _JSON_SECTIONS else _read_toml
    before, after = read(old), read(new)
    if after is None:
        return ["unreadable"]
    return [".".join(keys) for keys in sections if _at(before or {}, keys) != _at(after, keys)]


def _read_json(data: bytes | None) -> Mapping[str, Any] | None:
    try:
        value: object = json.loads(data) if data is not None else {}
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None


def _read_toml(data: bytes | None) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads((data or b"").decode())
    except (ValueError, RecursionError):
        return None


def _at(value: Mapping[str, Any], keys: tuple[str, ...]) -> object:
    found: object = value
    for key in keys:
        if not isinstance(found, dict):
            return None
        found = cast("dict[str, object]", found).get(key)
    return found

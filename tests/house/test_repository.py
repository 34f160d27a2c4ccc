"""Rules of the repository that no tool of its own holds: sizes, names, unfinished work, places and hosts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.files import ROOT, python_files, texts, tracked

FILE_LINES = 600
FUNCTION_LINES = 60
ALLOWED_LONG = {
    "platforms/slack/adapter.py": "the whole Slack adapter: one class, one reader",
    "storage/migrations/versions/0001_start.py": "every table, once",
}
"""Files that may be longer, or hold longer functions, with the reason."""
TESTS_LINES = 100
"""Functions of tests may be longer: a scenario reads from top to bottom."""

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
NOT_OURS = ("requirements.lock", "LICENSE", "tests/fixtures", "tests/golden", "tests/house")

# Put together from pieces, so that this file does not contain what it looks for.
UNFINISHED = re.compile("|".join([r"\bTO" + "DO", r"\bFIX" + "ME", r"\bXX" + r"X\b", "raise NotImplemented" + "Error"]))
REGISTRIES = re.compile(
    "|".join(["py" + r"pi\.(?:org|python\.org)", r"registry\." + "npmjs", "files.python" + "hosted"])
)
PLACES = ("wo" + r"rk/\w", "ro" + r"ot/\.?\w", "ho" + r"me/(?!agent)\w")
MACHINE_PATHS = re.compile(rf"(?<![\w.*])/(?:{'|'.join(PLACES)})")
PRIVATE_KEYS = re.compile("-----BEGIN (?:RSA |EC |OPENSSH )?" + "PRIVATE KEY-----\n[A-Za-z0-9+/=]{40}")


def ours() -> list[tuple[Path, str]]:
    return [(path, text) for path, text in texts() if not path.as_posix().startswith(NOT_OURS)]


def lines_with(pattern: re.Pattern[str], files: list[tuple[Path, str]]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in files
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def long_functions() -> Iterator[str]:
    for path in python_files():
        limit = TESTS_LINES if path.parts[0] == "tests" else FUNCTION_LINES
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > limit and path.as_posix() not in ALLOWED_LONG:
                    yield f"{path}:{node.lineno} {node.name}: {length} lines"


def test_files_stay_small() -> None:
    lengths = {path.as_posix(): len((ROOT / path).read_text().splitlines()) for path in python_files()}
    long = {path: length for path, length in lengths.items() if length > FILE_LINES and path not in ALLOWED_LONG}
    assert not long, f"longer than {FILE_LINES} lines: split them, or give the reason in ALLOWED_LONG: {long}"


def test_functions_stay_small() -> None:
    assert list(long_functions()) == []


def test_the_list_of_long_files_has_no_stale_entry() -> None:
    names = {path.as_posix() for path in tracked()}
    assert set(ALLOWED_LONG) <= names


def test_nothing_is_left_unfinished() -> None:
    assert lines_with(UNFINISHED, [(p, t) for p, t in ours() if p.suffix in (".py", ".toml", ".md", "")]) == []


def test_no_file_names_a_package_registry() -> None:
    assert lines_with(REGISTRIES, ours()) == []


def test_no_file_names_a_place_on_somebody_s_machine() -> None:
    files = [(path, text) for path, text in ours() if path.parts[0] not in ("tests",) and path.suffix != ".svg"]
    allowed = {"bot/worker/sandbox/probe.py"}
    assert lines_with(MACHINE_PATHS, [(path, text) for path, text in files if path.as_posix() not in allowed]) == []


def test_no_private_key_is_committed() -> None:
    assert [path for path, text in texts() if PRIVATE_KEYS.search(text)] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in python_files() if path.stem in VAGUE_NAMES] == []


def test_no_bare_except_hides_an_error() -> None:
    assert lines_with(re.compile(r"^\s*except\s*:"), [(p, t) for p, t in ours() if p.suffix == ".py"]) == []


def test_what_is_started_by_name_can_be_started() -> None:
    scripts = [".ci/run", *(p.as_posix() for p in tracked() if p.parts[0] == "tools" and not p.suffix)]
    assert len(scripts) > 3
    for script in scripts:
        assert (ROOT / script).stat().st_mode & 0o111, f"{script} is not executable"
        assert (ROOT / script).read_text().startswith("#!/usr/bin/env ")


@pytest.mark.parametrize("text", ["# TO" + "DO later", "see https://py" + "pi.org/x", "cd /wo" + "rk/main"])
def test_the_patterns_find_what_they_look_for(text: str) -> None:
    assert any(pattern.search(text) for pattern in (UNFINISHED, REGISTRIES, MACHINE_PATHS))

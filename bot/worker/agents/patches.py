"""Reads edits out of a request: fenced diffs, and "file + content" blocks. Writes them below one folder only.

Standard library only: this runs inside the sandbox.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_FENCE = re.compile(r"^(?P<ticks>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=ticks)[ \t]*$", re.M | re.S)
_PATH = r"[\w.@+-]+(?:/[\w.@+-]+)*"
_CAPTION = re.compile(
    rf"(?:^|[\s(])[*_`\"']*(?:file(?:name)?:\s*)?[`\"']?(?P<path>{_PATH})[`\"']?[*_]*\s*:?\s*[*_]*$", re.I
)
_INFO_PATH = re.compile(rf"(?:^|[\s:=])(?:file(?:name)?=|title=)?[\"']?(?P<path>{_PATH})[\"']?$")
_DIFF_LANGUAGES = frozenset({"diff", "patch", "udiff"})
_GIT_TIMEOUT_S = 30


@dataclass(frozen=True)
class Diff:
    """A unified diff, as `git apply` takes it."""

    text: str


@dataclass(frozen=True)
class NewContent:
    """The whole new content of one file; `path` is relative and stays below the folder."""

    path: str
    text: str


Edit = Diff | NewContent


def parse_edits(request: str) -> list[Edit]:
    """Every edit a text carries, in its order. A fenced block that is no diff and has no file name is left out."""
    text = request.replace("\r\n", "\n")
    if not text.endswith("\n"):
        text += "\n"
    edits: list[Edit] = []
    for match in _FENCE.finditer(text):
        info, body = match["info"].strip(), match["body"]
        language = info.split()[0].lower() if info else ""
        if language in _DIFF_LANGUAGES or (not info and re.search(r"^--- .+\n\+\+\+ ", body, re.M)):
            edits.append(Diff(body))
            continue
        path = _path_in_info(info) or _path_above(text[: match.start()])
        if path is not None:
            edits.append(NewContent(path, body))
    return edits


def apply_edit(edit: Edit, folder: Path) -> str | None:
    """Makes the edit below `folder`. None when done, else why not, in one sentence for a person."""
    match edit:
        case NewContent(path, text):
            return write_below(folder, path, text)
        case Diff(text):
            return _git_apply(text, folder)


def describe_edit(edit: Edit) -> str:
    """What a person sees of the edit: "Write a/b.py", or "Apply a diff to a.py, b.py"."""
    match edit:
        case NewContent(path, _):
            return f"Write {path}"
        case Diff(text):
            names = re.findall(rf"^\+\+\+ (?:b/)?({_PATH})", text, re.M) or re.findall(
                rf"^--- (?:a/)?({_PATH})", text, re.M
            )
            return f"Apply a diff to {', '.join(names[:4])}" if names else "Apply a diff"


def write_below(folder: Path, path: str, text: str) -> str | None:
    """Writes a file below `folder`, creating folders. None when written, else why it was refused.

    Absolute paths, `..`, anything named `.git`, and ways through symbolic links are refused."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        return f"{path} is not a path inside the repository."
    if any(part.lower() == ".git" for part in pure.parts):
        return f"{path} belongs to git."
    target = folder / pure
    root = folder.resolve()
    if target.is_symlink() or not target.parent.resolve().is_relative_to(root):
        return f"{path} leads through a symbolic link."
    if target.is_dir():
        return f"{path} is a folder."
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", newline="")
    return None


def _git_apply(text: str, folder: Path) -> str | None:
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent),
    }
    argv = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]
    argv += ["apply", "--recount", "--whitespace=nowarn", "-"]
    done = subprocess.run(
        argv, cwd=folder, env=environment, input=text.encode(), capture_output=True, timeout=_GIT_TIMEOUT_S, check=False
    )
    if done.returncode == 0:
        return None
    first = done.stderr.decode(errors="replace").strip().split("\n")[0].removeprefix("error: ")
    return f"The diff does not apply: {first[:200]}."


def _path_in_info(info: str) -> str | None:
    """`python src/a.py`, `src/a.py`, `py:src/a.py`: a language alone has neither a dot nor a slash."""
    match = _INFO_PATH.search(info)
    return _as_path(match["path"]) if match else None


def _path_above(before: str) -> str | None:
    """The file named at the end of the last non-empty line before a block, at most one blank line above it."""
    lines = before.rstrip(" \t").split("\n")
    while lines and not lines[-1].strip() and len(lines) > 1:
        lines.pop()
    match = _CAPTION.search(lines[-1].strip()) if lines else None
    return _as_path(match["path"]) if match else None


def _as_path(text: str) -> str | None:
    return (
        text if "/" in text or re.search(r"\w\.\w+$", text) or text in ("Makefile", "Dockerfile", "LICENSE") else None
    )

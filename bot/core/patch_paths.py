"""Path rules of the gate: which names are protected, which are `.git` in disguise, which links leave the tree."""

import re
import unicodedata
from collections.abc import Sequence
from fnmatch import fnmatchcase
from posixpath import normpath
from typing import Final

LOCK_FILES: Final = (
    "*.lock", "*.lockfile", "bun.lockb", "go.sum", "npm-shrinkwrap.json", "package-lock.json", "packages.lock.json",
    "pnpm-lock.yaml",
)  # fmt: skip
PROTECTED_PATHS: Final = (
    ".github/**", ".gitlab-ci.yml", ".circleci/**", ".buildkite/**", "Jenkinsfile", "azure-pipelines.yml", "CODEOWNERS",
    ".gitattributes", ".gitmodules", ".lfsconfig", ".husky/**", ".pre-commit-config.yaml", "AGENTS.md", "CLAUDE.md",
    ".claude/**", ".mcp.json", ".codex/**", "opencode.json", ".cursor/**", "Dockerfile", "Dockerfile.*", "*.dockerfile",
    "Containerfile", *LOCK_FILES,
)  # fmt: skip
"""Files that run in CI, steer agents or pin dependencies. A change to one waits for an admin."""

OPTIONAL_PROTECTED_PATHS: Final = ("conftest.py", "setup.py")

_GIT_SHORT_NAME: Final = re.compile(r"\.?git(?:~[0-9]+)?")


def matches_any(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path or any tail of it matches; `x/**` is everything below a folder x at any depth.

    Compared after NFC, case folding and stripping trailing dots and spaces of each name, as lenient disks do."""
    parts = fold_path(path).split("/")
    return any(_matches(parts, fold_path(pattern)) for pattern in patterns)


def _matches(parts: Sequence[str], pattern: str) -> bool:
    if pattern.endswith("/**"):
        folder = pattern[:-3].split("/")
        width = len(folder)
        return any(_equal(parts[at : at + width], folder) for at in range(len(parts) - width + 1))
    wanted = pattern.split("/")
    return len(parts) >= len(wanted) and _equal(parts[-len(wanted) :], wanted)


def _equal(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    return all(fnmatchcase(part, pattern) for part, pattern in zip(parts, wanted, strict=True))


def fold_path(path: str) -> str:
    """A path as a lenient disk sees it."""
    return "/".join(_fold_name(part) for part in path.split("/"))


def _fold_name(name: str) -> str:
    visible = "".join(letter for letter in name if not _ignorable(letter))
    folded = unicodedata.normalize("NFC", visible).casefold()
    return folded.split(":", 1)[0].rstrip(". ") or folded


def is_git_name(name: str) -> bool:
    """Whether a file name is `.git` on some disk: other case, ignorable characters, `GIT~1`, trailing dots, streams."""
    return any(
        _GIT_SHORT_NAME.fullmatch(_fold_name(piece)) is not None and _fold_name(piece) != "git"
        for piece in name.split("\\")
    )


def leaves_tree(path: str, target: str) -> bool:
    """Whether a symbolic link at `path` points outside the tree, to an absolute path, or into `.git`."""
    if target.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", target):
        return True
    reached = normpath("/".join([*path.split("/")[:-1], target.replace("\\", "/")]))
    return reached == ".." or reached.startswith("../") or any(is_git_name(part) for part in reached.split("/"))


def _ignorable(letter: str) -> bool:
    """Characters that HFS+ drops from names (all format characters here, a superset)."""
    return unicodedata.category(letter) in ("Cf", "Cc")

"""Git on the simulated GitHub's disk: bare repositories made, read and merged by plumbing."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_IDENTITY = {
    f"GIT_{who}_{key}": value
    for who in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "octocat", "EMAIL": "octocat@github.example", "DATE": "1700000000 +0000"}.items()
}


class MergeRefused(Exception):
    """GitHub would answer 405: the branches conflict or the pull request cannot be merged."""


def git_environment() -> dict[str, str]:
    """An environment without the settings of the machine or of the person who runs the tests."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        **_IDENTITY,
    }


def git(path: Path, *args: str, stdin: bytes = b"") -> str:
    """What git printed. Raises CalledProcessError."""
    done = subprocess.run(
        ["git", *args], env={**git_environment(), "GIT_DIR": str(path)}, input=stdin, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def tip(path: Path, branch: str) -> str | None:
    """The commit of a branch, or None."""
    try:
        return git(path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"refs/heads/{branch}^{{commit}}")
    except subprocess.CalledProcessError:
        return None


def make_bare(path: Path, default_branch: str, files: Mapping[str, str]) -> None:
    """A bare repository with one commit of these files (flat or nested names)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["git", "init", "--quiet", "--bare", "--template=", "--initial-branch", default_branch, str(path)],
        env=git_environment(),
        check=True,
    )
    commit_files(path, default_branch, files, "Initial commit")


def commit_files(path: Path, branch: str, files: Mapping[str, str], message: str, parent: str | None = None) -> str:
    """Commits files onto a branch (made from `parent` if it does not exist) with a throw-away index."""
    parent = tip(path, branch) or parent
    index = path / f"index.{os.getpid()}"
    env = {**git_environment(), "GIT_DIR": str(path), "GIT_INDEX_FILE": str(index)}

    def run(*args: str, stdin: bytes = b"") -> str:
        return subprocess.run(["git", *args], env=env, input=stdin, capture_output=True, check=True).stdout.decode()

    if parent is not None:
        run("read-tree", parent)
    for name, text in files.items():
        blob = run("hash-object", "-w", "--stdin", stdin=text.encode()).strip()
        run("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    tree = run("write-tree").strip()
    index.unlink(missing_ok=True)
    parents = ["-p", parent] if parent else []
    commit = git(path, "commit-tree", *parents, "-F", "-", tree, stdin=message.encode())
    git(path, "update-ref", f"refs/heads/{branch}", commit)
    return commit


def merge(path: Path, base: str, head: str, message: str) -> str:
    """Merges a branch into its base with a merge commit."""
    base_sha, head_sha = tip(path, base), tip(path, head)
    if base_sha is None or head_sha is None:
        raise MergeRefused("a branch is missing")
    try:
        tree = git(path, "merge-tree", "--write-tree", base_sha, head_sha).split("\n")[0]
    except subprocess.CalledProcessError:
        raise MergeRefused("the branches conflict") from None
    commit = git(path, "commit-tree", "-p", base_sha, "-p", head_sha, "-F", "-", tree, stdin=message.encode())
    git(path, "update-ref", f"refs/heads/{base}", commit, base_sha)
    return commit

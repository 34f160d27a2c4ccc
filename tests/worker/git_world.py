"""A remote repository and workspaces on it, for tests that run the real sequence."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.core.patch import GatePolicy, Verdict, judge
from bot.ports import Repo, Sandbox, SandboxSpec
from bot.worker.changes import Changes
from bot.worker.git import GitFailed
from bot.worker.pushing import ForeignTip, Pushed
from bot.worker.workspace import Refusal, Signature, Workspace

AUTHOR = Signature("codetask", "codetask@example.com")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FILES = {
    "README.md": "# sample\n",
    "src/app.py": "print('hello')\n",
    "src/deep/data.txt": "1\n",
    ".gitignore": "build/\n",
}


def git(*args: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> str:
    """What git printed; raises when it failed. For the test's own side only, never for an agent's checkout."""
    who = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com"}
    who |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.com", "GIT_CONFIG_GLOBAL": "/dev/null"}
    path = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *args], cwd=cwd, env={**path, **who, **(env or {})}, input=stdin, capture_output=True, check=True
    )
    return done.stdout.decode("utf-8", "surrogateescape").strip()


@dataclass(frozen=True, slots=True)
class World:
    """A bare remote with one commit on `main`, and the folder under which workspaces are made."""

    folder: Path
    remote: Path
    root: Path

    @property
    def repo(self) -> Repo:
        return Repo("sample", f"file://{self.remote}", forge="local")

    def workspace(self, sandbox: Sandbox, run: str = "CT-1#1") -> Workspace:
        return Workspace.create(self.root, run, self.repo, sandbox)

    def remote_files(self, branch: str) -> dict[str, str]:
        """Path -> `mode text` of a branch of the remote."""
        rows = git("ls-tree", "-r", "-z", branch, cwd=self.remote).split("\0")
        found: dict[str, str] = {}
        for row in filter(None, rows):
            head, path = row.split("\t", 1)
            mode, kind, sha = head.split(" ")
            text = git("cat-file", "blob", sha, cwd=self.remote) if kind == "blob" else ""
            found[path] = f"{mode} {text}"
        return found

    def branches(self) -> dict[str, str]:
        rows = git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads", cwd=self.remote)
        return dict(row.split(" ") for row in rows.splitlines())


def make_world(folder: Path, files: Mapping[str, str] | None = None) -> World:
    """A remote whose `main` holds the files."""
    source, remote = folder / "source", folder / "remote.git"
    source.mkdir(parents=True)
    git("init", "-q", "-b", "main", cwd=source)
    for path, text in (files or FILES).items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
    git("add", "-A", cwd=source)
    git("commit", "-q", "-m", "start", cwd=source)
    git("clone", "-q", "--bare", os.fspath(source), os.fspath(remote), cwd=folder)
    return World(folder, remote, folder / "workspaces")


async def as_agent(workspace: Workspace, script: str, env: Mapping[str, str] | None = None) -> str:
    """Runs a shell script where the agent would run; what it printed."""
    spec: SandboxSpec = workspace.agent_spec("agent", env or {})
    process = await workspace.sandbox.start(["sh", "-c", script], spec)
    process.stdin.close()
    out, err = await process.stdout.read(), await process.stderr.read()
    code = await process.wait()
    await process.kill()
    assert code == 0, f"the agent's script ended with {code}: {err.decode()}"
    return out.decode()


async def start_work(world: World, workspace: Workspace) -> str:
    """Mirror and checkout; the base commit."""
    base = await workspace.update_mirror(world.repo, "main", None)
    assert isinstance(base, str), base
    assert await workspace.checkout(base) is None
    return base


@dataclass(frozen=True, slots=True)
class Ended:
    """How far the sequence went after the agent."""

    stopped: Refusal | GitFailed | None = None
    tree: str = ""
    changes: Changes | None = None
    verdict: Verdict | None = None
    pushed: Pushed | ForeignTip | GitFailed | None = None


async def finish_work(world: World, workspace: Workspace, base: str, branch: str = "code-worker/CT-1") -> Ended:
    """Snapshot, gate, commit, test checkout and push, whatever the verdict says; as the worker does after approval."""
    tree = await workspace.snapshot(base)
    if not isinstance(tree, str):
        return Ended(stopped=tree)
    changes = await workspace.changes(base, tree)
    if isinstance(changes, GitFailed):
        return Ended(stopped=changes)
    verdict = judge(changes.entries, GatePolicy())
    sha = await workspace.commit(base, tree, "Change it\n", AUTHOR, AUTHOR, AT)
    if isinstance(sha, GitFailed):
        return Ended(sha, tree, changes, verdict)
    spec = await workspace.checkout_for_tests(tree, "tests", {})
    if isinstance(spec, GitFailed):
        return Ended(spec, tree, changes, verdict)
    return Ended(None, tree, changes, verdict, await workspace.push(world.repo, sha, branch, "", None))


def make_deep(folder: Path, levels: int = 30) -> None:
    """Folders in folders, 200 characters each: deeper than any path may be long."""
    here = os.open(folder, os.O_DIRECTORY)
    for _ in range(levels):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)

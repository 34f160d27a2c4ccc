"""One run's workspace: the agent's checkout, a trusted git directory beside it, a fresh checkout for the tests.

    mirrors/<alias>.git     written by our fetch only
    ct-<uuid>/trusted.git   GIT_DIR of every host git call; its configuration is never writable from a sandbox
    ct-<uuid>/tree          what the agent works in, with a throw-away `.git` that the host never uses
    ct-<uuid>/test          what the tests run in
    ct-<uuid>/state         the agent's own state of its conversation, where it keeps one

Host git reads objects only; every git that touches a checkout runs in the sandbox.
"""

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from bot.core.patch import MAX_BYTES, MAX_FILES
from bot.ports import Bind, GitAccess, Limits, Repo, Sandbox, SandboxSpec
from bot.worker import mirrors
from bot.worker import workspace_scripts as scripts
from bot.worker.changes import Changes, read_changes
from bot.worker.confined import Confined, run_confined
from bot.worker.git import LOCAL_LIMIT, Git, GitCall, GitFailed, GitProtocol, flags_as_env, git_env, git_flags, is_sha
from bot.worker.pushing import ForeignTip, Pushed, push_branch, read_remote_tip
from bot.worker.workspace_folders import KEPT, MARKER, keep_folder, new_folder, remove_folder

PARKED_REF = "refs/codetask/parked"
MAX_BUNDLE = 16 * 1024 * 1024
CHECKOUT_LIMITS = Limits(wall=mirrors.FETCH_LIMIT, file_bytes=8 * 1024**3)
SNAPSHOT_LIMITS = Limits(wall=LOCAL_LIMIT, file_bytes=8 * 1024**3)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The agent left something that cannot become a change. `reason` is stable, `say` is fit for a person."""

    reason: str
    say: str


@dataclass(frozen=True, slots=True)
class Signature:
    """A name and an address for a commit."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of one run. Make one with `create`; `open` finds it again by name after a restart."""

    root: Path
    name: str
    run: str
    sandbox: Sandbox
    git: Git
    mirror: Path = field(default=Path("/nonexistent"))

    @classmethod
    def create(cls, root: Path, run: str, repo: Repo, sandbox: Sandbox) -> Self:
        """A new, empty workspace `ct-<uuid>` under `root` (made with mode 0700 when missing)."""
        name = f"ct-{uuid.uuid4()}"
        new_folder(root, name)
        return cls.open(root, name, run, repo, sandbox)

    @classmethod
    def open(cls, root: Path, name: str, run: str, repo: Repo, sandbox: Sandbox) -> Self:
        """The workspace of that name."""
        root = root.resolve()
        return cls(root, name, run, sandbox, Git(root / name / "home"), mirrors.mirror_path(root, repo.alias))

    @classmethod
    def create_empty(cls, root: Path, run: str, sandbox: Sandbox) -> Self:
        """A new workspace that is a checkout of no repository; its base is `empty_base`."""
        name = f"ct-{uuid.uuid4()}"
        path = new_folder(root, name).resolve()
        return cls(path.parent, name, run, sandbox, Git(path / "home"), path / "empty.git")

    async def empty_base(self) -> str | GitFailed:
        """A commit of nothing, in a mirror of its own: what such a workspace is a checkout of."""
        mirror = self.mirror
        made = await self.git.run(GitCall(["init", "-q", "--bare", "--template=", "--", os.fspath(mirror)], mirror))
        if isinstance(made, GitFailed):
            return made
        (mirror / "objects" / "info").mkdir(exist_ok=True)
        tree = await self.git.run(GitCall(["hash-object", "-t", "tree", "-w", "--stdin"], mirror))
        if isinstance(tree, GitFailed):
            return tree
        call = GitCall(["commit-tree", "-m", "Nothing", tree.decode().strip()], mirror, env=_EMPTY_COMMIT)
        commit = await self.git.run(call)
        if isinstance(commit, GitFailed):
            return commit
        sha = commit.decode().strip()
        named = await self.git.run(GitCall(["update-ref", "refs/heads/main", sha], mirror))
        return named if isinstance(named, GitFailed) else sha

    @property
    def path(self) -> Path:
        return self.root / self.name

    @property
    def tree(self) -> Path:
        return self.path / "tree"

    @property
    def test(self) -> Path:
        return self.path / "test"

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def trusted(self) -> Path:
        return self.path / "trusted.git"

    async def update_mirror(self, repo: Repo, base: str, access: GitAccess | None) -> str | GitFailed:
        """Fetches the base branch into the shared mirror; the base commit. A passing failure may be retried."""
        return await mirrors.update_mirror(self.root, self.git, repo, base, access)

    async def checkout(self, base_sha: str) -> GitFailed | None:
        """Fills `tree/` with the base commit, and makes the trusted git directory. Start on an empty workspace."""
        _require_sha(base_sha)
        failed = await self.prepare()
        if failed is not None:
            return failed
        spec = SandboxSpec(
            run=self.run,
            env=self._git_env("file"),
            binds=(Bind(self.tree, "/ws", writable=True), Bind(self.mirror, "/mirror"), *self._home()),
            limits=CHECKOUT_LIMITS,
        )
        places = [self.sandbox.inside(spec, self.tree), self.sandbox.inside(spec, self.mirror)]
        done = await self._script(scripts.CHECKOUT, [*places, base_sha], spec)
        return None if done.code == 0 else done.failure("checkout")

    async def prepare(self) -> GitFailed | None:
        """Makes the trusted git directory."""
        made = await self.git.run(
            GitCall(["init", "-q", "--bare", "--template=", "--", os.fspath(self.trusted)], self.trusted)
        )
        if isinstance(made, GitFailed):
            return made
        (self.trusted / "objects" / "info").mkdir(exist_ok=True)
        return None

    async def bundle(self, base_sha: str, sha: str) -> bytes | GitFailed:
        """The commit as a git bundle that builds on the base commit."""
        _require_sha(base_sha, sha)
        named = await self.git.run(self._objects_call(["update-ref", "--end-of-options", PARKED_REF, sha]))
        if isinstance(named, GitFailed):
            return named
        args = ["bundle", "create", "-q", "-", PARKED_REF, f"^{base_sha}"]
        return await self.git.run(replace(self._objects_call(args), max_output=MAX_BUNDLE))

    async def restore(self, bundle: bytes, sha: str, tree_sha: str) -> GitFailed | None:
        """Brings a bundled commit back; fails unless it is that commit with exactly that tree."""
        _require_sha(sha, tree_sha)
        file = self.path / "parked.bundle"
        file.write_bytes(bundle)
        unpacked = await self.git.run(self._objects_call(["bundle", "unbundle", os.fspath(file)]))
        if isinstance(unpacked, GitFailed):
            return unpacked
        found = await self.git.run(self._objects_call(["rev-parse", "--verify", "--end-of-options", f"{sha}^{{tree}}"]))
        if isinstance(found, GitFailed):
            return found
        same = found.decode().strip() == tree_sha
        return None if same else GitFailed("other", "The stored change is not the one that was approved.")

    def agent_spec(self, run: str, env: Mapping[str, str], extra_binds: Sequence[Bind] = ()) -> SandboxSpec:
        """What the setup command and the agent may see: their checkout at `/ws`, and `extra_binds`."""
        return self._run_spec(self.tree, run, env, extra_binds)

    async def snapshot(self, base_sha: str) -> str | Refusal | GitFailed:
        """The tree that the checkout now holds. No process of the agent may be alive any more."""
        _require_sha(base_sha)
        binds = (Bind(self.tree, "/ws"), *self._trusted_binds(writable=True), *self._scratch(), *self._home())
        spec = self._worktree_spec(binds, self.tree)
        done = await self._script(scripts.SNAPSHOT, [os.fspath(self._scratch_folder()), base_sha], spec)
        if done.code in _REFUSALS:
            return replace(_REFUSALS[done.code], say=_REFUSALS[done.code].say + done.hint())
        tree = done.out.decode("ascii", "replace").strip()
        return tree if done.code == 0 and is_sha(tree) else done.failure("snapshot")

    async def changes(
        self, base_sha: str, tree_sha: str, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES
    ) -> Changes | GitFailed:
        """Every entry in which the tree differs from the base; blobs and line counts only within the limits."""
        _require_sha(base_sha, tree_sha)
        return await read_changes(self._objects_call, self.git, base_sha, tree_sha, (max_files, max_bytes))

    async def commit(
        self, base_sha: str, tree_sha: str, message: str, author: Signature, committer: Signature, at: datetime
    ) -> str | GitFailed:
        """A commit of the tree on the base. The same arguments give the same name, so a repeated run repeats it."""
        _require_sha(base_sha, tree_sha)
        date = f"@{int(at.astimezone(UTC).timestamp())} +0000"
        env = {
            "GIT_AUTHOR_NAME": _plain(author.name) or "codetask",
            "GIT_AUTHOR_EMAIL": _plain(author.email) or "codetask@localhost",
            "GIT_COMMITTER_NAME": _plain(committer.name) or "codetask",
            "GIT_COMMITTER_EMAIL": _plain(committer.email) or "codetask@localhost",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
        }
        text = message.replace("\0", "").strip() + "\n"
        call = self._objects_call(["commit-tree", "-p", base_sha, "-F", "-", tree_sha])
        made = await self.git.run(replace(call, env={**call.env, **env}, stdin=text.encode("utf-8", "replace")))
        return made if isinstance(made, GitFailed) else made.decode().strip()

    async def checkout_for_tests(
        self, tree_sha: str, run: str, env: Mapping[str, str], extra_binds: Sequence[Bind] = ()
    ) -> SandboxSpec | GitFailed:
        """Fills `test/` with exactly that tree; the fence in which setup and tests run."""
        _require_sha(tree_sha)
        binds = (Bind(self.test, "/ws", writable=True), *self._trusted_binds(writable=False))
        spec = self._worktree_spec((*binds, *self._scratch(), *self._home()), self.test)
        done = await self._script(scripts.TEST_CHECKOUT, [tree_sha], spec)
        return self._run_spec(self.test, run, env, extra_binds) if done.code == 0 else done.failure("test checkout")

    async def push(
        self, repo: Repo, sha: str, branch: str, expected: str, access: GitAccess | None
    ) -> Pushed | ForeignTip | GitFailed:
        """Pushes the commit if the branch is at `expected` (empty: does not exist yet) or already at `sha`."""
        _require_sha(sha, *([expected] if expected else []))
        return await push_branch(self._objects_call, self.git, repo.url, sha, branch, expected, access)

    async def remote_tip(self, repo: Repo, branch: str, access: GitAccess | None) -> str | GitFailed | None:
        """The commit at which the remote's branch is, None when there is no such branch."""
        return await read_remote_tip(self._objects_call, self.git, repo.url, branch, access)

    async def remove(self) -> None:
        """Removes the workspace, unreadable folders included. Raises OSError when something is left."""
        await remove_folder(self.root, self.name)

    def keep(self) -> None:
        """Keeps the workspace of a failed run for people to look at, until the janitor takes it."""
        keep_folder(self.path)

    @property
    def is_kept(self) -> bool:
        return (self.path / KEPT).exists()

    def touch(self) -> None:
        """Says that the workspace is in use; the janitor looks at this time."""
        os.utime(self.path / MARKER, follow_symlinks=False)

    def _run_spec(self, folder: Path, run: str, env: Mapping[str, str], extra: Sequence[Bind]) -> SandboxSpec:
        return SandboxSpec(run=run, env=env, binds=(Bind(folder, "/ws", writable=True), *self._home(), *extra))

    async def top_level(self, tree_sha: str) -> frozenset[str] | GitFailed:
        """The names at the top of a tree, read from objects."""
        _require_sha(tree_sha)
        listed = await self.git.run(self._objects_call(["ls-tree", "--name-only", "-z", "--end-of-options", tree_sha]))
        return listed if isinstance(listed, GitFailed) else frozenset(listed.decode("utf-8", "replace").split("\0"))

    def _objects_call(self, args: Sequence[str]) -> GitCall:
        """A host git call that reads and writes objects of the trusted directory on top of the mirror's."""
        env = {
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.fspath(self.mirror / "objects"),
            "GIT_INDEX_FILE": os.fspath(self.path / "gate.index"),
        }
        return GitCall(args, self.trusted, env=env)

    def _trusted_binds(self, *, writable: bool) -> tuple[Bind, ...]:
        """The trusted directory with only its object store open: no configuration or alternates can be planted."""
        return (
            Bind(self.trusted, "/git"),
            Bind(self.trusted / "objects", "/git/objects", writable=writable),
            Bind(self.trusted / "objects" / "info", "/git/objects/info"),
            Bind(self.mirror / "objects", "/base-objects"),
        )

    def _worktree_spec(self, binds: Sequence[Bind], worktree: Path) -> SandboxSpec:
        spec = SandboxSpec(run=self.run, binds=binds, limits=SNAPSHOT_LIMITS)
        env = {
            **self._git_env("none"),
            "GIT_DIR": self.sandbox.inside(spec, self.trusted),
            "GIT_WORK_TREE": self.sandbox.inside(spec, worktree),
            "GIT_INDEX_FILE": os.fspath(self._scratch_folder() / f"index-{uuid.uuid4()}"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": self.sandbox.inside(spec, self.mirror / "objects"),
        }
        return replace(spec, env=env)

    def _git_env(self, allowed: GitProtocol) -> dict[str, str]:
        home = "/home/agent" if self.sandbox.isolates else os.fspath(self.path / "home")
        flags = [*git_flags(allowed), ("core.fsync", "none")]  # all of it can be made again
        return {**git_env(home, allowed), **flags_as_env(flags)}

    def _scratch_folder(self) -> Path:
        """Where scripts keep their scratch files, as they see it."""
        return Path("/tmp") if self.sandbox.isolates else self.path / "scratch"

    def _scratch(self) -> tuple[Bind, ...]:
        """Without a fence `/tmp` is everybody's, so scratch files get a folder of the workspace."""
        return () if self.sandbox.isolates else (Bind(self.path / "scratch", "/scratch", writable=True),)

    def _home(self) -> tuple[Bind, ...]:
        return () if self.sandbox.isolates else (Bind(self.path / "agent-home", "/home/agent", writable=True),)

    async def _script(self, script: str, args: Sequence[str], spec: SandboxSpec) -> Confined:
        return await run_confined(self.sandbox, ["/bin/sh", "-c", script, "sh", *args], spec)


_EMPTY_COMMIT: Mapping[str, str] = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "codetask"), ("EMAIL", "codetask@localhost"), ("DATE", "@0 +0000"))
}

_REFUSALS: Mapping[int, Refusal] = {
    scripts.UNREADABLE: Refusal("unreadable", "The agent left a folder that cannot be read."),
    scripts.NESTED_GIT: Refusal("nested_git", "The agent left a git repository inside the checkout."),
    scripts.ADD_FAILED: Refusal("unusable_files", "The agent left files that git cannot store."),
}


def _require_sha(*names: str) -> None:
    for name in names:
        if not is_sha(name):
            raise ValueError(f"{name!r} is not an object name")


def _plain(text: str) -> str:
    """A name as git takes it into a commit: one line, no angle brackets."""
    return "".join(letter for letter in text if letter.isprintable() and letter not in "<>").strip(" .,;:'\"")[:200]

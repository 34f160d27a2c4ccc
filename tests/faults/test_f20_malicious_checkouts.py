"""F20: whatever an agent leaves in its checkout, nothing of it runs, no token leaves, no foreign byte is pushed.

The control runs the ordinary sequence in the same checkouts, so that a corpus without teeth would fail.
"""

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.patch import Allowed, NeedsApproval, RefusedChange, Verdict
from bot.ports import GitAccess, Repo, Sandbox
from bot.worker.git import GitFailed
from bot.worker.pushing import Pushed
from bot.worker.sandbox.bubblewrap import BubblewrapSandbox
from bot.worker.sandbox.none import NoSandbox
from bot.worker.workspace import Refusal, Workspace
from tests.faults.corpus.checkouts import CHECKOUTS, EXECUTE, FOREIGN, PRELUDE, TOKENS, Checkout
from tests.faults.corpus.trap import HOST_SECRET, Trap, set_trap
from tests.worker.git_world import Ended, World, as_agent, finish_work, git, make_world, start_work

pytestmark = pytest.mark.fault

TOKEN = "Basic Y29kZXRhc2s6Y2FuYXJ5LXRva2Vu"
ORDINARY = """
git config remote.origin.url "$FORGE"
export GIT_AUTHOR_NAME=o GIT_AUTHOR_EMAIL=o@o GIT_COMMITTER_NAME=o GIT_COMMITTER_EMAIL=o@o GIT_TERMINAL_PROMPT=0
git status; git diff; git add -A; git commit -m x; git commit --allow-empty -m y; git status
git push "$REMOTE" HEAD:refs/heads/ordinary
git -c http.extraHeader="Authorization: $TOKEN" push origin HEAD:refs/heads/x
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("f20"))


@pytest.fixture
async def trap(tmp_path: Path) -> AsyncIterator[Trap]:
    async with set_trap(tmp_path) as made:
        yield made


@pytest.fixture(params=["none", pytest.param("bubblewrap", marks=pytest.mark.sandbox)])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "none":
        return NoSandbox()
    if os.geteuid() == 0:
        pytest.skip("bubblewrap refuses root: run through tools/as-user")
    return BubblewrapSandbox()


def branch_of(vector: Checkout, sandbox: Sandbox) -> str:
    return f"code-worker/CT-{CHECKOUTS.index(vector) + 1}{'' if sandbox.isolates else '-2'}"


async def plant(world: World, workspace: Workspace, vector: Checkout, trap: Trap) -> str:
    base = await start_work(world, workspace)
    await as_agent(workspace, f"{PRELUDE}echo right > right.txt\n{vector.plant}", trap.env())
    for made in trap.mark.iterdir():  # an agent may run its own code in its own fence
        made.unlink()
    return base


def outcome(ended: Ended) -> str:
    if isinstance(ended.stopped, Refusal):
        return "stopped"
    assert ended.stopped is None, ended.stopped
    verdict: Verdict | None = ended.verdict
    match verdict:
        case Allowed():
            return "allowed"
        case NeedsApproval():
            return "approval"
        case RefusedChange():
            return "refused"
        case None:
            raise AssertionError("no verdict")


def work_tree(tree: Path) -> dict[str, str]:
    """What an honest branch would hold: every regular file and link, but for `.git` and what `.gitignore` names."""
    found: dict[str, str] = {}
    for folder, folders, files in os.walk(tree):
        here = Path(folder)
        if here == tree:
            folders[:] = [name for name in folders if name not in (".git", "build")]
            files = [name for name in files if name != ".git"]
        for name in [*files, *(name for name in folders if (here / name).is_symlink())]:
            path = here / name
            info = path.lstat()
            shown = path.relative_to(tree).as_posix()
            if stat.S_ISLNK(info.st_mode):
                found[shown] = f"120000 {os.readlink(path)}"
            elif stat.S_ISREG(info.st_mode):
                mode = "100755" if info.st_mode & stat.S_IXUSR else "100644"
                found[shown] = f"{mode} {path.read_bytes().decode('utf-8', 'surrogateescape').strip()}"
    return found


@pytest.mark.parametrize("vector", CHECKOUTS, ids=lambda vector: vector.name)
async def test_trusted_sequence_holds(world: World, trap: Trap, sandbox: Sandbox, vector: Checkout) -> None:
    workspace = world.workspace(sandbox)
    try:
        base = await plant(world, workspace, vector, trap)
        branch = branch_of(vector, sandbox)
        ended = await finish_work(world, workspace, base, branch)
        assert outcome(ended) == vector.outcome
        if ended.stopped is None:
            assert ended.pushed == Pushed(branch)
            pushed = world.remote_files(branch)
            assert not vector.exact or pushed == work_tree(workspace.tree)
            assert HOST_SECRET not in str(pushed)
            await push_with_token(world, workspace, trap, branch)
        assert not trap.executed
        assert trap.evil.heard == []
    finally:
        await workspace.remove()


async def push_with_token(world: World, workspace: Workspace, trap: Trap, branch: str) -> None:
    """A push with a credential must reach the forge and nobody else."""
    sha = git("rev-parse", branch, cwd=world.remote)
    repo = Repo("sample", trap.forge.url + "sample.git")
    answer = await workspace.push(repo, sha, branch, "", GitAccess(authorization=TOKEN))
    assert isinstance(answer, GitFailed)
    assert answer.kind == "auth"
    assert TOKEN.split()[1] not in answer.say
    assert any(TOKEN.encode() in request for request in trap.forge.heard)


@pytest.mark.parametrize("vector", [*EXECUTE, *TOKENS, *FOREIGN], ids=lambda vector: vector.name)
async def test_ordinary_sequence_is_compromised(world: World, trap: Trap, vector: Checkout) -> None:
    """Every one of these wins against git run in the checkout; that is why we never do."""
    workspace = world.workspace(NoSandbox())
    remote = trap.mark.parent / "ordinary.git"
    git("clone", "-q", "--bare", os.fspath(world.remote), os.fspath(remote), cwd=remote.parent)
    try:
        await plant(world, workspace, vector, trap)
        await run_ordinary(workspace, trap, remote)
        stolen = any(TOKEN.encode() in request for request in trap.evil.heard)
        foreign = HOST_SECRET in str(World(world.folder, remote, world.root).remote_files("ordinary"))
        assert trap.executed or stolen or foreign or is_hidden(workspace, remote)
    finally:
        await workspace.remove()


async def run_ordinary(workspace: Workspace, trap: Trap, remote: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TOKEN": TOKEN}
    env |= {"REMOTE": os.fspath(remote), **trap.env()}
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", ORDINARY, cwd=workspace.tree, env=env, start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def is_hidden(workspace: Workspace, remote: Path) -> bool:
    """Whether git in the checkout shows another tree than it pushed."""
    shown = git("ls-tree", "-r", "HEAD", cwd=workspace.tree)
    return shown != git("ls-tree", "-r", "ordinary", cwd=remote)


def test_corpus_is_complete() -> None:
    assert len(CHECKOUTS) >= 60
    assert len({vector.name for vector in CHECKOUTS}) == len(CHECKOUTS)
    assert (len(EXECUTE), len(TOKENS), len(FOREIGN)) == (21, 4, 3)

"""The sequence of a run on real git: mirror, checkout, snapshot, changes, commit, test checkout, push."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.core.patch import Allowed, Change
from bot.ports import Repo, Sandbox
from bot.worker.git import GitFailed
from bot.worker.pushing import ForeignTip, Pushed, branch_names
from bot.worker.sandbox.none import NoSandbox
from bot.worker.workspace import Refusal
from bot.worker.workspace_folders import MARKER, remove_folder, remove_stale
from tests.worker.git_world import AT, AUTHOR, World, as_agent, finish_work, git, make_deep, start_work

BRANCH = "code-worker/CT-1"


async def test_a_change_arrives_on_its_branch(world: World, sandbox: Sandbox) -> None:
    workspace = world.workspace(sandbox)
    base = await start_work(world, workspace)
    await as_agent(workspace, "echo new > new.txt; echo more >> README.md; rm src/deep/data.txt; chmod +x src/app.py")
    ended = await finish_work(world, workspace, base)
    assert ended.pushed == Pushed(BRANCH)
    assert isinstance(ended.verdict, Allowed)
    assert ended.changes is not None
    assert (ended.changes.insertions, ended.changes.deletions) == (2, 1)
    assert world.remote_files(BRANCH) == {
        ".gitignore": "100644 build/",
        "README.md": "100644 # sample\nmore",
        "new.txt": "100644 new",
        "src/app.py": "100755 print('hello')",
    }
    assert git("rev-parse", f"{BRANCH}^", cwd=world.remote) == base
    await workspace.remove()
    assert not workspace.path.exists()


CHANGES = {
    "new file": "echo x > n",
    "deleted": "rm README.md",
    "mode only": "chmod +x README.md",
    "committed": "echo x > n; git add -A; git -c user.name=a -c user.email=a@b commit -qm x",
    "committed and dirty": "echo x > n; git add n; git -c user.name=a -c user.email=a@b commit -qm x; echo y >> n",
    "same size, same second": "printf '# sAmple\\n' > README.md",
}
NO_CHANGES = {
    "nothing": "true",
    "touched": "touch README.md",
    "ignored": "mkdir build; echo x > build/out",
    "own git data": "git tag x; git branch y; echo '[user]' >> .git/config",
    "ignored repository": "mkdir -p build/dep && cd build/dep && git init -q",
}


@pytest.mark.parametrize("name", CHANGES)
async def test_every_kind_of_change_is_seen(world: World, sandbox: Sandbox, name: str) -> None:
    workspace = world.workspace(sandbox)
    base = await start_work(world, workspace)
    await as_agent(workspace, CHANGES[name])
    ended = await finish_work(world, workspace, base)
    assert ended.changes is not None and len(ended.changes.entries) == 1
    assert ended.pushed == Pushed(BRANCH)


@pytest.mark.parametrize("name", NO_CHANGES)
async def test_what_is_no_change_gives_the_base_tree(world: World, sandbox: Sandbox, name: str) -> None:
    workspace = world.workspace(sandbox)
    base = await start_work(world, workspace)
    await as_agent(workspace, NO_CHANGES[name])
    tree = await workspace.snapshot(base)
    assert isinstance(tree, str)
    changes = await workspace.changes(base, tree)
    assert not isinstance(changes, GitFailed)
    assert changes.entries == ()


UNUSABLE = {
    "nested repository": ("mkdir sub && cd sub && git init -q", "nested_git"),
    "upper case": ("mkdir -p .GIT && echo x > .GIT/config", "nested_git"),
    "gitfile": ("mkdir sub && echo 'gitdir: /x' > sub/.git", "nested_git"),
    "unreadable folder": ("mkdir x && echo y > x/y && chmod 000 x", "unreadable"),
    "short name": ("mkdir 'GIT~1' && echo x > 'GIT~1/config'", "unusable_files"),
}


@pytest.mark.parametrize("name", UNUSABLE)
async def test_what_cannot_become_a_change_is_refused(world: World, sandbox: Sandbox, name: str) -> None:
    if name == "unreadable folder" and os.geteuid() == 0 and not sandbox.isolates:
        name = "nested repository"  # nothing is unreadable to root
    script, reason = UNUSABLE[name]
    workspace = world.workspace(sandbox)
    base = await start_work(world, workspace)
    await as_agent(workspace, script)
    refused = await workspace.snapshot(base)
    assert isinstance(refused, Refusal)
    if name != "unreadable folder" or os.geteuid() != 0:
        assert refused.reason == reason
    await workspace.remove()
    assert not workspace.path.exists()


async def test_the_same_arguments_give_the_same_commit(world: World) -> None:
    first, second = world.workspace(NoSandbox()), world.workspace(NoSandbox())
    names: list[object] = []
    for workspace in (first, second):
        base = await start_work(world, workspace)
        (workspace.tree / "n").write_text("x")
        tree = await workspace.snapshot(base)
        assert isinstance(tree, str)
        names.append(await workspace.commit(base, tree, "Say\n\nCT-1", AUTHOR, AUTHOR, AT))
    assert names[0] == names[1]
    assert isinstance(names[0], str)


async def test_tests_run_on_exactly_the_tree(world: World, sandbox: Sandbox) -> None:
    workspace = world.workspace(sandbox)
    base = await start_work(world, workspace)
    await as_agent(workspace, "echo 'x export-ignore' > .gitattributes; echo keep > x; mkdir build; echo no > build/y")
    tree = await workspace.snapshot(base)
    assert isinstance(tree, str)
    spec = await workspace.checkout_for_tests(tree, "tests", {"CI": "true"})
    assert not isinstance(spec, GitFailed)
    process = await sandbox.start(["sh", "-c", "echo $CI; cat x; git status --short -uno | wc -l; ls"], spec)
    out = (await process.stdout.read()).decode().split()
    await process.wait()
    await process.kill()
    assert out[:2] == ["true", "keep"]
    assert "build" not in out
    assert not (workspace.test / "build").exists()


async def test_a_foreign_tip_is_never_overwritten(world: World) -> None:
    workspace = world.workspace(NoSandbox())
    base = await start_work(world, workspace)
    git("branch", BRANCH, "main", cwd=world.remote)
    await as_agent(workspace, "echo x > n")
    ended = await finish_work(world, workspace, base)
    assert ended.pushed == ForeignTip(BRANCH)
    assert world.branches()[BRANCH] == base
    again = await finish_work(world, workspace, base, branch_names("code-worker", "CT-1")[1])
    assert again.pushed == Pushed("code-worker/CT-1-2")


async def test_a_name_collision_counts_as_foreign(world: World) -> None:
    workspace = world.workspace(NoSandbox())
    base = await start_work(world, workspace)
    git("branch", f"{BRANCH}/sub", "main", cwd=world.remote)
    await as_agent(workspace, "echo x > n")
    assert (await finish_work(world, workspace, base)).pushed == ForeignTip(BRANCH)


async def test_push_again_moves_from_our_tip_and_repeats_harmlessly(world: World) -> None:
    workspace = world.workspace(NoSandbox())
    base = await start_work(world, workspace)
    await as_agent(workspace, "echo x > n")
    assert (await finish_work(world, workspace, base)).pushed == Pushed(BRANCH)
    assert (await finish_work(world, workspace, base)).pushed == Pushed(BRANCH, already=True)
    tip = await workspace.remote_tip(world.repo, BRANCH, None)
    assert isinstance(tip, str)
    assert await workspace.remote_tip(world.repo, "code-worker/CT-2", None) is None
    await as_agent(workspace, "echo y > n")
    tree = await workspace.snapshot(base)
    assert isinstance(tree, str)
    sha = await workspace.commit(base, tree, "again", AUTHOR, AUTHOR, AT)
    assert isinstance(sha, str)
    assert await workspace.push(world.repo, sha, BRANCH, tip, None) == Pushed(BRANCH)
    assert world.branches()[BRANCH] == sha


async def test_over_the_limits_nothing_is_read(world: World) -> None:
    workspace = world.workspace(NoSandbox())
    base = await start_work(world, workspace)
    await as_agent(workspace, "i=0; while [ $i -lt 101 ]; do echo $i > f$i; i=$((i+1)); done")
    tree = await workspace.snapshot(base)
    assert isinstance(tree, str)
    changes = await workspace.changes(base, tree)
    assert not isinstance(changes, GitFailed)
    assert len(changes.entries) == 101
    assert all(isinstance(entry, Change) and entry.new is None for entry in changes.entries)


async def test_odd_names_and_bytes_come_through(world: World, sandbox: Sandbox) -> None:
    workspace = world.workspace(sandbox)
    base = await start_work(world, workspace)
    await as_agent(
        workspace,
        r"""printf 'a\0b' > bin; echo 1 > "$(printf 'new\nline')"; echo 2 > -n; echo 3 > "$(printf '\377')";"""
        "ln -s README.md link; echo '*.x filter=lfs' > .gitattributes; echo y > y.x",
    )
    ended = await finish_work(world, workspace, base)
    assert ended.changes is not None
    entries = {entry.path: entry for entry in ended.changes.entries}
    assert set(entries) == {"bin", "new\nline", "-n", "\udcff", "link", ".gitattributes", "y.x"}
    assert entries["bin"].new == b"a\0b"
    assert entries["link"].new == b"README.md"
    assert entries["y.x"].attributes == {"filter": "lfs"}
    assert ended.pushed == Pushed(BRANCH)


async def test_missing_base_and_missing_remote_are_values(world: World) -> None:
    workspace = world.workspace(NoSandbox())
    missing = await workspace.update_mirror(world.repo, "nope", None)
    assert isinstance(missing, GitFailed) and missing.kind == "not_found"
    gone = await workspace.update_mirror(Repo("other", f"file://{world.folder}/none.git"), "main", None)
    assert isinstance(gone, GitFailed) and gone.kind == "not_found"
    odd = await workspace.update_mirror(world.repo, "--upload-pack=touch pwn", None)
    assert isinstance(odd, GitFailed)


async def test_runs_of_one_repository_share_the_mirror(world: World) -> None:
    spaces = [world.workspace(NoSandbox()) for _ in range(4)]
    bases = await asyncio.gather(*(start_work(world, workspace) for workspace in spaces))
    assert len(set(bases)) == 1
    assert [path.name for path in (world.root / "mirrors").glob("*.git")] == ["sample.git"]


async def test_only_marked_folders_are_removed(world: World) -> None:
    workspace = world.workspace(NoSandbox())
    (workspace.path / MARKER).unlink()
    with pytest.raises(OSError, match="not a workspace of ours"):
        await workspace.remove()
    assert workspace.tree.exists()
    with pytest.raises(OSError, match="not a workspace of ours"):
        await remove_folder(world.root, "../remote.git")
    link = world.root / f"ct-{'0' * 8}-0000-0000-0000-{'0' * 12}"
    link.symlink_to(world.remote)
    with pytest.raises(OSError, match="not a workspace of ours"):
        await remove_folder(world.root, link.name)
    assert world.remote.exists()


async def test_awkward_folders_are_removed(world: World, sandbox: Sandbox) -> None:
    workspace = world.workspace(sandbox)
    make_deep(workspace.tree)
    outside = world.folder / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    outside.chmod(0o500)
    script = f"mkdir -p a/b; echo x > a/b/c; chmod 000 a/b a; mkfifo f; ln -s {outside} out"
    await as_agent(workspace, script)
    await workspace.remove()
    assert not workspace.path.exists()
    assert (outside / "kept").exists()
    assert outside.stat().st_mode & 0o777 == 0o500
    outside.chmod(0o700)


async def test_the_janitor_keeps_live_and_young_ones(world: World) -> None:
    live, old, young = (world.workspace(NoSandbox()) for _ in range(3))
    long_ago = datetime.now(UTC) - timedelta(days=2)
    for workspace in (live, old):
        os.utime(workspace.path / MARKER, (long_ago.timestamp(),) * 2)
    removed = await remove_stale(world.root, {live.name}, timedelta(minutes=10), datetime.now(UTC))
    assert removed == [old.name]
    assert live.path.exists() and young.path.exists()
    assert await remove_stale(Path("/nonexistent"), set(), timedelta(0), datetime.now(UTC)) == []


@pytest.mark.parametrize("ref", ["CT-0", "CT-01", "CT-1/../x", "CT-", "XX-1", "CT-1234567890123", "CT-1\n", "-CT-1"])
def test_only_our_ids_become_branches(ref: str) -> None:
    with pytest.raises(ValueError, match="not a branch of ours"):
        branch_names("code-worker", ref)
    assert branch_names("code-worker", "CT-42")[-1] == "code-worker/CT-42-9"

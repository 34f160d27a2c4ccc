"""The local forge: a bare repository, stored pull requests, real merges, several processes."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bot.ports import ForgeRefused, NotModified, PullRequest, PullRequestDraft, Repo
from bot.worker.forges import ForgeSettings, LocalSettings, create_forge
from bot.worker.forges.local import LocalForge
from bot.worker.forges.local_store import FOLDER, Draft, LocalPull, PullStore, StoredPullBroken
from tests.clock import FakeClock
from tests.simulators.github.repositories import commit_files, git, make_bare, tip

HEAD = "code-worker/CT-1"
DRAFT = PullRequestDraft(HEAD, "main", "[codetask] Add it", "> Add it")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    path = tmp_path / "my repo.git"
    make_bare(path, "main", {"a.txt": "one\n"})
    commit_files(path, HEAD, {"b.txt": "two\n"}, "Add b", tip(path, "main"))
    return path


@pytest.fixture
def repo(bare: Path) -> Repo:
    return Repo("web", bare.as_uri(), forge="local")


@pytest.fixture
def forge(clock: FakeClock) -> LocalForge:
    made = create_forge("local", ForgeSettings(local=LocalSettings("http://127.0.0.1:8787/")), clock)
    assert isinstance(made, LocalForge)
    return made


async def opened(forge: LocalForge, repo: Repo, draft: PullRequestDraft = DRAFT) -> PullRequest:
    pull = await forge.open_pull_request(repo, draft)
    assert isinstance(pull, PullRequest), pull
    return pull


async def test_open_find_and_read(forge: LocalForge, repo: Repo, bare: Path) -> None:
    assert await forge.find_pull_request(repo, HEAD) is None
    pull = await opened(forge, repo)
    assert (pull.number, pull.state, pull.url) == (1, "open", "http://127.0.0.1:8787/local/web/pull/1")
    assert await forge.find_pull_request(repo, HEAD) == pull
    assert await forge.pull_request(repo, 1) == pull
    assert await forge.pull_request(repo, 1, pull.etag) == NotModified()
    stored = await forge.stored(repo, 1)
    assert isinstance(stored, LocalPull)
    assert (stored.title, stored.head_sha, stored.base_sha) == (DRAFT.title, tip(bare, HEAD), tip(bare, "main"))


async def test_opening_again_adopts(forge: LocalForge, repo: Repo, clock: FakeClock) -> None:
    first = await opened(forge, repo)
    clock.advance(60)
    again = await opened(forge, repo, replace(DRAFT, title="[codetask] Better", draft=True))
    assert (again.number, again.draft) == (first.number, True)
    assert again.etag != first.etag
    stored = await forge.list(repo)
    assert not isinstance(stored, ForgeRefused)
    assert [pull.title for pull in stored] == ["[codetask] Better"]


async def test_updating_by_number_opens_nothing(forge: LocalForge, repo: Repo, bare: Path) -> None:
    await opened(forge, repo)
    pushed = commit_files(bare, HEAD, {"c.txt": "three\n"}, "Add c")
    updated = await forge.update_pull_request(repo, 1, replace(DRAFT, body="New", draft=True))
    assert isinstance(updated, PullRequest) and (updated.state, updated.draft) == ("open", True)
    stored = await forge.stored(repo, 1)
    assert isinstance(stored, LocalPull) and (stored.body, stored.head_sha) == ("New", pushed)
    await forge.close_pull_request(repo, 1)
    late = await forge.update_pull_request(repo, 1, replace(DRAFT, body="Too late"))
    assert isinstance(late, PullRequest) and late.state == "closed"
    after = await forge.stored(repo, 1)
    assert isinstance(after, LocalPull) and after.body == "New"
    assert isinstance(await forge.update_pull_request(repo, 9, DRAFT), ForgeRefused)


async def test_merge_is_a_real_merge(forge: LocalForge, repo: Repo, bare: Path) -> None:
    before = tip(bare, "main")
    await opened(forge, repo)
    merged = await forge.merge(repo, 1, by="ana")
    assert isinstance(merged, PullRequest)
    assert (merged.state, merged.merged_by) == ("merged", "ana")
    assert (
        git(bare, "log", "-1", "--format=%P %s", "main")
        == f"{before} {tip(bare, HEAD)} Merge pull request #1 from {HEAD}"
    )
    assert git(bare, "show", "main:b.txt") == "two"
    assert await forge.merge(repo, 1, by="bo") == merged


async def test_merge_of_branches_that_both_moved(forge: LocalForge, repo: Repo, bare: Path) -> None:
    await opened(forge, repo)
    commit_files(bare, "main", {"c.txt": "three\n"}, "Add c")
    merged = await forge.merge(repo, 1)
    assert isinstance(merged, PullRequest), merged
    assert git(bare, "ls-tree", "--name-only", "main").split() == ["a.txt", "b.txt", "c.txt"]


async def test_a_conflict_is_refused_and_changes_nothing(forge: LocalForge, repo: Repo, bare: Path) -> None:
    commit_files(bare, "main", {"b.txt": "other\n"}, "Add another b")
    await opened(forge, repo)
    before = tip(bare, "main")
    answer = await forge.merge(repo, 1)
    assert isinstance(answer, ForgeRefused)
    assert "conflicts" in answer.say
    assert tip(bare, "main") == before
    assert (await opened(forge, repo)).state == "open"


async def test_a_merge_that_crashed_before_it_was_written_is_finished(
    forge: LocalForge, repo: Repo, bare: Path
) -> None:
    await opened(forge, repo)
    git(bare, "update-ref", "refs/heads/main", f"refs/heads/{HEAD}")
    before = tip(bare, "main")
    merged = await forge.merge(repo, 1)
    assert isinstance(merged, PullRequest)
    assert merged.state == "merged"
    assert tip(bare, "main") == before


async def test_close_reopen_merge(forge: LocalForge, repo: Repo) -> None:
    await opened(forge, repo)
    closed = await forge.close_pull_request(repo, 1)
    assert isinstance(closed, PullRequest)
    assert closed.state == "closed"
    assert isinstance(await forge.merge(repo, 1), ForgeRefused)
    reopened = await forge.reopen(repo, 1)
    assert isinstance(reopened, PullRequest)
    assert reopened.state == "open"
    await forge.merge(repo, 1)
    for late in (await forge.close_pull_request(repo, 1), await forge.reopen(repo, 1)):
        assert isinstance(late, PullRequest)
        assert late.state == "merged"


async def test_a_new_pull_request_after_a_closed_one_gets_a_new_number(forge: LocalForge, repo: Repo) -> None:
    await opened(forge, repo)
    await forge.close_pull_request(repo, 1)
    assert (await opened(forge, repo)).number == 2
    found = await forge.find_pull_request(repo, HEAD)
    assert isinstance(found, PullRequest)
    assert (found.number, found.state) == (2, "open")


async def test_diff_shows_the_change(forge: LocalForge, repo: Repo, bare: Path) -> None:
    await opened(forge, repo)
    diff = await forge.diff(repo, 1)
    assert isinstance(diff, str)
    assert "+++ b/b.txt" in diff
    assert "+two" in diff
    await forge.merge(repo, 1)
    assert await forge.diff(repo, 1) == diff


@pytest.mark.parametrize("branch", ["gone", "-x", "../x", "a..b", "x y", "", "main:b", "refs/heads/main\n"])
async def test_a_branch_that_is_none_is_refused(forge: LocalForge, repo: Repo, branch: str) -> None:
    assert isinstance(await forge.open_pull_request(repo, replace(DRAFT, head=branch)), ForgeRefused)
    assert isinstance(await forge.open_pull_request(repo, replace(DRAFT, base=branch)), ForgeRefused)


@pytest.mark.parametrize("url", ["file:///nonexistent.git", "https://github.com/a/b.git", "relative.git", "", "/"])
async def test_a_url_that_is_no_bare_repository_here_is_refused(forge: LocalForge, repo: Repo, url: str) -> None:
    wrong = replace(repo, url=url)
    for answer in (
        await forge.push_access(wrong),
        await forge.open_pull_request(wrong, DRAFT),
        await forge.find_pull_request(wrong, HEAD),
        await forge.pull_request(wrong, 1),
        await forge.merge(wrong, 1),
    ):
        assert isinstance(answer, ForgeRefused)
        assert answer.config


async def test_hooks_of_the_repository_do_not_run(forge: LocalForge, repo: Repo, bare: Path, tmp_path: Path) -> None:
    hook = bare / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    await opened(forge, repo)
    assert isinstance(await forge.merge(repo, 1), PullRequest)
    assert not (tmp_path / "ran").exists()


async def test_a_broken_file_is_named(forge: LocalForge, repo: Repo, bare: Path) -> None:
    await opened(forge, repo)
    (bare / FOLDER / "1.json").write_text("{")
    with pytest.raises(StoredPullBroken, match=r"1\.json"):
        await forge.pull_request(repo, 1)


def open_many(bare: str, heads: list[str]) -> list[int]:
    """Runs in a process of its own."""

    def act(store: Draft, head: str) -> LocalPull:
        old = next((pull for pull in store.all() if pull.head == head), None)
        number = old.number if old else store.next_number()
        return store.write(LocalPull(number, head, "", head, "main", "", "", False, "open", "", ""))

    store = PullStore(Path(bare))
    return [store.change(lambda draft, head=head: act(draft, head)).number for head in heads]


def test_processes_never_share_a_number(bare: Path) -> None:
    heads = [f"head-{number}" for number in range(12)]
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        answers = [list(job) for job in pool.map(open_many, [str(bare)] * 3, [heads, heads[::-1], heads])]
    assert answers[0] == answers[1][::-1] == answers[2]
    assert sorted(answers[0]) == list(range(1, 13))
    files = [json.loads(path.read_text())["head"] for path in (bare / FOLDER).glob("*.json")]
    assert sorted(files) == sorted(heads)

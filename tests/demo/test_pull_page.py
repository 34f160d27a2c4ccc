"""The pages behind the demo's links show and merge the pull request, and only to who came in by the printed address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bot.demo.pull_page import MAX_LINES, read_diff
from bot.demo.sample_project import git, make_sample
from bot.demo.server import Pages, serve_pages
from bot.ports import PullRequest, PullRequestDraft, Repo
from bot.worker.forges.local import LocalForge
from bot.worker.forges.settings import ForgeSettings
from tests.clock import FakeClock

PULL = "/local/invoices/pull/1"


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Pages, httpx.AsyncClient]]:
    """The pages without a chat, and a browser that came in by the printed address."""
    async with serve_pages([]) as pages, httpx.AsyncClient(trust_env=False, base_url=pages.url) as browser:
        assert (await browser.get(pages.door.address)).status_code == 303
        yield pages, browser


async def open_pull_request(folder: Path, pages: Pages) -> None:
    """A pull request whose texts are hostile."""
    bare = make_sample(folder)
    source, home = folder / "source", folder / "git-home"
    git(home, "checkout", "--quiet", "-b", "change", cwd=source)
    (source / "README.md").write_text("<script>alert(1)</script>\n")
    git(home, "commit", "--quiet", "--all", "--message=Change", cwd=source)
    git(home, "push", "--quiet", str(bare), "change", cwd=source)
    forge = LocalForge(ForgeSettings(git_home=home), FakeClock())
    repo = Repo(alias="invoices", url=bare.as_uri(), base="main", forge="local")
    draft = PullRequestDraft(title="<b>Bold</b>", body="</pre><img src=x>", head="change", base="main", draft=False)
    assert isinstance(await forge.open_pull_request(repo, draft), PullRequest)
    pages.pulls.forge, pages.pulls.repo = forge, repo


async def test_a_pull_request_is_shown_and_nothing_in_it_is_live(tmp_path: Path) -> None:
    async with served() as (pages, browser):
        await open_pull_request(tmp_path, pages)
        answer = await browser.get(PULL)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        for shown in ("change</code> → <code>main", "Merge as Ana", "&lt;script&gt;alert(1)", "README.md"):
            assert shown in answer.text
        for live in ("<script>", "<img src=x", "<b>Bold"):
            assert live not in answer.text


async def test_the_button_merges_once_and_the_page_says_so(tmp_path: Path) -> None:
    async with served() as (pages, browser):
        await open_pull_request(tmp_path, pages)
        for _ in range(2):
            answer = await browser.post(f"{PULL}/merge", headers={"Origin": pages.url})
            assert (answer.status_code, answer.headers["location"]) == (303, PULL)
        page = (await browser.get(PULL)).text
        assert "merged by ana" in page
        assert "Merge as Ana" not in page


async def test_why_it_cannot_be_merged_stands_on_the_page(tmp_path: Path) -> None:
    async with served() as (pages, browser):
        await open_pull_request(tmp_path, pages)
        assert pages.pulls.forge is not None
        assert pages.pulls.repo is not None
        await pages.pulls.forge.close_pull_request(pages.pulls.repo, 1)
        answer = await browser.post(f"{PULL}/merge", headers={"Origin": pages.url})
        assert answer.status_code == 409
        assert "Pull request 1 is closed." in answer.text


@pytest.mark.parametrize("path", ["/local/invoices/pull/2", "/local/other/pull/1", "/local/invoices/pull/0", "/x"])
async def test_what_is_not_there_is_not_found(path: str, tmp_path: Path) -> None:
    async with served() as (pages, browser):
        assert (await browser.get(PULL)).status_code == 404
        await open_pull_request(tmp_path, pages)
        assert (await browser.get(path)).status_code == 404


def test_a_diff_is_read_line_by_line_with_its_numbers() -> None:
    diff = """diff --git a/x.py b/x.py
index 1..2 100644
--- a/x.py
+++ b/x.py
@@ -3,3 +3,3 @@ def total():
 same
-old
+new
--- gone
diff --git a/new.py b/new.py
new file mode 100644
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+first
\\ No newline at end of file
"""
    first, second = read_diff(diff)
    assert [(row.kind, row.text, row.old, row.new) for row in first.rows[1:]] == [
        ("same", "same", "3", "3"),
        ("cut", "old", "4", ""),
        ("add", "new", "", "4"),
        ("cut", "-- gone", "5", ""),
    ]
    assert (second.name, second.added, second.cut) == ("new.py", 1, 0)


def test_a_huge_diff_is_cut_and_says_so() -> None:
    rows = next(read_diff("diff --git a/x b/x\n@@ -0,0 +1,9 @@\n" + "+a\n" * (MAX_LINES + 5))).rows
    assert rows[-1].text == "… 8 lines more"
    assert len(rows) < MAX_LINES + 2

"""The pages behind the demo's links show the pull request, and only to this machine's own address."""

from pathlib import Path

import httpx
import pytest

from bot.demo.pull_page import PullPages, serve_pull_pages
from bot.demo.sample_project import git, make_sample
from bot.ports import PullRequest, PullRequestDraft, Repo
from bot.worker.forges.local import LocalForge
from bot.worker.forges.settings import ForgeSettings
from tests.clock import FakeClock


async def open_pull_request(folder: Path, pages: PullPages) -> None:
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
    pages.forge, pages.repo = forge, repo


async def test_a_pull_request_is_shown_and_nothing_in_it_is_live(tmp_path: Path) -> None:
    async with serve_pull_pages() as pages, httpx.AsyncClient(trust_env=False) as browser:
        await open_pull_request(tmp_path, pages)
        answer = await browser.get(f"{pages.url}/local/invoices/pull/1")
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "open: change → main" in answer.text
        for live in ("<script>", "<img", "<b>Bold"):
            assert live not in answer.text
        assert "&lt;script&gt;alert(1)" in answer.text


@pytest.mark.parametrize("path", ["/local/invoices/pull/2", "/local/other/pull/1", "/local/invoices/pull/0", "/"])
async def test_what_is_not_there_is_not_found(path: str, tmp_path: Path) -> None:
    async with serve_pull_pages() as pages, httpx.AsyncClient(trust_env=False) as browser:
        assert (await browser.get(f"{pages.url}/local/invoices/pull/1")).status_code == 404
        await open_pull_request(tmp_path, pages)
        assert (await browser.get(pages.url + path)).status_code == 404


async def test_a_name_that_only_leads_here_sees_nothing(tmp_path: Path) -> None:
    async with serve_pull_pages() as pages, httpx.AsyncClient(trust_env=False) as browser:
        await open_pull_request(tmp_path, pages)
        answer = await browser.get(f"{pages.url}/local/invoices/pull/1", headers={"Host": "evil.example"})
        assert answer.status_code == 404

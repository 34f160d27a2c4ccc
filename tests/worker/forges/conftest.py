"""A simulated GitHub with one repository and a pushed branch, and forges that talk to it."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.ports import PullRequestDraft, Repo
from bot.worker.forges.github import GitHubForge
from bot.worker.forges.settings import ForgeSettings, GitHubSettings
from tests.clock import FakeClock
from tests.simulators.github import App, GitHubSimulator
from tests.simulators.github.repositories import commit_files, tip

TOKEN = "github_pat_11AAAAAAA0canary0canary"
HEAD = "code-worker/CT-42"
DRAFT = PullRequestDraft(HEAD, "main", "[codetask] Add a CSV export button", "> Add it\n\nReview before merging.")


@pytest.fixture(scope="session")
def app_keys() -> tuple[str, str]:
    """An App's private and public key, PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.fixture
def github(tmp_path: Path, clock: FakeClock) -> Iterator[GitHubSimulator]:
    """A GitHub with acme/web and acme/other; the branch `code-worker/CT-42` of acme/web is one commit ahead."""
    with GitHubSimulator(tmp_path / "github", clock.now) as simulator:
        for name in ("web", "other"):
            known = simulator.add_repository("acme", name)
            commit_files(known.path, HEAD, {"export.csv": "a,b\n"}, "Add it", tip(known.path, "main"))
        simulator.add_token(TOKEN, "acme/web")
        yield simulator
    assert simulator.problems == []


@pytest.fixture
def repo(github: GitHubSimulator) -> Repo:
    return Repo("web", github.clone_url("acme", "web"), forge="github", owner="acme", name="web")


@pytest.fixture
def token_settings(github: GitHubSimulator) -> ForgeSettings:
    return ForgeSettings(github=GitHubSettings(token=TOKEN, api_url=github.url, timeout=timedelta(seconds=5)))


@pytest.fixture
async def forge(token_settings: ForgeSettings, clock: FakeClock) -> AsyncIterator[GitHubForge]:
    """The forge with a personal access token."""
    made = GitHubForge(token_settings, clock)
    yield made
    await made.aclose()


@pytest.fixture
def app(github: GitHubSimulator, app_keys: tuple[str, str]) -> App:
    """An App installed on both repositories, with one permission more than we ever ask for."""
    permissions = {"contents": "write", "pull_requests": "write", "workflows": "write", "metadata": "read"}
    return github.add_app(App("12345", app_keys[1], 77, frozenset({"acme/web", "acme/other"}), permissions))


@pytest.fixture
async def app_forge(
    github: GitHubSimulator, app: App, app_keys: tuple[str, str], clock: FakeClock, minted: list[str]
) -> AsyncIterator[GitHubForge]:
    """The forge with App credentials."""
    settings = GitHubSettings(app_id=app.app_id, app_private_key=app_keys[0], api_url=github.url)
    made = GitHubForge(ForgeSettings(github=settings, register_secret=minted.append), clock)
    yield made
    await made.aclose()


@pytest.fixture
def minted() -> list[str]:
    """Every token the forge announced for redaction."""
    return []

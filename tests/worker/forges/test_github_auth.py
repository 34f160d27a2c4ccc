"""Credentials for GitHub: real pushes, App tokens and their narrowness, re-minting (F12), nothing leaked."""

import json
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from bot.ports import ForgeRefused, ForgeTrouble, GitAccess, PullRequest, Repo
from bot.worker.forges import ForgeMisconfigured, ForgeSettings, GitHubSettings, create_forge
from bot.worker.forges.github import GitHubForge
from bot.worker.git import PUSH_LIMIT, Git, GitCall, GitFailed
from tests.clock import FakeClock
from tests.simulators.github import App, Fault, GitHubSimulator
from tests.simulators.github.repositories import commit_files, make_bare, tip
from tests.worker.forges.conftest import DRAFT, HEAD, TOKEN

MINT = r"/app/installations/\d+/access_tokens"


async def push(repo: Repo, access: GitAccess, folder: Path, branch: str) -> bytes | GitFailed:
    """Pushes a new commit as the worker does: by URL, the credential in the environment of that one process."""
    source = folder / "trusted.git"
    make_bare(source, "main", {"new.txt": "new\n"})
    sha = commit_files(source, "main", {"more.txt": "more\n"}, "Add more")
    (folder / "home").mkdir(exist_ok=True)
    refspec = f"{sha}:refs/heads/{branch}"
    args = ["push", "--porcelain", "--no-verify", f"--force-with-lease=refs/heads/{branch}:", "--end-of-options"]
    return await Git(folder / "home").run(
        GitCall([*args, repo.url, refspec], source, url=repo.url, access=access, limit=PUSH_LIMIT)
    )


async def granted(answer: GitAccess | ForgeTrouble) -> GitAccess:
    assert isinstance(answer, GitAccess), answer
    return answer


async def test_a_token_pushes_over_smart_http(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator, tmp_path: Path
) -> None:
    access = await granted(await forge.push_access(repo))
    said = await push(repo, access, tmp_path, "code-worker/CT-7")
    assert isinstance(said, bytes), said
    (pushed,) = github.pushes
    assert list(pushed.refs) == ["refs/heads/code-worker/CT-7"]
    assert pushed.token == TOKEN
    assert (
        tip(github.repositories["acme/web"].path, "code-worker/CT-7") == pushed.refs["refs/heads/code-worker/CT-7"][1]
    )


async def test_an_app_pushes_with_a_token_minted_for_this_repository(
    app_forge: GitHubForge, repo: Repo, github: GitHubSimulator, tmp_path: Path, minted: list[str]
) -> None:
    access = await granted(await app_forge.push_access(repo))
    assert isinstance(await push(repo, access, tmp_path, "code-worker/CT-7"), bytes)
    (token,) = github.accounts.minted
    assert token.repositories == frozenset({"acme/web"})
    assert token.permissions == {"metadata": "read", "contents": "write", "pull_requests": "write"}
    assert [github.pushes[0].token] == [token.value] == minted


async def test_a_reading_credential_cannot_push(
    app_forge: GitHubForge, repo: Repo, github: GitHubSimulator, tmp_path: Path
) -> None:
    access = await granted(await app_forge.read_access(repo))
    refused = await push(repo, access, tmp_path, "code-worker/CT-7")
    assert isinstance(refused, GitFailed)
    assert refused.kind == "auth"
    assert github.pushes == []


async def test_an_expired_token_fails_the_push_and_a_new_one_succeeds(
    app_forge: GitHubForge, repo: Repo, github: GitHubSimulator, tmp_path: Path
) -> None:
    old = await granted(await app_forge.push_access(repo))
    github.expire_tokens()
    refused = await push(repo, old, tmp_path / "a", "code-worker/CT-7")
    assert isinstance(refused, GitFailed)
    assert refused.kind == "auth"
    fresh = await granted(await app_forge.push_access(repo))
    assert isinstance(await push(repo, fresh, tmp_path / "b", "code-worker/CT-7"), bytes)


async def test_the_pull_request_gets_a_token_of_its_own(
    app_forge: GitHubForge, repo: Repo, github: GitHubSimulator
) -> None:
    await app_forge.push_access(repo)
    assert isinstance(await app_forge.open_pull_request(repo, DRAFT), PullRequest)
    asked = [call.body["permissions"] for call in github.asked("POST", "access_tokens")]
    assert asked == [
        {"contents": "write", "pull_requests": "write"},
        {"pull_requests": "read"},
        {"contents": "read", "pull_requests": "write"},
    ]
    assert all(call.body["repositories"] == ["web"] for call in github.asked("POST", "access_tokens"))


async def test_polling_reuses_its_token_until_five_minutes_before_its_end(
    app_forge: GitHubForge, repo: Repo, github: GitHubSimulator, clock: FakeClock
) -> None:
    await app_forge.open_pull_request(repo, DRAFT)
    before = len(github.accounts.minted)
    for _ in range(5):
        assert isinstance(await app_forge.pull_request(repo, 1), PullRequest)
    assert len(github.accounts.minted) == before
    clock.advance(55 * 60)
    assert isinstance(await app_forge.pull_request(repo, 1), PullRequest)
    assert len(github.accounts.minted) == before + 1


async def test_one_401_is_answered_by_one_new_token(
    app_forge: GitHubForge, repo: Repo, github: GitHubSimulator
) -> None:
    await app_forge.open_pull_request(repo, DRAFT)
    github.expire_tokens()
    before = len(github.accounts.minted)
    assert isinstance(await app_forge.pull_request(repo, 1), PullRequest)
    assert len(github.accounts.minted) == before + 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_401_in_the_middle_still_opens_one_pull_request(
    app_forge: GitHubForge, repo: Repo, github: GitHubSimulator, method: str
) -> None:
    github.fail_next(Fault(method, "/repos/acme/web/pulls", status=401, body='{"message": "Bad credentials"}'))
    assert isinstance(await app_forge.open_pull_request(repo, DRAFT), PullRequest)
    assert len(github.repositories["acme/web"].pulls) == 1


async def test_a_second_401_is_final(app_forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    github.fail_next(Fault("GET", "/repos/acme/web/pulls", times=9, status=401, body='{"message": "Bad credentials"}'))
    answer = await app_forge.open_pull_request(repo, DRAFT)
    assert isinstance(answer, ForgeRefused)
    assert answer.config
    assert len(github.asked("GET", "/pulls")) == 2


@pytest.mark.parametrize("wide", ["permissions", "repositories", "all"])
async def test_a_token_wider_than_asked_is_refused(app_forge: GitHubForge, repo: Repo, app: App, wide: str) -> None:
    app.over_grant = wide  # type: ignore[assignment]
    answer = await app_forge.push_access(repo)
    assert isinstance(answer, ForgeRefused)
    assert answer.config
    assert "more than was asked" in answer.say


GOOD_ANSWER: dict[str, object] = {
    "token": "ghs_x",
    "expires_at": "2031-05-06T08:08:09Z",
    "permissions": {"contents": "write", "pull_requests": "write"},
    "repositories": [{"full_name": "acme/web"}],
    "repository_selection": "selected",
}
STRANGE: list[object] = [
    {},
    [],
    GOOD_ANSWER | {"token": ""},
    GOOD_ANSWER | {"token": 7},
    GOOD_ANSWER | {"expires_at": "tomorrow"},
    GOOD_ANSWER | {"expires_at": "2031-05-06T08:08:09"},
    GOOD_ANSWER | {"permissions": {}},
    GOOD_ANSWER | {"permissions": None},
    GOOD_ANSWER | {"permissions": {"contents": "boss", "pull_requests": "write"}},
    GOOD_ANSWER | {"permissions": {"contents": "write"}},
    GOOD_ANSWER | {"repositories": []},
    GOOD_ANSWER | {"repositories": [{"full_name": "evil/web"}]},
    GOOD_ANSWER | {"repositories": [1]},
    GOOD_ANSWER | {"repository_selection": "all"},
]


@pytest.mark.parametrize("answer", STRANGE, ids=range(len(STRANGE)))
async def test_a_strange_token_answer_gives_no_token(
    app_forge: GitHubForge, repo: Repo, github: GitHubSimulator, answer: object, minted: list[str]
) -> None:
    github.fail_next(Fault("POST", MINT, status=201, body=json.dumps(answer)))
    assert not isinstance(await app_forge.push_access(repo), GitAccess)
    assert minted == []


async def test_an_app_not_installed_says_so(app_forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    github.add_repository("acme", "third")
    elsewhere = replace(repo, name="third", url=github.clone_url("acme", "third"))
    answer = await app_forge.push_access(elsewhere)
    assert answer == ForgeRefused("The GitHub App is not installed on acme/third: install it there.", config=True)


async def test_an_app_with_a_wrong_key_says_what_to_check(
    github: GitHubSimulator, repo: Repo, clock: FakeClock, app_keys: tuple[str, str]
) -> None:
    settings = GitHubSettings(app_id="999", app_private_key=app_keys[0], api_url=github.url)
    forge = GitHubForge(ForgeSettings(github=settings), clock)
    answer = await forge.push_access(repo)
    await forge.aclose()
    assert isinstance(answer, ForgeRefused)
    assert answer.config
    assert "GITHUB_APP_ID" in answer.say


async def test_a_key_that_is_no_key_is_not_quoted(github: GitHubSimulator, repo: Repo, clock: FakeClock) -> None:
    settings = GitHubSettings(app_id="1", app_private_key="canary-not-a-key", api_url=github.url)
    forge = GitHubForge(ForgeSettings(github=settings), clock)
    answer = await forge.push_access(repo)
    await forge.aclose()
    assert isinstance(answer, ForgeRefused)
    assert "canary" not in answer.say


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/acme/web.git",
        "https://github.com.evil.example/acme/web.git",
        "http://127.0.0.1:1/acme/web.git",
        "file:///tmp/web.git",
        "https://user@github.com/acme/web.git",
    ],
)
async def test_the_token_goes_to_no_other_host(forge: GitHubForge, repo: Repo, url: str) -> None:
    answer = await forge.push_access(replace(repo, url=url))
    assert isinstance(answer, ForgeRefused)
    assert answer.config


async def test_an_ssh_url_gets_the_deploy_key(token_settings: ForgeSettings, clock: FakeClock, repo: Repo) -> None:
    forge = GitHubForge(replace(token_settings, ssh_key=Path("/keys/deploy")), clock)
    access = await forge.push_access(replace(repo, url="ssh://git@github.com/acme/web.git"))
    assert access == GitAccess(ssh_key=Path("/keys/deploy"))


@pytest.mark.parametrize(("owner", "name"), [("", ""), ("acme", ""), ("ac/me", "web"), ("acme", "we?b"), ("..\n", "x")])
async def test_a_repository_without_a_good_name_is_refused(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator, owner: str, name: str
) -> None:
    answer = await forge.open_pull_request(replace(repo, owner=owner, name=name), DRAFT)
    assert isinstance(answer, ForgeRefused)
    assert github.calls == []


async def test_a_token_without_permission_is_named(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    github.add_token(TOKEN, "acme/web", permissions={"metadata": "read", "pull_requests": "read"})
    answer = await forge.open_pull_request(repo, DRAFT)
    assert isinstance(answer, ForgeRefused)
    assert answer.config
    assert "pull_requests=write" in answer.say


async def test_a_repository_the_token_does_not_see(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    answer = await forge.open_pull_request(replace(repo, name="other"), DRAFT)
    assert isinstance(answer, ForgeRefused)
    assert answer.config
    assert "404" in answer.say


async def test_a_bad_token_is_asked_for_once(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    github.accounts.tokens[TOKEN].revoked = True
    answer = await forge.open_pull_request(repo, DRAFT)
    assert isinstance(answer, ForgeRefused)
    assert answer.config
    assert "GITHUB_TOKEN" in answer.say
    assert len(github.calls) == 1


async def test_no_token_shows_in_any_answer_error_or_address(
    forge: GitHubForge, app_forge: GitHubForge, repo: Repo, github: GitHubSimulator, tmp_path: Path
) -> None:
    seen: list[str] = []
    for made in (forge, app_forge):
        access = await granted(await made.push_access(repo))
        seen += [repr(access), str(access), repr(made), repr(vars(made))]
        for fault in (
            Fault("POST", "/repos/acme/web/pulls", drop=True),
            Fault("POST", "/repos/acme/web/pulls", status=500),
            Fault("GET", "/repos/acme/web/pulls", status=418),
        ):
            github.fail_next(fault)
            seen.append(repr(await made.open_pull_request(repo, DRAFT)))
    github.accounts.tokens[TOKEN].permissions = {}
    seen.append(repr(await push(repo, await granted(await forge.push_access(repo)), tmp_path, "x/CT-1")))
    try:
        raise RuntimeError(repr(forge._settings))
    except RuntimeError:
        seen.append(traceback.format_exc())
    secrets = [TOKEN, "PRIVATE KEY", *(token.value for token in github.accounts.minted)]
    assert not [secret for secret in secrets for text in seen if secret in text]
    assert not [call for call in github.calls for secret in secrets if secret in call.path + str(call.query)]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (GitHubSettings(token="canary", api_url="http://api.github.com"), "https://"),
        (GitHubSettings(token="canary", api_url="http://localhost.evil.example"), "https://"),
        (GitHubSettings(token="canary", api_url="https://canary@api.github.com"), "user name"),
        (GitHubSettings(token="canary", api_url="https://api.github.com/?x=1"), "plain URL"),
        (GitHubSettings(token="canary", api_url="ftp://api.github.com"), "https://"),
        (GitHubSettings(token="canary", api_url="https://[::1"), "not a URL"),
        (GitHubSettings(token="canary", api_url="api.github.com"), "plain URL"),
        (GitHubSettings(token="canary", app_id="1", app_private_key="canary"), "not both"),
        (GitHubSettings(app_id="1"), "GITHUB_APP_PRIVATE_KEY"),
        (GitHubSettings(app_private_key="canary"), "GITHUB_APP_ID"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(settings: GitHubSettings, says: str, clock: FakeClock) -> None:
    with pytest.raises(ForgeMisconfigured, match=says) as refused:
        create_forge("github", ForgeSettings(github=settings), clock)
    assert "canary" not in str(refused.value)
    assert "canary" not in repr(replace(settings, api_url=""))


async def test_without_a_credential_it_says_what_to_set(repo: Repo, github: GitHubSimulator, clock: FakeClock) -> None:
    forge = create_forge("github", ForgeSettings(github=GitHubSettings(api_url=github.url)), clock)
    answer = await forge.push_access(repo)
    assert isinstance(answer, ForgeRefused)
    assert "GITHUB_TOKEN" in answer.say


def test_git_hosts() -> None:
    assert GitHubSettings().git_host == ("https", "github.com")
    assert GitHubSettings(api_url="https://ghe.example/api/v3").git_host == ("https", "ghe.example")
    assert GitHubSettings(web_url="https://git.example").git_host == ("https", "git.example")


async def test_no_forge_pushes_and_opens_nothing(
    repo: Repo, token_settings: ForgeSettings, clock: FakeClock, tmp_path: Path, github: GitHubSimulator
) -> None:
    forge = create_forge("none", token_settings, clock)
    access = await granted(await forge.push_access(repo))
    assert isinstance(await push(repo, access, tmp_path, "code-worker/CT-7"), bytes)
    assert await forge.push_access(replace(repo, url="https://evil.example/acme/web.git")) == GitAccess()
    assert isinstance(await forge.open_pull_request(repo, DRAFT), ForgeRefused)
    assert await forge.find_pull_request(repo, HEAD) is None


def test_an_unknown_forge_is_named(clock: FakeClock) -> None:
    with pytest.raises(ForgeMisconfigured, match="known are github, local, none"):
        create_forge("gitlab", ForgeSettings(), clock)

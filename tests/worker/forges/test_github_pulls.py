"""Pull requests on GitHub: opened once, adopted, found, polled, closed (F10)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.ports import ForgeRefused, ForgeRetry, NotModified, PullRequest, Repo
from bot.worker.forges.github import GitHubForge
from bot.worker.forges.settings import ForgeSettings
from tests.clock import FakeClock
from tests.simulators.github import Fault, GitHubSimulator
from tests.simulators.github.state import Pull
from tests.worker.forges.conftest import DRAFT, HEAD

PULLS = "/repos/acme/web/pulls"


async def opened(forge: GitHubForge, repo: Repo, **changes: object) -> PullRequest:
    pull = await forge.open_pull_request(repo, replace(DRAFT, **changes))
    assert isinstance(pull, PullRequest), pull
    return pull


async def test_a_pull_request_is_opened_with_its_texts(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    pull = await opened(forge, repo, draft=True)
    assert pull == PullRequest(1, f"{github.url}/acme/web/pull/1", "open", HEAD, draft=True)
    sent = github.asked("POST", PULLS)[0].body
    assert (sent["title"], sent["body"], sent["base"], sent["draft"]) == (DRAFT.title, DRAFT.body, "main", True)


async def test_opening_again_adopts_and_updates(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    first = await opened(forge, repo)
    again = await opened(forge, repo, title="[codetask] Better", body="New")
    assert again.number == first.number
    stored = github.repositories["acme/web"].pulls
    assert len(stored) == 1
    assert (stored[1].title, stored[1].body) == ("[codetask] Better", "New")
    assert len(github.asked("POST", PULLS)) == 1


async def test_exists_already_is_adopted(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    """Someone opens it between our look and our call: GitHub says 422, we take theirs."""
    await opened(forge, repo)
    github.fail_next(Fault("GET", PULLS, status=200, body="[]"))
    pull = await opened(forge, repo, title="[codetask] Ours")
    assert pull.number == 1
    assert github.asked("POST", PULLS)[-1].status == 422
    assert github.repositories["acme/web"].pulls[1].title == "[codetask] Ours"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", PULLS, drop=True, after_commit=True),
        Fault("POST", PULLS, half=True),
    ],
    ids=["dropped", "half"],
)
async def test_a_lost_answer_leaves_one_pull_request(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator, fault: Fault
) -> None:
    github.fail_next(replace(fault, times=1))
    pull = await opened(forge, repo)
    assert pull.number == 1
    assert len(github.repositories["acme/web"].pulls) == 1


async def test_a_lost_request_is_repeated_by_the_caller(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator
) -> None:
    github.fail_next(Fault("POST", PULLS, drop=True))
    lost = await forge.open_pull_request(repo, DRAFT)
    assert isinstance(lost, ForgeRetry)
    assert lost.maybe_done
    assert github.repositories["acme/web"].pulls == {}
    assert (await opened(forge, repo)).number == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 599])
@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
async def test_a_broken_github_is_asked_again_later(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator, status: int, content_type: str
) -> None:
    body = '{"message": "Server Error"}' if content_type == "application/json" else "<html>Unicorn!</html>"
    github.fail_next(Fault("POST", PULLS, status=status, body=body, content_type=content_type))
    answer = await forge.open_pull_request(repo, DRAFT)
    assert isinstance(answer, ForgeRetry)
    assert answer.maybe_done
    assert answer.after == timedelta(seconds=2)


@pytest.mark.parametrize(
    "body",
    [
        '{"number": 1',
        "",
        "null",
        "[]",
        "[1]",
        '{"message": 3}',
        '"text"',
        '{"number": "1"}',
        '{"number": true}',
        "[" * 100_000,
    ],
)
async def test_an_unreadable_answer_is_not_believed(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator, body: str
) -> None:
    github.fail_next(Fault("GET", PULLS + "/1", status=200, body=body))
    assert isinstance(await forge.pull_request(repo, 1), ForgeRetry)


@pytest.mark.parametrize(
    "body", ['{"message"', "[]", '{"errors": 3}', '{"errors": "odd"}', "null", '{"errors": [[]]}', "3"]
)
@pytest.mark.parametrize("status", [400, 409, 418, 422])
async def test_a_strange_refusal_is_an_answer(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator, body: str, status: int
) -> None:
    github.fail_next(Fault("GET", PULLS + "/1", status=status, body=body))
    assert isinstance(await forge.pull_request(repo, 1), ForgeRetry | ForgeRefused)


async def test_a_slow_github_is_left_after_the_time_limit(
    repo: Repo, github: GitHubSimulator, token_settings: ForgeSettings, clock: FakeClock
) -> None:
    impatient = replace(token_settings.github, timeout=timedelta(seconds=0.2))
    quick = GitHubForge(replace(token_settings, github=impatient), clock)
    github.fail_next(Fault("POST", PULLS, hang=True))
    answer = await quick.open_pull_request(repo, DRAFT)
    assert isinstance(answer, ForgeRetry)
    assert answer.maybe_done
    await quick.aclose()


async def test_who_asks_after_the_end_is_told_to_come_again(
    repo: Repo, github: GitHubSimulator, token_settings: ForgeSettings, clock: FakeClock
) -> None:
    ended = GitHubForge(token_settings, clock)
    await ended.aclose()
    late = await ended.open_pull_request(repo, DRAFT)
    assert isinstance(late, ForgeRetry) and not late.maybe_done
    assert github.calls == []


async def test_an_answer_over_8_mib_is_not_read(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    github.fail_next(Fault("GET", PULLS + "/1", status=200, body='"' + "x" * (8 * 1024 * 1024) + '"'))
    assert isinstance(await forge.pull_request(repo, 1), ForgeRetry)


async def test_redirects_are_not_followed(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    elsewhere = {"Location": f"{github.url}/repos/acme/other/pulls/1"}
    github.fail_next(Fault("GET", PULLS + "/1", status=301, headers=elsewhere))
    answer = await forge.pull_request(repo, 1)
    assert isinstance(answer, ForgeRefused)
    assert answer.config
    assert [call.path for call in github.calls] == [PULLS + "/1"]


async def test_without_drafts_a_real_pull_request_is_opened(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator
) -> None:
    github.repositories["acme/web"].drafts = False
    assert (await opened(forge, repo, draft=True)).draft is False


async def test_a_branch_github_does_not_see_yet_is_a_retry(forge: GitHubForge, repo: Repo) -> None:
    assert isinstance(await forge.open_pull_request(repo, replace(DRAFT, head="not-pushed")), ForgeRetry)


async def test_a_missing_base_is_refused(forge: GitHubForge, repo: Repo) -> None:
    answer = await forge.open_pull_request(repo, replace(DRAFT, base="nowhere"))
    assert isinstance(answer, ForgeRefused)
    assert "base invalid" in answer.say


async def test_no_difference_is_refused(forge: GitHubForge, repo: Repo) -> None:
    answer = await forge.open_pull_request(repo, replace(DRAFT, head="main"))
    assert isinstance(answer, ForgeRefused)
    assert "No commits between main and main" in answer.say


async def test_a_fork_with_the_same_branch_is_not_ours(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    stranger = Pull(1, "Trap", "", HEAD, "main", False, "2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z")
    stranger.head_sha = stranger.base_sha = "0" * 40
    stranger.head_repository = "acme/fork"
    github.repositories["acme/web"].pulls[1] = stranger
    assert await forge.find_pull_request(repo, HEAD) is None


async def test_another_branch_in_an_unfiltered_list_is_not_ours(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator
) -> None:
    await opened(forge, repo)
    assert await forge.find_pull_request(repo, "code-worker/CT-4") is None
    assert (await forge.find_pull_request(repo, HEAD)) is not None


async def test_find_prefers_the_open_one_then_the_newest(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator
) -> None:
    for expected in (1, 2):
        assert (await opened(forge, repo)).number == expected
        github.close("acme", "web", expected)
    found = await forge.find_pull_request(repo, HEAD)
    assert isinstance(found, PullRequest)
    assert (found.number, found.state) == (2, "closed")
    github.reopen("acme", "web", 1)
    found = await forge.find_pull_request(repo, HEAD)
    assert isinstance(found, PullRequest)
    assert (found.number, found.state) == (1, "open")


async def test_poll_says_not_modified_until_it_is_merged(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator
) -> None:
    number = (await opened(forge, repo)).number
    seen = await forge.pull_request(repo, number)
    assert isinstance(seen, PullRequest)
    assert seen.etag
    assert await forge.pull_request(repo, number, seen.etag) == NotModified()
    github.merge("acme", "web", number, by="bo")
    merged = await forge.pull_request(repo, number, seen.etag)
    assert isinstance(merged, PullRequest)
    assert (merged.state, merged.merged_by) == ("merged", "bo")
    assert merged.etag != seen.etag


async def test_close_keeps_a_merged_one_merged(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    number = (await opened(forge, repo)).number
    closed = await forge.close_pull_request(repo, number)
    assert isinstance(closed, PullRequest)
    assert closed.state == "closed"
    github.reopen("acme", "web", number)
    github.merge("acme", "web", number)
    still = await forge.close_pull_request(repo, number)
    assert isinstance(still, PullRequest)
    assert still.state == "merged"


async def test_updating_by_number_opens_nothing(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    number, better = (await opened(forge, repo)).number, replace(DRAFT, title="[codetask] Better", body="New")
    updated = await forge.update_pull_request(repo, number, better)
    assert isinstance(updated, PullRequest) and (updated.number, updated.state) == (number, "open")
    github.merge("acme", "web", number)
    late = await forge.update_pull_request(repo, number, replace(better, body="Too late"))
    assert isinstance(late, PullRequest) and (late.number, late.state) == (number, "merged")
    stored = github.repositories["acme/web"].pulls
    assert len(stored) == 1 and stored[1].title == "[codetask] Better"
    assert isinstance(await forge.update_pull_request(repo, 999, better), ForgeRefused)


async def test_an_unknown_pull_request_is_refused(forge: GitHubForge, repo: Repo) -> None:
    answer = await forge.pull_request(repo, 999)
    assert answer == ForgeRefused("GitHub shows no pull request 999 here (404).")

"""GitHub's rate limits and ours, on a clock moved by hand (F11)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.ports import ForgeRefused, ForgeRetry, PullRequest, Repo
from bot.worker.forges.github import GitHubForge
from bot.worker.forges.github_limits import Limits
from tests.clock import FakeClock
from tests.simulators.github import Fault, GitHubSimulator
from tests.simulators.github.faults import Burst
from tests.worker.forges.conftest import DRAFT

PULLS = "/repos/acme/web/pulls"
SECONDARY = '{"message": "You have exceeded a secondary rate limit."}'


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (403, {"retry-after": "30"}, SECONDARY, 30),
        (429, {"retry-after": "7"}, SECONDARY, 7),
        (403, {}, SECONDARY, 60),
        (429, {}, SECONDARY, 60),
        (429, {}, "busy", 60),
        (403, {}, '{"message": "You have triggered an abuse detection mechanism."}', 60),
        (403, {"retry-after": "soon"}, SECONDARY, 60),
        (403, {"retry-after": "0"}, SECONDARY, 1),
        (403, {"retry-after": "99999999"}, SECONDARY, 7200),
        (429, {"retry-after": "-5"}, SECONDARY, 60),
    ],
)
async def test_the_wait_is_githubs(
    forge: GitHubForge,
    repo: Repo,
    github: GitHubSimulator,
    status: int,
    headers: dict[str, str],
    body: str,
    seconds: int,
) -> None:
    github.fail_next(Fault("POST", PULLS, status=status, headers=headers, body=body))
    answer = await forge.open_pull_request(repo, DRAFT)
    assert isinstance(answer, ForgeRetry)
    assert answer.after == timedelta(seconds=seconds)
    assert not answer.maybe_done


@pytest.mark.parametrize(("reset_in", "seconds"), [(90, 90), (-5, 1), (10**6, 7200)])
@pytest.mark.parametrize("status", [403, 429])
async def test_the_primary_limit_waits_for_its_reset(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator, clock: FakeClock, status: int, reset_in: int, seconds: int
) -> None:
    reset = str(int(clock.now().timestamp()) + reset_in)
    headers = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    github.fail_next(Fault("GET", PULLS, status=status, headers=headers, body='{"message": "API rate limit exceeded"}'))
    answer = await forge.open_pull_request(repo, DRAFT)
    assert isinstance(answer, ForgeRetry)
    assert answer.after == timedelta(seconds=seconds)


async def test_nothing_is_sent_while_github_asked_us_to_wait(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator, clock: FakeClock
) -> None:
    github.fail_next(Fault("GET", PULLS, status=403, headers={"retry-after": "60"}, body=SECONDARY))
    await forge.open_pull_request(repo, DRAFT)
    sent = len(github.calls)
    clock.advance(59)
    waiting = await forge.open_pull_request(repo, DRAFT)
    assert isinstance(waiting, ForgeRetry)
    assert waiting.after == timedelta(seconds=1)
    assert len(github.calls) == sent
    clock.advance(1)
    assert isinstance(await forge.open_pull_request(repo, DRAFT), PullRequest)


async def test_a_burst_loses_nothing(forge: GitHubForge, repo: Repo, github: GitHubSimulator, clock: FakeClock) -> None:
    """20 updates while GitHub refuses after 5: every wait is honoured, all 20 get through, one pull request."""
    github.burst = Burst(allowed=5, retry_after=30)
    waited = done = 0
    for turn in range(200):
        answer = await forge.open_pull_request(repo, replace(DRAFT, body=f"turn {done}"))
        if isinstance(answer, PullRequest):
            done += 1
            if done == 20:
                break
            continue
        assert isinstance(answer, ForgeRetry), (turn, answer)
        waited += 1
        clock.advance(answer.after)
        github.burst.seen = 0
    assert (done, waited) == (20, 3)
    refused = [call for call in github.calls if call.status == 403]
    assert len(refused) == 3
    assert len(github.repositories["acme/web"].pulls) == 1


async def test_our_own_limit_stays_under_githubs(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator, clock: FakeClock
) -> None:
    for _ in range(60):
        assert isinstance(await forge.close_pull_request(repo, 1), ForgeRefused)
    writes = len(github.asked("PATCH", "/1"))
    assert writes == 60
    answer = await forge.close_pull_request(repo, 1)
    assert isinstance(answer, ForgeRetry)
    assert answer.after == timedelta(minutes=1)
    assert len(github.asked("PATCH", "/1")) == 60


def test_the_limiter_allows_60_a_minute_and_400_an_hour(clock: FakeClock) -> None:
    limits = Limits(clock)
    allowed: list[float] = []
    start = clock.now()
    while clock.now() < start + timedelta(hours=2):
        if (wait := limits.content()) is None:
            allowed.append((clock.now() - start).total_seconds())
            clock.advance(0.1)
        else:
            clock.advance(wait.after)
    for span, most in ((60, 60), (3600, 400)):
        assert max(sum(1 for at in allowed if first <= at < first + span) for first in allowed) == most


def test_the_limiter_allows_2000_tokens_an_hour(clock: FakeClock) -> None:
    limits = Limits(clock)
    assert [limits.mint() for _ in range(2000)] == [None] * 2000
    wait = limits.mint()
    assert wait is not None
    clock.advance(wait.after)
    assert limits.mint() is None


def test_a_pause_is_per_owner_and_never_shortened(clock: FakeClock) -> None:
    limits = Limits(clock)
    limits.hold("Acme", timedelta(seconds=60))
    limits.hold("acme", timedelta(seconds=5))
    assert limits.held("other") is None
    held = limits.held("ACME")
    assert held is not None
    assert held.after == timedelta(seconds=60)

"""The simulated GitHub itself: what it sends can be verified and read, and it refuses what GitHub refuses."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from bot.core.github_events import PullRequestFact, read_event, verify_signature
from bot.ports import PullRequest, Repo
from bot.worker.forges.github import GitHubForge
from tests.simulators.github import GitHubSimulator
from tests.simulators.github.openapi import description, request_problems
from tests.simulators.github.repositories import MergeRefused, git
from tests.simulators.github.webhooks import send
from tests.worker.forges.conftest import DRAFT, HEAD, TOKEN

AUTHORIZED = {"Authorization": f"token {TOKEN}"}


async def test_merge_close_and_reopen_send_what_we_read(
    forge: GitHubForge, repo: Repo, github: GitHubSimulator
) -> None:
    assert isinstance(await forge.open_pull_request(repo, DRAFT), PullRequest)
    sent = [github.close("acme", "web", 1), github.reopen("acme", "web", 1), github.merge("acme", "web", 1, by="bo")]
    facts = [read_event(delivery.event, delivery.body) for delivery in sent]
    assert facts == [
        PullRequestFact("acme", "web", 1, "closed", "", HEAD),
        PullRequestFact("acme", "web", 1, "reopened", "", HEAD),
        PullRequestFact("acme", "web", 1, "merged", "bo", HEAD),
    ]
    header = sent[0].headers("secret")["X-Hub-Signature-256"]
    assert verify_signature(["secret"], header, sent[0].body)
    assert not verify_signature(["secret"], header, sent[1].body)
    path = github.repositories["acme/web"].path
    assert git(path, "show", "main:export.csv") == "a,b"
    with pytest.raises(MergeRefused):
        github.reopen("acme", "web", 1)


async def test_a_delivery_arrives_as_it_was_signed(forge: GitHubForge, repo: Repo, github: GitHubSimulator) -> None:
    await forge.open_pull_request(repo, DRAFT)
    got: asyncio.Future[tuple[str, bytes]] = asyncio.get_running_loop().create_future()

    async def receive(request: web.Request) -> web.Response:
        got.set_result((request.headers["X-Hub-Signature-256"], await request.read()))
        return web.Response(status=202)

    application = web.Application()
    application.router.add_post("/webhooks/github", receive)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/github"
    assert await send(url, github.merge("acme", "web", 1), "secret") == 202
    await runner.cleanup()
    signature, body = await got
    assert verify_signature(["secret"], signature, body)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/user", None, {}, 401),
        ("GET", "/user", None, {"Authorization": "token wrong"}, 401),
        ("GET", "/user", None, AUTHORIZED, 200),
        ("GET", "/rate_limit", None, {}, 200),
        ("GET", "/repos/acme/web", None, AUTHORIZED, 200),
        ("GET", "/repos/acme/none", None, AUTHORIZED, 404),
        ("GET", "/repos/acme/other", None, AUTHORIZED, 404),
        ("GET", "/nowhere", None, AUTHORIZED, 404),
        ("GET", "/repos/acme/web/pulls?made_up=1", None, AUTHORIZED, 422),
        ("GET", "/repos/acme/web/pulls?state=done", None, AUTHORIZED, 422),
        ("POST", "/repos/acme/web/pulls", {"head": HEAD}, AUTHORIZED, 422),
        ("POST", "/repos/acme/web/pulls", {"head": HEAD, "base": "main", "title": 3}, AUTHORIZED, 422),
        (
            "POST",
            "/repos/acme/web/pulls",
            {"head": HEAD, "base": "main", "title": "x", "hue": 1},
            AUTHORIZED,
            422,
        ),
        ("POST", "/repos/acme/web/pulls", {"head": HEAD, "base": "main", "title": "x"}, AUTHORIZED, 201),
        ("POST", "/app/installations/77/access_tokens", {}, AUTHORIZED, 401),
        ("GET", "/repos/acme/web/installation", None, AUTHORIZED, 401),
    ],
)
async def test_it_answers_as_github_does(
    github: GitHubSimulator, method: str, path: str, body: object, headers: dict[str, str], status: int
) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        content = None if body is None else json.dumps(body)
        answer = await client.request(method, github.url + path, content=content, headers=headers)
    assert answer.status_code == status, answer.text


async def test_git_needs_a_good_token(github: GitHubSimulator, tmp_path: Path) -> None:
    refs = "/acme/web.git/info/refs?service="
    async with httpx.AsyncClient(trust_env=False) as client:
        for service, auth, status in (
            ("git-upload-pack", None, 401),
            ("git-upload-pack", ("x-access-token", "wrong"), 401),
            ("git-upload-pack", ("x-access-token", TOKEN), 200),
            ("git-receive-pack", ("x-access-token", TOKEN), 200),
        ):
            answer = await client.get(github.url + refs + service, auth=auth)
            assert answer.status_code == status
        github.add_token("reader", "acme/web", permissions={"contents": "read"})
        answer = await client.get(github.url + refs + "git-receive-pack", auth=("x", "reader"))
        assert answer.status_code == 403


def test_the_description_is_githubs_and_names_its_licence() -> None:
    assert description()["source"].startswith("npm package @octokit/openapi ")
    assert "MIT License" in description()["licence"]
    assert request_problems("DELETE", "/repos/acme/web", {}, None)

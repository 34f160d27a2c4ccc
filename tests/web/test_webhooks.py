"""Webhooks: the order of the checks, signatures, sizes, what is ignored, what moves a code task and what never does."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.core.tasks import FailureReason, Stage
from tests.stores import only_sqlite
from tests.web.house import SECRET, House, dumps, open_house, pull_request, settings_for, signed

HOOK = "/webhooks/github"
BIG = 1024 * 1024


async def send(house: House, body: bytes, event: str = "pull_request", **headers: str) -> httpx.Response:
    """A delivery signed with the right secret, unless a header says otherwise."""
    usual = {
        "x-hub-signature-256": signed(body),
        "x-github-event": event,
        "x-github-delivery": "d-1",
        "content-type": "application/json",
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await house.bare().post(HOOK, content=body, headers=usual | named)


@pytest.fixture
async def in_review(house: House) -> House:
    """CT-1 in review with acme/web#7."""
    await (await house.client()).file()
    await house.bring(1, Stage.REVIEW, pr_number=7)
    return house


async def test_a_merged_pull_request_merges_the_code_task(in_review: House) -> None:
    answer = await send(in_review, dumps(pull_request()))
    assert (answer.status_code, answer.json()) == (200, {"result": "applied"})
    assert await in_review.stage(1) is Stage.MERGED
    moves = await in_review.app.store.run(lambda tx: tx.tasks.history(1), read=True)
    assert moves[-1].actor == "forge:bob"


async def test_closed_unmerged_fails_and_reopened_brings_it_back(in_review: House) -> None:
    await send(in_review, dumps(pull_request(merged=False)), x_github_delivery="a")
    task = await in_review.app.store.run(lambda tx: tx.tasks.get(1), read=True)
    assert task is not None
    assert (task.stage, task.failure_reason) == (Stage.FAILED, FailureReason.PR_CLOSED)
    await send(in_review, dumps(pull_request("reopened")), x_github_delivery="b")
    assert await in_review.stage(1) is Stage.REVIEW


@only_sqlite
@pytest.mark.parametrize(
    "make",
    [
        lambda body: "",
        lambda body: signed(body)[7:],
        lambda body: signed(body).replace("sha256", "sha1"),
        lambda body: signed(body).upper(),
        lambda body: signed(body)[:-1],
        lambda body: signed(body) + "0",
        lambda body: signed(body, "another secret"),
        lambda body: signed(body, ""),
        lambda body: signed(body + b" "),
        lambda body: " " + signed(body)[:-2] + "zz",
        lambda body: "sha256=" + "é" * 64,
        lambda body: "sha256=" + "0" * 64,
        lambda body: f"{signed(body)}, {signed(body)}",
        lambda body: "sha256=",
    ],
)
async def test_a_wrong_signature_is_401_and_changes_nothing(in_review: House, make: Callable[[bytes], str]) -> None:
    body = dumps(pull_request())
    answer = await in_review.bare().post(
        HOOK,
        content=body,
        headers={b"x-hub-signature-256": make(body).encode("latin-1"), b"x-github-event": b"pull_request"},
    )
    assert answer.status_code == 401
    assert await in_review.stage(1) is Stage.REVIEW


async def test_no_signature_header_is_401(in_review: House) -> None:
    answer = await in_review.bare().post(HOOK, content=b"{}", headers={"x-github-event": "pull_request"})
    assert answer.status_code == 401


@pytest.mark.parametrize("secret", [SECRET, "the one before"])
async def test_two_secrets_are_good_during_a_rotation(database_url: str, tmp_path: Path, secret: str) -> None:
    settings = settings_for(database_url, tmp_path, github_webhook_secret_previous="the one before")
    async with open_house(settings) as house:
        body = dumps(pull_request())
        assert (await send(house, body, x_hub_signature_256=signed(body, secret))).status_code == 200


@pytest.fixture
async def without_secret(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(settings_for(database_url, tmp_path, github_webhook_secret=None)) as house:
        yield house


@only_sqlite
@pytest.mark.parametrize("body", [b"{}", b"", b"x" * (BIG + 1)])
async def test_without_a_secret_every_delivery_is_503(without_secret: House, body: bytes) -> None:
    assert (await send(without_secret, body, x_hub_signature_256=signed(body, ""))).status_code == 503


@only_sqlite
async def test_the_size_is_looked_at_before_the_signature(house: House) -> None:
    answer = await send(house, b"x" * (BIG + 1), x_hub_signature_256="sha256=no")
    assert answer.status_code == 413


@only_sqlite
async def test_a_body_of_unknown_length_is_cut_off_too(house: House) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * 65536

    answer = await house.bare().post(HOOK, content=pieces(), headers={"x-github-event": "pull_request"})
    assert answer.status_code == 413


@only_sqlite
async def test_a_body_of_exactly_the_limit_is_read(house: House) -> None:
    body = dumps(pull_request())
    body += b" " * (BIG - len(body))
    assert (await send(house, body)).status_code == 200


@only_sqlite
@pytest.mark.parametrize("event", ["ping", "push", "check_run", "", "pull_request_review", "PULL_REQUEST", "é"])
@pytest.mark.parametrize("body", [b"{}", b"not json", b"\xff"])
async def test_an_unused_event_is_ignored_whatever_it_holds(house: House, event: str, body: bytes) -> None:
    answer = await house.bare().post(
        HOOK,
        content=body,
        headers={b"x-hub-signature-256": signed(body).encode(), b"x-github-event": event.encode("latin-1")},
    )
    assert (answer.status_code, answer.json()["result"]) == (200, "ignored")


@only_sqlite
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"{}",
        dumps(pull_request(action=7)),  # type: ignore[arg-type]
        dumps(pull_request(repository=None)),
        dumps(pull_request(repository={"name": "web", "owner": "acme"})),
        dumps(pull_request(repository={"name": "../web", "owner": {"login": "acme"}})),
        dumps(pull_request(number="7")),  # type: ignore[arg-type]
        dumps(pull_request(number=0)),
        dumps(pull_request(number=10**30)),
        dumps(pull_request(number=True)),
        dumps(pull_request(merged="yes")),
        dumps(pull_request(pull_request=[])),
        b'{"action":"closed","n":' + b"9" * 5000 + b"}",
    ],
)
async def test_what_github_would_never_send_is_400(house: House, body: bytes) -> None:
    assert (await send(house, body)).status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"number": 8},
        {"repository": {"name": "shop", "owner": {"login": "acme"}}},
        {"repository": {"name": "web", "owner": {"login": "evil"}}},
        {"action": "opened"},
        {"action": "synchronize"},
        {"action": "merged"},
    ],
)
async def test_what_is_not_ours_changes_nothing(in_review: House, changed: dict[str, Any]) -> None:
    assert (await send(in_review, dumps(pull_request(**changed)))).status_code == 200
    assert await in_review.stage(1) is Stage.REVIEW


async def test_the_repository_is_matched_without_regard_to_case(in_review: House) -> None:
    body = dumps(pull_request(repository={"name": "WEB", "owner": {"login": "aCME"}}))
    assert (await send(in_review, body)).json() == {"result": "applied"}


async def test_the_same_number_of_another_repository_is_another_code_task(in_review: House) -> None:
    await (await in_review.client()).file(repo="shop")
    await in_review.bring(2, Stage.REVIEW, pr_number=7)
    await send(in_review, dumps(pull_request(repository={"name": "shop", "owner": {"login": "acme"}})))
    assert (await in_review.stage(1), await in_review.stage(2)) == (Stage.REVIEW, Stage.MERGED)


async def test_a_repeated_delivery_is_applied_once(in_review: House) -> None:
    body = dumps(pull_request())
    answers = [await send(in_review, body) for _ in range(3)]
    assert [answer.json()["result"] for answer in answers] == ["applied", "nothing to do", "nothing to do"]
    moves = await in_review.app.store.run(lambda tx: tx.tasks.history(1), read=True)
    assert [move.to_stage for move in moves] == ["queued", "running", "review", "merged"]


async def test_a_repeat_under_another_delivery_id_changes_nothing(in_review: House) -> None:
    body = dumps(pull_request())
    await send(in_review, body, x_github_delivery="a")
    assert (await send(in_review, body, x_github_delivery="b")).json() == {"result": "nothing to do"}


async def test_out_of_order_the_merge_wins(in_review: House) -> None:
    await send(in_review, dumps(pull_request()), x_github_delivery="a")
    await send(in_review, dumps(pull_request(merged=False)), x_github_delivery="b")
    await send(in_review, dumps(pull_request("reopened")), x_github_delivery="c")
    assert await in_review.stage(1) is Stage.MERGED


@pytest.mark.parametrize("delivery", ["", "x" * 5000, "a b", "'; DROP TABLE code_task; --", "é"])
async def test_an_odd_delivery_id_does_no_harm(in_review: House, delivery: str) -> None:
    body = dumps(pull_request())
    headers = {
        b"x-hub-signature-256": signed(body).encode(),
        b"x-github-event": b"pull_request",
        b"x-github-delivery": delivery.encode("latin-1"),
    }
    assert (await in_review.bare().post(HOOK, content=body, headers=headers)).json() == {"result": "applied"}


async def test_a_form_body_is_read_too(in_review: House) -> None:
    body = str(httpx.QueryParams({"payload": dumps(pull_request()).decode()})).encode()
    answer = await send(in_review, body, content_type="application/x-www-form-urlencoded")
    assert answer.json() == {"result": "applied"}


@only_sqlite
async def test_other_methods_are_405(house: House) -> None:
    assert (await house.bare().get(HOOK)).status_code == 405


@only_sqlite
async def test_slack_over_http_is_404_where_it_is_not_configured(house: House) -> None:
    assert (await house.bare().post("/webhooks/slack", content=b"x")).status_code == 404


@pytest.fixture
async def with_slack(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    slack = {
        "slack_bot_token": "xoxb-1",
        "slack_signing_secret": "8f742231b10e8888abcd99yyyzzz85a5",
        "codetask_slack_transport": "http",
        "codetask_slack_api_url": "http://127.0.0.1:9/api/",
    }
    async with open_house(settings_for(database_url, tmp_path, **slack)) as house:
        yield house


@only_sqlite
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-slack-signature": "v0=00", "x-slack-request-timestamp": "0"},
        {"x-slack-signature": "v0=00", "x-slack-request-timestamp": "soon"},
    ],
)
async def test_an_unsigned_request_of_slack_is_401(with_slack: House, headers: dict[str, str]) -> None:
    answer = await with_slack.bare().post("/webhooks/slack", content=b"\xff{", headers=headers)
    assert answer.status_code == 401


@only_sqlite
async def test_slack_is_answered_413_over_the_limit(with_slack: House) -> None:
    assert (await with_slack.bare().post("/webhooks/slack", content=b"x" * (BIG + 1))).status_code == 413

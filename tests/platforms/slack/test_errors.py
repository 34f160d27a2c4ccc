"""What Slack's errors mean for a delivery."""

from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.ports import AuthFailed, Gone, NotAllowed, Retry, Unsendable
from platforms.slack.errors import WebhookRefused, is_already_so, refuses_blocks, trouble_of


def failed(code: str | None, status: int = 200, **more: Any) -> SlackApiError:
    headers = more.pop("headers", {})
    data: dict[str, Any] = {"ok": False, **({"error": code} if code else {}), **more}
    response = AsyncSlackResponse(
        client=AsyncWebClient(),
        http_verb="POST",
        api_url="https://slack.com/api/x",
        req_args={},
        data=data,
        headers=headers,
        status_code=status,
    )
    return SlackApiError("failed", response)


@pytest.mark.parametrize("code", ["invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"])
def test_credentials(code: str) -> None:
    trouble = trouble_of(failed(code))
    assert isinstance(trouble, AuthFailed)
    assert trouble.why == code
    assert "SLACK_BOT_TOKEN" in trouble.fix


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("message_not_found", "message"),
        ("edit_window_closed", "message"),
        ("cant_update_message", "message"),
        ("channel_not_found", "channel"),
        ("is_archived", "channel"),
        ("invalid_thread_ts", "thread"),
        ("thread_not_found", "thread"),
    ],
)
def test_gone(code: str, what: str) -> None:
    assert trouble_of(failed(code)) == Gone(what, code)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("code", ["not_in_channel", "restricted_action", "user_not_in_channel"])
def test_not_allowed(code: str) -> None:
    trouble = trouble_of(failed(code))
    assert isinstance(trouble, NotAllowed)
    assert trouble.fix


def test_a_missing_scope_is_named() -> None:
    trouble = trouble_of(failed("missing_scope", needed="reactions:write", provided="chat:write"))
    assert isinstance(trouble, NotAllowed)
    assert "reactions:write" in trouble.fix


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"Retry-After": "30"}, 30),
        ({"retry-after": "7"}, 7),
        ({"Retry-After": ["9"]}, 1),
        ({"Retry-After": "soon"}, 1),
        ({"Retry-After": "-5"}, 1),
        ({}, 1),
    ],
)
def test_rate_limits_wait_as_told(headers: dict[str, Any], after: int) -> None:
    for error in (failed("ratelimited", 429, headers=headers), failed(None, 429, headers=headers)):
        trouble = trouble_of(error)
        assert isinstance(trouble, Retry)
        assert (trouble.after, trouble.maybe_done) == (timedelta(seconds=after), False)


@pytest.mark.parametrize(("code", "status"), [("internal_error", 200), ("fatal_error", 200), (None, 500), (None, 503)])
def test_server_errors_may_have_taken_effect(code: str | None, status: int) -> None:
    trouble = trouble_of(failed(code, status))
    assert isinstance(trouble, Retry)
    assert trouble.maybe_done


def test_a_service_that_said_no_did_nothing() -> None:
    assert trouble_of(failed("service_unavailable")) == Retry(timedelta(seconds=1), False, "service_unavailable")


@pytest.mark.parametrize("code", ["invalid_blocks", "msg_too_long", "no_text", "invalid_arguments", "something_new"])
def test_everything_else_is_our_bug(code: str) -> None:
    assert trouble_of(failed(code)) == Unsendable(code)


def test_dropped_after_sending_is_unknown_but_never_connected_is_not() -> None:
    key: Any = aiohttp.client_reqrep.ConnectionKey("slack.com", 443, True, True, None, None, None)
    unsent = trouble_of(aiohttp.ClientConnectorError(key, OSError("refused")))
    assert isinstance(unsent, Retry)
    assert not unsent.maybe_done
    for error in (
        aiohttp.ServerDisconnectedError(),
        TimeoutError(),
        ConnectionResetError(),
        aiohttp.ClientPayloadError(),
    ):
        sent = trouble_of(error)
        assert isinstance(sent, Retry)
        assert sent.maybe_done


def test_a_dict_response_is_understood_too() -> None:
    assert trouble_of(SlackApiError("x", {"ok": False, "error": "is_archived"})) == Gone("channel", "is_archived")


def test_a_refused_response_url_can_be_tried_another_way() -> None:
    assert isinstance(trouble_of(WebhookRefused(404)), Retry)


def test_bugs_are_not_trouble() -> None:
    assert trouble_of(KeyError("x")) is None


def test_already_so() -> None:
    assert is_already_so(failed("already_reacted"))
    assert is_already_so(failed("no_reaction"))
    assert not is_already_so(failed("message_not_found"))
    assert not is_already_so(KeyError("already_reacted"))


def test_refused_blocks() -> None:
    assert refuses_blocks(Unsendable("invalid_blocks"))
    assert not refuses_blocks(Unsendable("msg_too_long"))
    assert not refuses_blocks(None)

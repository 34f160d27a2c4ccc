"""What Slack's complaints mean: an SDK or network error becomes Retry, Gone, NotAllowed, AuthFailed or Unsendable.

Codes: platforms.md 2.1 and https://docs.slack.dev/reference/methods. A write that may have taken effect although it
looked failed is `Retry(maybe_done=True)`: read the thread back before repeating it.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Literal

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.ports import AuthFailed, Gone, NotAllowed, Retry, Trouble, Unsendable

AUTH: Final = frozenset(
    {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "not_allowed_token_type"}
)
GONE: Final[Mapping[str, Literal["message", "thread", "channel"]]] = {
    "message_not_found": "message",
    "edit_window_closed": "message",
    "cant_update_message": "message",
    "channel_not_found": "channel",
    "is_archived": "channel",
    "invalid_thread_ts": "thread",
    "thread_not_found": "thread",
    "cannot_reply_to_message": "thread",
}
FIXES: Final[Mapping[str, str]] = {
    "not_in_channel": "Invite the bot to the channel: /invite @codetask",
    "user_not_in_channel": "The person has left the channel; nothing needs to be done.",
    "restricted_action": "A Slack admin must let the bot post in this channel (channel posting permissions).",
    "restricted_action_read_only_channel": "A Slack admin must let the bot post in this read-only channel.",
    "restricted_action_thread_locked": "The thread is locked; an admin can unlock it.",
    "restricted_action_non_threadable_channel": "Replies are off in this channel; an admin can turn them on.",
    "restricted_action_thread_only_channel": "Only replies are allowed in this channel; an admin can change that.",
    "ekm_access_denied": "The workspace's key management suspended message access; ask its admin.",
    "access_denied": "A Slack admin must allow the app access to this channel.",
    "org_login_required": "The workspace is being migrated; wait until Slack has finished.",
    "team_access_not_granted": "A Slack admin must grant the app access to this workspace.",
}
PASSING: Final = frozenset(
    {"ratelimited", "rate_limited", "message_limit_exceeded", "service_unavailable", "request_timeout"}
)
UNSURE: Final = frozenset({"internal_error", "fatal_error"})
"""Slack says of these: some aspect of the operation may have succeeded."""

AUTH_FIX: Final = "Reinstall the app and set SLACK_BOT_TOKEN (xoxb-…) and SLACK_APP_TOKEN (xapp-…) again."
SOON: Final = timedelta(seconds=1)


class Closed(Exception):
    """The adapter was closed: nothing was sent."""


class WebhookRefused(Exception):
    """A `response_url` did not take an answer: used up, expired, or down."""

    def __init__(self, status: int) -> None:
        super().__init__(f"a response_url answered {status}")
        self.status = status


def code_of(error: Exception) -> str:
    """Slack's error code (`ratelimited`), or an empty string when the answer carried none."""
    found = _field(error, "error")
    return found if isinstance(found, str) else ""


def _field(error: Exception, name: str) -> object:
    # The SDK hands out its own response, a plain dict, or, for a body that is not JSON, aiohttp's response.
    data: Any = getattr(error, "response", None)
    data = getattr(data, "data", data)
    return data.get(name) if isinstance(data, Mapping) else None


def _status(error: SlackApiError) -> int:
    response: Any = error.response
    status = getattr(response, "status_code", None) or getattr(response, "status", None)
    return status if isinstance(status, int) else 0


def _retry_after(error: SlackApiError) -> timedelta:
    headers: Any = getattr(error.response, "headers", None) or {}
    given = next((str(value) for name, value in headers.items() if str(name).lower() == "retry-after"), "")
    return timedelta(seconds=int(given)) if given.isdecimal() and len(given) < 7 else SOON


def trouble_of(error: Exception) -> Trouble | None:
    """What a failed call means; None for an error that is not Slack's or the network's (then it is a bug: raise it)."""
    match error:
        case SlackApiError():
            return _refusal(error)
        case WebhookRefused():
            return Retry(SOON, why=str(error))
        case Closed():
            return Retry(SOON, why="closed")
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return Retry(SOON, why=type(error).__name__)
        case aiohttp.ClientError() | TimeoutError() | ConnectionError():
            return Retry(SOON, maybe_done=True, why=type(error).__name__)
        case SlackClientError():
            return Unsendable(type(error).__name__)
        case _:
            return None


def _refusal(error: SlackApiError) -> Trouble:
    code, status = code_of(error), _status(error)
    if code in AUTH:
        return AuthFailed(AUTH_FIX, code)
    if code in GONE:
        return Gone(GONE[code], code)
    if code == "missing_scope":
        needed = _field(error, "needed")
        return NotAllowed(f"Add the scope {needed} to the app and reinstall it to the workspace.", code)
    if code in FIXES:
        return NotAllowed(FIXES[code], code)
    if status == 429 or code in PASSING:
        return Retry(_retry_after(error), why=code or "ratelimited")
    if code in UNSURE or status >= 500 or not code:
        return Retry(_retry_after(error), maybe_done=True, why=code or f"http {status}")
    return Unsendable(code)


def is_already_so(error: Exception) -> bool:
    """Whether a reaction was already there, or already gone."""
    return code_of(error) in {"already_reacted", "no_reaction"}


def refuses_blocks(trouble: object) -> bool:
    """Whether the workspace did not take the blocks; a simpler rendering may pass."""
    return isinstance(trouble, Unsendable) and trouble.why in {
        "invalid_blocks",
        "invalid_blocks_format",
        "unsupported_block",
    }

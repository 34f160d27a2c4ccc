"""What Lark's complaints mean: a code or network error becomes Retry, Gone, NotAllowed, AuthFailed or Unsendable.

Codes: platforms.md 2.3 and https://open.larksuite.com/document/server-docs/im-v1/message/create; they come in the body,
with HTTP 200 or 400 alike. A post that may have taken effect is repeated under its `uuid`, so nothing is doubled.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, Literal

import httpx

from bot.ports import AuthFailed, Gone, NotAllowed, Retry, Trouble, Unsendable

SOON: Final = timedelta(seconds=1)
STALE_TOKEN: Final = frozenset({99991661, 99991663, 99991664, 99991665, 99991668, 99991671, 99991677})
"""The access token is missing, wrong or expired: one new token is worth a try."""
WRONG_SECRET: Final = frozenset({10003, 10012, 10014, 10015, 1000040344, 1000040345})
WRONG_DOMAIN: Final = 1000040351
PASSING: Final = frozenset({230020, 11232, 11233, 11247, 99991400, 99991403, 230049, 1000040350})
"""Rates, the month's quota (99991403), a message just being sent (230049), too many long connections (1000040350)."""
UNSURE: Final = frozenset({1, 2200, 1000040343})
"""Lark's own faults: the effect may have happened."""
GONE: Final[Mapping[int, Literal["message", "thread", "channel"]]] = {
    230011: "message",  # recalled
    230031: "message",  # older than 14 days
    230050: "message",  # invisible to the bot
    230110: "message",  # deleted
    230111: "message",  # about to delete itself
    231003: "message",
    230019: "thread",
    231005: "thread",
    230005: "channel",
    232006: "channel",
    232009: "channel",  # dissolved
    231004: "channel",
}
NO_THREAD: Final = frozenset({"230071", "230072"})
"""What is answered cannot have a thread: the group allows none, or the message is one of several shown as one."""
FIXES: Final[Mapping[int, str]] = {
    230002: "Add the bot to the group: Settings, Bots, Add Bot.",
    232011: "Add the bot to the group: Settings, Bots, Add Bot.",
    231002: "Add the bot to the group: Settings, Bots, Add Bot.",
    230006: "Turn on the Bot feature of the app (Add Features, Bot) and publish a version.",
    11205: "Turn on the Bot feature of the app (Add Features, Bot) and publish a version.",
    230013: "Make the app available to this person (Version Management, Availability) and publish a version.",
    230017: "The bot can change only its own messages.",
    230018: "The group's settings do not let the bot speak; a group admin can change them.",
    230027: "Grant the app im:message.group_msg (an admin must approve it) and publish a version.",
    230035: "The group's settings do not let the bot send messages; a group admin can change them.",
    230053: "This person has stopped the bot from writing to them.",
    231008: "Add the bot to the group: Settings, Bots, Add Bot.",
    99991401: "Add this server's address to the app's IP allow list (Security Settings), or turn the list off.",
    99991662: "Turn the app on again: the tenant's admin has disabled it (Admin Console, Apps).",
    99991673: "Turn the app on again: the tenant's admin has disabled it (Admin Console, Apps).",
    230038: "The bot cannot write to people of another organisation.",
    WRONG_DOMAIN: (
        "This app belongs to the other service: set CODETASK_LARK_API_URL to https://open.feishu.cn for Feishu, "
        "to https://open.larksuite.com for Lark."
    ),
}
AUTH_FIX: Final = "Set LARK_APP_ID and LARK_APP_SECRET to the credentials of your app and check CODETASK_LARK_API_URL."


class LarkRefused(Exception):
    """Lark answered with a code other than 0, or with no answer that can be read (code 0, by `status`)."""

    def __init__(
        self, code: int, message: str, status: int = 200, after: float = 0, scopes: Sequence[str] = ()
    ) -> None:
        super().__init__(f"Lark refused with {code or f'http {status}'}")
        self.code, self.message, self.status = code, message, status
        self.after = timedelta(seconds=min(max(after, 0), 86_400))
        self.scopes = tuple(scopes)


def trouble_of(error: Exception) -> Trouble | None:
    """What a failed call means; None for an error that is not Lark's or the network's (then it is a bug: raise it)."""
    match error:
        case LarkRefused():
            return _refusal(error)
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.PoolTimeout() | httpx.ProxyError():
            return Retry(SOON, why=type(error).__name__)
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Retry(SOON, why=type(error).__name__)
        case httpx.HTTPError() | TimeoutError() | ConnectionError():
            return Retry(SOON, maybe_done=True, why=type(error).__name__)
        case _:
            return None


def _refusal(error: LarkRefused) -> Trouble:
    code, why = error.code, str(error.code or f"http {error.status}")
    after = max(error.after, SOON)
    if code in STALE_TOKEN or code in WRONG_SECRET:
        return AuthFailed(AUTH_FIX, why)
    if code in GONE:
        return Gone(GONE[code], why)
    if code == 99991672:
        return NotAllowed(scope_fix(error.scopes), why)
    if code in FIXES:
        return NotAllowed(FIXES[code], why)
    if error.status == 429 or code in PASSING:
        return Retry(after, why=why)
    if code in UNSURE or error.status >= 500 or not code:
        return Retry(after, maybe_done=True, why=why)
    return Unsendable(why)


def scope_fix(scopes: Sequence[str]) -> str:
    """What to do about missing scopes. Where Lark names several, one of them is enough."""
    named = " or ".join(scopes[:8]) or "the missing scope"
    return f"Grant the app {named} (Permissions & Scopes) and publish a version."

"""What Discord's complaints mean: an SDK or network error becomes Retry, Gone, NotAllowed, AuthFailed or Unsendable.

Codes: platforms.md 2.2 and https://docs.discord.com/developers/topics/opcodes-and-status-codes. A write that may have
taken effect although it looked failed is `Retry(maybe_done=True)`; the nonce of a post makes its repetition harmless.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal

import aiohttp
import discord

from bot.ports import AuthFailed, Fatal, Gone, NotAllowed, Retry, Trouble, Unsendable

GONE: Final[Mapping[int, Literal["message", "thread", "channel"]]] = {
    10003: "channel",
    10007: "message",  # a member who left
    10008: "message",
    10015: "message",  # the token of an interaction
    10062: "message",
    30046: "message",
    50027: "message",
}
LOCKED: Final = 160005
INVITE: Final = (
    "Invite the bot to this channel: channel settings, Permissions, give the Codetask role View Channel, "
    "Send Messages, Read Message History, Create Public Threads and Send Messages in Threads."
)
FIXES: Final[Mapping[int, str]] = {
    50001: INVITE,
    50013: INVITE,
    50007: "The person takes no direct messages from this server; nothing needs to be done.",
    50024: "Threads cannot be opened in this kind of channel; use a text channel.",
    20016: "The channel is in slow mode for the bot; give it Manage Messages or turn slow mode off.",
    20022: "The server's announcement limit is reached; wait until Discord lifts it.",
    LOCKED: "The thread is locked; a moderator can unlock it.",
    30033: "The channel's limit of active threads is reached; archive some.",
    10004: "The bot is no longer in that server; invite it again.",
}
AUTH_FIX: Final = "Reset the token on the application's page Bot and set DISCORD_TOKEN again."
SOON: Final = timedelta(seconds=1)

CLOSED: Final[Mapping[int, tuple[str, str]]] = {
    4004: ("the token was refused", AUTH_FIX),
    4010: ("the shard is invalid", "Report this: Codetask uses no shards."),
    4011: (
        "the bot is in too many servers for one connection",
        "Use one application per team; Codetask has no shards.",
    ),
    4012: ("the gateway version is no longer served", "Update Codetask."),
    4013: ("the intents are invalid", "Update Codetask."),
    4014: (
        "an intent is not enabled",
        "Enable the Message Content Intent on the application's page Bot, then start again.",
    ),
}
"""Close codes of the gateway after which connecting again is pointless: what happened, and the fix."""


def code_of(error: Exception) -> int:
    """Discord's error code (`10008`), or 0 when the answer carried none."""
    code = getattr(error, "code", 0)
    return code if isinstance(code, int) else 0


def trouble_of(error: Exception) -> Trouble | None:
    """What a failed call means; None for an error that is not Discord's or the network's (then it is a bug)."""
    match error:
        case discord.RateLimited():
            return Retry(timedelta(seconds=max(error.retry_after, 0.0)), why="ratelimited")
        case discord.LoginFailure():
            return AuthFailed(AUTH_FIX, "invalid_auth")
        case discord.GatewayNotFound():
            return _inner(error)
        case discord.HTTPException():
            return _refusal(error)
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return Retry(SOON, why=type(error).__name__)
        case aiohttp.ClientError() | TimeoutError() | OSError():
            return Retry(SOON, maybe_done=True, why=type(error).__name__)
        case _:
            return None


def _inner(error: Exception) -> Trouble:
    """The SDK hides why it could not read the gateway's address."""
    cause = error.__cause__ or error.__context__
    return (trouble_of(cause) if isinstance(cause, Exception) else None) or Retry(SOON, why=type(error).__name__)


def _refusal(error: discord.HTTPException) -> Trouble:
    code, status = error.code, error.status
    if code in GONE:
        return Gone(GONE[code], str(code))
    if code in FIXES:
        return NotAllowed(FIXES[code], str(code))
    if status == 401:
        return AuthFailed(AUTH_FIX, "invalid_auth")
    if status == 429:
        return Retry(SOON, why="ratelimited")
    if status >= 500:
        return Retry(SOON, maybe_done=True, why=f"http {status}")
    if status == 403:
        return NotAllowed(INVITE, str(code or status))
    return Unsendable(str(code or f"http {status}"))


def why_closed(error: discord.ConnectionClosed) -> Fatal | None:
    """What a close code means that no new connection mends; None when a new one may."""
    known = CLOSED.get(error.code)
    return Fatal(f"Discord closed the gateway with {error.code}: {known[0]}", known[1]) if known else None

"""What Discord's errors mean for a delivery and for the connection."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest

from bot.ports import AuthFailed, Gone, NotAllowed, Retry, Unsendable
from platforms.discord.errors import CLOSED, GONE, trouble_of, why_closed


def failed(code: int, status: int = 400, kind: type[discord.HTTPException] = discord.HTTPException) -> Exception:
    answer: Any = SimpleNamespace(status=status, reason="refused")
    return kind(answer, {"code": code, "message": "refused"})


@pytest.mark.parametrize("code", sorted(GONE))
def test_what_is_gone(code: int) -> None:
    assert trouble_of(failed(code, 404, discord.NotFound)) == Gone(GONE[code], str(code))


@pytest.mark.parametrize("code", [50001, 50007, 50013])
def test_what_is_not_allowed_says_what_to_do(code: int) -> None:
    trouble = trouble_of(failed(code, 403, discord.Forbidden))
    assert isinstance(trouble, NotAllowed)
    assert trouble.why == str(code)
    assert trouble.fix


@pytest.mark.parametrize("code", [50006, 50035, 40060])
def test_what_is_our_bug(code: int) -> None:
    assert trouble_of(failed(code)) == Unsendable(str(code))


def test_a_limit_says_when_to_come_back() -> None:
    assert trouble_of(discord.RateLimited(12.5)) == Retry(timedelta(seconds=12.5), why="ratelimited")
    assert trouble_of(failed(0, 429)) == Retry(timedelta(seconds=1), why="ratelimited")
    assert trouble_of(failed(30046, 429)) == Gone("message", "30046"), "a 429 too, but for good"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_is_down_may_have_done_it(status: int) -> None:
    trouble = trouble_of(failed(0, status, discord.DiscordServerError))
    assert isinstance(trouble, Retry)
    assert trouble.maybe_done


@pytest.mark.parametrize(
    ("error", "maybe_done"),
    [
        (aiohttp.ServerDisconnectedError(), True),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (aiohttp.InvalidURL("x"), False),
    ],
)
def test_the_network(error: Exception, maybe_done: bool) -> None:
    trouble = trouble_of(error)
    assert isinstance(trouble, Retry)
    assert trouble.maybe_done is maybe_done


@pytest.mark.parametrize("error", [failed(0, 401), discord.LoginFailure("no")])
def test_credentials(error: Exception) -> None:
    trouble = trouble_of(error)
    assert isinstance(trouble, AuthFailed)
    assert "DISCORD_TOKEN" in trouble.fix


def test_an_error_of_ours_is_no_trouble_of_discords() -> None:
    assert trouble_of(KeyError("x")) is None


@pytest.mark.parametrize("code", [*CLOSED, 1000, 4000, 4008, 4009])
def test_close_codes(code: int) -> None:
    socket: Any = SimpleNamespace(close_code=code)
    fatal = why_closed(discord.ConnectionClosed(socket, shard_id=None, code=code))
    if code in CLOSED:
        assert fatal is not None
        assert str(code) in fatal.why
        assert fatal.fix
    else:
        assert fatal is None
